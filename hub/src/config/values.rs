//! Types of settings: how each is parsed and displayed. No I/O.

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

/// A size in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes(pub usize);

impl Setting for Bytes {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let size = match value {
            Value::Integer(number) => usize::try_from(*number).ok(),
            Value::String(text) => parse_size(text.trim()),
            _ => None,
        };
        size.map(Bytes).ok_or("a size like 512, 32KiB or 1MiB")
    }

    fn display_value(&self) -> String {
        match self.0 {
            size if size > 0 && size % (1 << 20) == 0 => format!("{}MiB", size >> 20),
            size if size > 0 && size % (1 << 10) == 0 => format!("{}KiB", size >> 10),
            size => size.to_string(),
        }
    }
}

/// Parses a number of bytes such as `32KiB`. Returns `None` if it is malformed or too large.
fn parse_size(text: &str) -> Option<usize> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// The prefix length of an IPv6 network, in bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix(pub u8);

impl Setting for Prefix {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let bits = usize::from_toml(value).ok().and_then(|bits| u8::try_from(bits).ok());
        bits.filter(|bits| (1..=128).contains(bits)).map(Prefix).ok_or("a whole number from 1 to 128")
    }

    fn display_value(&self) -> String {
        self.0.to_string()
    }
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object for each line.
    Json,
    /// Readable text.
    Text,
}

impl Setting for LogFormat {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        match value.as_str() {
            Some("auto") => Ok(LogFormat::Auto),
            Some("json") => Ok(LogFormat::Json),
            Some("text") => Ok(LogFormat::Text),
            _ => Err("auto, json or text"),
        }
    }

    fn display_value(&self) -> String {
        match self {
            LogFormat::Auto => "auto",
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        }
        .to_owned()
    }
}

/// An address as `HOST:PORT`.
#[derive(Debug, Clone)]
pub(super) struct Address(pub String);

impl Setting for Address {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str().map(str::trim);
        let parts = text.and_then(|text| text.rsplit_once(':'));
        if text.is_some_and(|text| text.starts_with("https:")) {
            return Err("HOST:PORT without https, because the ingress terminates TLS");
        }
        let is_valid =
            parts.is_some_and(|(host, port)| !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok());
        text.filter(|_| is_valid).map(|text| Address(text.to_owned())).ok_or("HOST:PORT")
    }

    fn display_value(&self) -> String {
        self.0.clone()
    }
}

/// An `http` or `https` URL without a login, query or fragment.
#[derive(Debug, Clone)]
pub(super) struct Url(pub String);

impl Setting for Url {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str().map(str::trim);
        let rest = text.and_then(|text| text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")));
        let is_valid =
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '@']));
        text.filter(|_| is_valid)
            .map(|text| Url(text.to_owned()))
            .ok_or("http://HOST or https://HOST; a path is optional")
    }

    fn display_value(&self) -> String {
        self.0.clone()
    }
}

/// A log level, or directives like `info,notification_hub=debug`.
#[derive(Debug, Clone)]
pub(super) struct Level(pub String);

impl Setting for Level {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
        let is_valid = text.is_some_and(|text| text.parse::<tracing_subscriber::filter::targets::Targets>().is_ok());
        text.filter(|_| is_valid).map(|text| Level(text.to_owned())).ok_or("error, warn, info, debug, trace or off")
    }

    fn display_value(&self) -> String {
        self.0.clone()
    }
}
