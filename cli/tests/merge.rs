//! Images of several files in one archive: each image and each layer once, whatever the files are.

use crate::support::archive::{Member, member, members};
use crate::support::{Place, digest, output, require_tool, synth, without_summary};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Command;

/// Two images that share libc and zlib, `curl.tar` and `git.tar`.
fn two_images() -> Place {
    let place = Place::new();
    build(&place, "curl", "curl-8.0");
    build(&place, "git", "git-2.39");
    place
}

/// An image of one store path and what it needs, a layer each: `NAME.tar`, called `NAME:1`.
#[track_caller]
fn build(place: &Place, name: &str, path: &str) {
    let (path, graph, root) = (synth().path(path), synth().graph.display(), synth().root.display());
    place.ok(&format!(
        "build --name {name} --tag 1 --contents {path} --graph {graph} --root {root} --strategy popularity -o {name}.tar"
    ));
}

fn manifest(tar: &[u8]) -> Vec<Value> {
    serde_json::from_slice(&member(tar, "manifest.json")).unwrap()
}

fn id(tar: &[u8]) -> String {
    format!("sha256:{}", digest(&member(tar, manifest(tar)[0]["Config"].as_str().unwrap())))
}

/// Everything in an archive is named after its digest and stands there once; the layers.
#[track_caller]
fn layers(tar: &[u8]) -> Vec<String> {
    let name = |member: &Member| String::from_utf8(member.name.clone()).unwrap();
    let members = members(tar);
    let (layers, rest): (Vec<_>, Vec<_>) = members.iter().partition(|member| member.name.ends_with(b"/layer.tar"));
    for layer in &layers {
        assert_eq!(name(layer), format!("{}/layer.tar", digest(&layer.contents)));
    }
    let (last, configs) = rest.split_last().unwrap();
    assert_eq!(last.name, b"manifest.json");
    assert!(!last.contents.windows(4).any(|text| text == b"null"));
    let mut names: Vec<String> = configs.iter().map(|config| format!("{}.json", digest(&config.contents))).collect();
    assert_eq!(names, configs.iter().map(|config| name(config)).collect::<Vec<_>>());
    names.extend(layers.iter().map(|layer| name(layer)));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), members.len() - 1);
    layers.into_iter().map(name).collect()
}

