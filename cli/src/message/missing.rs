//! What to write where a command line lacks something, or has a value that is none.

const ARCHIVE: &str = "-o NAME.tar writes an archive, -o oci:DIR a layout, -o docker: gives it to docker";
const LAYER_AND_BLOB: &str = "-o NAME.layer.json --blob NAME.tar: what the layer is, and its tar";

/// The command, the start of what it lacks, and what to write.
const ROWS: [(&str, &str, &str); 25] = [
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
    ("ls", "<REPO>", "HOST/NAME is a repository, `ls` alone lists files"),
    (
        "helper",
        "<NAME",
        "fakeNss, tmp, shadowSetup, usrBinEnv=PATH, binSh=PATH or caCertificates=PATH, and a new folder",
    ),
    ("completions", "<SHELL>", "bash, elvish, fish, powershell or zsh"),
    ("inspect", "<FILE|IMAGE>", "an archive, a layout, a stage file, or a place such as registry:HOST/NAME:TAG"),
    ("serve", "<IMAGE>", "IMAGE is an archive, a layout or an image.json"),
];

/// What to write, of all that lacks.
pub fn hints(command: &str, lacking: &[String]) -> Vec<&'static str> {
    let mut hints = Vec::new();
    for (_, _, hint) in
        ROWS.iter().filter(|(of, what, _)| *of == command && lacking.iter().any(|it| it.starts_with(what)))
    {
        if !hints.contains(hint) {
            hints.push(hint);
        }
    }
    hints
}

/// A flag, and what its values are like.
const VALUES: [(&str, &str); 17] = [
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
    ("expected a number of bytes", "units are k, M, G and Ki, Mi, Gi"),
];

/// What a value is like, of the flag that a message names.
pub fn value_hint(message: &str) -> Option<&'static str> {
    VALUES.iter().find(|(flag, _)| message.contains(flag)).map(|(_, hint)| *hint)
}
