//! The API's functions one by one: what they are called, what can be asked of their results, what they build.

use super::machine::{Machine, name};
use crate::support::archive::{config, manifest, member, members};
use crate::support::registry::Registry;
use crate::support::require_tool;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// Names, tags and what else dockerTools' results have.
#[test]
fn what_results_say_of_themselves() {
    let Some(machine) = Machine::find() else { return };
    let hash = |path: &Value| path.as_str().unwrap()["/nix/store/".len()..][..32].to_owned();
    let found = machine.value(
        r#"
        let
          single = layerstone.buildImage { name = "Team/Tool"; copyToRoot = hello; };
          tagged = single.override { tag = "V1"; };
          layered = layerstone.buildLayeredImage { name = "Team/Tool"; contents = hello; };
          stream = layerstone.streamLayeredImage { name = "Team/Tool"; contents = hello; passthru.more = 1; meta.license = "x"; };
          other = stream.override (old: { name = old.name + "2"; });
        in {
          single = { inherit (single) name imageName imageTag buildArgs; path = single.outPath; layer = single.layer.name; };
          tagged = { inherit (tagged) imageTag; };
          layered = { inherit (layered) name imageName imageTag; conf = layered.conf.outPath; stream = layered.stream.name; };
          stream = { inherit (stream) name imageName imageTag isExe more meta; conf = stream.conf.name; };
          other = { inherit (other) imageName; same = other.imageTag == stream.imageTag; };
          zstd = (layered.override { compressor = "zstd"; }).name;
          none = (single.override { compressor = "none"; }).name;
          attributes = builtins.attrNames layerstone;
        }"#,
    );
    let single = &found["single"];
    assert_eq!((&single["name"], &single["layer"]), (&json!("docker-image-Tool.tar.gz"), &json!("docker-layer-Tool")));
    assert_eq!((&single["imageName"], &single["imageTag"]), (&json!("team/tool"), &json!(hash(&single["path"]))));
    assert_eq!(single["buildArgs"]["name"], "Team/Tool");
    // As given: dockerTools stopped to change the case of tags.
    assert_eq!(found["tagged"], json!({"imageTag": "V1"}));
    let layered = &found["layered"];
    assert_eq!((&layered["name"], &layered["stream"]), (&json!("Tool.tar.gz"), &json!("stream-Tool")));
    assert_eq!((&layered["imageName"], layered["imageTag"].as_str().unwrap().len()), (&json!("team/tool"), 32));
    let meta =
        json!({"name": "stream-Tool", "available": true, "broken": false, "outputsToInstall": ["out"], "license": "x"});
    let stream = json!({"name": "stream-Tool", "imageName": "team/tool", "imageTag": layered["imageTag"], "isExe": true,
        "more": 1, "meta": meta, "conf": "Tool-conf.json"});
    assert_eq!(found["stream"], stream);
    assert_eq!(found["other"], json!({"imageName": "team/tool2", "same": false}));
    assert_eq!((&found["zstd"], &found["none"]), (&json!("Tool.tar.zst"), &json!("docker-image-Tool.tar")));
    let names = "binSh buildImage buildImageWithNixDb buildIndex buildLayer buildLayeredImage buildLayeredImageWithNixDb \
        buildNixShellImage caCertificates examples exportImage fakeNss mergeDrvs mergeImages mkPureLayer mkRootLayer pullImage \
        pullImageFromManifest runWithOverlay shadowSetup shellScript streamLayeredImage streamNixShellImage tarsum usrBinEnv";
    assert_eq!(found["attributes"], json!(names.split_whitespace().collect::<Vec<_>>()));
    // Each has its row in the comparison with dockerTools.
    let (_, table) = include_str!("../../../docs/dockertools.md").split_once("## Function by function").unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let rows: BTreeSet<&str> = cells.flat_map(|cell| cell.trim_end_matches('`').split("`, `")).collect();
    assert_eq!(rows, names.split_whitespace().collect());
}

