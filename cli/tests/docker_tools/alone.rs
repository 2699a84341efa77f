//! Images on no base: what is in them, when they were made, what they are called.

use super::examples::{Built, Examples};
use crate::client::GNU_GREETING;
use crate::support::docker::{Docker, Loaded, Turn, client};
use crate::support::{Place, output};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// When images were made if nobody says when.
const STABLE: &str = "1970-01-01T00:00:01Z";

#[track_caller]
pub fn load<'a>(turn: &'a Turn, image: &Built) -> Loaded<'a> {
    turn.load(&image.file, &image.reference)
}

/// A command that must fail, and what it says.
#[track_caller]
pub fn failure(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(!output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// The names of all files that a container of the image has.
#[track_caller]
pub fn files(image: &Built) -> Vec<String> {
    let container = output(client("create").args([&image.reference, "none"]));
    let container = container.trim();
    let sh = format!("docker export {container} | tar -t");
    let listing = Command::new("sh").args(["-c", &sh]).output();
    output(client("rm").arg(container));
    String::from_utf8(listing.unwrap().stdout).unwrap().lines().map(str::to_owned).collect()
}

/// hello as it is run by its name.
fn hello_on_root(examples: &Examples, keys: Value) -> Value {
    let mut image = json!({"contents": examples.path("hello"), "config": {"Cmd": ["hello"]}});
    image.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    image
}

#[test]
fn store_paths_are_included() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let image = examples.layered("helloOnRoot", hello_on_root(examples, json!({})));
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    assert_eq!(loaded.run(&[]), GNU_GREETING);
    assert!(files(&image).iter().any(|name| name.starts_with("nix/store/")));
}

#[test]
fn without_store_paths() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let keys = hello_on_root(examples, json!({"includeStorePaths": false}));
    let image = examples.layered("helloOnRootNoStore", keys);
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    let said = failure(&mut loaded.container("", &[]));
    assert!(said.contains("executable file not found") || said.contains("no such file or directory"), "{said}");
    let files = files(&image);
    assert!(files.iter().any(|name| name == "bin/hello"), "{files:?}");
    assert!(!files.iter().any(|name| name.contains("nix/store/")), "{files:?}");
    let volume = format!("--volume {}:/nix/store:ro", examples.locate("/nix/store").display());
    assert_eq!(output(&mut loaded.container(&volume, &[])), GNU_GREETING);
}

fn bash(examples: &Examples) -> Value {
    json!({"contents": examples.path("bash")})
}

/// What docker lists of its images, a line for each.
#[track_caller]
fn listed(format: &str) -> Vec<String> {
    output(client("images --format").arg(format)).lines().map(str::to_owned).collect()
}

#[test]
fn stable_date_and_tag() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let image = examples.single("bash", bash(examples));
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    assert_eq!(loaded.shown()["Created"], STABLE);
    assert!(loaded.run(&["bash", "--version"]).starts_with("GNU bash, version "));
    assert_eq!(image.tag(), "latest");
    assert!(listed("{{.Repository}} {{.Tag}}").contains(&"layerstone-test-bash latest".to_owned()));
}

#[test]
fn generated_tags() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let untagged = |contents: &[&str]| {
        let contents: Vec<String> = contents.iter().map(|name| examples.path(name)).collect();
        json!({"contents": contents, "tag": null})
    };
    let images = [
        examples.single("bashNoTag", untagged(&["bash"])),
        examples.layered("bashNoTagLayered", untagged(&["bash"])),
        examples.layered("nixLayered", untagged(&["dpkg", "bash", "coreutils"])),
    ];
    let turn = docker.turn();
    for image in images {
        let _loaded = load(&turn, &image);
        assert_eq!(image.tag().len(), 32);
        assert!(listed("{{.Tag}}").contains(&image.tag().to_owned()), "{}", image.reference);
    }
}

/// What goes to docker through a pipe has the tag that the program tells when it writes a file.
#[test]
fn generated_tag_of_a_stream() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let keys = json!({"contents": examples.path("bash"), "tag": null});
    let image = examples.layered("bashNoTagStreamLayered", keys);
    let place = Place::new();
    let mut script = examples.stream("bashNoTagStreamLayered", &place).spawn().unwrap();
    let turn = docker.turn();
    let _loaded = turn.loaded(&image.reference);
    let said = client("load").stdin(script.stdout.take().unwrap()).output().unwrap().stdout;
    assert!(script.wait().unwrap().success());
    assert_eq!(String::from_utf8(said).unwrap(), format!("Loaded image: {}\n", image.reference));
    assert!(listed("{{.Repository}}:{{.Tag}}").contains(&image.reference), "{}", image.reference);
}

