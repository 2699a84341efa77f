//! Today's docker, containerd, podman, buildah and skopeo, those of Debian 13, take every form of image by its name and
//! run it.
//!
//! | client | forms |
//! |---|---|
//! | docker 26, containerd's image store | docker archives and OCI archives, plain, gzip and zstd; layouts as a tar; several platforms |
//! | docker 26, its own image store | docker archives, plain, gzip and zstd; as many layers as it takes |
//! | ctr | docker archives that are plain, OCI archives |
//! | podman 5.4 | all archives, layouts |
//! | buildah 1.39 | layouts |
//! | skopeo 1.18 | all forms, copied with the digests that are ours |
//! | `serve` | pulled by docker, podman and skopeo |

use crate::support::lab::Lab;
use crate::support::today::{Daemon, ImageStore, Today};
use crate::support::{Place, output, output_json};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};

const GREETING: &str = "Hello from layerstone: three store paths, one image, no daemon.\n";
const NAME: &str = "layerstone-demo:latest";
/// The demo's image as docker archives.
const DOCKER_ARCHIVES: [&str; 3] = ["demo.tar", "demo.tar.gz", "demo.tar.zst"];
/// And as OCI archives: where from, and how its layers are compressed.
const OCI_ARCHIVES: [(&str, &str); 4] = [
    ("gzip.oci.tar", "gzip"),
    ("zstd.oci.tar", "zstd"),
    ("chunked.oci.tar", "zstd:chunked"),
    ("plain.oci.tar", "none"),
];

/// All forms of the demo's image.
fn demo() -> Place {
    let place = Place::new();
    place.ok("demo -o demo.tar");
    for name in &DOCKER_ARCHIVES[1..] {
        place.ok(&format!("copy demo.tar {name}"));
    }
    for (name, compression) in OCI_ARCHIVES {
        place.ok(&format!("copy demo.tar oci-archive:{name} --compression {compression}"));
    }
    place.ok("copy demo.tar oci:layout");
    output(Command::new("tar").args(["-C", "layout", "-cf", "layout.tar", "."]).current_dir(place.path()));
    place
}

/// `layerstone serve demo.tar`, which ends when dropped; the host that it answers as.
struct Served(Child, String);

impl Served {
    #[track_caller]
    fn start(place: &Place) -> Served {
        let mut child = place.command("serve demo.tar --listen 127.0.0.1:0").spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let host = line.split('/').next().unwrap().to_owned();
        Served(child, host)
    }

