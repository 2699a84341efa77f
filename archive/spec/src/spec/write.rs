//! Writes a spec as image.json has it: the keys whose values are not their defaults, whether a file or flags said them.

use super::keys::{self as key, Key};
use super::{CopyEntry, Helper, ImageKind, Layering, Perm, References, RootMode, Script, Spec, Which};
use layerstone_oci::{Location, Place, Time};
use layerstone_tar::Owner;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// How paths are written.
type ShowPath<'a> = &'a dyn Fn(&Path) -> String;

impl Spec {
    /// The keys of an image.json that gives this spec, with its paths as `show` writes them. Times are those of now where
    /// they are not fixed.
    pub fn to_value(&self, show: &dyn Fn(&Path) -> String) -> Value {
        let default = Spec::new(&self.name);
        let mut keys = Keys { keys: Map::new(), show };
        // No field is left out: one that is added has its key here, or does not compile.
        let Spec { name, tag, kind, contents, copy, tar_layers, layers, helpers, root_layer, .. } = self;
        keys.set(key::NAME, name.as_str());
        keys.some(key::TAG, tag.as_deref());
        keys.unless(key::KIND, *kind == ImageKind::Layered, || json!("single"));
        keys.paths(key::CONTENTS, contents);
        keys.list(key::COPY, copy.iter().map(|entry| copy_entry(entry, show)));
        keys.paths(key::TAR_LAYERS, tar_layers);
        keys.paths(key::LAYERS, layers);
        keys.list(key::HELPERS, helpers.iter().map(|it| helper(it, show)));
        keys.path(key::ROOT_LAYER, root_layer.as_ref());
        self.write_base(&mut keys);
        let Spec { config, annotations, created, mtime, max_layers, min_layer_size, layering, plan, .. } = self;
        keys.unless(key::CONFIG, config.is_empty(), || json!(config));
        keys.unless(key::ANNOTATIONS, annotations.is_empty(), || json!(annotations));
        keys.unless(key::CREATED, *created == default.created, || time(*created));
        keys.unless(key::MTIME, *mtime == default.mtime, || time(*mtime));
        keys.unless(key::MAX_LAYERS, *max_layers == default.max_layers, || json!(max_layers));
        keys.unless(key::MIN_LAYER_SIZE, *min_layer_size == 0, || json!(min_layer_size));
        match layering {
            None => {}
            Some(Layering::Strategy(strategy)) => keys.set(key::STRATEGY, strategy.as_str()),
            Some(Layering::Pipeline(operations)) => keys.set(key::LAYERING_PIPELINE, operations.clone()),
            Some(Layering::PipelineFile(file)) => keys.path(key::LAYERING_PIPELINE, Some(file)),
        }
        keys.path(key::PLAN, plan.as_ref());
        let Spec { compression, owner, architecture, variant, perms, xattrs, .. } = self;
        let compression = compression.map(|params| params.map_or("none", |params| params.name()));
        keys.some(key::COMPRESSION, compression);
        self.write_scripts(&mut keys, &default);
        keys.unless(key::XATTRS, !xattrs, || json!(true));
        keys.list(key::PERMS, perms.iter().map(perm));
        write_owner(&mut keys, owner);
        keys.some(key::ARCHITECTURE, architecture.as_deref());
        keys.some(key::VARIANT, variant.as_deref());
        self.write_store(&mut keys);
        Value::Object(keys.keys)
    }

    fn write_base(&self, keys: &mut Keys<'_>) {
        let Spec { root_mode, replace, from_image, inherit, .. } = self;
        keys.unless(key::ROOT_MODE, *root_mode == RootMode::Links, || json!("copy"));
        keys.unless(key::KEEP_CONTENTS_DIRLINKS, *root_mode != RootMode::CopyKeepingDirlinks, || json!(true));
        keys.unless(key::REPLACE, !replace, || json!(true));
        match from_image {
            None => {}
            Some(Place::File(Location { path, name, tag, .. })) => {
                keys.path(key::FROM_IMAGE, Some(path));
                keys.some(key::FROM_IMAGE_NAME, name.as_deref());
                keys.some(key::FROM_IMAGE_TAG, tag.as_deref());
            }
            Some(place) => keys.set(key::FROM_IMAGE, place.to_string()),
        }
        keys.unless(key::INHERIT, !inherit, || json!(true));
    }

