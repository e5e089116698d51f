//! Timeouts and errors of connections to Redis. Errors contain no password, because they only quote the library and Redis.

use std::io;
use std::time::Duration;

use redis::RedisError;
use tokio::time::error::Elapsed;

/// The timeout of a request to Redis.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeouts of asking one of several servers for the master. All servers are asked with the short timeout first.
pub(super) const MASTER_QUERY_TIMEOUTS: [Duration; 2] = [Duration::from_millis(300), REQUEST_TIMEOUT];

/// The reason why a connection to Redis failed.
#[derive(Debug, thiserror::Error)]
pub enum RedisLinkError {
    /// An error of Redis or of the network.
    #[error("{0}")]
    Redis(#[from] RedisError),
    /// The file with the certificate authority cannot be loaded.
    #[error("backplane.redis.ca_file: {0}")]
    CaFile(io::Error),
    /// A request timed out.
    #[error("no answer in time")]
    Timeout(#[from] Elapsed),
    /// No Sentinel knows the master.
    #[error("no Sentinel knows a master of {service}: {answers}")]
    MasterUnknown {
        /// The service.
        service: String,
        /// The answer or the error of each Sentinel.
        answers: String,
    },
    /// None of several servers is the master. Has the answer or the error of each server.
    #[error("none of the servers is a master: {0}")]
    NoMasterFound(String),
    /// The server is not a master, although other servers or Sentinels say so.
    #[error("the server is not a master")]
    NotMaster,
    /// Another server has become the master.
    #[error("another server is the master now")]
    MasterChanged,
    /// Redis closed the connection.
    #[error("the connection was closed")]
    Closed,
}
