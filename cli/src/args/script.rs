//! The flags that say where root scripts run.

use clap::Args;
use layerstone_overlay::Choice;
use layerstone_pipeline::ScriptOptions;
use layerstone_spec::{LEAST_VM_MEMORY, MOST_VM_SIZE};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where root scripts run.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Where root scripts run")]
pub struct ScriptArgs {
    /// Where to run them: vm (kvm, or else emulation), kvm, emulation, userns, or namespace (root, and nothing between the
    /// script and this kernel) [default: kvm, or else userns, or else emulation]
    #[arg(long, value_name = "BACKEND", value_parser = |text: &str| text.parse::<Choice>())]
    backend: Option<Choice>,
    /// Disk space for the layer and other files of the scripts, in MiB [default: 1024]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=MOST_VM_SIZE))]
    disk_size: Option<u64>,
    /// Memory of a virtual machine, in MiB, 256 at least [default: 512]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(LEAST_VM_MEMORY..=MOST_VM_SIZE))]
    memory: Option<u64>,
    /// Seconds that the scripts may take [default: no limit]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    #[command(flatten)]
    machine: MachineArgs,
}

/// What a virtual machine is made of.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Where root scripts run")]
pub struct MachineArgs {
    /// Linux kernel of a virtual machine [default: the newest in /boot, those for virtual machines first]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Directory to keep merged bases of virtual machines in
    #[arg(long, value_name = "DIR")]
    base_cache: Option<PathBuf>,
    /// Seconds within which a virtual machine must start [default: 10 with kvm, 150 with emulation]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    boot_timeout: Option<u64>,
}

impl MachineArgs {
    /// What these flags say.
    pub fn options(&self) -> ScriptOptions {
        ScriptOptions {
            kernel: self.kernel.clone(),
            base_cache: self.base_cache.clone(),
            boot_timeout: self.boot_timeout.map(Duration::from_secs),
            ..ScriptOptions::default()
        }
    }
}

impl ScriptArgs {
    /// What the flags say.
    pub fn options(&self) -> ScriptOptions {
        ScriptOptions {
            backend: self.backend.unwrap_or_default(),
            timeout: self.timeout.map(Duration::from_secs),
            disk_size: self.disk_size,
            memory: self.memory,
            ..self.machine.options()
        }
    }

    /// Files that are read.
    pub fn files(&self) -> Option<&Path> {
        self.machine.kernel.as_deref()
    }
}