    fn reference(&self) -> String {
        format!("{}/{NAME}", self.1)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// Loads an archive, runs its image by name, and removes it by name, so that the next one is not taken for it.
#[track_caller]
fn check_in_docker(daemon: &Daemon<'_>, place: &Place, file: &str, name: &str, greeting: &str) {
    let said = output(daemon.client("load --quiet --input").arg(place.join(file)));
    assert_eq!(said, format!("Loaded image: {name}\n"), "{file}");
    assert_eq!(daemon.run(name), greeting, "{file}");
    daemon.docker(&format!("image rm --force {name}"));
    assert_eq!(daemon.docker("images --quiet"), "", "{file}");
}

#[test]
fn docker_with_the_image_store_of_containerd() {
    let (Some(today), Some(lab)) = (Today::find(), Lab::find("small")) else { return };
    let place = demo();
    let daemon = Daemon::start(&today, ImageStore::Containerd);
    let oci = OCI_ARCHIVES.map(|(name, _)| name);
    for file in DOCKER_ARCHIVES.into_iter().chain(oci).chain(["layout.tar"]) {
        check_in_docker(&daemon, &place, file, NAME, GREETING);
    }
    several_platforms(&lab, &place);
    for file in ["several.oci.tar", "several.tar"] {
        check_in_docker(&daemon, &place, file, "several:1", "Hello, world!\n");
    }
    ctr(&daemon, &place);
    let served = Served::start(&place);
    daemon.docker(&format!("pull --quiet {}", served.reference()));
    assert_eq!(daemon.run(&served.reference()), GREETING);
}

/// GNU hello for two architectures, as an OCI archive and as a layout in a tar.
fn several_platforms(lab: &Lab, place: &Place) {
    let spec = json!({
        "name": "several",
        "tag": "1",
        "contents": lab.env,
        "graph": lab.graph(),
        "architectures": ["amd64", "arm64"],
        "config": {"Cmd": ["/bin/hello"]},
    });
    place.write("several.json", spec.to_string());
    place.ok("build several.json -o oci-archive:several.oci.tar");
    place.ok("build several.json -o oci:several");
    output(Command::new("tar").args(["-C", "several", "-cf", "several.tar", "."]).current_dir(place.path()));
}

/// containerd's client imports under the full name, whatever the form. It unpacks no compressed docker archive.
fn ctr(daemon: &Daemon<'_>, place: &Place) {
    for file in ["demo.tar", "gzip.oci.tar", "zstd.oci.tar", "chunked.oci.tar", "plain.oci.tar", "layout.tar"] {
        output(daemon.ctr("images import --local").arg(place.join(file)));
        let names = output(&mut daemon.ctr("images ls --quiet"));
        let name = format!("docker.io/library/{NAME}");
        assert!(names.lines().any(|line| line == name), "{file}: {names}");
        output(&mut daemon.ctr(&format!("images rm --sync {name}")));
    }
}

/// docker's own store loads no OCI archive without a manifest.json.
#[test]
fn docker_with_its_own_image_store() {
    let Some(today) = Today::find() else { return };
    let place = demo();
    let daemon = Daemon::start(&today, ImageStore::Classic);
    for file in DOCKER_ARCHIVES {
        check_in_docker(&daemon, &place, file, NAME, GREETING);
    }
    let served = Served::start(&place);
    daemon.docker(&format!("pull --quiet {}", served.reference()));
    assert_eq!(daemon.run(&served.reference()), GREETING);
}

#[test]
fn podman() {
    let Some(today) = Today::find() else { return };
    let place = demo();
    let oci = OCI_ARCHIVES.map(|(name, _)| name);
    for file in DOCKER_ARCHIVES.into_iter().chain(oci) {
        let said = today.podman(&format!("load --quiet --input {}", place.join(file).display()));
        check_in_podman(&today, said.trim().trim_start_matches("Loaded image: "), file);
    }
    let layout = place.join("layout").display().to_string();
    check_in_podman(&today, today.podman(&format!("pull --quiet oci:{layout}")).trim(), "layout");
    let served = Served::start(&place);
    let pulled = today.podman(&format!("pull --quiet --tls-verify=false {}", served.reference()));
    check_in_podman(&today, pulled.trim(), "served");
}

#[track_caller]
fn check_in_podman(today: &Today, name: &str, file: &str) {
    assert_eq!(today.podman(&format!("run --rm --network none {name}")), GREETING, "{file}");
    today.podman(&format!("image rm --force {name}"));
}

#[test]
fn buildah_begins_from_layouts() {
    let Some(today) = Today::find() else { return };
    let place = demo();
    let flags = "buildah --storage-driver vfs";
    let layout = place.join("layout").display().to_string();
    let container = output(&mut today.command(&format!("{flags} from oci:{layout}")));
    let shown = output_json(&mut today.command(&format!("{flags} inspect {container}")));
    assert_eq!(shown["FromImage"].as_str().unwrap().split(':').next(), Some("oci"));
    let expected = output_json(place.command("inspect layout --json").stderr(std::process::Stdio::inherit()));
    assert_eq!(shown["FromImageDigest"], expected_digest(&place), "{expected}");
}

/// The digest of the manifest of `layout`.
fn expected_digest(place: &Place) -> Value {
    place.json("layout/index.json")["manifests"][0]["digest"].clone()
}

/// Every form copied into every other keeps the config, and OCI forms copied as they are keep the manifest.
#[test]
fn skopeo() {
    let Some(today) = Today::find() else { return };
    let place = demo();
    let skopeo = |line: &str| output(today.command("skopeo --insecure-policy").args(line.split_whitespace()));
    let at = |name: &str| place.join(name).display().to_string();
    let config = |place: &str| skopeo(&format!("inspect --config --raw {place}"));
    let expected = config(&format!("docker-archive:{}", at("demo.tar")));
    for file in DOCKER_ARCHIVES {
        assert_eq!(config(&format!("docker-archive:{}", at(file))), expected, "{file}");
    }
    for (file, _) in OCI_ARCHIVES {
        assert_eq!(config(&format!("oci-archive:{}", at(file))), expected, "{file}");
        let copy = format!("copy-{file}");
        skopeo(&format!("copy --preserve-digests oci-archive:{} dir:{}", at(file), at(&copy)));
        place.ok(&format!("copy oci-archive:{file} oci:{copy}-ours"));
        let ours = place.json(&format!("{copy}-ours/index.json"))["manifests"][0]["digest"].clone();
        let theirs = crate::support::digest(&place.read(&format!("{copy}/manifest.json")));
        assert_eq!(ours, format!("sha256:{theirs}"), "{file}");
    }
    let served = Served::start(&place);
    assert_eq!(skopeo(&format!("inspect --tls-verify=false --config --raw docker://{}", served.reference())), expected);
}
