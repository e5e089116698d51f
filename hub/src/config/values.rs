//! The types of values that only settings have: sizes, addresses, levels. No I/O.

use toml::Value;

use super::setting::Setting;

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

/// The hosts that mean all addresses, IPv6 and IPv4, as in Kestrel's URLs.
const WILDCARD_HOSTS: [&str; 2] = ["*", "+"];

impl Setting for Address {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str().map(str::trim);
        let parts = text.and_then(|text| text.rsplit_once(':'));
        if text.is_some_and(|text| text.starts_with("https:")) {
            return Err("HOST:PORT without https, because the ingress terminates TLS");
        }
        let is_valid =
            parts.is_some_and(|(host, port)| !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok());
        let (host, port) = parts.filter(|_| is_valid).ok_or("HOST:PORT")?;
        Ok(Address(format!("{}:{port}", if WILDCARD_HOSTS.contains(&host) { "[::]" } else { host })))
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
