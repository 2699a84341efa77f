//! What comes where an error has found something else: a file that is not there, a directory, an empty file.

use crate::message::argument::{Argument, all, named};
use crate::message::file_kind::{self, FileKind};
use crate::message::near::nearest;
use std::path::Path;

const IMAGE: &str = "images are archives, OCI layouts and places such as registry:HOST/NAME:TAG or docker:NAME";
const SCRIPT: &str = "it is the name of a file: <(echo 'COMMANDS') makes one of commands";
const STORE_PATH: &str = "store paths and links to them come here, such as ./result";
const LAYER: &str = "`layerstone root` and `layerstone layer` write layer files";
const CLOSURE: &str = "`layerstone closure -o NAME.closure.json` writes a closure";
const PLAN: &str = "`layerstone layers CLOSURE.JSON --max-layers 100 -o NAME.layers.json` writes a plan";
const SPEC: &str = "`layerstone init` writes an image.json to begin with";
const PUBLIC_KEY: &str = "`openssl pkey -in KEY -pubout` and `cosign public-key --key KEY` print a public key";
const TAR: &str = "a tar comes here, such as `tar -cf NAME.tar -C DIR .` writes";

/// A flag, or what the help calls a value, and what comes there.
const ROWS: &[(&str, &str)] = &[
    ("--ca", "certificates of authorities in PEM come here, such as /etc/ssl/certs/ca-certificates.crt"),
    (
        "--authfile",
        "`podman login --authfile FILE` writes such a file; without the flag docker's and podman's are read",
    ),
    ("--db", "Nix has its database at /nix/var/nix/db/db.sqlite, Guix at /var/guix/db/db.sqlite"),
    ("--graph", "`exportReferencesGraph` of Nix writes a graph, `layerstone closure -o NAME.closure.json` a closure"),
    ("--meta", "`nix build .#image.sbomMeta` makes such a file; docs/sbom.md leads to its format, layerstone/meta"),
    ("--vulns", "OSV records come here, a list of them, or an OpenVEX document"),
    (
        "--policy",
        "rules come here, such as {\"packages\": {\"forbidden\": [\"gcc\"]}}; docs/policy.md leads to the format, layerstone/policy",
    ),
    ("--key", "`cosign generate-key-pair` makes a private key, which signs, and a public one, which verifies"),
    ("--verify-key", PUBLIC_KEY),
    ("--password-file", "the password of the key comes here, in a line; $COSIGN_PASSWORD has it, too"),
    (
        "--attest",
        "a statement of in-toto comes here, or with --type what becomes the predicate of one, such as an SBOM",
    ),
    ("--extra-commands", SCRIPT),
    ("--fake-root-commands", SCRIPT),
    ("--run-as-root", SCRIPT),
    ("--script", SCRIPT),
    ("--pre-mount", SCRIPT),
    ("--post-mount", SCRIPT),
    ("--post-umount", SCRIPT),
    ("--rates", "a JSON object comes here, such as {\"glibc\": 2}: patterns of names, and how often they change"),
    (
        "--strategy",
        "the operations of a pipeline are a JSON list, such as [[\"popularity_contest\"], [\"limit_layers\", 100]]",
    ),
    ("--contents", STORE_PATH),
    ("--copy", "--copy FROM:TO copies a file or a directory of this machine; FROM is from the working directory on"),
    ("--tar-layer", TAR),
    ("--tar", TAR),
    ("--kernel", "a Linux of this machine comes here, such as /boot/vmlinuz-VERSION"),
    ("--known", "`layerstone layer --all -o DIR` writes such a directory"),
    ("--base", IMAGE),
    ("--layer", LAYER),
    ("--below", LAYER),
    ("--root", "--root DIR is the directory that has the store in it, as DIR/nix/store"),
    (
        "--previous",
        "the image before, or a plan that `layerstone layers` wrote; auto is the image that the output replaces",
    ),
    ("--store-closure", CLOSURE),
    ("--legacy", "a JSON object comes here: keys that the layer's json has besides"),
    ("--from", "states come here, the oldest first: closures, plans or images"),
    ("--add", "`layerstone rates -o RATES.JSON` writes rates"),
    ("--store", "--store DIR is a store's directory, such as /gnu/store; --root DIR is what is above /nix/store"),
    ("IMAGE.JSON", SPEC),
    ("CLOSURE.JSON", CLOSURE),
    ("LAYERS.JSON", PLAN),
    ("LAYER.JSON", LAYER),
    ("ROOT.LAYER.JSON", "`layerstone root` writes the layer file of the customisation layer"),
    ("CONF.JSON", "nixpkgs' streamLayeredImage has such a file as its `conf`"),
    ("IMAGE|CLOSURE", IMAGE),
    ("IMAGE|SPEC|PLAN|CLOSURE", IMAGE),
    ("IMAGE|PLAN|CLOSURE", IMAGE),
    ("FILE|IMAGE", IMAGE),
    ("IMAGE", IMAGE),
    ("REF", IMAGE),
    ("SRC", IMAGE),
    ("OLD", IMAGE),
    ("NEW", IMAGE),
    ("FROM", "a program, a directory, a tar or a store path comes here, such as ./result"),
    ("ROOT", STORE_PATH),
    ("SOURCE", "directories and tars come here"),
    ("NAME[=PATH]", STORE_PATH),
];
/// The same of arguments that mean something else to one command.
const OF_COMMANDS: [(&str, &str, &str); 7] = [
    ("attach", "FILE", "files of this machine are attached, such as an SBOM: web.spdx.json"),
    ("tarsum", "FILE", TAR),
    ("script", "FILE", "a file comes here each of whose lines is a word of a command line"),
    ("closure", "OLD.JSON", CLOSURE),
    ("closure", "NEW.JSON", CLOSURE),
    ("layers", "OLD.JSON", PLAN),
    ("layers", "NEW.JSON", PLAN),
];

