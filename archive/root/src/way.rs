//! Following links inside a tree that is not the file system, as in a container (path_resolution(7)).

use std::path::{Component, Path, PathBuf};

/// Links followed before a chain counts as a loop, as Linux does (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What a way can go on from.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A folder.
    Folder,
    /// A symbolic link with this text.
    Link(&'a Path),
}

/// The folder to which a text leads from the folder `at`, both named below the root; none if it leads to none. `look`
/// tells what has a name, if it is a folder or a link. `..` of the root is the root.
pub fn follow<'a>(at: &Path, text: &'a Path, look: impl Fn(&Path) -> Option<Step<'a>>) -> Option<PathBuf> {
    let mut at = at.to_owned();
    let mut links = 0;
    let mut pending: Vec<Component> = text.components().rev().collect();
    while let Some(part) = pending.pop() {
        match part {
            Component::RootDir => at.clear(),
            Component::ParentDir => drop(at.pop()),
            Component::CurDir | Component::Prefix(_) => {}
            Component::Normal(name) => match look(&at.join(name))? {
                Step::Folder => at.push(name),
                Step::Link(text) if links < MAX_LINKS => {
                    links += 1;
                    pending.extend(text.components().rev());
                }
                Step::Link(_) => return None,
            },
        }
    }
    Some(at)
}
