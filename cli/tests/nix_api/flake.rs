//! flake.nix: the program from Nix, the API with and without packages, a template; by a package set that stands in for
//! nixpkgs.

use super::machine::{Machine, name, stripped};
use crate::support::archive::manifest;
use crate::support::{Place, output};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Two flakes as others have them.
pub struct Flakes {
    pub machine: Machine,
    /// Ours, as a path flake: brought into the store whole, so that it is a copy of what belongs to it.
    ours: String,
    /// What stands in for nixpkgs.
    pub nixpkgs: String,
}

impl Flakes {
    /// On a machine whose store is empty, or the running test is skipped.
    #[track_caller]
    pub fn find() -> Option<Flakes> {
        let machine = Machine::empty()?;
        let ours = copy(&machine.place);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nix_api/stand_in");
        let text = std::fs::read_to_string(folder.join("flake.nix")).unwrap();
        machine.place.write("nixpkgs/flake.nix", text);
        let home = |variable: &str, folder: &str| {
            let home = || format!("{}/{folder}", std::env::var("HOME").unwrap());
            std::env::var(variable).unwrap_or_else(|_| home())
        };
        let facts = json!({
            "path": std::env::var("PATH").unwrap(),
            "binary": stripped(),
            "cargoHome": home("CARGO_HOME", ".cargo"),
            "rustupHome": home("RUSTUP_HOME", ".rustup"),
        });
        machine.place.write("nixpkgs/machine.json", facts.to_string());
        let nixpkgs = format!("path:{}", machine.place.join("nixpkgs").display());
        // As the user's lock file does.
        machine.ok("nix", &["flake", "lock", "--override-input", "nixpkgs", &nixpkgs, &ours]);
        Some(Flakes { machine, ours, nixpkgs })
    }

    /// What `nix` prints, called so.
    #[track_caller]
    fn nix(&self, words: &[&str]) -> String {
        self.machine.ok("nix", words).text().to_owned()
    }

    /// The value of an attribute of ours.
    #[track_caller]
    fn value(&self, attribute: &str) -> Value {
        serde_json::from_str(&self.nix(&["eval", "--json", &format!("{}#{attribute}", self.ours)])).unwrap()
    }
}

/// The only store path that `nix build --json` says that it built.
fn built(answer: &str) -> String {
    let built: Value = serde_json::from_str(answer).unwrap();
    built[0]["outputs"]["out"].as_str().unwrap().to_owned()
}

/// Makes a copy of our flake, of all that git has of it but for what fuzzers have found, which is thousands of files; how it is
/// called.
fn copy(place: &Place) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let flake = place.join("layerstone");
    for (folder, others) in [("", &["target", "dist", "xtask"][..]), ("xtask", &["fuzz"])] {
        let to = flake.join(folder);
        std::fs::create_dir(&to).unwrap();
        let entries = std::fs::read_dir(top.join(folder)).unwrap().map(|entry| entry.unwrap());
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let belongs = names.filter(|name| !name.starts_with('.') && !others.contains(&name.as_str()));
        let files = belongs.map(|name| top.join(folder).join(name));
        output(Command::new("cp").arg("--recursive").args(files).arg(&to));
    }
    format!("path:{}", flake.display())
}

