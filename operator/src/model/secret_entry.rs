//! Reference to a value in a Secret, with the fingerprint of its content. No I/O.

use notification_hub_crds::v1alpha1::SecretKeyReference;

use super::Fingerprint;

/// Reference to an entry of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEntry {
    /// Name of the Secret.
    pub secret: String,
    /// Key of the entry.
    pub entry: String,
    /// Fingerprint of the content.
    pub fingerprint: Fingerprint,
}

impl SecretEntry {
    /// Creates the reference of a spec with the fingerprint of its content.
    pub fn new(reference: &SecretKeyReference, content: &[u8]) -> SecretEntry {
        SecretEntry {
            secret: reference.name.clone(),
            entry: reference.key.clone(),
            fingerprint: Fingerprint::from_content(content),
        }
    }
}
