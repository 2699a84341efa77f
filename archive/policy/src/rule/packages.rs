//! Rules about packages: of store paths and of the base.

use super::validate_patterns;
use crate::{Facts, Finding, PackagesPolicy};
use glob::Pattern;
use layerstone_closure::{Closure, Package, chains};
use layerstone_store::StorePath;

pub(super) fn validate(policy: &PackagesPolicy) -> Result<(), String> {
    validate_patterns("packages.forbidden", &policy.forbidden)?;
    validate_patterns("packages.required", &policy.required)
}

pub(super) fn check(policy: &PackagesPolicy, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What brings a path in is looked for in all of them.
    let closure = if policy.forbidden.is_empty() { Closure::default() } else { facts.bill.closure() };
    for text in &policy.forbidden {
        let Ok(pattern) = Pattern::new(text) else { continue };
        findings.extend(
            facts.paths().filter(|path| is_meant(&pattern, path)).map(|path| forbidden(path, text, &closure, facts)),
        );
        let of_base = facts.bill.base.iter().flat_map(|base| &base.packages);
        findings.extend(of_base.filter(|package| pattern.matches(&package.name)).map(|package| {
            let message = format!("found {} {} of the base, forbidden by {text:?}", package.name, package.version);
            Finding::new(
                "packages.forbidden",
                message,
                "a smaller base is without it, such as a slim or distroless one",
            )
        }));
    }
    for text in &policy.required {
        let Ok(pattern) = Pattern::new(text) else { continue };
        let mut of_base = facts.bill.base.iter().flat_map(|base| &base.packages);
        if !facts.paths().any(|path| is_meant(&pattern, path)) && !of_base.any(|package| pattern.matches(&package.name))
        {
            let message = format!("found no package {text:?}");
            findings.push(Finding::new("packages.required", message, "add it to the contents of the image"));
        }
    }
    findings
}

/// The whole name, the name of the package, or that with its output: `openssl-dev` of `openssl-3.0-dev`.
fn is_meant(pattern: &Pattern, path: &StorePath) -> bool {
    let Package { name, output, .. } = Package::of(path);
    let with_output = if output.is_empty() { name.to_owned() } else { format!("{name}-{output}") };
    [path.name(), name, &with_output].iter().any(|name| pattern.matches(name))
}

fn forbidden(path: &StorePath, pattern: &str, closure: &Closure, facts: &Facts) -> Finding {
    let message = format!("found {}, forbidden by {pattern:?}", path.name());
    let chain = chains(closure, &[], path).ok().and_then(|chains| chains.take(1).next());
    let chain: Vec<String> = chain.into_iter().flatten().map(|path| path.name().to_owned()).collect();
    let hint = match &chain[..] {
        [.., referrer, _] => format!("{referrer} refers to it: build that without the reference, or leave it out"),
        _ => "it is among the contents of the image: leave it out".to_owned(),
    };
    Finding { chain, ..Finding::new("packages.forbidden", message, hint).at(path.as_str(), facts.layer_of(path)) }
}

#[cfg(test)]
mod tests {
    use crate::rule::tests::{check, facts};
    use crate::{Finding, Policy};
    use serde_json::json;

    #[test]
    fn names() {
        check(&json!({"packages": {"forbidden": ["clang*", "ssl"], "required": ["gcc", "openssl-dev", "app"]}}), &[]);
        check(
            &json!({"packages": {"forbidden": ["*-dev", "gcc"], "required": ["cacert"]}}),
            &[
                "packages.forbidden /nix/store/0-openssl-3.0-dev",
                "packages.forbidden /nix/store/0-gcc-13.2",
                "packages.required -",
            ],
        );
    }

    #[test]
    fn chains_of_references() {
        let policy = Policy::parse(br#"{"packages": {"forbidden": ["gcc"]}}"#, "p").unwrap();
        let found: Vec<Finding> = policy.check(&facts());
        assert_eq!(found[0].chain, ["app", "openssl-3.0-dev", "gcc-13.2"]);
        assert!(found[0].hint.starts_with("openssl-3.0-dev refers to it"), "{}", found[0].hint);
    }
}
