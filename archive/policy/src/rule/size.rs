//! Rules about sizes.

use super::shown;
use crate::{Facts, Finding, SizePolicy};

/// Store paths that a hint names.
const LARGEST: usize = 3;

pub(super) fn check(policy: &SizePolicy, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let size = facts.layers.iter().map(|layer| layer.size).fold(0, u64::saturating_add);
    if let Some(most) = policy.image.filter(|most| size > *most) {
        let message =
            format!("found {} in {} layers, expected {} at most", shown(size), facts.layers.len(), shown(most));
        findings.push(Finding::new("size.image", message, largest(facts)));
    }
    for (number, layer) in facts.layers.iter().enumerate() {
        if let Some(most) = policy.layer.filter(|most| layer.size > *most) {
            let message = format!("layer {number}: found {}, expected {} at most", shown(layer.size), shown(most));
            let hint = "more layers divide it (--max-layers), unless one store path is as large";
            findings.push(Finding { layer: Some(number), ..Finding::new("size.layer", message, hint) });
        }
    }
    for (path, size) in &facts.path_sizes {
        if let Some(most) = policy.path.filter(|most| size > most) {
            let message = format!("{}: found {}, expected {} at most", path.name(), shown(*size), shown(most));
            let hint = "another output or a smaller variant of the package may do";
            findings.push(Finding::new("size.path", message, hint).at(path.as_str(), facts.layer_of(path)));
        }
    }
    findings
}

fn largest(facts: &Facts) -> String {
    let mut sizes: Vec<(u64, &str)> = facts.path_sizes.iter().map(|(path, size)| (*size, path.name())).collect();
    sizes.sort_by(|a, b| b.cmp(a));
    let names: Vec<String> =
        sizes.iter().take(LARGEST).map(|(size, name)| format!("{name} {}", shown(*size))).collect();
    match names.is_empty() {
        true => "`layerstone inspect --tree` shows what is large".to_owned(),
        false => format!("the largest are {}; `layerstone why` shows what brings one in", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use crate::rule::tests::check;
    use serde_json::json;

    #[test]
    fn at_most() {
        check(&json!({"size": {"image": "700000005", "layer": "700M", "path": "600M"}}), &[]);
        check(
            &json!({"size": {"image": 700_000_004, "layer": "699M", "path": "599M"}}),
            &["size.image -", "size.layer -", "size.path /nix/store/0-gcc-13.2"],
        );
    }
}
