//! `layerstone sbom`: the bill of materials of an image or a closure, and what two of them differ in.

mod source;
mod vulnerabilities;

use crate::args::Common;
use crate::args::bill::{BillArgs, FormatArg};
use crate::args::platform::PlatformArgs;
use crate::args::read::ReadArgs;
use crate::args::store::StoreArgs;
use crate::overwrite::Files;
use crate::screen::answer::print_answer;
use crate::screen::color::Paint;
use crate::screen::fit::clean;
use crate::screen::out::print;
use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use layerstone_oci::Time;
use layerstone_pipeline::{BillSources, ImageSource, add_sha512};
use layerstone_sbom::{BillDiff, bill_difference};
use layerstone_spec::Spec;
use layerstone_store::write_text;
use source::Source;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

/// Write the bill of materials of an image or a closure
///
/// It lists each store path with its package, version, hash, references and layer, and the packages that the
/// databases of a base list (dpkg, apk, rpm). The references of an image are those of --graph, of Nix's database in it, or of its files.
/// Of an image.json it lists what the image would have.
#[derive(Args)]
pub struct Options {
    /// Image (FILE[#NAME:TAG], oci:DIR, registry:REF, docker:NAME, or any other place), image.json, closure file, references graph, or
    /// plan with --graph; - is a closure on standard input
    #[arg(value_name = "IMAGE|SPEC|PLAN|CLOSURE", required_unless_present = "diff")]
    source: Option<OsString>,
    /// Show which packages were added, removed and changed from one image or closure to another, by name and version
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["source", "format", "output"])]
    diff: Vec<OsString>,
    /// Show which packages a file of advisories says are vulnerable (OSV records, or OpenVEX), and what brings them in;
    /// status 1 if there are any
    #[arg(long, value_name = "FILE", conflicts_with_all = ["diff", "format", "output"])]
    vulns: Vec<PathBuf>,
    /// Format of the bill
    #[arg(long, value_enum, default_value_t = FormatArg::Cyclonedx)]
    format: FormatArg,
    /// Name of the subject [default: the name of the image or file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Supplier of packages for which --meta names none
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    supplier: Option<String>,
    /// Time in the bill [default: SOURCE_DATE_EPOCH, or the image's]
    #[arg(long, value_name = "TIME")]
    created: Option<Time>,
    /// Add the sha512 of each path's NAR, read from this machine's store
    #[arg(long)]
    sha512: bool,
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Print the answer of --diff or --vulns as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bill: BillArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    let wanted = options.platform.of_image();
    let store = options.store.store()?;
    let (graph, database) = (options.bill.graph()?, options.bill.database(&store)?);
    let sources = BillSources { graph: graph.as_ref(), database: database.as_ref() };
    let source = Source { opener: &opener, wanted: &wanted, store: &store, graphs: options.bill.graphs(), sources };
    if let [old, new] = &options.diff[..] {
        let diff = bill_difference(&source.bill(old, None)?, &source.bill(new, None)?);
        return match options.json {
            true => print_answer("sbom-diff", &serde_json::to_value(diff)?),
            false => print(text(&diff, common.color.of_stdout())),
        };
    }
    if options.json && options.vulns.is_empty() {
        bail!("--json: expected --diff or --vulns, whose answers it prints; a bill is JSON in any format");
    }
    let text = options.source.as_deref().context("nothing to write a bill of")?;
    let place = crate::args::read::parse_place(text)?;
    let files = Files::default().reads(place.path()).reads(options.bill.files()).reads(&options.vulns);
    let mut files = files.reads(options.read.files());
    if let ImageSource::Spec(path) = ImageSource::parse(text)?
        && source.is_spec(text, &place)?
    {
        for spec in Spec::read_all(&path)? {
            files = files.reads_spec(Some(&path), &spec);
        }
    }
    files.writes([&options.output]).check()?;
    let mut bill = source.bill(text, options.created)?;
    options.bill.meta()?.iter().for_each(|meta| bill.set_meta(meta));
    if !options.vulns.is_empty() {
        return vulnerabilities::show(&bill, &options.vulns, options.json, common);
    }
    if options.sha512 {
        add_sha512(&mut bill, &store, common)?;
    }
    if let Some(name) = &options.name {
        bill.subject.name.clone_from(name);
    }
    bill.supplier.clone_from(&options.supplier);
    Ok(write_text(&options.output, &bill.write(options.format.format()))?)
}

/// `+ added`, `- removed`, `  changed OLD -> NEW`, a line each.
fn text(diff: &BillDiff, paint: Paint) -> String {
    let of = |name: &str, versions: &BTreeSet<String>| {
        let versions: Vec<&str> = versions.iter().map(String::as_str).filter(|version| !version.is_empty()).collect();
        clean(format!("{name} {}", versions.join(", ")).trim_end())
    };
    let removed = diff.removed.iter().map(|it| paint.gone(format!("- {}", of(&it.name, &it.versions))));
    let added = diff.added.iter().map(|it| paint.sent(format!("+ {}", of(&it.name, &it.versions))));
    let changed = diff.changed.iter().map(|it| format!("~ {} -> {}", of(&it.name, &it.old), of("", &it.new).trim()));
    let lines: Vec<String> = removed.chain(added).chain(changed).map(|line| line + "\n").collect();
    match lines.is_empty() {
        true => "no package was added, removed or changed\n".to_owned(),
        false => lines.concat(),
    }
}
