//! Where pushes come from.

use toml::Value;
use uuid::Uuid;

use super::Setting;
use super::sources::ConfigReader;
use crate::azure_storage::{Account, QueueName};
use crate::secret::Secret;

/// Where pushes come from.
#[derive(Debug, Clone)]
pub enum SourceConfig {
    /// `POST /send` on the internal port.
    Direct,
    /// An Azure Storage queue.
    AzureQueue(AzureQueueConfig),
}

/// An Azure Storage queue as a source.
#[derive(Debug, Clone)]
pub struct AzureQueueConfig {
    /// In which account, and with what right.
    pub account: Account,
    /// The queue.
    pub queue: QueueName,
    /// Where messages go that can't be understood.
    pub poison_queue: QueueName,
    /// How many pushes are handed over at the same time; each user and organisation has one worker.
    pub workers: usize,
}

/// The values of `source.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceKind {
    Direct,
    AzureQueue,
}

impl Setting for SourceKind {
    fn read(value: &Value) -> Result<Self, &'static str> {
        match value.as_str() {
            Some("direct") => Ok(SourceKind::Direct),
            Some("azure_queue") => Ok(SourceKind::AzureQueue),
            _ => Err("direct or azure_queue"),
        }
    }

    fn show(&self) -> String {
        match self {
            SourceKind::Direct => "direct",
            SourceKind::AzureQueue => "azure_queue",
        }
        .to_owned()
    }
}

impl Setting for QueueName {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let name = value.as_str().and_then(|text| QueueName::new(text.trim()));
        name.ok_or("a queue's name: 3 to 63 lower-case letters, digits and single hyphens between them")
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

const CONNECTION_STRING: &str = "source.azure_queue.connection_string";
const ACCOUNT_URL: &str = "source.azure_queue.account_url";
const CLIENT_ID: &str = "source.azure_queue.client_id";
const POISON_QUEUE: &str = "source.azure_queue.poison_queue";
const WORKERS: &str = "source.azure_queue.workers";

/// Reads every key of the section; where something is wrong, that is noted and the value is of no account.
pub(super) fn read(layers: &mut ConfigReader) -> SourceConfig {
    let kind = layers.get("source.kind", SourceKind::Direct);
    let connection_string: Option<Secret> = layers.get(CONNECTION_STRING, None);
    let account_url: Option<String> = layers.get(ACCOUNT_URL, None);
    let client_id: Option<Uuid> = layers.get(CLIENT_ID, None);
    let queue = layers.get("source.azure_queue.queue", QueueName::default());
    let poison_queue = layers.get(POISON_QUEUE, queue.poison());
    let workers = layers.get(WORKERS, 8);
    if kind == SourceKind::Direct {
        return SourceConfig::Direct;
    }
    let is_another = poison_queue != queue && poison_queue != queue.turns();
    layers.check(POISON_QUEUE, is_another, "has to be another queue than source.azure_queue.queue and its -turns");
    layers.check(WORKERS, (1..=256).contains(&workers), "has to be from 1 to 256");
    match account(layers, connection_string, account_url, client_id) {
        Some(account) => SourceConfig::AzureQueue(AzureQueueConfig { account, queue, poison_queue, workers }),
        None => SourceConfig::Direct,
    }
}

fn account(
    layers: &mut ConfigReader,
    connection_string: Option<Secret>,
    account_url: Option<String>,
    client_id: Option<Uuid>,
) -> Option<Account> {
    let (key, account) = match (connection_string, account_url) {
        (Some(text), None) => {
            layers.check(CLIENT_ID, client_id.is_none(), "goes with source.azure_queue.account_url only");
            (CONNECTION_STRING, Account::parse(&text).map_err(|error| error.to_string()))
        }
        (None, Some(url)) => {
            (ACCOUNT_URL, Account::with_workload_identity(&url, client_id).map_err(|error| error.to_string()))
        }
        (Some(_), Some(_)) => {
            layers.check(ACCOUNT_URL, false, "cannot stand beside source.azure_queue.connection_string");
            return None;
        }
        (None, None) => {
            layers.check(
                CONNECTION_STRING,
                false,
                "is needed, or source.azure_queue.account_url for workload identity",
            );
            return None;
        }
    };
    account.map_err(|reason| layers.check(key, false, &reason)).ok()
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Layers, SourceConfig};

    const KEY: &str = "AccountName=vault;AccountKey=a2V5";

    fn parse(section: &str) -> Result<Config, Vec<String>> {
        let file = format!("source.kind = 'azure_queue'\n[source.azure_queue]\n{section}");
        let parsed = Config::parse(Layers { file: Some(("hub.toml", &file)), ..Layers::default() });
        parsed.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    fn problem(section: &str) -> String {
        parse(section).expect_err(section).join("; ")
    }

    #[test]
    fn azure_queue_defaults_apply_to_all_but_the_account() {
        let config = parse(&format!("connection_string = '{KEY}'")).expect("fine");
        let SourceConfig::AzureQueue(source) = &config.source else { panic!("{:?}", config.source) };
        assert_eq!((source.queue.as_str(), source.poison_queue.as_str()), ("notifications", "notifications-poison"));
        assert_eq!(source.workers, 8);
        let config = parse("account_url = 'https://a.queue.core.windows.net'\nqueue = 'pushes'").expect("fine");
        let SourceConfig::AzureQueue(source) = &config.source else { panic!("{:?}", config.source) };
        assert_eq!(source.poison_queue.as_str(), "pushes-poison");
    }

    #[test]
    fn azure_queue_connection_string_is_never_printed() {
        let config = parse(&format!("connection_string = '{KEY}'")).expect("fine");
        let shown = config.shown().iter().find(|shown| shown.key == super::CONNECTION_STRING).expect("the key");
        assert_eq!(shown.value, "***");
        assert!(!format!("{config:?}").contains("a2V5"));
        let told = problem("connection_string = 'AccountName=SECRET'") + &problem("connection_string = ['SECRET']");
        assert!(told.contains("AccountKey or SharedAccessSignature is missing") && !told.contains("SECRET"), "{told}");
    }

    #[test]
    fn azure_queue_invalid_value_error_names_key() {
        let place = |key: &str| format!("source.azure_queue.{key} (hub.toml): ");
        let with = |more: &str| problem(&format!("connection_string = '{KEY}'\n{more}"));
        assert!(problem("").starts_with("source.azure_queue.connection_string (default): is needed"));
        assert!(with("account_url = 'https://a'").starts_with(&(place("account_url") + "cannot stand beside")));
        assert!(with("client_id = 'd2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c'").starts_with(&place("client_id")));
        assert!(with("client_id = 'x'").contains("has to be a UUID"));
        assert!(with("queue = 'Pushes'").starts_with(&(place("queue") + "has to be a queue's name")));
        for name in ["notifications", "notifications-turns"] {
            let told = with(&format!("poison_queue = '{name}'"));
            assert!(told.starts_with(&(place("poison_queue") + "has to be another")), "{told}");
        }
        assert!(with("workers = 0").starts_with(&(place("workers") + "has to be from 1 to 256")));
        assert!(problem("account_url = 'http://a'").starts_with(&(place("account_url") + "must be an https URL")));
    }
}
