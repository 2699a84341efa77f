//! Selects the image for a platform from several, by the rules of containers/image (internal/pkg/platform,
//! `WantedPlatforms`). Does not know what holds the images.
//!
//! A machine of a variant runs images for lesser variants too, and those without a variant: a wanted `arm/v7` takes v7, else
//! v6, else v5, else one without. Where no variant is named, one without is taken first, and then, but for amd64, the
//! greatest variant; amd64 without a variant is v1, which every machine runs.

use crate::Platform;
use crate::architecture::{go_architecture, host_architecture};
use std::fmt;

/// The system of images, unless another one is named; indexes of others list Windows too.
const OS: &str = "linux";

/// The variants of an architecture, each of which runs what is for those behind it (containers/image, `compatibility`).
const VARIANTS: [(&str, &[&str]); 3] =
    [("amd64", &["v4", "v3", "v2"]), ("arm", &["v8", "v7", "v6", "v5"]), ("arm64", &["v8"])];

/// The platform that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// With the variant that was named.
    platform: Platform,
    /// Variants that will do, the best first.
    variants: Vec<Option<String>>,
    /// Whether it was named at all, so that an image for another one must not be taken.
    pub is_named: bool,
    /// Whether it is that of an image to look into or to build on.
    pub is_base: bool,
}

impl Wanted {
    /// The platform of these names, which may be those of uname or Nix; what is not named is this machine's.
    pub fn new(os: Option<&str>, architecture: Option<&str>, variant: Option<&str>) -> Wanted {
        let (go, implied) = match architecture {
            Some(name) => go_architecture(name).unwrap_or((name, None)),
            None => (host_architecture(), None),
        };
        let variant = variant.or(implied).filter(|variant| !variant.is_empty());
        Wanted {
            platform: Platform {
                os: os.unwrap_or(OS).to_owned(),
                architecture: go.to_owned(),
                variant: variant.map(str::to_owned),
                ..Platform::default()
            },
            variants: variants_for(go, variant),
            is_named: os.or(architecture).or(variant).is_some(),
            is_base: false,
        }
    }

    /// The only image of a file, whatever it runs on.
    pub fn any() -> Wanted {
        Wanted::new(None, None, None).of_base()
    }

    /// The same for an image to look into or to build on: where a file holds but one image, that one is meant, whatever it
    /// runs on, unless it stands in an index and another platform was named.
    pub fn of_base(self) -> Wanted {
        Wanted { is_base: true, ..self }
    }

    /// How good an image of a platform is, 0 being the best; none if it will not do.
    pub fn rank(&self, platform: &Platform) -> Option<usize> {
        let (architecture, implied) = go_architecture(&platform.architecture).unwrap_or((&platform.architecture, None));
        let os = if platform.os.is_empty() { OS } else { &platform.os };
        let variant = platform.variant.as_deref().or(implied);
        let variant = variant.filter(|variant| !is_plain(architecture, variant));
        let is_same_machine = os == self.platform.os && architecture == self.platform.architecture;
        self.variants.iter().position(|wanted| is_same_machine && wanted.as_deref() == variant)
    }

    /// The best of several images: of those whose platform stands in what lists them, or else the first of those whose
    /// platform is found by looking at them. One without any is taken if no platform was named.
    ///
    /// # Errors
    ///
    /// An image cannot be looked at.
    pub fn best<'a, T, E>(
        &self,
        images: &[&'a T],
        listed: impl Fn(&T) -> Option<&Platform>,
        look: &mut dyn FnMut(&T) -> Result<Option<Platform>, E>,
    ) -> Result<Option<&'a T>, E> {
        let ranked = images.iter().filter_map(|image| Some((self.rank(listed(image)?)?, *image)));
        // Of equal ones the first.
        if let Some((_, best)) = ranked.min_by_key(|(rank, _)| *rank) {
            return Ok(Some(best));
        }
        let mut unknown = None;
        for image in images.iter().filter(|image| listed(image).is_none()) {
            match look(image)? {
                Some(found) if self.rank(&found).is_some() => return Ok(Some(image)),
                Some(_) => {}
                None => unknown = unknown.or(Some(*image)),
            }
        }
        Ok(unknown.filter(|_| !self.is_named))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.platform.fmt(f)
    }
}

/// What will do for a variant, or for none, the best first.
fn variants_for(architecture: &str, variant: Option<&str>) -> Vec<Option<String>> {
    let variants = VARIANTS.iter().find(|(name, _)| *name == architecture).map_or(&[][..], |(_, variants)| variants);
    let some = |variants: &[&str]| variants.iter().map(|variant| Some((*variant).to_owned())).collect::<Vec<_>>();
    match variant.filter(|variant| !is_plain(architecture, variant)) {
        Some(variant) => {
            let at = variants.iter().position(|other| *other == variant);
            let fitting = at.map_or_else(|| some(&[variant]), |at| some(&variants[at..]));
            fitting.into_iter().chain([None]).collect()
        }
        None if architecture == "amd64" => vec![None],
        None => [None].into_iter().chain(some(variants)).collect(),
    }
}

