//! What images are called: `NAME:TAG`, by the grammar of docker's distribution/reference.

/// Longest name in bytes (distribution/reference, `RepositoryNameTotalLengthMax`).
const MAX_NAME: usize = 255;
/// Longest tag in bytes (distribution/reference, `TagRegexp`).
const MAX_TAG: usize = 128;
/// What a tag must be.
pub const A_TAG: &str = "expected a tag of 1 to 128 letters, digits, `_`, `.` and `-`, the first no `.` or `-`";
/// The registry of names that tell none, and its older name (distribution/reference, `normalize.go`).
pub const REGISTRIES: [&str; 2] = ["docker.io", "index.docker.io"];

/// Whether docker takes a text as `NAME:TAG`, as it is; if not, why.
pub fn check_with_tag(text: &str) -> Result<(), String> {
    let (name, tag) = split(text);
    let tag = tag.ok_or("expected NAME:TAG")?;
    check(name)?;
    if is_tag(tag) { Ok(()) } else { Err(A_TAG.to_owned()) }
}

/// A name with the registry and the folder that docker adds to a short one, so that equal names are equal texts:
/// `tool:1` is `docker.io/library/tool:1` (distribution/reference, `splitDockerDomain`).
pub fn full(text: &str) -> String {
    let is_registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let (registry, path) = match text.split_once('/') {
        Some((first, path)) if is_registry(first) => (first, path),
        _ => (REGISTRIES[0], text),
    };
    if !REGISTRIES.contains(&registry) {
        return text.to_owned();
    }
    let folder = if path.contains('/') { "" } else { "library/" };
    format!("{}/{folder}{path}", REGISTRIES[0])
}

/// A name without the registry and the folder that docker adds to a short one, as docker shows it: the other way round of
/// [`full`] (distribution/reference, `FamiliarName`).
pub fn familiar(text: &str) -> String {
    let full = full(text);
    let Some(path) = full.strip_prefix(REGISTRIES[0]).and_then(|rest| rest.strip_prefix('/')) else { return full };
    path.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(path).to_owned()
}

/// `[host[:port]/]component[/component]…` (distribution/reference, `reference.go`).
pub fn check(name: &str) -> Result<(), String> {
    let (first, rest) = name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let is_path = |path: &str| path.split('/').all(is_path_component);
    let fits = is_path_component(first) || (rest.is_some() && is_host(first));
    if name.len() > MAX_NAME {
        return Err(format!("found {} bytes, expected at most {MAX_NAME}", name.len()));
    }
    if name.len() == 64 && name.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err("64 hexadecimal digits would be taken for an image ID".to_owned());
    }
    if !fits || !rest.is_none_or(is_path) {
        let hint = if name.contains(['@', ':']) { ", and a tag only in its own place" } else { "" };
        return Err(format!(
            "expected a name such as tool or registry.example/team/tool: parts of letters and digits joined by `.`, \
             `_`, `__` or dashes{hint}"
        ));
    }
    Ok(())
}

/// Runs of letters and digits joined by `.`, `_`, `__` or any number of dashes.
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let joint = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|c| c == b'-');
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.split(alphanumeric).filter(|between| !between.is_empty()).all(joint)
}

/// A host name or address, and a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, "0"),
    };
    let label = |text: &str| {
        let alphanumeric = |c: char| c.is_ascii_alphanumeric();
        text.starts_with(alphanumeric)
            && text.ends_with(alphanumeric)
            && text.chars().all(|c| alphanumeric(c) || c == '-')
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_address = address.is_some_and(|a| !a.is_empty() && a.bytes().all(|c| c.is_ascii_hexdigit() || c == b':'));
    let is_port = !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
    is_port && (is_address || host.split('.').all(label))
}

/// Whether it may be a tag.
pub fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= MAX_TAG && tag.starts_with(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

/// `NAME:TAG` at the colon behind the last slash, since one before it is that of a port.
pub fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_full_and_short() {
        for (text, expected_full, expected_familiar) in [
            ("tool:1", "docker.io/library/tool:1", "tool:1"),
            ("library/tool:1", "docker.io/library/tool:1", "tool:1"),
            ("docker.io/tool:1", "docker.io/library/tool:1", "tool:1"),
            ("docker.io/library/tool:1", "docker.io/library/tool:1", "tool:1"),
            ("index.docker.io/library/tool:1", "docker.io/library/tool:1", "tool:1"),
            ("team/tool", "docker.io/team/tool", "team/tool"),
            ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("localhost/tool:1", "localhost/tool:1", "localhost/tool:1"),
            ("reg.example:5000/tool:1", "reg.example:5000/tool:1", "reg.example:5000/tool:1"),
        ] {
            assert_eq!((&*full(text), &*familiar(text)), (expected_full, expected_familiar), "{text}");
            assert_eq!(full(&familiar(text)), expected_full);
        }
    }
}
