//! How the value of a setting is parsed and displayed, and the general types of values. No I/O.

use std::path::PathBuf;
use std::time::Duration;

use toml::Value;
use uuid::Uuid;

use crate::net::ip_network::IpNetwork;
use crate::secret::Secret;

/// The type of a setting's value.
pub trait Setting: Sized {
    /// Whether errors must not quote the value.
    const SECRET: bool = false;
    /// Parses a value.
    ///
    /// # Errors
    /// The accepted values, as a noun phrase.
    fn from_toml(value: &Value) -> Result<Self, &'static str>;
    /// Returns the value in the form that [`Setting::from_toml`] parses, or `***` for a secret.
    fn display_value(&self) -> String;
}

impl Setting for String {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        value.as_str().map(str::to_owned).ok_or("text")
    }

    fn display_value(&self) -> String {
        self.clone()
    }
}

impl<T: Setting> Setting for Option<T> {
    const SECRET: bool = T::SECRET;

    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        if value.as_str().is_some_and(|text| text.trim().is_empty()) { Ok(None) } else { T::from_toml(value).map(Some) }
    }

    fn display_value(&self) -> String {
        self.as_ref().map_or_else(String::new, T::display_value)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        match value {
            Value::Array(items) => items.iter().map(T::from_toml).collect(),
            Value::String(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                items.map(|item| T::from_toml(&Value::String(item.to_owned()))).collect()
            }
            _ => Err("a list"),
        }
    }

    fn display_value(&self) -> String {
        self.iter().map(T::display_value).collect::<Vec<_>>().join(", ")
    }
}

impl Setting for PathBuf {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        // Rejects a key that was set instead of its path.
        let is_content = |text: &str| text.contains('\n') || text.contains("-----BEGIN");
        value.as_str().filter(|text| !text.is_empty() && !is_content(text)).map(PathBuf::from).ok_or("a path")
    }

    fn display_value(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for Uuid {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        value.as_str().and_then(|text| Uuid::try_parse(text.trim()).ok()).ok_or("a UUID")
    }

    fn display_value(&self) -> String {
        self.to_string()
    }
}

impl Setting for usize {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let number = match value {
            Value::Integer(number) => usize::try_from(*number).ok(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or("a whole number, 0 or above")
    }

    fn display_value(&self) -> String {
        self.to_string()
    }
}

impl Setting for Secret {
    const SECRET: bool = true;

    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        value.as_str().map(Secret::from).ok_or("text")
    }

    fn display_value(&self) -> String {
        "***".to_owned()
    }
}

impl Setting for IpNetwork {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let network = value.as_str().and_then(|text| text.trim().parse().ok());
        network.ok_or("an address or a network like 10.0.0.0/8")
    }

    fn display_value(&self) -> String {
        self.to_string()
    }
}

impl Setting for bool {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let flag = match value {
            Value::Boolean(flag) => Some(*flag),
            Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
            _ => None,
        };
        flag.ok_or("true or false")
    }

    fn display_value(&self) -> String {
        self.to_string()
    }
}

impl Setting for Duration {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str().map(str::trim);
        text.and_then(parse_duration).ok_or("a duration like 15s, 2m, 1h30m or 250ms")
    }

    fn display_value(&self) -> String {
        let milliseconds = self.as_millis();
        if milliseconds.is_multiple_of(1000) {
            format!("{}s", milliseconds / 1000)
        } else {
            format!("{milliseconds}ms")
        }
    }
}

/// Parses a duration such as `1h30m`. Returns `None` if it is malformed or exceeds 64 bits of milliseconds.
fn parse_duration(mut text: &str) -> Option<Duration> {
    let mut milliseconds = (!text.is_empty()).then_some(0u64)?;
    while !text.is_empty() {
        let digits = text.find(|character: char| !character.is_ascii_digit())?;
        let number: u64 = text[..digits].parse().ok()?;
        let rest = &text[digits..];
        let end = rest.find(|character: char| character.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            _ => return None,
        };
        milliseconds = milliseconds.checked_add(number.checked_mul(unit)?)?;
        text = &rest[end..];
    }
    Some(Duration::from_millis(milliseconds))
}
