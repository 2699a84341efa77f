//! Scripts as a fake root: the same bytes whoever runs them, those of fakeroot(1) and GNU tar; the layer as the root
//! of all files; scripts that go wrong.

mod bad;
mod inside;

use crate::support::archive::members;
use crate::support::caller::Caller;
use crate::support::{Place, Run, digest, require_tool};
use serde_json::json;
use std::process::Command;

/// Owners, devices, modes that nobody may read, links, several names of a file, names that are odd.
const SCRIPT: &str = r"
mkdir -p home/alice dev 'a b' shut/inner
echo hi > home/alice/.profile; chown -R 1000:100 home/alice; chmod 0700 home/alice
mknod -m 666 dev/null c 1 3; mknod dev/disk b 259 1048575; chown 0:6 dev/disk; chmod 640 dev/disk
mkfifo dev/log; chown 7 dev/log
ln -s .profile home/alice/link; chown -h 1000:100 home/alice/link
echo one > one; ln one two; chown 5:6 two
echo s > setuid; chown 1001:1001 setuid; chmod 4755 setuid
echo x > shut/inner/file; chown 65533:65533 shut/inner/file; chmod 0 shut/inner/file; chmod 0 shut/inner
chown 70000:4294967294 'a b'
cp -a dev/null dev/zero; install -d -o 33 -g 33 -m 2775 www
test $(stat -c %u:%g home/alice/.profile) = 1000:100
test $(id -u) = 0
";

fn spec(script: &str, chroot: bool) -> String {
    json!({"name": "x", "fakeRootCommands": script, "enableFakechroot": chroot}).to_string()
}

/// The layer that a caller makes, and what it was told.
#[track_caller]
fn layer(caller: Caller, spec: &str) -> (Place, Run) {
    let place = caller.place();
    place.write("x.json", spec);
    let run: Run = caller.command(&place, "root --spec x.json -o x.layer.json --blob x.tar").output().unwrap().into();
    (place, run)
}

#[test]
fn the_same_bytes_whoever_runs_it() {
    let mut expected = None;
    for caller in Caller::all() {
        // Who is root of nothing cannot read what its script has shut.
        let script = if caller == Caller::NobodyWithoutNamespaces {
            SCRIPT.replace("chmod 0 shut", ": shut")
        } else {
            SCRIPT.to_owned()
        };
        let (place, run) = layer(caller, &spec(&script, false));
        assert_eq!(run.code, Some(0), "{caller:?}: {}", run.stderr);
        let warned = run.stderr.starts_with("warning: script not confined to the layer: fakeRootCommands: ");
        assert_eq!(warned, !caller.has_namespaces(), "{caller:?}: {}", run.stderr);
        place.check_no_leftovers();
        let mut found = members(&place.read("x.tar"));
        if caller == Caller::NobodyWithoutNamespaces {
            found.retain(|member| !member.name.starts_with(b"./shut/"));
        }
        let Some(expected) = &expected else {
            expected = Some(found);
            continue;
        };
        let shown = |member: &&crate::support::archive::Member| {
            caller != Caller::NobodyWithoutNamespaces || !member.name.starts_with(b"./shut/")
        };
        let expected: Vec<_> = expected.iter().filter(shown).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{caller:?}");
    }
}

/// What nixpkgs does: the script and then GNU tar under fakeroot(1).
#[test]
fn the_bytes_of_fakeroot_and_tar() {
    let (place, run) = layer(Caller::Us, &spec(SCRIPT, false));
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    if !require_tool("fakeroot") || !require_tool("tar") {
        return;
    }
    let tree = place.join("tree");
    std::fs::create_dir(&tree).unwrap();
    place.write("script", SCRIPT);
    let tar = "umask 022; chmod 755 .; bash -e ../script; tar --sort=name --hard-dereference --numeric-owner --mtime=@1 \
         --format=gnu -cf ../fakeroot.tar .; rm -rf shut";
    let mut fakeroot = Command::new("fakeroot");
    let output = fakeroot.args(["bash", "-ec", tar]).current_dir(&tree).env("LC_ALL", "C").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (ours, theirs) = (place.read("x.tar"), place.read("fakeroot.tar"));
    for (ours, theirs) in members(&ours).iter().zip(members(&theirs)) {
        assert_eq!(*ours, theirs, "{}", String::from_utf8_lossy(&theirs.name));
    }
    assert_eq!(digest(&ours), digest(&theirs));
}

