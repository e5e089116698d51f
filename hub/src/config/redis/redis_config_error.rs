//! Why an address of Redis is invalid.

/// Why the address of Redis, or a setting that belongs to it, is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedisConfigError {
    /// The URL is malformed or has another scheme.
    #[error(
        "must be redis://HOST, rediss://HOST or redis+sentinel://HOST,HOST/SERVICE; login, port and database are optional"
    )]
    InvalidUrl,
    /// The URL of Sentinels is malformed.
    #[error(
        "must be redis+sentinel://HOST,HOST/SERVICE, or rediss+sentinel:// with TLS; login, ports and /DATABASE are optional"
    )]
    InvalidSentinelUrl,
    /// The database in the URL is not a number.
    #[error("the database must be a whole number")]
    InvalidDatabase,
    /// A part of the URL has a malformed percent escape, or its bytes are not UTF-8.
    #[error("malformed percent escape; escape special characters as UTF-8")]
    InvalidEscape,
    /// There is no host.
    #[error("no host; add HOST or HOST:PORT")]
    NoHost,
    /// A part of the connection string, counted from 1, is neither an address nor an option.
    #[error("part {0} must be HOST:PORT or NAME=VALUE")]
    InvalidPart(usize),
    /// A part of the connection string, counted from 1, has an option that StackExchange.Redis does not know either.
    #[error("part {0} is not an option of StackExchange.Redis; remove it")]
    UnknownOption(usize),
    /// An option occurs twice.
    #[error("{0} occurs twice; remove one")]
    Duplicate(&'static str),
    /// The value of an option has the wrong type.
    #[error("{name} must be {needs}")]
    InvalidValue {
        /// The option.
        name: &'static str,
        /// The values that it accepts.
        needs: &'static str,
    },
    /// An option that the hub does not support.
    #[error("{0} is not supported; remove it")]
    Unsupported(&'static str),
    /// A login is set both in the address and in a setting.
    #[error("already set in backplane.redis.url; remove one")]
    Conflict,
    /// A certificate authority is set for a connection without TLS.
    #[error("needs TLS; use rediss:// or ssl=true in backplane.redis.url")]
    CaFileWithoutTls,
}
