//! How long Redis is waited for, and why a connection to it is over. Nothing here tells the password: errors are the
//! library's and Redis' own words.

use std::io;
use std::time::Duration;

use redis::RedisError;
use tokio::time::error::Elapsed;

/// How long Redis may take for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Why a connection is not there, or not any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// Redis, or the way to it.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// The file of the certificate authority.
    #[error("backplane.redis.ca_file: {0}")]
    CaFile(io::Error),
    /// It says nothing.
    #[error("no answer in time")]
    Silent(#[from] Elapsed),
    /// No Sentinel knows where the master is.
    #[error("no Sentinel knows a master of {service}: {said}")]
    Nowhere {
        /// The service.
        service: String,
        /// What each of them said.
        said: String,
    },
    /// The Sentinels named one that is something else.
    #[error("the server that the Sentinels name is no master")]
    NoMaster,
    /// The Sentinels name another.
    #[error("the Sentinels name another master")]
    Moved,
    /// It ended.
    #[error("the connection ended")]
    Ended,
}
