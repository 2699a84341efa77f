//! The flags that say whether an image is checked before it is written.

use clap::Args;
use layerstone_pipeline::Checks;

/// What `build` and `image` look at.
#[derive(Args)]
#[command(next_help_heading = "Checks")]
pub struct CheckArgs {
    /// Fail if contents conflict, or if the image would not run: a missing command, interpreter, library or user, or
    /// programs of another architecture
    #[arg(long, conflicts_with = "no_check")]
    strict: bool,
    /// Do not check whether the layers fit and whether the image runs
    #[arg(long)]
    no_check: bool,
}

impl CheckArgs {
    pub fn checks(&self) -> Checks {
        match (self.strict, self.no_check) {
            (true, _) => Checks::Strict,
            (_, true) => Checks::None,
            _ => Checks::Warn,
        }
    }
}
