//! OCI layouts whose pieces contradict each other, are missing, or are not what they must be.

use super::{check_everywhere, check_tar, image, place};
use crate::support::digest;
use crate::support::pieces::{
    Entry, Files, Packing, blob, finish_oci, gzip, json_file, oci, oci_image, replace, tar, write_folder,
};
use serde_json::{Value, json};

/// What an index, a manifest and the blobs say of each other, in archives and in directories.
#[test]
fn indexes() {
    let place = place();
    let good = oci(&[image()], &Packing::docker(gzip));
    let descriptor = index_of(&good)["manifests"][0].clone();
    let name = blob_name(&descriptor);
    let size = descriptor["size"].as_u64().unwrap();
    let with = |key: &str, value: Value| {
        let mut descriptor = descriptor.clone();
        descriptor[key] = value;
        json!({"manifests": [descriptor]})
    };
    let sha512 = format!("sha512:{}", "0".repeat(128));
    let not_sha256 = |text: &str| format!("index.json: not a sha256 digest: {text:?}");
    let zeros = "0".repeat(64);
    let cases = [
        (json!(null), "index.json: invalid type: null, expected an object at line 1 column 4".to_owned()),
        (json!({}), "index.json: missing field `manifests` at line 1 column 2".to_owned()),
        (json!({"manifests": []}), "index.json: found no image".to_owned()),
        (with("mediaType", json!("text/plain")), "index.json: found no image, only text/plain".to_owned()),
        (with("size", json!(size + 1)), format!("{name}: found {size} bytes, expected {}", size + 1)),
        (with("size", json!(u64::MAX)), format!("{name}: found {size} bytes, expected {}", u64::MAX)),
        (with("digest", json!(sha512)), not_sha256(&sha512)),
        (with("digest", json!("sha256:../../../passwd")), not_sha256("sha256:../../../passwd")),
        (with("digest", json!(format!("sha256:{zeros}"))), format!("found no blobs/sha256/{zeros}")),
    ];
    for (index, expected) in cases {
        let mut files = good.clone();
        replace(&mut files, "index.json", json_file(&index));
        place.write("base.tar", tar(&files));
        check_everywhere(&place, "base.tar", &format!("not an image: base.tar: {expected}"));
        let Some(absent) = expected.strip_prefix("found no blobs/") else {
            let _ = std::fs::remove_dir_all(place.join("base"));
            write_folder(&place.join("base"), &files);
            check_everywhere(&place, "base", &format!("not an image: base: {expected}"));
            continue;
        };
        write_folder(&place.join("base"), &files);
        let expected = format!("cannot read: base/blobs/{absent}: No such file or directory (os error 2)");
        check_everywhere(&place, "base", &expected);
    }
    for text in [
        r#"{"manifests": null}"#,
        r#"{"manifests": [null]}"#,
        r#"{"manifests": [{"mediaType": null}]}"#,
        r#"{"manifests": [{"digest": "x", "size": -1}]}"#,
        r#"{"manifests": [{"digest": "x", "size": 1e99}]}"#,
        r#"{"manifests": [{"digest": null, "size": 1}]}"#,
        r#"{"manifests": ["#,
        "",
    ] {
        place.write("base/index.json", text);
        let told = place.error_of("build s.json -o x.tar --base base");
        assert!(told.starts_with("error: not an image: base: index.json: "), "{text}: {told}");
        assert!(!told.contains("struct"), "{text}: {told}");
    }
}

fn index_of(files: &Files) -> Value {
    let (_, Entry::File(bytes)) = files.iter().find(|(name, _)| name == "index.json").unwrap() else { panic!() };
    serde_json::from_slice(bytes).unwrap()
}

fn blob_name(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/")
}

