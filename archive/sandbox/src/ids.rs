//! Maps ids inside a user namespace to ids outside (user_namespaces(7)).

use std::fs;
use std::io;
use std::process::{Command, Stdio};

/// A map of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMap(Vec<Range>);

/// Consecutive ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

impl IdMap {
    /// Every id that there is according to a file such as /proc/self/uid_map is itself: all of them, or in a user namespace
    /// those that it has.
    fn identity(file: &str) -> IdMap {
        let numbers = |line: &str| line.split_whitespace().map_while(|word| word.parse().ok()).collect::<Vec<u32>>();
        let range = |line| match *numbers(line) {
            [inside, _, count] => Some(Range { inside, outside: inside, count }),
            _ => None,
        };
        IdMap(file.lines().filter_map(range).collect())
    }

    /// 0 is this one, and there is no other.
    pub fn alone(id: u32) -> IdMap {
        IdMap(vec![Range { inside: 0, outside: id, count: 1 }])
    }

    /// 0 is this one, and those from 1 on are those that a file such as /etc/subuid gives it (subuid(5)); none if it gives
    /// none. Such a file names users by number or by name, for which there is a file such as /etc/passwd.
    fn subordinate(id: u32, file: &str, names: &str) -> Option<IdMap> {
        let number = id.to_string();
        let is_named = |line: &&str| line.split(':').nth(2) == Some(&number);
        let name = names.lines().find(is_named).and_then(|line| line.split(':').next()).unwrap_or(&number);
        let mut ranges = vec![Range { inside: 0, outside: id, count: 1 }];
        let mut inside = 1_u32;
        for line in file.lines() {
            let mut fields = line.split(':');
            let owner = fields.next();
            let mut next = || fields.next().and_then(|text| text.trim().parse().ok());
            let (Some(outside), Some(count)) = (next(), next()) else { continue };
            if owner != Some(name) && owner != Some(&number) || count == 0 {
                continue;
            }
            let Some(end) = inside.checked_add(count) else { break };
            ranges.push(Range { inside, outside, count });
            inside = end;
        }
        (ranges.len() > 1).then_some(IdMap(ranges))
    }

    /// The id inside that this one outside is.
    pub fn inside(&self, id: u32) -> Option<u32> {
        self.0.iter().find_map(|range| Some(range.inside + id.checked_sub(range.outside).filter(|n| *n < range.count)?))
    }

    /// Whether there is such an id inside.
    pub fn has(&self, id: u32) -> bool {
        self.0.iter().any(|range| id.checked_sub(range.inside).is_some_and(|n| n < range.count))
    }

    fn words(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|range| [range.inside, range.outside, range.count].map(|number| number.to_string()))
    }
}

/// The users and groups of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Users.
    pub users: IdMap,
    /// Groups.
    pub groups: IdMap,
}

impl Ids {
    /// All users and groups that there are.
    pub fn identity() -> Ids {
        let read = |path: &str| IdMap::identity(&fs::read_to_string(path).unwrap_or_default());
        Ids { users: read("/proc/self/uid_map"), groups: read("/proc/self/gid_map") }
    }

    /// The caller as root, and no other user.
    pub fn alone() -> Ids {
        let (uid, gid) = caller();
        Ids { users: IdMap::alone(uid), groups: IdMap::alone(gid) }
    }

    /// As many as the caller may map: all for root, for others those of /etc/subuid and /etc/subgid. None if that is none.
    pub fn many() -> Option<Ids> {
        let (uid, gid) = caller();
        if uid == 0 {
            return Some(Ids::identity());
        }
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (users, names) = (read("/etc/subuid"), read("/etc/passwd"));
        // subgid(5) goes by the user too, not by its group.
        let mut groups = IdMap::subordinate(uid, &read("/etc/subgid"), &names)?;
        groups.0[0].outside = gid;
        Some(Ids { users: IdMap::subordinate(uid, &users, &names)?, groups })
    }

    /// Maps them into the user namespace of a process that has just made it.
    pub fn map(&self, process: u32) -> io::Result<()> {
        if caller().0 == 0 {
            let lines = |map: &IdMap| {
                map.0.iter().map(|r| format!("{} {} {}\n", r.inside, r.outside, r.count)).collect::<String>()
            };
            fs::write(format!("/proc/{process}/gid_map"), lines(&self.groups))?;
            return fs::write(format!("/proc/{process}/uid_map"), lines(&self.users));
        }
        // Programs of shadow, which may do for others what they may not do themselves (newuidmap(1)).
        run_mapper("newgidmap", process, &self.groups)?;
        run_mapper("newuidmap", process, &self.users)
    }
}

fn run_mapper(program: &str, process: u32, map: &IdMap) -> io::Result<()> {
    let mut command = Command::new(program);
    command.arg(process.to_string()).args(map.words()).stdin(Stdio::null());
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{program}: {error}"));
    let output = command.output().map_err(named)?;
    tracing::info!(target: "layerstone::program", status = %output.status, "{program}");
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().escape_debug().to_string();
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{program}: found {}: {said}", output.status)))
}

fn caller() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";

    #[test]
    fn ranges_of_subuid_follow_each_other() {
        let file = "bob:1:9\nann:100000:65536\n1000:500:10\nann:bad:1\n# ann:1:1\n";
        let map = IdMap::subordinate(1000, file, PASSWD).unwrap();
        assert_eq!(map.words().collect::<Vec<_>>().join(" "), "0 1000 1 1 100000 65536 65537 500 10");
        assert_eq!(IdMap::subordinate(1001, file, PASSWD), None);
        assert_eq!(IdMap::subordinate(1000, "", PASSWD), None);
        assert_eq!(IdMap::subordinate(1000, "ann:1:4294967295\n", PASSWD), None);
    }

    #[test]
    fn ids_go_both_ways() {
        let map = IdMap::subordinate(1000, "ann:100000:65536\n", PASSWD).unwrap();
        assert_eq!(
            [1000, 100_000, 165_535, 165_536, 0].map(|id| map.inside(id)),
            [Some(0), Some(1), Some(65536), None, None]
        );
        assert_eq!([0, 1, 65_536, 65_537].map(|id| map.has(id)), [true, true, true, false]);
        let all = IdMap::identity("         0          0 4294967295\n");
        assert!(all.has(u32::MAX - 1) && !all.has(u32::MAX) && all.inside(7) == Some(7) && !IdMap::alone(7).has(7));
        let some = IdMap::identity("0 1000 1\n1 100000 65536\n");
        assert_eq!(some.words().collect::<Vec<_>>().join(" "), "0 0 1 1 1 65536");
        assert!(!IdMap::identity("").has(0));
    }
}
