//! Reference to a value in a Secret, with the fingerprint of its content. No I/O.

use notification_hub_crds::v1alpha1::SecretKeyReference;

use super::Fingerprint;

/// An entry of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEntry {
    /// The Secret.
    pub secret: String,
    /// Its entry.
    pub entry: String,
    /// Tells one content from another.
    pub fingerprint: Fingerprint,
}

impl SecretEntry {
    /// The entry that a spec names, with this content.
    pub fn new(reference: &SecretKeyReference, content: &[u8]) -> SecretEntry {
        SecretEntry {
            secret: reference.name.clone(),
            entry: reference.key.clone(),
            fingerprint: Fingerprint::from_content(content),
        }
    }
}
