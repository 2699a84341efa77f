//! The Nix expression of a lab: a derivation for every component, one for the environment, one for its graph.

use super::builder::Builder;
use super::component::Component;
use super::layout::SYSTEM;
use anyhow::{Context, Result};
use std::path::Path;
use xtask::stamp::RECIPE;

/// Names that Debian and nixpkgs do not share, where people look for nixpkgs' one.
const RENAMED: [(&str, &str); 1] = [("libc6", "glibc")];

/// The expression's text: a set of `env`, the closure's root, and `graph`, its references graph.
pub fn expression(name: &str, program: &Path, debs: &Path, components: &[Component]) -> Result<String> {
    let program = program.to_str().context("the work directory's name is no UTF-8")?;
    let common = |builder: Builder| {
        format!(
            "system = {}; builder = {}; args = [ \"lab-builder\" {} ]; PATH = \"/usr/bin:/bin\"; builderVersion = {RECIPE};",
            quote(SYSTEM),
            quote(program),
            quote(builder.name())
        )
    };
    let mut text = "let\n".to_owned();
    text += &format!(
        "  make = name: debs: deps: derivation {{ inherit name debs deps; {} }};\n",
        common(Builder::Component)
    );
    for (i, component) in components.iter().enumerate() {
        let debs = component.members.iter().map(|(package, facts)| {
            let file = debs.join(&package.file);
            let file = file.to_str().context("the work directory's name is no UTF-8")?;
            Ok(quote(&format!("{file}={}", facts.sha256)))
        });
        let debs = debs.collect::<Result<Vec<_>>>()?.join(" ");
        text +=
            &format!("  p{i} = make {} [ {debs} ] [ {} ];\n", quote(&store_name(component)), ids(&component.depends));
    }
    let linked: Vec<usize> = (0..components.len()).filter(|i| components[*i].in_env).collect();
    text += &format!(
        "  env = derivation {{ name = {}; deps = [ {} ]; {} }};\n",
        quote(&format!("{name}-env")),
        ids(&linked),
        common(Builder::Env)
    );
    text += &format!(
        "  graph = derivation {{ name = {}; __structuredAttrs = true; exportReferencesGraph.graph = [ env ]; {} }};\n",
        quote(&format!("{name}-graph.json")),
        common(Builder::Graph)
    );
    Ok(text + "in { inherit env graph; }\n")
}

fn ids(positions: &[usize]) -> String {
    positions.iter().map(|i| format!("p{i}")).collect::<Vec<_>>().join(" ")
}

/// NAME-VERSION of the leader, in the characters that a store path may have.
fn store_name(component: &Component) -> String {
    let name = RENAMED.iter().find(|(debian, _)| *debian == component.leader).map_or(component.leader, |(_, nix)| nix);
    let version = component.members.iter().find(|(package, _)| package.name == component.leader);
    format!("{name}-{}", version.map_or("0".to_owned(), |(package, _)| upstream(&package.version)))
}

/// The version without Debian's epoch, revision and marks of repackaging (Debian Policy, 5.6.12).
fn upstream(version: &str) -> String {
    let version = version.rsplit(':').next().unwrap_or(version);
    let version = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    let marks = ["+dfsg", "~dfsg", "+ds", "~ds"].iter().filter_map(|mark| version.find(mark));
    let version = &version[..marks.min().unwrap_or(version.len())];
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+._?=-".contains(c);
    version.chars().map(|c| if allowed(c) { c } else { '-' }).collect()
}

/// A string of the Nix language.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_versions() {
        let cases = [
            ("1:2.39.5-0+deb12u3", "2.39.5"),
            ("6.4.0~dfsg+~6.1.9-7", "6.4.0"),
            ("2.36-9+deb12u10", "2.36"),
            ("20250419~deb12u2", "20250419-deb12u2"),
            ("3.134", "3.134"),
        ];
        for (debian, expected) in cases {
            assert_eq!(upstream(debian), expected);
        }
    }

    #[test]
    fn nix_strings() {
        assert_eq!(quote(r#"a"b\${c}"#), r#""a\"b\\\${c}""#);
    }
}
