//! The flags that say for which platform an image is wanted.

use clap::Args;
use layerstone_oci::Wanted;
use std::str::FromStr;

/// A platform as docker and crane write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Platform, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return Err("expected OS/ARCH or OS/ARCH/VARIANT, such as linux/arm64 or linux/arm/v7".to_owned()),
        };
        if parts.contains(&"") {
            return Err("found an empty part, expected OS/ARCH or OS/ARCH/VARIANT".to_owned());
        }
        Ok(Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant })
    }
}

/// Which image of several is meant.
#[derive(Args, Default)]
pub struct PlatformArgs {
    /// Platform of the image: --os, --arch and --variant in one
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", conflicts_with_all = ["os", "arch", "variant"])]
    platform: Option<Platform>,
    /// System that the image is for, by Go's name [default: linux]
    #[arg(long, value_name = "NAME")]
    pub os: Option<String>,
    /// Architecture of the image, by any common name [default: this machine's]
    #[arg(long, alias = "architecture", value_name = "NAME")]
    pub arch: Option<String>,
    /// Variant of the architecture, such as v7; images for a lower variant, or for none, match too
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
}

impl PlatformArgs {
    /// The platform that is wanted.
    pub fn wanted(&self) -> Wanted {
        match &self.platform {
            Some(Platform { os, architecture, variant }) => {
                Wanted::new(Some(os), Some(architecture), variant.as_deref())
            }
            None => Wanted::new(self.os.as_deref(), self.arch.as_deref(), self.variant.as_deref()),
        }
    }

    /// The platform of an image to look into: without a flag, one that is alone in its file is meant whatever it runs on.
    pub fn of_image(&self) -> Wanted {
        let wanted = self.wanted();
        if wanted.is_named { wanted } else { wanted.of_base() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms() {
        let parse = |text: &str| text.parse::<Platform>().map(|it| (it.os, it.architecture, it.variant));
        assert_eq!(parse("linux/arm64"), Ok(("linux".into(), "arm64".into(), None)));
        assert_eq!(parse("linux/arm/v7"), Ok(("linux".into(), "arm".into(), Some("v7".into()))));
        for text in ["", "linux", "arm64", "linux/", "/arm64", "linux/arm/v7/x", "linux/arm/"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
