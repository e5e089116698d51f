//! Kinds of client, and which kind a device is (`bitwarden.md` 2.3).

use serde_json::Value;

/// A kind of client that a push can be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum ClientType {
    /// No kind in particular: every client.
    #[default]
    All = 0,
    /// The web vault.
    Web = 1,
    /// A browser extension.
    Browser = 2,
    /// A desktop application.
    Desktop = 3,
    /// A mobile application.
    Mobile = 4,
    /// The command line.
    Cli = 5,
}

use ClientType::{All, Browser, Cli, Desktop, Mobile, Web};

/// Devices by number: the name in the token's `devicetype`, and the kind of client.
const DEVICES: [(&str, ClientType); 27] = [
    ("Android", Mobile),
    ("iOS", Mobile),
    ("ChromeExtension", Browser),
    ("FirefoxExtension", Browser),
    ("OperaExtension", Browser),
    ("EdgeExtension", Browser),
    ("WindowsDesktop", Desktop),
    ("MacOsDesktop", Desktop),
    ("LinuxDesktop", Desktop),
    ("ChromeBrowser", Web),
    ("FirefoxBrowser", Web),
    ("OperaBrowser", Web),
    ("EdgeBrowser", Web),
    ("IEBrowser", Web),
    ("UnknownBrowser", Web),
    ("AndroidAmazon", Mobile),
    ("UWP", Desktop),
    ("SafariBrowser", Web),
    ("VivaldiBrowser", Web),
    ("VivaldiExtension", Browser),
    ("SafariExtension", Browser),
    ("SDK", All),
    ("Server", All),
    ("WindowsCLI", Cli),
    ("MacOsCLI", Cli),
    ("LinuxCLI", Cli),
    ("DuckDuckGoBrowser", Web),
];

impl ClientType {
    /// Every kind, by number.
    pub const VARIANTS: [ClientType; 6] = [All, Web, Browser, Desktop, Mobile, Cli];

    /// The kind with this number.
    pub fn from_number(number: u64) -> Option<ClientType> {
        ClientType::VARIANTS.get(usize::try_from(number).ok()?).copied()
    }

    /// The kind of a device that a `devicetype` claim names, by name (case matters) or number.
    pub fn of_device(claim: &Value) -> ClientType {
        let number = match claim {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => match DEVICES.iter().find(|(name, _)| name == text) {
                Some((_, client_type)) => return *client_type,
                None => text.trim().parse().ok(),
            },
            _ => None,
        };
        let device = number.and_then(|number| DEVICES.get(usize::try_from(number).ok()?));
        device.map_or(All, |(_, client_type)| *client_type)
    }

    /// The name, as it stands in group names.
    pub fn name(self) -> &'static str {
        match self {
            All => "All",
            Web => "Web",
            Browser => "Browser",
            Desktop => "Desktop",
            Mobile => "Mobile",
            Cli => "Cli",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn client_type_of_device_accepts_name_or_number() {
        assert_eq!(ClientType::of_device(&json!("ChromeExtension")), Browser);
        assert_eq!(ClientType::of_device(&json!("chromeextension")), All);
        assert_eq!(ClientType::of_device(&json!("9")), Web);
        assert_eq!(ClientType::of_device(&json!(25)), Cli);
        assert_eq!(ClientType::of_device(&json!(27)), All);
        assert_eq!(ClientType::of_device(&json!(-1)), All);
        assert_eq!(ClientType::of_device(&Value::Null), All);
    }
}
