//! The keys that verify tokens: from files, which are read again when they change, or from an identity server.

pub mod discovery_client;
pub mod jwk_set;
pub mod jwks_client;
pub mod key;
pub mod key_files;
pub mod key_watch;
