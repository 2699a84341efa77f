//! The flags that name scripts beside the root script, before and after the mount.

use anyhow::Result;
use clap::Args;
use layerstone_overlay::Hooks;
use layerstone_pipeline::root_script::read;
use std::path::PathBuf;

/// The scripts beside the mount.
#[derive(Args)]
#[command(next_help_heading = "Hooks, in the directory of mnt, layer and work; with programs of --store-closure")]
pub struct HookArgs {
    /// Script to run before the base and the layer are mounted
    #[arg(long, value_name = "FILE")]
    pre_mount: Option<PathBuf>,
    /// Script to run when they are mounted, before the root script
    #[arg(long, value_name = "FILE")]
    post_mount: Option<PathBuf>,
    /// Script to run when they are unmounted, before --extra-commands
    #[arg(long, value_name = "FILE")]
    post_umount: Option<PathBuf>,
}

impl HookArgs {
    /// Files that are read.
    pub fn files(&self) -> [&Option<PathBuf>; 3] {
        [&self.pre_mount, &self.post_mount, &self.post_umount]
    }

    /// The scripts that the flags name.
    pub fn read(&self) -> Result<Hooks> {
        let text = |file: &Option<PathBuf>| file.as_deref().map(read).transpose();
        Ok(Hooks {
            pre_mount: text(&self.pre_mount)?,
            post_mount: text(&self.post_mount)?,
            post_umount: text(&self.post_umount)?,
            extra_commands: None,
        })
    }
}
