//! What to write where a command line lacks something, or has a value that is none.

const ARCHIVE: &str = "-o NAME.tar writes an archive, -o oci:DIR a layout, -o docker: gives it to docker";
const LAYER_AND_BLOB: &str = "-o NAME.layer.json --blob NAME.tar: what the layer is, and its tar";
const PREDICATE_TYPE: &str = "--type spdx, or an address such as --type https://example.com/x/v1";

/// The command, the start of what it lacks, and what to write.
const ROWS: [(&str, &str, &str); 38] = [
    ("build", "--output", "-o NAME.tar writes an archive, -o oci:DIR a layout, -o docker: gives the image to docker"),
    ("build", "--compression", "--compression gzip, or zstd: a level is one of its levels"),
    ("build", "no image: ", "--name NAME with --contents STORE-PATH or --copy FROM:TO"),
    ("build", "<IMAGE.JSON>", "an image.json, or flags: --name NAME with --contents STORE-PATH or --copy FROM:TO"),
    ("layers", "--max-layers", "--max-layers 100, or --spec IMAGE.JSON, which may say it"),
    ("layers", "<CLOSURE.JSON>", "`layerstone closure` writes it"),
    ("layer", "--index", "--all makes all layers; --index N or --key KEY makes one"),
    ("layer", "<LAYERS.JSON>", "`layerstone layers` writes it; --tar FILE makes a layer of a tar"),
    ("image", "<LAYER.JSON>", "layers/*.layer.json root.layer.json: bottom first, the customisation layer last"),
    ("image", "--spec", "--spec IMAGE.JSON says what the image is called and what it runs"),
    ("image", "--output", ARCHIVE),
    ("pull", "--output", ARCHIVE),
    ("merge", "--output", ARCHIVE),
    ("copy", "<DST>", "FILE.tar, oci:DIR, registry:HOST/NAME:TAG, docker: or podman:"),
    ("push", "<REF>", "HOST/NAME:TAG is where the image goes"),
    ("root", "--output", LAYER_AND_BLOB),
    ("root", "--blob", LAYER_AND_BLOB),
    ("nix-db", "--output", LAYER_AND_BLOB),
    ("nix-db", "--blob", LAYER_AND_BLOB),
    ("overlay run", "--output", LAYER_AND_BLOB),
    ("attach", "--type", "--type spdx, cyclonedx, provenance, vex or sarif, or a media type such as text/plain"),
    ("attach", "<FILE>", "the files to attach come behind the image"),
    (
        "verify",
        "--key",
        "--key FILE is the public key that must have signed it; --policy FILE has keys, and rules for images",
    ),
    ("detach", "<DIGEST>", "`layerstone discover IMAGE` lists digests; --type TYPE takes all of a type"),
    ("ls", "<REPO>", "HOST/NAME is a repository, `ls` alone lists files"),
    (
        "helper",
        "<NAME",
        "fakeNss, tmp, shadowSetup, usrBinEnv=PATH, binSh=PATH or caCertificates=PATH, and a new directory",
    ),
    ("completions", "<SHELL>", "bash, elvish, fish, powershell or zsh"),
    ("inspect", "<FILE|IMAGE>", "an archive, a layout, a stage file, or a place such as registry:HOST/NAME:TAG"),
    ("serve", "<IMAGE>", "IMAGE is an archive, a layout or an image.json"),
    ("index", "--output", "-o oci:DIR writes a layout, -o registry:HOST/NAME:TAG puts it into a registry"),
    ("overlay export", "--output", "-o NAME.tar writes a tar, -o - gives it to a pipe"),
    ("merge-trees", "--output", "-o DIR makes a directory, -o NAME.tar a tar"),
    ("merge-trees", "<SOURCE>", "directories and tars come here"),
    ("diff", "<", "two images, two closures or two plans"),
    ("why", "<", "an image or a closure, and a path or a name, as in `layerstone why web.tar glibc`"),
    ("explain", "<", "an image, a closure with --max-layers 100, or a plan and its closure"),
    ("stream", "<CONF.JSON>", "nixpkgs' streamLayeredImage has such a file as its `conf`"),
    ("script", "<FILE>", "a file comes here each of whose lines is a word of a command line"),
];

