//! Paths as clients and proxies write them: in any case, with the prefix that some proxies strip and others leave, with a
//! slash behind (`decisions.md` 3).

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// Where the service lives behind Bitwarden's own proxies.
const PREFIX: &str = "/notifications";

/// A path in the one form that routes know.
pub fn canonical(path: &str) -> String {
    stem(path).to_ascii_lowercase()
}

/// A path without the prefix and the slash behind, as it is spelled.
pub fn stem(path: &str) -> &str {
    let rest = path.split_at_checked(PREFIX.len()).filter(|(start, _)| start.eq_ignore_ascii_case(PREFIX));
    let path = rest.map(|(_, rest)| rest).filter(|rest| rest.starts_with('/')).unwrap_or(path);
    path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path)
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
    fn every_spelling_is_one_path() {
        for path in ["/hub", "/HUB", "/hub/", "/notifications/hub", "/Notifications/Hub/"] {
            assert_eq!(canonical(path), "/hub", "{path}");
        }
        assert_eq!(canonical("/"), "/");
        assert_eq!(canonical("/notifications"), "/notifications");
        assert_eq!(canonical("/notificationshub"), "/notificationshub");
        assert_eq!(canonical("/notifications/notifications/hub"), "/notifications/hub");
    }
}
