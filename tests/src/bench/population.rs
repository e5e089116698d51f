//! The users that connect: one for each connection, with a device, a token and three of 900 organizations. The users are the same
//! in each run. Users that one push must reach share a further organization.

use std::net::SocketAddr;

use anyhow::Result;
use uuid::Uuid;

use super::push::Audience;
use crate::http;
use crate::token::{self, Signer};

/// The number of organizations.
const ORGANIZATIONS: u64 = 900;

/// The number of organizations of a user.
const MEMBERSHIPS: usize = 3;

/// The users of one measurement.
pub struct Population {
    signer: Signer,
    /// The audiences that share a further organization.
    shared: Vec<Audience>,
}

impl Population {
    /// Creates users with tokens of a signer.
    pub fn new(signer: Signer) -> Self {
        Self { signer, shared: Vec::new() }
    }

    /// Adds an organization that the users in an audience share.
    pub fn with_shared_organization(mut self, audience: Audience) -> Self {
        self.shared.push(audience);
        self
    }

    /// Returns the token of a user by its number.
    pub fn token(&self, index: usize) -> Result<String> {
        let mut organizations = organizations(index as u64);
        let shared = self.shared.iter().filter(|audience| audience.contains(index));
        organizations.extend(shared.filter_map(|audience| audience.organization()));
        let organizations: Vec<String> = organizations.iter().map(Uuid::to_string).collect();
        let device = uuid(2, index as u64).to_string();
        self.signer.sign(&token::user(&user_id(index).to_string(), &organizations, "ChromeBrowser", &device))
    }

    /// Returns the upgrade request of a user by its number.
    pub fn upgrade_request(&self, index: usize, host: SocketAddr) -> Result<String> {
        Ok(upgrade_request(&self.token(index)?, host))
    }
}

/// Returns the id of a user by its number.
pub fn user_id(index: usize) -> Uuid {
    uuid(1, index as u64)
}

/// Returns an upgrade request with the token in the query, as browsers send it.
pub fn upgrade_request(token: &str, host: SocketAddr) -> String {
    http::upgrade_request(&format!("/hub?access_token={token}"), &host.to_string(), "")
}

/// Returns the distinct, evenly distributed organizations of a user.
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

/// Returns a pseudorandom id that is the same in each run.
pub fn uuid(kind: u64, number: u64) -> Uuid {
    let high = mix(kind << 32 | number);
    let bits = u128::from(high) << 64 | u128::from(mix(high));
    uuid::Builder::from_u128(bits).with_version(uuid::Version::Random).into_uuid()
}

/// Applies the finalizer of SplitMix64.
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
