//! With the layer as the root of all files: what is there, what stays, what cannot be.

use super::{layer, spec};
use crate::support::archive::members;
use crate::support::caller::Caller;
use crate::support::lab::Lab;
use crate::support::{Place, Run};
use serde_json::json;

/// What a script finds around it and leaves.
const SCRIPT: &str = r#"
test "$PWD" = / && test "$(pwd -P)" = / && test "$TMPDIR" = /dev/shm
test "$PATH" = /bin:/usr/bin:/sbin:/usr/sbin
mkdir /data; chown 1000 /data; echo x > /data/x; mknod /data/null c 1 3; test -c /data/null
echo discard > /dev/null; head -c 1 /dev/zero > /dev/shm/x; test $(wc -c < /dev/fd/0) = 0
test -r /proc/self/status; set -- /proc/[0-9]*; test $# -lt 9
ls /nix/store > /dev/null
for place in /nix/store/x /dev/x /proc/x; do if echo > $place; then exit 9; fi; done 2> /dev/null
ln -s $(readlink -f /bin/hello) /hello
chown 9 /data/../data/x; cd /data; chown 8 ../data
mkdir -p /etc && ln -s /data /etc/link && chown 11 /etc/link/null && test $(stat -c %u /data/null) = 11
"#;

#[test]
fn the_layer_is_the_root() {
    let Some(lab) = Lab::find("small") else { return };
    let spec = json!({
        "name": "x", "contents": lab.env, "fakeRootCommands": SCRIPT, "enableFakechroot": true,
        "graph": lab.graph(),
    });
    let mut expected = None;
    for caller in Caller::all() {
        let (place, run) = layer(caller, &spec.to_string());
        if !caller.has_namespaces() {
            assert_eq!(run.code, Some(1), "{caller:?}");
            assert!(run.stderr.starts_with("error: cannot run: fakeRootCommands: cannot "), "{}", run.stderr);
            continue;
        }
        assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{caller:?}");
        place.check_no_leftovers();
        let tar = place.read("x.tar");
        let names: Vec<_> = members(&tar).into_iter().map(|member| String::from_utf8(member.name).unwrap()).collect();
        let is_mounted = |name: &&String| ["./dev", "./proc", "./nix"].iter().any(|mounted| name.starts_with(mounted));
        assert_eq!(names.iter().find(is_mounted), None, "{caller:?}");
        let hello = lab.path("hello");
        assert!(place.json("x.layer.json")["references"].as_array().unwrap().contains(&json!(hello)));
        assert_eq!(*expected.get_or_insert(tar.clone()), tar, "{caller:?}");
    }
}

/// What the layer has where things are mounted is hidden while the script runs, and there afterwards.
#[test]
fn what_is_hidden_comes_back() {
    let Some(lab) = Lab::find("small") else { return };
    let place = Place::new();
    let spec = json!({
        "name": "x", "contents": lab.env, "graph": lab.graph(), "enableFakechroot": true,
        "extraCommands": "mkdir -p dev nix/store nix/var proc; echo x > dev/own; echo y > nix/store/own",
        "fakeRootCommands": "test ! -e /dev/own; test ! -e /nix/store/own; test -d /nix/var; echo z > /nix/var/more",
    });
    place.write("x.json", spec.to_string());
    assert_eq!(place.ok("root --spec x.json -o x.layer.json --blob x.tar").stderr, "");
    let names: Vec<_> = members(&place.read("x.tar")).into_iter().map(|member| member.name).collect();
    for name in ["./dev/own", "./nix/store/own", "./nix/var/more", "./proc"] {
        assert!(names.contains(&name.as_bytes().to_vec()), "{name}");
    }
    assert!(!names.contains(&b"./dev/null".to_vec()));
}

#[track_caller]
fn check_failure(spec: serde_json::Value, expected: &str) {
    let place = Place::new();
    place.write("x.json", spec.to_string());
    assert_eq!(place.fail("root --spec x.json -o x.layer.json --blob x.tar"), format!("error: {expected}\n"));
}

#[test]
fn what_is_in_the_way() {
    check_failure(
        serde_json::from_str(&spec("true", true)).unwrap(),
        "cannot run: fakeRootCommands: no bash in the layer or the store (/bin:/usr/bin:/sbin:/usr/sbin)",
    );
    let Some(lab) = Lab::find("small") else { return };
    let with = |commands: &str| {
        json!({
            "name": "x", "contents": lab.env, "graph": lab.graph(), "extraCommands": commands,
            "fakeRootCommands": "true", "enableFakechroot": true,
        })
    };
    let cause = "not a directory";
    check_failure(
        with("ln -s /tmp dev"),
        &format!("cannot run: fakeRootCommands: cannot mount in the layer: dev: {cause}"),
    );
    check_failure(
        with("ln -s /tmp nix"),
        &format!("cannot run: fakeRootCommands: cannot mount in the layer: nix: {cause}"),
    );
    check_failure(
        with("mkdir nix; echo > nix/store"),
        &format!("cannot run: fakeRootCommands: cannot mount in the layer: nix/store: {cause}"),
    );
}

/// A bash that is a script of another interpreter, or for another machine, is told as the kernel tells it.
#[test]
fn a_bash_that_does_not_run() {
    let place = Place::new();
    let spec = json!({
        "name": "x", "enableFakechroot": true, "fakeRootCommands": "true",
        "extraCommands": "mkdir bin; printf '#!/absent/sh\\n' > bin/bash; chmod 755 bin/bash",
    });
    place.write("x.json", spec.to_string());
    let run: Run = place.run("root --spec x.json -o x.layer.json --blob x.tar");
    assert_eq!(
        (run.code, &*run.stderr),
        (Some(1), "error: cannot run: fakeRootCommands: No such file or directory (os error 2)\n")
    );
}