#[test]
fn folders_of_the_store_for_other_users() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let contents = [examples.path("bash"), examples.path("coreutils")];
    let users = json!({"fakeNss": {"extraPasswdLines": ["somebody:x:1000:100::/:/bin/bash"]}});
    let keys = json!({"contents": contents, "helpers": [users, "shadowSetup"]});
    let image = examples.layered("bashLayeredWithUser", keys);
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    let modes = "id -un; stat --format=%a /nix; stat --format=%a /nix/store";
    assert_eq!(loaded.run_as("somebody", &["bash", "-c", modes]), "somebody\n755\n755\n");
}

/// A link in a store path is what it was.
#[test]
fn links_in_store_paths() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let contents = [examples.path("bash"), examples.path("coreutils")];
    let link = format!("{}/bin/rbash", examples.path("bash"));
    let turn = docker.turn();
    for image in [
        examples.single("links", json!({"contents": contents})),
        examples.layered("linksLayered", json!({"contents": contents})),
    ] {
        assert_eq!(load(&turn, &image).run(&["readlink", &link]), "bash\n");
    }
}

#[test]
fn date_of_today() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let keys = || json!({"contents": examples.path("coreutils"), "created": "now"});
    let begin = SystemTime::now();
    let images = [examples.single("unstableDate", keys()), examples.layered("unstableDateLayered", keys())];
    let turn = docker.turn();
    for image in images {
        let shown = load(&turn, &image).shown();
        let created = shown["Created"].as_str().unwrap();
        assert!(!created.contains(STABLE), "{created}");
        let seconds: u64 = output(Command::new("date").args(["+%s", "-d", created])).trim().parse().unwrap();
        let earliest = begin.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert!((earliest..earliest + 3600).contains(&seconds), "{created}");
    }
}

#[test]
fn no_more_layers_than_asked_for() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let image = super::based::two_layered_image(examples);
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    assert_eq!(loaded.layers().len(), 2);
    assert_eq!(loaded.run(&[]), GNU_GREETING);
}

/// The layer that takes what is left misses no path (nixpkgs issue 78744).
#[test]
fn bulk_layer() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let contents = [examples.path("coreutils"), examples.path("hello")];
    let image = examples.layered("bulk-layer", json!({"contents": contents, "maxLayers": 2}));
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    assert_eq!(loaded.run(&["ls", "/bin/hello"]), "/bin/hello\n");
    assert_eq!(loaded.run(&["hello"]), GNU_GREETING);
}

/// What the script runs is not in the image, and what it copies is.
#[test]
fn no_store_paths_but_those_referred_to() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let busybox = examples.path("busybox-static");
    let script = format!("cp -r {}/* .\n{}/bin/hello", examples.locate(&busybox).display(), examples.path("hello"));
    let copied = examples.layered("no-store-paths", json!({"extraCommands": script}));
    let linked = examples.layered("only-busybox", json!({"contents": busybox}));
    let turn = docker.turn();
    let loaded = load(&turn, &copied);
    assert!(loaded.run(&["ls", "/"]).lines().any(|name| name == "bin"));
    failure(&mut loaded.container("", &["ls", "/nix/store"]));
    let listing = load(&turn, &linked).run(&["ls", "/nix/store"]);
    assert_eq!(format!("/nix/store/{listing}"), format!("{busybox}\n"));
}

/// What the script puts into the layer brings in what it refers to.
#[test]
fn store_paths_that_the_script_refers_to() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let script = format!("mkdir hello\nln -s {}/bin hello/bin", examples.path("hello"));
    let keys = json!({"contents": examples.path("bash"), "extraCommands": script});
    let image = examples.layered("layeredImageWithScript", keys);
    let turn = docker.turn();
    assert_eq!(load(&turn, &image).run(&["/hello/bin/hello"]), GNU_GREETING);
}

