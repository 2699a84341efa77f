//! The flags of every command that may talk to a registry.

use crate::interrupt;
use clap::Args;
use layerstone_pipeline::Registries;
use layerstone_registry::{InsecureHost, Options};
use layerstone_store::{Cancel, Limits};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How registries are talked to.
#[derive(Args, Default)]
#[command(next_help_heading = "Registry")]
pub struct RegistryArgs {
    /// A registry whose certificate need not be valid, and that may speak plain HTTP; one --insecure for each
    ///
    /// HOST covers all of its ports. This machine (localhost, 127.0.0.0/8, ::1) needs none. Plain HTTP is used only if
    /// the host answers TLS without TLS.
    #[arg(long, value_name = "HOST[:PORT]", value_parser = insecure_host)]
    insecure: Vec<InsecureHost>,
    /// Certificates of authorities to trust besides the system's, in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// File with credentials [default: $REGISTRY_AUTH_FILE, or podman's and docker's]
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// How often a failed request is tried again
    #[arg(long, value_name = "N", default_value_t = 5)]
    retries: u32,
    /// How long a connection may be silent before the request is tried again
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    io_timeout: u32,
    /// Repositories of the same registry that blobs may be taken over from; one --mount-from for each
    #[arg(long, value_name = "NAME")]
    mount_from: Vec<String>,
    /// Blobs to send at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    uploads: u16,
}

/// Reads a host. What is a file here is another argument, before which the host was left out.
fn insecure_host(text: &str) -> Result<InsecureHost, String> {
    if Path::new(text).is_file() {
        return Err(format!("found the file {text}, expected a host: --insecure names the registry that it is for"));
    }
    text.parse()
}

impl RegistryArgs {
    /// The registries that the flags speak of.
    pub fn registries(&self, limits: Limits) -> Registries {
        let options = Options {
            insecure: self.insecure.clone(),
            ca: self.ca.clone(),
            auth_file: self.authfile.clone(),
            retries: self.retries,
            io_timeout: Duration::from_secs(self.io_timeout.into()),
            limits,
            cancel: Cancel::when(interrupt::has_come),
        };
        Registries::new(options, self.mount_from.clone(), self.uploads.into())
    }

    /// Files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.ca.iter().chain(&self.authfile)
    }
}
