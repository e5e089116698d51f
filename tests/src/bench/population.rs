//! Who connects: as many distinct users as connections, each with a device, a token of its own and three organisations out of
//! 900. The users are the same in every run. Where one push has to reach many, these share a further organisation.

use std::net::SocketAddr;

use anyhow::Result;
use uuid::Uuid;

use super::push::Audience;
use crate::http;
use crate::token::{self, Signer};

/// How many organisations there are, and how many of them a user belongs to.
const ORGANIZATIONS: u64 = 900;
const MEMBERSHIPS: usize = 3;

/// The users of one measurement.
pub struct Population {
    signer: Signer,
    circles: Vec<Audience>,
}

impl Population {
    /// Users with tokens of this signer.
    pub fn new(signer: Signer) -> Self {
        Self { signer, circles: Vec::new() }
    }

    /// The same users, of whom those in `circle` share an organisation.
    pub fn sharing(mut self, circle: Audience) -> Self {
        self.circles.push(circle);
        self
    }

    /// The token of user `index`.
    pub fn token(&self, index: usize) -> Result<String> {
        let mut organizations = organizations(index as u64);
        let circles = self.circles.iter().filter(|circle| circle.holds(index));
        organizations.extend(circles.filter_map(|circle| circle.organization()));
        let organizations: Vec<String> = organizations.iter().map(Uuid::to_string).collect();
        let device = uuid(2, index as u64).to_string();
        self.signer.sign(&token::user(&user(index).to_string(), &organizations, "ChromeBrowser", &device))
    }

    /// The upgrade request of user `index`.
    pub fn request(&self, index: usize, host: SocketAddr) -> Result<String> {
        Ok(request(&self.token(index)?, host))
    }
}

/// The id of user `index`.
pub fn user(index: usize) -> Uuid {
    uuid(1, index as u64)
}

/// The upgrade request with a token in the query, as browsers send it.
pub fn request(token: &str, host: SocketAddr) -> String {
    http::upgrade_request(&format!("/hub?access_token={token}"), &host.to_string(), "")
}

/// The organisations of a user: distinct, spread evenly.
fn organizations(index: u64) -> Vec<Uuid> {
    let mut numbers = Vec::with_capacity(MEMBERSHIPS);
    let mut seed = index;
    while numbers.len() < MEMBERSHIPS {
        seed = mix(seed.wrapping_add(0x51));
        let number = seed % ORGANIZATIONS;
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    numbers.into_iter().map(|number| uuid(3, number)).collect()
}

/// A random-looking id that is the same in every run.
pub fn uuid(kind: u64, number: u64) -> Uuid {
    let high = mix(kind << 32 | number);
    let bits = u128::from(high) << 64 | u128::from(mix(high));
    uuid::Builder::from_u128(bits).with_version(uuid::Version::Random).into_uuid()
}

/// The finalizer of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn population_users_are_distinct_with_three_of_900_organizations() {
        let users: HashSet<Uuid> = (0..9_000).map(|index| uuid(1, index)).collect();
        assert_eq!(users.len(), 9_000);
        let all: HashSet<Uuid> = (0..9_000).flat_map(organizations).collect();
        assert_eq!(all.len(), ORGANIZATIONS as usize);
        for index in 0..9_000 {
            let own: HashSet<Uuid> = organizations(index).into_iter().collect();
            assert_eq!(own.len(), MEMBERSHIPS);
        }
    }
}
