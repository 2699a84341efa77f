//! Rules about files.

use super::{OF_PATHS, patterns, validate_patterns};
use crate::{Facts, FileFact, FileKind, FilesPolicy, Finding, RequiredFile};
use glob::Pattern;

/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;
/// What everybody may write.
const WORLD_WRITABLE: u32 = 0o002;
/// In a directory that has it one may remove one's own files alone.
const STICKY: u32 = 0o1000;
/// Kinds by name.
const KINDS: [&str; 3] = ["file", "directory", "symlink"];

pub(super) fn validate(policy: &FilesPolicy) -> Result<(), String> {
    validate_patterns("files.forbidden", &policy.forbidden)?;
    validate_patterns("files.setUserIdAllowed", policy.set_user_id_allowed.as_deref().unwrap_or_default())?;
    validate_patterns("files.worldWritableAllowed", policy.world_writable_allowed.as_deref().unwrap_or_default())?;
    policy.required.iter().try_for_each(|file| {
        if !file.path.starts_with('/') {
            return Err(format!("files.required: found {:?}, expected an absolute path", file.path));
        }
        if let Some(kind) = file.kind.as_ref().filter(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(format!(
                "files.required: {}: kind: found {kind:?}, expected one of {}",
                file.path,
                KINDS.join(", ")
            ));
        }
        match &file.mode {
            Some(mode) if parse_mode(mode).is_none() => {
                Err(format!("files.required: {}: mode: found {mode:?}, expected octal digits such as 0644", file.path))
            }
            _ => Ok(()),
        }
    })
}

pub(super) fn check(policy: &FilesPolicy, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let forbidden = patterns(&policy.forbidden);
    for file in facts.files.iter().filter(|file| matches(&forbidden, file)) {
        let message = format!("found {}, which is forbidden", file.path);
        findings.push(of_file(
            "files.forbidden",
            message,
            "leave it out of what is copied, or remove it in a script",
            file,
        ));
    }
    findings.extend(policy.required.iter().filter_map(|file| missing(file, facts)));
    if let Some(allowed) = &policy.set_user_id_allowed {
        let allowed = patterns(allowed);
        let is_set = |file: &&FileFact| file.kind == FileKind::File && file.mode & SET_ID != 0;
        for file in facts.files.iter().filter(is_set).filter(|file| !matches(&allowed, file)) {
            let message = format!(
                "found the mode {:04o} of {}, expected no set-user-ID or set-group-ID bit",
                file.mode, file.path
            );
            let hint = "`perms` of image.json sets its mode, or files.setUserIdAllowed allows it";
            findings.push(of_file("files.setUserIdAllowed", message, hint, file));
        }
    }
    if let Some(allowed) = &policy.world_writable_allowed {
        let allowed = patterns(allowed);
        for file in facts.files.iter().filter(|file| is_open(file) && !matches(&allowed, file)) {
            let message = format!("found the mode {:04o} of {}, which everybody may write", file.mode, file.path);
            let hint = "`perms` of image.json sets its mode, or files.worldWritableAllowed allows it";
            findings.push(of_file("files.worldWritableAllowed", message, hint, file));
        }
    }
    findings
}

fn of_file(rule: &'static str, message: String, hint: &str, file: &FileFact) -> Finding {
    Finding::new(rule, message, hint).at(&*file.path, file.layer)
}

fn matches(patterns: &[Pattern], file: &FileFact) -> bool {
    patterns.iter().any(|pattern| pattern.matches_with(&file.path, OF_PATHS))
}

/// Whether everybody may write it, or remove what others have in it.
fn is_open(file: &FileFact) -> bool {
    let is_sticky = file.kind == FileKind::Directory && file.mode & STICKY != 0;
    matches!(file.kind, FileKind::File | FileKind::Directory) && file.mode & WORLD_WRITABLE != 0 && !is_sticky
}

/// What is wrong with a file that must be there.
fn missing(wanted: &RequiredFile, facts: &Facts) -> Option<Finding> {
    let found = facts.files.binary_search_by(|file| file.path.as_str().cmp(&wanted.path)).ok();
    let Some(file) = found.map(|index| &facts.files[index]) else {
        let message = format!("found no {}", wanted.path);
        return Some(
            Finding::new("files.required", message, "add it to the contents, or copy it").at(&*wanted.path, None),
        );
    };
    let mut wrong = Vec::new();
    if let Some(kind) = wanted.kind.as_ref().filter(|kind| *kind != file.kind.name()) {
        wrong.push(format!("found a {}, expected a {kind}", file.kind.name()));
    }
    if let Some(mode) = wanted.mode.as_deref().and_then(parse_mode).filter(|mode| *mode != file.mode) {
        wrong.push(format!("found the mode {:04o}, expected {mode:04o}", file.mode));
    }
    for (what, found, wanted) in [("user", file.uid, wanted.uid), ("group", file.gid, wanted.gid)] {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            wrong.push(format!("found the {what} {found}, expected {wanted}"));
        }
    }
    let message = format!("{}: {}", wanted.path, wrong.join(", "));
    let hint = "`perms` of image.json sets modes and owners";
    (!wrong.is_empty()).then(|| of_file("files.required", message, hint, file))
}

fn parse_mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

#[cfg(test)]
mod tests {
    use crate::rule::tests::check;
    use serde_json::json;

    #[test]
    fn modes() {
        check(&json!({"files": {"setUserIdAllowed": ["/bin/*"], "worldWritableAllowed": ["/etc/**", "/var"]}}), &[]);
        check(
            &json!({"files": {"setUserIdAllowed": [], "worldWritableAllowed": []}}),
            &[
                "files.setUserIdAllowed /bin/su",
                "files.worldWritableAllowed /etc/passwd",
                "files.worldWritableAllowed /var",
            ],
        );
    }

    #[test]
    fn what_must_be_there() {
        let required = |file: serde_json::Value| json!({"files": {"required": [file]}});
        check(&required(json!({"path": "/tmp", "kind": "directory", "mode": "1777", "uid": 0, "gid": 0})), &[]);
        check(&required(json!({"path": "/tmp", "kind": "file"})), &["files.required /tmp"]);
        check(&required(json!({"path": "/tmp", "mode": "0777"})), &["files.required /tmp"]);
        check(&required(json!({"path": "/tmp", "gid": 5})), &["files.required /tmp"]);
        check(&required(json!({"path": "/etc/group"})), &["files.required /etc/group"]);
    }

    #[test]
    fn what_must_not_be_there() {
        check(&json!({"files": {"forbidden": ["/etc/*", "/bin/su?"]}}), &["files.forbidden /etc/passwd"]);
        check(&json!({"files": {"forbidden": ["/*"]}}), &["files.forbidden /tmp", "files.forbidden /var"]);
    }
}