/// What `nix run`, `nix shell`, `nix build` and `nix profile install` do, and that all of it can be shown and checked.
#[test]
fn the_program() {
    let Some(flakes) = Flakes::find() else { return };
    let version = flakes.nix(&["run", &flakes.ours, "--", "--version"]);
    assert_eq!(version, format!("layerstone {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(flakes.nix(&["shell", &flakes.ours, "--command", "layerstone", "--version"]), version);
    let package = &built(&flakes.nix(&["build", "--no-link", "--json", &flakes.ours]));
    assert_eq!(name(package), format!("layerstone-{}", env!("CARGO_PKG_VERSION")));
    let metadata: Value = serde_json::from_slice(&flakes.machine.read(&format!("{package}/metadata.json"))).unwrap();
    let members = metadata["packages"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap());
    assert!(members.clone().any(|member| member == "layerstone") && members.clone().any(|member| member == "xtask"));
    for file in ["share/completions/layerstone.fish", "share/man/man1/layerstone-build.1"] {
        assert!(!flakes.machine.read(&format!("{package}/{file}")).is_empty(), "{file}");
    }
    let meta = flakes.value("packages.x86_64-linux.default.meta");
    assert_eq!((&meta["mainProgram"], &meta["license"][0]["spdxId"]), (&json!("layerstone"), &json!("MIT")));
    let profile = flakes.machine.place.join("profile").display().to_string();
    flakes.nix(&["profile", "install", "--profile", &profile, &flakes.ours]);
    let installed = format!("{profile}/bin/layerstone");
    assert_eq!(flakes.machine.ok(&installed, &["--version"]).text(), version);
    let shown = flakes.nix(&["flake", "show", "--json", &flakes.ours]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let kinds = ["apps", "checks", "devShells", "packages"].map(|kind| shown[kind]["x86_64-linux"].is_object());
    assert_eq!(kinds, [true; 4], "{shown}");
    // Nothing is built, and no plan is wanted, to know what there is.
    flakes.nix(&["flake", "check", "--no-build", &flakes.ours]);
    assert!(flakes.machine.run("sh", &["-c", "ls -d /nix/store/*-hello.layers.json"]).code != Some(0));
}

/// Without any package, and without the flake's input.
#[test]
fn the_api() {
    let Some(machine) = Machine::find() else { return };
    let reference = copy(&machine.place);
    let image = r#"{ name = "tool"; contents = hello; }"#;
    let library = format!("import {}/nix", reference.trim_start_matches("path:"));
    let of_flake = format!("(({library}) arguments).buildLayeredImage {image}");
    let found = machine.value(&format!("({of_flake}).drvPath == (layerstone.buildLayeredImage {image}).drvPath"));
    assert_eq!(found, true);
}

/// The overlays take their packages from the set that they are put over; what builds is a program of the machine that
/// builds.
#[test]
fn overlays() {
    let Some(flakes) = Flakes::find() else { return };
    let folder = flakes.machine.place.join("layerstone");
    let expression = format!(
        r#"
        let
          nixpkgs = builtins.getFlake "{nixpkgs}";
          ours = (import {folder}/flake.nix).outputs {{ self = ours; inherit nixpkgs; }};
          native = nixpkgs.legacyPackages.x86_64-linux.extend ours.overlays.dockerTools;
          cross = nixpkgs.legacyPackages.aarch64-linux.extend ours.overlays.default;
          image = pkgs: pkgs.layerstoneTools.buildLayeredImage {{ name = "tool"; contents = pkgs.hello; }};
          path = tools: (tools.buildImage {{ name = "x"; }}).drvPath;
          program = cross.buildPackages.callPackage {folder}/nix/package.nix {{ }};
        in {{
          same = path native.dockerTools == path native.layerstoneTools;
          version = native.layerstone.version;
          system = (image cross).drvAttrs.system;
          program = (image cross).drvAttrs.builder == "${{program}}/bin/layerstone";
          architecture = (image cross).conf.drvAttrs."image.json".architecture;
        }}"#,
        nixpkgs = flakes.nixpkgs,
        folder = folder.display(),
    );
    let found = flakes.machine.ok("nix", &["eval", "--impure", "--json", "--expr", &expression]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let expected = json!({"same": true, "version": env!("CARGO_PKG_VERSION"), "system": "x86_64-linux",
        "program": true, "architecture": "arm64"});
    assert_eq!(found, expected);
}

/// `nix flake init -t`, and what comes of it.
#[test]
fn the_template() {
    let Some(flakes) = Flakes::find() else { return };
    let project = flakes.machine.place.join("project").display().to_string();
    std::fs::create_dir(&project).unwrap();
    let script = r#"cd "$0" && nix flake init --template "$1" && nix build --no-link --json \
        --no-write-lock-file --override-input nixpkgs "$2" --override-input layerstone "$1" "path:$0""#;
    let image = built(flakes.machine.ok("sh", &["-c", script, &project, &flakes.ours, &flakes.nixpkgs]).text());
    assert_eq!(name(&image), "hello.tar.gz");
    let archive = flakes.machine.place.join("hello.tar");
    let gunzip = format!("gzip -dc {} >{}", flakes.machine.locate(&image).display(), archive.display());
    output(Command::new("sh").args(["-c", &gunzip]));
    assert_eq!(manifest(&std::fs::read(archive).unwrap())["RepoTags"], json!(["hello:latest"]));
}

/// A flake of somebody's that uses the API alone: nothing but what flakes lock goes into its images, plans included.
#[test]
fn a_flake_that_uses_it() {
    let Some(machine) = Machine::empty() else { return };
    let ours = copy(&machine.place);
    let text = r#"{
      inputs.layerstone = { url = "OURS"; flake = false; };
      outputs = { self, layerstone }:
        let
          system = "x86_64-linux";
          tools = import "${layerstone}/nix" { inherit system; layerstone = ./layerstone; perLayer = true; };
          page = derivation { name = "page"; inherit system; builder = "/bin/sh"; args = [ "-c" "echo page >$out" ]; };
        in {
          packages.${system} = {
            layered = tools.buildLayeredImage {
              name = "page"; tag = "1"; config.Labels.page = "${page}";
              created = self.lastModifiedDate; mtime = "@${toString self.lastModified}";
            };
            single = tools.buildImage {
              name = "page"; tag = "1"; config.Labels.page = "${page}"; created = builtins.substring 0 8 self.lastModifiedDate;
            };
          };
        };
    }"#;
    machine.place.write("theirs/flake.nix", text.replace("OURS", &ours));
    std::fs::copy(stripped(), machine.place.join("theirs/layerstone")).unwrap();
    let theirs = format!("path:{}", machine.place.join("theirs").display());
    machine.ok("nix", &["flake", "check", "--no-registries", &theirs]);
    let packages = ["layered", "single"].map(|package| format!("{theirs}#{package}"));
    let built = machine.ok("nix", &["build", "--no-registries", "--no-link", "--json", &packages[0], &packages[1]]);
    let built: serde_json::Value = serde_json::from_slice(&built.stdout).unwrap();
    let names = built.as_array().unwrap().iter().map(|it| name(it["outputs"]["out"].as_str().unwrap()));
    assert_eq!(names.collect::<BTreeSet<_>>(), BTreeSet::from(["docker-image-page.tar.gz", "page.tar.gz"]));
}
