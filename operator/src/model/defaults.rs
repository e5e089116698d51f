//! What the operator's configuration says of every hub. Pure.

use super::image::ImageReference;
use super::inheritance::Inheritance;

/// What the operator's configuration says of every hub.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The image, where a spec does not say another.
    pub image: ImageReference,
    /// What of a resource's labels and annotations its children get.
    pub inheritance: Inheritance,
}
