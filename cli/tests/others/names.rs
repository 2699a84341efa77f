//! What images are called in layouts and archives: written in full, found in every form, read as skopeo writes it.

use super::{IMAGE_NAME, REF_NAME, image, index, on_synth, place};
use crate::support::Place;
use crate::support::archive::{config, manifest};
use crate::support::pieces::{Entry, Packing, Pieces, json_file, oci, plain_docker, replace, tar, write_folder};
use crate::support::registry::{root, spec};
use serde_json::{Value, json};

/// containerd and docker find an image by its whole name; the tag is what others know it by.
#[test]
fn names_are_written_in_full() {
    for (name, full) in [
        ("synth", "docker.io/library/synth:1"),
        ("team/tool", "docker.io/team/tool:1"),
        ("docker.io/library/tool", "docker.io/library/tool:1"),
        ("reg.example:5000/tool", "reg.example:5000/tool:1"),
        ("localhost/tool", "localhost/tool:1"),
    ] {
        let place = place(json!({"name": name}));
        on_synth(&place, "build image.json -o oci:layout");
        on_synth(&place, "build image.json -o oci-archive:x.oci.tar");
        on_synth(&place, "build image.json -o x.tar");
        place.ok("copy oci:layout oci-archive:copy.oci.tar");
        place.ok("copy x.tar oci:copy");
        place.ok("index x.tar -o oci-archive:all.oci.tar");
        place.ok("copy --all oci-archive:all.oci.tar oci:all");
        for file in ["layout", "x.oci.tar", "copy.oci.tar", "copy", "all.oci.tar", "all"] {
            let annotations = &index(&place, file)["manifests"][0]["annotations"];
            assert_eq!(
                (&annotations[IMAGE_NAME], &annotations[REF_NAME]),
                (&json!(full), &json!("1")),
                "{name} {file}"
            );
        }
        // Short names stay short in docker archives.
        let tags = manifest(&place.read("x.tar"))["RepoTags"].clone();
        place.ok("copy oci:layout back.tar");
        let short = full.strip_prefix("docker.io/").map_or(full, |rest| rest.strip_prefix("library/").unwrap_or(rest));
        assert_eq!(manifest(&place.read("back.tar"))["RepoTags"], json!([short]), "{name}: {tags}");
    }
}

/// A name means what docker takes it for, whatever holds the image, whichever form is there.
#[test]
fn names_are_found_in_every_form() {
    let forms = ["small:1", "library/small:1", "docker.io/library/small:1", "index.docker.io/library/small:1"];
    let place = Place::new();
    for there in forms {
        let images = [image().called(&[there]), Pieces::new(&[]).called(&["other:1"])];
        place.write("docker.tar", tar(&plain_docker(&images)));
        let mut files = oci(&images, &Packing::plain());
        write_folder(&place.join("layout"), &files);
        place.write("oci.tar", tar(&files));
        let (_, Entry::File(bytes)) = files.iter().find(|(name, _)| name == "index.json").unwrap() else { panic!() };
        let mut index: Value = serde_json::from_slice(bytes).unwrap();
        index["manifests"][0]["annotations"] = json!({IMAGE_NAME: there, REF_NAME: "1"});
        replace(&mut files, "index.json", json_file(&index));
        place.write("containerd.tar", tar(&files));
        for file in ["docker.tar", "layout", "oci.tar", "containerd.tar"] {
            for wanted in forms.iter().flat_map(|form| [*form, form.strip_suffix(":1").unwrap()]) {
                for line in ["inspect FILE", "copy FILE x.tar", "overlay export FILE -o x.tar", "merge FILE -o x.tar"] {
                    place.ok(&line.replace("FILE", &format!("{file}#{wanted}")));
                }
            }
            for wanted in ["small:2", "team/small:1", "reg.example/small:1"] {
                let said = place.fail(&format!("inspect {file}#{wanted}"));
                assert!(said.contains(&format!("no such image: {file}#{wanted}: found ")), "{said}");
            }
        }
    }
}

/// An image takes its name over also from what an earlier version called it.
#[test]
fn a_short_name_is_replaced() {
    let place = place(json!({}));
    on_synth(&place, "build image.json -o oci:layout");
    let mut index = place.json("layout/index.json");
    index["manifests"][0]["annotations"][IMAGE_NAME] = json!("synth:1");
    place.write("layout/index.json", index.to_string());
    spec(&place, json!({"config": {"Cmd": ["other"]}}));
    on_synth(&place, "build image.json -o oci:layout");
    let index = place.json("layout/index.json");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1, "{index}");
    place.ok("copy layout#synth:1 x.tar");
    assert_eq!(config(&place.read("x.tar"))["config"]["Cmd"], json!(["other"]));
}

/// A name behind the path, as skopeo writes it, is understood where an image is read and refused where one is written.
#[test]
fn names_behind_paths() {
    let place = place(json!({}));
    on_synth(&place, "build image.json -o oci:layout");
    on_synth(&place, "build image.json -o oci-archive:x.oci.tar");
    on_synth(&place, "build image.json -o x.tar");
    for source in ["oci:layout:1", "oci:layout:synth:1", "oci-archive:x.oci.tar:1", "docker-archive:x.tar:synth:1"] {
        place.ok(&format!("copy {source} out.tar"));
        assert!(place.read("out.tar") == place.read("x.tar"), "{source}");
    }
    assert!(place.fail("copy oci:layout:2 no.tar").contains("no such image: layout#2: found synth:1 1"));
    for (output, told) in [
        ("oci:new:1", "found a name behind oci:new: 1, expected oci:DIR without one"),
        ("oci:layout:2", "found a name behind oci:layout: 2, expected oci:DIR without one"),
        ("oci:new:reg.example/a:1", "found a name behind oci:new: reg.example/a:1, expected oci:DIR without one"),
        ("oci-archive:y.tar:1", "found a name behind oci-archive:y.tar: 1, expected oci-archive:FILE without one"),
        ("docker-archive:y.tar:a:1", "found a name behind docker-archive:y.tar: a:1, expected docker-archive:FILE"),
    ] {
        for line in [format!("build image.json {} -o {output}", root()), format!("copy x.tar {output}")] {
            let said = place.fail(&line);
            assert!(said.contains(told), "{line}: {said}");
        }
    }
    // A directory of such a name that is there is meant.
    std::fs::create_dir(place.join("a:b")).unwrap();
    place.ok("copy x.tar oci:a:b");
    place.ok("copy oci:a:b out.tar");
    place.ok("copy x.tar docker-archive:12:30.tar");
}
