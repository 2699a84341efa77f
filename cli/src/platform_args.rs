//! The flags that say for which platform an image is wanted.

use clap::Args;
use layerstone_oci::Wanted;

/// Which image of several is meant.
#[derive(Args, Default)]
pub struct PlatformArgs {
    /// System that the image is for, by Go's name [default: linux]
    #[arg(long, value_name = "NAME")]
    pub os: Option<String>,
    /// Architecture that the image is for, by any of its names [default: this machine's]
    #[arg(long, value_name = "NAME")]
    pub arch: Option<String>,
    /// Variant of the architecture, such as v7; an image for a lesser one will do, or for none
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
}

impl PlatformArgs {
    /// The platform that is wanted.
    pub fn wanted(&self) -> Wanted {
        Wanted::new(self.os.as_deref(), self.arch.as_deref(), self.variant.as_deref())
    }

    /// The platform of an image to look into: without a flag, one that is alone in its file is meant whatever it runs on.
    pub fn of_image(&self) -> Wanted {
        let wanted = self.wanted();
        if wanted.is_named { wanted } else { wanted.of_base() }
    }
}
