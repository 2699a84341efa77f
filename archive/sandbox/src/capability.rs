//! Lists the capabilities that root keeps in a sandbox, and gives up all others (capabilities(7)).

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

/// What docker leaves to root in a container: enough for files and users, not for the machine. Among the others are those
/// to remount what was made read-only, to write through /proc/PID/root of a process outside, to set the clock, to load
/// modules, and to raise limits.
pub const KEPT_CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Takes all other capabilities from whatever the calling process executes. Allocates nothing.
pub fn bound_capabilities() -> Result<(), Errno> {
    for capability in (CapabilitySet::all() - KEPT_CAPABILITIES).iter() {
        match remove_capability_from_bounding_set(capability) {
            // One that this kernel does not know.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
