//! docker, buildah and skopeo make bases; on each there are images of one layer, of layers, and three deep.

use super::{build, ready, saved};
use crate::client::GNU_GREETING;
use crate::support::containers_storage::ContainersStorage;
use crate::support::docker::{Loaded, Turn};
use crate::support::lab::{Lab, debian};
use crate::support::{Place, output, require_root, require_tool};
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// What a container is asked: Debian's files, where its links lead, where the package's link lies and what it is, and
/// whether Debian's own programs run.
const QUESTIONS: &str = r#"
cat /etc/debian_version
for link in /bin /lib /usr/bin/hello /usr/bin/perl; do echo "$link $(readlink $link)"; done
dpkg-query --show --showformat '${Status}\n' base-files
hello
echo "$FROM"
"#;

/// Builds on a base, in every kind, and has docker run what comes out, all of it from one archive.
#[track_caller]
fn check(turn: &Turn, place: &Place, base: &Path, from: &str, lab: &Lab) {
    let single = || json!({"kind": "single"});
    let names = [
        build(place, "single", base, lab, "hello", single()),
        build(place, "layered", base, lab, "hello", json!({})),
        build(place, "second", "single.tar", lab, "dash", json!({})),
        build(place, "third", "second.tar", lab, "mawk", single()),
    ];
    place.ok("merge single.tar layered.tar second.tar third.tar -o all.tar");
    let loaded = turn.load_all(&place.join("all.tar"), names.each_ref().map(|name| &**name));
    let [single, layered, second, third] = &loaded;
    let expected = answers(lab, from);
    for image in [single, layered] {
        assert_eq!(image.run(&["/bin/sh", "-c", QUESTIONS]), expected);
    }
    // The upper images' own: dash in the place of Debian's, which /bin/sh is, and a second awk.
    let more = format!("{QUESTIONS}\nreadlink /usr/bin/dash /bin/mawk; mawk 'BEGIN {{ print 6 * 7 }}'");
    let [dash, mawk] = ["dash", "mawk"].map(|name| format!("{}/bin/{name}", lab.path(name)));
    assert_eq!(third.run(&["/bin/sh", "-c", &more]), format!("{expected}{dash}\n{mawk}\n42\n"));
    let [single, layered, second, third] = [single, layered, second, third].map(Loaded::layers);
    assert_eq!((single.len(), third.len()), (2, second.len() + 1));
    assert_eq!(single[..1], layered[..1]);
    assert_eq!((&single[..], &second[..]), (&second[..2], &third[..second.len()]));
}

/// What it must answer.
fn answers(lab: &Lab, from: &str) -> String {
    let version = output(Command::new("tar").arg("-xOf").arg(debian().unwrap()).arg("./etc/debian_version"));
    let hello = lab.path("hello");
    format!(
        "{version}/bin usr/bin\n/lib usr/lib\n/usr/bin/hello {hello}/bin/hello\n/usr/bin/perl \n\
         install ok installed\n{GNU_GREETING}{from}\n"
    )
}

#[test]
fn docker_save() {
    let Some((docker, debian, lab)) = ready() else { return };
    let turn = docker.turn();
    let base = saved(&turn, &debian);
    check(&turn, &Place::new(), &base, "docker", &lab);
}

#[test]
fn buildah_as_docker_archive_and_oci_layout() {
    let Some((docker, debian, lab)) = ready() else { return };
    if !(require_tool("buildah") && require_root()) {
        return;
    }
    let place = Place::new();
    let storage = ContainersStorage::new();
    let buildah = |words: &str| {
        let mut command = storage.command("buildah");
        command.current_dir(place.path()).args(words.split_whitespace());
        command
    };
    let container = output(&mut buildah("from scratch"));
    let container = container.trim();
    output(buildah(&format!("add --quiet {container}")).arg(&debian).arg("/"));
    output(&mut buildah(&format!("config --env FROM=buildah {container}")));
    // As buildah itself calls what it commits; an archive has all names of its image.
    let reference = "localhost/layerstone-test-buildah:12";
    output(&mut buildah(&format!("commit --quiet {container} {reference}")));
    output(&mut buildah(&format!("push --quiet {reference} docker-archive:debian.tar:{reference}")));
    output(&mut buildah(&format!("push --quiet {reference} oci:layout:debian:12")));
    let turn = docker.turn();
    // Held, so that docker makes the files of Debian once.
    let _base = turn.load(&place.join("debian.tar"), reference);
    for base in ["debian.tar", "layout#debian:12"] {
        check(&turn, &place, base.as_ref(), "buildah", &lab);
    }
}

#[test]
fn skopeo_as_oci_layout_and_oci_archive() {
    let Some((docker, debian, lab)) = ready() else { return };
    if !require_tool("skopeo") {
        return;
    }
    let place = Place::new();
    let turn = docker.turn();
    let from = format!("docker-archive:{}", saved(&turn, &debian).display());
    for (to, base) in [("oci:layout:12", "layout"), ("oci-archive:archive.tar:debian:12", "archive.tar#debian:12")] {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", &from, to]).current_dir(place.path());
        output(&mut skopeo);
        check(&turn, &place, base.as_ref(), "docker", &lab);
    }
}
