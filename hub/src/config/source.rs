//! The section `source`: where the hub receives pushes from.

use toml::Value;
use uuid::Uuid;

use super::Setting;
use super::layers::ConfigReader;
use crate::azure_storage::{Account, QueueName};
use crate::secret::Secret;

/// The source of pushes.
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
    /// The storage account and its credential.
    pub account: Account,
    /// The name of the queue.
    pub queue_name: QueueName,
    /// The name of the poison queue, which takes messages that are not pushes.
    pub poison_queue_name: QueueName,
    /// The number of workers. Each delivers one push at a time, and all pushes of a user or organization go to the same one.
    pub workers: usize,
}

/// The values of `source.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceKind {
    Direct,
    AzureQueue,
}

impl Setting for SourceKind {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        match value.as_str() {
            Some("direct") => Ok(SourceKind::Direct),
            Some("azure_queue") => Ok(SourceKind::AzureQueue),
            _ => Err("direct or azure_queue"),
        }
    }

    fn display_value(&self) -> String {
        match self {
            SourceKind::Direct => "direct",
            SourceKind::AzureQueue => "azure_queue",
        }
        .to_owned()
    }
}

impl Setting for QueueName {
    fn from_toml(value: &Value) -> Result<Self, &'static str> {
        let name = value.as_str().and_then(|text| QueueName::new(text.trim()));
        name.ok_or("a queue name of 3 to 63 lowercase letters, digits and single hyphens")
    }

    fn display_value(&self) -> String {
        self.to_string()
    }
}

const CONNECTION_STRING: &str = "source.azure_queue.connection_string";
const ACCOUNT_URL: &str = "source.azure_queue.account_url";
const CLIENT_ID: &str = "source.azure_queue.client_id";
const POISON_QUEUE_NAME: &str = "source.azure_queue.poison_queue_name";
const WORKERS: &str = "source.azure_queue.workers";

/// Reads every key of the section. If it returns a wrong value, it has recorded a problem.
pub(super) fn read(reader: &mut ConfigReader) -> SourceConfig {
    let kind = reader.get("source.kind", SourceKind::Direct);
    let connection_string: Option<Secret> = reader.get(CONNECTION_STRING, None);
    let account_url: Option<String> = reader.get(ACCOUNT_URL, None);
    let client_id: Option<Uuid> = reader.get(CLIENT_ID, None);
    let queue_name = reader.get("source.azure_queue.queue_name", QueueName::default());
    let poison_queue_name = reader.get(POISON_QUEUE_NAME, queue_name.poison());
    let workers = reader.get(WORKERS, 8);
    if kind == SourceKind::Direct {
        return SourceConfig::Direct;
    }
    let is_other_queue = poison_queue_name != queue_name && poison_queue_name != queue_name.turns();
    reader.check(
        POISON_QUEUE_NAME,
        is_other_queue,
        "must differ from source.azure_queue.queue_name and its -turns queue",
    );
    reader.check(WORKERS, (1..=256).contains(&workers), "must be from 1 to 256");
    match account(reader, connection_string, account_url, client_id) {
        Some(account) => SourceConfig::AzureQueue(AzureQueueConfig { account, queue_name, poison_queue_name, workers }),
        None => SourceConfig::Direct,
    }
}

/// Returns the storage account, or `None` after recording a problem.
fn account(
    reader: &mut ConfigReader,
    connection_string: Option<Secret>,
    account_url: Option<String>,
    client_id: Option<Uuid>,
) -> Option<Account> {
    let (key, account) = match (connection_string, account_url) {
        (Some(text), None) => {
            reader.check(CLIENT_ID, client_id.is_none(), "needs source.azure_queue.account_url; remove it");
            (CONNECTION_STRING, Account::parse(&text).map_err(|error| error.to_string()))
        }
        (None, Some(url)) => {
            (ACCOUNT_URL, Account::with_workload_identity(&url, client_id).map_err(|error| error.to_string()))
        }
        (Some(_), Some(_)) => {
            reader.check(ACCOUNT_URL, false, "source.azure_queue.connection_string is also set; remove one");
            return None;
        }
        (None, None) => {
            reader.check(
                CONNECTION_STRING,
                false,
                "not set; set it, or source.azure_queue.account_url for workload identity",
            );
            return None;
        }
    };
    account.map_err(|reason| reader.check(key, false, &reason)).ok()
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
        assert_eq!(
            (source.queue_name.as_str(), source.poison_queue_name.as_str()),
            ("notifications", "notifications-poison")
        );
        assert_eq!(source.workers, 8);
        let config = parse("account_url = 'https://a.queue.core.windows.net'\nqueue_name = 'pushes'").expect("fine");
        let SourceConfig::AzureQueue(source) = &config.source else { panic!("{:?}", config.source) };
        assert_eq!(source.poison_queue_name.as_str(), "pushes-poison");
    }

    #[test]
    fn azure_queue_connection_string_is_never_printed() {
        let config = parse(&format!("connection_string = '{KEY}'")).expect("fine");
        let setting = config.effective_settings().iter().find(|setting| setting.key == super::CONNECTION_STRING);
        assert_eq!(setting.expect("the key").value, "***");
        assert!(!format!("{config:?}").contains("a2V5"));
        let message = problem("connection_string = 'AccountName=SECRET'") + &problem("connection_string = ['SECRET']");
        assert!(
            message.contains("AccountKey or SharedAccessSignature is missing") && !message.contains("SECRET"),
            "{message}"
        );
    }

    #[test]
    fn azure_queue_invalid_value_error_names_key() {
        let location = |key: &str| format!("source.azure_queue.{key} (hub.toml): ");
        let with = |more: &str| problem(&format!("connection_string = '{KEY}'\n{more}"));
        assert!(problem("").starts_with("source.azure_queue.connection_string (default): not set; set it"));
        assert!(
            with("account_url = 'https://a'")
                .starts_with(&(location("account_url") + "source.azure_queue.connection_string is also set"))
        );
        assert!(with("client_id = 'd2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c'").starts_with(&location("client_id")));
        assert!(with("client_id = 'x'").contains("use a UUID"));
        assert!(
            with("queue_name = 'Pushes'")
                .starts_with(&(location("queue_name") + "invalid value \"Pushes\"; use a queue name"))
        );
        for name in ["notifications", "notifications-turns"] {
            let message = with(&format!("poison_queue_name = '{name}'"));
            assert!(message.starts_with(&(location("poison_queue_name") + "must differ")), "{message}");
        }
        assert!(with("workers = 0").starts_with(&(location("workers") + "must be from 1 to 256")));
        let message = problem("account_url = 'http://a'");
        assert!(message.starts_with(&location("account_url")) && message.contains("https URL"), "{message}");
    }
}
