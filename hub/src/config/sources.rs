//! Puts the layers of a configuration together and remembers where each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use toml::{Table, Value};

use super::{Setting, bitwarden_env};

/// What a configuration is made of, from the weakest to the strongest; defaults stand in the code.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layers<'a> {
    /// The file's name and text.
    pub file: Option<(&'a str, &'a str)>,
    /// The environment: names starting with `NOTIFICATION_HUB__` count, and those that Bitwarden's services know.
    pub environment: &'a [(String, String)],
    /// Flags by the key that each sets.
    pub flags: &'a [(&'static str, String)],
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file.
    File(String),
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => formatter.write_str("default"),
            Origin::File(name) | Origin::Environment(name) => formatter.write_str(name),
            Origin::Flag(key) => {
                let (section, name) = key.split_once('.').unwrap_or(("", key));
                match (section, name) {
                    ("listen", "public") => formatter.write_str("--listen"),
                    ("listen", name) => write!(formatter, "--{name}-listen"),
                    _ => write!(formatter, "--{}", key.replace(['.', '_'], "-")),
                }
            }
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct ConfigError {
    place: String,
    reason: String,
}

/// Everything that is wrong with a configuration: at least one thing.
#[derive(Debug, Clone, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            if place > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

/// A setting in force.
#[derive(Debug, Clone)]
pub struct EffectiveSetting {
    /// Its key.
    pub key: &'static str,
    /// Its value as one would write it.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Layers that are being read.
pub(super) struct ConfigReader {
    given: BTreeMap<String, (Value, Origin)>,
    problems: Vec<ConfigError>,
    shown: Vec<EffectiveSetting>,
    warnings: Vec<String>,
}

const PREFIX: &str = "NOTIFICATION_HUB__";

impl Layers<'_> {
    pub(super) fn open(self) -> ConfigReader {
        let (translated, warnings) = bitwarden_env::translate(self.environment);
        let mut open = ConfigReader { given: BTreeMap::new(), problems: Vec::new(), shown: Vec::new(), warnings };
        if let Some((name, text)) = self.file {
            match text.parse::<Table>() {
                Ok(table) => flatten("", table, &Origin::File(name.to_owned()), &mut open.given),
                Err(error) => {
                    // Where it is and what is wrong, but not what stands there: it may be a secret.
                    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                    let line = before.matches('\n').count() + 1;
                    let reason = error.message().trim().replace('\n', "; ");
                    open.problems.push(ConfigError { place: format!("{name}, line {line}"), reason });
                }
            }
        }
        for bitwarden_env::MappedSetting { key, value, name } in translated {
            open.given.insert(key.to_owned(), (Value::String(value), Origin::Environment(name)));
        }
        for (name, value) in self.environment {
            let upper = name.to_ascii_uppercase();
            if let Some(path) = upper.strip_prefix(PREFIX) {
                let key = path.to_ascii_lowercase().replace("__", ".");
                open.given.insert(key, (Value::String(value.clone()), Origin::Environment(name.clone())));
            }
        }
        for (key, value) in self.flags {
            open.given.insert((*key).to_owned(), (Value::String(value.clone()), Origin::Flag(key)));
        }
        open
    }
}

fn flatten(path: &str, table: Table, origin: &Origin, given: &mut BTreeMap<String, (Value, Origin)>) {
    for (name, value) in table {
        let key = if path.is_empty() { name } else { format!("{path}.{name}") };
        match value {
            Value::Table(table) => flatten(&key, table, origin, given),
            value => _ = given.insert(key, (value, origin.clone())),
        }
    }
}

impl ConfigReader {
    /// The value of a key, or its default; a value that can't be read is a problem.
    pub(super) fn get<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        let (value, origin) = match self.given.remove(key) {
            None => (default, Origin::Default),
            Some((given, origin)) => match T::read(&given) {
                Ok(value) => (value, origin),
                Err(needs) => {
                    let given = match given.to_string() {
                        // An address with a password in it, a key, several lines.
                        text if T::SECRET
                            || ["@", "-----BEGIN", "\\n", "\n"].iter().any(|part| text.contains(part)) =>
                        {
                            "***".to_owned()
                        }
                        _ if given.is_str() => format!("{:?}", given.as_str().unwrap_or_default()),
                        text => text,
                    };
                    let place = format!("{key} ({origin})");
                    self.problems.push(ConfigError { place, reason: format!("has to be {needs}, not {given}") });
                    (default, origin)
                }
            },
        };
        self.shown.push(EffectiveSetting { key, value: value.show(), origin });
        value
    }

    /// A duration that must not be zero.
    pub(super) fn positive(&mut self, key: &'static str, default: Duration) -> Duration {
        let value = self.get(key, default);
        self.check(key, !value.is_zero(), "has to be above 0");
        value
    }

    /// Notes a problem with a key that was read before, unless `holds`.
    pub(super) fn check(&mut self, key: &'static str, holds: bool, reason: &str) {
        if let (false, Some(shown)) = (holds, self.shown.iter().find(|shown| shown.key == key)) {
            let place = format!("{key} ({})", shown.origin);
            self.problems.push(ConfigError { place, reason: reason.to_owned() });
        }
    }

    /// What was read, with the warnings; keys that nobody asked for are a problem in a file, a warning elsewhere.
    pub(super) fn close(mut self) -> Result<(Vec<EffectiveSetting>, Vec<String>), ConfigErrors> {
        let mut warnings = self.warnings;
        for (key, (_, origin)) in self.given {
            let reason = "there is no such setting";
            match origin {
                Origin::File(name) => {
                    self.problems.push(ConfigError { place: format!("{key} ({name})"), reason: reason.to_owned() });
                }
                origin => warnings.push(format!("{origin}: {reason}")),
            }
        }
        if self.problems.is_empty() { Ok((self.shown, warnings)) } else { Err(ConfigErrors(self.problems)) }
    }
}
