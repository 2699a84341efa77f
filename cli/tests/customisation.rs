//! The customisation layer: GNU tar's bytes of what lndir and the script make.

use crate::support::archive::{Member, members};
use crate::support::{Place, digest, require_tool, synth};
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// Names and targets around tar's limits, links, a pipe, all modes.
const CORNERS: &str = r#"
mkdir -p a/b "a b" a.b a-b empty
for n in 98 99 100 101 155 255; do
  name=$(printf "%${n}s" "" | tr ' ' n)
  echo $n > "$name"; ln -s "$name" link-$n; ln -s "/$name" absolute-$n
done
deep=$(printf "%60s/%60s/%60s" "" "" "" | tr ' ' d)
mkdir -p "$deep" && echo deep > "$deep/file" && mkdir "$deep/$(printf "%99s" "" | tr ' ' e)"
echo one > a/file; ln a/file a/again; ln a/file hard
mkfifo pipe
echo s > a/setuid; chmod 4755 a/setuid
echo g > a/setgid; chmod 2711 a/setgid
mkdir tmp; chmod 1777 tmp
echo secret > a/secret; chmod 600 a/secret
chmod 555 a/b; chmod 700 empty
echo n > "new
line"
echo l > "$(printf 'latin1-\351')"; echo u > "$(printf 'h\303\251llo')"; ln -s "$(printf 'h\303\251llo')" "$(printf 'to-\351')"
echo b > 'back\slash'; echo q > "quote'\""
: > zero; head -c 511 /dev/zero > 511; head -c 512 /dev/zero > 512; head -c 513 /dev/zero > 513
ln -s nowhere dangling
touch -d 1999-01-01 a/file
echo x > .hidden; echo A > A; echo B > B
"#;

/// Makes a tree with a script and compares the layer with GNU tar's archive of the same tree.
#[track_caller]
fn check_gnu_tar(script: &str, mtime: &str) {
    let place = Place::new();
    place.write("script", script);
    place.ok(&format!("root --extra-commands script --mtime {mtime} -o x.layer.json --blob x.tar"));
    if !require_tool("tar") {
        return;
    }
    let tree = place.join("tree");
    std::fs::create_dir(&tree).unwrap();
    let make = "umask 022; chmod 755 .; bash -e ../script && tar --sort=name --hard-dereference --owner=0 --group=0 \
         --numeric-owner --mtime=@$MTIME --format=gnu -cf ../gnu.tar .";
    let mut bash = Command::new("bash");
    bash.args(["-ec", make]).current_dir(&tree).env("MTIME", mtime).env("LC_ALL", "C");
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (ours, gnu) = (place.read("x.tar"), place.read("gnu.tar"));
    for (ours, gnu) in members(&ours).iter().zip(members(&gnu)) {
        assert_eq!(String::from_utf8_lossy(&ours.name), String::from_utf8_lossy(&gnu.name));
        assert_eq!(*ours, gnu);
    }
    assert_eq!((ours.len(), digest(&ours)), (gnu.len(), digest(&gnu)));
    assert_eq!(place.json("x.layer.json")["diffId"], format!("sha256:{}", digest(&gnu)));
}

#[test]
fn same_bytes_as_gnu_tar() {
    check_gnu_tar("mkdir etc; echo hi > etc/motd", "1");
    check_gnu_tar(":", "315532800");
    check_gnu_tar(CORNERS, "1");
    check_gnu_tar(CORNERS, "8589934592");
}

/// The layer that `root` makes of these contents of the synthetic store.
#[track_caller]
fn root_of(contents: &[&str], script: &str) -> (Place, Vec<Member>) {
    let place = Place::new();
    place.write("script", script);
    let root = synth().root.display();
    let contents = contents.join(" ");
    let line = format!("root --contents {contents} --extra-commands script --root {root} -o x.layer.json --blob x.tar");
    place.ok(&line);
    let found = members(&place.read("x.tar"));
    (place, found)
}

fn find<'a>(members: &'a [Member], name: &str) -> &'a Member {
    members.iter().find(|member| member.name == name.as_bytes()).unwrap_or_else(|| panic!("no {name}"))
}