/// Both scripts, one after the other; contents before them, rules for owners after them.
#[test]
fn in_its_order() {
    let place = Place::new();
    let spec = json!({
        "name": "x", "helpers": ["tmp"],
        "extraCommands": "test -d tmp; echo 1 > first; mkdir given; echo x > $TMPDIR/x",
        "fakeRootCommands": "test -f first; chown 8:9 first given; chmod 600 first; test ! -e $TMPDIR/x",
        "perms": [{"path": "given", "uid": 10}],
    });
    place.write("x.json", spec.to_string());
    let run = place.ok("root --spec x.json -o x.layer.json --blob x.tar");
    assert_eq!(run.stderr, "");
    let owners = |name: &str| {
        let found = members(&place.read("x.tar"));
        let member = found.iter().find(|member| member.name == name.as_bytes()).unwrap();
        let header = tar::Header::from_byte_slice(member.header[member.header.len() - 512..].try_into().unwrap());
        (header.uid().unwrap(), header.gid().unwrap(), member.mode)
    };
    assert_eq!(
        [owners("./first"), owners("./given"), owners("./tmp")],
        [(8, 9, 0o600), (10, 9, 0o755), (0, 0, 0o1777)]
    );
}

/// Where the kernel gives users, a script can become one of them, who then owns what it makes.
#[test]
fn other_users_in_the_script() {
    if !require_tool("setpriv") {
        return;
    }
    let script = "install -d -o 1 -g 1 -m 700 data\n\
        setpriv --reuid=1 --regid=1 --clear-groups sh -c 'id -u; echo x > data/x; if chown 2 data; then echo wrong; fi'\n\
        if setpriv --reuid=1 --regid=1 --clear-groups mknod data/null c 1 3; then echo wrong; fi\n\
        mknod data/null c 1 3; stat -c '%n %u %F' data/*";
    for caller in Caller::all().into_iter().filter(|caller| matches!(caller, Caller::Us | Caller::NobodyWithUsers)) {
        let (_place, run) = layer(caller, &spec(script, false));
        let told: String = run.stderr.split_inclusive('\n').filter(|line| !line.contains("not permitted")).collect();
        let expected = "1\ndata/null 0 character special file\ndata/x 1 regular file\n";
        assert_eq!((run.code, &*told), (Some(0), expected), "{caller:?}: {}", run.stderr);
    }
}

/// No library is preloaded: programs without any are answered too.
#[test]
fn static_programs() {
    if !require_tool("busybox") {
        return;
    }
    let script = "busybox mkdir a; busybox chown 5:6 a; busybox stat -c %u:%g a; busybox mknod n c 1 3; busybox ls -l n \
         | busybox cut -c 1-10; busybox id -u";
    for caller in Caller::all() {
        let (_place, run) = layer(caller, &spec(script, false));
        let told: String = run.stderr.split_inclusive('\n').filter(|line| !line.starts_with("warning: ")).collect();
        assert_eq!((run.code, &*told), (Some(0), "5:6\ncrw-r--r--\n0\n"), "{caller:?}");
    }
}

/// By flag, in every kind of image, stage by stage.
#[test]
fn flags_and_stages() {
    let place = Place::new();
    place.write("script", "mkdir data; chown 7:7 data");
    place.write("x.json", spec("mkdir data; chown 7:7 data", false));
    place.ok("build --name x --fake-root-commands script -o flags.tar");
    place.ok("build x.json -o spec.tar");
    assert_eq!(place.read("flags.tar"), place.read("spec.tar"));
    place.ok("root --fake-root-commands script -o flags.layer.json --blob flags.layer.tar");
    place.ok("root --spec x.json -o spec.layer.json --blob spec.layer.tar");
    assert_eq!(place.read("flags.layer.tar"), place.read("spec.layer.tar"));
    place.ok("build x.json --kind single -o single.tar");
    let told = place.run("root --enable-fakechroot -o x.layer.json --blob x.tar");
    assert_eq!(told.code, Some(2));
    assert!(told.stderr.contains("--enable-fakechroot: expected --fake-root-commands with it"), "{}", told.stderr);
    assert!(place.ok("build x.json -o x.tar --dry-run").text().contains("a script run"));
}
