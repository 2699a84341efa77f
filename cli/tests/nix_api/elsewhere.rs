//! Other surroundings: Nix's sandbox, and a store that is not at /nix/store.

use super::machine::{CONFIG, Machine};
use crate::support::{Place, output, require_root, require_tool, skip, test_name};
use std::path::Path;
use std::process::Command;

/// In a sandbox, stages find nothing but what they name, and make the same.
#[test]
fn in_a_sandbox() {
    let Some(machine) = Machine::find() else { return };
    if !require_root() {
        return;
    }
    let images = r#"[
        (layerstone.buildLayeredImage {
            name = "layered"; contents = [ hello bash ]; extraCommands = "echo a >a"; fakeRootCommands = "chown 1:2 a";
        })
        (layerstone.buildImage { name = "single"; copyToRoot = hello; extraCommands = "echo a >a"; })
    ]"#;
    // Our binary, as these tests have it, is not static.
    let libraries = ["/lib", "/lib64", "/usr/lib"].join(" ");
    let sandbox = ["--option", "sandbox", "true", "--option", "sandbox-paths", &libraries];
    let inside = machine.build_with(&sandbox, images);
    assert!(inside.layers().len() > 3, "{}", inside.log);
    let Some(other) = Machine::find() else { return };
    let outside = other.build(images);
    assert_eq!(inside.paths, outside.paths);
    for path in &outside.paths {
        assert!(machine.read(path) == other.read(path), "{path}");
    }
}

/// What nixpkgs gives is taken from there, and root scripts run in a virtual machine, whose kernel and QEMU are Debian's
/// in the place of nixpkgs'.
#[test]
fn with_nixpkgs_in_a_sandbox() {
    let Some(machine) = Machine::find() else { return };
    if !require_root() || !require_tool("qemu-system-x86_64") {
        return;
    }
    let kernels = std::fs::read_dir("/boot").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let Some(kernel) = kernels.filter(|name| name.starts_with("vmlinuz-") && name.contains("cloud")).max() else {
        return skip(&test_name(), "no kernel for virtual machines in /boot");
    };
    let release = kernel.strip_prefix("vmlinuz-").unwrap();
    let image = format!(
        r#"
        let
          pkgs = {{
            inherit bash coreutils hello;
            buildPackages = pkgs;
            layerstone = arguments.layerstone;
            bashInteractive = bash;
            cacert = bash;
            qemu_kvm = "/usr";
            linux = pkgs.runCommand "linux" {{ }} ''
              mkdir -p $out/lib/modules
              cp /boot/{kernel} $out/bzImage
              cp -r /lib/modules/{release} $out/lib/modules
            '';
            runCommand = name: attributes: script: derivation (attributes // {{
              inherit name;
              system = "x86_64-linux";
              builder = "/bin/sh";
              args = [ "-ec" "PATH=/usr/bin:/bin; ${{script}}" ];
            }});
            stdenv = {{
              hostPlatform = {{ system = "x86_64-linux"; linux-kernel.target = "bzImage"; }};
              initialPath = [ ];
            }};
          }};
        in (api {{ inherit pkgs; }}).examples.chownTestImage"#
    );
    let paths = "/usr /lib /lib64 /bin /boot";
    let sandbox = ["--option", "sandbox", "true", "--option", "sandbox-paths", paths];
    let features = ["--option", "system-features", "kvm"];
    let inside = machine.build_with(&[&sandbox[..], &features].concat(), &image);
    assert!(inside.log.contains(" virtual machine"), "{}", inside.log);
    let outside = machine.build("layerstone.examples.chownTestImage");
    assert!(machine.read(inside.path()) == machine.read(outside.path()));
}

/// A store in a directory, called as that directory is: its images hold its paths.
#[test]
fn a_store_elsewhere() {
    if !["nix-build", "nix-store"].into_iter().all(require_tool) {
        return;
    }
    // Links on the way to the store are refused by Nix.
    let place = Place::within(&Path::new(env!("CARGO_TARGET_TMPDIR")).canonicalize().unwrap());
    let nix = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).current_dir(place.path()).env("HOME", place.path()).env("NIX_CONFIG", CONFIG);
        for (name, folder) in
            [("NIX_STORE_DIR", "nix/store"), ("NIX_STATE_DIR", "nix/var/nix"), ("NIX_LOG_DIR", "nix/log")]
        {
            command.env(name, place.join(folder));
        }
        output(command.env("NIX_CONF_DIR", place.join("nix/conf")).env_remove("NIX_REMOTE"))
    };
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("nix");
    let expression = format!(
        r#"
        let
          layerstone = import {} {{ layerstone = "{}"; }};
          make = name: script: derivation {{
            inherit name;
            system = builtins.currentSystem;
            builder = "/bin/sh";
            args = [ "-ec" "PATH=/usr/bin:/bin; ${{script}}" ];
          }};
          lib = make "lib" "echo lib >$out";
          app = make "app" "mkdir $out; echo ${{lib}} >$out/app";
        in [
          (layerstone.buildLayeredImage {{ name = "x"; tag = "1"; compressor = "none"; contents = app; }})
          (layerstone.buildImage {{ name = "x"; tag = "1"; compressor = "none"; copyToRoot = app; }})
          layerstone.fakeNss
          app
        ]"#,
        api.display(),
        env!("CARGO_BIN_EXE_layerstone"),
    );
    let built = nix("nix-build", &["--no-out-link", "-E", &expression]);
    let [layered, single, _, app] = built.lines().collect::<Vec<_>>()[..] else { panic!("{built}") };
    let store = place.join("nix/store");
    let store = store.to_str().unwrap();
    for (image, flags) in [(layered, ""), (single, "--kind single --mode copy --legacy")] {
        place.ok(&format!("build --name x --tag 1 --contents {app} {flags} --store {store} -o built.tar"));
        assert!(std::fs::read(image).unwrap() == place.read("built.tar"), "{flags}");
    }
}