/// Directories are made, files linked, links copied with their text.
#[test]
fn merged_as_lndir_does() {
    let bash = synth().path("bash-5.2");
    let (place, found) = root_of(&[bash, synth().path("root-env")], "echo more > bin/more");
    let file = find(&found, "./bin/bash");
    assert_eq!((file.kind, &*file.link), ('2', format!("{bash}/bin/bash").as_bytes()));
    let link = find(&found, "./bin/sh");
    assert_eq!((link.kind, &*link.link), ('2', b"bash".as_slice()));
    let folder = find(&found, "./share");
    assert_eq!((folder.kind, folder.mode), ('5', 0o755));
    assert_eq!(find(&found, "./bin/more").contents, b"more\n");
    let mut expected = ["bash-5.2", "git-2.39", "script.sh", "data.txt", "corners", "empty-dir", "link-to-bash"]
        .map(|name| synth().path(name));
    expected.sort();
    assert_eq!(place.json("x.layer.json")["references"], json!(expected));
}

/// The first of two that disagree wins and a warning names both; `--strict` makes that an error.
#[test]
fn contents_that_disagree() {
    let place = Place::new();
    let (a, b) = ("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a", "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-b");
    place.write(&format!("store{a}/bin/x"), "first");
    place.write(&format!("store{b}/bin/x"), "second");
    let line = format!("root --contents {a} {b} --root store -o x.layer.json --blob x.tar");
    let told = place.ok(&line).stderr;
    assert_eq!(told, format!("warning: contents conflict: bin/x: {a}/bin/x kept, {b}/bin/x ignored\n"));
    assert_eq!(find(&members(&place.read("x.tar")), "./bin/x").link, format!("{a}/bin/x").as_bytes());
    let told = place.fail(&format!("{line} --strict"));
    assert_eq!(told, format!("error: contents conflict: bin/x: {a}/bin/x kept, {b}/bin/x ignored\n"));
    assert_eq!(place.ok(&format!("{line} --quiet")).stderr, "");
}

/// The script's environment, umask and directory, whatever ours are.
#[test]
fn the_scripts_world() {
    let script = r#"
        pwd > /dev/stderr; [ "$PWD" = "$(pwd -P)" ]
        env | cut -d= -f1 | sort > names
        echo "$HOME $LC_ALL $TZ $SOURCE_DATE_EPOCH $(umask)" > values
        [ -d "$TMPDIR" ]; [ "$(id -u)" = "$(id -u)" ]; touch "$TMPDIR/x"
        false | true
        echo ${undefined}done > end
    "#;
    let place = Place::new();
    place.write("script", script);
    let mut command = place.command("root --extra-commands script --mtime 77 -o x.layer.json --blob x.tar");
    let output = command.env("SECRET", "1").env("HOME", "/home/me").env("LC_ALL", "de_DE.UTF-8").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = members(&place.read("x.tar"));
    let text = |name| String::from_utf8(find(&found, name).contents.clone()).unwrap();
    assert_eq!(text("./values"), "/homeless-shelter C UTC 77 0022\n");
    assert_eq!(text("./end"), "done\n");
    let names = text("./names");
    let names: Vec<&str> = names.lines().filter(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name)).collect();
    assert_eq!(names, ["HOME", "LC_ALL", "PATH", "SOURCE_DATE_EPOCH", "TMPDIR", "TZ"]);
}

/// Only the layer's directory and TMPDIR can be written.
#[test]
fn the_script_is_confined() {
    let place = Place::new();
    let outside = place.write("outside", "untouched");
    place.write("script", format!("echo in > in; ! echo bad 2>/dev/null > {}", outside.display()));
    let run = place.run("root --extra-commands script -o x.layer.json --blob x.tar");
    if run.stderr.starts_with("warning: script not confined") {
        return crate::support::skip("customisation::the_script_is_confined", "no namespaces here");
    }
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    assert_eq!(std::fs::read_to_string(Path::new(&outside)).unwrap(), "untouched");
}

/// A script that fails: its last lines and its exit status.
#[test]
fn a_failing_script() {
    let place = Place::new();
    place.write("script", "echo one\necho two >&2\n(exit 3)\necho never\n");
    place.write("x.layer.json", "old");
    place.write("x.tar", "old");
    let told = place.fail("root --extra-commands script -o x.layer.json --blob x.tar");
    let hint = "hint: what it said last stands above; `set -x` in its first line shows each command\n";
    assert!(told.ends_with(&format!("one\ntwo\nerror: script failed: script: exit status 3\n{hint}")), "{told}");
    place.write("image.json", json!({"name": "x", "extraCommands": "kill -9 $$"}).to_string());
    place.write("x.tar", "old");
    let told = place.fail("build image.json -o x.tar");
    assert_eq!(told, format!("error: script failed: extraCommands: killed by signal 9\n{hint}"));
}
