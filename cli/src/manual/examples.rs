//! Examples of every command, for its help and its man page. A test runs them all.

use clap::Command;

/// The command, and its examples; the words behind `layerstone`.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("init", &["init result -o web.json", "init ./app -o app.json"]),
    (
        "build",
        &[
            "build image.json -o web.tar",
            "build --name web --contents ./result --cmd /bin/web -o oci:web",
            "build --name app --copy app:/bin/app --cmd /bin/app -o app.tar.gz",
            "build image.json -o oci:web --erofs-cache erofs",
            "build image.json --dry-run",
        ],
    ),
    (
        "root",
        &[
            "root image.json -o root.layer.json --blob root.tar",
            "root --contents ./result -o root.layer.json --blob root.tar",
        ],
    ),
    ("closure", &["closure --spec image.json --layer root.layer.json -o web.closure.json", "closure ./result --scan"]),
    (
        "layers",
        &[
            "layers web.closure.json --max-layers 99 -o web.layers.json",
            "layers web.closure.json --explain --max-layers 99",
        ],
    ),
    (
        "rates",
        &[
            "rates --from web.closure.json web.closure.json -o rates.json",
            "rates --from web.tar other.tar -o rates.json",
        ],
    ),
    ("layer", &["layer web.layers.json --all -o layers", "layer --tar root.tar -o root.layer.json"]),
    (
        "nix-db",
        &[
            "nix-db web.closure.json -o db.layer.json --blob db.tar",
            "nix-db web.closure.json --uid 1000 --gid 1000 -o db.layer.json --blob db.tar",
        ],
    ),
    (
        "image",
        &[
            "image --spec image.json layers root.layer.json -o web.tar",
            "image --spec image.json layers root.layer.json -o oci:web",
        ],
    ),
    ("ninja", &["ninja image.json", "ninja image.json --stage 'layers=python3 plan.py'"]),
    ("make", &["make image.json", "make image.json --image web.tar -o web.mk"]),
    ("overlay export", &["overlay export web.tar -o files.tar", "overlay export oci:pulled -o - | tar -t"]),
    (
        "overlay run",
        &[
            "overlay run --base base.tar --script install.sh -o run.layer.json --blob run.tar",
            "overlay run run.json -o run.layer.json --blob run.tar --timeout 600",
        ],
    ),
    ("overlay probe", &["overlay probe", "overlay probe --backend userns --json"]),
    ("push", &["push web.tar localhost:5000/team/web:1", "push image.json localhost:5000/team/web:2"]),
    ("pull", &["pull localhost:5000/team/web:1 -o pulled.tar", "pull localhost:5000/team/web:1 -o oci:pulled"]),
    (
        "copy",
        &[
            "copy web.tar oci:web",
            "copy web.tar registry:localhost:5000/team/web:1",
            "copy registry:localhost:5000/team/web:1 copy.tar",
        ],
    ),
    ("index", &["index web.tar -o oci:all --as web:1", "index web.tar -o registry:localhost:5000/team/all:1"]),
    ("serve", &["serve web.tar", "serve image.json", "serve web.tar other.tar --listen 0.0.0.0:5001"]),
    ("check", &["check image.json", "check web.tar", "check web.tar --policy policy.json"]),
    ("prefetch", &["prefetch localhost:5000/team/web:1", "prefetch localhost:5000/team/web:1 --form json"]),
    ("ls", &["ls localhost:5000/team/web", "ls localhost:5000/team/web --json"]),
    ("digest", &["digest oci:pulled", "digest localhost:5000/team/web:1"]),
    ("manifest", &["manifest localhost:5000/team/web:1", "manifest oci:pulled > manifest.json"]),
    (
        "blob",
        &[
            "blob localhost:5000/team/web@$(grep -o 'sha256:\\w*' manifest.json | head -1)",
            "blob localhost:5000/team/web@$(grep -o 'sha256:\\w*' manifest.json | head -1) > config",
        ],
    ),
    (
        "delete",
        &[
            "delete localhost:5000/team/web:1 --yes",
            "delete localhost:5000/team/web@$(layerstone digest localhost:5000/team/web:2) --yes",
        ],
    ),
    (
        "attach",
        &[
            "attach localhost:5000/team/web:1 web.spdx.json --type spdx",
            "attach oci:pulled web.spdx.json --type spdx --annotation org.example.by=ci",
            "attach localhost:5000/team/web:1 web.spdx.json --type spdx --attest buildkit",
        ],
    ),
    (
        "sign",
        &[
            "sign oci:pulled --key release.key",
            "sign localhost:5000/team/web:1 --key release.key --form both",
            "sign oci:pulled --key release.key --attest web.spdx.json --type spdx",
        ],
    ),
    (
        "verify",
        &["verify oci:pulled --key release.pub", "verify oci:pulled --key release.pub --type spdx --predicate-only"],
    ),
    ("discover", &["discover localhost:5000/team/web:1", "discover oci:pulled --type spdx --json"]),
    ("detach", &["detach oci:pulled --type spdx"]),
    ("merge", &["merge web.tar other.tar -o both.tar", "merge web.tar oci:pulled -o both.tar.gz"]),
    ("helper", &["helper fakeNss users", "helper tmp temporary"]),
    ("merge-trees", &["merge-trees files layers -o tree", "merge-trees files root.tar -o tree.tar"]),
    ("tarsum", &["tarsum root.tar", "tarsum < root.tar"]),
    ("inspect", &["inspect web.tar", "inspect web.tar --files '*.so*'", "inspect web.layers.json"]),
    ("diff", &["diff web.tar other.tar --changed", "diff web.layers.json web.layers.json"]),
    ("why", &["why web.tar libc", "why web.closure.json libc"]),
    ("explain", &["explain web.closure.json --max-layers 9", "explain web.layers.json web.closure.json"]),
    ("report", &["report web.tar -o report.html", "report web.tar other.tar -o report.html"]),
    (
        "sbom",
        &[
            "sbom web.tar -o web.cdx.json",
            "sbom web.closure.json --format spdx -o web.spdx.json",
            "sbom --diff other.tar web.tar",
        ],
    ),
    ("cache stats", &["cache stats", "cache stats --json"]),
    ("cache prune", &["cache prune --dry-run", "cache prune --cache-size 1G"]),
    ("cache verify", &["cache verify", "cache verify --json"]),
    ("demo", &["demo", "demo -o demo.tar"]),
    ("config", &["config", "config --json"]),
    ("stream", &["stream conf.json > web.tar", "stream conf.json --repo_tag web:2 -o web.tar.gz"]),
    (
        "derivation",
        &["derivation build image.json -o web.tar", "derivation --tag image.json build image.json -o web.tar"],
    ),
    ("script", &["script words -o web.tar", "script words --dry-run"]),
    ("schema", &["schema image > image.schema.json", "schema layers > layers.schema.json"]),
    ("completions", &["completions bash > layerstone.bash", "completions zsh > _layerstone"]),
];

/// The commands with their examples behind the flags.
pub fn with_examples(command: Command) -> Command {
    EXAMPLES.iter().fold(command, |command, (path, lines)| {
        let text: Vec<String> = lines.iter().map(|line| format!("\n  layerstone {line}")).collect();
        let add = |it: Command| match it.get_after_help() {
            Some(_) => it,
            None => it.after_help(format!("Examples:{}", text.concat())),
        };
        match path.split_once(' ') {
            Some((outer, inner)) => command.mut_subcommand(outer, |outer| outer.mut_subcommand(inner, add)),
            None => command.mut_subcommand(*path, add),
        }
    })
}
