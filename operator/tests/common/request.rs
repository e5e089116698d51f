//! What a request asks of the API server. Pure.

use http::{Method, Uri, request::Parts};

use super::store::Key;

/// What somebody does with a resource, in the words of RBAC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    pub verb: &'static str,
    pub group: String,
    /// With its subresource.
    pub resource: String,
}

/// A request, understood.
#[derive(Clone, Debug)]
pub struct Asked {
    pub verb: &'static str,
    pub group: String,
    pub resource: String,
    pub subresource: Option<String>,
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// Whether only the metadata is wanted.
    pub metadata: bool,
    query: Vec<(String, String)>,
}

impl Asked {
    pub fn new(parts: &Parts) -> Asked {
        let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
        let (group, rest) = match path.as_slice() {
            ["api", _version, rest @ ..] => (String::new(), rest),
            ["apis", group, _version, rest @ ..] => ((*group).to_owned(), rest),
            other => panic!("not a path of the API: {other:?}"),
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
            (method, _) => panic!("{method} is not known here"),
        };
        Asked {
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

    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The resource as keys name it.
    pub fn kind(&self) -> String {
        if self.group.is_empty() { self.resource.clone() } else { format!("{}/{}", self.group, self.resource) }
    }

    pub fn key(&self, name: &str) -> Key {
        Key::new(&self.kind(), self.namespace.as_deref().expect("a namespace"), name)
    }

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
    // What is encoded in field managers and label selectors.
    let decoded = |value: &str| value.replace("%2F", "/").replace("%3D", "=").replace("%2C", ",");
    pairs.map(|(key, value)| (key.to_owned(), decoded(value))).collect()
}