    fn write_scripts(&self, keys: &mut Keys<'_>, default: &Spec) {
        let Spec { script, fake_root_commands, enable_fakechroot, run_as_root, disk_size, vm_memory, .. } = self;
        keys.script(key::EXTRA_COMMANDS, key::EXTRA_COMMANDS_FILE, script.as_ref());
        keys.script(key::FAKE_ROOT_COMMANDS, key::FAKE_ROOT_COMMANDS_FILE, fake_root_commands.as_ref());
        keys.unless(key::ENABLE_FAKECHROOT, !enable_fakechroot, || json!(true));
        keys.script(key::RUN_AS_ROOT, key::RUN_AS_ROOT_FILE, run_as_root.as_ref());
        keys.unless(key::DISK_SIZE, *disk_size == default.disk_size, || json!(disk_size));
        keys.unless(key::BUILD_VM_MEMORY_SIZE, *vm_memory == default.vm_memory, || json!(vm_memory));
    }

    fn write_store(&self, keys: &mut Keys<'_>) {
        let Spec { include_store_paths, references, include_nix_db, nix_uid, nix_gid, .. } = self;
        keys.unless(key::INCLUDE_STORE_PATHS, *include_store_paths, || json!(false));
        match references {
            None | Some(References::Scan) => {}
            Some(References::Graphs(graphs)) => match &graphs[..] {
                [graph] => keys.path(key::GRAPH, Some(graph)),
                graphs => keys.paths(key::GRAPH, graphs),
            },
            Some(References::Database(database)) => keys.path(key::DB, Some(database)),
        }
        keys.unless(key::INCLUDE_NIX_DB, !include_nix_db, || json!(true));
        keys.some(key::NIX_UID, *nix_uid);
        keys.some(key::NIX_GID, *nix_gid);
    }
}

/// Keys that are being written.
struct Keys<'a> {
    keys: Map<String, Value>,
    show: ShowPath<'a>,
}

impl Keys<'_> {
    fn set(&mut self, key: Key, value: impl Into<Value>) {
        self.keys.insert(key.name.to_owned(), value.into());
    }

    fn unless(&mut self, key: Key, is_default: bool, value: impl FnOnce() -> Value) {
        if !is_default {
            self.set(key, value());
        }
    }

    fn some(&mut self, key: Key, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    fn list(&mut self, key: Key, values: impl Iterator<Item = Value>) {
        let values: Vec<Value> = values.collect();
        self.unless(key, values.is_empty(), || values.into());
    }

    fn path(&mut self, key: Key, path: Option<&PathBuf>) {
        self.some(key, path.map(|path| (self.show)(path)));
    }

    fn paths(&mut self, key: Key, paths: &[PathBuf]) {
        self.list(key, paths.iter().map(|path| (self.show)(path).into()).collect::<Vec<_>>().into_iter());
    }

    fn script(&mut self, key: Key, key_of_file: Key, script: Option<&Script>) {
        match script {
            None => {}
            Some(Script::Text(text)) => self.set(key, text.as_str()),
            Some(Script::File(file)) => self.path(key_of_file, Some(file)),
        }
    }
}

fn write_owner(keys: &mut Keys<'_>, owner: &Owner) {
    let (default, Owner { uid, gid, uname, gname }) = (Owner::root(), owner);
    keys.unless(key::UID, *uid == default.uid, || json!(uid));
    keys.unless(key::GID, *gid == default.gid, || json!(gid));
    keys.unless(key::UNAME, *uname == default.uname, || json!(uname));
    keys.unless(key::GNAME, *gname == default.gname, || json!(gname));
}

fn time(time: Time) -> Value {
    match time {
        Time::Now => json!("now"),
        Time::At(timestamp) => json!(timestamp.to_string()),
    }
}

fn copy_entry(entry: &CopyEntry, show: ShowPath<'_>) -> Value {
    let CopyEntry { from, to, mode, uid, gid, exclude, unpack, layer, libraries, divide, layers, share: _ } = entry;
    let mut value = json!({"from": show(from), "to": to});
    let mut some = |key: &str, it: Option<Value>| it.into_iter().for_each(|it| value[key] = it);
    some("mode", mode.map(octal));
    some("uid", uid.map(Value::from));
    some("gid", gid.map(Value::from));
    some("exclude", (!exclude.is_empty()).then(|| json!(exclude)));
    some("unpack", unpack.map(Value::from));
    some("layer", layer.as_deref().map(Value::from));
    some("libraries", libraries.then_some(true.into()));
    some("divide", divide.map(Value::from));
    some("layers", layers.map(Value::from));
    value
}