/// The tag of an image without one is its result's hash, in the archive too.
#[test]
fn tags_in_archives() {
    let Some(machine) = Machine::find() else { return };
    let images = r#"[
        (layerstone.buildImage { name = "Tool"; compressor = "none"; created = "2001-02-03T04:05:06Z"; config.Cmd = [ "/x" ]; })
        (layerstone.buildLayeredImage { name = "Tool"; compressor = "none"; })
    ]"#;
    let tags = machine.value(&format!("map (image: image.imageTag) {images}"));
    let built = machine.build(images);
    for (path, tag) in built.paths.iter().zip(tags.as_array().unwrap()) {
        let tar = machine.read(path);
        assert_eq!(manifest(&tar)["RepoTags"], json!([format!("tool:{}", tag.as_str().unwrap())]));
    }
    let tar = machine.read(&built.paths[0]);
    let config = config(&tar);
    assert_eq!((&config["created"], &config["os"]), (&json!("2001-02-03T04:05:06Z"), &json!("linux")));
    assert_eq!(config["config"], json!({"Cmd": ["/x"]}));
}

/// buildImage's bytes are those of `layerstone build`; its root holds copies, and what they refer to is in the layer.
#[test]
fn single_images() {
    let Some(machine) = Machine::find() else { return };
    let image = r#"layerstone.buildImage {
        name = "tool"; tag = "1"; compressor = "none"; copyToRoot = [ hello ]; uid = 1000; gid = 100;
        config.Env = [ "B=${bash}" ]; extraCommands = "echo made >made";
    }"#;
    let built = machine.build(&format!("[ ({image}) ({image}).conf ({image}).layer ]"));
    let [image, conf, layer] = &built.paths[..] else { panic!("{built:?}") };
    let mut spec: Value = serde_json::from_slice(&machine.read(conf)).unwrap();
    let hello = machine.value("toString hello");
    for (key, value) in [("contents", hello), ("uid", json!(1000)), ("gid", json!(100)), ("tag", json!("1"))] {
        spec[key] = value;
    }
    spec["extraCommands"] = json!("echo made >made");
    spec.as_object_mut().unwrap().remove("rootLayer");
    machine.place.write("image.json", spec.to_string());
    machine.ok(env!("CARGO_BIN_EXE_layerstone"), &["build", "image.json", "--legacy", "-o", "built.tar"]);
    assert!(machine.read(image) == machine.place.read("built.tar"));
    // What docker said of a layer before there was a manifest.json.
    let of_layer = |name: &str| machine.read(&format!("{layer}/{name}"));
    assert_eq!(of_layer("VERSION"), b"1.0");
    let metadata: Value = serde_json::from_slice(&of_layer("json")).unwrap();
    let sum = machine.ok(env!("CARGO_BIN_EXE_layerstone"), &["tarsum", &format!("{layer}/layer.tar")]);
    assert_eq!((&metadata["checksum"], &metadata["os"]), (&json!(sum.text().trim_end()), &json!("linux")));
}

/// Scripts as root, over a base too, and layers of them alone.
#[test]
fn scripts_as_root() {
    let Some(machine) = Machine::find() else { return };
    let built = machine.build(
        r#"
        let
          base = layerstone.buildImage { name = "base"; tag = "1"; copyToRoot = coreutils; };
          config = builtins.toFile "base.json" ''{"os": "linux"}'';
        in [
          (layerstone.buildImage {
            name = "top"; tag = "1"; compressor = "none"; fromImage = base; fromImageName = "base"; fromImageTag = "1";
            runAsRoot = "cat /bin/nproc >/dev/null; (echo root >/root.txt); chown 7:8 /root.txt";
            extraCommands = "(echo extra >extra.txt)";
          })
          (layerstone.mkRootLayer { name = "root"; baseJson = config; runAsRoot = "echo root >/root.txt"; })
          (layerstone.mkPureLayer { name = "pure"; baseJson = config; contents = [ hello ]; keepContentsDirlinks = true; })
          (layerstone.runWithOverlay {
            name = "overlay"; fromImage = base;
            preMount = "echo pre >layer/pre"; postMount = "echo post >mnt/post"; postUmount = "echo umount >layer/umount";
          })
        ]"#,
    );
    let [image, root, pure, overlay] = &built.paths[..] else { panic!("{built:?}") };
    let tar = machine.read(image);
    let layers = manifest(&tar)["Layers"].clone();
    let top = member(&tar, layers.as_array().unwrap().last().unwrap().as_str().unwrap());
    let found = members(&top);
    let file = found.iter().find(|member| member.name.ends_with(b"/root.txt")).unwrap();
    // POSIX ustar, "uid" and "gid".
    let [uid, gid] = [108, 116].map(|start| String::from_utf8_lossy(&file.header[start..start + 7]).into_owned());
    assert_eq!((layers.as_array().unwrap().len(), &*uid, &*gid), (2, "0000007", "0000010"));
    assert_eq!(member(&top, "./extra.txt"), b"extra\n");
    for (layer, file) in [(root, "./root.txt"), (pure, "./bin/hello")] {
        let of_layer = |name: &str| machine.read(&format!("{layer}/{name}"));
        assert!(!member(&of_layer("layer.tar"), file).is_empty() && of_layer("VERSION") == b"1.0");
        let text = String::from_utf8(of_layer("json")).unwrap();
        assert!(text.starts_with("{\n \"os\": \"linux\",\n \"checksum\": \"tarsum.v1+sha256:"), "{text}");
    }
    let tar = machine.read(&format!("{overlay}/layer.tar"));
    for (file, text) in [("./pre", "pre\n"), ("./post", "post\n"), ("./umount", "umount\n")] {
        assert_eq!(member(&tar, file), text.as_bytes());
    }
}

