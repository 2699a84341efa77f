//! Rules about licences, which only evaluation knows: store paths without any are unknown.

use crate::{Facts, Finding, LicensesPolicy};
use layerstone_sbom::License;

pub(super) fn check(policy: &LicensesPolicy, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for component in &facts.bill.components {
        let (path, name) = (component.path(), component.name());
        let licenses = component.meta.as_ref().map_or(&[][..], |meta| &meta.licenses);
        let place = |finding: Finding| finding.at(path.as_str(), facts.layer_of(path));
        if policy.required && licenses.is_empty() && !component.version().is_empty() {
            let hint = "--meta FILE tells licences; the functions of nix/ write one";
            findings.push(place(Finding::new("licenses.required", format!("found no licence of {name}"), hint)));
        }
        for license in licenses {
            let is_in = |list: &[String]| list.iter().any(|it| names(license).any(|name| name == it));
            let told = names(license).next().unwrap_or("unknown");
            let hint = "leave the package out, or allow its licence";
            if is_in(&policy.forbidden) {
                let message = format!("found {told} of {name}, which is forbidden");
                findings.push(place(Finding::new("licenses.forbidden", message, hint)));
            } else if !policy.allowed.is_empty() && !is_in(&policy.allowed) {
                let message = format!("found {told} of {name}, expected one of {}", policy.allowed.join(", "));
                findings.push(place(Finding::new("licenses.allowed", message, hint)));
            }
        }
    }
    findings
}

fn names(license: &License) -> impl Iterator<Item = &str> {
    license.spdx_id.as_deref().into_iter().chain(license.name.as_deref())
}

#[cfg(test)]
mod tests {
    use crate::rule::tests::check;
    use serde_json::json;

    #[test]
    fn of_packages() {
        check(&json!({"licenses": {"allowed": ["GPL-3.0-or-later"], "forbidden": ["MIT"]}}), &[]);
        check(&json!({"licenses": {"allowed": ["MIT"]}}), &["licenses.allowed /nix/store/0-gcc-13.2"]);
        check(
            &json!({"licenses": {"forbidden": ["GPL-3.0-or-later"], "required": true}}),
            &["licenses.forbidden /nix/store/0-gcc-13.2", "licenses.required /nix/store/0-openssl-3.0-dev"],
        );
    }
}
