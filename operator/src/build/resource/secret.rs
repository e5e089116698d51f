//! The Secret with the generated keys. Pure.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::build::metadata;
use crate::keys::{JWKS_ENTRY, KeyPair, PRIVATE_ENTRY};
use crate::model::ValidatedHub;

pub(in crate::build) fn build(hub: &ValidatedHub, pair: &KeyPair) -> Secret {
    let entries = [(PRIVATE_ENTRY, pair.private_pem()), (JWKS_ENTRY, pair.jwks())];
    Secret {
        metadata: metadata::of(hub, hub.name.jwt_secret()),
        type_: Some("Opaque".to_owned()),
        data: Some(entries.map(|(name, text)| (name.to_owned(), ByteString(text.as_bytes().to_vec()))).into()),
        ..Secret::default()
    }
}
