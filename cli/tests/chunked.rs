//! Layers in zstd:chunked: the same wherever they are made, read by tar-split, fetched chunk by chunk by today's podman.
//!
//! | module | what is shown |
//! |---|---|
//! | `damaged` | tables that are not what they must be are told |

mod damaged;

use crate::support::chunk_podman::ChunkPodman;
use crate::support::judges::library_judges;
use crate::support::process::send;
use crate::support::registry::{Registry, root, spec};
use crate::support::{Place, digest, output, require_tool};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::process::{Child, Command, Stdio};

const FLAG: &str = "--compression zstd:chunked";
const ANNOTATION: &str = "io.github.containers.zstd-chunked";

/// The descriptors of the layers of a layout's only image.
fn layers(place: &Place, layout: &str) -> Vec<Value> {
    let index = place.json(&format!("{layout}/index.json"));
    let manifest = blob(place, layout, index["manifests"][0]["digest"].as_str().unwrap());
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["layers"].as_array().unwrap().clone()
}

fn blob(place: &Place, layout: &str, digest: &str) -> Vec<u8> {
    place.read(&format!("{layout}/blobs/sha256/{}", &digest[7..]))
}

/// Where something of a layer is, as an annotation says: `OFFSET:SIZE:…`.
fn position(layer: &Value, name: &str) -> Option<Range<usize>> {
    let text = layer["annotations"][format!("{ANNOTATION}.{name}-position")].as_str()?;
    let numbers: Vec<usize> = text.split(':').map(|number| number.parse().unwrap()).collect();
    Some(numbers[0]..numbers[0] + numbers[1])
}

fn unpacked(place: &Place, bytes: &[u8]) -> Vec<u8> {
    place.write("packed", bytes);
    Command::new("zstd").args(["-dc", "packed"]).current_dir(place.path()).output().unwrap().stdout
}

/// However an image is made, its layers are the same, with their annotations; what reads zstd reads the tar.
#[test]
fn the_same_everywhere() {
    let Some(registry) = Registry::start() else { return };
    if !require_tool("zstd") {
        return;
    }
    let place = Place::new();
    spec(&place, json!({"maxLayers": 4}));
    let root = root();
    place.ok(&format!("build image.json {root} -o plain.tar"));
    let plain: Value = serde_json::from_str(place.ok("inspect plain.tar --json").text()).unwrap();
    place.ok(&format!("build image.json {root} -o oci:built {FLAG}"));
    let expected = layers(&place, "built");
    assert!(expected.len() > 1);
    for (layer, diff_id) in expected.iter().zip(plain["images"][0]["layers"].as_array().unwrap()) {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
        assert!(position(layer, "manifest").is_some(), "{layer}");
        let tar = unpacked(&place, &blob(&place, "built", layer["digest"].as_str().unwrap()));
        assert_eq!(format!("sha256:{}", digest(&tar)), diff_id["diffId"].as_str().unwrap());
    }
    let check = |layout: &str| assert_eq!(layers(&place, layout), expected, "{layout}");
    for threads in ["1", "8"] {
        let mut build = place.command(&format!("build image.json {root} -o oci:threads-{threads} {FLAG}"));
        output(build.env("RAYON_NUM_THREADS", threads));
        check(&format!("threads-{threads}"));
    }
    // Where its table is, is known of a layer that is known.
    for (n, flags) in ["--cache c --cache-trust-names", "--state s"].into_iter().cycle().take(4).enumerate() {
        place.ok(&format!("build image.json {root} -o oci:cached-{n} {FLAG} {flags}"));
        check(&format!("cached-{n}"));
    }
    place.ok(&format!("build image.json {root} -o oci-archive:built.oci.tar {FLAG}"));
    place.ok("copy oci-archive:built.oci.tar oci:of-archive");
    check("of-archive");
    place.ok(&format!("push image.json {root} {}/x:1 {FLAG}", registry.host()));
    place.ok(&format!("copy registry:{}/x:1 oci:of-registry", registry.host()));
    check("of-registry");
    let digests = |layers: &[Value]| layers.iter().map(|layer| layer["digest"].clone()).collect::<Vec<_>>();
    place.ok(&format!("copy plain.tar oci:copied {FLAG}"));
    assert_eq!(digests(&layers(&place, "copied")), digests(&expected));
    // What has other bytes has no table.
    place.ok("copy oci:built docker-archive:again.tar");
    place.ok("copy again.tar oci:gzip --compression gzip");
    assert!(layers(&place, "gzip").iter().all(|layer| position(layer, "manifest").is_none()));
}

