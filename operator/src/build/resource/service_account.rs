//! The pods' ServiceAccount: an identity without any right. Pure.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::build::metadata;
use crate::model::ValidatedHub;

pub(in crate::build) fn build(hub: &ValidatedHub) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata::of(hub, hub.name.as_str()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
