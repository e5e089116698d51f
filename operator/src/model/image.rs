//! Reference to a container image. No I/O.

use std::fmt;
use std::str::FromStr;

use notification_hub_crds::v1alpha1::Image;

/// Repository, tag and digest of a container image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference {
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Error of a text that is not an image reference.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not an image; give REPOSITORY[:TAG][@sha256:DIGEST]")]
pub struct InvalidImage(String);

impl FromStr for ImageReference {
    type Err = InvalidImage;

    fn from_str(text: &str) -> Result<Self, InvalidImage> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let name_at = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (repository, tag) = match rest[name_at..].split_once(':') {
            Some((name, tag)) => (&rest[..name_at + name.len()], Some(tag)),
            None => (rest, None),
        };
        let has_valid_chars = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:".contains(c));
        let is_valid_part = |part: &str| {
            !part.is_empty() && has_valid_chars(part) && part.starts_with(|c: char| c.is_ascii_alphanumeric())
        };
        let is_valid = is_valid_part(repository)
            && !repository.ends_with('/')
            && tag.is_none_or(is_valid_part)
            && digest.is_none_or(|digest| digest.len() == 71 && digest.starts_with("sha256:"));
        if !is_valid {
            return Err(InvalidImage(text.to_owned()));
        }
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Ok(ImageReference { repository: repository.to_owned(), tag: owned(tag), digest: owned(digest) })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl ImageReference {
    /// Returns this image with the overrides of a spec. A tag or digest of the spec replaces both of this image.
    pub fn with_overrides(&self, spec: &Image) -> ImageReference {
        let keeps_version = spec.tag.is_none() && spec.digest.is_none();
        ImageReference {
            repository: spec.repository.clone().unwrap_or_else(|| self.repository.clone()),
            tag: if keeps_version { self.tag.clone() } else { spec.tag.clone() },
            digest: if keeps_version && spec.repository.is_none() { self.digest.clone() } else { spec.digest.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn parse(text: &str) -> ImageReference {
        text.parse().expect("an image")
    }

    #[test]
    fn image_reference_round_trips_or_is_rejected() {
        let digest = format!("host:5000/a/hub@{DIGEST}");
        for text in ["hub", "hub:1", "host:5000/hub", "host:5000/a/hub:1.2-x", "ghcr.io/a/hub:1", &digest] {
            assert_eq!(parse(text).to_string(), text);
        }
        for text in ["", ":1", "a b", "hub:", "hub@sha256:1", "/hub", "a/", "hub:1:2/"] {
            assert!(text.parse::<ImageReference>().is_err(), "{text}");
        }
    }

    #[test]
    fn image_spec_overrides_the_default_per_part() {
        let default = parse("ghcr.io/nh/hub:0.1.0");
        let spec = |repository: Option<&str>, tag: Option<&str>, digest: Option<&str>| Image {
            repository: repository.map(str::to_owned),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
            ..Image::default()
        };
        let pinned = format!("ghcr.io/nh/hub:0.1.0@{DIGEST}");
        let table = [
            ("ghcr.io/nh/hub:0.1.0", spec(None, None, None), "ghcr.io/nh/hub:0.1.0".to_owned()),
            ("ghcr.io/nh/hub:0.1.0", spec(Some("mirror/hub"), None, None), "mirror/hub:0.1.0".to_owned()),
            ("ghcr.io/nh/hub:0.1.0", spec(None, Some("2"), None), "ghcr.io/nh/hub:2".to_owned()),
            ("ghcr.io/nh/hub:0.1.0", spec(None, None, Some(DIGEST)), format!("ghcr.io/nh/hub@{DIGEST}")),
            (pinned.as_str(), spec(None, Some("2"), None), "ghcr.io/nh/hub:2".to_owned()),
            (pinned.as_str(), spec(Some("mirror/hub"), None, None), "mirror/hub:0.1.0".to_owned()),
        ];
        for (default, spec, expected) in table {
            assert_eq!(parse(default).with_overrides(&spec).to_string(), expected);
        }
        assert_eq!(default.with_overrides(&Image::default()), default);
    }
}
