//! Images where a command reads one: in registries and in every other kind of place, as bases and to look into; and that of
//! a registry nothing is fetched twice.

use crate::cache::{path, store};
use crate::support::archive::{config, manifest as archive_manifest};
use crate::support::docker::Docker;
use crate::support::registry::Registry;
use crate::support::{Place, output};
use serde_json::{Value, json};
use std::fs;

/// A spec to build on a base, `x.json`, and a base of another store path: `base.tar`, and `team/base:1` in a registry.
fn place(registry: &Registry) -> Place {
    let place = store();
    let base = json!({"name": "base", "tag": "1", "contents": [path("libc")], "graph": "graph.json"});
    place.write("base.json", base.to_string());
    place.ok("build base.json --root root --no-cache -o base.tar");
    place.ok(&format!("push base.tar {}/team/base:1", registry.host()));
    place
}

fn manifest(registry: &Registry, name: &str) -> Value {
    registry.inspect(name, "--raw")
}

/// The layers of the base that are in the registry: their files.
fn blobs(registry: &Registry) -> Vec<std::path::PathBuf> {
    let layers = manifest(registry, "team/base:1")["layers"].clone();
    let file = |layer: &Value| {
        let digest = layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
        registry.data().join(format!("blobs/sha256/{}/{digest}/data", &digest[..2]))
    };
    layers.as_array().unwrap().iter().map(file).collect()
}

#[test]
fn a_base_of_a_registry_is_that_of_a_file() {
    let Some(registry) = Registry::start() else { return };
    let place = place(&registry);
    let base = format!("registry:{}/team/base:1", registry.host());
    place.ok("build x.json --root root --no-cache --base base.tar -o expected.tar");
    place.ok(&format!("build x.json --root root --no-cache --base {base} -o found.tar"));
    assert!(place.read("found.tar") == place.read("expected.tar"));
    // The same in the spec, and stage by stage.
    let mut spec = place.json("x.json");
    spec["fromImage"] = json!(base);
    place.write("y.json", spec.to_string());
    place.ok("build y.json --root root --no-cache -o found.tar");
    assert!(place.read("found.tar") == place.read("expected.tar"));
    for line in [
        "root --spec y.json --root root -o y.root.json --blob y.root.tar",
        "closure --spec y.json --root root --layer y.root.json -o y.closure.json",
        "layers y.closure.json --spec y.json -o y.layers.json",
        "layer y.layers.json --spec y.json --root root --no-cache --all -o y",
        "image --spec y.json --root root --no-cache y y.root.json -o found.tar",
    ] {
        place.ok(line);
    }
    assert!(place.read("found.tar") == place.read("expected.tar"));
    place.ok("ninja y.json --root root --image ninja.tar -o build.ninja");
    assert!(fs::read_to_string(place.join("build.ninja")).unwrap().contains("@sha256:"));
}

/// With a cache the layers of a base are fetched once, and a registry that holds them is sent none.
#[test]
fn nothing_is_fetched_or_sent_twice() {
    let Some(registry) = Registry::start() else { return };
    let place = place(&registry);
    let base = format!("registry:{}/team/base:1", registry.host());
    let build = |output: &str| format!("build x.json --root root --cache cache --base {base} -o {output}");
    place.ok(&build("first.tar"));
    let kept = blobs(&registry);
    let bytes: Vec<Vec<u8>> = kept.iter().map(|file| fs::read(file).unwrap()).collect();
    for file in &kept {
        let damaged: Vec<u8> = fs::read(file).unwrap().into_iter().map(|byte| !byte).collect();
        fs::write(file, damaged).unwrap();
    }
    place.ok(&build("second.tar"));
    assert!(place.read("second.tar") == place.read("first.tar"));
    // Without the cache it is known that they were fetched.
    let told = place.fail(&build("third.tar").replace("--cache cache", "--no-cache"));
    assert!(told.contains("wrong"), "{told}");
    for (file, bytes) in kept.iter().zip(&bytes) {
        fs::write(file, bytes).unwrap();
    }
    let said = place.ok(&build(&format!("registry:{}/app:1", registry.host())));
    assert!(said.stderr.contains(&format!("took over {} of", kept.len())), "{}", said.stderr);
    let (ours, theirs) = (manifest(&registry, "app:1"), manifest(&registry, "team/base:1"));
    let count = theirs["layers"].as_array().unwrap().len();
    assert_eq!(ours["layers"].as_array().unwrap()[..count], theirs["layers"].as_array().unwrap()[..]);
}

/// A spec that puts nothing over the files of its base: store paths and a config alone.
fn bare(place: &Place) {
    let command = format!("{}/bin/app", path("app"));
    let spec = json!({"name": "y", "tag": "1", "graph": "graph.json", "config": {"Cmd": [command]}});
    place.write("y.json", spec.to_string());
}

