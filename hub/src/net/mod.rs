//! Network and file utilities that several modules share: addresses, backoff, trusted certificates, watched files.

pub mod backoff;
pub mod byte_set;
pub mod file_watch;
pub mod ip_network;
pub mod trusted_roots;
