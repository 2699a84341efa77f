//! `layerstone helper`: writes ready contents alone into a new directory.

use crate::args::store::StoreArgs;
use crate::overwrite::Files;
use anyhow::Result;
use clap::Args;
use layerstone_root::write_helper;
use layerstone_spec::Helper;
use std::path::PathBuf;

/// Write ready contents: users, a /tmp, links to sh and certificates
///
/// `root`, `build` and image.json put the same into an image: --helper NAME[=PATH], "helpers". The names are those of
/// nixpkgs: fakeNss (/etc/passwd, group and nsswitch.conf, /var/empty), shadowSetup (what useradd and su need),
/// usrBinEnv=PATH (/usr/bin/env), binSh=PATH (/bin/sh) and caCertificates=PATH (in /etc/ssl and /etc/pki), which link into
/// the package that PATH is; and tmp (/tmp with mode 1777), which nixpkgs has not.
#[derive(Args)]
pub struct Options {
    /// Which contents, and the package that they link to; or an entry of image.json's "helpers", as JSON
    #[arg(value_name = "NAME[=PATH]")]
    helper: Helper,
    /// Directory to make
    #[arg(id = "folder", value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(options: &Options) -> Result<()> {
    let store = options.store.store()?;
    Files::of(&store).reads(options.helper.package()).writes([&options.directory]).check()?;
    Ok(write_helper(&store, &options.helper, &options.directory)?)
}
