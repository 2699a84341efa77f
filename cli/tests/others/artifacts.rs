//! Artifacts attached to images in a layout: no images, whatever they say of themselves.

use super::{REF_NAME, image, index, on_synth, place};
use crate::support::archive::manifest;
use crate::support::pieces::{Files, Packing, blob, finish_oci, oci_image, tar, write_folder};
use serde_json::{Value, json};

/// An artifact, by its manifest and by what an index says of it besides.
fn artifacts(files: &mut Files, subject: &Value) -> Vec<Value> {
    let mut add = |manifest: Value, more: Value| {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let mut descriptor = blob(files, media_type, manifest.to_string().as_bytes());
        descriptor.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        descriptor
    };
    let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let of = |media_type: &str| json!({"mediaType": media_type, "digest": digest, "size": 2});
    let (empty, image) = (of("application/vnd.oci.empty.v1+json"), of("application/vnd.oci.image.config.v1+json"));
    let kind = "application/vnd.example.sbom";
    let found = vec![
        add(
            json!({"schemaVersion": 2, "artifactType": kind, "config": empty, "layers": [of("application/json")],
                "subject": subject}),
            json!({"artifactType": kind}),
        ),
        add(json!({"schemaVersion": 2, "config": empty, "layers": [of("text/plain")], "subject": subject}), json!({})),
        add(
            json!({"schemaVersion": 2, "config": of("application/vnd.cncf.helm.config.v1+json"), "layers": [empty]}),
            json!({"annotations": {REF_NAME: "chart"}}),
        ),
        add(
            json!({"schemaVersion": 2, "config": image,
                "layers": [of("application/vnd.dev.cosign.simplesigning.v1+json")]}),
            json!({}),
        ),
    ];
    blob(files, "", b"{}");
    found
}

/// What is attached to an image is no image: whoever looks for one passes over it, and `inspect` names it.
#[test]
fn attached_artifacts() {
    let place = place(json!({}));
    let mut files = Files::new();
    let image = oci_image(&image().called(&["small:1"]), &Packing::plain(), &mut files);
    let subject = json!({"mediaType": image["mediaType"], "digest": image["digest"], "size": image["size"]});
    let mut listed = artifacts(&mut files, &subject);
    listed.insert(1, image.clone());
    finish_oci(&mut files, listed.clone());
    write_folder(&place.join("layout"), &files);
    place.write("layout.tar", tar(&files));
    for file in ["layout", "layout.tar", "layout#small:1", "layout.tar#small"] {
        place.ok(&format!("copy {file} out.tar"));
        assert_eq!(manifest(&place.read("out.tar"))["RepoTags"], json!(["small:1"]), "{file}");
        place.ok(&format!("copy {file} oci:copy"));
        place.ok(&format!("copy --all {file} oci:all"));
        for layout in ["copy", "all"] {
            assert_eq!(index(&place, layout)["manifests"][0]["digest"], image["digest"], "{file} {layout}");
        }
        place.ok(&format!("merge {file} -o merged.tar"));
        place.ok(&format!("overlay export {file} -o flat.tar"));
        place.ok(&format!("build --name x --base {file} -o built.tar"));
        place.ok(&format!("inspect --diff {file} out.tar"));
    }
    let told = place.ok("inspect layout").text().to_owned();
    for part in
        ["small:1  linux/", "no name  artifact\n", "  type   application/vnd.example.sbom\n", "chart  artifact\n"]
    {
        assert!(told.contains(part), "{told}");
    }
    assert!(told.contains(&format!("  about  {}\n", image["digest"].as_str().unwrap())), "{told}");
    let told: Value = serde_json::from_slice(&place.ok("inspect layout --json").stdout).unwrap();
    let kinds: Vec<&Value> = told["artifacts"].as_array().unwrap().iter().map(|it| &it["artifactType"]).collect();
    assert_eq!(kinds.len(), 4, "{told}");
    assert_eq!((kinds[0], told["images"].as_array().unwrap().len()), (&json!("application/vnd.example.sbom"), 1));
    // Named, or alone, it is none either.
    assert_eq!(
        place.fail("copy layout#chart no.tar"),
        "error: no such image: layout#chart: found small:1\nhint: layout#small:1\n"
    );
    listed.remove(1);
    place.write("layout/index.json", json!({"schemaVersion": 2, "manifests": listed}).to_string());
    let said = place.fail("copy layout no.tar");
    assert!(
        said.contains("index.json: found no image, only artifacts of type application/vnd.example.sbom, "),
        "{said}"
    );
    let said = place.fail("copy --all layout oci-archive:no.tar");
    assert!(said.contains("found no image, only artifacts"), "{said}");
    // Another image beside them keeps them.
    on_synth(&place, "build image.json -o oci:layout");
    assert_eq!(index(&place, "layout")["manifests"].as_array().unwrap()[..4], listed[..]);
}