/// A store path that is a link stays one (nixpkgs issue 107021).
#[test]
fn store_path_that_is_a_link() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let symlink = examples.path("symlink");
    let keys = json!({"contents": [examples.path("bash"), symlink]});
    let image = examples.layered("layeredstoresymlink", keys);
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    let script = format!("test -L {symlink} && test -f /dir/target && test -f {symlink}/dir/target && echo a link");
    assert_eq!(loaded.run(&["bash", "-c", &script]), "a link\n");
}

#[test]
fn names_with_a_registry() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let name = "registry-1.docker.io/layerstone-test";
    let keys = |image: &str| {
        let cmd = format!("{}/bin/hello", examples.path("hello"));
        json!({"name": format!("{name}/{image}"), "config": {"Cmd": [cmd]}})
    };
    let images = [
        examples.single("prefixedImage", keys("image")),
        examples.layered("prefixedLayeredImage", keys("layered-image")),
    ];
    let turn = docker.turn();
    for (image, expected) in images.iter().zip(["image", "layered-image"]) {
        let loaded = load(&turn, image);
        assert!(listed("{{.Repository}}").contains(&format!("{name}/{expected}")), "{}", image.reference);
        assert_eq!(loaded.run(&[]), GNU_GREETING);
    }
}

/// A bare path among the contents is a store path when it arrives here.
#[test]
fn bare_paths() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let keys = || json!({"contents": [examples.path("bash"), examples.path("bare-path")]});
    let images =
        [examples.single("build-image-with-path", keys()), examples.layered("layered-image-with-path", keys())];
    let turn = docker.turn();
    for image in images {
        let test = load(&turn, &image).run(&["bash", "-c", "[[ -e /hello.txt ]] && echo there"]);
        assert_eq!(test, "there\n");
    }
}

/// Whether it is given by Go's name or by that of a system to compile for.
#[test]
fn another_architecture() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let keys = |name: &str| json!({"contents": examples.path("hello"), "architecture": name});
    let images = [
        examples.single("build-image-with-architecture", keys("arm64")),
        examples.layered("layered-image-with-architecture", keys("arm64")),
        examples.layered("cross", keys("aarch64-linux")),
    ];
    let turn = docker.turn();
    for image in images {
        let shown = load(&turn, &image).shown();
        assert_eq!(shown["Architecture"], "arm64", "{}", image.reference);
    }
}

#[test]
fn certificates() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let helpers = json!([{"caCertificates": examples.path("certificates")}]);
    let contents = [examples.path("bash"), examples.path("coreutils")];
    let image = examples.single("image-with-certs", json!({"contents": contents, "helpers": helpers}));
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    for place in ["ssl/certs/ca-bundle.crt", "ssl/certs/ca-certificates.crt", "pki/tls/certs/ca-bundle.crt"] {
        assert_eq!(loaded.run(&["bash", "-c", &format!("test -r /etc/{place} && echo {place}")]), format!("{place}\n"));
    }
}

/// A file of the layer that is given away, seen by its owner.
#[test]
fn owner_of_a_file() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let stat = format!("{}/bin/stat", examples.path("coreutils"));
    let keys = json!({
        "extraCommands": "touch testfile",
        "perms": [{"path": "testfile", "uid": 12345, "gid": 12345}],
        "config": {"Cmd": [stat, "-c", "%u:%g", "/testfile"]},
    });
    let image = examples.single("chown-test", keys);
    let turn = docker.turn();
    assert_eq!(load(&turn, &image).run_as("12345", &[]), "12345:12345\n");
}

/// A store that is not root's.
#[test]
fn owner_of_the_store() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let stat = format!("{}/bin/stat", examples.path("coreutils"));
    let users = json!({
        "extraPasswdLines": ["user:x:1000:1000::/:/bin/sh"], "extraGroupLines": ["user:x:1000:user"],
    });
    let keys = json!({
        "uid": 1000, "gid": 1000, "uname": "user", "gname": "user",
        "helpers": [{"fakeNss": users}],
        "config": {"User": "user", "Cmd": [stat, "-c", "%U %u:%g", stat]},
    });
    let image = examples.layered("non-root-test", keys);
    let turn = docker.turn();
    assert_eq!(load(&turn, &image).run(&[]), "user 1000:1000\n");
}
