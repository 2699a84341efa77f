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
            "pullImage: expected one of hash, sha256 and outputHash",
        ),
        (
            r#"layerstone.buildImage { name = "x"; contens = hello; }"#,
            "layerstone: buildImage: unexpected argument 'contens', known is config, contents",
        ),
        (
            r#"layerstone.streamLayeredImage { name = "x"; zzz = 1; }"#,
            "layerstone: streamLayeredImage: unexpected argument 'zzz', known are annotations, architecture, ",
        ),
        (
            r#"layerstone.buildLayeredImage { name = "x"; known = hello; perLayer = true; }"#,
            "image x: found known and perLayer, expected one of them",
        ),
        (
            r#"layerstone.buildLayeredImage { name = "x"; uid = "me"; }"#,
            "layerstone: uid: found \"me\", expected a whole number",
        ),
        (
            r#"layerstone.buildLayeredImage { name = "x"; fromImage = layerstone.streamLayeredImage { name = "s"; }; }"#,
            "fromImage: found stream-s, a program that streams an image, expected an archive: buildLayeredImage makes one",
        ),
        (
            r#"layerstone.mergeImages [ (layerstone.streamLayeredImage { name = "s"; }) ]"#,
            "mergeImages: found stream-s, a program that streams an image, expected archives: buildLayeredImage makes them",
        ),
        ("layerstone.mergeImages [ ]", "mergeImages: found no image, expected some"),
        ("layerstone.caCertificates", "found neither pkgs nor cacert, expected one of them"),
        (
            "(api { }).buildImage { name = \"x\"; }",
            "found no binary, expected `pkgs` or `layerstone` among the arguments of default.nix",
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

/// What no engine can read is told where it was written, before anything is built.
#[test]
fn configs() {
    let Some(machine) = Machine::find() else { return };
    let refused = [
        (r#"{ Cmd = "hello"; }"#, "config.Cmd: found a string, expected a list of strings"),
        (
            r#"{ Entrypoint = [ "a" 1 ]; }"#,
            "config.Entrypoint: found a list with a whole number, expected a list of strings",
        ),
        (
            r#"{ ExposedPorts = [ "80/tcp" ]; }"#,
            "config.ExposedPorts: found a list of strings, expected a set of empty sets",
        ),
        (
            r#"{ Env = [ "A" ]; }"#,
            "config.Env: found a list of strings, expected a list of strings NAME=VALUE, or a set",
        ),
        (r#"{ cmd = [ "a" ]; }"#, "config.cmd: unknown key, Cmd is known"),
        (r#"{ Healthcheck.Retries = "3"; }"#, "config.Healthcheck.Retries: found a string, expected a whole number"),
        (r#"{ Volumes = "/data"; }"#, "config.Volumes: found a string, expected a set of empty sets"),
        (r#"[ ]"#, "config: found a list, expected a set"),
    ];
    for (config, message) in refused {
        for function in ["buildImage", "streamLayeredImage"] {
            let text = format!(r#"(layerstone.{function} {{ name = "x"; config = {config}; }}).drvPath"#);
            let found = machine.refused(&text);
            assert!(found.contains(&format!("layerstone: image x: {message}")), "{text}\n{found}");
        }
    }
    // In a file of the user's, with its line.
    machine.place.write("config.nix", "{\n  Cmd = \"x\";\n}\n");
    let file = machine.place.join("config.nix");
    let text = format!(r#"(layerstone.buildImage {{ name = "x"; config = import {}; }}).drvPath"#, file.display());
    let found = machine.refused(&text);
    assert!(found.contains(&format!("config.Cmd at {}:2: found a string", file.display())), "{found}");
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
