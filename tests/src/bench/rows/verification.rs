//! Duration of the verification of an RS256 token that is not cached, by the hub's code in this process. A connect with a cached
//! token needs no verification.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use notification_hub::auth::bearer::BearerToken;
use notification_hub::auth::claims::ValidationRules;
use notification_hub::auth::keys::key::Key;
use notification_hub::auth::{Policy, Verifier};

use super::BenchRun;
use crate::bench::population::Population;
use crate::bench::report::{Report, Row};
use crate::bench::statistics::median;

/// The number of tokens, each verified once. It is less than the size of the token cache.
const TOKENS: usize = 500;

/// Adds the row.
pub fn add(run: &BenchRun, report: &mut Report) -> Result<()> {
    let key = Key::from_pem(run.environment.key().public_pem.as_bytes())?;
    let verifier = Verifier::new(ValidationRules { clock_skew: 300.0, ..ValidationRules::default() }, vec![key]);
    let population = Population::new(run.environment.key().signer()?);
    let mut times = Vec::with_capacity(TOKENS);
    for index in 0..TOKENS {
        let token = BearerToken::from(population.token(index)?);
        let start = Instant::now();
        let verified = verifier.verify(&token, Policy::Application);
        times.push(start.elapsed().as_secs_f64() * 1e6);
        if let Err(rejection) = verified {
            bail!("a token was rejected: {}", rejection.label());
        }
    }
    report.add(Row {
        key: "jwt_verify_us",
        title: "us of an RS256 token's verification",
        hub: median(times).context("no token")?,
        controls: Vec::new(),
        budget: None,
    });
    Ok(())
}
