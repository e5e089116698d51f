//! Settings that nobody may read in a log, an error or `check-config`.

use std::fmt;

use toml::Value;

use super::Setting;

/// A text that prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for whom it is meant.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Secret(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl Setting for Secret {
    const SECRET: bool = true;

    fn read(value: &Value) -> Result<Self, &'static str> {
        value.as_str().map(Secret::from).ok_or("a text")
    }

    fn show(&self) -> String {
        "***".to_owned()
    }
}
