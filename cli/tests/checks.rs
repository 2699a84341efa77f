//! What an image would not do is told before it is written: layers that are no image, commands that are not there or cannot
//! run, users that nobody knows. Warnings, or errors with --strict.

use crate::support::{Place, require_tool, synth};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;

/// A place with a root file system: a static program, scripts, users.
fn place() -> Place {
    let place = Place::new();
    for (name, text, mode) in [
        ("root/bin/good", "#!/bin/busybox sh\n", 0o755),
        ("root/bin/data", "no program\n", 0o644),
        ("root/bin/lost", "#!/bin/nowhere\n", 0o755),
        ("root/bin/by-env", "#!/bin/env python3 -u\n", 0o755),
        ("root/etc/passwd", "root:x:0:0::/:\nweb:x:7:7::/:\n", 0o644),
        ("root/etc/group", "www:x:7:\n", 0o644),
    ] {
        place.write_mode(name, text, mode);
    }
    for name in ["busybox", "env"] {
        fs::copy("/bin/busybox", place.join("root/bin").join(name)).unwrap();
    }
    symlink("/bin/good", place.join("root/entry")).unwrap();
    symlink("bin", place.join("root/sbin")).unwrap();
    place
}

fn spec(config: &Value) -> String {
    json!({"name": "x", "tag": "1", "copy": [{"from": "root", "to": "/"}], "config": config}).to_string()
}

/// The doubts about a config, as warnings and as the lines of an error.
#[track_caller]
fn check(place: &Place, config: &Value, expected: &[&str]) {
    place.write("image.json", spec(config));
    let warned = place.ok("build image.json -o x.tar").stderr;
    let found: Vec<&str> = warned.lines().filter_map(|line| line.strip_prefix("warning: ")).collect();
    assert_eq!(found, expected, "{config}");
    fs::remove_file(place.join("x.tar")).unwrap();
    if expected.is_empty() {
        place.ok("build image.json --strict -o x.tar");
        return;
    }
    let error = place.error_of("build image.json --strict -o x.tar");
    assert_eq!(error, format!("error: the image would not run:\n  {}\n", expected.join("\n  ")));
    assert!(!place.join("x.tar").exists());
    let silent = place.ok("build image.json --no-check -o x.tar").stderr;
    assert!(!silent.contains("warning"), "{silent}");
}

