//! Writes the files of users and groups: dockerTools' texts, with added lines checked.
//!
//! `fakeNss` has them as nixpkgs today, `shadowSetup` as dockerTools' script of that name. A line is checked against
//! passwd(5) and group(5), since a program that reads a bad one passes over it in silence, or over all that follow.

/// How many fields a line of /etc/passwd has (passwd(5)).
const PASSWD_FIELDS: usize = 7;
/// How many fields a line of /etc/group has (group(5)).
const GROUP_FIELDS: usize = 4;

/// `fakeNss`: how names of hosts are looked up (nsswitch.conf(5)); without it, glibc asks the DNS first.
pub const NSSWITCH: &str = "hosts: files dns\n";
/// `shadowSetup`: root, with the password that `shadow` has and nobody knows.
pub const SHADOW_PASSWD: &str = "root:x:0:0::/root:/bin/sh\n";
/// `shadowSetup`: the group of root.
pub const SHADOW_GROUP: &str = "root:x:0:\n";
/// `shadowSetup`: no password fits (shadow(5)).
pub const SHADOW: &str = "root:!x:::::::\n";
/// `shadowSetup`: no password for the group either (gshadow(5)).
pub const GSHADOW: &str = "root:x::\n";
/// `shadowSetup`: what PAM asks of programs that have no file of their own, as nixpkgs today has it (pam.conf(5)).
pub const PAM_OTHER: &str = "account sufficient pam_unix.so\n\
    auth sufficient pam_rootok.so\n\
    password requisite pam_unix.so nullok yescrypt\n\
    session required pam_unix.so\n";

/// `fakeNss`: /etc/passwd with root, these lines, and nobody; or what is wrong with one of them.
pub fn passwd(extra: &[String]) -> Result<String, String> {
    extra.iter().try_for_each(|line| check(line, "passwd", PASSWD_FIELDS, &[2, 3]))?;
    let nobody = "nobody:x:65534:65534:nobody:/var/empty:/bin/sh";
    Ok(text("root:x:0:0:root user:/var/empty:/bin/sh", extra, nobody))
}

/// `fakeNss`: /etc/group with root, these lines, and nobody; or what is wrong with one of them.
pub fn group(extra: &[String]) -> Result<String, String> {
    extra.iter().try_for_each(|line| check(line, "group", GROUP_FIELDS, &[2]))?;
    Ok(text("root:x:0:", extra, "nobody:x:65534:"))
}

fn text(first: &str, extra: &[String], last: &str) -> String {
    let lines = [first].into_iter().chain(extra.iter().map(String::as_str)).chain([last]);
    lines.map(|line| format!("{line}\n")).collect()
}

/// Checks a line's fields: how many they are, that the first one is a name, that these are ids.
fn check(line: &str, file: &str, expected: usize, ids: &[usize]) -> Result<(), String> {
    let refuse = |cause: String| Err(format!("not a {file} line: {line:?}: {cause}"));
    if line.contains(['\n', '\0']) {
        return refuse("found a newline or a zero in it, expected one line".to_owned());
    }
    let fields: Vec<&str> = line.split(':').collect();
    if fields.len() != expected {
        return refuse(format!("found {} fields, expected {expected}", fields.len()));
    }
    if fields[0].is_empty() || fields[0].starts_with(['#', '+', '-']) || fields[0].contains(char::is_whitespace) {
        return refuse(format!("found the name {:?}, expected one", fields[0]));
    }
    match ids.iter().map(|id| fields[*id]).find(|field| !is_id(field)) {
        Some(field) => refuse(format!("found {field:?}, expected a number below 4294967295")),
        None => Ok(()),
    }
}

/// The highest number is no id: chown(2) takes it for "as it is".
fn is_id(field: &str) -> bool {
    field.bytes().all(|byte| byte.is_ascii_digit()) && field.parse().is_ok_and(|id: u32| id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_bad(read: fn(&[String]) -> Result<String, String>, line: &str, expected: &str) {
        assert_eq!(read(&[line.to_owned()]).unwrap_err(), expected);
    }

    #[test]
    fn lines_stand_between_root_and_nobody() {
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let passwd = lines(passwd(&["app:x:1000:100:An app:/data:/bin/app".to_owned()]).unwrap());
        assert_eq!(passwd[1..2], ["app:x:1000:100:An app:/data:/bin/app"]);
        assert!(passwd[0].starts_with("root:x:0:0:") && passwd[2].starts_with("nobody:x:65534:65534:"));
        assert_eq!(
            lines(group(&["app:x:100:a,b".to_owned()]).unwrap()),
            ["root:x:0:", "app:x:100:a,b", "nobody:x:65534:"]
        );
        assert_eq!(group(&[]).unwrap(), "root:x:0:\nnobody:x:65534:\n");
    }

    #[test]
    fn lines_that_are_none() {
        check_bad(passwd, "app", "not a passwd line: \"app\": found 1 fields, expected 7");
        check_bad(group, "app:x:1", "not a group line: \"app:x:1\": found 3 fields, expected 4");
        check_bad(group, ":x:1:", "not a group line: \":x:1:\": found the name \"\", expected one");
        check_bad(group, "#a:x:1:", "not a group line: \"#a:x:1:\": found the name \"#a\", expected one");
        for id in ["", "one", "-1", "+1", "4294967295", "4294967296", "1 "] {
            let expected = format!("not a group line: \"a:x:{id}:\": found {id:?}, expected a number below 4294967295");
            check_bad(group, &format!("a:x:{id}:"), &expected);
            let line = format!("a:x:0:{id}:::");
            let expected = format!("not a passwd line: {line:?}: found {id:?}, expected a number below 4294967295");
            check_bad(passwd, &line, &expected);
        }
        check_bad(
            group,
            "a:x:1:\nb:x:2:",
            "not a group line: \"a:x:1:\\nb:x:2:\": found a newline or a zero in it, expected one line",
        );
        assert!(group(&["a:x:4294967294:".to_owned()]).is_ok());
    }
}
