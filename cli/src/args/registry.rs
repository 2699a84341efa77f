//! The flags of every command that may talk to a registry.

use crate::args::Common;
use crate::message::interrupt;
use clap::Args;
use layerstone_pipeline::{Registries, Report};
use layerstone_registry::{InsecureHost, Notify, Options};
use layerstone_store::{Cancel, Limits};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How registries are talked to.
#[derive(Args)]
#[command(next_help_heading = "Registry")]
pub struct ConnectArgs {
    /// Registry that may have an invalid certificate or use plain HTTP; one --insecure for each
    ///
    /// HOST covers all of its ports. This machine (localhost, 127.0.0.0/8, ::1) needs none. Plain HTTP is used only if
    /// the host answers TLS without TLS.
    #[arg(long, value_name = "HOST[:PORT]", value_parser = insecure_host)]
    insecure: Vec<InsecureHost>,
    /// Certificates of additional authorities to trust, in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// File with credentials [default: $REGISTRY_AUTH_FILE, or podman's and docker's]
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Mirror of a registry, which is asked first; one --mirror for each
    #[arg(long, value_name = "REGISTRY=HOST[/PREFIX]")]
    mirror: Vec<Mirror>,
    /// Number of retries of a failed request
    #[arg(long, value_name = "N", default_value_t = RETRIES)]
    retries: u32,
    /// Seconds of silence on a connection before the request is retried
    #[arg(long, value_name = "S", default_value_t = IO_TIMEOUT, value_parser = clap::value_parser!(u32).range(1..))]
    io_timeout: u32,
}

/// How registries are talked to, and how much at a time.
#[derive(Args)]
#[command(next_help_heading = "Registry")]
pub struct RegistryArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Repository of the same registry to mount blobs from; one --mount-from for each
    #[arg(long, value_name = "NAME")]
    mount_from: Vec<String>,
    /// Blobs to send at a time
    #[arg(long, value_name = "N", default_value_t = UPLOADS, value_parser = clap::value_parser!(u16).range(1..=64))]
    uploads: u16,
}

/// A mirror of a registry: `REGISTRY=HOST[:PORT][/PREFIX]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror(layerstone_pipeline::Mirror);

impl FromStr for Mirror {
    type Err = String;

    fn from_str(text: &str) -> Result<Mirror, String> {
        let expected = "expected REGISTRY=HOST[:PORT][/PREFIX], such as docker.io=mirror.example";
        let (of, mirror) = text.split_once('=').ok_or(expected)?;
        let (host, prefix) = mirror.split_once('/').unwrap_or((mirror, ""));
        let is_host = |host: &str| host == "docker.io" || layerstone_oci::parse_reference(&format!("{host}/x")).is_ok();
        let is_prefix = prefix.is_empty() || layerstone_oci::parse_reference(&format!("{host}/{prefix}")).is_ok();
        if !is_host(of) || !is_host(host) || !is_prefix || prefix.contains([':', '@']) {
            return Err(format!("found {text:?}, {expected}"));
        }
        let (of, host, prefix) = (of.to_owned(), host.to_owned(), prefix.to_owned());
        Ok(Mirror(layerstone_pipeline::Mirror { of, host, prefix }))
    }
}

/// Reads a host. What is a file here is another argument, before which the host was left out.
pub fn insecure_host(text: &str) -> Result<InsecureHost, String> {
    if Path::new(text).is_file() {
        return Err(format!("found the file {text}, expected a host: --insecure names the registry that it is for"));
    }
    text.parse()
}

/// What no flag says: retries, seconds, and blobs at a time.
const RETRIES: u32 = 5;
const IO_TIMEOUT: u32 = 60;
const UPLOADS: u16 = 4;

/// Without flags.
impl Default for ConnectArgs {
    fn default() -> ConnectArgs {
        ConnectArgs {
            insecure: Vec::new(),
            ca: None,
            authfile: None,
            mirror: Vec::new(),
            retries: RETRIES,
            io_timeout: IO_TIMEOUT,
        }
    }
}

impl ConnectArgs {
    /// The registries that the flags speak of, to read from.
    pub fn registries(&self, limits: Limits, common: &Common) -> Registries {
        Registries::new(self.options(limits, common), Vec::new(), UPLOADS.into()).with_mirrors(self.mirrors())
    }

    fn mirrors(&self) -> Vec<layerstone_pipeline::Mirror> {
        self.mirror.iter().map(|Mirror(mirror)| mirror.clone()).collect()
    }

    fn options(&self, limits: Limits, common: &Common) -> Options {
        let report = common.clone();
        Options {
            insecure: self.insecure.clone(),
            ca: self.ca.clone(),
            auth_file: self.authfile.clone(),
            retries: self.retries,
            io_timeout: Duration::from_secs(self.io_timeout.into()),
            limits,
            cancel: Cancel::when(interrupt::has_come),
            waiting: common.board.waiting(),
            notify: Notify::with(move |message| report.warning(message)),
        }
    }

    /// Files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.ca.iter().chain(&self.authfile)
    }
}

impl RegistryArgs {
    /// The registries that the flags speak of.
    pub fn registries(&self, limits: Limits, common: &Common) -> Registries {
        Registries::new(self.connect.options(limits, common), self.mount_from.clone(), self.uploads.into())
            .with_mirrors(self.connect.mirrors())
    }

    /// Files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.connect.files()
    }
}
