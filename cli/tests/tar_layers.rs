//! Tars that become layers as they are: by `layer --tar`, in one go, by stages, by ninja and make; bad ones.

use crate::support::archive::{self, members};
use crate::support::docker::Docker;
use crate::support::{Place, digest, output, require_root, require_tool};
use crate::wires::Tool;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// A place with a tar in all compressions that tools are there for.
fn place() -> Place {
    let place = Place::new();
    place.write_mode("root/bin/app", "#!/bin/sh\necho \"$(cat /etc/text)\"\n", 0o755);
    place.write("root/etc/text", "of a tar\n");
    run(&place, "tar -cf layer.tar --owner=5 --group=6 --numeric-owner --mtime=@7 --sort=name -C root .");
    run(&place, "gzip -nk layer.tar");
    place
}

#[track_caller]
fn run(place: &Place, line: &str) {
    let mut words = line.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).current_dir(place.path()).status().unwrap();
    assert!(status.success(), "{line}");
}

fn spec(tars: &Value) -> String {
    json!({"name": "app", "tag": "1", "tarLayers": tars, "config": {"Cmd": ["/bin/app"]}}).to_string()
}

/// The layers of a docker archive, bottom first.
fn layers(tar: &[u8]) -> Vec<Vec<u8>> {
    let manifest = archive::manifest(tar);
    let names = manifest["Layers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    names.map(|name| archive::member(tar, &name)).collect()
}

#[test]
fn what_a_layer_file_says() {
    let place = place();
    let tar = format!("sha256:{}", digest(&place.read("layer.tar")));
    for (file, media_type) in [("layer.tar", ""), ("layer.tar.gz", "+gzip")] {
        place.ok(&format!("layer --tar {file} -o l.layer.json"));
        let layer = place.json("l.layer.json");
        assert_eq!((&layer["blob"], &layer["diffId"]), (&json!(file), &json!(tar)));
        assert_eq!(layer["size"], place.read("layer.tar").len());
        let descriptor = json!({
            "digest": format!("sha256:{}", digest(&place.read(file))),
            "mediaType": format!("application/vnd.oci.image.layer.v1.tar{media_type}"),
            "size": place.read(file).len(),
        });
        assert_eq!(layer["descriptor"], descriptor);
        // The image is of the same tar, and a layout keeps the blob as it is.
        place.write("image.json", spec(&json!([])));
        place.ok("image --spec image.json l.layer.json -o app.tar --no-check");
        assert!(layers(&place.read("app.tar")) == [place.read("layer.tar")], "{file}");
        place.ok(&format!("image --spec image.json l.layer.json -o oci:{file}.oci --no-check"));
        if !media_type.is_empty() {
            let digest = digest(&place.read(file));
            assert!(place.join(format!("{file}.oci/blobs/sha256/{digest}")).exists());
        }
    }
}

#[test]
fn new_blobs() {
    let place = place();
    place.ok("layer --tar layer.tar.gz -o l.layer.json --blob plain.tar --tarsum --depfile l.d");
    assert!(place.read("plain.tar") == place.read("layer.tar"));
    assert!(place.json("l.layer.json")["tarsum"].as_str().unwrap().starts_with("tarsum.v1+sha256:"));
    assert_eq!(String::from_utf8(place.read("l.d")).unwrap(), "l.layer.json: \\\n  layer.tar.gz\n");
    place.ok("layer --tar layer.tar.gz -o l.layer.json --blob x.tar.zst --compression zstd");
    assert_eq!(place.json("l.layer.json")["compression"], json!({"codec": "zstd", "level": 3}));
    place.write("image.json", spec(&json!([])));
    place.ok("image --spec image.json l.layer.json -o app.tar --no-check");
    assert!(layers(&place.read("app.tar")) == [place.read("layer.tar")]);
    if require_tool("xz") {
        run(&place, "xz -k layer.tar");
        let error = place.fail("layer --tar layer.tar.xz -o l.layer.json");
        let expected = "no layer: layer.tar.xz: found xz, expected a plain tar, gzip or zstd, or --blob beside it";
        assert_eq!(error, format!("error: {expected}\n"));
        place.ok("layer --tar layer.tar.xz -o l.layer.json --blob plain.tar");
        assert!(place.read("plain.tar") == place.read("layer.tar"));
    }
}

/// In one go, by stages, and by flags.
#[test]
fn in_an_image() {
    let place = place();
    place.write("top", "over it\n");
    place.write("image.json", spec(&json!(["layer.tar.gz"])));
    place.ok("build image.json -o app.tar --no-check");
    let found = layers(&place.read("app.tar"));
    assert_eq!(found.len(), 2);
    assert!(found[0] == place.read("layer.tar"));
    assert_eq!(archive::config(&place.read("app.tar"))["history"][0]["comment"], "files of a tar");
    place.ok("layer --tar layer.tar.gz -o tar.layer.json --blob tar.tar");
    place.ok("root --spec image.json --below tar.layer.json -o root.layer.json --blob root.tar");
    place.ok("image --spec image.json tar.layer.json root.layer.json -o staged.tar --no-check");
    assert_eq!(members(&place.read("staged.tar")), members(&place.read("app.tar")));
    place.ok("build --name app --tag 1 --tar-layer layer.tar --cmd /bin/app -o flags.tar --no-check");
    assert!(place.read("flags.tar") == place.read("app.tar"));
    // What is copied goes over it, through its links.
    std::os::unix::fs::symlink("etc", place.join("root/conf")).unwrap();
    run(&place, "tar -cf linked.tar -C root .");
    place.ok("build --name app --tag 1 --tar-layer linked.tar --copy top:/conf/text -o over.tar --no-check");
    let top: Vec<_> = members(&layers(&place.read("over.tar"))[1]).into_iter().map(|member| member.name).collect();
    assert_eq!(top.last().map(|name| &name[..]), Some(&b"./etc/text"[..]));
}

#[test]
fn by_ninja_and_make() {
    for tool in Tool::all() {
        let place = place();
        place.write("image.json", spec(&json!("layer.tar.gz")));
        place.ok(&format!("{} image.json --image wired.tar", tool.name()));
        for text in ["of a tar\n", "of another tar\n"] {
            place.write("root/etc/text", text);
            run(&place, "tar -cf layer.tar -C root .");
            run(&place, "gzip -nkf layer.tar");
            tool.ok(&place, &[]);
            place.ok("build image.json -o app.tar");
            assert!(place.read("wired.tar") == place.read("app.tar"), "{tool:?}");
        }
    }
}

#[test]
fn what_is_no_layer() {
    let place = place();
    place.write("empty.tar", "");
    place.write("text.tar", "no tar at all");
    place.write("cut.tar", &place.read("layer.tar")[..700]);
    place.write("cut.tar.gz", &place.read("layer.tar.gz")[..100]);
    place.write("more.tar.gz", [place.read("layer.tar.gz"), b"more".to_vec()].concat());
    let mut wrong = place.read("layer.tar");
    wrong[512] ^= 1;
    place.write("wrong.tar", wrong);
    run(&place, "tar -cPf out.tar --transform=s,^root,../..,  root/etc/text");
    for (flags, expected) in [
        ("empty.tar", "no layer: empty.tar: found no bytes, expected a tar"),
        ("text.tar", "no layer: text.tar: not a whole tar: header at byte 0"),
        ("cut.tar", "no layer: cut.tar: not a whole tar: header at byte 512: the input ends at byte 700"),
        ("wrong.tar", "no layer: wrong.tar: not a good tar: header at byte 512: wrong checksum"),
        ("out.tar", "no layer: out.tar: not a good tar: header at byte 0"),
        ("cut.tar.gz", "cannot unpack: cut.tar.gz: "),
        ("more.tar.gz", "cannot unpack: more.tar.gz: found bytes behind the end of the gzip data"),
        ("absent.tar", "cannot read: absent.tar: No such file"),
        ("root", "cannot read: root: found no regular file"),
        ("layer.tar.gz --max-unpacked 100", "unpacks to more than 100 bytes: layer.tar.gz"),
        ("layer.tar --limit members=1", "members"),
        ("layer.tar --blob layer.tar", "layer.tar"),
    ] {
        let error = place.fail(&format!("layer --tar {flags} -o x.layer.json"));
        assert!(error.contains(expected), "{flags}: {error}");
        assert!(!place.join("x.layer.json").exists(), "{flags}");
    }
    let error = place.fail("build --name x --tar-layer cut.tar -o x.tar");
    assert!(error.contains("no layer: cut.tar: "), "{error}");
    let error = place.fail("build --name x --kind single --tar-layer layer.tar -o x.tar");
    assert!(error.contains("tarLayers: found some in an image of kind \"single\""), "{error}");
    for (flags, expected) in [
        ("--tar layer.tar --compression gzip", "--compression: expected --blob with it"),
        ("--tar layer.tar plan.json", "cannot be used with"),
        ("", "required arguments were not provided"),
    ] {
        let run = place.run(&format!("layer {flags} -o x.layer.json"));
        assert!(run.code == Some(2) && run.stderr.contains(expected), "{flags}: {}", run.stderr);
    }
    place.ok("build --name x --copy root:/ -o image.tar --no-check");
    let warned = place.ok("layer --tar image.tar -o x.layer.json");
    assert!(warned.stderr.contains("warning: image.tar: it looks like an image"), "{}", warned.stderr);
}

/// skopeo and docker read an image of it.
#[test]
fn clients_take_it() {
    let place = place();
    if require_tool("skopeo") {
        place.write("image.json", spec(&json!([])));
        place.ok("layer --tar layer.tar.gz -o l.layer.json");
        place.ok("image --spec image.json l.layer.json -o oci:layout --no-check");
        let mut skopeo = Command::new("skopeo");
        let shown = output(skopeo.args(["inspect", "oci:layout"]).current_dir(place.path()));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["Layers"], json!([format!("sha256:{}", digest(&place.read("layer.tar.gz")))]));
    }
    let Some(docker) = Docker::find() else { return };
    if !require_tool("busybox") || !require_root() {
        return;
    }
    fs::copy("/bin/busybox", place.join("sh")).unwrap();
    fs::copy("/bin/busybox", place.join("cat")).unwrap();
    let copies = "--copy sh:/bin/ --copy cat:/bin/";
    place.ok(&format!("build --name tarred --tag 1 --tar-layer layer.tar.gz {copies} --cmd /bin/app -o app.tar"));
    let turn = docker.turn();
    assert_eq!(turn.load(&place.join("app.tar"), "tarred:1").run(&[]), "of a tar\n");
}
