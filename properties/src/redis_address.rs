//! Where Redis is, as a URL or a connection string.

use notification_hub::config::{RedisConfig, RedisConfigError};

/// What every `$` of an input stands for.
const PASSWORD: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";

/// A text is an address or an error, and neither shows a password; the order of a connection string's options, the case of
/// their names and blanks around them do not matter.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input).replace('$', PASSWORD);
    let parsed = parse(&text);
    let masked = match &parsed {
        Ok(redis) => {
            assert!(!redis.servers.is_empty() && redis.servers.iter().all(|(host, _)| !host.is_empty()));
            assert!(redis.ca_file.is_none());
            format!("{:?}", redis.password)
        }
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!masked.contains(PASSWORD), "{masked}");

    if text.contains("://") {
        return;
    }
    let is_option = |part: &&str| part.contains('=');
    let (mut options, hosts): (Vec<&str>, Vec<&str>) = text.split(',').map(str::trim).partition(is_option);
    options.reverse();
    let spelled = options.iter().map(|part| match part.split_once('=') {
        Some((name, value)) => format!(" {} = {value}", name.to_ascii_uppercase()),
        None => (*part).to_owned(),
    });
    let otherwise = spelled.chain(hosts.iter().map(|host| format!(" {host} "))).collect::<Vec<_>>().join(" , ");
    assert_eq!(parse(&otherwise).ok(), parsed.ok(), "{otherwise}");
}

fn parse(text: &str) -> Result<RedisConfig, RedisConfigError> {
    RedisConfig::parse(&text.into())
}
