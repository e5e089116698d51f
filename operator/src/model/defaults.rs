//! Defaults of every hub, from the operator's configuration. No I/O.

use super::image::ImageReference;
use super::inheritance::Inheritance;

/// Defaults of every hub, from the operator's configuration.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Image of hubs without `spec.image`.
    pub image: ImageReference,
    /// Names of the labels and annotations that children inherit.
    pub inheritance: Inheritance,
}
