//! Holds the settings of a client. Does not know where they come from.

use crate::InsecureHost;
use layerstone_store::{Cancel, Limits};
use std::path::PathBuf;
use std::time::Duration;

/// The settings of a client.
#[derive(Clone, Debug)]
pub struct Options {
    /// Hosts that may use any certificate or plain HTTP. This machine is exempt already.
    pub insecure: Vec<InsecureHost>,
    /// Certificates of authorities, in PEM, besides the system's.
    pub ca: Option<PathBuf>,
    /// The file with credentials, if one is named.
    pub auth_file: Option<PathBuf>,
    /// Retries of a failed request.
    pub retries: u32,
    /// Timeout of silence: nothing is received though something must, or nothing can be sent.
    pub io_timeout: Duration,
    /// How much of an answer is read.
    pub limits: Limits,
    /// Cancels all requests.
    pub cancel: Cancel,
}

impl Default for Options {
    /// The system's certificates, the user's credentials, three retries, a minute of silence, never cancelled.
    fn default() -> Options {
        let (insecure, io_timeout) = (Vec::new(), Duration::from_secs(60));
        let (limits, cancel) = (Limits::default(), Cancel::default());
        Options { insecure, ca: None, auth_file: None, retries: 3, io_timeout, limits, cancel }
    }
}