/// How often a registry was asked for layers of the base.
fn fetched(registry: &Registry) -> usize {
    let log = registry.log();
    let layers = manifest(registry, "team/base:1")["layers"].clone();
    let asked = |layer: &Value| {
        let name = format!("GET /v2/team/base/blobs/{}", layer["digest"].as_str().unwrap());
        log.matches(&format!("\"{name}")).count()
    };
    layers.as_array().unwrap().iter().map(asked).sum()
}

/// Into the registry that has the base its layers are mounted: none of them is fetched, where nobody asks for their files.
#[test]
fn what_is_mounted_is_not_fetched() {
    let Some(registry) = Registry::start() else { return };
    let place = place(&registry);
    bare(&place);
    let base = format!("registry:{}/team/base:1", registry.host());
    let count = manifest(&registry, "team/base:1")["layers"].as_array().unwrap().len();
    let build = |output: &str| format!("build y.json --root root --no-cache --base {base} -o {output}");
    let said = place.ok(&build(&format!("registry:{}/app:1", registry.host()))).stderr;
    assert!(said.contains(&format!("took over {count} of")), "{said}");
    assert!(said.contains("whether the image runs was not checked"), "{said}");
    place.ok(&format!("push y.json {}/pushed:1 --root root --no-cache", registry.host()));
    assert_eq!(fetched(&registry), 0, "{}", registry.log());
    // An archive needs them, and the image is the same: the store path that the base has is in no other layer.
    place.ok(&build("y.tar"));
    assert_eq!(fetched(&registry), count);
    let id = archive_manifest(&place.read("y.tar"))["Config"].as_str().unwrap().replace(".json", "");
    assert_eq!(manifest(&registry, "app:1")["config"]["digest"], json!(format!("sha256:{id}")));
    place.ok("build y.json --root root --no-cache --base base.tar -o file.tar");
    assert!(place.read("file.tar") == place.read("y.tar"));
    // Whoever wants to know whether it runs needs them as well.
    let told = place.fail(&format!("{} --strict", build("oci:strict")));
    assert!(told.contains("the image would not run"), "{told}");
    assert_eq!(fetched(&registry), 2 * count);
}

/// Into another registry the layers go by this machine: they are fetched once, and the cache has them afterwards.
#[test]
fn another_registry_gets_them_from_the_cache() {
    let (Some(registry), Some(other)) = (Registry::start(), Registry::start()) else { return };
    let place = place(&registry);
    bare(&place);
    let base = format!("registry:{}/team/base:1", registry.host());
    let count = manifest(&registry, "team/base:1")["layers"].as_array().unwrap().len();
    for name in ["one", "two"] {
        let to = format!("registry:{}/{name}/app:1", other.host());
        place.ok(&format!("build y.json --root root --cache cache --base {base} -o {to}"));
        assert_eq!(fetched(&registry), count, "{name}");
    }
    assert_eq!(manifest(&other, "one/app:1"), manifest(&other, "two/app:1"));
    place.ok(&format!("pull {}/two/app:1 -o pulled.tar", other.host()));
}

