//! The flags that say what `extraCommands` and `fakeRootCommands` are given of this machine.

use clap::Args;
use layerstone_root::{Bounds, SandboxMode, SandboxOptions};
use layerstone_store::parse_bytes;
use std::time::Duration;

/// What scripts other than root scripts are given.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Sandbox of other scripts")]
pub struct SandboxArgs {
    /// Sandbox of --extra-commands and --fake-root-commands: auto (as much as works here, with a warning about the
    /// rest), require (all of it, or fail), or none (an ordinary process) [default: auto]
    #[arg(long, value_name = "WHETHER", value_parser = |text: &str| text.parse::<SandboxMode>())]
    sandbox: Option<SandboxMode>,
    /// Give scripts this machine's network
    #[arg(long)]
    network: bool,
    /// Seconds that each script may take [default: no limit]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    script_timeout: Option<u64>,
    /// Address space of each process of the scripts, in bytes, not of all together [default: as much as yours]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    script_memory: Option<u64>,
    /// Processes that each script may have at once; with more it is killed [default: as many as you]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    script_processes: Option<u32>,
}

impl SandboxArgs {
    /// What the flags say.
    pub fn options(&self) -> SandboxOptions {
        SandboxOptions {
            mode: self.sandbox.unwrap_or_default(),
            network: self.network,
            bounds: Bounds {
                time: self.script_timeout.map(Duration::from_secs),
                memory: self.script_memory,
                processes: self.script_processes,
            },
        }
    }
}
