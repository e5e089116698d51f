//! Defaults of every hub, from the operator's configuration. No I/O.

use super::image::ImageReference;
use super::inheritance::Inheritance;

/// Defaults of every hub, from the operator's configuration.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The image, where a spec does not say another.
    pub image: ImageReference,
    /// What of a resource's labels and annotations its children get.
    pub inheritance: Inheritance,
}
