//! Hosts and ports in addresses of Redis.

/// The port of Redis without TLS.
pub(super) const DEFAULT_PORT: u16 = 6379;

/// The port of Redis with TLS, as StackExchange.Redis has it. A `rediss://` URL without a port means [`DEFAULT_PORT`].
pub(super) const DEFAULT_TLS_PORT: u16 = 6380;

/// The port of a Sentinel.
pub(super) const DEFAULT_SENTINEL_PORT: u16 = 26379;

/// Parses `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`. Returns `None` if the text is malformed.
pub(super) fn parse_host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port.parse().ok()?)),
        _ => (text, None),
    };
    let host = strip_brackets(host);
    let is_valid =
        !host.is_empty() && !host.contains(|character: char| character.is_whitespace() || "/@![]".contains(character));
    is_valid.then_some((host, port))
}

/// Removes the brackets of an IPv6 address.
pub(super) fn strip_brackets(host: &str) -> String {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned()
}
