//! Ready contents: in layered and single images, on a base, alone in a directory; what is wrong with them is told.

use crate::support::archive::{Member, manifest, member, members};
use crate::support::{Place, synth, without_summary};
use serde_json::{Value, json};

/// The members of the topmost layer of the image that is built, and what was told.
#[track_caller]
fn top(place: &Place, spec: &Value) -> (Vec<Member>, String) {
    place.write("image.json", spec.to_string());
    let told =
        without_summary(&place.ok(&format!("build image.json --root {} -o image.tar", synth().root.display())).stderr);
    let image = place.read("image.tar");
    let layers = manifest(&image)["Layers"].as_array().unwrap().clone();
    (members(&member(&image, layers.last().unwrap().as_str().unwrap())), told)
}

/// A member in a line: `755 ./etc`, `644 ./etc/group = FIRST LINE`, `./bin/sh -> TEXT`.
fn line(member: &Member) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let name = text(&member.name);
    let name = name.trim_end_matches('/');
    match member.kind {
        '2' => format!("{name} -> {}", text(&member.link)),
        '5' => format!("{:o} {name}", member.mode),
        _ => format!("{:o} {name} = {}", member.mode, text(&member.contents).lines().next().unwrap_or("")),
    }
}

fn spec(keys: Value) -> Value {
    let mut spec = json!({"name": "x", "tag": "1", "graph": synth().graph});
    spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    spec
}

/// All store paths whose name a history of the image tells.
fn holds(place: &Place, name: &str) -> bool {
    crate::support::archive::config(&place.read("image.tar"))["history"].to_string().contains(synth().path(name))
}

#[test]
fn in_every_kind_of_image() {
    let bash = synth().path("bash-5.2");
    let users = json!({"extraPasswdLines": ["app:x:1000:100:An app:/data:/bin/sh"], "extraGroupLines": ["app:x:100:"]});
    let helpers = json!([{"fakeNss": users}, "tmp", {"binSh": bash}, "shadowSetup"]);
    let own = [
        "755 ./bin".to_owned(),
        format!("./bin/sh -> {bash}/bin/bash"),
        "755 ./etc".to_owned(),
        "644 ./etc/group = root:x:0:".to_owned(),
        "600 ./etc/gshadow = root:x::".to_owned(),
        "644 ./etc/login.defs = ".to_owned(),
        "644 ./etc/nsswitch.conf = hosts: files dns".to_owned(),
        "755 ./etc/pam.d".to_owned(),
        "644 ./etc/pam.d/other = account sufficient pam_unix.so".to_owned(),
        "644 ./etc/passwd = root:x:0:0:root user:/var/empty:/bin/sh".to_owned(),
        "600 ./etc/shadow = root:!x:::::::".to_owned(),
        "1777 ./tmp".to_owned(),
        "755 ./var".to_owned(),
        "755 ./var/empty".to_owned(),
    ];
    for kind in ["layered", "single"] {
        for mode in ["links", "copy"] {
            let mut seen = Vec::new();
            for script in ["", ":"] {
                let place = Place::new();
                let keys = json!({"kind": kind, "rootMode": mode, "helpers": helpers, "extraCommands": script});
                let (found, told) = top(&place, &spec(keys));
                let lines: Vec<String> = found.iter().map(line).skip(1).take(own.len()).collect();
                assert_eq!((lines, &*told), (own.to_vec(), ""), "{kind} {mode}");
                let passwd = found.iter().find(|member| *member.name == *b"./etc/passwd").unwrap();
                let passwd = String::from_utf8_lossy(&passwd.contents).into_owned();
                assert!(passwd.contains("\napp:x:1000:100:An app:/data:/bin/sh\nnobody:"), "{passwd}");
                assert!(holds(&place, "bash-5.2"));
                seen.push(place.read("image.tar"));
            }
            assert!(seen[0] == seen[1], "{kind} {mode}");
        }
    }
}

/// Flags, image.json, and the stages one by one say the same.
#[test]
fn by_flag_and_by_image_json() {
    let place = Place::new();
    let bash = synth().path("bash-5.2");
    let root = synth().root.display();
    place.write("s.json", spec(json!({"helpers": ["tmp", {"binSh": bash}, "fakeNss"]})).to_string());
    place.ok(&format!("build s.json --root {root} -o spec.tar"));
    let graph = synth().graph.display();
    let flags = format!("--helper tmp --helper binSh={bash} --helper fakeNss");
    place.ok(&format!("build --name x --tag 1 --graph {graph} {flags} --root {root} -o flags.tar"));
    assert!(place.read("spec.tar") == place.read("flags.tar"));
    place.ok(&format!("root {flags} --root {root} -o a.layer.json --blob a.tar"));
    place.ok(&format!("root --spec s.json --root {root} -o b.layer.json --blob b.tar"));
    assert!(place.read("a.tar") == place.read("b.tar"));
    assert_eq!(place.json("b.layer.json")["references"], json!([bash]));
    // A name that is given again takes the place of the first one.
    place.ok(&format!("root --spec s.json --helper binSh={bash} --root {root} -o b.layer.json --blob b.tar"));
    assert!(place.read("a.tar") == place.read("b.tar"));
    let plan = place.ok(&format!("build s.json --root {root} --dry-run")).text().to_owned();
    assert!(plan.contains("bash-5.2") || plan.contains("libc-2.36"), "{plan}");
}

