//! The forms that a base may have.

use super::{curl, made_by_hand, make_base, write_tar};
use crate::support::archive::manifest;
use crate::support::pieces::{
    Entry, Files, Packing, Pieces, blob, bzip2, finish_oci, gzip, gzip_members, new_save, oci, oci_image, old_save,
    plain_docker, replace, tar, write_folder, xz, zstd,
};
use crate::support::{Place, digest};
use serde_json::{Value, json};
use std::fs::File;
use std::process::Command;

/// The digest of the image that comes out on a base.
#[track_caller]
fn built(place: &Place, base: &str) -> String {
    place.ok(&format!("build {} --base {base} -o x.tar", curl()));
    digest(&place.read("x.tar"))
}

/// Each form of a base gives the image that the plain docker archive gives.
#[track_caller]
fn check(image: &Pieces, forms: &[(&str, Files)]) {
    let place = Place::new();
    write_tar(&place, "plain.tar", &plain_docker(std::slice::from_ref(image)));
    let expected = built(&place, "plain.tar");
    let found = Pieces::of(&place.read("x.tar"));
    assert_eq!(found.layers[..image.layers.len()], image.layers);
    assert_eq!(
        found.diff_ids()[..],
        serde_json::from_value::<Vec<String>>(found.config["rootfs"]["diff_ids"].clone()).unwrap()
    );
    for (name, files) in forms {
        write_tar(&place, "base.tar", files);
        assert_eq!(built(&place, "base.tar"), expected, "{name}");
    }
}

/// What layerstone makes itself, and what it did not.
fn images() -> [Pieces; 2] {
    let place = Place::new();
    make_base(&place, "libc-2.36", "base.tar");
    [Pieces::of(&place.read("base.tar")), made_by_hand()]
}

#[test]
fn docker_archives() {
    for image in images() {
        let images = [image];
        check(&images[0], &[("docker save, old", old_save(&images)), ("docker save, new", new_save(&images))]);
    }
}

/// Whatever the whole archive is compressed with, from a file and from a pipe.
#[test]
fn compressed_archives() {
    type Compress = fn(&[u8]) -> Vec<u8>;
    let compressions: [(&str, Compress); 5] =
        [("gzip", gzip), ("members", gzip_members), ("zstd", zstd), ("xz", xz), ("bzip2", bzip2)];
    for image in images() {
        let place = Place::new();
        let plain = tar(&plain_docker(&[image]));
        place.write("plain.tar", &plain);
        let expected = built(&place, "plain.tar");
        for (name, compress) in compressions {
            // What it is tells the file itself, not its name.
            place.write("base", compress(&plain));
            assert_eq!(built(&place, "base"), expected, "{name}");
            place.write("base", compress(&tar(&oci(&[Pieces::of(&plain)], &Packing::plain()))));
            assert_eq!(built(&place, "base"), expected, "{name} of an OCI archive");
        }
        for name in ["plain.tar", "base"] {
            let mut command = place.command(&format!("build {} --base - -o x.tar", curl()));
            let run = command.stdin(File::open(place.join(name)).unwrap()).output().unwrap();
            assert!(run.status.success(), "{name}: {}", String::from_utf8_lossy(&run.stderr));
            assert_eq!(digest(&place.read("x.tar")), expected, "{name}");
        }
        place.check_no_leftovers();
    }
}

/// A file that can be read once, as bash's `<(…)` gives it.
#[test]
fn from_a_pipe_with_a_name() {
    let place = Place::new();
    let plain = tar(&plain_docker(&[made_by_hand()]));
    place.write("plain.tar", &plain);
    let expected = built(&place, "plain.tar");
    assert!(Command::new("mkfifo").arg(place.join("pipe")).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = place.join("pipe");
        move || std::fs::write(pipe, plain).unwrap()
    });
    assert_eq!(built(&place, "pipe"), expected);
    writer.join().unwrap();
}

/// The layers of an image may be compressed one by one, in each form.
#[test]
fn compressed_layers() {
    for image in images() {
        let images = [image];
        let mut forms = Vec::new();
        for compress in [gzip, gzip_members, zstd, xz, bzip2] {
            let packing =
                Packing { compress, layer_type: "application/vnd.oci.image.layer.v1.tar+gzip", ..Packing::plain() };
            forms.push(("OCI archive", oci(&images, &packing)));
            forms.push(("OCI archive of docker", oci(&images, &Packing::docker(compress))));
            let mut files = old_save(&images);
            for (name, entry) in &mut files {
                if let (true, Entry::File(bytes)) = (name.ends_with("layer.tar"), entry) {
                    *bytes = compress(bytes);
                }
            }
            forms.push(("docker archive", files));
        }
        check(&images[0], &forms);
    }
}

