//! `check-permissions`: checks that the API server grants this process every permission of the operator.

use std::fmt;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::cluster::{CallError, with_timeout};
use crate::config::Config;
use crate::permissions::{PERMISSIONS, Permission, Scope};

/// One verb on one resource that the operator needs.
#[derive(Clone, Debug, PartialEq)]
pub struct RequiredPermission {
    /// The namespace, or `None` for all of them.
    pub namespace: Option<String>,
    /// The verb.
    pub verb: &'static str,
    /// `group/resource`, or `resource` for the core group.
    pub resource: String,
    /// What the operator uses it for.
    pub reason: &'static str,
    attributes: ResourceAttributes,
}

impl fmt::Display for RequiredPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = self.namespace.as_ref().map_or("all namespaces".to_owned(), |name| format!("namespace {name}"));
        write!(f, "{} {} in {scope}: {}", self.verb, self.resource, self.reason)
    }
}

/// Returns the permissions that an operator of this configuration needs. No I/O.
pub fn required_permissions(config: &Config, own_namespace: &str) -> Vec<RequiredPermission> {
    let all_namespaces = vec![None];
    let watched: Vec<_> = config.namespaces.iter().cloned().map(Some).collect();
    let own = vec![Some(config.lease_namespace.clone().unwrap_or_else(|| own_namespace.to_owned()))];
    let mut required = Vec::new();
    for permission in PERMISSIONS {
        let (namespaces, name) = match permission.scope {
            Scope::Own if config.lease_name.is_none() => continue,
            // The operator needs the permission for one Lease only.
            Scope::Own => (&own, config.lease_name.as_deref()),
            Scope::Watched if watched.is_empty() => (&all_namespaces, None),
            Scope::Watched => (&watched, None),
        };
        for namespace in namespaces {
            required.extend(
                permission.verbs.iter().map(|verb| required_permission(permission, namespace.clone(), name, verb)),
            );
        }
    }
    required
}

/// Returns the required permission for one verb, with the attributes of its access review.
fn required_permission(
    permission: &Permission,
    namespace: Option<String>,
    name: Option<&str>,
    verb: &'static str,
) -> RequiredPermission {
    let Permission { group, resource, reason, .. } = *permission;
    let text = |text: &str| Some(text.to_owned());
    let (main, subresource) = resource.split_once('/').map_or((resource, None), |(main, sub)| (main, text(sub)));
    let attributes = ResourceAttributes {
        group: text(group),
        resource: text(main),
        subresource,
        name: name.map(str::to_owned),
        verb: text(verb),
        namespace: namespace.clone(),
        ..ResourceAttributes::default()
    };
    let resource = if group.is_empty() { resource.to_owned() } else { format!("{group}/{resource}") };
    RequiredPermission { namespace, verb, resource, reason, attributes }
}

/// Returns the permissions that the API server does not grant.
pub async fn missing(client: &Client, required: Vec<RequiredPermission>) -> Result<Vec<RequiredPermission>, CallError> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut missing = Vec::new();
    for permission in required {
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(permission.attributes.clone()),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = with_timeout(reviews.create(&PostParams::default(), &review)).await?;
        if !answer.status.is_some_and(|status| status.allowed) {
            missing.push(permission);
        }
    }
    Ok(missing)
}