/// Ready contents, scripts, merged trees.
#[test]
fn contents() {
    let Some(machine) = Machine::find() else { return };
    let built = machine.build(
        r#"
        let
          nss = layerstone.fakeNss.override { extraPasswdLines = [ "me:x:1:1:::" ]; extraGroupLines = [ "me:x:1:" ]; };
          full = api (arguments // { cacert = bash; shadow = coreutils; });
        in [
          layerstone.fakeNss nss layerstone.binSh layerstone.usrBinEnv
          (layerstone.shellScript "greet.sh" "echo \"hello, $1\"; nproc >/dev/null")
          (layerstone.mergeDrvs { derivations = [ layerstone.fakeNss layerstone.binSh ]; })
          (layerstone.mergeDrvs { derivations = [ hello bash ]; onlyDeps = true; })
          layerstone.tarsum
          (full.shellScript "shadow.sh" "cd $1; ${builtins.replaceStrings [ " /etc" ">/etc" ] [ " etc" ">etc" ] full.shadowSetup}")
        ]"#,
    );
    let [plain, nss, sh, env, greet, merged, deps, tarsum, shadow] = &built.paths[..] else { panic!("{built:?}") };
    let text = |path: &str| String::from_utf8(machine.read(path)).unwrap();
    assert_eq!(text(&format!("{plain}/etc/group")), "root:x:0:\nnobody:x:65534:\n");
    assert_eq!(text(&format!("{nss}/etc/group")), "root:x:0:\nme:x:1:\nnobody:x:65534:\n");
    assert!(text(&format!("{nss}/etc/passwd")).contains("\nme:x:1:1:::\nnobody:"));
    let link = |path: String| fs::read_link(machine.locate(&path)).unwrap().to_str().unwrap().to_owned();
    assert_eq!(json!(link(format!("{sh}/bin/sh"))), machine.value(r#""${bash}/bin/bash""#));
    assert_eq!(json!(link(format!("{env}/usr/bin/env"))), machine.value(r#""${coreutils}/bin/env""#));
    assert_eq!(machine.ok(greet, &["you"]).text(), "hello, you\n");
    assert!(machine.locate(&format!("{merged}/etc/passwd")).exists());
    assert_eq!(json!(link(format!("{merged}/bin/sh"))), machine.value(r#""${bash}/bin/bash""#));
    assert_eq!(text(deps).split_whitespace().map(name).collect::<Vec<_>>(), ["hello-2.10", "bash-5.2.15"]);
    let archive = machine.place.write("empty.tar", [0; 1024]);
    let words = ["-c", r#""$0" <"$1""#, &format!("{tarsum}/bin/tarsum"), archive.to_str().unwrap()];
    assert!(machine.ok("sh", &words).text().starts_with("tarsum.v1+sha256:e3b0c442"));
    fs::create_dir_all(machine.place.join("root/etc")).unwrap();
    machine.ok(shadow, &[machine.place.join("root").to_str().unwrap()]);
    let passwd = String::from_utf8(machine.place.read("root/etc/passwd")).unwrap();
    assert!(passwd.starts_with("root:x:0:0::/root:/nix/store/") && machine.place.join("root/etc/login.defs").exists());
}

/// Images of files: merged, exported, and Nix's database in them.
#[test]
fn images_of_images() {
    let Some(machine) = Machine::find() else { return };
    let built = machine.build(
        r#"
        let
          one = layerstone.buildImage { name = "one"; tag = "1"; copyToRoot = hello; };
          two = layerstone.buildLayeredImageWithNixDb { name = "two"; tag = "2"; compressor = "none"; contents = hello; };
        in [
          (layerstone.mergeImages [ one two ])
          (layerstone.exportImage { fromImage = one; })
          (layerstone.exportImage { name = "files"; fromImage = layerstone.mergeImages [ one two ]; fromImageName = "two"; fromImageTag = "2"; })
          (layerstone.buildImageWithNixDb { name = "three"; tag = "3"; compressor = "none"; copyToRoot = hello; })
        ]"#,
    );
    let [merged, exported, of_merged, with_database] = &built.paths[..] else { panic!("{built:?}") };
    // Compressed as the last one is.
    assert_eq!((name(merged), name(exported)), ("merge-docker-images.tar", "docker-image-one.tar.gz"));
    let tar = machine.read(merged);
    let images: Value = serde_json::from_slice(&member(&tar, "manifest.json")).unwrap();
    assert_eq!([&images[0]["RepoTags"], &images[1]["RepoTags"]], [&json!(["one:1"]), &json!(["two:2"])]);
    let files = |path: &str| members(&machine.read(path)).into_iter().map(|member| member.name).collect::<Vec<_>>();
    assert!(files(exported).contains(&b"./bin/hello".to_vec()));
    assert!(files(of_merged).contains(&b"./nix/var/nix/db/db.sqlite".to_vec()));
    let tar = machine.read(with_database);
    let layer = manifest(&tar)["Layers"][0].as_str().unwrap().to_owned();
    assert!(!member(&member(&tar, &layer), "./nix/var/nix/db/db.sqlite").is_empty());
}

/// Programs that come with images: into a registry, to any place, and what explains the plan.
#[test]
fn programs_of_images() {
    let Some(machine) = Machine::find() else { return };
    if !require_tool("docker-registry") {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let images = format!(
        r#"let
          layered = layerstone.streamLayeredImage {{ name = "{host}/team/many"; contents = hello; perLayer = false; }};
          single = layerstone.buildImage {{ name = "{host}/team/one"; tag = "1"; copyToRoot = hello; }};
        in "#,
        host = registry.host()
    );
    let programs =
        "layered.copyToRegistry single.copyToRegistry layered.copyTo layered.explain single.copyTo layered.diff";
    let built = machine.build(&format!("{images} [ {programs} ]"));
    let bin = |at: usize| {
        let folder = machine.locate(&format!("{}/bin", built.paths[at]));
        let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
        format!("{}/bin/{file}", built.paths[at])
    };
    let tag = machine.value(&format!("{images} layered.imageTag"));
    for (at, reference) in [(0, format!("team/many:{}", tag.as_str().unwrap())), (1, "team/one:1".to_owned())] {
        machine.ok(&bin(at), &[]);
        let place = format!("registry:{}/{reference}", registry.host());
        machine.ok(env!("CARGO_BIN_EXE_layerstone"), &["check", &place]);
    }
    for (at, layout) in [(2, "many"), (4, "one")] {
        machine.ok(&bin(at), &[&format!("oci:{layout}")]);
        machine.ok(env!("CARGO_BIN_EXE_layerstone"), &["check", &format!("oci:{layout}")]);
    }
    assert!(machine.ok(&bin(3), &[]).text().contains("hello"));
    let one = format!("registry:{}/team/one:1", registry.host());
    let told = machine.ok(&bin(5), &[&one, "--json"]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert!(told["storePaths"]["added"].as_array().is_some_and(|paths| !paths.is_empty()), "{told}");
    let main = machine.value(&format!("{images} layered.copyTo.meta.mainProgram"));
    assert!(bin(2).ends_with(main.as_str().unwrap()));
}
