//! Removes a directory with everything below it, through descriptors alone.
//!
//! Directories that lie deeper are first moved up into the one that is removed. So neither the depth of the tree nor the
//! length of its paths matters, three descriptors are open at any time, and no step leaves the tree: a subdirectory that
//! is replaced by a symbolic link at any moment is a link that is unlinked.

use super::{Directory, file_type};
use rustix::fs::{FileType, Mode};
use rustix::process::geteuid;
use std::ffi::{OsStr, OsString};
use std::io;

/// How the names begin of directories that were moved up.
const MOVED: &str = ".layerstone-moved-";

impl Directory {
    /// Removes the directory `name`, which is open as `top`, and all that is below it.
    ///
    /// # Errors
    ///
    /// Something in it cannot be removed; all else is.
    pub fn remove_tree(&self, name: &OsStr, top: &Directory) -> io::Result<()> {
        top.let_owner_in();
        let mut moved = 0;
        loop {
            let mut failed = None;
            let names = top.names()?;
            let is_empty = names.is_empty();
            for inner in names {
                if let Err(error) = remove_entry(top, &inner, &mut moved) {
                    failed = Some(error);
                }
            }
            match failed {
                Some(error) => return Err(error),
                None if is_empty => return self.remove_directory(name),
                None => {}
            }
        }
    }

    /// Gives our own directory a mode with which its entries can be removed. What cannot be changed shows itself later.
    fn let_owner_in(&self) {
        let Ok(stat) = self.stat() else { return };
        let all = Mode::RWXU.bits();
        if stat.st_uid == geteuid().as_raw() && stat.st_mode & all != all {
            let _ = self.set_mode(all);
        }
    }
}

/// Removes an entry of `top`; of a directory, what is in it is removed or moved up, and then the directory itself.
fn remove_entry(top: &Directory, name: &OsStr, moved: &mut u64) -> io::Result<()> {
    let error = match top.remove_file(name) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => e,
        Ok(()) => return Ok(()),
    };
    if !is_directory(top, name) {
        return Err(error);
    }
    let directory = top.subdirectory(name)?;
    directory.let_owner_in();
    for inner in directory.names()? {
        if directory.remove_file(&inner).is_err() && is_directory(&directory, &inner) {
            move_up(&directory, &inner, top, moved)?;
        }
    }
    top.remove_directory(name)
}

fn is_directory(parent: &Directory, name: &OsStr) -> bool {
    parent.stat_of(name).is_ok_and(|stat| file_type(&stat) == FileType::Directory)
}

/// Moves a directory into `top` under a name that nothing has.
fn move_up(from: &Directory, name: &OsStr, top: &Directory, moved: &mut u64) -> io::Result<()> {
    // A directory can be moved to another parent only by one who may write to it.
    from.subdirectory(name)?.let_owner_in();
    loop {
        let free = OsString::from(format!("{MOVED}{moved}"));
        *moved += 1;
        if top.stat_of(&free).is_err() {
            return from.rename(name, top, &free);
        }
    }
}
