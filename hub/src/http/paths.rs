//! Canonical paths (`decisions.md` 3). Clients and proxies differ in case, escapes, repeated and trailing slashes, and in whether
//! they keep the prefix `/notifications`.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;

use crate::signalr::Hub;

/// The path prefix of the service behind Bitwarden's own proxies.
const PREFIX: &str = "notifications";

/// Returns the canonical form of a path: lower case, without the prefix, empty segments, dot segments and needless escapes.
pub fn canonical(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_ascii_lowercase();
    }
    let mut segments = Vec::new();
    for segment in path.split('/').map(normalize_segment) {
        match segment.as_str() {
            "" | "." => {}
            ".." => _ = segments.pop(),
            _ => segments.push(segment),
        }
    }
    let without_prefix = segments.strip_prefix(&[PREFIX.to_owned()]).filter(|rest| !rest.is_empty());
    format!("/{}", without_prefix.unwrap_or(&segments).join("/"))
}

/// Returns the hub at a path in any form, or `None` if the path is not a hub's.
pub fn hub_for_path(path: &str) -> Option<Hub> {
    // Fast path for the usual forms, without an allocation.
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

/// Returns a segment in lower case, with escaped unreserved characters decoded (RFC 3986 6.2.2.2). An escaped slash stays so.
fn normalize_segment(segment: &str) -> String {
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

/// Middleware that replaces the path of a request by its canonical form, before routing.
pub async fn canonicalize_request(mut request: Request) -> Request {
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
            assert_eq!(hub_for_path(path), Some(Hub::Main), "{path}");
        }
        assert_eq!(hub_for_path("/notifications/anonymous-hub/"), Some(Hub::Anonymous));
        assert_eq!((canonical("/"), canonical("//"), canonical("*")), ("/".into(), "/".into(), "*".into()));
        assert_eq!(canonical("/notifications"), "/notifications");
        assert_eq!(canonical("/notificationshub"), "/notificationshub");
        assert_eq!(canonical("/notifications/notifications/hub"), "/notifications/hub");
    }

    #[test]
    fn hub_for_path_other_path_returns_none() {
        for path in
            ["/notifications%2fhub", "/hub%00", "/hub%2f", "/hub%", "/hub%6", "/hub%zz", "/hubs", "hub", "/hub%20"]
        {
            assert_eq!(hub_for_path(path), None, "{path}");
        }
        assert_eq!(canonical("/%é%C3"), "/%é%c3");
    }
}
