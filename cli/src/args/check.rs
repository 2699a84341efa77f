//! The flags that say whether an image is checked before it is written.

use clap::Args;
use layerstone_pipeline::Checks;

/// What `build` and `image` look at.
#[derive(Args)]
#[command(next_help_heading = "Checks")]
pub struct CheckArgs {
    /// Make it an error if contents disagree, or if something keeps the image from running: a command, an interpreter, a
    /// library or a user that is not in it, programs of another architecture
    #[arg(long, conflicts_with = "no_check")]
    strict: bool,
    /// Do not look whether layers make an image, and whether it runs
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
