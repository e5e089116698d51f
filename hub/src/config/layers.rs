//! Merges the layers of a configuration and records the origin of each value. No I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use toml::{Table, Value};

use super::{Setting, bitwarden_env};

/// The layers of a configuration. A later field overrides an earlier one, and each overrides the defaults in the code.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layers<'a> {
    /// The file's name and text.
    pub file: Option<(&'a str, &'a str)>,
    /// The environment. Variables count if they start with `NOTIFICATION_HUB__` or have a name of Bitwarden's services.
    pub environment: &'a [(String, String)],
    /// Values of flags, with the key that each flag sets.
    pub flags: &'a [(&'static str, String)],
}

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No layer set it.
    Default,
    /// A file, by its name.
    File(String),
    /// A variable of the environment, by its name.
    Environment(String),
    /// A flag, by the key that it sets.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => formatter.write_str("default"),
            Origin::File(name) | Origin::Environment(name) => formatter.write_str(name),
            Origin::Flag(key) => write!(formatter, "--{}", key.replace(['.', '_'], "-")),
        }
    }
}

/// A problem and its location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {reason}")]
pub struct ConfigError {
    location: String,
    reason: String,
}

/// All problems of a configuration, at least one.
#[derive(Debug, Clone, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Returns the problems.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

/// A setting, its value and the origin of the value.
#[derive(Debug, Clone)]
pub struct EffectiveSetting {
    /// The key.
    pub key: &'static str,
    /// The value as it is written in a file, or `***` for a secret.
    pub value: String,
    /// The layer that set the value.
    pub origin: Origin,
}

/// Merged layers, from which the sections of a configuration read their keys.
pub(super) struct ConfigReader {
    /// The values that no section has read yet, by key.
    unread: BTreeMap<String, (Value, Origin)>,
    problems: Vec<ConfigError>,
    settings: Vec<EffectiveSetting>,
    warnings: Vec<String>,
}

/// The prefix of the hub's variables.
const PREFIX: &str = "NOTIFICATION_HUB__";

impl Layers<'_> {
    /// Merges the layers. A file that is not TOML is a problem, which the reader keeps.
    pub(super) fn into_reader(self) -> ConfigReader {
        let (mapped, warnings) = bitwarden_env::translate(self.environment);
        let mut reader = ConfigReader { unread: BTreeMap::new(), problems: Vec::new(), settings: Vec::new(), warnings };
        if let Some((name, text)) = self.file {
            match text.parse::<Table>() {
                Ok(table) => flatten("", table, &Origin::File(name.to_owned()), &mut reader.unread),
                Err(error) => {
                    // The line and the cause, but not the text of the line: it may hold a secret.
                    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                    let line = before.matches('\n').count() + 1;
                    let reason = error.message().trim().replace('\n', "; ");
                    reader.problems.push(ConfigError { location: format!("{name}, line {line}"), reason });
                }
            }
        }
        for bitwarden_env::MappedSetting { key, value, name } in mapped {
            reader.unread.insert(key.to_owned(), (Value::String(value), Origin::Environment(name)));
        }
        for (name, value) in self.environment {
            let upper = name.to_ascii_uppercase();
            if let Some(path) = upper.strip_prefix(PREFIX) {
                let key = path.to_ascii_lowercase().replace("__", ".");
                reader.unread.insert(key, (Value::String(value.clone()), Origin::Environment(name.clone())));
            }
        }
        for (key, value) in self.flags {
            reader.unread.insert((*key).to_owned(), (Value::String(value.clone()), Origin::Flag(key)));
        }
        reader
    }
}

/// Adds the values of a table under keys with dots.
fn flatten(path: &str, table: Table, origin: &Origin, values: &mut BTreeMap<String, (Value, Origin)>) {
    for (name, value) in table {
        let key = if path.is_empty() { name } else { format!("{path}.{name}") };
        match value {
            Value::Table(table) => flatten(&key, table, origin, values),
            value => _ = values.insert(key, (value, origin.clone())),
        }
    }
}

impl ConfigReader {
    /// Reads a key. Returns the default if no layer sets the key. An invalid value is recorded as a problem, and the default is
    /// returned.
    pub(super) fn get<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        let (value, origin) = match self.unread.remove(key) {
            None => (default, Origin::Default),
            Some((raw, origin)) => match T::from_toml(&raw) {
                Ok(value) => (value, origin),
                Err(needs) => {
                    let quoted = match raw.to_string() {
                        // The value may hold a password or a key.
                        text if T::SECRET
                            || ["@", "-----BEGIN", "\\n", "\n"].iter().any(|part| text.contains(part)) =>
                        {
                            "***".to_owned()
                        }
                        _ if raw.is_str() => format!("{:?}", raw.as_str().unwrap_or_default()),
                        text => text,
                    };
                    let location = format!("{key} ({origin})");
                    self.problems
                        .push(ConfigError { location, reason: format!("invalid value {quoted}; use {needs}") });
                    (default, origin)
                }
            },
        };
        self.settings.push(EffectiveSetting { key, value: value.display_value(), origin });
        value
    }

    /// Reads a duration. Zero is recorded as a problem.
    pub(super) fn get_positive(&mut self, key: &'static str, default: Duration) -> Duration {
        let value = self.get(key, default);
        self.check(key, !value.is_zero(), "must be greater than 0");
        value
    }

    /// Records a problem with a key that was read before, unless `is_valid`.
    pub(super) fn check(&mut self, key: &'static str, is_valid: bool, reason: &str) {
        if let (false, Some(setting)) = (is_valid, self.settings.iter().find(|setting| setting.key == key)) {
            let location = format!("{key} ({})", setting.origin);
            self.problems.push(ConfigError { location, reason: reason.to_owned() });
        }
    }

    /// Returns the settings that were read, and the warnings. A key that was not read is unknown: a problem in a file, a warning
    /// elsewhere.
    ///
    /// # Errors
    /// All problems, if there are any.
    pub(super) fn finish(mut self) -> Result<(Vec<EffectiveSetting>, Vec<String>), ConfigErrors> {
        let mut warnings = self.warnings;
        for (key, (_, origin)) in self.unread {
            let reason = "unknown setting; check its name";
            match origin {
                Origin::File(name) => {
                    self.problems.push(ConfigError { location: format!("{key} ({name})"), reason: reason.to_owned() });
                }
                origin => warnings.push(format!("{origin}: {reason}")),
            }
        }
        if self.problems.is_empty() { Ok((self.settings, warnings)) } else { Err(ConfigErrors(self.problems)) }
    }
}
