//! Docker archives whose pieces contradict each other, are missing, or are not what they must be.

use super::{BUILDERS, READERS, check_everywhere, check_tar, image, place};
use crate::support::digest;
use crate::support::pieces::{
    Entry, Files, Pieces, bzip2, gzip, json_file, new_save, old_save, plain_docker, replace, tar, xz, zstd,
};
use serde_json::{Value, json};

/// Each case in a docker archive of its own.
#[track_caller]
fn check_manifests(cases: &[(Value, &str)]) {
    let place = place();
    for (manifest, expected) in cases {
        let mut files = plain_docker(&[image()]);
        replace(&mut files, "manifest.json", json_file(manifest));
        place.write("base.tar", tar(&files));
        check_everywhere(&place, "base.tar", &format!("not an image: base.tar: {expected}"));
    }
}

fn hex(pieces: &Pieces, index: usize) -> String {
    pieces.diff_ids()[index]["sha256:".len()..].to_owned()
}

#[test]
fn manifests() {
    let (image, config) = (image(), digest(&image().config_bytes()));
    let config = format!("{config}.json");
    let [first, second] = [0, 1].map(|index| format!("{}.tar", hex(&image, index)));
    let wrong = "found 1 layer, expected 2 as the config has diff IDs";
    let absent = "found no absent.tar";
    check_manifests(&[
        (json!([]), "manifest.json: found no image"),
        (json!(null), "manifest.json: invalid type: null, expected a sequence"),
        (json!({"Config": config}), "manifest.json: invalid type: map, expected a sequence"),
        (json!([{"Layers": [first, second]}]), "manifest.json: missing field `Config`"),
        (json!([{"Config": null, "Layers": []}]), "manifest.json: invalid type: null, expected a string"),
        (json!([{"Config": config, "Layers": [null]}]), "manifest.json: invalid type: null, expected a string"),
        (json!([{"Config": config, "Layers": "x"}]), "manifest.json: invalid type: string \"x\", expected a sequence"),
        (json!([{"Config": config, "Layers": [first]}]), wrong),
        (json!([{"Config": config, "Layers": null}]), "found 0 layers, expected 2 as the config has diff IDs"),
        (json!([{"Config": config}]), "found 0 layers, expected 2 as the config has diff IDs"),
        (json!([{"Config": "absent.json", "Layers": []}]), "found no absent.json"),
        (json!([{"Config": "a\nb", "Layers": []}]), "found no a\\nb"),
        (json!([{"Config": config, "Layers": [first, "absent.tar"]}]), absent),
        (json!([{"Config": config, "Layers": [first, "../../absent.tar"]}]), "found no ../../absent.tar"),
    ]);
}

/// Configs by a name that promises nothing.
#[test]
fn configs() {
    let place = place();
    let diff_ids = image().diff_ids();
    let missing = "config: found no rootfs.diff_ids";
    let sha512 = format!("sha512:{}", "0".repeat(128));
    let not_sha256 = format!("config: rootfs.diff_ids: not a sha256 digest: {sha512:?}");
    let cases: [(Entry, &str); 9] = [
        (Entry::File(b"".into()), "config: not JSON: EOF while parsing a value at line 1 column 0"),
        (Entry::File(b"{".into()), "config: not JSON: EOF while parsing an object at line 1 column 1"),
        (json_file(&json!(null)), missing),
        (json_file(&json!([])), missing),
        (json_file(&json!({"rootfs": null})), missing),
        (json_file(&json!({"rootfs": {}})), missing),
        (json_file(&json!({"rootfs": {"diff_ids": null}})), "found 2 layers, expected 0 as the config has diff IDs"),
        (
            json_file(&json!({"rootfs": {"diff_ids": [diff_ids[0], null]}})),
            "config: rootfs.diff_ids: invalid type: null, expected a string",
        ),
        (json_file(&json!({"rootfs": {"diff_ids": [diff_ids[0], sha512]}})), &not_sha256),
    ];
    for (config, expected) in cases {
        let mut files = plain_docker(&[image()]);
        let names: Vec<String> = image().diff_ids().iter().map(|id| format!("{}.tar", &id[7..])).collect();
        replace(&mut files, "manifest.json", json_file(&json!([{"Config": "config", "Layers": names}])));
        files.push(("config".to_owned(), config));
        place.write("base.tar", tar(&files));
        check_everywhere(&place, "base.tar", &format!("not an image: base.tar: {expected}"));
    }
    for (key, value, expected) in [
        ("config", json!([]), "config: found a list, expected an object or null"),
        ("config", json!({"Env": "A=1"}), "config.Env"),
        ("config", json!({"Env": [null]}), "config.Env"),
        ("architecture", json!(1), "architecture: found"),
        ("os", json!({}), "os: found"),
        ("history", json!({}), "history: found an object, expected a list"),
        ("history", json!([null, null]), "history[0]: found null, expected an object"),
        ("history", json!([{"empty_layer": null}, {"empty_layer": 1}]), "history[1].empty_layer: found the number 1"),
    ] {
        let mut image = image();
        image.config[key] = value.clone();
        place.write("base.tar", tar(&plain_docker(&[image])));
        let told = place.error_of("build s.json -o x.tar --base base.tar");
        assert!(told.starts_with(&format!("error: malformed image config: base.tar: {expected}")), "{told}");
    }
}