#[test]
fn shared_layers_are_there_once() {
    let place = two_images();
    let told = place.ok("merge curl.tar git.tar -o merged.tar").text().to_owned();
    let [curl, git, merged] = ["curl.tar", "git.tar", "merged.tar"].map(|name| place.read(name));
    assert_eq!(told, format!("curl:1 {}\ngit:1 {}\n", id(&curl), id(&git)));
    let (mut all, git_layers) = (layers(&curl), layers(&git));
    let both = git_layers.iter().filter(|name| all.contains(name)).count();
    assert!(both >= 2, "{both}");
    all.extend(git_layers.into_iter().filter(|name| !layers(&curl).contains(name)));
    assert_eq!(layers(&merged), all);
    assert_eq!(manifest(&merged), [manifest(&curl), manifest(&git)].concat());
    for image in manifest(&merged) {
        let config: Value = serde_json::from_slice(&member(&merged, image["Config"].as_str().unwrap())).unwrap();
        let names = image["Layers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let diff_ids: Vec<String> = names.map(|name| format!("sha256:{}", digest(&member(&merged, name)))).collect();
        assert_eq!(config["rootfs"]["diff_ids"], json!(diff_ids));
    }
}

/// In every form that an archive can have, on stdin and stdout too; silent where stdout or `-q` asks for it.
#[test]
fn any_compression() {
    let place = two_images();
    place.ok("merge curl.tar git.tar -o merged.tar");
    let (merged, git) = (place.read("merged.tar"), place.read("git.tar"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&git).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&git).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    xz.write_all(&git).unwrap();
    for (name, bytes) in [
        ("git.gz", gzip.finish().unwrap()),
        ("git.bz2", bzip2.finish().unwrap()),
        ("git.xz", xz.finish().unwrap()),
        ("git.zst", zstd::encode_all(&git[..], 1).unwrap()),
    ] {
        place.write(name, bytes);
        let run = place.ok(&format!("merge curl.tar {name} -o -"));
        assert!(run.stdout == merged && without_summary(&run.stderr).is_empty(), "{name}");
    }
    let fed = place
        .command("merge curl.tar - -o fed.tar -q")
        .stdin(std::fs::File::open(place.join("git.xz")).unwrap())
        .output();
    // An ID for each image, and nothing else.
    let fed = String::from_utf8(fed.unwrap().stdout).unwrap();
    assert!(fed.lines().count() == 2 && fed.lines().all(|line| line.starts_with("sha256:")), "{fed}");
    assert!(place.read("fed.tar") == merged);
    place.ok("merge curl.tar git.tar -o merged.tar.zst");
    assert!(zstd::decode_all(&place.read("merged.tar.zst")[..]).unwrap() == merged);
}

/// An archive that was merged is what merging makes of it, with itself and in place.
#[test]
fn a_merged_archive_again() {
    let place = two_images();
    place.ok("merge curl.tar git.tar -o merged.tar");
    let merged = place.read("merged.tar");
    for line in ["merged.tar", "merged.tar merged.tar", "merged.tar git.tar curl.tar", "curl.tar merged.tar"] {
        place.ok(&format!("-j1 merge {line} -o again.tar"));
        assert!(place.read("again.tar") == merged, "{line}");
    }
    place.ok("merge merged.tar curl.tar -o merged.tar");
    assert!(place.read("merged.tar") == merged);
    place.ok("merge git.tar curl.tar -o other.tar");
    assert!(place.read("other.tar") != merged);
    place.ok("merge merged.tar#git merged.tar#curl:1 -o named.tar");
    assert!(place.read("named.tar") == place.read("other.tar"));
}

/// skopeo's OCI layout, whose layers it compressed, and an OCI archive. It writes the config anew, hence another image ID.
#[test]
fn oci_layouts() {
    if !require_tool("skopeo") {
        return;
    }
    let place = two_images();
    for (image, to) in
        [("curl", "oci:layout:example.com/curl:2"), ("git", "oci:layout:git"), ("git", "oci-archive:git.oci:git:2")]
    {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", &format!("docker-archive:{image}.tar"), to]);
        output(skopeo.current_dir(place.path()));
    }
    place.ok("merge layout#example.com/curl:2 curl.tar git.oci -o merged.tar");
    let merged = place.read("merged.tar");
    let tags: Vec<Value> = manifest(&merged).iter().map(|image| image["RepoTags"].clone()).collect();
    assert_eq!(json!(tags), json!([["example.com/curl:2"], ["curl:1"], ["git:2"]]));
    place.ok("merge curl.tar git.tar -o docker.tar");
    assert_eq!(layers(&merged), layers(&place.read("docker.tar")));
    assert!(manifest(&merged)[0]["Layers"] == manifest(&merged)[1]["Layers"]);
    let said = place.fail("merge curl.tar layout -o merged.tar");
    assert_eq!(
        said,
        "error: no tag for a docker archive: \"git\": layout: expected NAME:TAG\nhint: `skopeo copy oci:layout:git \
         docker-archive:FILE:NAME:TAG` gives it a name\n"
    );
}

/// The manifest of an archive in other words: its tags as they are given, an empty list of tags as null.
fn retagged(place: &Place, name: &str, tags: Option<&[&str]>, to: &str) {
    let tar = place.read(name);
    let mut entries = manifest(&tar);
    entries[0]["RepoTags"] = json!(tags);
    let mut builder = tar::Builder::new(Vec::new());
    for Member { name, contents, .. } in members(&tar) {
        let manifest = json!(entries).to_string().into_bytes();
        let contents = if name == b"manifest.json" { manifest } else { contents };
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        builder.append_data(&mut header, std::str::from_utf8(&name).unwrap(), &contents[..]).unwrap();
    }
    place.write(to, builder.into_inner().unwrap());
}

#[test]
fn tags_of_one_image() {
    let place = two_images();
    retagged(&place, "curl.tar", Some(&["x:1", "curl:1", "docker.io/library/x:1"]), "more.tar");
    retagged(&place, "curl.tar", None, "none.tar");
    retagged(&place, "git.tar", None, "git-none.tar");
    let told = place.ok("merge none.tar git-none.tar curl.tar more.tar -o merged.tar").text().to_owned();
    let merged = place.read("merged.tar");
    assert_eq!(told, format!("curl:1 x:1 {}\n{}\n", id(&place.read("curl.tar")), id(&place.read("git.tar"))));
    let tags: Vec<Value> = manifest(&merged).iter().map(|image| image["RepoTags"].clone()).collect();
    assert_eq!(json!(tags), json!([["curl:1", "x:1"], []]));
}

#[test]
fn a_tag_that_two_images_claim() {
    let place = two_images();
    retagged(&place, "git.tar", Some(&["git:1", "docker.io/library/curl:1"]), "both.tar");
    let [curl, git] = ["curl.tar", "git.tar"].map(|name| id(&place.read(name)));
    place.write("merged.tar", "was here");
    let said = place.fail("merge curl.tar both.tar -o merged.tar");
    assert_eq!(
        said,
        format!(
            "error: two images of one tag: docker.io/library/curl:1: curl.tar has {curl}, both.tar has {git}\nhint: \
             FILE#NAME:TAG takes one image of a file, under this name\n"
        )
    );
    place.ok("merge curl.tar both.tar#git:1 -o merged.tar");
}

#[test]
fn what_cannot_be_merged() {
    let place = two_images();
    let said = place.fail("merge curl.tar git.tar#curl:1 -o merged.tar");
    assert_eq!(said, "error: no such image: git.tar#curl:1: found git:1\nhint: git.tar#git:1\n");
    let said = place.error_of("merge absent.tar curl.tar -o merged.tar");
    assert_eq!(said, "error: cannot read: absent.tar: No such file or directory (os error 2)\n");
    let said = place.fail("merge curl.tar --max-unpacked 9 git.tar -o absent/merged.tar");
    assert!(
        said.starts_with("error: cannot write: absent/merged.tar: its directory absent does not exist\n"),
        "{said}"
    );
    let run = place.run("merge -o merged.tar");
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    place.write("curl.zst", zstd::encode_all(&place.read("curl.tar")[..], 1).unwrap());
    let said = place.fail("merge git.tar curl.zst --max-unpacked 20000 -o merged.tar");
    assert_eq!(said, "error: unpacks to more than 20000 bytes: curl.zst\nhint: --max-unpacked BYTES allows more\n");
}

/// A flipped byte in a layer, plain or in an archive that is compressed.
#[test]
fn a_flipped_byte() {
    let place = two_images();
    let mut tar = place.read("git.tar");
    let layer = layers(&tar).pop().unwrap();
    let at = tar.windows(layer.len()).position(|text| text == layer.as_bytes()).unwrap();
    tar[at + 512 + 100] ^= 1;
    place.write("flipped.tar", &tar);
    place.write("flipped.zst", zstd::encode_all(&tar[..], 1).unwrap());
    for name in ["flipped.tar", "flipped.zst"] {
        for output in ["merged.tar", "merged.tar.gz"] {
            let said = place.fail(&format!("merge curl.tar {name} -o {output}"));
            assert!(said.starts_with(&format!("error: wrong digest: {name}: {layer}: found sha256:")), "{said}");
        }
    }
    let cut = place.read("git.tar");
    place.write("cut.tar", &cut[..cut.len() / 2]);
    let said = place.fail("merge curl.tar cut.tar -o merged.tar");
    assert!(said.starts_with("error: not an image: cut.tar: "), "{said}");
}
