//! What nixpkgs' users write: arguments in the forms that dockerTools takes, and what is asked of its results.

use super::machine::Machine;
use crate::support::archive::{config, manifest, member};
use serde_json::json;

/// What nixpkgs' own functions, and its users, ask of a result.
#[test]
fn results() {
    let Some(machine) = Machine::find() else { return };
    let found = machine.value(
        r#"
        let
          layered = layerstone.buildLayeredImage { name = "tool"; contents = hello; meta.license = "x"; };
          single = layerstone.buildImage { name = "tool"; copyToRoot = hello; };
          based = single.overrideAttrs (old: { fromImage = layered; preferLocalBuild = true; passthru.more = old.name; });
          takes = function: builtins.attrNames function.__functionArgs;
          has = function: name: builtins.elem name (takes function);
        in {
          stream = layered.passthru.stream == layered.stream;
          outputs = [ layered.outputs single.outputs ];
          meta = layered.meta;
          same = layered.drvPath == (layered.override { }).drvPath;
          based = { inherit (based) preferLocalBuild more; is = based.drvPath != single.drvPath; };
          base = based.conf.drvAttrs."image.json".fromImage == "${layered}";
          name = (single.overrideAttrs { name = "other"; }).name;
          takes = map (function: has function "contents") [
            layerstone.buildImage layerstone.buildLayeredImage layerstone.streamLayeredImage layerstone.buildImageWithNixDb
          ];
          compressor = map (function: has function "compressor") [
            layerstone.buildLayeredImage layerstone.streamLayeredImage layerstone.buildNixShellImage
          ];
          helper = layerstone.binSh.meta.outputsToInstall;
        }"#,
    );
    let meta =
        json!({"name": "tool.tar.gz", "available": true, "broken": false, "outputsToInstall": ["out"], "license": "x"});
    let expected = json!({
        "stream": true, "outputs": [["out"], ["out"]], "meta": meta, "same": true, "base": true, "name": "other",
        "based": {"preferLocalBuild": true, "more": "docker-image-tool.tar.gz", "is": true},
        "takes": [true, true, true, true], "compressor": [true, false, true], "helper": ["out"],
    });
    assert_eq!(found, expected);
}

/// Lists in lists, null, numbers as texts, variables by name: the same image as in the form that the program takes.
#[test]
fn forms_of_arguments() {
    let Some(machine) = Machine::find() else { return };
    let found = machine.value(
        r#"
        let
          path = image: image.drvPath;
          layered = more: path (layerstone.buildLayeredImage ({ name = "tool"; } // more));
          single = more: path (layerstone.buildImage ({ name = "tool"; } // more));
          pure = more: path (layerstone.mkPureLayer ({ name = "root"; } // more));
        in [
          (layered { contents = [ [ hello null ] [ [ bash ] ] ]; } == layered { contents = [ hello bash ]; })
          (layered { contents = null; config = null; } == layered { })
          (layered { uid = "1000"; gid = "100"; } == layered { uid = 1000; gid = 100; })
          (single { copyToRoot = [ null hello ]; uid = "7"; } == single { copyToRoot = hello; uid = 7; })
          (single { contents = hello; } == single { copyToRoot = hello; })
          (pure { copyToRoot = hello; } == pure { contents = hello; })
          (single { config.Env = { B = 2; A = "x=y"; C = null; D = true; }; }
            == single { config.Env = [ "A=x=y" "B=2" "D=1" ]; })
        ]"#,
    );
    assert_eq!(found, json!([true, true, true, true, true, true, true]));
    let warned = machine.ok(
        "nix-instantiate",
        &[
            "--eval",
            "-E",
            &machine.expression(r#"(layerstone.buildImage { name = "tool"; contents = hello; }).drvPath"#),
        ],
    );
    assert!(warned.stderr.contains("in docker image tool: contents is deprecated, expected copyToRoot"), "{warned:?}");
}

/// Scripts find the functions of stdenv, where there is one, and their programs as before.
#[test]
fn functions_of_stdenv() {
    let Some(machine) = Machine::find() else { return };
    let built = machine.build(
        r#"
        let
          stdenv = derivation {
            name = "stdenv"; system = builtins.currentSystem; builder = "/bin/sh";
            args = [ "-c" ''
              PATH=${coreutils}/bin
              mkdir $out
              echo ': "$NIX_BUILD_TOP" "$out"; [ -z "''${NIX_ATTRS_JSON_FILE-}" ]; export PATH=; greet() { echo "hello $1"; }' >$out/setup
            '' ];
          };
          tools = api (arguments // { inherit stdenv; });
        in tools.buildLayeredImage {
          name = "tool"; tag = "1"; compressor = "none";
          extraCommands = "greet you >extra; nproc >/dev/null";
          fakeRootCommands = "greet root >root; chown 5 root";
        }"#,
    );
    let tar = machine.read(built.path());
    let custom = member(&tar, manifest(&tar)["Layers"][0].as_str().unwrap());
    assert_eq!(member(&custom, "./extra"), b"hello you\n");
    assert_eq!(member(&custom, "./root"), b"hello root\n");
}

/// `conf` is an image.json that makes the very image, scripts' results and plan included; so does a stream, of it.
#[test]
fn conf_is_the_image() {
    let Some(machine) = Machine::find() else { return };
    let built = machine.build(
        r#"
        let
          layered = layerstone.buildLayeredImage {
            name = "tool"; compressor = "none"; contents = [ hello ]; strategy = "size"; maxLayers = 3;
            extraCommands = "echo made >made"; config.Env = [ "B=${bash}" ]; includeNixDB = true; uid = 5;
          };
          single = layerstone.buildImage {
            name = "one"; compressor = "none"; copyToRoot = hello; extraCommands = "echo made >made"; config.Env = [ "B=${bash}" ];
          };
        in [ layered layered.conf layered.stream.streamScript single single.conf ]"#,
    );
    let [layered, conf, stream, single, single_conf] = &built.paths[..] else { panic!("{built:?}") };
    let ours = env!("CARGO_BIN_EXE_layerstone");
    for (image, conf) in [(layered, conf), (single, single_conf)] {
        machine.ok(ours, &["build", conf, "-o", "again.tar"]);
        let (whole, again) = (machine.read(image), machine.place.read("again.tar"));
        // The config has the digests of all layers.
        assert_eq!(config(&whole), config(&again), "{image}");
        assert_eq!(manifest(&whole)["RepoTags"], manifest(&again)["RepoTags"]);
    }
    assert!(machine.ok(stream, &[conf]).stdout == machine.read(layered));
}

/// The way to learn a hash is to leave it empty.
#[test]
fn hashes_of_pulled_images() {
    let Some(machine) = Machine::find() else { return };
    let digest = "0".repeat(64);
    let pull = |hash: &str| {
        format!(
            r#"(layerstone.pullImage {{ imageName = "x"; imageDigest = "sha256:{digest}"; {hash} }}).drvAttrs.outputHash"#
        )
    };
    let none = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for hash in [r#"hash = "";"#, r#"sha256 = "";"#, &format!(r#"outputHash = "{none}";"#)] {
        assert_eq!(machine.value(&pull(hash)), json!(none), "{hash}");
    }
    let algorithm = pull(r#"outputHash = "0"; outputHashAlgo = "sha512";"#).replace(".outputHash", ".outputHashAlgo");
    assert_eq!(machine.value(&algorithm), json!("sha512"));
}
