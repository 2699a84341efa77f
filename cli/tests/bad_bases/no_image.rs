//! Files and directories that are no images, or that cannot be read.

use super::{check_everywhere, image, place};
use crate::support::pieces::{Files, Packing, gzip, oci, plain_docker, tar, write_folder};
use crate::support::{require_root, require_tool};
use std::os::unix::fs::PermissionsExt;

/// Files and directories that are no images at all.
#[test]
fn no_images() {
    let place = place();
    let neither = "found no manifest.json of a docker archive and no index.json of an OCI layout";
    std::fs::create_dir(place.join("folder")).unwrap();
    check_everywhere(&place, "folder", &format!("not an image: folder: {neither}"));
    place.write("docker/manifest.json", "[]");
    let unpacked = "found the manifest.json of a docker archive, expected the archive as a tar";
    check_everywhere(&place, "docker", &format!("not an image: docker: {unpacked}"));
    std::fs::create_dir_all(place.join("strange/index.json")).unwrap();
    check_everywhere(&place, "strange", "not an image: strange: index.json: found no regular file");
    place.write("empty.tar", tar(&Files::new()));
    check_everywhere(&place, "empty.tar", &format!("not an image: empty.tar: {neither}"));
    place.write("empty", "");
    check_everywhere(&place, "empty", &format!("not an image: empty: {neither}"));
    for (name, bytes) in [("text", b"hello".to_vec()), ("long", vec![b'x'; 2000]), ("gz", gzip(b"hello"))] {
        place.write(name, bytes);
        check_everywhere(&place, name, &format!("not an image: {name}: found no tar header"));
    }
    check_everywhere(&place, "absent", "cannot read: absent: No such file or directory (os error 2)");
    let swallowed = "not an image: text: found no tar header";
    check_everywhere(&place, "text#a:b", swallowed);
}

/// A pipe in the place of a blob is no blob; nobody waits for a writer.
#[test]
fn pipes_for_blobs() {
    let place = place();
    let files = oci(&[image()], &Packing::plain());
    write_folder(&place.join("base"), &files);
    for (name, _) in files.iter().filter(|(name, _)| name != "oci-layout").rev() {
        let path = place.join("base").join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        check_everywhere(&place, "base", &format!("not an image: base: {name}: found no regular file"));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
}

/// A file that may not be read, by another user than root.
#[test]
fn unreadable_files() {
    if !require_root() || !require_tool("setpriv") {
        return;
    }
    let open = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let binary = open.path().join("layerstone");
    std::fs::copy(env!("CARGO_BIN_EXE_layerstone"), &binary).unwrap();
    let file = open.path().join("base.tar");
    std::fs::write(&file, tar(&plain_docker(&[image()]))).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary);
    command.args(["build", "--name", "x", "--base"]).arg(&file).args(["--dry-run", "-o", "x.tar"]);
    let output = command.current_dir(open.path()).output().unwrap();
    let hint = "this user may not read it; `ls -l` shows who may";
    let expected = format!("error: cannot read: {}: Permission denied (os error 13)\nhint: {hint}\n", file.display());
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(1), expected));
}
