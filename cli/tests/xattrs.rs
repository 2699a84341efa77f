//! Extended attributes and file capabilities: kept when asked, in the bytes of GNU tar, from store paths, copied contents
//! and scripts; a program in docker has what it was given.

use crate::support::archive::{Member, members};
use crate::support::caller::Caller;
use crate::support::docker::Docker;
use crate::support::lab::Lab;
use crate::support::{Place, digest, output, require_root, require_tool, skip, test_name};
use serde_json::json;
use std::path::Path;
use std::process::Command;

const PATH: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a";
/// `cap_net_raw+ep` (linux/capability.h, struct vfs_cap_data, revision 2).
const NET_RAW: &str = "0x0100000200200000000000000000000000000000";

/// Gives a file an attribute; false if there are none here.
#[track_caller]
fn give(file: &Path, name: &str, value: &str) -> bool {
    if !require_tool("setfattr") {
        return false;
    }
    let given = Command::new("setfattr").args(["-n", name, "-v", value]).arg(file).output().unwrap();
    if !given.status.success() {
        skip(&test_name(), &format!("no {name} here: {}", String::from_utf8_lossy(&given.stderr)));
    }
    given.status.success()
}

/// A place with a store of one path that has attributes, and as root a capability; what the records of its files say.
#[track_caller]
fn place() -> Option<(Place, Vec<String>)> {
    let place = Place::new();
    place.write(&format!("root{PATH}/bin/x"), "program");
    place.write(&format!("root{PATH}/plain"), "plain");
    let file = place.join(format!("root{PATH}/bin/x"));
    let mut expected = vec!["25 SCHILY.xattr.user.x=\0\n".to_owned()];
    if !give(&file, "user.x", "0x00") {
        return None;
    }
    if require_root() && give(&file, "security.capability", NET_RAW) {
        expected
            .insert(0, "57 SCHILY.xattr.security.capability=\u{1}\0\0\u{2}\0 ".to_owned() + &"\0".repeat(14) + "\n");
    }
    Some((place, expected))
}

fn find(tar: &[u8], name: &str) -> Member {
    let found = members(tar).into_iter().find(|member| member.name == name.as_bytes());
    found.unwrap_or_else(|| panic!("no {name}"))
}

/// Whether a member's header holds these records.
#[track_caller]
fn check_records(tar: &[u8], name: &str, expected: &[String]) {
    let header = find(tar, name).header;
    let expected = expected.concat();
    let is_there = header.windows(expected.len()).any(|bytes| bytes == expected.as_bytes());
    assert!(is_there, "{name}: {}", header.escape_ascii());
}

fn has_records(tar: &[u8]) -> bool {
    tar.windows(13).any(|bytes| bytes == b"SCHILY.xattr.")
}

#[test]
fn of_store_paths() {
    let Some((place, records)) = place() else { return };
    place.write("x.json", json!({"name": "x", "contents": PATH}).to_string());
    place.ok("build x.json --scan --root root -o without.tar");
    assert!(!has_records(&place.read("without.tar")));
    place.ok("build x.json --scan --root root --xattrs -o flag.tar");
    place.write("x.json", json!({"name": "x", "contents": PATH, "xattrs": true}).to_string());
    place.ok("build x.json --scan --root root -o key.tar");
    assert_eq!(digest(&place.read("flag.tar")), digest(&place.read("key.tar")));
    place.ok("root --spec x.json --root root -o root.layer.json --blob root.tar");
    place.ok("closure --spec x.json --scan --layer root.layer.json --root root -o x.closure.json");
    place.ok("layers x.closure.json --max-layers 5 -o x.layers.json");
    place.ok("layer x.layers.json --spec x.json --root root --all -o layers");
    assert_eq!(place.json("layers/000.layer.json")["recipe"]["xattrs"], true);
    place.ok("image --spec x.json --root root layers/000.layer.json root.layer.json -o staged.tar");
    assert_eq!(digest(&place.read("staged.tar")), digest(&place.read("key.tar")));
    place.ok("layer x.layers.json --root root --index 0 --xattrs --blob layer.tar -o layer.json");
    let layer = place.read("layer.tar");
    check_records(&layer, &format!("{PATH}/bin/x"), &records);
    assert_eq!(find(&layer, &format!("{PATH}/plain")).header.len(), 512);
    // All who read layers read this one.
    assert!(place.ok("tarsum layer.tar").text().starts_with("tarsum.v1+sha256:"));
    place.ok("overlay export key.tar -o flat.tar");
    check_records(&place.read("flat.tar"), &format!(".{PATH}/bin/x"), &records);
    unpacked(&place, "layer.tar", &PATH[1..]);
}

/// GNU tar unpacks what was there.
#[track_caller]
fn unpacked(place: &Place, tar: &str, name: &str) {
    if !require_tool("tar") || !require_tool("getfattr") {
        return;
    }
    std::fs::create_dir(place.join("unpacked")).unwrap();
    let unpack = ["--xattrs", "--xattrs-include=*", "-xpf", tar, "-C", "unpacked"];
    output(Command::new("tar").args(unpack).current_dir(place.path()));
    let show = |folder: &str| {
        let shown = ["-m", "-", "-d", "-e", "hex", "bin/x"];
        output(Command::new("getfattr").args(shown).current_dir(place.join(folder).join(name)))
    };
    assert_eq!(show("unpacked"), show("root"));
}