#[test]
fn commands() {
    if !require_tool("busybox") {
        return;
    }
    let place = place();
    for cmd in ["/bin/good", "good", "/entry", "/sbin/good", "bin/busybox"] {
        check(&place, &json!({"Cmd": [cmd]}), &[]);
    }
    check(&place, &json!({}), &[]);
    check(&place, &json!({"Entrypoint": ["good"], "Cmd": ["nonsense"]}), &[]);
    check(&place, &json!({"Cmd": ["./good"], "WorkingDir": "/bin"}), &[]);
    check(&place, &json!({"Cmd": ["/bin/nope"]}), &["Cmd: found no /bin/nope in the image"]);
    check(
        &place,
        &json!({"Entrypoint": ["good"], "Env": ["PATH=/x:/y"]}),
        &["Entrypoint: found no good in PATH, /x:/y"],
    );
    check(
        &place,
        &json!({"Cmd": ["/bin/good -g hi"]}),
        &["Cmd: found no /bin/good -g hi in the image: one word for each --cmd"],
    );
    check(&place, &json!({"Cmd": ["data"]}), &["/bin/data: found mode 644, expected one that lets it be executed"]);
    check(&place, &json!({"Cmd": ["lost"]}), &["/bin/lost: found no /bin/nowhere in the image, its interpreter"]);
    check(
        &place,
        &json!({"Cmd": ["by-env"]}),
        &["/bin/by-env: found no python3 in PATH, /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    );
}

#[test]
fn users_and_directories() {
    if !require_tool("busybox") {
        return;
    }
    let place = place();
    for user in ["web", "web:www", "7", "1000:1000", "0:www", ""] {
        check(&place, &json!({"User": user}), &[]);
    }
    check(&place, &json!({"User": "app:www"}), &["User: found no app in /etc/passwd of the image"]);
    check(&place, &json!({"User": "7:staff"}), &["User: found no staff in /etc/group of the image"]);
    check(&place, &json!({"WorkingDir": "/not/yet"}), &[]);
    check(&place, &json!({"WorkingDir": "bin"}), &["WorkingDir: found bin, expected an absolute path"]);
    check(&place, &json!({"WorkingDir": "/bin/good"}), &["WorkingDir: /bin/good is no directory in the image"]);
}

/// A program of this machine alone lacks its interpreter and its libraries, and is for no other architecture.
#[test]
fn programs_and_their_libraries() {
    let place = Place::new();
    fs::copy("/bin/sh", place.join("sh")).unwrap();
    let warned =
        |flags: &str| place.ok(&format!("build --name x --copy sh:/bin/sh --cmd /bin/sh {flags} -o x.tar")).stderr;
    let alone = warned("");
    assert!(alone.contains("warning: /bin/sh: found no /lib"), "{alone}");
    assert!(alone.contains("in the image, its interpreter"), "{alone}");
    assert!(alone.contains("warning: /bin/sh: found no libc.so.6 in the image, its library"), "{alone}");
    let whole = warned("--with-libraries");
    assert!(!whole.contains("warning"), "{whole}");
    let other = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };
    let other = warned(&format!("--architecture {other}"));
    assert!(other.contains("/bin/sh: found a program for ") && other.contains(", expected one for "), "{other}");
}

/// Programs of a base, and of store paths, are found like those that are copied.
#[test]
fn bases_and_store_paths() {
    if !require_tool("busybox") {
        return;
    }
    let place = place();
    place.ok("build --name base --tag 1 --copy root:/ --no-check -o base.tar");
    let warned = |cmd: &str| place.ok(&format!("build --name x --base base.tar --cmd {cmd} -o x.tar")).stderr;
    assert!(!warned("good").contains("warning"));
    assert!(warned("nope").contains("warning: Cmd: found no nope in PATH"));
    let (synth, root) = (synth(), synth().root.display());
    let warned = |cmd: &str| {
        let flags = format!("--root {root} --contents {} --scan", synth.path("curl-8.0"));
        place.ok(&format!("build --name x {flags} --cmd {cmd} -o x.tar")).stderr
    };
    assert!(!warned("/bin/curl").contains("found no /bin/curl"));
    assert!(warned("/bin/wget").contains("warning: Cmd: found no /bin/wget in the image"));
}

/// The layers of an image: each once, none missing, the root on top.
#[test]
fn layers_that_are_no_image() {
    let place = Place::new();
    let (synth, root) = (synth(), format!("--root {}", synth().root.display()));
    let spec = json!({"name": "x", "tag": "1", "contents": synth.path("curl-8.0"), "maxLayers": 6});
    place.write("image.json", spec.to_string());
    place.ok(&format!("root --spec image.json {root} -o root.layer.json --blob root.tar"));
    place.ok(&format!("closure --scan --spec image.json --layer root.layer.json {root} -o x.closure.json"));
    place.ok("layers x.closure.json --max-layers 5 -o x.layers.json");
    place.ok(&format!("layer x.layers.json --spec image.json {root} --all -o layers"));
    let line = |layers: &str| format!("image --spec image.json {root} {layers} -o x.tar");
    place.ok(&line("layers root.layer.json"));
    fs::remove_file(place.join("x.tar")).unwrap();
    let count = place.json("x.layers.json")["layers"].as_array().unwrap().len();
    let holder = (0..count).find(|index| {
        let layer = place.json(&format!("layers/{index:03}.layer.json"));
        layer["storePaths"].as_array().unwrap().iter().any(|path| path == synth.path("curl-8.0"))
    });
    let others: Vec<String> =
        (0..count).filter(|i| Some(*i) != holder).map(|i| format!("layers/{i:03}.layer.json")).collect();
    for (layers, expected) in [
        (
            format!("{} root.layer.json", others.join(" ")),
            format!("root.layer.json: it refers to {}, which no layer holds", synth.path("curl-8.0")),
        ),
        ("layers".into(), "found no customisation layer".into()),
        ("root.layer.json layers".into(), "expected store layers below the customisation layer".into()),
        ("layers/000.layer.json layers root.layer.json".into(), "layers/000.layer.json: found it twice".into()),
    ] {
        let error = place.fail(&line(&format!("{layers} --strict")));
        assert!(error.starts_with("error: no image: ") && error.contains(&expected), "{layers}: {error}");
        assert!(!place.join("x.tar").exists());
        place.ok(&line(&format!("{layers} --no-check")));
        fs::remove_file(place.join("x.tar")).unwrap();
    }
}

/// `check` finds in a spec what a build would tell, and in an image what nobody told, and writes nothing.
#[test]
fn the_command() {
    if !require_tool("busybox") {
        return;
    }
    let place = place();
    let json = |line: &str| {
        let run = place.run(&format!("check {line} --json"));
        (run.code, serde_json::from_slice::<Value>(&run.stdout).unwrap_or(Value::Null)["images"].clone(), run.stderr)
    };
    place.write("good.json", spec(&json!({"Cmd": ["good"]})));
    place.write("bad.json", spec(&json!({"Cmd": ["nope"], "User": "nobody"})));
    place.ok("build good.json -o good.tar");
    place.ok("build bad.json --no-check -o oci:bad");
    let before = place.listing();
    let nope = "Cmd: found no nope in PATH, /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let faults = json!([nope, "User: found no nobody in /etc/passwd of the image"]);
    for line in ["good.json", "good.tar", "good.tar#x:1"] {
        let (code, found, stderr) = json(line);
        assert_eq!((code, &found[0]["faults"], &found[0]["layers"]), (Some(0), &json!([]), &json!(1)), "{stderr}");
    }
    for line in ["bad.json", "oci:bad"] {
        let (code, found, stderr) = json(line);
        assert_eq!((code, &found[0]["faults"]), (Some(1), &faults), "{line}: {stderr}");
        assert_eq!(stderr, format!("error: not as it should be: found 2 faults: {line}\n"));
    }
    let text = place.ok("check good.tar");
    assert_eq!(text.text(), "x:1 (linux/amd64): 1 layer, no fault found\n");
    let text = place.run("check bad.json");
    assert_eq!(
        text.text(),
        format!("x:1 (linux/amd64): 1 layer, found\n  {nope}\n  {}\n", faults[1].as_str().unwrap())
    );
    assert_eq!(place.listing(), before);
    // A config that another program wrote, and bytes that are not what they should be.
    let odd = place.read("good.tar");
    let (from, to) = (&b"\"Cmd\": ["[..], &b"\"cmd\": ["[..]);
    let at = odd.windows(from.len()).position(|bytes| bytes == from).unwrap();
    let odd = [&odd[..at], to, &odd[at + to.len()..]].concat();
    place.write("odd.tar", &odd);
    let (code, found, stderr) = json("odd.tar");
    assert_eq!(code, Some(1), "{found} {stderr}");
    let mut damaged = place.read("good.tar");
    let at = damaged.windows(10).position(|bytes| bytes == b"no program").unwrap();
    damaged[at] ^= 1;
    place.write("damaged.tar", &damaged);
    assert!(place.fail("check damaged.tar").contains("wrong digest"));
    place.write("faulty.json", json!({"name": "x", "config": {"Cmd": "x", "Nv": []}}).to_string());
    let told = place.fail("check faulty.json");
    assert!(told.contains("config.Cmd: ") && told.contains("config.Nv: unknown key"), "{told}");
}

/// A base for another architecture than was asked for is an error before anything is built.
#[test]
fn another_architecture() {
    let place = Place::new();
    place.ok("build --name base --tag 1 --arch arm64 -o base.tar");
    place.write("image.json", json!({"name": "x", "tag": "1", "architecture": "amd64"}).to_string());
    place.ok("root --spec image.json -o root.layer.json --blob root.tar");
    for line in [
        "build image.json --base base.tar -o x.tar",
        "build --name x --arch amd64 --base base.tar -o x.tar",
        "image --spec image.json --base base.tar root.layer.json -o x.tar",
    ] {
        let told = place.fail(line);
        let expected = "error: wrong base: base.tar: found an image for arm64, expected one for amd64\n\
            hint: --no-check builds on it all the same\n";
        assert_eq!(told, expected, "{line}");
        let warned = place.ok(&format!("{line} --no-check")).stderr;
        assert!(warned.contains("warning: wrong base: base.tar: "), "{warned}");
    }
    place.ok("build --name x --base base.tar -o x.tar");
}
