//! The flags that say what `extraCommands` and `fakeRootCommands` are given of this machine.

use clap::Args;
use layerstone_root::{Bounds, SandboxMode, SandboxOptions};
use layerstone_store::parse_bytes;
use std::time::Duration;

/// What scripts other than root scripts are given.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Sandbox of other scripts")]
pub struct SandboxArgs {
    /// Whether --extra-commands and --fake-root-commands run in a sandbox: auto (as much of one as there can be here, with a
    /// warning beforehand about what it lacks), require (all of it, or the script is not run), or none (as any other
    /// process of yours) [default: auto]
    #[arg(long, value_name = "WHETHER", value_parser = |text: &str| text.parse::<SandboxMode>())]
    sandbox: Option<SandboxMode>,
    /// Let them see this machine's network
    #[arg(long)]
    network: bool,
    /// Seconds that each of them may take [default: as long as it needs]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    script_timeout: Option<u64>,
    /// Address space that each process of theirs may have, not all together [default: as much as yours]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    script_memory: Option<u64>,
    /// Processes that each of them may have at once; it is killed when there are more [default: as many as you]
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
