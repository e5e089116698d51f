//! Checks the address of Redis: a URL or a connection string.

use notification_hub::config::{RedisConfig, RedisConfigError, parse_redis_address};

/// The password that replaces each `$` of an input.
const PASSWORD: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";

/// Checks that a text is an address or an error, and that neither shows a password. In a connection string, the order of options,
/// the case of their names and blanks around them have no effect.
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
    let respelled = options.iter().map(|part| match part.split_once('=') {
        Some((name, value)) => format!(" {} = {value}", name.to_ascii_uppercase()),
        None => (*part).to_owned(),
    });
    let reordered = respelled.chain(hosts.iter().map(|host| format!(" {host} "))).collect::<Vec<_>>().join(" , ");
    assert_eq!(parse(&reordered).ok(), parsed.ok(), "{reordered}");
}

fn parse(text: &str) -> Result<RedisConfig, RedisConfigError> {
    parse_redis_address(&text.into())
}
