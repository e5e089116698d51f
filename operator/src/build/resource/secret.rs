//! The Secrets that the operator makes: with the generated keys, and with the key that replicas share. Pure.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::build::metadata;
use crate::keys::{CONNECTION_TOKEN_ENTRY, ConnectionTokenKey, JWKS_ENTRY, KeyPair, PRIVATE_ENTRY};
use crate::model::ValidatedHub;

/// The keys that sign tokens.
pub(in crate::build) fn jwt(hub: &ValidatedHub, pair: &KeyPair) -> Secret {
    let entries = [(PRIVATE_ENTRY, pair.private_pem().as_bytes()), (JWKS_ENTRY, pair.jwks().as_bytes())];
    secret(hub, hub.name.jwt_secret(), &entries)
}

/// The key by which replicas know each other's connection tokens.
pub(in crate::build) fn tokens(hub: &ValidatedHub, key: &ConnectionTokenKey) -> Secret {
    secret(hub, hub.name.tokens_secret(), &[(CONNECTION_TOKEN_ENTRY, key.as_bytes())])
}

fn secret(hub: &ValidatedHub, name: String, entries: &[(&str, &[u8])]) -> Secret {
    let entries = entries.iter().map(|(entry, content)| ((*entry).to_owned(), ByteString(content.to_vec())));
    Secret {
        metadata: metadata::of(hub, name),
        type_: Some("Opaque".to_owned()),
        data: Some(entries.collect()),
        ..Secret::default()
    }
}
