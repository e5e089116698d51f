//! `healthcheck`: asks a running hub whether it is well, for containers without a shell or curl.

use std::time::Duration;

use clap::Args;

use super::runtime;

/// How long the hub may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Options of `healthcheck`.
#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    /// The hub's admin port
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    url: String,
}

/// Prints one line; fails unless the hub is well.
pub(crate) fn run(arguments: &Healthcheck) -> anyhow::Result<()> {
    let url = format!("{}/healthz", arguments.url.trim_end_matches('/'));
    let answer = runtime()?.block_on(async {
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let response = client.get(&url).send().await?;
        let status = response.status();
        response.text().await.map(|text| (status, text))
    });
    match answer {
        Ok((status, _)) if status.is_success() => {
            println!("healthy");
            Ok(())
        }
        Ok((status, text)) => anyhow::bail!("{url} answers {}: {}", status.as_u16(), text.trim()),
        Err(error) => anyhow::bail!("{url}: {}", error.without_url()),
    }
}
