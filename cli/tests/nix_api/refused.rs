//! What the API refuses, in dockerTools' words where dockerTools refuses it too.

use super::machine::Machine;

#[test]
fn arguments() {
    let Some(machine) = Machine::find() else { return };
    let refused = [
        (
            r#"layerstone.buildLayeredImage { name = "x"; maxLayers = 1; }"#,
            "the maxLayers argument of dockerTools.buildLayeredImage function must be greather than 1 (current value: 1)",
        ),
        (
            r#"layerstone.streamLayeredImage { name = "x"; maxLayers = 0; }"#,
            "the maxLayers argument of dockerTools.buildLayeredImage function must be greather than 1 (current value: 0)",
        ),
        (
            r#"layerstone.buildImage { name = "x"; contents = hello; copyToRoot = hello; }"#,
            "in docker image x: You can not specify both contents and copyToRoot.",
        ),
        (
            r#"layerstone.buildLayeredImage { name = "x"; compressor = "xz"; }"#,
            "unknown compressor: found xz, expected none, gz or zstd",
        ),
        (
            r#"layerstone.streamNixShellImage { drv = hello; command = "a"; run = "b"; }"#,
            "streamNixShellImage: Can't specify both command and run",
        ),
        (
            r#"layerstone.streamNixShellImage { drv = derivation (hello.drvAttrs // { __structuredAttrs = true; }); }"#,
            "streamNixShellImage: Does not work with the derivation hello-2.10 because it uses __structuredAttrs",
        ),
        (
            r#"layerstone.pullImage { imageName = "x"; imageDigest = "sha256:0"; }"#,
            "pullImage: expected one of hash and sha256",
        ),
        (r#"layerstone.buildImage { name = "x"; contens = hello; }"#, "unexpected argument 'contens'"),
        ("layerstone.caCertificates", "found neither pkgs nor cacert, expected one of them"),
        (
            "(api { }).buildImage { name = \"x\"; }",
            "found no binary, expected `layerstone` among the arguments of default.nix",
        ),
        (
            r#"(api (arguments // { imageSystem = "vax-vms"; })).buildImage { name = "x"; }"#,
            "found the system vax-vms, expected one of aarch64-linux",
        ),
    ];
    for (text, message) in refused {
        let found = machine.refused(&format!("({text}).drvPath"));
        assert!(found.contains(message), "{text}\n{found}");
    }
}

/// A name that no image can have is told when the image is built, as all that concerns files.
#[test]
fn what_only_a_stage_sees() {
    let Some(machine) = Machine::find() else { return };
    let run = machine.try_build(&[], r#"layerstone.buildImage { name = "a b"; tag = "1"; }"#);
    assert!(run.code != Some(0), "{}", run.stderr);
    let run = machine.try_build(&[], r#"layerstone.buildImage { name = "x"; extraCommands = "exit 3"; }"#);
    assert!(run.code != Some(0) && run.stderr.contains("extraCommands"), "{}", run.stderr);
}
