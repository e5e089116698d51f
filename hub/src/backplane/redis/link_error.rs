//! How long Redis is waited for, and why a connection to it is over. Nothing here tells the password: errors are the
//! library's and Redis' own words.

use std::io;
use std::time::Duration;

use redis::RedisError;
use tokio::time::error::Elapsed;

/// How long Redis may take to answer a request.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// How long each of several servers may take to tell the master. All are asked with the short timeout first.
pub(super) const MASTER_QUERY_TIMEOUTS: [Duration; 2] = [Duration::from_millis(300), REQUEST_TIMEOUT];

/// Why a connection to Redis failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RedisLinkError {
    /// Redis, or the way to it.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// The file of the certificate authority.
    #[error("backplane.redis.ca_file: {0}")]
    CaFile(io::Error),
    /// It says nothing.
    #[error("no answer in time")]
    Timeout(#[from] Elapsed),
    /// No Sentinel knows where the master is.
    #[error("no Sentinel knows a master of {service}: {said}")]
    MasterUnknown {
        /// The service.
        service: String,
        /// What each of them said.
        said: String,
    },
    /// None of several servers is the master.
    #[error("none of the servers is a master: {0}")]
    NoMasterFound(String),
    /// What was taken for the master is something else.
    #[error("the server that is taken for the master is none")]
    NotMaster,
    /// Another one is.
    #[error("another server is the master now")]
    MasterChanged,
    /// It ended.
    #[error("the connection ended")]
    Closed,
}
