//! Files that mention store paths which are no inputs: the image does not depend on whether Nix has a sandbox.

use super::machine::{Built, Machine, name};
use crate::support::{skip, test_name};

/// A file of the store that nothing has as an input, and a directory that mentions it; its path.
fn prepare(machine: &Machine) -> String {
    machine.place.write("f", "hi\n");
    let path = machine.ok("nix-store", &["--add", "f"]).text().trim_end().to_owned();
    machine.place.write("note/note", format!("{path}\n"));
    std::fs::create_dir(machine.place.join("link")).unwrap();
    std::os::unix::fs::symlink(&path, machine.place.join("link/result")).unwrap();
    path
}

/// Images whose contents or scripts mention the path without its being an input, and the file that does.
fn images(machine: &Machine, path: &str) -> [(String, &'static str); 5] {
    let folder = |name: &str| format!("(builtins.path {{ path = {}; }})", machine.place.join(name).display());
    let single =
        |more: &str| format!(r#"layerstone.buildImage {{ name = "x"; tag = "1"; compressor = "none"; {more} }}"#);
    let layered = |more: &str| {
        format!(
            r#"layerstone.buildLayeredImage {{ name = "x"; tag = "1"; compressor = "none"; maxLayers = 4; {more} }}"#
        )
    };
    let script = format!("extraCommands = \"echo {path} >x\";");
    [
        (single(&format!("copyToRoot = {};", folder("note"))), "/note"),
        (single(&format!("copyToRoot = hello; {script}")), "/x"),
        (layered(&format!("contents = [ hello {} ];", folder("link"))), "/result"),
        (layered(&format!("contents = [ hello ]; {script}")), "/x"),
        (layered(&format!("contents = [ hello ]; includeNixDB = true; {script}")), "/x"),
    ]
}

#[test]
fn the_same_image_with_a_sandbox_and_without() {
    let Some(machine) = Machine::find() else { return };
    let path = prepare(&machine);
    let mut open = Vec::new();
    for (image, file) in images(&machine, &path) {
        let built = machine.build(&image);
        let warning =
            format!("warning: left out of the image: {path}: found it in {file} but not in the references graph");
        assert!(built.log.contains(&warning), "{image}\n{}", built.log);
        let closure = machine.build(&format!("({image}).closure"));
        let text = String::from_utf8(machine.read(closure.path())).unwrap();
        assert!(!text.contains(&path) && (file == "/note" || text.contains("-glibc-")), "{image}\n{text}");
        let tar = machine.read(built.path());
        assert!(crate::support::archive::manifest(&tar)["Layers"].is_array());
        open.push((built.path().to_owned(), tar));
    }
    let Some(sandboxed) = Machine::find() else { return };
    assert_eq!(prepare(&sandboxed), path);
    // Our binary finds its libraries where the machine has them.
    let libraries = "/bin/sh=/bin/sh /lib /lib64 /usr/lib";
    let options = [("sandbox", "true"), ("sandbox-fallback", "false"), ("sandbox-paths", libraries)];
    let flags: Vec<&str> = options.into_iter().flat_map(|(name, value)| ["--option", name, value]).collect();
    for ((image, _), (built, tar)) in images(&sandboxed, &path).iter().zip(open) {
        let run = sandboxed.try_build(&flags, image);
        if run.stderr.contains("namespaces that are required for sandboxing") {
            skip(&test_name(), "no sandbox of Nix can be made");
            return;
        }
        assert_eq!(run.code, Some(0), "{image}\n{}", run.stderr);
        let again = Built { paths: run.text().lines().map(str::to_owned).collect(), log: run.stderr };
        assert!(!again.log.contains("left out of the image"), "{image}\n{}", again.log);
        assert_eq!(name(again.path()), name(&built), "one derivation");
        assert!(again.path() == built && sandboxed.read(&built) == tar, "{image}");
    }
}
