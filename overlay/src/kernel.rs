//! Finds a Linux kernel for a virtual machine: the host's, or one that is named.
//!
//! A kernel says its release in its header (Documentation/arch/x86/boot.rst, `kernel_version`), and its modules are in
//! a directory of that name: in `/lib/modules`, or in `lib/modules` beside the kernel's directory, where unpacking a
//! package puts them.

use crate::{Error, Result};
use std::cmp::Reverse;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where kernels are.
const BOOT: &str = "/boot";
/// What to install where there is none.
const PACKAGE: &str = "install linux-image-cloud-amd64 or name one with --kernel";

/// A kernel with its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its image.
    pub image: PathBuf,
    /// Its release, such as `6.1.0-17-cloud-amd64`.
    pub release: String,
    /// The directory of its modules.
    pub modules: PathBuf,
}

impl Kernel {
    /// The kernel that is named, or the best one of this machine: one made for virtual machines, then the newest.
    ///
    /// # Errors
    ///
    /// There is none, it cannot be read, or its modules are not there.
    pub fn find(named: Option<&Path>) -> Result<Kernel> {
        match named {
            Some(path) => Kernel::of(path),
            None => Kernel::of_machine(Path::new(BOOT)),
        }
    }

    fn of_machine(boot: &Path) -> Result<Kernel> {
        let entries = fs::read_dir(boot).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut images: Vec<PathBuf> = entries.filter(|path| name(path).starts_with("vmlinuz-")).collect();
        images.sort_by_key(|path| Reverse((name(path).contains("cloud"), numbers(&name(path)), name(path))));
        let mut first = None;
        for image in &images {
            match Kernel::of(image) {
                Ok(kernel) => return Ok(kernel),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| {
            Error::Unavailable(format!("no guest kernel: found no vmlinuz-* in {}: {PACKAGE}", boot.display()))
        }))
    }

    fn of(image: &Path) -> Result<Kernel> {
        let release = release(image)?;
        let beside = image.canonicalize().ok().and_then(|path| Some(path.parent()?.parent()?.join("lib/modules")));
        let directories = [Some(PathBuf::from("/lib/modules")), beside];
        let directories: Vec<PathBuf> =
            directories.into_iter().flatten().map(|directory| directory.join(&release)).collect();
        match directories.iter().find(|directory| directory.join("modules.dep").is_file()) {
            Some(modules) => Ok(Kernel { image: image.to_owned(), release, modules: modules.clone() }),
            None => Err(Error::Unavailable(format!(
                "no modules of the guest kernel {}: found no modules.dep in {}: install its package, or run depmod -b",
                image.display(),
                directories.iter().map(|directory| directory.display().to_string()).collect::<Vec<_>>().join(" or ")
            ))),
        }
    }
}

/// The numbers in a name, so that 6.10 is newer than 6.9.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// What a kernel's header says of its release.
fn release(image: &Path) -> Result<String> {
    let shown = image.display();
    let file = File::open(image).map_err(|source| match source.kind() {
        std::io::ErrorKind::PermissionDenied => {
            let mode = image.metadata().map_or(0, |metadata| metadata.mode() & 0o7777);
            Error::Unavailable(format!(
                "cannot read the guest kernel: {shown}: its mode is {mode:04o}: sudo chmod 0644 {shown}, or name a copy with \
                 --kernel"
            ))
        }
        std::io::ErrorKind::NotFound => Error::Unavailable(format!("no guest kernel: {shown}: {source}: {PACKAGE}")),
        _ => Error::io("read", image)(source),
    })?;
    let no_kernel = || Error::Unavailable(format!("no guest kernel: {shown}: expected a bzImage of Linux for x86"));
    let read = |at: u64, length: usize| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, at).map(|()| bytes).map_err(|_| no_kernel())
    };
    if read(0x202, 4)? != b"HdrS" {
        return Err(no_kernel());
    }
    let pointer = read(0x20e, 2)?;
    let text = read(u64::from(u16::from_le_bytes([pointer[0], pointer[1]])) + 0x200, 128)?;
    let word = text.split(|&byte| byte == b' ' || byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(word) {
        Ok(word) if !word.is_empty() && !word.contains('/') => Ok(word.to_owned()),
        _ => Err(no_kernel()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_by_their_numbers() {
        assert!(numbers("vmlinuz-6.10.0-1-amd64") > numbers("vmlinuz-6.9.12-1-amd64"));
    }

    /// The beginning of a kernel.
    fn image(release: &str) -> Vec<u8> {
        let mut bytes = vec![0; 0x1000];
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x20e..0x210].copy_from_slice(&0x300_u16.to_le_bytes());
        bytes[0x500..0x500 + release.len()].copy_from_slice(release.as_bytes());
        bytes
    }

    #[test]
    fn the_best_kernel_of_a_machine() {
        let directory = tempfile::tempdir().unwrap();
        let boot = directory.path().join("boot");
        let error = || Kernel::of_machine(&boot).unwrap_err().to_string();
        assert!(error().starts_with("no guest kernel: found no vmlinuz-* in"), "{}", error());
        fs::create_dir(&boot).unwrap();
        for release in ["6.9.1-amd64", "6.10.1-amd64", "5.1.0-cloud-amd64"] {
            fs::write(boot.join(format!("vmlinuz-{release}")), image(&format!("{release} (someone@x) #1"))).unwrap();
        }
        assert!(
            error().contains("5.1.0-cloud-amd64: found no modules.dep in /lib/modules/5.1.0-cloud-amd64 or "),
            "{}",
            error()
        );
        for release in ["6.9.1-amd64", "6.10.1-amd64"] {
            let modules = directory.path().join("lib/modules").join(release);
            fs::create_dir_all(&modules).unwrap();
            fs::write(modules.join("modules.dep"), "").unwrap();
        }
        assert_eq!(Kernel::of_machine(&boot).unwrap().release, "6.10.1-amd64");
        fs::write(boot.join("vmlinuz-7.0.0-cloud"), "no kernel").unwrap();
        assert_eq!(Kernel::of_machine(&boot).unwrap().release, "6.10.1-amd64");
        let none = Kernel::find(Some(&boot.join("vmlinuz-7.0.0-cloud"))).unwrap_err().to_string();
        assert!(none.ends_with("vmlinuz-7.0.0-cloud: expected a bzImage of Linux for x86"), "{none}");
    }
}