/// Stage by stage: layer files say where tables are, whether blobs lie beside them or are made again.
#[test]
fn stage_by_stage() {
    let place = Place::new();
    spec(&place, json!({"maxLayers": 4}));
    let root = root();
    place.ok(&format!("build image.json {root} -o oci:built {FLAG}"));
    place.ok(&format!("root --spec image.json {root} -o root.layer.json --blob root.tar"));
    place.ok(&format!("closure --spec image.json --layer root.layer.json {root} -o x.closure.json"));
    place.ok("layers x.closure.json --max-layers 3 -o x.layers.json");
    for (folder, blobs) in [("made", ""), ("blobs", "--blobs")] {
        place.ok(&format!("layer x.layers.json --spec image.json {root} --all {blobs} {FLAG} -o {folder}"));
        place.ok(&format!("image --spec image.json {root} {folder} root.layer.json -o oci:{folder}-staged {FLAG}"));
        assert_eq!(layers(&place, &format!("{folder}-staged")), layers(&place, "built"), "{folder}");
    }
}

/// image.json says how, unless a flag does; a docker archive is what its name says.
#[test]
fn as_the_spec_says() {
    let place = Place::new();
    spec(&place, json!({}));
    let root = root();
    place.ok(&format!("build image.json {root} -o oci:flag {FLAG}"));
    place.ok(&format!("build image.json {root} -o plain.tar"));
    spec(&place, json!({"compression": "zstd:chunked"}));
    let cache = "--cache c --cache-trust-names --state s";
    for layout in ["spec", "cached"] {
        place.ok(&format!("build image.json {root} -o oci:{layout} {cache}"));
        assert_eq!(layers(&place, layout), layers(&place, "flag"));
    }
    place.ok(&format!("build image.json {root} -o named.tar"));
    assert!(place.read("named.tar") == place.read("plain.tar"));
    place.ok(&format!("build image.json {root} -o oci:gzip --compression gzip"));
    assert_eq!(layers(&place, "gzip")[0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    spec(&place, json!({"compression": "none"}));
    place.ok(&format!("build image.json {root} -o oci:none"));
    assert_eq!(layers(&place, "none")[0]["mediaType"], "application/vnd.oci.image.layer.v1.tar");
    spec(&place, json!({"compression": "zstd:chuncked"}));
    let error = place.error_of(&format!("build image.json {root} -o oci:none"));
    assert!(
        error.contains("compression: found the string \"zstd:chuncked\", expected none, gzip, zstd or zstd:chunked"),
        "{error}"
    );
}

/// A docker archive has no place for tables.
#[test]
fn docker_archives_are_zstd() {
    let place = Place::new();
    spec(&place, json!({}));
    place.ok(&format!("build image.json {} -o x.tar.zst {FLAG}", root()));
    place.ok(&format!("build image.json {} -o y.tar.zst --compression zstd", root()));
    assert!(place.read("x.tar.zst") == place.read("y.tar.zst"));
    assert!(place.error_of(&format!("build image.json {} -o x.tar {FLAG}", root())).contains("x.tar"));
}

/// Files of two versions: one large, of which the second has some bytes more in its middle, and many small ones.
fn versions(place: &Place) {
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let mut big: Vec<u8> = (0..4_000_000).map(|_| noise()).collect();
    for version in ["1", "2"] {
        place.write(&format!("{version}/big"), &big);
        big.splice(2_000_000..2_000_000, *b"inserted");
        for n in 0..200 {
            place.write(&format!("{version}/small/{n}"), format!("{n} of {}", if n == 7 { version } else { "both" }));
        }
        let copy = json!([{"from": version, "to": "/data"}, {"from": "/bin/busybox", "to": "/bin/busybox"}]);
        let config = json!({"Cmd": ["/bin/busybox", "sha256sum", "/data/big", "/data/small/7", "/data/small/8"]});
        let spec = json!({"name": "chunks", "tag": version, "copy": copy, "config": config});
        place.write(&format!("{version}.json"), spec.to_string());
    }
}

/// What the image prints.
fn sums(place: &Place, version: &str) -> String {
    let line = |name: &str| {
        let bytes = place.read(&format!("{version}/{name}"));
        format!("{}  /data/{name}\n", digest(&bytes))
    };
    ["big", "small/7", "small/8"].map(line).concat()
}

/// tar-split puts the tar together from our tar-split and the files.
#[test]
fn tar_split() {
    if !(require_tool("tar-split") && require_tool("zstd")) {
        return;
    }
    let place = Place::new();
    versions(&place);
    place.ok(&format!("build 1.json -o oci:built {FLAG}"));
    let layer = &layers(&place, "built")[0];
    let bytes = blob(&place, "built", layer["digest"].as_str().unwrap());
    let tar = unpacked(&place, &bytes);
    place.write("layer.tar", &tar);
    place.write("tar-split.json", unpacked(&place, &bytes[position(layer, "tarsplit").unwrap()]));
    fs::create_dir(place.join("files")).unwrap();
    let run = |line: &str| {
        let mut words = line.split(' ');
        output(Command::new(words.next().unwrap()).args(words).current_dir(place.path()))
    };
    run("tar -xf layer.tar -C files");
    run("gzip tar-split.json");
    run("tar-split asm --input tar-split.json.gz --path files --output again.tar");
    assert!(place.read("again.tar") == tar);
}

/// A reader that shares no code with ours puts the tar together from the table and what that leads to.
#[test]
fn a_second_reader() {
    let Some(judges) = library_judges() else { return };
    let place = Place::new();
    versions(&place);
    spec(&place, json!({"maxLayers": 4}));
    for (spec, layout) in [("1.json", "files"), ("image.json", "store")] {
        place.ok(&format!("build {spec} {} -o oci:{layout} {FLAG}", root()));
        for layer in layers(&place, layout) {
            let bytes = blob(&place, layout, layer["digest"].as_str().unwrap());
            place.write("blob", &bytes);
            place.write("descriptor.json", layer.to_string());
            let mut judge = Command::new(&judges);
            judge.args(["zstd-chunked", "blob", "descriptor.json"]).current_dir(place.path());
            let found = judge.output().unwrap();
            assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
            assert!(found.stdout == unpacked(&place, &bytes), "{layer}");
        }
    }
}

/// Pulls an image by its chunks, and runs it; how many layers were not fetched whole.
#[track_caller]
fn check_pull(podman: &ChunkPodman, place: &Place, reference: &str, version: &str) -> usize {
    let (_, said) = podman.run(&format!("pull --tls-verify=false {reference}"));
    let (printed, _) = podman.run(&format!("run --rm --network none {reference}"));
    assert_eq!(printed, sums(place, version));
    said.matches("Retrieved partial blob").count()
}

/// Bytes that docker-registry says it sent of blobs, as far as they were asked for in ranges.
fn ranges_sent(log: &str) -> u64 {
    let sent = |line: &str| line.split_once("\" 206 ")?.1.split(' ').next()?.parse::<u64>().ok();
    log.lines().filter(|line| line.contains("/blobs/")).filter_map(sent).sum()
}

/// podman fetches what `diff` says: what a multipart body has besides is some hundred bytes a range.
#[test]
fn podman_fetches_chunks() {
    let (Some(podman), Some(registry)) = (ChunkPodman::find(), Registry::start()) else { return };
    let place = Place::new();
    versions(&place);
    let reference = |version: &str| format!("{}/chunks:{version}", registry.host());
    for version in ["1", "2"] {
        place.ok(&format!("push {version}.json {} {FLAG}", reference(version)));
    }
    assert_eq!(check_pull(&podman, &place, &reference("1"), "1"), 1);
    let before = ranges_sent(&registry.log());
    assert_eq!(check_pull(&podman, &place, &reference("2"), "2"), 1);
    let sent = ranges_sent(&registry.log()) - before;
    let line = format!("diff registry:{} registry:{} --json", reference("1"), reference("2"));
    let diff: Value = serde_json::from_str(place.ok(&line).text()).unwrap();
    let number = |name: &str| diff["chunks"][name].as_u64().unwrap();
    assert!(number("size") < 700_000 && diff["sent"]["size"].as_u64().unwrap() > 4_000_000, "{diff}");
    assert!((number("size")..=number("size") + 300 * (number("ranges") + 3)).contains(&sent), "{sent}: {diff}");
}

/// The same of `serve`, which gives several ranges in one answer.
#[test]
fn podman_fetches_chunks_of_serve() {
    let Some(podman) = ChunkPodman::find() else { return };
    let place = Place::new();
    versions(&place);
    let served = Served::start(&place);
    for version in ["1", "2"] {
        let reference = format!("{}/chunks:{version}", served.1);
        assert_eq!(check_pull(&podman, &place, &reference, version), 1, "{version}");
    }
}

/// `layerstone serve` of both versions, which ends when dropped; the host that it answers as.
struct Served(Child, String);

impl Served {
    #[track_caller]
    fn start(place: &Place) -> Served {
        let mut command = place.command(&format!("serve 1.json 2.json --listen 127.0.0.1:0 {FLAG}"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        // It ends if nobody reads what it says.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(2);
        let lines: Vec<String> = lines.map(Result::unwrap).collect();
        Served(child, lines[0].split('/').next().unwrap().to_owned())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        send(self.0.id().cast_signed(), libc::SIGTERM);
        let _ = self.0.wait();
    }
}