#[test]
fn which_base_it_was_is_recorded_and_can_be_pinned() {
    let Some(registry) = Registry::start() else { return };
    let place = place(&registry);
    let name = format!("{}/team/base", registry.host());
    let old = registry.descriptor("team/base", "1")["digest"].as_str().unwrap().to_owned();
    let annotations = |base: &str| {
        let _ = fs::remove_dir_all(place.join("out"));
        place.ok(&format!("build x.json --root root --no-cache --base registry:{base} -o oci:out"));
        let index = place.json("out/index.json");
        let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
        place.json(&format!("out/blobs/{digest}"))["annotations"].clone()
    };
    let expected = |name: &str, digest: &str| json!({"org.opencontainers.image.base.name": name, "org.opencontainers.image.base.digest": digest});
    assert_eq!(annotations(&format!("{name}:1")), expected(&format!("{name}:1"), &old));
    // The tag goes on to another image.
    let other = json!({"name": "base", "tag": "1", "contents": [path("lib")], "graph": "graph.json"});
    place.write("other.json", other.to_string());
    place.ok(&format!("push other.json {name}:1 --root root --no-cache"));
    let new = registry.descriptor("team/base", "1")["digest"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    assert_eq!(annotations(&format!("{name}:1")), expected(&format!("{name}:1"), &new));
    let pinned = format!("{name}@{old}");
    assert_eq!(annotations(&pinned), expected(&pinned, &old));
    assert_eq!(annotations(&format!("{name}:1@{old}")), expected(&format!("{name}:1"), &old));
    place.ok(&format!("build x.json --root root --no-cache --base registry:{pinned} -o found.tar"));
    place.ok("build x.json --root root --no-cache --base base.tar -o expected.tar");
    assert!(place.read("found.tar") == place.read("expected.tar"));
}

/// Every command that reads an image takes it wherever it is.
#[test]
fn one_grammar() {
    let Some(registry) = Registry::start() else { return };
    let place = place(&registry);
    place.ok("copy base.tar oci:layout");
    place.ok("copy base.tar oci-archive:base.oci.tar");
    let places =
        ["base.tar", "docker-archive:base.tar", "oci:layout", "oci:layout:1", "layout#1", "oci-archive:base.oci.tar"];
    let remote = format!("registry:{}/team/base:1", registry.host());
    let expected = config(&place.read("base.tar"));
    let id = archive_manifest(&place.read("base.tar"))["Config"].as_str().unwrap().replace(".json", "");
    place.ok("overlay export base.tar -o expected.tar");
    place.ok("merge base.tar -o merged.tar");
    for at in places.into_iter().chain([&*remote]) {
        let said = place.ok(&format!("inspect {at} --json"));
        let mut said: Value = serde_json::from_str(said.text()).unwrap();
        if let Some(images) = said.get("images") {
            said = images[0].clone();
        }
        assert_eq!((&said["config"], &said["imageId"]), (&expected, &json!(format!("sha256:{id}"))), "{at}");
        place.ok(&format!("overlay export {at} -o found.tar"));
        assert!(place.read("found.tar") == place.read("expected.tar"), "{at}");
        place.ok(&format!("merge {at} -o found.tar"));
        assert_eq!(config(&place.read("found.tar")), expected, "{at}");
        assert!(place.ok(&format!("inspect --diff base.tar {at}")).text().contains(" 0 "), "{at}");
    }
    // What is looked into in a registry is its manifest and its config alone.
    for file in blobs(&registry) {
        fs::remove_file(file).unwrap();
    }
    place.ok(&format!("inspect {remote}"));
    for (line, expected) in [
        ("inspect debian:12", "hint: write registry:debian:12; "),
        ("build x.json --root root --base debian:12 -o x.tar", "hint: write registry:debian:12; "),
        ("merge debian:12 -o x.tar", "hint: write registry:debian:12; "),
        ("overlay export debian:12 -o x.tar", "hint: write registry:debian:12; "),
        ("inspect registry:Debian", "not an image in a registry"),
    ] {
        let told = place.fail(line);
        assert!(told.contains(expected), "{line}: {told}");
    }
}

/// The demo goes wherever images go, and says how it is run there.
#[test]
fn the_demo_goes_anywhere() {
    let Some(registry) = Registry::start() else { return };
    let place = Place::new();
    let name = format!("{}/demo:1", registry.host());
    for (to, expected) in [
        ("demo.tar", "  docker load -i demo.tar\n         docker run --rm layerstone-demo:latest\n".to_owned()),
        (
            "oci:demo",
            "  layerstone copy oci:demo#layerstone-demo:latest docker:\n         docker run --rm layerstone-demo:latest\n"
                .to_owned(),
        ),
        (&format!("registry:{name}"), format!("  docker run --rm {name}\n")),
    ] {
        let said = place.ok(&format!("demo -o {to}"));
        assert!(said.stderr.ends_with(&expected), "{}", said.stderr);
        place.ok(&format!("inspect {to}"));
    }
}

/// `inspect -` reads stdin, whatever it has.
#[test]
fn stdin() {
    let place = store();
    place.ok("build x.json --root root --no-cache -o x.tar");
    for name in ["x.tar", "x.json", "x.closure.json", "x.layers.json"] {
        let file = fs::File::open(place.join(name)).unwrap();
        let output = place.command("inspect -").stdin(file).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let expected = place.ok(&format!("inspect {name}"));
        let unnamed = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(unnamed(&said), unnamed(expected.text()), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What docker has is read as what a file has, with docker's own words or skopeo's.
#[test]
fn images_of_an_engine() {
    let Some(docker) = Docker::find() else { return };
    let place = store();
    let base = json!({"name": "engine-base", "tag": "1", "contents": [path("libc")], "graph": "graph.json"});
    place.write("base.json", base.to_string());
    place.ok("build base.json --root root --no-cache -o base.tar");
    place.ok("build x.json --root root --no-cache --base base.tar -o expected.tar");
    place.ok("overlay export base.tar -o expected.flat");
    let turn = docker.turn();
    let _loaded = turn.load(&place.join("base.tar"), "engine-base:1");
    let ok = |line: &str| {
        let mut command = place.command(line);
        let path = std::env::var_os("PATH").unwrap();
        command.env("PATH", path).envs(std::env::var_os("DOCKER_HOST").map(|host| ("DOCKER_HOST", host)));
        output(&mut command)
    };
    for at in ["docker:engine-base:1", "docker-daemon:engine-base:1"] {
        ok(&format!("build x.json --root root --no-cache --base {at} -o found.tar"));
        assert_eq!(config(&place.read("found.tar")), config(&place.read("expected.tar")));
        ok(&format!("overlay export {at} -o found.flat"));
        assert!(place.read("found.flat") == place.read("expected.flat"));
        assert!(ok(&format!("inspect {at}")).contains("engine-base:1"));
        ok(&format!("merge {at} -o merged.tar"));
        assert_eq!(archive_manifest(&place.read("merged.tar"))["RepoTags"], json!(["engine-base:1"]));
    }
    let _again = turn.loaded("x:1");
    ok("merge expected.tar -o docker:");
    assert!(ok("inspect docker:x:1").contains("x:1"));
}
