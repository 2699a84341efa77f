//! Gathers how the image of a spec was built: its parameters, and all that it was built of, by digests. Nothing of the machine
//! is said, neither in names of files nor in times; docs/provenance.md tells the keys.

use crate::companion::VERSION;
use crate::error::Context;
use crate::{Builder, Result, layer_files_of};
use layerstone_attestation::{Provenance, Resource};
use layerstone_closure::{Closure, nar_hash};
use layerstone_layer::DigestWriter;
use layerstone_layering::{Plan, Strategy};
use layerstone_oci::{Platform, Time, media_type};
use layerstone_overlay::Choice;
use layerstone_root::SandboxMode;
use layerstone_sbom::Subject;
use layerstone_spec::{Layering, References, Script};
use layerstone_store::{Digest, StorePath, open_regular};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::env::var_os;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

/// What the bytes of a digest are that is a NAR's (Nix, "Nix Archive (NAR) format").
const NAR: &str = "application/x-nix-nar";
/// The variable that stands in for the clock.
const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// Who stands for a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuiltBy {
    /// The platform that builds, a URI.
    pub builder_id: Option<String>,
    /// What it calls this build.
    pub invocation_id: Option<String>,
}

/// What the stages of a build made that is no layer.
#[derive(Debug, Default)]
pub(crate) struct MadeStages {
    /// The store paths that the closure began with.
    pub roots: OnceLock<Vec<StorePath>>,
    pub closure: OnceLock<Closure>,
    pub plan: OnceLock<Plan>,
}

impl Builder<'_> {
    /// How the image was built, once it was; `directory` is that of the spec's file, to which its paths are relative.
    ///
    /// # Errors
    ///
    /// A file that it was built of cannot be read any more.
    pub(crate) fn provenance(&self, by: &BuiltBy, directory: &Path, platform: Option<&Platform>) -> Result<Provenance> {
        let show = |path: &Path| shown(path, directory, self.options.store.dir());
        let mut external = Map::new();
        external.insert("image".to_owned(), self.spec.to_value(&show));
        external.insert("options".to_owned(), self.options_said().into());
        let times = [self.spec.created, self.spec.mtime];
        let mut internal = Map::new();
        internal.extend(platform.map(|platform| ("platform".to_owned(), platform.to_string().into())));
        if var_os(EPOCH_VARIABLE).is_some() && times.contains(&Time::Now) {
            internal.insert("sourceDateEpoch".to_owned(), Time::Now.seconds()?.into());
        }
        let BuiltBy { builder_id, invocation_id } = by.clone();
        Ok(Provenance {
            external_parameters: external,
            internal_parameters: internal,
            resolved_dependencies: self.dependencies(&show)?,
            builder_id,
            invocation_id,
            version: VERSION.to_owned(),
        })
    }

    /// What decides bytes besides the spec, or over it.
    fn options_said(&self) -> Map<String, Value> {
        let (settings, options) = (&self.settings, self.options);
        let mut said = Map::new();
        let mut say = |key: &str, value: Value| said.insert(key.to_owned(), value);
        say("strategy", settings.strategy.name().into());
        say("maxLayers", settings.limit.get().into());
        if settings.min_size > 0 {
            say("minLayerSize", settings.min_size.into());
        }
        if !settings.pinned.is_empty() {
            say("pin", settings.pinned.iter().map(ToString::to_string).collect::<Vec<_>>().into());
        }
        match options.compression.of_layers(None, self.spec.compression) {
            None => say("compression", "none".into()),
            Some(params) => {
                say("compressionLevel", params.level().into());
                say("compression", params.name().into())
            }
        };
        if self.spec.run_as_root.is_some() {
            let backend = match options.scripts.backend {
                Choice::Best => "best".to_owned(),
                Choice::Vm => "vm".to_owned(),
                Choice::Only(backend) => backend.to_string(),
            };
            say("backend", backend.into());
        }
        if self.spec.script.is_some() || self.spec.fake_root_commands.is_some() {
            let mode = match options.sandbox.mode {
                SandboxMode::Auto => "auto",
                SandboxMode::Require => "require",
                SandboxMode::None => "none",
            };
            say("sandbox", json!({"mode": mode, "network": options.sandbox.network}));
        }
        said
    }

    /// All that it was built of: store paths, files, stages, the base.
    fn dependencies(&self, show: &dyn Fn(&Path) -> String) -> Result<Vec<Resource>> {
        let mut found = self.root_paths()?;
        for (key, path) in self.files()? {
            let file = dependency(key, &path)?;
            found.push(Resource { annotations: [("path".to_owned(), show(&path))].into(), ..file });
        }
        found.extend(self.made.closure.get().map(|closure| Resource::new("closure", &closure.digest())));
        found.extend(self.made.plan.get().map(|plan| {
            let closure = self.made.closure.get().cloned().unwrap_or_default();
            Resource::new("plan", &plan.clone().with_hashes_of(&closure).digest())
        }));
        let previous = self.settings.previous.as_ref().map(|previous| previous.plan().digest());
        found.extend(previous.map(|digest| Resource::new("previous plan", &digest)));
        found.extend(self.settings.rates.digest().map(|digest| Resource::new("rates", &digest)));
        if let Strategy::Pipeline(pipeline) = &self.settings.strategy {
            found.push(Resource::new("layering pipeline", &pipeline.digest()));
        }
        found.extend(self.base_image()?);
        Ok(found)
    }

    /// The store paths that it began with, and contents that are copied.
    fn root_paths(&self) -> Result<Vec<Resource>> {
        let store = self.options.store;
        let mut roots: BTreeSet<StorePath> = self.made.roots.get().into_iter().flatten().cloned().collect();
        for path in &self.spec.contents {
            roots.insert(store.resolve(path)?);
        }
        let graph = self.made.closure.get().map(|closure| &closure.graph[..]).unwrap_or_default();
        let known: BTreeMap<&StorePath, _> = graph.iter().map(|info| (&info.path, info.nar_hash)).collect();
        let resource = |path: StorePath| -> Result<Resource> {
            let hash = match known.get(&path).copied().flatten() {
                Some(hash) => hash,
                None => nar_hash(&store.locate(path.as_str()))?.0,
            };
            Ok(Resource { media_type: Some(NAR.to_owned()), ..Resource::new(path.as_str(), &hash.digest()) })
        };
        roots.into_iter().map(resource).collect()
    }

    /// Files and directories that the spec names, each with the key that names it.
    fn files(&self) -> Result<Vec<(&'static str, PathBuf)>> {
        let spec = self.spec;
        let mut files: Vec<(&str, PathBuf)> = Vec::new();
        let scripts = [
            ("extraCommandsFile", &spec.script),
            ("fakeRootCommandsFile", &spec.fake_root_commands),
            ("runAsRootFile", &spec.run_as_root),
        ];
        for (key, script) in scripts {
            if let Some(Script::File(path)) = script {
                files.push((key, path.clone()));
            }
        }
        files.extend(spec.copy.iter().map(|entry| ("copy", entry.from.clone())));
        files.extend(spec.tar_layers.iter().map(|path| ("tarLayers", path.clone())));
        files.extend(layer_files_of(&spec.layers)?.into_iter().map(|found| ("layers", found.path)));
        files.extend(spec.root_layer.iter().map(|path| ("rootLayer", path.clone())));
        files.extend(spec.plan.iter().map(|path| ("plan", path.clone())));
        if let Some(Layering::PipelineFile(path)) = &spec.layering {
            files.push(("layeringPipeline", path.clone()));
        }
        if let Some(References::Graphs(graphs)) = &spec.references {
            files.extend(graphs.iter().map(|path| ("graph", path.clone())));
        }
        Ok(files)
    }

    /// The image below: the manifest or index that its name led to in a registry, or the manifest of a file, or else its config.
    fn base_image(&self) -> Result<Option<Resource>> {
        let Some(base) = &self.base else { return Ok(None) };
        const NAME: &str = "fromImage";
        if let Some(origin) = &base.origin
            && let Some(digest) = origin.digest()
        {
            let subject = Subject::image(origin.name(), origin.tag(), Some(digest), digest);
            return Ok(Some(Resource { uri: subject.package_url(), ..Resource::new(NAME, &digest) }));
        }
        let image = base.image()?;
        Ok(Some(match &image.manifest {
            Some(stored) => Resource::new(NAME, &stored.descriptor.digest),
            None => Resource {
                media_type: Some(media_type::CONFIG.to_owned()),
                ..Resource::new(NAME, &Digest::of(&image.config_bytes))
            },
        }))
    }
}

