//! Parses a netrc file (ftp(1), ".netrc"; curl(1), "--netrc-file"): which name and password are for a host.
//!
//! `machine HOST login NAME password SECRET`, in words that any space divides; `default` is for whatever host no machine
//! before it is for. A macro (`macdef`) ends at an empty line. A word in double quotes may have spaces, and `\` keeps the
//! character behind it.

use crate::client::connection::HUB;
use layerstone_oci::DOCKER_HOSTS;

/// Name and password for a host, with its port if it has one, from the first entry that is for it.
pub(crate) fn find(text: &[u8], host: &str) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(text);
    let words = words(&text);
    let mut entry: Option<Entry> = None;
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "machine" | "default" => {
                if let Some(found) = entry.take().and_then(Entry::complete) {
                    return Some(found);
                }
                let is_for_host = word == "default" || words.next().is_some_and(|machine| is_for(machine, host));
                entry = is_for_host.then(Entry::default);
            }
            "login" => set(&mut entry, words.next(), |entry| &mut entry.login),
            "password" => set(&mut entry, words.next(), |entry| &mut entry.password),
            // Of ftp alone.
            "account" => drop(words.next()),
            _ => {}
        }
    }
    entry.and_then(Entry::complete)
}

/// What is said of a host.
#[derive(Default)]
struct Entry {
    login: Option<String>,
    password: Option<String>,
}

impl Entry {
    fn complete(self) -> Option<(String, String)> {
        Some((self.login?, self.password?))
    }
}

fn set(entry: &mut Option<Entry>, word: Option<&str>, field: impl Fn(&mut Entry) -> &mut Option<String>) {
    if let Some(entry) = entry {
        *field(entry) = word.map(str::to_owned);
    }
}

/// Whether a machine is a registry's host; others know no port.
fn is_for(machine: &str, host: &str) -> bool {
    let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let is_docker = |name: &str| DOCKER_HOSTS.contains(&name) || name == HUB;
    let is_same = machine == host || bare.is_some_and(|(bare, _)| bare == machine);
    is_same || (is_docker(host) && is_docker(machine))
}

/// The words, without comments and macros.
fn words(text: &str) -> Vec<String> {
    let (mut found, mut is_macro) = (Vec::new(), false);
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() {
            is_macro = false;
        }
        if is_macro || line.starts_with('#') {
            continue;
        }
        let all = words_of(line);
        match all.iter().position(|word| word == "macdef") {
            Some(at) => {
                found.extend_from_slice(&all[..at]);
                is_macro = true;
            }
            None => found.extend(all),
        }
    }
    found
}

/// The words of a line.
fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    while let Some(first) = characters.next() {
        if first.is_whitespace() {
            continue;
        }
        let is_quoted = first == '"';
        let mut word = if is_quoted { String::new() } else { first.to_string() };
        while let Some(next) = characters.next_if(|next| if is_quoted { *next != '"' } else { !next.is_whitespace() }) {
            match next {
                '\\' if is_quoted => word.extend(characters.next()),
                next => word.push(next),
            }
        }
        if is_quoted {
            characters.next();
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::find;

    #[track_caller]
    fn check(text: &str, host: &str, expected: Option<(&str, &str)>) {
        let found = find(text.as_bytes(), host);
        assert_eq!(found.as_ref().map(|(user, secret)| (&**user, &**secret)), expected, "{host} of {text:?}");
    }

    #[test]
    fn entries() {
        let text = "# of all\nmachine a.example login me password it\nmachine b.example:5000\n\tlogin you\n\tpassword \"x \\\"y\"\n\
            machine c.example account z login only\n\nmacdef init\nmachine d.example login no password no\n\n\
            machine docker.io login hub password pw default login any password one";
        check(text, "a.example", Some(("me", "it")));
        check(text, "a.example:443", Some(("me", "it")));
        check(text, "b.example:5000", Some(("you", "x \"y")));
        // The entry of another port, and one without a password, are none.
        check(text, "b.example", Some(("any", "one")));
        check(text, "c.example", Some(("any", "one")));
        check(text, "d.example", Some(("any", "one")));
        check(text, "docker.io", Some(("hub", "pw")));
        check("machine registry-1.docker.io login h password p", "docker.io", Some(("h", "p")));
        check("machine a.example login me", "a.example", None);
        check("machine", "a.example", None);
        check("machine a.example password \"open", "a.example", None);
        check("", "a.example", None);
    }
}
