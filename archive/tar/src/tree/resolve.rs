//! Where a name leads in an image, as a process whose root is the image's would find it (path_resolution(7)).

use super::Tree;
use super::node::Node;
use crate::{Error, FollowError, Kind, Result};

/// Symbolic links that are followed for one name: as many as Linux follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

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
    /// What does not exist has nothing below it, and is named as if its folders did; `..` leads out of it.
    ///
    /// # Errors
    ///
    /// [`Error::Follow`]: more than 40 links; a name or link that climbs above the root of the image, where a container
    /// would stay at the root, but a program outside would leave it; something below a file that is no folder.
    pub fn resolve(&self, name: &[u8]) -> Result<Resolved<'_>> {
        self.follow(name, true)
    }

    /// [`resolve`](Tree::resolve) without following the last component, if that is a link.
    ///
    /// # Errors
    ///
    /// As [`resolve`](Tree::resolve).
    pub fn resolve_link(&self, name: &[u8]) -> Result<Resolved<'_>> {
        self.follow(name, false)
    }

    fn follow(&self, name: &[u8], follow_last: bool) -> Result<Resolved<'_>> {
        let mut walk = Walk { place: Place { root: self.root(), steps: Vec::new() }, texts: Vec::new(), links: 0 };
        walk.texts.push(Text::new(None, name));
        walk.run(follow_last).map_err(|cause| Error::Follow { name: name.to_vec(), cause })?;
        Ok(Resolved { name: walk.place.name(), node: walk.place.node() })
    }
}

/// A name that is being followed.
struct Walk<'a, 'n> {
    place: Place<'a, 'n>,
    /// The name, and the texts of the links that are not yet followed to their ends, the last first.
    texts: Vec<Text<'n>>,
    /// Links followed so far.
    links: usize,
}

/// A text of which components are left.
struct Text<'n> {
    /// Where the link is of which this is the text; none for the name that was asked for.
    link: Option<Vec<u8>>,
    whole: &'n [u8],
    /// What is left of it; none at its end.
    rest: Option<&'n [u8]>,
}

/// A place in the image.
struct Place<'a, 'n> {
    root: &'a Node,
    /// The components that lead there from the root, with what each of them is.
    steps: Vec<(&'n [u8], Option<&'a Node>)>,
}

impl<'a: 'n, 'n> Walk<'a, 'n> {
    fn run(&mut self, follow_last: bool) -> Result<(), FollowError> {
        while let Some(text) = self.texts.last_mut() {
            let Some(part) = text.next() else {
                self.texts.pop();
                continue;
            };
            self.step(part)?;
            if let Some(Kind::Symlink { target }) = self.place.node().map(|node| &node.kind) {
                let is_last = self.texts.iter().all(|text| text.rest.is_none());
                if follow_last || !is_last {
                    self.enter(target)?;
                }
            }
        }
        Ok(())
    }

    /// Goes on by one component, which is not followed.
    fn step(&mut self, part: &'n [u8]) -> Result<(), FollowError> {
        if let Some(what) = self.place.node().and_then(|node| no_folder(&node.kind)) {
            return Err(FollowError::NoFolder { component: self.place.name(), what });
        }
        match part {
            b"" | b"." => {}
            b".." => self.place.steps.pop().map(|_| ()).ok_or_else(|| self.leads_out())?,
            part => self.place.steps.push((part, self.place.node().and_then(|node| node.child(part)))),
        }
        Ok(())
    }

    /// Leaves the link at the present place for its text.
    fn enter(&mut self, target: &'n [u8]) -> Result<(), FollowError> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(FollowError::TooManyLinks { limit: MAX_LINKS });
        }
        self.texts.push(Text::new(Some(self.place.name()), target));
        if target.starts_with(b"/") {
            self.place.steps.clear();
        } else {
            self.place.steps.pop();
        }
        Ok(())
    }

    /// The error for the present text.
    fn leads_out(&self) -> FollowError {
        let link = self.texts.last().and_then(|text| Some((text.link.clone()?, text.whole.to_vec())));
        link.map_or(FollowError::NameLeadsOut, |(link, target)| FollowError::LinkLeadsOut { link, target })
    }
}

impl<'n> Text<'n> {
    fn new(link: Option<Vec<u8>>, whole: &'n [u8]) -> Text<'n> {
        Text { link, whole, rest: Some(whole) }
    }

    /// The next component; empty where two slashes are, or one at an end.
    fn next(&mut self) -> Option<&'n [u8]> {
        let rest = self.rest?;
        let slash = rest.iter().position(|&byte| byte == b'/');
        self.rest = slash.map(|slash| &rest[slash + 1..]);
        Some(&rest[..slash.unwrap_or(rest.len())])
    }
}

impl<'a> Place<'a, '_> {
    fn name(&self) -> Vec<u8> {
        self.steps.iter().map(|(part, _)| *part).collect::<Vec<_>>().join(&b'/')
    }

    fn node(&self) -> Option<&'a Node> {
        self.steps.last().map_or(Some(self.root), |(_, node)| *node)
    }
}

/// What something is that is no folder.
fn no_folder(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Directory => None,
        Kind::File { .. } | Kind::HardLink { .. } => Some("a file"),
        Kind::Symlink { .. } => Some("a link"),
        Kind::Fifo => Some("a pipe"),
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => Some("a device"),
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
            check(name, &format!("cannot follow: {name}: found a file at etc/passwd, expected a folder"));
        }
        check("pipe/x", "cannot follow: pipe/x: found a pipe at pipe, expected a folder");
    }

    #[test]
    fn as_many_links_as_linux_follows() {
        let chain = |count: usize| (0..count).map(|at| format!("{at}->{} ", at + 1)).collect::<String>();
        let found = |count| answer(tree(&[&chain(count), &format!("{count}=7")]).resolve(b"0"));
        assert_eq!(found(40), "40=7");
        assert_eq!(found(41), "cannot follow: 0: found more than 40 symbolic links");
    }
}