fn helper(helper: &Helper, show: ShowPath<'_>) -> Value {
    match (helper, helper.package()) {
        (_, Some(package)) => json!({helper.name(): show(package)}),
        (Helper::FakeNss { extra_passwd_lines: passwd, extra_group_lines: group }, _)
            if !passwd.is_empty() || !group.is_empty() =>
        {
            json!({helper.name(): {"extraPasswdLines": passwd, "extraGroupLines": group}})
        }
        _ => json!(helper.name()),
    }
}

fn perm(perm: &Perm) -> Value {
    let Perm { which, mode, uid, gid, uname, gname } = perm;
    let mut value = match which {
        Which::Path(path) => json!({"path": path}),
        Which::Glob(glob) => json!({"glob": glob}),
    };
    let mut some = |key: &str, it: Option<Value>| it.into_iter().for_each(|it| value[key] = it);
    some("mode", mode.map(octal));
    some("uid", uid.map(Value::from));
    some("gid", gid.map(Value::from));
    some("uname", uname.as_deref().map(Value::from));
    some("gname", gname.as_deref().map(Value::from));
    value
}

fn octal(mode: u32) -> Value {
    format!("{mode:04o}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is read as the same spec, and nothing is said of what is at its default.
    #[track_caller]
    fn check(spec: Value) {
        let read = Spec::parse(spec.to_string().as_bytes(), "image.json", Path::new("")).unwrap();
        let written = read.to_value(&|path| path.display().to_string());
        assert_eq!(Spec::parse(written.to_string().as_bytes(), "written", Path::new("")).unwrap(), read, "{written:#}");
        assert_eq!(written, spec);
    }

    #[test]
    fn what_is_written_is_read_the_same() {
        check(json!({"name": "x"}));
        check(json!({
            "name": "x", "tag": "1", "contents": ["/nix/store/a", "./result"],
            "copy": [{"from": "src", "to": "/app", "mode": "0640", "uid": 1, "gid": 2, "exclude": ["*.o"],
                "unpack": false, "layer": "own", "libraries": true, "divide": 2, "layers": 3}],
            "tarLayers": ["a.tar"], "layers": ["b.layer.json"],
            "helpers": ["tmp", {"binSh": "/nix/store/bash"}, {"fakeNss": {"extraPasswdLines": ["a"], "extraGroupLines": []}}],
            "rootMode": "copy", "keepContentsDirlinks": true, "replace": true,
            "fromImage": "base.tar", "fromImageName": "b", "fromImageTag": "2", "inherit": true,
            "config": {"Cmd": ["/bin/x"]}, "annotations": {"a": "b"},
            "created": "2024-01-02T03:04:05Z", "mtime": "now", "maxLayers": 7, "minLayerSize": 5, "strategy": "size",
            "compression": "none", "extraCommands": "true", "fakeRootCommandsFile": "f.sh", "enableFakechroot": true,
            "runAsRoot": "id", "diskSize": 2048, "buildVMMemorySize": 300, "xattrs": true,
            "perms": [{"path": "a", "mode": "0700", "uid": 1, "gid": 2, "uname": "u", "gname": "g"}, {"glob": "b*", "uid": 3}],
            "uid": 1, "gid": 2, "uname": "u", "gname": "g", "architecture": "arm", "variant": "v7",
            "includeStorePaths": false, "graph": "g.json", "includeNixDB": true, "nixUid": 3, "nixGid": 4,
        }));
        check(json!({"name": "x", "kind": "single", "fromImage": "docker.io/library/debian:12", "db": "db.sqlite"}));
        check(json!({"name": "x", "rootLayer": "root.layer.json", "plan": "x.layers.json"}));
        check(json!({"name": "x", "layeringPipeline": [["popularity_contest"]]}));
        check(json!({"name": "x", "layeringPipeline": "pipeline.json", "fakeRootCommands": "x", "rootMode": "copy"}));
    }
}
