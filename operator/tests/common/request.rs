//! Parses a request to the API server. No I/O.

use http::{Method, Uri, request::Parts};

use super::store::Key;

/// A verb on a resource, as in RBAC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    pub verb: &'static str,
    pub group: String,
    /// The resource in plural, with its subresource.
    pub resource: String,
}

/// A parsed request.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    pub verb: &'static str,
    pub group: String,
    pub resource: String,
    pub subresource: Option<String>,
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// Whether only the metadata is requested.
    pub metadata: bool,
    query: Vec<(String, String)>,
}

impl ApiRequest {
    pub fn new(parts: &Parts) -> ApiRequest {
        let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
        let (group, rest) = match path.as_slice() {
            ["api", _version, rest @ ..] => (String::new(), rest),
            ["apis", group, _version, rest @ ..] => ((*group).to_owned(), rest),
            other => panic!("unsupported path: {other:?}"),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let part = |index: usize| rest.get(index).map(|part| (*part).to_owned());
        let query = query(&parts.uri);
        let accept = parts.headers.get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let watches = query.iter().any(|(key, value)| key == "watch" && value == "true");
        let verb = match (&parts.method, rest.len()) {
            (&Method::GET, 1) if watches => "watch",
            (&Method::GET, 1) => "list",
            (&Method::GET, _) => "get",
            (&Method::POST, _) => "create",
            (&Method::PUT, _) => "update",
            (&Method::PATCH, _) => "patch",
            (&Method::DELETE, _) => "delete",
            (method, _) => panic!("unsupported method: {method}"),
        };
        ApiRequest {
            verb,
            group,
            resource: part(0).unwrap_or_default(),
            subresource: part(2),
            namespace,
            name: part(1),
            metadata: accept.contains("as=PartialObjectMetadata"),
            query,
        }
    }

    /// Returns a parameter of the query.
    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Returns `group/resource`, or `resource` for the core group.
    pub fn kind(&self) -> String {
        if self.group.is_empty() { self.resource.clone() } else { format!("{}/{}", self.group, self.resource) }
    }

    /// Returns the key of an object in the namespace of the request.
    pub fn key(&self, name: &str) -> Key {
        Key::new(&self.kind(), self.namespace.as_deref().expect("a namespace"), name)
    }

    /// Returns the access with this verb to the resource of the request.
    pub fn access(&self, verb: &'static str) -> Access {
        let resource = match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource),
            None => self.resource.clone(),
        };
        Access { verb, group: self.group.clone(), resource }
    }
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    // Only the characters that field managers and label selectors encode.
    let decoded = |value: &str| value.replace("%2F", "/").replace("%3D", "=").replace("%2C", ",");
    pairs.map(|(key, value)| (key.to_owned(), decoded(value))).collect()
}
