//! Puts the page of a report together: markup, style, program and data in one file.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use layerstone_store::Digest;
use serde_json::Value;

const MARKUP: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
/// Read in this order: each uses what stands before.
const PROGRAM: &str =
    concat!(include_str!("data.js"), include_str!("map.js"), include_str!("table.js"), include_str!("report.js"));

/// The page of the image of this name and of this data, which is JSON.
pub fn page(name: &str, data: &str) -> Result<String> {
    let data: Value = serde_json::from_str(data)?;
    // Nothing in it may end the element that it stands in.
    let data = data.to_string().replace('<', "\\u003c");
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; img-src data:; base-uri 'none'; form-action 'none'",
        source(STYLE),
        source(PROGRAM)
    );
    fill(
        MARKUP,
        &[("POLICY", &policy), ("TITLE", &escaped(name)), ("STYLE", STYLE), ("DATA", &data), ("PROGRAM", PROGRAM)],
    )
}

/// Puts texts in the places of `{{NAME}}`s, which stand in this order; what is put in is not looked at again.
fn fill(markup: &str, parts: &[(&str, &str)]) -> Result<String> {
    let (mut filled, mut rest) = (String::new(), markup);
    for (name, text) in parts {
        let place = format!("{{{{{name}}}}}");
        let (before, after) = rest.split_once(&place).with_context(|| format!("the page has no {place}"))?;
        filled += before;
        filled += text;
        rest = after;
    }
    Ok(filled + rest)
}

/// A text as the policy allows it to stand in the page (CSP Level 3, "hash-source").
fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Digest::of(text.as_bytes()).as_bytes()))
}

/// A text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_an_element() {
        let page = page("</title><script>", r#"{"a":"</script><!--{{PROGRAM}}"}"#).unwrap();
        assert_eq!(page.matches("</script>").count(), 2);
        assert!(page.contains(r#"{"a":"\u003c/script>\u003c!--{{PROGRAM}}"}"#));
        assert!(page.contains("<title>&lt;/title&gt;&lt;script&gt;"));
    }
}