/// A manifest of the right digest that says wrong things of the config and the layers.
#[test]
fn manifests_of_oci() {
    let place = place();
    let image = image();
    let config = digest(&image.config_bytes());
    let compressed = gzip(&image.layers[1]);
    let above = digest(&compressed);
    let size = compressed.len();
    type Change<'a> = &'a dyn Fn(&mut Value);
    let not_there = "0".repeat(64);
    let cases: [(Change, String); 8] = [
        (
            &|manifest| manifest["layers"] = json!([]),
            "base.tar: found 0 layers, expected 2 as the config has diff IDs".into(),
        ),
        (
            &|manifest| manifest["layers"][1]["size"] = json!(size + 1),
            format!("base.tar: blobs/sha256/{above}: found {size} bytes, expected {}", size + 1),
        ),
        (
            &|manifest| manifest["config"]["size"] = json!(0),
            format!("base.tar: blobs/sha256/{config}: found {} bytes, expected 0", image.config_bytes().len()),
        ),
        (
            &|manifest| manifest["layers"][0]["digest"] = json!(format!("sha256:{not_there}")),
            format!("base.tar: found no blobs/sha256/{not_there}"),
        ),
        (
            &|manifest| manifest["layers"][0] = json!(null),
            "base.tar: MANIFEST: invalid type: null, expected an object".into(),
        ),
        (
            &|manifest| manifest["layers"] = json!(null),
            "base.tar: found 0 layers, expected 2 as the config has diff IDs".into(),
        ),
        (
            &|manifest| manifest["config"] = json!(null),
            "base.tar: MANIFEST: invalid type: null, expected an object".into(),
        ),
        (
            &|manifest| manifest["config"]["digest"] = json!("md5:00"),
            "base.tar: MANIFEST: not a sha256 digest: \"md5:00\"".into(),
        ),
    ];
    for (change, expected) in cases {
        let mut files = oci(std::slice::from_ref(&image), &Packing::docker(gzip));
        let mut descriptor = index_of(&files)["manifests"][0].clone();
        let name = blob_name(&descriptor);
        let place_of = files.iter().position(|(known, _)| *known == name).unwrap();
        let (_, Entry::File(bytes)) = files.remove(place_of) else { panic!() };
        let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut manifest);
        let other = blob(&mut files, "", manifest.to_string().as_bytes());
        for key in ["digest", "size"] {
            descriptor[key] = other[key].clone();
        }
        replace(&mut files, "index.json", json_file(&json!({"manifests": [descriptor]})));
        place.write("base.tar", tar(&files));
        let told = place.error_of("build s.json -o x.tar --base base.tar");
        let expected = expected.replace("MANIFEST", &blob_name(&descriptor));
        assert!(told.starts_with(&format!("error: not an image: {expected}")), "{told}{expected}");
    }
}

/// A blob whose name, the digest of its bytes, is another's; a layer whose blob is right but not the layer of the config.
#[test]
fn blobs_of_oci() {
    let place = place();
    let image = image();
    let good = oci(std::slice::from_ref(&image), &Packing::docker(gzip));
    let [below, above] = [0, 1].map(|index| digest(&gzip(&image.layers[index])));
    let mut swapped = good.clone();
    let mut other = gzip(&image.layers[1]);
    // The time in gzip's header: the layer itself is as it was.
    other[4] ^= 1;
    let found = digest(&other);
    replace(&mut swapped, &above, Entry::File(other));
    let expected =
        format!("wrong digest: base.tar: blobs/sha256/{above}: found sha256:{found}, expected sha256:{above}");
    check_tar(&place, &swapped, &expected);
    let mut lying = image.clone();
    lying.layers.swap(0, 1);
    let ids = image.diff_ids();
    let files = oci(&[lying.clone()], &Packing::docker(gzip));
    place.write("base.tar", tar(&files));
    let told = place.error_of("build s.json -o x.tar --base base.tar -j 1");
    let wrong = [(&below, &ids[0], &ids[1]), (&above, &ids[1], &ids[0])].map(|(blob, found, expected)| {
        format!("error: wrong digest: base.tar: blobs/sha256/{blob}: found {found}, expected {expected}\n")
    });
    assert!(wrong.contains(&told), "{told}");
    place.write("base.tar", tar(&oci(&[lying], &Packing::plain())));
    let told = place.error_of("build s.json -o x.tar --base base.tar");
    let (found, expected) = (&ids[0], &ids[1]);
    let name = expected.replace("sha256:", "blobs/sha256/");
    assert_eq!(told, format!("error: wrong digest: base.tar: {name}: found {found}, expected {expected}\n"));
}

/// An index of several platforms of which one is there.
#[test]
fn platforms_that_are_not_there() {
    let place = place();
    let mut files = Files::new();
    let mut image = image();
    image.config["architecture"] = json!("arm64");
    let mut here = oci_image(&image, &Packing::plain(), &mut files);
    here["platform"] = json!({"architecture": "arm64", "os": "linux"});
    let mut away = here.clone();
    away["platform"]["architecture"] = json!("amd64");
    away["digest"] = json!(format!("sha256:{}", "1".repeat(64)));
    finish_oci(&mut files, vec![away.clone(), here]);
    write_folder(&place.join("base"), &files);
    place.write("base.tar", tar(&files));
    for base in ["base", "base.tar"] {
        place.ok(&format!("build --name x --architecture arm64 --base {base} -o y.tar"));
        assert_eq!(place.ok(&format!("inspect --json {base}")).text().matches("imageId").count(), 1);
    }
    let told = place.error_of("build --name x --architecture amd64 --base base.tar -o x.tar");
    let absent = format!("blobs/sha256/{}", "1".repeat(64));
    assert_eq!(told, format!("error: not an image: base.tar: found no {absent}\n"));
    let told = place.error_of("build --name x --architecture riscv64 --base base.tar -o x.tar");
    let known = "base:1 (linux/amd64, not there), base:1 (linux/arm64)";
    assert_eq!(told, format!("error: no such image: base.tar for linux/riscv64: found {known}\n"));
    let mut nothing = Files::new();
    finish_oci(&mut nothing, vec![away]);
    check_tar(&place, &nothing, &format!("not an image: base.tar: found no {absent}"));
}
