//! The client types, and the client type of each device type (`bitwarden.md` 2.3). No I/O.

use serde_json::Value;

/// A client type that a push can be restricted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum ClientType {
    /// All clients.
    #[default]
    All = 0,
    /// The web vault.
    Web = 1,
    /// The browser extension.
    Browser = 2,
    /// The desktop application.
    Desktop = 3,
    /// The mobile application.
    Mobile = 4,
    /// The command-line client.
    Cli = 5,
}

use ClientType::{All, Browser, Cli, Desktop, Mobile, Web};

/// The device types by number: the name in the claim `devicetype`, and the client type.
const DEVICE_TYPES: [(&str, ClientType); 27] = [
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
    /// All client types, by number.
    pub const VARIANTS: [ClientType; 6] = [All, Web, Browser, Desktop, Mobile, Cli];

    /// Returns the client type with this number, or `None` if there is none.
    pub fn from_number(number: u64) -> Option<ClientType> {
        ClientType::VARIANTS.get(usize::try_from(number).ok()?).copied()
    }

    /// Returns the client type of the device in a `devicetype` claim, which is a case-sensitive name or a number. Returns
    /// [`ClientType::All`] for an unknown device.
    pub fn from_device_claim(claim: &Value) -> ClientType {
        let number = match claim {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => match DEVICE_TYPES.iter().find(|(name, _)| name == text) {
                Some((_, client_type)) => return *client_type,
                None => text.trim().parse().ok(),
            },
            _ => None,
        };
        let device = number.and_then(|number| DEVICE_TYPES.get(usize::try_from(number).ok()?));
        device.map_or(All, |(_, client_type)| *client_type)
    }

    /// Returns the name, as it appears in group names.
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
    fn client_type_from_device_claim_accepts_name_or_number() {
        assert_eq!(ClientType::from_device_claim(&json!("ChromeExtension")), Browser);
        assert_eq!(ClientType::from_device_claim(&json!("chromeextension")), All);
        assert_eq!(ClientType::from_device_claim(&json!("9")), Web);
        assert_eq!(ClientType::from_device_claim(&json!(25)), Cli);
        assert_eq!(ClientType::from_device_claim(&json!(27)), All);
        assert_eq!(ClientType::from_device_claim(&json!(-1)), All);
        assert_eq!(ClientType::from_device_claim(&Value::Null), All);
    }
}
