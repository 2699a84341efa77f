//! docker, buildah, podman and skopeo make bases; on each there are images of one layer, of layers, and three deep.

use super::{build, ready, save};
use crate::client::GNU_GREETING;
use crate::client::podman::podman;
use crate::support::docker::Docker;
use crate::support::lab::Lab;
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

/// Builds on a base, in every kind, and has docker run what comes out. The base's version of Debian is that of the tar.
#[track_caller]
fn check(docker: &Docker, place: &Place, base: &str, from: &str, lab: &Lab, debian: &Path) {
    let single = || json!({"kind": "single"});
    let names = [
        build(place, "single", base, lab, "hello", single()),
        build(place, "layered", base, lab, "hello", json!({})),
        build(place, "second", "single.tar", lab, "dash", json!({})),
        build(place, "third", "second.tar", lab, "mawk", single()),
    ];
    let version = output(Command::new("tar").arg("-xOf").arg(debian).arg("./etc/debian_version"));
    let hello = lab.path("hello");
    let expected = format!(
        "{version}/bin usr/bin\n/lib usr/lib\n/usr/bin/hello {hello}/bin/hello\n/usr/bin/perl \n\
         install ok installed\n{GNU_GREETING}{from}\n"
    );
    let turn = docker.turn();
    let [single, layered, third] = [("single", 0), ("layered", 1), ("third", 3)]
        .map(|(name, index)| turn.load(&place.join(format!("{name}.tar")), &names[index]));
    for image in [&single, &layered, &third] {
        assert_eq!(image.run(&["/bin/sh", "-c", QUESTIONS]), expected);
    }
    // The upper images' own: dash in the place of Debian's, which /bin/sh is, and a second awk.
    let awk = "readlink /usr/bin/dash; readlink /bin/mawk; mawk 'BEGIN { print 6 * 7 }'";
    let [dash, mawk] = ["dash", "mawk"].map(|name| format!("{}/bin/{name}", lab.path(name)));
    assert_eq!(third.run(&["sh", "-c", awk]), format!("{dash}\n{mawk}\n42\n"));
    let [below, above] = [single.layers(), third.layers()];
    assert_eq!(below, above[..below.len()]);
    assert_eq!(below[..below.len() - 1], layered.layers()[..below.len() - 1]);
}

#[test]
fn docker_save() {
    let Some((docker, debian, lab)) = ready() else { return };
    let place = Place::new();
    save(&docker.turn(), &debian, &place);
    check(&docker, &place, "debian.tar", "debian", &lab, &debian);
}

#[test]
fn buildah_as_docker_archive_and_oci_layout() {
    let Some((docker, debian, lab)) = ready() else { return };
    if !(require_tool("buildah") && require_root()) {
        return;
    }
    let place = Place::new();
    let state = tempfile::tempdir_in("/tmp").unwrap();
    let buildah = |words: &str| {
        let mut command = Command::new("buildah");
        // Copies files instead of mounting layers, which works everywhere.
        command.args(["--storage-driver", "vfs"]).current_dir(place.path()).env("HOME", state.path());
        for folder in ["root", "runroot"] {
            command.arg(format!("--{folder}")).arg(state.path().join(folder));
        }
        command.args(words.split_whitespace());
        command
    };
    let container = output(&mut buildah("from scratch"));
    let container = container.trim();
    output(buildah(&format!("add --quiet {container}")).arg(&debian).arg("/"));
    output(&mut buildah(&format!("config --env FROM=buildah {container}")));
    output(&mut buildah(&format!("commit --quiet {container} debian:12")));
    output(&mut buildah("push --quiet debian:12 docker-archive:debian.tar:localhost/debian:12"));
    output(&mut buildah("push --quiet debian:12 oci:layout:debian:12"));
    check(&docker, &place, "debian.tar", "buildah", &lab, &debian);
    check(&docker, &place, "layout#debian:12", "buildah", &lab, &debian);
}

#[test]
fn podman_as_oci_archive() {
    let Some((docker, debian, lab)) = ready() else { return };
    if !(require_tool("podman") && require_root()) {
        return;
    }
    let place = Place::new();
    let state = tempfile::tempdir_in("/tmp").unwrap();
    let podman = |words: &str| {
        let mut command = podman(state.path());
        command.current_dir(place.path()).args(words.split_whitespace());
        command
    };
    output(podman("import --quiet").arg(&debian).arg("debian:11"));
    output(&mut podman("create --name debian --network none debian:11 sh"));
    output(podman("commit --quiet --change").arg("ENV FROM=podman").args(["debian", "debian:12"]));
    output(&mut podman("save --quiet --format oci-archive --output debian.tar debian:12"));
    check(&docker, &place, "debian.tar", "podman", &lab, &debian);
}

#[test]
fn skopeo_as_oci_layout_and_oci_archive() {
    let Some((docker, debian, lab)) = ready() else { return };
    if !require_tool("skopeo") {
        return;
    }
    let place = Place::new();
    save(&docker.turn(), &debian, &place);
    for (to, base) in [("oci:layout:12", "layout"), ("oci-archive:archive.tar:debian:12", "archive.tar#debian:12")] {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "docker-archive:debian.tar", to]).current_dir(place.path());
        output(&mut skopeo);
        check(&docker, &place, base, "debian", &lab, &debian);
    }
}
