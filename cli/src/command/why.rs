//! `layerstone why`: what brings a store path into an image or a closure.

use super::closure::question::why::Limit;
use crate::args::Common;
use crate::args::look::LookArgs;

use crate::closure_source::ClosureSource;
use crate::screen::answer::print_answer;
use crate::screen::color::Paint;
use crate::screen::fit::clean;
use crate::screen::out::print;
use crate::screen::table::size;
use anyhow::{Result, bail};
use clap::Args;
use layerstone_closure::chains;
use layerstone_store::StorePath;
use serde_json::{Value, json};
use std::ffi::OsString;

/// Show what brings a store path into an image or a closure
///
/// Shown are chains of references, the shortest first: each path refers to the one below it, and the first is one that
/// nothing else refers to. The layers of an image are searched for references.
#[derive(Args)]
pub struct Options {
    /// Image (FILE[#NAME:TAG], oci:DIR, registry:REF, docker:NAME, or any other place), closure file or references graph
    #[arg(value_name = "IMAGE|CLOSURE")]
    source: OsString,
    /// What is asked about: a store path, a file in one, a link to one, or a pattern of names such as openssl or 'lib*'
    #[arg(value_name = "PATH|NAME")]
    what: OsString,
    /// Begin with these paths or names alone
    #[arg(value_name = "ROOT")]
    roots: Vec<OsString>,
    /// Chains to show for each path, a number or all
    #[arg(long, value_name = "N", default_value = "3")]
    chains: Limit,
    /// Show whole store paths instead of names
    #[arg(long)]
    wide: bool,
    #[command(flatten)]
    look: LookArgs,
}

/// A path, and what brings it in.
struct Reason<'a> {
    path: &'a StorePath,
    size: Option<u64>,
    layer: Option<usize>,
    total: u64,
    chains: Vec<Vec<&'a StorePath>>,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let registries = options.look.read.registries(common);
    let opener = options.look.read.opener(&registries, common);
    let source = ClosureSource::open(&options.source, &options.look.store, &options.look.platform.of_image(), &opener)?;
    let mut roots = Vec::new();
    for root in &options.roots {
        roots.extend(source.matching(root)?.into_iter().cloned());
    }
    let reasons = source.matching(&options.what)?.into_iter().map(|path| reason(path, &source, &roots, options.chains));
    let reasons: Vec<Reason<'_>> = reasons.collect::<Result<_>>()?;
    if reasons.iter().all(|reason| reason.total == 0) {
        let (names, roots) = (options.what.display(), roots.iter().map(StorePath::name).collect::<Vec<_>>().join(", "));
        bail!("no chain of references: {}: {names} is not needed by {roots}", source.name);
    }
    if options.look.json {
        let reasons: Vec<Value> = reasons.iter().map(Reason::json).collect();
        return print_answer("why", &json!({"paths": reasons}));
    }
    let paint = common.color.of_stdout();
    let texts: Vec<String> = reasons.iter().map(|reason| reason.text(options.wide, paint)).collect();
    print(texts.join("\n"))
}

fn reason<'a>(path: &'a StorePath, source: &'a ClosureSource, roots: &[StorePath], limit: Limit) -> Result<Reason<'a>> {
    let chains = chains(&source.closure, roots, path)?;
    let size = source.closure.graph.iter().find(|info| info.path == *path).and_then(|info| info.nar_size);
    let mut layers = source.layers.iter().flat_map(|plan| plan.layers.iter().enumerate());
    let layer = layers.find(|(_, paths)| paths.contains(path)).map(|(index, _)| source.numbers[index]);
    Ok(Reason { path, size, layer, total: chains.total(), chains: chains.take(limit.number()).collect() })
}

impl Reason<'_> {
    fn text(&self, wide: bool, paint: Paint) -> String {
        let name = |path: &StorePath| clean(if wide { path.as_str() } else { path.name() });
        let mut text = paint.bold(name(self.path));
        text += &self.size.map(|bytes| format!(", {}", size(bytes))).unwrap_or_default();
        text += &self.layer.map(|layer| format!(", in layer {layer}")).unwrap_or_default();
        let shown = self.chains.len();
        let count = if self.total == u64::MAX { format!("{} or more", self.total) } else { self.total.to_string() };
        text += &match self.total {
            0 => ": nothing leads to it\n".to_owned(),
            1 => ": one chain of references leads to it\n".to_owned(),
            total if total > shown as u64 => format!(": the shortest {shown} of {count} chains of references\n"),
            _ => format!(": {count} chains of references lead to it\n"),
        };
        for chain in &self.chains {
            text.push('\n');
            for (depth, path) in chain.iter().enumerate() {
                let branch = match depth {
                    0 => String::new(),
                    depth => " ".repeat(3 * (depth - 1)) + "└─ ",
                };
                let name = if *path == self.path { paint.bold(name(path)) } else { name(path) };
                text += &format!("  {}{name}\n", paint.dim(branch));
            }
        }
        text
    }

    fn json(&self) -> Value {
        let mut value = json!({"path": self.path, "total": self.total, "chains": self.chains});
        value["size"] = self.size.into();
        value["layer"] = self.layer.into();
        value
    }
}
