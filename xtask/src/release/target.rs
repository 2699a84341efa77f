//! Targets that a release is made for, and what compiles for them.

use std::path::Path;
use std::str::FromStr;

/// Debian's compiler.
const RUSTC: &str = "/usr/bin/rustc";
/// Where its standard libraries are, each in a directory that is called as its target.
const RUSTLIB: &str = "/usr/lib/rustlib";

/// What a program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    X86_64,
    Aarch64,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 2] = [Target::X86_64, Target::Aarch64];

    /// Its name for rustc.
    pub fn triple(self) -> &'static str {
        match self {
            Target::X86_64 => "x86_64-unknown-linux-gnu",
            Target::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Its architecture for Debian, and for Go, and so for images.
    pub fn architecture(self) -> &'static str {
        match self {
            Target::X86_64 => "amd64",
            Target::Aarch64 => "arm64",
        }
    }

    /// Whether this program's machine is one.
    pub fn is_of_this_machine(self) -> bool {
        self.triple().starts_with(std::env::consts::ARCH)
    }

    /// Variables of the environment that have cargo and cc compile for it, where it is another machine: a linker, a compiler
    /// of C, and the compiler of Debian's `rustc-web` if its standard library for the target (`libstd-rust-web-dev`) is there.
    /// Otherwise the compiler that is in use must have one.
    pub fn tools(self) -> Vec<(String, String)> {
        if self.is_of_this_machine() {
            return Vec::new();
        }
        let (machine, _) = self.triple().split_once('-').unwrap_or((self.triple(), ""));
        let gcc = format!("{machine}-linux-gnu-gcc");
        let name = self.triple().replace('-', "_");
        let mut tools =
            vec![(format!("CC_{name}"), gcc.clone()), (format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), gcc)];
        if Path::new(RUSTLIB).join(self.triple()).exists() {
            tools.push(("RUSTC".to_owned(), RUSTC.to_owned()));
        }
        tools
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let known = Target::ALL.into_iter().find(|target| target.triple() == text);
        known.ok_or_else(|| format!("found {text:?}, expected one of {}", Target::ALL.map(Target::triple).join(", ")))
    }
}