/// What contents have too is a conflict, and an error with `--strict`; contents win where the last one does, too.
#[test]
fn contents_win() {
    let place = Place::new();
    let (a, b) = ("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a", "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-b");
    place.write(&format!("store{a}/etc/passwd"), "root:x:0:0::/:/bin/x\n");
    place.write(&format!("store{b}/bin/bash"), "");
    let expected = format!("contents conflict: etc/passwd: {a}/etc/passwd kept, helper fakeNss ignored");
    for mode in ["links", "copy"] {
        let line = format!(
            "root --contents {a} --mode {mode} --helper fakeNss --helper shadowSetup --root store -o x.layer.json --blob \
             x.tar"
        );
        assert_eq!(place.ok(&line).stderr, format!("warning: {expected}\n"));
        let told = place.fail(&format!("{line} --strict"));
        assert_eq!(told, format!("error: {expected}\n"));
    }
}

/// A base keeps its users unless it is told otherwise; what is absent is added.
#[test]
fn on_a_base() {
    let place = Place::new();
    place
        .write("base.json", spec(json!({"extraCommands": "mkdir etc; echo root > etc/passwd; mkdir tmp"})).to_string());
    place.ok("build base.json -o base.tar");
    let line = "root --base base.tar -o x.layer.json --blob x.tar";
    let told = place.fail(&format!("{line} --helper fakeNss"));
    assert_eq!(
        told,
        "error: layer and base disagree: etc/passwd: helper fakeNss would replace what the base has\nhint: leave the \
         helper out, or --replace lets it hide what the base has there\n"
    );
    place.ok(&format!("{line} --helper fakeNss --replace"));
    let lines: Vec<String> = members(&place.read("x.tar")).iter().map(self::line).collect();
    assert_eq!(lines[4], "644 ./etc/passwd = root:x:0:0:root user:/var/empty:/bin/sh");
    place.ok(&format!("{line} --helper shadowSetup --helper tmp"));
    let lines: Vec<String> = members(&place.read("x.tar")).iter().map(self::line).collect();
    let expected = [
        "755 .",
        "755 ./etc",
        "644 ./etc/group = root:x:0:",
        "600 ./etc/gshadow = root:x::",
        "644 ./etc/login.defs = ",
        "755 ./etc/pam.d",
        "644 ./etc/pam.d/other = account sufficient pam_unix.so",
        "600 ./etc/shadow = root:!x:::::::",
        "1777 ./tmp",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn alone() {
    let place = Place::new();
    let (bash, root) = (synth().path("bash-5.2"), synth().root.display());
    place.ok(&format!("helper binSh={bash} sh --root {root}"));
    assert_eq!(std::fs::read_link(place.join("sh/bin/sh")).unwrap().to_str().unwrap(), format!("{bash}/bin/bash"));
    place.ok("helper fakeNss nss");
    assert_eq!(place.read("nss/etc/group"), b"root:x:0:\nnobody:x:65534:\n");
    assert!(place.join("nss/var/empty").is_dir());
    // With lines of one's own, as image.json has them.
    place.ok(r#"helper {"fakeNss":{"extraGroupLines":["app:x:7:"]}} own"#);
    assert_eq!(place.read("own/etc/group"), b"root:x:0:\napp:x:7:\nnobody:x:65534:\n");
    let run = place.run("helper {fakeNss} x");
    assert!(run.code == Some(2) && run.stderr.contains("not JSON: "), "{}", run.stderr);
    let told = place.fail("helper fakeNss nss");
    assert!(told.contains("cannot make") && told.contains("nss"), "{told}");
    let told = place.fail("helper tmp absent/x");
    assert!(told.ends_with("hint: mkdir -p absent\n"), "{told}");
}

#[test]
fn what_is_wrong() {
    let place = Place::new();
    let (libc, root) = (synth().path("libc-2.36"), synth().root.display());
    let told = place.fail(&format!("helper binSh={libc} x --root {root}"));
    assert_eq!(
        told,
        format!("error: cannot make helper: binSh: {libc}/bin/bash: does not exist; {libc}/bin/sh: does not exist\n")
    );
    let told = place.error_of(&format!("helper binSh=/etc x --root {root}"));
    assert!(told.contains("/etc"), "{told}");
    for (helper, expected) in [
        ("fakeNs", "unknown helper \"fakeNs\", the nearest known one is \"fakeNss\""),
        ("binSh", "binSh: found nothing, expected the package that it links to"),
    ] {
        let run = place.run(&format!("helper {helper} x"));
        assert!(run.code == Some(2) && run.stderr.contains(expected), "{}", run.stderr);
        place.write("s.json", json!({"name": "x", "helpers": [helper]}).to_string());
        let told = place.error_of("build s.json -o x.tar");
        assert_eq!(told, format!("error: malformed layerstone/image: s.json: helpers: {expected}\n"));
    }
    let lines = json!([{"fakeNss": {"extraPasswdLines": ["app:x:one:1:::"]}}]);
    place.write("s.json", json!({"name": "x", "helpers": lines}).to_string());
    let told = place.fail("build s.json -o x.tar");
    let expected = "error: cannot make helper: fakeNss: not a passwd line: \"app:x:one:1:::\": found \"one\", expected \
        a number below 4294967295\n";
    assert_eq!(told, expected);
    assert!(!place.join("x").exists() && !place.join("x.tar").exists());
}
