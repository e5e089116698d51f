//! Checks the configuration: a file and environment variables.

use notification_hub::config::{Config, ConfigErrors, Layers};

/// Checks that an input is a configuration or a list of problems, that neither shows a secret, and that the shown values of a
/// configuration make an equal one. Zero bytes separate the file and the environment variables.
pub(crate) fn check(input: &[u8]) {
    const SECRET: &str = "AccountName=vault;AccountKey=c2VjcmV0LXNlY3JldA";
    const KEY: &str = "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__CONNECTION_STRING";
    let text = String::from_utf8_lossy(input);
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let mut environment: Vec<(String, String)> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    environment.push((KEY.to_owned(), format!("{SECRET}{}", environment.len() % 2)));
    let config = match parse(file, &environment) {
        Ok(config) => config,
        Err(problems) => {
            assert!(problems.iter().count() > 0);
            return assert!(!format!("{problems} {problems:?}").contains(SECRET));
        }
    };
    assert!(!format!("{config:?}").contains(SECRET));
    let shown = |config: &Config| -> Vec<(&'static str, String)> {
        config.effective_settings().iter().map(|setting| (setting.key, setting.value.clone())).collect()
    };
    let mut written: Vec<(String, String)> = shown(&config)
        .into_iter()
        .filter(|(key, _)| *key != "source.azure_queue.connection_string")
        .map(|(key, value)| (format!("NOTIFICATION_HUB__{}", key.to_uppercase().replace('.', "__")), value))
        .collect();
    written.extend(environment.pop());
    let again = parse("", &written).unwrap_or_else(|problems| panic!("{problems}"));
    let items = |config: &Config| -> Vec<(&'static str, Vec<String>)> {
        let list = |text: &str| -> Vec<String> {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        };
        shown(config).into_iter().map(|(key, value)| (key, list(&value))).collect()
    };
    // Shown values do not distinguish blanks and commas in the items of a list from separators.
    assert_eq!(items(&again), items(&config));
    assert_eq!(again.warnings(), [""; 0]);
}

fn parse(file: &str, environment: &[(String, String)]) -> Result<Config, ConfigErrors> {
    Config::parse(Layers { file: Some(("hub.toml", file)), environment, flags: &[] })
}
