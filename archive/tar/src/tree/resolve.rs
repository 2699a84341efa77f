//! Follows a name in an image as a process whose root is the image's would (path_resolution(7)), but refuses what leads out.

use super::Tree;
use super::node::Node;
use crate::{Error, FollowError, Kind, Result};
use layerstone_store::{Escape, Found, Stop, Walk};
use std::convert::Infallible;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where a name leads.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// The name below the root of the image of what was found, without links on the way.
    pub name: Vec<u8>,
    /// What is there, if anything.
    pub node: Option<&'a Node>,
}

impl Tree {
    /// Follows all symbolic links of a name, that of the last component too. A target with a slash in front begins at the
    /// root of the image.
    ///
    /// What does not exist has nothing below it, and is named as if its directories did; `..` leads out of it.
    ///
    /// # Errors
    ///
    /// [`Error::Follow`]: more than 40 links; a name or link that climbs above the root of the image, where a container
    /// would stay at the root, but a program outside would leave it; something below a file that is no directory.
    pub fn resolve(&self, name: &[u8]) -> Result<Resolved<'_>> {
        self.follow(name, Walk::new("", "", path(name)))
    }

    /// [`resolve`](Tree::resolve) without following the last component, if that is a link.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Tree::resolve).
    pub fn resolve_link(&self, name: &[u8]) -> Result<Resolved<'_>> {
        self.follow(name, Walk::new("", "", path(name)).keeping_last())
    }

    fn follow(&self, name: &[u8], mut walk: Walk) -> Result<Resolved<'_>> {
        let look = |at: &Path| -> Result<Found, Infallible> {
            Ok(match self.get(bytes(at)).map(|node| &node.kind) {
                None => Found::Nothing,
                Some(Kind::Directory) => Found::Directory,
                Some(Kind::Symlink { target }) => Found::Symlink(path(target).to_owned()),
                Some(_) => Found::Other,
            })
        };
        let cause = match (walk.follow(look), walk.escape()) {
            (_, Some(Escape::Path)) => FollowError::NameLeadsOut,
            (_, Some(Escape::Symlink { link, target })) => {
                FollowError::LinkLeadsOut { link: bytes(link).to_vec(), target: bytes(target).to_vec() }
            }
            (Ok(at), None) => return Ok(Resolved { node: self.get(bytes(&at)), name: bytes(&at).to_vec() }),
            (Err(Stop::TooManySymlinks), None) => FollowError::TooManyLinks,
            (Err(Stop::NotADirectory(at)), None) => {
                let what = self.get(bytes(&at)).map_or("nothing", |node| describe(&node.kind));
                FollowError::NoDirectory { component: bytes(&at).to_vec(), what }
            }
        };
        Err(Error::Follow { name: name.to_vec(), cause })
    }
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// What something is, for messages.
fn describe(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory => "a directory",
        Kind::File { .. } | Kind::HardLink { .. } => "a file",
        Kind::Symlink { .. } => "a link",
        Kind::Fifo => "a pipe",
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "a device",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{line, tree};
    use super::*;

    const IMAGE: &[&str] = &[
        "usr/bin/sh=5 bin->usr/bin abs->/usr/bin etc/passwd=1 etc/up->../bin/sh etc/self->. pipe| dangling->etc/new/x",
        "usr/lib/a->../../abs/./sh lib->usr//lib/ deep/er/out->../../../x out->../../x clamped->/../x round->dnuor \
         dnuor->round dead->etc/no/../../usr file->etc/passwd below->etc/passwd/x",
    ];

    fn answer(resolved: Result<Resolved<'_>>) -> String {
        match resolved {
            Ok(Resolved { name, node: Some(node) }) => line(str::from_utf8(&name).unwrap(), node),
            Ok(Resolved { name, node: None }) => format!("no {}", name.escape_ascii()),
            Err(error) => error.to_string(),
        }
    }

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(answer(tree(IMAGE).resolve(name.as_bytes())), expected);
    }

    #[test]
    fn names_and_links() {
        check("", "/");
        check("usr/bin/sh", "usr/bin/sh=5");
        check("/usr//./bin/../bin/sh", "usr/bin/sh=5");
        check("bin", "usr/bin/");
        check("bin/sh", "usr/bin/sh=5");
        check("abs/sh", "usr/bin/sh=5");
        check("etc/up", "usr/bin/sh=5");
        check("etc/self/self/passwd", "etc/passwd=1");
        check("lib/a", "usr/bin/sh=5");
        check("bin/../lib", "usr/lib/");
        check("bin/", "usr/bin/");
        check("pipe", "pipe|");
    }

    #[test]
    fn what_is_not_there() {
        check("bin/sub/x", "no usr/bin/sub/x");
        check("no/such/../x", "no no/x");
        check("no/../bin/sh", "usr/bin/sh=5");
        check("dangling/y", "no etc/new/x/y");
        check("dead/bin/sh", "usr/bin/sh=5");
    }

    #[test]
    fn the_last_link_is_left_alone() {
        let tree = tree(IMAGE);
        let check =
            |name: &str, expected: &str| assert_eq!(answer(tree.resolve_link(name.as_bytes())), expected, "{name}");
        check("bin", "bin->usr/bin");
        check("bin/sh", "usr/bin/sh=5");
        check("bin/", "usr/bin/");
        check("lib/a", "usr/lib/a->../../abs/./sh");
        check("round", "round->dnuor");
        check("out", "out->../../x");
        check("bin/new", "no usr/bin/new");
    }

    #[test]
    fn names_that_lead_nowhere() {
        check("..", "cannot follow: ..: found a name that leads out of the image");
        check("bin/../../../x", "cannot follow: bin/../../../x: found a name that leads out of the image");
        check("out/y", "cannot follow: out/y: found the link out -> ../../x, which leads out of the image");
        let expected = "found the link deep/er/out -> ../../../x, which leads out of the image";
        check("deep/er/out", &format!("cannot follow: deep/er/out: {expected}"));
        check("clamped", "cannot follow: clamped: found the link clamped -> /../x, which leads out of the image");
        check("round/x", "cannot follow: round/x: found more than 40 symbolic links");
        for name in ["etc/passwd/x", "etc/passwd/", "etc/passwd/..", "file/x", "file/", "below"] {
            check(name, &format!("cannot follow: {name}: found a file at etc/passwd, expected a directory"));
        }
        check("pipe/x", "cannot follow: pipe/x: found a pipe at pipe, expected a directory");
    }

    #[test]
    fn as_many_links_as_linux_follows() {
        let chain = |count: usize| (0..count).map(|at| format!("{at}->{} ", at + 1)).collect::<String>();
        let found = |count| answer(tree(&[&chain(count), &format!("{count}=7")]).resolve(b"0"));
        assert_eq!(found(40), "40=7");
        assert_eq!(found(41), "cannot follow: 0: found more than 40 symbolic links");
    }
}
