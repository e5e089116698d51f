//! The managed Secrets of a hub: the generated keys, and the connection token key. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::build::{KeySecret, metadata};
use crate::keys::{CONNECTION_TOKEN_ENTRY, ConnectionTokenKey, RotationPlan};
use crate::model::ValidatedHub;

/// Returns the Secret of the generated keys.
pub(in crate::build) fn jwt(hub: &ValidatedHub, plan: &RotationPlan) -> KeySecret {
    let secret = secret(hub, hub.name.jwt_secret(), plan.ring.entries());
    KeySecret { secret, pending_plan: plan.missing.map(|_| plan.clone()) }
}

/// Returns the Secret of the connection token key.
pub(in crate::build) fn tokens(hub: &ValidatedHub, key: &ConnectionTokenKey) -> Secret {
    let entry = (CONNECTION_TOKEN_ENTRY.to_owned(), ByteString(key.as_bytes().to_vec()));
    secret(hub, hub.name.tokens_secret(), [entry].into())
}

/// Returns a Secret with these entries.
fn secret(hub: &ValidatedHub, name: String, entries: BTreeMap<String, ByteString>) -> Secret {
    Secret {
        metadata: metadata::for_child(hub, name),
        type_: Some("Opaque".to_owned()),
        data: Some(entries),
        ..Secret::default()
    }
}
