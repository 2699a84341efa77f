//! What the API refuses while it is evaluated, each in a line that names the argument, what was found and what was expected; in
//! dockerTools' words where dockerTools refuses it too.

use super::machine::Machine;

/// Of the functions that make images.
const IMAGES: [(&str, &str); 46] = [
    ("buildImage { }", "buildImage: missing argument 'name'"),
    (
        r#"buildImage { name = "a b"; }"#,
        r#"buildImage: name: found the string "a b", expected a name of an image, such as tool or registry.example/team/tool"#,
    ),
    ("buildImage { name = 5; }", "buildImage: name: found 5, expected a name of an image"),
    (r#"buildImage { name = "tool:1"; }"#, r#"buildImage: name: found the string "tool:1", expected a name"#),
    (
        r#"buildImage { name = "x"; contens = hello; }"#,
        "buildImage: unexpected argument 'contens', known is config, contents",
    ),
    (
        r#"streamLayeredImage { name = "x"; zzz = 1; }"#,
        "streamLayeredImage: unexpected argument 'zzz', known are annotations, architecture, ",
    ),
    (
        r#"buildLayeredImage { name = "x"; tag = "a b"; }"#,
        r#"buildLayeredImage: tag: found the string "a b", expected a tag: letters, digits, _, . and -, at most 128"#,
    ),
    (r#"buildLayeredImage { name = "x"; tag = [ ]; }"#, "buildLayeredImage: tag: found a list, expected a tag"),
    (
        r#"buildLayeredImage { name = "x"; maxLayers = "many"; }"#,
        r#"buildLayeredImage: maxLayers: found the string "many", expected a whole number"#,
    ),
    (r#"buildImage { name = "x"; created = 5; }"#, "buildImage: created: found 5, expected a string"),
    (
        r#"streamLayeredImage { name = "x"; mtime = [ ]; }"#,
        "streamLayeredImage: mtime: found a list, expected a string",
    ),
    (
        r#"buildLayeredImage { name = "x"; contents = 5; }"#,
        "buildLayeredImage: contents: found 5, expected paths and derivations, one or a list",
    ),
    (
        r#"buildImage { name = "x"; copyToRoot = [ hello 5 ]; }"#,
        "buildImage: copyToRoot: found a list with a set and a whole number, expected paths and derivations",
    ),
    (
        r#"buildImage { name = "x"; contents = hello; copyToRoot = hello; }"#,
        "in docker image x: You can not specify both contents and copyToRoot.",
    ),
    (
        r#"buildLayeredImage { name = "x"; fromImage = { }; }"#,
        "buildLayeredImage: fromImage: found a set, expected a path or a derivation",
    ),
    (
        r#"buildLayeredImage { name = "x"; fromImage = layerstone.streamLayeredImage { name = "s"; }; }"#,
        "fromImage: found stream-s, a program that streams an image, expected an archive: buildLayeredImage makes one",
    ),
    (
        r#"buildLayeredImage { name = "x"; extraCommands = [ "a" ]; }"#,
        "buildLayeredImage: extraCommands: found a list with a string, expected the text of a script",
    ),
    (
        r#"buildLayeredImage { name = "x"; fakeRootCommands = 5; }"#,
        "buildLayeredImage: fakeRootCommands: found 5, expected the text of a script",
    ),
    (
        r#"buildImage { name = "x"; runAsRoot = { a = true; }; }"#,
        "buildImage: runAsRoot: found a set with a boolean, expected the text of a script",
    ),
    (
        r#"buildLayeredImage { name = "x"; enableFakechroot = "yes"; }"#,
        r#"buildLayeredImage: enableFakechroot: found the string "yes", expected true or false"#,
    ),
    (r#"buildImage { name = "x"; includeNixDB = 1; }"#, "buildImage: includeNixDB: found 1, expected true or false"),
    (
        r#"buildImage { name = "x"; keepContentsDirlinks = "no"; }"#,
        r#"buildImage: keepContentsDirlinks: found the string "no", expected true or false"#,
    ),
    (
        r#"buildLayeredImage { name = "x"; strategy = "smallest"; }"#,
        r#"buildLayeredImage: strategy: found the string "smallest", expected one of least-churn, popularity, size"#,
    ),
    (
        r#"buildLayeredImage { name = "x"; layeringPipeline = 5; }"#,
        "buildLayeredImage: layeringPipeline: found 5, expected a list of operations, or the file of one",
    ),
    (
        r#"buildLayeredImage { name = "x"; compression = "lz4"; }"#,
        r#"compression: found the string "lz4", expected one of none, gzip, zstd, zstd:chunked"#,
    ),
    (
        r#"buildLayeredImage { name = "x"; compressor = "xz"; }"#,
        r#"buildLayeredImage: compressor: found the string "xz", expected one of none, gz, zstd"#,
    ),
    (
        r#"buildLayeredImage { name = "x"; uid = "me"; }"#,
        r#"buildLayeredImage: uid: found the string "me", expected a whole number"#,
    ),
    (r#"buildImage { name = "x"; gid = true; }"#, "buildImage: gid: found true, expected a whole number"),
    (
        r#"buildLayeredImage { name = "x"; perms = "0755"; }"#,
        r#"buildLayeredImage: perms: found the string "0755", expected a list"#,
    ),
    (
        r#"buildLayeredImage { name = "x"; helpers = "tmp"; }"#,
        r#"buildLayeredImage: helpers: found the string "tmp", expected a list"#,
    ),
    (
        r#"buildLayeredImage { name = "x"; annotations = { a = 1; }; }"#,
        "annotations: found a set with a whole number, expected a set of strings",
    ),
    (r#"buildLayeredImage { name = "x"; labels = [ ]; }"#, "labels: found a list, expected a set of strings"),
    (
        r#"buildImage { name = "x"; diskSize = "1G"; }"#,
        r#"buildImage: diskSize: found the string "1G", expected a whole number"#,
    ),
    (r#"buildLayeredImage { name = "x"; minLayerSize = -1; }"#, "minLayerSize: found -1, expected a whole number"),
    (r#"buildLayeredImage { name = "x"; previous = 5; }"#, "previous: found 5, expected a path or a derivation"),
    (
        r#"buildLayeredImage { name = "x"; known = hello; perLayer = true; }"#,
        "image x: found known and perLayer, expected one of them",
    ),
    (
        r#"buildLayeredImage { name = "x"; maxLayers = 1; }"#,
        "the maxLayers argument of dockerTools.buildLayeredImage function must be greather than 1 (current value: 1)",
    ),
    (
        r#"streamLayeredImage { name = "x"; maxLayers = 0; }"#,
        "the maxLayers argument of dockerTools.buildLayeredImage function must be greather than 1 (current value: 0)",
    ),
    ("streamNixShellImage { }", "streamNixShellImage: missing argument 'drv'"),
    ("buildNixShellImage { drv = 5; }", "buildNixShellImage: drv: found 5, expected a derivation"),
    (
        r#"streamNixShellImage { drv = hello; command = "a"; run = "b"; }"#,
        "streamNixShellImage: Can't specify both command and run",
    ),
    (
        "streamNixShellImage { drv = derivation (hello.drvAttrs // { __structuredAttrs = true; }); }",
        "streamNixShellImage: Does not work with the derivation hello-2.10 because it uses __structuredAttrs",
    ),
    (
        r#"streamLayeredImage { name = "x"; architecture = 64; }"#,
        "streamLayeredImage: architecture: found 64, expected a string",
    ),
    (
        r#"buildLayeredImage { name = "x"; snapshotter = "stargz"; }"#,
        r#"buildLayeredImage: snapshotter: found the string "stargz", expected one of nix"#,
    ),
    (
        r#"buildLayeredImage { name = "x"; snapshotter = "nix"; compressor = "zstd"; }"#,
        r#"buildLayeredImage: compressor: found "zstd", expected none with snapshotter"#,
    ),
    (
        r#"streamLayeredImage { name = "x"; snapshotter = "nix"; }"#,
        r#"streamLayeredImage: snapshotter: found "nix", expected none: a docker archive is streamed"#,
    ),
];

/// Of images that are there, and of what images are made of.
const PARTS: [(&str, &str); 22] = [
    ("pullImage { }", "pullImage: missing argument 'imageDigest'"),
    (
        r#"pullImage { imageName = "x:1"; imageDigest = "sha256:0"; }"#,
        r#"pullImage: imageDigest: found the string "sha256:0", expected sha256: and 64 hexadecimal digits"#,
    ),
    (
        r#"pullImage { imageName = "x:1"; imageDigest = DIGEST; }"#,
        r#"pullImage: imageName: found the string "x:1", expected HOST/NAME without a tag or a digest"#,
    ),
    (
        r#"pullImage { imageName = "x"; imageDigest = DIGEST; }"#,
        "pullImage: expected one of hash, sha256 and outputHash",
    ),
    (
        r#"pullImage { imageName = "x"; imageDigest = DIGEST; hash = ""; sha256 = ""; }"#,
        "pullImage: expected one of hash, sha256 and outputHash",
    ),
    (
        r#"pullImage { imageName = "x"; imageDigest = DIGEST; hash = ""; tlsVerify = "no"; }"#,
        r#"pullImage: tlsVerify: found the string "no", expected true or false"#,
    ),
    (
        r#"pullImage { imageName = "x"; imageDigest = DIGEST; hash = ""; netrcPhase = [ ]; }"#,
        "pullImage: netrcPhase: found a list, expected the text of a script",
    ),
    (
        r#"pullImage { imageName = "x"; imageDigest = DIGEST; hash = ""; netrcImpureEnvVars = "A"; }"#,
        r#"pullImage: netrcImpureEnvVars: found the string "A", expected a list of strings"#,
    ),
    (
        r#"pullImageFromManifest { imageName = "x"; }"#,
        "pullImageFromManifest: imageManifest: found none, expected a file, which getManifest writes",
    ),
    (
        r#"pullImageFromManifest { imageName = "x"; imageManifest = builtins.toFile "m" "<html>"; }"#,
        r#"pullImageFromManifest: imageManifest: found a text that begins with "<html>", expected the manifest of one image"#,
    ),
    (
        r#"pullImageFromManifest { imageName = "x"; imageManifest = builtins.toFile "m" "{\"manifests\": [1, 2]}"; }"#,
        "pullImageFromManifest: imageManifest: found an index of 2 images, expected the manifest of one image, as getManifest",
    ),
    (
        r#"pullImageFromManifest { imageName = "x"; imageManifest = builtins.toFile "m" "{\"layers\": []}"; }"#,
        "pullImageFromManifest: imageManifest: found a set of layers, expected the manifest of one image",
    ),
    (
        r#"pullImageFromManifest { imageName = "x"; registryUrl = "https://r"; imageManifest = ./x; }"#,
        r#"pullImageFromManifest: registryUrl: found the string "https://r", expected HOST or HOST:PORT"#,
    ),
    ("mergeImages [ ]", "mergeImages: found no image, expected some"),
    ("mergeImages [ 5 ]", "mergeImages: found a list with a whole number, expected a list of images"),
    (
        r#"mergeImages [ (layerstone.streamLayeredImage { name = "s"; }) ]"#,
        "mergeImages: found stream-s, a program that streams an image, expected archives: buildLayeredImage makes them",
    ),
    ("exportImage { }", "exportImage: missing argument 'fromImage'"),
    (
        r#"mkPureLayer { name = "x"; extraCommands = 5; }"#,
        "mkPureLayer: extraCommands: found 5, expected the text of a script",
    ),
    (r#"mkRootLayer { name = "x"; }"#, "mkRootLayer: missing argument 'runAsRoot'"),
    (
        r#"runWithOverlay { name = "x"; preMount = 5; }"#,
        "runWithOverlay: preMount: found 5, expected the text of a script",
    ),
    (
        r#"fakeNss.override { extraPasswdLines = "x"; }"#,
        r#"fakeNss: extraPasswdLines: found the string "x", expected a list of strings"#,
    ),
    ("mergeDrvs { derivations = 5; }", "mergeDrvs: derivations: found 5, expected paths and derivations"),
];

/// Of the config, which is checked for each function that takes one.
const CONFIGS: [(&str, &str); 8] = [
    (r#"{ Cmd = "hello"; }"#, "config.Cmd: found a string, expected a list of strings"),
    (
        r#"{ Entrypoint = [ "a" 1 ]; }"#,
        "config.Entrypoint: found a list with a whole number, expected a list of strings",
    ),
    (
        r#"{ ExposedPorts = [ "80/tcp" ]; }"#,
        "config.ExposedPorts: found a list of strings, expected a set of empty sets",
    ),
    (r#"{ Env = [ "A" ]; }"#, "config.Env: found a list of strings, expected a list of strings NAME=VALUE, or a set"),
    (r#"{ cmd = [ "a" ]; }"#, "config.cmd: unknown key, Cmd is known"),
    (r#"{ Healthcheck.Retries = "3"; }"#, "config.Healthcheck.Retries: found a string, expected a whole number"),
    (r#"{ Volumes = "/data"; }"#, "config.Volumes: found a string, expected a set of empty sets"),
    (r#"[ ]"#, "config: found a list, expected a set"),
];

/// Of the functions' own arguments, those of nix/default.nix, and of what a result does not have.
const SURROUNDINGS: [(&str, &str); 4] = [
    (
        r#"(layerstone.buildLayeredImage { name = "x"; snapshotter = "nix"; }).conf"#,
        "image x: conf: found snapshotter, expected none: an image.json has no mount points",
    ),
    ("layerstone.caCertificates", "found neither pkgs nor cacert, expected one of them"),
    (
        r#"(api { }).buildImage { name = "x"; }"#,
        "found no binary, expected `pkgs` or `layerstone` among the arguments of default.nix",
    ),
    (
        r#"(api (arguments // { imageSystem = "vax-vms"; })).buildImage { name = "x"; }"#,
        "found the system vax-vms, expected one of aarch64-linux",
    ),
];

/// All of it, evaluated by one process.
#[test]
fn arguments() {
    let Some(machine) = Machine::find() else { return };
    let digest = format!(r#""sha256:{}""#, "0".repeat(64));
    let of_api = IMAGES.into_iter().chain(PARTS);
    let mut rows: Vec<(String, &str)> =
        of_api.map(|(call, message)| (format!("layerstone.{}", call.replace("DIGEST", &digest)), message)).collect();
    for (config, message) in CONFIGS {
        let call = |function: &str| format!(r#"layerstone.{function} {{ name = "x"; config = {config}; }}"#);
        rows.extend(["buildImage", "streamLayeredImage"].map(|function| (call(function), message)));
    }
    rows.extend(SURROUNDINGS.map(|(text, message)| (text.to_owned(), message)));
    let texts: Vec<String> = rows.iter().map(|(text, _)| format!("({text}).drvPath")).collect();
    for ((text, message), found) in rows.iter().zip(machine.refusals(&texts)) {
        let is_told = |line: &str| line.contains("error: ") && line.contains(message);
        assert!(found.lines().any(is_told), "{text}\n{found}");
    }
    assert!(rows.len() >= 80, "{}", rows.len());
}

/// What no engine can read is told where it was written, before anything is built.
#[test]
fn lines_of_configs() {
    let Some(machine) = Machine::find() else { return };
    machine.place.write("config.nix", "{\n  Cmd = \"x\";\n}\n");
    let file = machine.place.join("config.nix");
    let text = format!(r#"(layerstone.buildImage {{ name = "x"; config = import {}; }}).drvPath"#, file.display());
    let found = machine.refused(&text);
    assert!(found.contains(&format!("config.Cmd at {}:2: found a string", file.display())), "{found}");
}

/// What concerns files is told by the stage, which has the image's name.
#[test]
fn what_only_a_stage_sees() {
    let Some(machine) = Machine::find() else { return };
    for (arguments, stage, message) in [
        (r#"extraCommands = "exit 3";"#, "docker-layer-tool.drv", "extraCommands"),
        (r#"created = "yesterday";"#, "tool", "created: found the string \"yesterday\""),
    ] {
        let run = machine.try_build(&[], &format!(r#"layerstone.buildImage {{ name = "tool"; {arguments} }}"#));
        assert!(run.code != Some(0) && run.stderr.contains(message) && run.stderr.contains(stage), "{}", run.stderr);
    }
}
