//! Archives and layouts of images that are small and would take much memory: by their headers, their JSON, their lists.

use super::*;
use crate::support::pieces::{Files, Packing, add_file, blob, finish_oci, json_file, oci, oci_image, replace};

/// Every command fails.
const ALL: [&str; 1] = [""];

/// Commands for a row of a table: all for the first one, then those that open an image and a stream's base.
fn commands(row: usize) -> Vec<&'static str> {
    if row == 0 { COMMANDS.to_vec() } else { vec![COMMANDS[0], COMMANDS[8]] }
}

/// A docker archive of an image behind these headers.
fn behind(headers: &[Vec<u8>]) -> Vec<u8> {
    [headers.concat(), tar(&plain_docker(&[image()]))].concat()
}

/// Headers of the archive itself.
#[test]
fn headers() {
    let place = place();
    let large = vec![b'c'; 1_000_000];
    let small = vec![b'c'; 15_000];
    let member = || member("m", b'0', b"");
    let mut global = vec![records(b'g', &[("comment", &large)])];
    global.extend((0..1000).map(|_| member()));
    let mut multiplied = vec![records(b'g', &[("comment", &small)])];
    multiplied.extend((0..3000).flat_map(|_| [records(b'x', &[("a", b"")]), member()]));
    let mut chain = vec![records(b'g', &[("comment", &small)])];
    chain.extend((0..4200).map(|_| super::member("x", b'x', b"")));
    chain.push(member());
    let name = [&large[..], b"\0"].concat();
    let own: Vec<Vec<u8>> = (0..40).flat_map(|_| [records(b'x', &[("comment", &large)]), member()]).collect();
    let names: Vec<Vec<u8>> = (0..40).flat_map(|_| [super::member("l", b'L', &name), member()]).collect();
    let kept = "bytes of names and PAX records in its headers, expected at most 33554432 (limit archive-headers)";
    // Docker's reader keeps no comments, Python's all of them.
    let python = &["stream"][..];
    for (row, (what, headers, failing, expected)) in [
        ("names", names, &ALL[..], kept),
        ("chain", chain, &ALL, "extended headers in front of the member at byte "),
        ("global", global, python, "bytes of global PAX records, expected at most 16384 (limit global-records)"),
        ("multiplied", multiplied, python, kept),
        ("own", own, python, kept),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("{what}.tar");
        write_image(&place, &file, &behind(&headers));
        let expected = format!("error: not an image: {file}: …{expected}");
        check_commands(&commands(row), &place, &file, failing, &expected);
    }
    place.write("members.tar", member().repeat(250_001));
    let (status, told) = run(&place, COMMANDS[0], "members.tar");
    assert!(
        status == 1 && told.contains("not an image: members.tar: found 250001 members, expected at most 250000"),
        "{told}"
    );
    // What git and others write is no harm.
    let few = [records(b'g', &[("comment", &[b'c'; 100])]), records(b'x', &[("a", b"b")]), member()];
    write_image(&place, "few.tar", &behind(&few));
    check(&place, "few.tar", &[], "");
}

/// JSON that is wide, deep or long, in every piece of a docker archive.
#[test]
fn json() {
    let place = place();
    let wide = format!("[{}0]", "0,".repeat(1_000_000)).into_bytes();
    let objects = format!("[{}0]", "{\"\":0},".repeat(200_000)).into_bytes();
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let long = vec![b' '; (8 << 20) + 1];
    let config = crate::support::digest(&image().config_bytes());
    for piece in ["manifest.json", &format!("{config}.json")] {
        for (row, (bytes, expected)) in [
            (&wide, "values, expected at most 200000 (limit json-values)"),
            (&objects, "values, expected at most 200000 (limit json-values)"),
            (&deep, "found 100000 arrays and objects within each other, expected at most 64 (limit json-depth)"),
            (&long, "found 8388609 bytes, expected at most 8388608"),
        ]
        .into_iter()
        .enumerate()
        {
            let mut files = plain_docker(&[image()]);
            replace(&mut files, piece, Entry::File(bytes.clone()));
            // By a name that tells no digest.
            if piece != "manifest.json" {
                files.iter_mut().find(|(name, _)| name == piece).unwrap().0 = "c".to_owned();
                let layer = files[0].0.clone();
                let manifest = json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": [layer]}]);
                replace(&mut files, "manifest.json", json_file(&manifest));
            }
            write_image(&place, "json.tar", &tar(&files));
            let piece = if piece == "manifest.json" { piece } else { "c" };
            let expected = format!("error: not an image: json.tar: {piece}: …{expected}");
            check_commands(&commands(row), &place, "json.tar", &ALL, &expected);
        }
    }
}

