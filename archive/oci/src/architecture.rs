//! Maps the names that uname, Nix and docker's own images have for architectures to Go's names, which image configs use
//! (OCI image-spec, config.md, "architecture").

use crate::{Error, Result};

/// Go's name, its variant if the other name implies one, and the other names.
const NAMES: [(&str, Option<&str>, &[&str]); 17] = [
    ("amd64", None, &["x86_64"]),
    ("arm64", None, &["aarch64", "arm64v8"]),
    ("arm", Some("v5"), &["armv5tel", "arm32v5"]),
    ("arm", Some("v6"), &["armv6l", "arm32v6"]),
    ("arm", Some("v7"), &["armv7l", "armv7a", "arm32v7"]),
    ("arm", None, &[]),
    ("386", None, &["i386", "i486", "i586", "i686", "x86"]),
    ("loong64", None, &["loongarch64"]),
    ("mips", None, &[]),
    ("mipsle", None, &["mipsel"]),
    ("mips64", None, &[]),
    ("mips64le", None, &["mips64el"]),
    ("ppc64", None, &["powerpc64"]),
    ("ppc64le", None, &["powerpc64le"]),
    ("riscv64", None, &["riscv64gc"]),
    ("s390x", None, &[]),
    ("wasm", None, &["wasm32"]),
];

/// Go's name of an architecture and the variant that the given name implies; `-linux` at its end is Nix's.
pub fn go_architecture(name: &str) -> Result<(&'static str, Option<&'static str>)> {
    let bare = name.strip_suffix("-linux").unwrap_or(name);
    let by_alias = NAMES.iter().find(|(_, _, aliases)| aliases.contains(&bare));
    let by_name = || NAMES.iter().find(|(go, variant, _)| *go == bare && variant.is_none());
    let (go, variant, _) = by_alias.or_else(by_name).ok_or_else(|| {
        let names: Vec<_> = NAMES.iter().filter(|(_, variant, _)| variant.is_none()).map(|(go, ..)| *go).collect();
        Error::Architecture { text: name.to_owned(), expected: names.join(", ") }
    })?;
    Ok((go, *variant))
}

/// Go's name of the architecture that this program was built for.
pub fn host_architecture() -> &'static str {
    match (std::env::consts::ARCH, cfg!(target_endian = "little")) {
        ("powerpc64", true) => "ppc64le",
        ("mips", true) => "mipsle",
        ("mips64", true) => "mips64le",
        (name, _) => go_architecture(name).map_or(name, |(go, _)| go),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("x86_64-linux", ("amd64", None)),
            ("aarch64", ("arm64", None)),
            ("armv7l-linux", ("arm", Some("v7"))),
            ("arm", ("arm", None)),
            ("i686-linux", ("386", None)),
            ("powerpc64le-linux", ("ppc64le", None)),
            ("s390x", ("s390x", None)),
        ] {
            assert_eq!(go_architecture(name).unwrap(), expected, "{name}");
        }
        let error = go_architecture("pdp11").unwrap_err().to_string();
        assert!(
            error.starts_with("unknown architecture: \"pdp11\": expected one of amd64, arm64, arm, 386,"),
            "{error}"
        );
        assert!(NAMES.iter().any(|(go, ..)| *go == host_architecture()));
    }
}
