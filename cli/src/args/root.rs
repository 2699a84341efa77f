//! The flags that say how contents get into the root, which `root` and `build` share.

use crate::message::usage_error::conflict;
use anyhow::Result;
use clap::{Args, ValueEnum};
use layerstone_spec::{CopyEntry, Helper, RootMode, Script, Spec};
use std::path::PathBuf;

/// How contents get into the root, and over what of a base.
#[derive(Args)]
pub struct RootArgs {
    /// How contents get into the root [default: links]
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// With --mode copy: leave links to directories as they are, and put contents through them (rsync's -K instead of
    /// -k)
    #[arg(long)]
    keep_dirlinks: bool,
    /// Files, a directory or a tar of this machine to copy into the image, such as ./app:/bin/app, conf/:/etc/app,
    /// rootfs.tar:/; options behind it: mode=0755, uid=N, gid=N, exclude=GLOB, unpack=true or false, layer=NAME for a layer
    /// of their own, libraries=true for what --with-libraries does, divide=DEPTH and layers=N for a
    /// directory of packages in several layers
    #[arg(long, value_name = "FROM:TO[,KEY=VALUE...]")]
    copy: Vec<CopyEntry>,
    /// Also copy the interpreters and shared libraries that programs among these files need, from this machine, into a
    /// layer called `libraries`
    #[arg(long)]
    with_libraries: bool,
    /// Ready contents to put beside the others, each once: fakeNss, tmp, shadowSetup, and with the package that they link
    /// to usrBinEnv, binSh, caCertificates
    #[arg(long, value_name = "NAME[=PATH]")]
    helper: Vec<Helper>,
    /// Script to run in the layer afterwards as a fake root: it can set owners, make device nodes and set file
    /// capabilities
    #[arg(long, value_name = "FILE")]
    fake_root_commands: Option<PathBuf>,
    /// Run that script with the layer as its root directory, and the store mounted in it
    #[arg(long)]
    enable_fakechroot: bool,
    /// Keep extended attributes (user.*) and file capabilities of files
    #[arg(long)]
    xattrs: bool,
    /// Let contents, helpers and the script replace entries of another kind in the base image (a link with a directory,
    /// a directory with a file), and helpers replace its files
    #[arg(long)]
    replace: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// As links into the store; the first of two contents wins
    Links,
    /// As copies; the last one wins
    Copy,
}

impl RootArgs {
    /// Puts what the flags say over what the spec does.
    pub fn apply(&self, command: &str, spec: &mut Spec) -> Result<()> {
        match self.mode {
            Some(Mode::Links) => spec.root_mode = RootMode::Links,
            Some(Mode::Copy) if spec.root_mode == RootMode::Links => spec.root_mode = RootMode::Copy,
            Some(Mode::Copy) | None => {}
        }
        if self.keep_dirlinks {
            if spec.root_mode == RootMode::Links {
                return Err(conflict(command, "--keep-dirlinks: expected --mode copy with it"));
            }
            spec.root_mode = RootMode::CopyKeepingDirlinks;
        }
        spec.copy.extend(self.copy.iter().cloned());
        if self.with_libraries {
            if spec.copy.is_empty() {
                return Err(conflict(command, "--with-libraries: expected --copy with it"));
            }
            spec.copy.iter_mut().for_each(|entry| entry.libraries = true);
        }
        for helper in &self.helper {
            // What is named again takes the place of what the spec says.
            spec.helpers.retain(|other| other.name() != helper.name());
            spec.helpers.push(helper.clone());
        }
        spec.fake_root_commands = self.fake_root_commands.clone().map(Script::File).or(spec.fake_root_commands.take());
        if self.enable_fakechroot && spec.fake_root_commands.is_none() {
            return Err(conflict(command, "--enable-fakechroot: expected --fake-root-commands with it"));
        }
        spec.enable_fakechroot |= self.enable_fakechroot;
        spec.xattrs |= self.xattrs;
        spec.replace |= self.replace;
        Ok(())
    }
}