/// Each piece in the place of another, and each missing.
#[test]
fn other_bytes() {
    let place = place();
    let image = image();
    let config = digest(&image.config_bytes());
    let [below, above] = [0, 1].map(|index| hex(&image, index));
    type Make = fn(&[Pieces]) -> Files;
    for (make, config_name, layer_name) in [
        (plain_docker as Make, format!("{config}.json"), format!("{above}.tar")),
        (new_save, format!("blobs/sha256/{config}"), format!("blobs/sha256/{above}")),
    ] {
        let good = make(std::slice::from_ref(&image));
        let mut files = good.clone();
        replace(&mut files, &config_name, json_file(&json!({})));
        let found = digest(b"{}");
        check_tar(
            &place,
            &files,
            &format!("wrong digest: base.tar: {config_name}: found sha256:{found}, expected sha256:{config}"),
        );
        for other in [image.layers[0].clone(), gzip(&image.layers[0]), zstd(&image.layers[0])] {
            let mut files = good.clone();
            replace(&mut files, &layer_name, Entry::File(other));
            check_tar(
                &place,
                &files,
                &format!("wrong digest: base.tar: {layer_name}: found sha256:{below}, expected sha256:{above}"),
            );
        }
        for name in [&config_name, &layer_name] {
            let files = good.iter().filter(|(known, _)| known != name).cloned().collect();
            check_tar(&place, &files, &format!("not an image: base.tar: found no {name}"));
        }
    }
}

/// Layers that are no tars, though their digests are as promised.
#[test]
fn layers_that_are_no_tars() {
    let place = place();
    let cut = image().layers[0][..700].to_vec();
    for (bytes, expected) in [
        (b"hello".to_vec(), "not a whole tar: header at byte 0: the input ends at byte 5"),
        (vec![b'x'; 1024], "not a good tar: header at byte 0: wrong checksum"),
        (json!([]).to_string().into_bytes(), "not a whole tar: header at byte 0: the input ends at byte 2"),
        (cut, "not a whole tar: header at byte 512: the input ends at byte 700"),
        (
            tar(&vec![("a".to_owned(), Entry::File(vec![b'x'; 600]))])[..1000].to_vec(),
            "not a whole tar: header at byte 0: the input ends at byte 1000",
        ),
    ] {
        let bad = Pieces::new(&[image().layers[0].clone(), bytes]);
        let name = format!("{}.tar", hex(&bad, 1));
        let expected = format!("error: not a good layer: base.tar: {name}: {expected}\n");
        for compress in [<[u8]>::to_vec, gzip, zstd] {
            let mut files = plain_docker(std::slice::from_ref(&bad));
            replace(&mut files, &name, Entry::File(compress(&bad.layers[1])));
            place.write("base.tar", tar(&files));
            for line in READERS.iter().chain(&BUILDERS[..1]) {
                assert_eq!(place.error_of(&format!("{line} base.tar")), expected);
            }
        }
    }
}

/// Compressed layers that are cut, and others that only begin as if they were compressed.
#[test]
fn layers_that_cannot_be_unpacked() {
    let place = place();
    let good = old_save(&[image()]);
    let name = good.iter().map(|(name, _)| name.clone()).rfind(|name| name.ends_with("layer.tar")).unwrap();
    type Compress = fn(&[u8]) -> Vec<u8>;
    let compressions: [(Compress, &str, &str); 4] = [
        (gzip, "unexpected end of file", "corrupt deflate stream"),
        (zstd, "incomplete frame", "Data corruption detected"),
        (xz, "premature eof", "lzma data error"),
        (bzip2, "decompression not finished but EOF reached", "bzip2: invalid data"),
    ];
    for (compress, cut, garbage) in compressions {
        let compressed = compress(&image().layers[1]);
        let bytes = [
            (compressed[..compressed.len() - 6].to_vec(), cut),
            ([&compressed[..6], b"garbage that is no such thing"].concat(), garbage),
        ];
        for (bytes, cause) in bytes {
            let mut files = good.clone();
            replace(&mut files, &name, Entry::File(bytes));
            place.write("base.tar", tar(&files));
            check_everywhere(&place, "base.tar", &format!("cannot unpack: base.tar: {name}: {cause}"));
        }
    }
}
