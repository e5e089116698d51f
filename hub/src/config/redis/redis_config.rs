//! How Redis is reached: servers, login, TLS.

use std::path::PathBuf;
use std::time::Duration;

use super::redis_config_error::RedisConfigError;
use crate::secret::Secret;

/// The address, credentials and TLS settings of Redis: one server, several of which one is the master, or Sentinels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Hosts and ports, at least one: of Redis and its replicas, or of the Sentinels.
    pub servers: Vec<(String, u16)>,
    /// The name of the master at the Sentinels. `None` if `servers` are not Sentinels.
    pub service: Option<String>,
    /// Whether connections use TLS.
    pub tls: bool,
    /// The file of the certificate authority. `None` means the trusted roots of the process.
    pub ca_file: Option<PathBuf>,
    /// The user of the access control list. `None` means the default user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The database of stored keys. Channels do not depend on it.
    pub database: u32,
    /// The time limit of a connection attempt. `None` means the default of the backplane.
    pub connect_timeout: Option<Duration>,
}

impl RedisConfig {
    /// Adds a user name and a password that are set apart from the address.
    ///
    /// # Errors
    /// [`RedisConfigError::Conflict`] and the key of the setting, if the address has the same part.
    pub fn with_login(
        self,
        username: Option<String>,
        password: Option<Secret>,
    ) -> Result<RedisConfig, (&'static str, RedisConfigError)> {
        if username.is_some() && self.username.is_some() {
            return Err(("backplane.redis.username", RedisConfigError::Conflict));
        }
        if password.is_some() && self.password.is_some() {
            return Err(("backplane.redis.password", RedisConfigError::Conflict));
        }
        Ok(RedisConfig { username: username.or(self.username), password: password.or(self.password), ..self })
    }

    /// Adds the file of a certificate authority.
    ///
    /// # Errors
    /// [`RedisConfigError::CaFileWithoutTls`] if connections do not use TLS.
    pub fn with_ca_file(self, ca_file: Option<PathBuf>) -> Result<RedisConfig, RedisConfigError> {
        if ca_file.is_some() && !self.tls {
            Err(RedisConfigError::CaFileWithoutTls)
        } else {
            Ok(RedisConfig { ca_file, ..self })
        }
    }
}
