//! Kinds of settings: how each is read and shown.

use std::path::PathBuf;
use std::time::Duration;

use toml::Value;
use uuid::Uuid;

use crate::net::ip_network::IpNetwork;
use crate::secret::Secret;

/// A kind of value that a setting can have.
pub trait Setting: Sized {
    /// Whether the value must never be printed.
    const SECRET: bool = false;
    /// Reads a value; the error says what it has to be.
    fn read(value: &Value) -> Result<Self, &'static str>;
    /// The value as one would write it.
    fn show(&self) -> String;
}

impl Setting for String {
    fn read(value: &Value) -> Result<Self, &'static str> {
        value.as_str().map(str::to_owned).ok_or("a text")
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl<T: Setting> Setting for Option<T> {
    const SECRET: bool = T::SECRET;

    fn read(value: &Value) -> Result<Self, &'static str> {
        if value.as_str().is_some_and(|text| text.trim().is_empty()) { Ok(None) } else { T::read(value).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn read(value: &Value) -> Result<Self, &'static str> {
        match value {
            Value::Array(items) => items.iter().map(T::read).collect(),
            Value::String(text) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                items.map(|item| T::read(&Value::String(item.to_owned()))).collect()
            }
            _ => Err("a list"),
        }
    }

    fn show(&self) -> String {
        self.iter().map(T::show).collect::<Vec<_>>().join(", ")
    }
}

impl Setting for PathBuf {
    fn read(value: &Value) -> Result<Self, &'static str> {
        // A key itself in the place of its path.
        let is_content = |text: &str| text.contains('\n') || text.contains("-----BEGIN");
        value.as_str().filter(|text| !text.is_empty() && !is_content(text)).map(PathBuf::from).ok_or("a path")
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for Uuid {
    fn read(value: &Value) -> Result<Self, &'static str> {
        value.as_str().and_then(|text| Uuid::try_parse(text.trim()).ok()).ok_or("a UUID")
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for usize {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let number = match value {
            Value::Integer(number) => usize::try_from(*number).ok(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or("a whole number, 0 or above")
    }

    fn show(&self) -> String {
        self.to_string()
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

impl Setting for IpNetwork {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let network = value.as_str().and_then(|text| text.trim().parse().ok());
        network.ok_or("addresses or networks like 10.0.0.0/8")
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let flag = match value {
            Value::Boolean(flag) => Some(*flag),
            Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
            _ => None,
        };
        flag.ok_or("true or false")
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Duration {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str().map(str::trim);
        text.and_then(duration).ok_or("a duration like 15s, 2m, 1h30m or 250ms")
    }

    fn show(&self) -> String {
        let milliseconds = self.as_millis();
        if milliseconds.is_multiple_of(1000) {
            format!("{}s", milliseconds / 1000)
        } else {
            format!("{milliseconds}ms")
        }
    }
}

fn duration(mut text: &str) -> Option<Duration> {
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
    fn read(value: &Value) -> Result<Self, &'static str> {
        let size = match value {
            Value::Integer(number) => usize::try_from(*number).ok(),
            Value::String(text) => bytes(text.trim()),
            _ => None,
        };
        size.map(Bytes).ok_or("a size like 512, 32KiB or 1MiB")
    }

    fn show(&self) -> String {
        match self.0 {
            size if size > 0 && size % (1 << 20) == 0 => format!("{}MiB", size >> 20),
            size if size > 0 && size % (1 << 10) == 0 => format!("{}KiB", size >> 10),
            size => size.to_string(),
        }
    }
}

fn bytes(text: &str) -> Option<usize> {
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

/// The length of an IPv6 network's prefix, in bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix(pub u8);

impl Setting for Prefix {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let bits = usize::read(value).ok().and_then(|bits| u8::try_from(bits).ok());
        bits.filter(|bits| (1..=128).contains(bits)).map(Prefix).ok_or("a whole number from 1 to 128")
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Setting for LogFormat {
    fn read(value: &Value) -> Result<Self, &'static str> {
        match value.as_str() {
            Some("auto") => Ok(LogFormat::Auto),
            Some("json") => Ok(LogFormat::Json),
            Some("text") => Ok(LogFormat::Text),
            _ => Err("auto, json or text"),
        }
    }

    fn show(&self) -> String {
        match self {
            LogFormat::Auto => "auto",
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        }
        .to_owned()
    }
}

/// `HOST:PORT`.
#[derive(Debug, Clone)]
pub(super) struct Address(pub String);

impl Setting for Address {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str().map(str::trim);
        let parts = text.and_then(|text| text.rsplit_once(':'));
        if text.is_some_and(|text| text.starts_with("https:")) {
            return Err("HOST:PORT without TLS, which is the ingress's");
        }
        let fits =
            parts.is_some_and(|(host, port)| !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok());
        text.filter(|_| fits).map(|text| Address(text.to_owned())).ok_or("HOST:PORT")
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// `http://…` or `https://…`, without a query.
#[derive(Debug, Clone)]
pub(super) struct Url(pub String);

impl Setting for Url {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str().map(str::trim);
        let rest = text.and_then(|text| text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")));
        let fits =
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '@']));
        text.filter(|_| fits)
            .map(|text| Url(text.to_owned()))
            .ok_or("a URL: http://HOST or https://HOST, with a path or without")
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// A log level or a list of directives.
#[derive(Debug, Clone)]
pub(super) struct Level(pub String);

impl Setting for Level {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
        let fits = text.is_some_and(|text| text.parse::<tracing_subscriber::filter::targets::Targets>().is_ok());
        text.filter(|_| fits).map(|text| Level(text.to_owned())).ok_or("error, warn, info, debug, trace or off")
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}