/// Lists that name one thing many times.
#[test]
fn lists() {
    let place = place();
    let image = image();
    let layer = format!("{}/layer.tar", "0".repeat(64));
    // Layers with a large description each, and very many layers.
    for (count, json, expected) in [
        (
            40,
            1_000_000,
            "bytes of manifests, configs and descriptions of layers, expected at most 33554432 (limit descriptions)",
        ),
        (30_000, 10, " layers, expected at most 20000"),
    ] {
        let many = Pieces::new(&vec![image.layers[0].clone(); count]);
        let mut files = Files::new();
        add_file(&mut files, &layer, &many.layers[0]);
        add_file(&mut files, &layer.replace("layer.tar", "json"), &vec![b' '; json]);
        add_file(&mut files, "c", &many.config_bytes());
        let manifest = json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": vec![&layer; count]}]);
        files.push(("manifest.json".to_owned(), json_file(&manifest)));
        write_image(&place, "list.tar", &tar(&files));
        // Streams do not look at what layers say.
        let failing: Vec<&str> = COMMANDS.into_iter().filter(|it| count > 40 || !it.starts_with("stream")).collect();
        check(&place, "list.tar", &failing, expected);
    }
    // Images of a config that is large.
    let mut large = image.clone();
    large.config["config"] = json!({"Labels": {"x": "y".repeat(2_000_000)}});
    let mut files = plain_docker(&[large]);
    let Entry::File(manifest) = &files.last().unwrap().1 else { panic!() };
    let one: Value = serde_json::from_slice(manifest).unwrap();
    replace(&mut files, "manifest.json", json_file(&json!(vec![one[0].clone(); 20])));
    place.write("images.tar", tar(&files));
    let expected =
        "bytes of manifests, configs and descriptions of layers, expected at most 33554432 (limit descriptions)";
    for command in [COMMANDS[0], COMMANDS[5]] {
        let (status, told) = run(&place, command, "images.tar");
        assert!(status == 1 && told.contains(expected), "{command}: {told}");
    }
}

/// Indexes that list a large manifest many times, or each other.
#[test]
fn indexes() {
    let place = place();
    let packing = Packing::plain();
    let mut files = Files::new();
    let mut descriptor = oci_image(&image(), &packing, &mut files);
    let hex = descriptor["digest"].as_str().unwrap()["sha256:".len()..].to_owned();
    let (_, Entry::File(manifest)) = files.iter().find(|(name, _)| name.ends_with(&hex)).unwrap() else { panic!() };
    let padded = [&manifest[..], &vec![b' '; 1_000_000]].concat();
    descriptor = json!({"annotations": descriptor["annotations"]});
    let large = blob(&mut files, packing.manifest_type, &padded);
    descriptor.as_object_mut().unwrap().extend(large.as_object().unwrap().clone());
    // Each by a name of its own: what is listed again by one name is read once.
    let called = |number: usize| {
        let mut descriptor = descriptor.clone();
        descriptor["annotations"]["org.opencontainers.image.ref.name"] = json!(format!("a:{number}"));
        descriptor
    };
    finish_oci(&mut files, (0..100).map(called).collect());
    let wide = format!("{{\"manifests\":[{}0]}}", "0,".repeat(1_000_000)).into_bytes();
    let mut json = oci(&[image()], &packing);
    replace(&mut json, "index.json", Entry::File(wide));
    for (files, expected) in [
        (&files, "descriptions of layers, expected at most 33554432 (limit descriptions)"),
        (&json, "values, expected at most 200000 (limit json-values)"),
    ] {
        place.write("oci.tar", tar(files));
        for command in [COMMANDS[0], COMMANDS[2], COMMANDS[6]] {
            let (status, told) = run(&place, command, "oci.tar");
            assert!(status == 1 && told.contains(expected), "{command}: {told}");
        }
    }
}