#[test]
fn of_single_images_and_copies() {
    let Some((place, records)) = place() else { return };
    let line = format!("build --name x --kind single --contents {PATH} --mode copy --scan --root root");
    place.ok(&format!("{line} -o without.tar"));
    assert!(!has_records(&place.read("without.tar")));
    place.write("script", "echo more > more");
    place.ok(&format!("{line} --xattrs -o x.tar"));
    place.ok(&format!("{line} --xattrs --extra-commands script -o script.tar"));
    for image in ["x.tar", "script.tar"] {
        place.ok(&format!("overlay export {image} -o flat.tar"));
        check_records(&place.read("flat.tar"), "./bin/x", &records);
    }
    let root = format!("root --contents {PATH} --mode copy --root root -o r.layer.json --blob r.tar");
    place.ok(&format!("{root} --xattrs --fake-root-commands script"));
    check_records(&place.read("r.tar"), "./bin/x", &records);
}

/// The store paths behind a root too.
#[test]
fn of_a_closure_behind_a_root() {
    let Some((place, records)) = place() else { return };
    place.write("layers.json", json!([[PATH]]).to_string());
    place.ok("root -o root.layer.json --blob root.tar");
    for (flag, expected) in [("", false), ("--xattrs", true)] {
        place
            .ok(&format!("layer layers.json --behind root.layer.json --root root {flag} --blob x.tar -o x.layer.json"));
        assert_eq!(has_records(&place.read("x.tar")), expected);
    }
    check_records(&place.read("x.tar"), &format!("{}/bin/x", &PATH[1..]), &records);
}

/// Members with attributes have the bytes of GNU tar's POSIX format, the others those of its own.
#[test]
fn as_gnu_tar_writes_them() {
    if !require_tool("tar") || !require_tool("setfattr") {
        return;
    }
    let place = Place::new();
    let probe = place.write("probe", "");
    if !give(&probe, "user.x", "1") {
        return;
    }
    let script = r#"
        long=$(printf 'n%.0s' $(seq 120)); mkdir -p folder/$long
        for file in short $long folder/$long/$long $(printf 'h\303\251') 'a b'; do
          echo "$file" > "$file"; setfattr -n user.x -v '1=2' "$file"
        done
        setfattr -n user.y -v 0x0aff00 folder; setfattr -n 'user.k=v%1' -v 0x folder/$long
        echo plain > plain; ln -s $long link"#;
    place.write("script", script);
    place.ok("root --extra-commands script --xattrs --mtime 8589934592 -o x.layer.json --blob x.tar");
    let tree = place.join("tree");
    std::fs::create_dir(&tree).unwrap();
    let make = "umask 022; chmod 755 .; bash -e ../script; tar() { command tar --sort=name --hard-dereference \
         --numeric-owner --owner=0 --group=0 --mtime=@8589934592 \"$@\" .; }; tar --format=gnu -cf ../gnu.tar; tar \
         --format=posix --xattrs '--xattrs-include=*' \
         --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime -cf ../posix.tar";
    output(Command::new("bash").args(["-ec", make]).current_dir(&tree).env("LC_ALL", "C"));
    let [ours, gnu, posix] = ["x.tar", "gnu.tar", "posix.tar"].map(|tar| members(&place.read(tar)));
    assert_eq!(ours.len(), 10);
    for ((ours, gnu), posix) in ours.iter().zip(&gnu).zip(&posix) {
        let name = String::from_utf8_lossy(&ours.name);
        let is_posix = has_records(&posix.header);
        assert_eq!(is_posix, !["./plain", "./link", "."].contains(&&*name), "{name}");
        let expected = if is_posix { posix } else { gnu };
        assert_eq!(ours.header.escape_ascii().to_string(), expected.header.escape_ascii().to_string(), "{name}");
    }
}

/// A capability that a script gives is in the layer whoever runs it, asked or not.
#[test]
fn given_by_a_fake_root() {
    if !require_tool("setcap") {
        return;
    }
    let setcap = "export PATH=$PATH:/usr/sbin:/sbin; echo x > x; setcap cap_net_raw+ep x; getcap x";
    let mut expected = None;
    for caller in Caller::all() {
        let place = caller.place();
        place.write("x.json", json!({"name": "x", "fakeRootCommands": setcap}).to_string());
        let run = caller.command(&place, "root --spec x.json -o x.layer.json --blob x.tar").output().unwrap();
        assert!(run.status.success(), "{caller:?}: {}", String::from_utf8_lossy(&run.stderr));
        let tar = place.read("x.tar");
        let record = "57 SCHILY.xattr.security.capability=\u{1}\0\0\u{2}\0 ".to_owned() + &"\0".repeat(14) + "\n";
        check_records(&tar, "./x", &[record]);
        assert_eq!(digest(expected.get_or_insert(tar.clone())), digest(&tar), "{caller:?}");
    }
}

/// A program with a capability has it in a container, though its user is not root.
#[test]
fn in_docker() {
    let (Some(docker), Some(lab)) = (Docker::find(), Lab::find("small")) else { return };
    if !require_tool("setcap") {
        return;
    }
    let place = Place::new();
    let spec = json!({
        "name": "capable", "tag": "1", "contents": lab.env, "graph": lab.graph(),
        "fakeRootCommands": format!(
            "export PATH=$PATH:/usr/sbin:/sbin; cp {}/bin/cat capable; chmod 755 capable; setcap cap_net_raw+ep capable",
            lab.path("coreutils"),
        ),
    });
    place.write("x.json", spec.to_string());
    place.ok("build x.json -o x.tar");
    let turn = docker.turn();
    let image = turn.load(&place.join("x.tar"), "capable:1");
    let effective = |program: &str| {
        let status = image.run_as("1000", &[program, "/proc/self/status"]);
        status.lines().find_map(|line| line.strip_prefix("CapEff:\t").map(str::to_owned)).unwrap()
    };
    assert_eq!((effective("/bin/cat"), effective("/capable")), ("0".repeat(16), "0000000000002000".to_owned()));
}