/// A layer that stands twice, whether it is stored twice, listed twice or linked.
#[test]
fn a_layer_twice() {
    let mut image = made_by_hand();
    image.layers = [0, 1, 0, 2, 1].map(|index| image.layers[index].clone()).to_vec();
    image.config["rootfs"]["diff_ids"] = json!(image.diff_ids());
    let images = [image];
    let stored = old_save(&images);
    let manifest = manifest(&tar(&stored));
    let names: Vec<String> = serde_json::from_value(manifest["Layers"].clone()).unwrap();
    let mut symlinks = stored.clone();
    replace(&mut symlinks, &names[2], Entry::Symlink(format!("../{}", names[0])));
    replace(&mut symlinks, &names[4], Entry::Symlink(format!("./.././{}", names[1])));
    let mut forward = stored.clone();
    replace(&mut forward, &names[0], Entry::Symlink(format!("../{}", names[2])));
    let mut hard_links = stored.clone();
    replace(&mut hard_links, &names[2], Entry::HardLink(names[0].clone()));
    replace(&mut hard_links, &names[4], Entry::HardLink(format!("./{}", names[1])));
    let mut chain = symlinks.clone();
    chain.insert(0, ("a".to_owned(), Entry::Symlink(names[0].clone())));
    replace(&mut chain, &names[2], Entry::Symlink("/a".to_owned()));
    check(
        &images[0],
        &[
            ("listed", plain_docker(&images)),
            ("stored", stored),
            ("symbolic links", symlinks),
            ("to a later member", forward),
            ("hard links", hard_links),
            ("links to links", chain),
            ("OCI, listed", oci(&images, &Packing::plain())),
            ("OCI, compressed and listed", oci(&images, &Packing::docker(gzip))),
        ],
    );
}

/// Members may be called in other ways, stand in any order, and be there twice, of which the last one counts.
#[test]
fn names_of_members() {
    let images = [made_by_hand()];
    let plain = old_save(&images);
    let dotted = plain.iter().map(|(name, entry)| (format!("./{name}"), entry.clone())).collect();
    let absolute = plain.iter().map(|(name, entry)| (format!("/{name}"), entry.clone())).collect();
    let reversed = plain.iter().rev().cloned().collect();
    let mut twice: Files = vec![("manifest.json".to_owned(), Entry::File(b"[]".to_vec()))];
    twice.extend(plain.clone());
    let nested = plain.iter().map(|(name, entry)| (format!("{}{name}", "x/../".repeat(200)), entry.clone())).collect();
    check(
        &images[0],
        &[("./", dotted), ("/", absolute), ("reversed", reversed), ("twice", twice), ("long, with ..", nested)],
    );
}

/// A directory gives what the archive of it gives.
#[test]
fn oci_folders() {
    for image in images() {
        let place = Place::new();
        let images = [image];
        write_tar(&place, "plain.tar", &plain_docker(&images));
        let expected = built(&place, "plain.tar");
        for (index, compress) in [<[u8]>::to_vec, gzip, zstd].into_iter().enumerate() {
            let layout = oci(&images, &Packing { compress, ..Packing::plain() });
            write_folder(&place.join(format!("layout{index}")), &layout);
            assert_eq!(built(&place, &format!("layout{index}")), expected);
            assert_eq!(built(&place, &format!("layout{index}/")), expected);
        }
    }
}

/// An index of several platforms in the index, with what tells of them; of each level the media types of both worlds.
fn platforms(packing: &Packing, images: &[(&str, Pieces)]) -> Files {
    let mut files = Files::new();
    let mut manifests = Vec::new();
    for (architecture, image) in images {
        let mut descriptor = oci_image(&image.called(&[]), packing, &mut files);
        descriptor["platform"] = json!({"architecture": architecture, "os": "linux"});
        manifests.push(descriptor);
    }
    let in_toto = blob(&mut files, "application/vnd.in-toto+json", b"{}");
    let config = blob(&mut files, "application/vnd.oci.image.config.v1+json", b"{\"rootfs\": {\"diff_ids\": []}}");
    let statement = json!({"schemaVersion": 2, "config": config, "layers": [in_toto]}).to_string();
    let mut attestation = blob(&mut files, "application/vnd.oci.image.manifest.v1+json", statement.as_bytes());
    attestation["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    manifests.insert(0, attestation);
    let nested = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    let mut descriptor: Value = blob(&mut files, packing.index_type, nested.as_bytes());
    descriptor["annotations"] = json!({
        "io.containerd.image.name": "registry.example/base:1", "org.opencontainers.image.ref.name": "1",
    });
    finish_oci(&mut files, vec![descriptor]);
    files
}

#[test]
fn several_platforms() {
    let place = Place::new();
    let amd64 = made_by_hand();
    let mut arm64 = amd64.clone();
    arm64.layers.swap(1, 2);
    arm64.config["architecture"] = json!("arm64");
    arm64.config["rootfs"]["diff_ids"] = json!(arm64.diff_ids());
    for packing in [Packing::plain(), Packing::docker(gzip)] {
        write_tar(&place, "base.tar", &platforms(&packing, &[("amd64", amd64.clone()), ("arm64", arm64.clone())]));
        for (architecture, image) in [("x86_64-linux", &amd64), ("aarch64", &arm64), ("arm64", &arm64)] {
            for base in ["base.tar", "base.tar#registry.example/base:1", "base.tar#1", "base.tar#:1"] {
                place.ok(&format!("build {} --architecture {architecture} --base {base} -o x.tar", curl()));
                let found = Pieces::of(&place.read("x.tar"));
                assert_eq!(found.layers[..3], image.layers, "{architecture} of {base}");
                assert_eq!(found.config["architecture"], image.config["architecture"]);
            }
        }
        let told = place.fail(&format!("build {} --architecture riscv64 --base base.tar -o x.tar", curl()));
        let expected = "no such image: base.tar for linux/riscv64: found registry.example/base:1 1 (linux/amd64), \
                        registry.example/base:1 1 (linux/arm64)";
        assert_eq!(told, format!("error: {expected}\n"));
    }
}
