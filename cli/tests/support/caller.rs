//! Whoever may run the binary: us, a user who is nobody, each with or without what the kernel gives to some.

use crate::support::skip::{remove_at_exit, require_root, require_tool};
use crate::support::{Place, skip, test_name, with_default_signals};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The user of the tests, on every machine.
const NOBODY: u32 = 65534;

/// Somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whoever runs the tests.
    Us,
    /// Another user.
    Nobody,
    /// Another user who has users of its own (subuid(5)).
    NobodyWithUsers,
    /// Us, in a place where no namespaces can be made.
    WithoutNamespaces,
    /// A user in such a place.
    NobodyWithoutNamespaces,
}

impl Caller {
    const ALL: [Caller; 5] = [
        Caller::Us,
        Caller::Nobody,
        Caller::NobodyWithUsers,
        Caller::WithoutNamespaces,
        Caller::NobodyWithoutNamespaces,
    ];

    /// All that there are on this machine; what is missing is skipped.
    #[track_caller]
    pub fn all() -> Vec<Caller> {
        let is_here = |caller: &Caller| match caller {
            Caller::Us => true,
            Caller::Nobody => require_root() && require_tool("setpriv"),
            Caller::NobodyWithUsers => {
                require_root() && ["setpriv", "unshare", "newuidmap"].into_iter().all(require_tool)
            }
            Caller::WithoutNamespaces | Caller::NobodyWithoutNamespaces => has_user_namespaces(),
        };
        Caller::ALL.into_iter().filter(is_here).collect()
    }

    /// Whether it can make namespaces.
    pub fn has_namespaces(self) -> bool {
        !matches!(self, Caller::WithoutNamespaces | Caller::NobodyWithoutNamespaces)
    }

    /// A place to work in.
    pub fn place(self) -> Place {
        let place = Place::within(open_folder());
        if matches!(self, Caller::Nobody | Caller::NobodyWithUsers) {
            for folder in [place.path(), place.temporary()] {
                chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        place
    }

    /// The binary with these words, as [`Place::command`] has it.
    pub fn command(self, place: &Place, line: &str) -> Command {
        let as_nobody = format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups");
        let deny = "cd /proc/sys/user; echo 1 > max_user_namespaces; echo 0 > max_mnt_namespaces; cd \"$OLDPWD\"";
        let before = match self {
            Caller::Us => String::new(),
            Caller::Nobody => as_nobody,
            Caller::NobodyWithUsers => {
                let ids = open_folder().join("subids");
                let ids = ids.display();
                format!(
                    "unshare -m sh -c 'mount --bind {ids} /etc/subuid; mount --bind {ids} /etc/subgid; exec {as_nobody} \"$@\"' sh"
                )
            }
            Caller::WithoutNamespaces => {
                format!("unshare -Ur sh -c '{deny}; echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"' sh")
            }
            Caller::NobodyWithoutNamespaces => {
                let nested = format!("unshare -U --map-user={NOBODY} --map-group={NOBODY}");
                format!("unshare -Ur sh -c '{deny}; exec {nested} \"$@\"' sh")
            }
        };
        let mut command = with_default_signals(Command::new("sh"));
        let binary = open_folder().join("layerstone");
        command.args(["-c", &format!("exec {before} {} {line}", binary.display())]).current_dir(place.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TMPDIR", place.temporary()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// A directory that everybody can go to, with the binary and a file such as /etc/subuid.
pub fn open_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let open = tempfile::tempdir().unwrap().keep();
        remove_at_exit(&open);
        fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_layerstone"), open.join("layerstone")).unwrap();
        fs::write(open.join("subids"), format!("{NOBODY}:200000:65536\n")).unwrap();
        open
    })
}

#[track_caller]
fn has_user_namespaces() -> bool {
    if !require_tool("unshare") {
        return false;
    }
    let probe = Command::new("unshare").args(["-Ur", "true"]).stderr(Stdio::null()).status().unwrap();
    if !probe.success() {
        skip(&test_name(), "no user namespaces here");
    }
    probe.success()
}
