//! Tables that are not what they must be: told by who reads them, and of no concern to others.

use super::{ANNOTATION, FLAG, blob, layers, position, unpacked, versions};
use crate::support::{Place, digest, output, require_tool};
use std::fs;
use std::process::Command;

/// A table that is not what the annotations say is told by who reads tables; others read the tar.
#[test]
fn damaged_tables() {
    let place = Place::new();
    versions(&place);
    place.ok(&format!("build 1.json -o oci:old {FLAG}"));
    let change = |annotation: &str, value: &str| {
        let _ = fs::remove_dir_all(place.join("new"));
        place.ok(&format!("build 2.json -o oci:new {FLAG}"));
        let mut index = place.json("new/index.json");
        let name = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let mut manifest = place.json(&format!("new/blobs/sha256/{}", &name[7..]));
        manifest["layers"][0]["annotations"][format!("{ANNOTATION}.{annotation}")] = value.into();
        let manifest = manifest.to_string();
        let name = digest(manifest.as_bytes());
        place.write(&format!("new/blobs/sha256/{name}"), &manifest);
        index["manifests"][0]["digest"] = format!("sha256:{name}").into();
        index["manifests"][0]["size"] = manifest.len().into();
        place.write("new/index.json", index.to_string());
        place.ok("copy oci:new x.tar");
        place.error_of("diff oci:old oci:new")
    };
    let zeros = format!("sha256:{}", "0".repeat(64));
    assert!(change("manifest-checksum", &zeros).contains("expected sha256:0000"));
    assert!(change("manifest-position", "99999999:5:5:1").contains("at 99999999, expected it in"));
    // Whoever checks an image is told, too, and of contents that are not what the table says.
    let checked = place.run("check oci:new");
    assert!(checked.code == Some(1) && checked.text().contains("expected it in"), "{}", checked.text());
    place.ok("check oci:old");
    let other = change("manifest-position", "100:5:99999999999:1");
    assert!(other.contains("not a good zstd:chunked table"), "{other}");
}

/// Contents that are not those of the table are told by `check`, though the tar is what it must be.
#[test]
fn tables_of_other_contents() {
    if !require_tool("zstd") {
        return;
    }
    let place = Place::new();
    versions(&place);
    place.ok(&format!("build 1.json -o oci:one {FLAG}"));
    let layer = layers(&place, "one").remove(0);
    let bytes = blob(&place, "one", layer["digest"].as_str().unwrap());
    let range = position(&layer, "manifest").unwrap();
    let text = String::from_utf8(unpacked(&place, &bytes[range.clone()])).unwrap();
    // The files with the contents of each other.
    let [small, other] = ["small/8", "small/9"].map(|name| digest(&place.read(&format!("1/{name}"))));
    let changed = text.replace(&small, "SMALL").replace(&other, &small).replace("SMALL", &other);
    assert!(text.len() == changed.len() && text != changed);
    place.write("manifest", &changed);
    output(Command::new("zstd").args(["-q", "-f", "manifest"]).current_dir(place.path()));
    let manifest = place.read("manifest.zst");
    // At the end, where no reader of zstd looks.
    let header = [&[0x50, 0x2a, 0x4d, 0x18], &(manifest.len() as u32).to_le_bytes()[..]].concat();
    let blob = [&bytes[..], &header, &manifest].concat();
    let name = digest(&blob);
    place.write(&format!("one/blobs/sha256/{name}"), &blob);
    let mut index = place.json("one/index.json");
    let of_image = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let mut image = place.json(&format!("one/blobs/sha256/{}", &of_image[7..]));
    image["layers"][0]["digest"] = format!("sha256:{name}").into();
    image["layers"][0]["size"] = blob.len().into();
    let position = format!("{}:{}:{}:1", bytes.len() + 8, manifest.len(), changed.len());
    let annotations = &mut image["layers"][0]["annotations"];
    annotations[format!("{ANNOTATION}.manifest-position")] = position.into();
    annotations[format!("{ANNOTATION}.manifest-checksum")] = format!("sha256:{}", digest(&manifest)).into();
    let image = image.to_string();
    place.write(&format!("one/blobs/sha256/{}", digest(image.as_bytes())), &image);
    index["manifests"][0]["digest"] = format!("sha256:{}", digest(image.as_bytes())).into();
    index["manifests"][0]["size"] = image.len().into();
    place.write("one/index.json", index.to_string());
    let checked = place.run("check oci:one");
    let said = checked.text();
    let named = [&small, &other].iter().all(|digest| said.contains(&format!("sha256:{digest}")));
    assert!(checked.code == Some(1) && said.contains("found a file of sha256:") && named, "{said}");
}
