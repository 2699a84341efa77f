//! Names the backends that run a script as root.

use std::fmt;
use std::str::FromStr;

/// What runs a script as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// A virtual machine on the processor's own support.
    Kvm,
    /// A virtual machine whose processor is emulated.
    Emulation,
    /// Root of a user namespace with all users that the caller may map.
    Userns,
    /// Root, in namespaces.
    Namespace,
}

/// A backend that is not available, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The backend.
    pub backend: Backend,
    /// Why it is not available.
    pub reason: String,
    /// Whether it was waited for in vain.
    pub is_silent: bool,
}

impl Backend {
    /// All of them.
    pub const ALL: [Backend; 4] = [Backend::Kvm, Backend::Userns, Backend::Emulation, Backend::Namespace];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Kvm => "kvm",
            Backend::Emulation => "emulation",
            Backend::Userns => "userns",
            Backend::Namespace => "namespace",
        }
    }

    /// Where the script runs then.
    pub fn describe(self) -> &'static str {
        match self {
            Backend::Kvm => "a virtual machine (KVM)",
            Backend::Emulation => "an emulated virtual machine",
            Backend::Userns => "a user namespace",
            Backend::Namespace => "namespaces, as root of this machine",
        }
    }

    /// Whether it is a virtual machine.
    pub fn is_machine(self) -> bool {
        matches!(self, Backend::Kvm | Backend::Emulation)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Backend, String> {
        let found = Backend::ALL.into_iter().find(|backend| backend.name() == text);
        found.ok_or_else(|| format!("found {text}, expected kvm, emulation, userns or namespace"))
    }
}
