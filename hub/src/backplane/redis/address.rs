//! The address of a Redis server.

/// The host and port of a server.
pub(super) type RedisAddr = (String, u16);
