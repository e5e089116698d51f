//! Paths as clients and proxies write them: in any case, with the prefix that some proxies strip and others leave, with a
//! slash behind, with slashes doubled by a proxy, with letters escaped (`decisions.md` 3).

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;

use crate::signalr::Hub;

/// Where the service lives behind Bitwarden's own proxies.
const PREFIX: &str = "notifications";

/// Returns a path in the one form that routes know: lower case, without the prefix, without empty segments, dots and needless escapes.
pub fn canonical(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_ascii_lowercase();
    }
    let mut segments = Vec::new();
    for segment in path.split('/').map(unescaped) {
        match segment.as_str() {
            "" | "." => {}
            ".." => _ = segments.pop(),
            _ => segments.push(segment),
        }
    }
    let behind = segments.strip_prefix(&[PREFIX.to_owned()]).filter(|rest| !rest.is_empty());
    format!("/{}", behind.unwrap_or(&segments).join("/"))
}

/// Returns the hub at a path, however it is spelled.
pub fn hub_at(path: &str) -> Option<Hub> {
    // What clients and proxies mostly say need not be taken apart.
    match path {
        "/hub" | "/notifications/hub" => return Some(Hub::Main),
        "/anonymous-hub" | "/notifications/anonymous-hub" => return Some(Hub::Anonymous),
        _ => {}
    }
    match canonical(path).as_str() {
        "/hub" => Some(Hub::Main),
        "/anonymous-hub" => Some(Hub::Anonymous),
        _ => None,
    }
}

/// Returns a segment in lower case, with escapes of what need not be escaped undone (RFC 3986 6.2.2.2): an escaped slash is none.
fn unescaped(segment: &str) -> String {
    let mut parts = segment.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte)) {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[2..]);
            }
            None => {
                plain.push('%');
                plain.push_str(part);
            }
        }
    }
    plain.make_ascii_lowercase();
    plain
}

/// Brings a request's path into that form before it is routed.
pub async fn canonical_request(mut request: Request) -> Request {
    let path = canonical(request.uri().path());
    if path != request.uri().path() {
        let target = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(target).ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_path_is_the_same_for_every_spelling() {
        for path in [
            "/hub",
            "/HUB",
            "/hub/",
            "/notifications/hub",
            "/Notifications/Hub/",
            "//hub",
            "/notifications//hub//",
            "/%68ub",
            "/%6eotifications/h%75b",
            "/x/../hub",
            "/./hub",
            "/../hub",
            "/x/%2E%2e/hub",
        ] {
            assert_eq!(canonical(path), "/hub", "{path}");
            assert_eq!(hub_at(path), Some(Hub::Main), "{path}");
        }
        assert_eq!(hub_at("/notifications/anonymous-hub/"), Some(Hub::Anonymous));
        assert_eq!((canonical("/"), canonical("//"), canonical("*")), ("/".into(), "/".into(), "*".into()));
        assert_eq!(canonical("/notifications"), "/notifications");
        assert_eq!(canonical("/notificationshub"), "/notificationshub");
        assert_eq!(canonical("/notifications/notifications/hub"), "/notifications/hub");
    }

    #[test]
    fn hub_at_other_path_returns_none() {
        for path in
            ["/notifications%2fhub", "/hub%00", "/hub%2f", "/hub%", "/hub%6", "/hub%zz", "/hubs", "hub", "/hub%20"]
        {
            assert_eq!(hub_at(path), None, "{path}");
        }
        assert_eq!(canonical("/%é%C3"), "/%é%c3");
    }
}