/// What to write where no row names the command.
const ANYWHERE: [(&str, &str); 4] = [
    ("<IMAGE.JSON>", "`layerstone init` writes an image.json to begin with"),
    ("<IMAGE>", "an archive, a layout, or a place such as registry:HOST/NAME:TAG"),
    ("<SRC>", "an archive, a layout, or a place such as registry:HOST/NAME:TAG"),
    ("<REF>", "HOST/NAME:TAG is an image in a registry"),
];

/// What to write, of all that lacks.
pub fn hints(command: &str, lacking: &[String]) -> Vec<&'static str> {
    let lacks = |what: &str| lacking.iter().any(|it| it.starts_with(what));
    let of_command = ROWS.iter().filter(|(of, what, _)| *of == command && lacks(what));
    let has_own = |what: &str| ROWS.iter().any(|(of, own, _)| *of == command && what.starts_with(own));
    let anywhere = ANYWHERE.iter().filter(|(what, _)| lacks(what) && !has_own(what));
    let mut hints = Vec::new();
    for hint in of_command.map(|(.., hint)| *hint).chain(anywhere.map(|(_, hint)| *hint)) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    hints
}

/// A flag, and what its values are like.
const VALUES: [(&str, &str); 30] = [
    ("'--max-layers ", "--max-layers 100"),
    ("'--jobs ", "-j 4 uses four threads"),
    ("'--level ", "gzip has the levels 1 to 12, zstd 1 to 22"),
    ("'--uid ", "`id -u USER` tells the number of a user"),
    ("'--gid ", "`id -g USER` tells the number of a group"),
    ("'--index ", "--index 0 is the bottom layer"),
    ("'--script-timeout ", "seconds: --script-timeout 60"),
    ("'--timeout ", "seconds: --timeout 60"),
    ("'--listen ", "--listen 127.0.0.1:5000 is for this machine, --listen 0.0.0.0:5000 for its network"),
    ("'--copy ", "--copy app:/bin/app,mode=755"),
    ("'--stage ", "--stage 'layers=python3 plan.py'"),
    ("'--limit ", "--limit unpacked=100G"),
    ("'--helper ", "fakeNss, tmp, shadowSetup, usrBinEnv=PATH, binSh=PATH or caCertificates=PATH"),
    ("'--mtime ", "--mtime 2024-05-01"),
    ("'--created ", "--created now, or --created 2024-05-01"),
    ("'--strategy ", "--strategy least-churn"),
    ("'--output ", "-o NAME.tar, or another place: oci:DIR, registry:HOST/NAME:TAG"),
    ("'--contents ", "--contents ./result: a store path, or a link to one"),
    ("'--compression ", "gzip is what everything reads, zstd is faster and smaller, none leaves the tars as they are"),
    ("'--progress ", "plain writes a line a stage, as logs of CI want it"),
    ("'--errors ", "json is for programs: an object a line"),
    ("'--color ", "always colours what goes into a pipe too; NO_COLOR=1 is obeyed"),
    ("'--sync ", "always waits for the disk, never leaves that to the system"),
    ("'--type ", "--type spdx, or a media type such as --type text/plain"),
    ("'--annotation ", "--annotation org.example.team=web"),
    ("'--form ", "nix is an attribute set for pullImage, json is for programs"),
    ("'[NAME]'", "image is the schema of image.json; closure, layers and layer are files of the stages"),
    ("'--kind ", "layered has a layer for many a store path, single has one for all"),
    ("'<NAME[=PATH]>", "fakeNss, tmp, shadowSetup, usrBinEnv=PATH, binSh=PATH or caCertificates=PATH"),
    ("expected a number of bytes", "units are k, M, G and Ki, Mi, Gi"),
];

/// The same for a flag that means something else in a command.
const VALUES_OF: [(&str, &str, &str); 2] =
    [("sign", "'--type ", PREDICATE_TYPE), ("verify", "'--type ", PREDICATE_TYPE)];

/// What a value is like, of the flag that a message names.
pub fn value_hint(command: &str, message: &str) -> Option<&'static str> {
    let own = VALUES_OF.iter().find(|(of, flag, _)| *of == command && message.contains(flag)).map(|(.., hint)| *hint);
    own.or_else(|| VALUES.iter().find(|(flag, _)| message.contains(flag)).map(|(_, hint)| *hint))
}
