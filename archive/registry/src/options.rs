//! Holds the settings of a client. Does not know where they come from.

use crate::InsecureHost;
use layerstone_store::{Cancel, Limits};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// Is told of retries.
    pub notify: Notify,
    /// Knows which hosts are waited for.
    pub waiting: Waiting,
}

/// The hosts that have been asked something short and have not begun to answer. All clones are one.
#[derive(Clone, Debug, Default)]
pub struct Waiting(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    next: u64,
    hosts: BTreeMap<u64, (String, Instant)>,
}

impl Waiting {
    /// The host that is waited for longest, and how long.
    pub fn longest(&self) -> Option<(String, Duration)> {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.hosts.values().next().map(|(host, since)| (host.clone(), since.elapsed()))
    }

    /// Waits for a host while something is done.
    pub fn during<T>(&self, host: &str, work: impl FnOnce() -> T) -> T {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked = lock();
        let number = asked.next;
        asked.next += 1;
        asked.hosts.insert(number, (host.to_owned(), Instant::now()));
        drop(asked);
        let result = work();
        lock().hosts.remove(&number);
        result
    }
}

/// Receives what a user should know while requests go on: one line each, from any thread.
#[derive(Clone, Default)]
pub struct Notify(Option<Arc<Receive>>);

type Receive = dyn Fn(&str) + Send + Sync;

impl Notify {
    /// Calls a function.
    pub fn with(receive: impl Fn(&str) + Send + Sync + 'static) -> Notify {
        Notify(Some(Arc::new(receive)))
    }

    /// Tells a line.
    pub fn tell(&self, message: &str) {
        if let Some(receive) = &self.0 {
            receive(message);
        }
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Notify(…)" } else { "Notify" })
    }
}

impl Default for Options {
    /// The system's certificates, the user's credentials, three retries, a minute of silence, never cancelled; nobody is told of retries.
    fn default() -> Options {
        let (insecure, io_timeout) = (Vec::new(), Duration::from_secs(60));
        let (limits, cancel, notify) = (Limits::default(), Cancel::default(), Notify::default());
        let waiting = Waiting::default();
        Options { insecure, ca: None, auth_file: None, retries: 3, io_timeout, limits, cancel, notify, waiting }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_was_asked() {
        let waiting = Waiting::default();
        assert_eq!(waiting.longest(), None);
        let host = || waiting.longest().map(|(host, _)| host);
        waiting.during("a:1", || {
            assert_eq!(host().as_deref(), Some("a:1"));
            waiting.clone().during("b:2", || assert_eq!(host().as_deref(), Some("a:1")));
        });
        waiting.during("b:2", || assert_eq!(host().as_deref(), Some("b:2")));
        assert_eq!(waiting.longest(), None);
    }
}
