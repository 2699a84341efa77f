//! The flags of the commands that ask about images wherever they are: `diff`, `why` and `explain`.

use crate::args::platform::PlatformArgs;
use crate::args::read::ReadArgs;
use clap::Args;

/// How images are looked into, and in which form that is answered.
#[derive(Args)]
pub struct LookArgs {
    /// The store directory of the images
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    pub store: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub platform: PlatformArgs,
    #[command(flatten)]
    pub read: ReadArgs,
}
