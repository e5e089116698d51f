//! The address of a Redis server.

/// The host and port of a server.
pub(super) type RedisAddr = (String, u16);

/// A server that connections are opened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedisServer {
    /// Its address.
    pub(super) address: RedisAddr,
    /// `true` for a node of a Redis Cluster.
    pub(super) is_cluster_node: bool,
}