/// What comes in the place of a file that an error names, if the error is about what the file is.
pub fn of(text: &str) -> Option<String> {
    const STARTS: [&str; 17] = [
        "cannot read",
        "cannot find",
        "not an image: ",
        "not JSON: ",
        "not a JSON object: ",
        "malformed ",
        "not a store database: ",
        "not a store path: ",
        "not a directory: ",
        "no layer: ",
        "no words: ",
        "wrong format: ",
        "cannot be a layer: ",
        "no attributes of a derivation: ",
        "not a private key: ",
        "not a public key: ",
        "cannot attest: ",
    ];
    if !STARTS.iter().any(|start| text.starts_with(start)) {
        return None;
    }
    if text.starts_with("malformed layerstone/image: ") {
        return Some("`layerstone schema image` prints all keys, and what each takes".to_owned());
    }
    let is_of_kind = |number: &str| text.contains(&format!("(os error {number})"));
    // Not there, no directory, a directory; others, such as missing permissions, say nothing of what the file is.
    let is_of_file = ["2", "20", "21"].into_iter().any(is_of_kind);
    let is_image_of_another_kind = ["found no manifest.json", "found no tar header", "not a whole tar"];
    if (text.contains("(os error ") && !is_of_file)
        || (text.starts_with("not an image: ") && !is_image_of_another_kind.iter().any(|it| text.contains(it)))
        || (text.starts_with("no layer: ") && !["not a whole tar", "found no bytes"].iter().any(|it| text.contains(it)))
    {
        return None;
    }
    match named(text) {
        Some((argument, path)) => of_argument(&argument, &path),
        None if is_of_file => of_spec(text),
        None => None,
    }
}

/// What comes in the place of a value.
fn of_argument(argument: &Argument, path: &str) -> Option<String> {
    let Argument { flag, name, .. } = argument;
    // What stands in place of a file.
    let words = [("--previous", "auto"), ("--rates", "builtin")];
    if let Some((_, word)) = words.into_iter().find(|(it, _)| flag.as_deref() == Some(*it))
        && nearest(path, [word]).is_some()
    {
        return Some(format!("a similar value exists: '{word}'"));
    }
    let command = crate::message::command_line::running_name();
    let of_command = OF_COMMANDS.iter().find(|(of, key, _)| *of == command && name == key).map(|(.., hint)| *hint);
    let hint = of_command.or_else(|| {
        let of = |key: &str| ROWS.iter().find(|(row, _)| *row == key).map(|(_, hint)| *hint);
        flag.as_deref().and_then(of).or_else(|| of(name.trim_end_matches("...")))
    });
    hint.map(str::to_owned)
}

/// A file that the spec names, and not the command line.
fn of_spec(text: &str) -> Option<String> {
    let is_spec = |argument: &Argument| {
        argument.name == "IMAGE.JSON" || file_kind::of(Path::new(&argument.value)) == Some(FileKind::Spec)
    };
    let spec = all().into_iter().find(is_spec)?.value;
    let path = text.split(": ").nth(1)?;
    let name = Path::new(path).file_name()?.to_str()?;
    let is_named = std::fs::read_to_string(&spec).ok()?.contains(name);
    is_named.then(|| format!("{spec} names it; its paths are from its own directory on"))
}