/// Whether a variant is that of every machine of the architecture.
fn is_plain(architecture: &str, variant: &str) -> bool {
    variant.is_empty() || (architecture, variant) == ("amd64", "v1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::convert::Infallible;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').map(str::to_owned);
        let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
        Platform { os, architecture, variant: parts.next(), ..Platform::default() }
    }

    /// `wanted` is an architecture and a variant, each of which may be left out; `images` are listed, or in brackets found
    /// by looking.
    #[track_caller]
    fn check(wanted: &str, images: &str, expected: Option<&str>) {
        let (architecture, variant) = wanted.split_once('/').unwrap_or((wanted, ""));
        let named = |text| Some(text).filter(|text: &&str| !text.is_empty());
        let asked = Wanted::new(None, named(architecture), named(variant));
        let all: Vec<(&str, Option<Platform>)> =
            images.split_whitespace().map(|text| (text, (!text.starts_with('[')).then(|| platform(text)))).collect();
        let mut look = |(text, _): &(&str, Option<Platform>)| -> Result<_, Infallible> {
            let inner = text.trim_matches(['[', ']']);
            Ok((!inner.is_empty()).then(|| platform(inner)))
        };
        let refs: Vec<_> = all.iter().collect();
        let best = asked.best(&refs, |(_, listed)| listed.as_ref(), &mut look).unwrap();
        assert_eq!(best.map(|(text, _)| *text), expected, "{wanted} of {images}");
    }

    #[test]
    fn variants_fall_back() {
        check("arm64", "linux/arm64", Some("linux/arm64"));
        check("arm64", "linux/arm64/v8", Some("linux/arm64/v8"));
        check("arm64/v8", "linux/arm64", Some("linux/arm64"));
        check("arm64", "linux/arm64/v8 linux/arm64", Some("linux/arm64"));
        check("arm64/v8", "linux/arm64 linux/arm64/v8", Some("linux/arm64/v8"));
        check("aarch64-linux", "linux/arm64/v8", Some("linux/arm64/v8"));
        for fits in ["linux/arm", "linux/arm/v5", "linux/arm/v6", "linux/arm/v7"] {
            check("armv7l-linux", fits, Some(fits));
            check("arm/v7", fits, Some(fits));
            check("arm", fits, Some(fits));
        }
        check("arm/v7", "linux/arm/v5 linux/arm linux/arm/v6", Some("linux/arm/v6"));
        check("arm/v6", "linux/arm/v7", None);
        check("arm", "linux/arm/v6 linux/arm/v7", Some("linux/arm/v7"));
        check("arm", "linux/arm/v6 linux/arm linux/arm/v7", Some("linux/arm"));
        let amd64 = "linux/amd64/v3 linux/amd64/v2 linux/amd64";
        check("amd64", amd64, Some("linux/amd64"));
        check("amd64/v1", amd64, Some("linux/amd64"));
        check("amd64/v4", amd64, Some("linux/amd64/v3"));
        check("amd64/v2", amd64, Some("linux/amd64/v2"));
        check("amd64", "linux/amd64/v2 linux/amd64/v3", None);
        check("amd64", "linux/amd64/v1", Some("linux/amd64/v1"));
        check("x86_64", "linux/amd64 linux/amd64", Some("linux/amd64"));
        check("riscv64/rva23", "linux/riscv64", Some("linux/riscv64"));
        check("amd64", "windows/amd64 linux/amd64", Some("linux/amd64"));
        check("amd64", "windows/amd64", None);
        check("arm64", "linux/arm64v8", Some("linux/arm64v8"));
    }

    #[test]
    fn what_tells_no_platform_is_looked_at() {
        check("arm64", "[linux/amd64] [linux/arm64] [linux/arm64]", Some("[linux/arm64]"));
        check("arm64", "[linux/arm64] linux/arm64/v8", Some("linux/arm64/v8"));
        check("arm64", "[/arm64]", Some("[/arm64]"));
        check("arm64", "[linux/amd64] []", None);
        check("", "[plan9/amd64] [] []", Some("[]"));
        check("arm64", "", None);
    }

    #[test]
    fn what_a_config_says() {
        let found = |config| Platform::of_config(&config).map(|platform| platform.to_string());
        assert_eq!(found(json!({"architecture": "arm", "os": "linux", "variant": "v7"})).unwrap(), "linux/arm/v7");
        assert_eq!(found(json!({"architecture": "arm", "variant": ""})).unwrap(), "/arm");
        for nothing in [json!({}), json!({"architecture": ""}), json!({"architecture": 1}), json!(null)] {
            assert_eq!(found(nothing), None);
        }
    }
}
