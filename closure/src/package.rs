//! Splits a store path's name into package, version and output, as Nix does where Nix says how.

use layerstone_store::StorePath;

/// Words that end a version and are no output's name.
const OF_VERSIONS: [&str; 10] =
    ["unstable", "stable", "alpha", "beta", "rc", "pre", "git", "nightly", "snapshot", "final"];

/// What a store path's name says of what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package<'a> {
    /// Name of the package: `openssl` of `openssl-3.0.11-bin` ([`StorePath::package`]).
    pub name: &'a str,
    /// Its version; empty if there is none.
    pub version: &'a str,
    /// The output's name; empty for the first output, and where there is no version.
    pub output: &'a str,
}

impl<'a> Package<'a> {
    /// That of a path. The version begins where Nix sees one; what follows the last dash behind it is an output if it is
    /// of small letters alone, or `lib32` or `lib64` (nix, src/nix/diff-closures.cc), and no word of versions.
    pub fn of(path: &'a StorePath) -> Package<'a> {
        let name = path.package();
        let rest = path.name()[name.len()..].trim_start_matches('-');
        let (version, output) = rest.rsplit_once('-').filter(|(_, output)| is_output(output)).unwrap_or((rest, ""));
        Package { name, version, output }
    }
}

fn is_output(text: &str) -> bool {
    let is_small = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    matches!(text, "lib32" | "lib64") || is_small && !OF_VERSIONS.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that are hard to split, most of them of nixpkgs.
    #[test]
    fn hard_names() {
        for (text, name, version, output) in [
            ("openssl-3.0.11", "openssl", "3.0.11", ""),
            ("openssl-3.0.11-dev", "openssl", "3.0.11", "dev"),
            ("glibc-2.39-52", "glibc", "2.39-52", ""),
            ("glibc-2.39-52-lib64", "glibc", "2.39-52", "lib64"),
            ("bash-5.2-p15", "bash", "5.2-p15", ""),
            ("bash-interactive-5.2p37", "bash-interactive", "5.2p37", ""),
            ("python3.12-requests-2.32.3", "python3.12-requests", "2.32.3", ""),
            ("python3-3.12.8-env", "python3", "3.12.8", "env"),
            ("perl5.40.0-JSON-4.10", "perl5.40.0-JSON", "4.10", ""),
            ("gtk+3-3.24.43", "gtk+3", "3.24.43", ""),
            ("libX11-1.8.10-lib", "libX11", "1.8.10", "lib"),
            ("nix-2.24.10-unstable", "nix", "2.24.10-unstable", ""),
            ("fira-code-0-unstable-2024-05-01", "fira-code", "0-unstable-2024-05-01", ""),
            ("tzdata-2024b", "tzdata", "2024b", ""),
            ("gcc-13.3.0-libgcc", "gcc", "13.3.0", "libgcc"),
            ("hello-2.10.tar.gz", "hello", "2.10.tar.gz", ""),
            ("0001-fix-build.patch", "0001-fix-build.patch", "", ""),
            ("linux-6.6.63-modules-shrunk", "linux", "6.6.63-modules", "shrunk"),
            ("foo-dev", "foo-dev", "", ""),
            ("foo-", "foo-", "", ""),
            ("foo-1-", "foo", "1-", ""),
            ("foo--", "foo", "", ""),
            ("foo-_1", "foo", "_1", ""),
            ("source", "source", "", ""),
        ] {
            let path = StorePath::parse(&format!("/nix/store/{}-{text}", "0".repeat(32))).unwrap();
            assert_eq!(Package::of(&path), Package { name, version, output }, "{text}");
        }
    }
}
