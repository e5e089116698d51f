//! What several modules need of the network and of the system: addresses, retries, trusted certificates, watched files.

pub mod backoff;
pub mod byte_set;
pub mod file_watch;
pub mod ip_network;
pub mod trusted_roots;