/// A path as others may know it: as it stands in the store, relative to the spec, or its name alone.
fn shown(path: &Path, directory: &Path, store_dir: &str) -> String {
    let path = if path.starts_with(store_dir) { path } else { path.strip_prefix(directory).unwrap_or(path) };
    if path.is_absolute() && !path.starts_with(store_dir) {
        return path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    }
    let named: PathBuf = path.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    named.to_string_lossy().into_owned()
}

/// A file by the digest of its bytes, a directory by that of its NAR.
fn dependency(key: &str, path: &Path) -> Result<Resource> {
    let metadata = path.metadata().with_context(|| format!("cannot read: {}", path.display()))?;
    if metadata.is_dir() {
        let (hash, _) = nar_hash(path)?;
        return Ok(Resource { media_type: Some(NAR.to_owned()), ..Resource::new(key, &hash.digest()) });
    }
    let read = || -> io::Result<Digest> {
        let mut sink = io::sink();
        let mut hashed = DigestWriter::new(&mut sink);
        io::copy(&mut open_regular(path)?, &mut hashed)?;
        Ok(hashed.finish().0)
    };
    Ok(Resource::new(key, &read().with_context(|| format!("cannot read: {}", path.display()))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_others_know_them() {
        let store = "/nix/store";
        for (path, directory, expected) in [
            ("/nix/store/x-1/bin", "", "/nix/store/x-1/bin"),
            ("specs/./src/app", "specs", "src/app"),
            ("./src", "", "src"),
            ("src", "specs", "src"),
            ("/home/me/specs/graph.json", "/home/me/specs", "graph.json"),
            ("/tmp/x/graph.json", "/home/me", "graph.json"),
            ("../graph.json", "", "../graph.json"),
        ] {
            assert_eq!(shown(Path::new(path), Path::new(directory), store), expected);
        }
    }
}
