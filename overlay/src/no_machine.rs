//! Replaces virtual machines in builds without them: none is available.

use crate::receive::{HostSide, Received};
use crate::{Backend, Error, Result, Run};

/// Runs nothing.
pub fn run(_backend: Backend, _run: &Run<'_>, _host: &mut HostSide<'_>) -> Result<Received> {
    Err(Error::Unavailable("this program was built without virtual machines (feature vm)".to_owned()))
}
