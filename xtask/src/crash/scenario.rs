//! The commands that are disturbed, and the files that they make.

/// A command line of layerstone, and what it writes.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// What the table calls it.
    pub name: &'static str,
    /// Its arguments; `HOST` stands for a registry.
    pub line: &'static str,
    /// The files that it writes, or directories all of whose files count.
    pub outputs: &'static [&'static str],
}

/// The name of the image's tag in the storage of docker-registry, whose contents are the manifest's digest.
const TAG: &str = "registry/data/docker/registry/v2/repositories/crash/_manifests/tags/1/current/link";

/// Those whose names begin so.
pub fn named(beginning: &str) -> impl Iterator<Item = &'static Scenario> + use<'_> {
    ALL.iter().filter(move |scenario| scenario.name.starts_with(beginning))
}

/// All of them.
static ALL: [Scenario; 10] = [
    Scenario { name: "build, archive", line: "build new.json -o out.tar", outputs: &["out.tar"] },
    Scenario { name: "build, layout", line: "build new.json --cache-blobs -o oci:layout", outputs: &["layout"] },
    Scenario { name: "layer --all", line: "layer new.layers.json --all --blobs -o layers", outputs: &["layers"] },
    Scenario {
        name: "root with scripts",
        line: "root --spec new.root.json -o root.layer.json --blob root.tar",
        outputs: &["root.layer.json", "root.tar"],
    },
    Scenario {
        name: "overlay run",
        line: "overlay run --backend userns --base base.tar --script new.sh -o run.layer.json --blob run.tar",
        outputs: &["run.layer.json", "run.tar"],
    },
    Scenario { name: "copy, layout", line: "copy base.tar oci:copies --as copied:1", outputs: &["copies"] },
    Scenario { name: "copy, new layout", line: "copy base.tar oci:fresh --as copied:1", outputs: &["fresh"] },
    Scenario { name: "index", line: "index base.tar arm64.tar -o oci:index --as both:1", outputs: &["index"] },
    Scenario { name: "push", line: "push new.json HOST/crash:1", outputs: &[TAG] },
    Scenario { name: "push, state", line: "push new.json HOST/crash:1 --state state", outputs: &[TAG, "state"] },
];

/// The command lines that make the outputs as they are before a trial.
pub const BEFORE: [&str; 10] = [
    "build old.json -o out.tar",
    "build old.json --cache-blobs -o oci:layout",
    "layer old.layers.json --all --blobs -o layers",
    "root --spec old.root.json -o root.layer.json --blob root.tar",
    "overlay run --backend userns --base base.tar --script old.sh -o run.layer.json --blob run.tar",
    "copy base.tar oci:copies --as first:1",
    "index base.tar -o oci:index --as both:1",
    "push old.json HOST/crash:1",
    "push old.json HOST/crash:1 --state state",
    "cache stats",
];
