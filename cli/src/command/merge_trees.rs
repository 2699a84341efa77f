//! `layerstone merge-trees`: directories and tars merged into one tree.

use crate::args::Common;
use crate::args::limit::LimitArgs;
use crate::args::time::parse_time;
use crate::overwrite::Files;
use anyhow::{Result, bail};
use clap::Args;
use layerstone_layer::{Progress, write_layer};
use layerstone_oci::Time;
use layerstone_pipeline::{check_tar, open_tree};
use layerstone_root::{Error as RootError, MergedTrees, TreeSource, merge_trees};
use layerstone_store::{Output, write_whole};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Merge directories and tars into one tree
///
/// It does what dockerTools' mergeDrvs does. Of two files or links with the same name the last one wins, with a warning if
/// they differ; directories are merged, and a directory and something else of one name are an error. Tars may be
/// compressed with gzip, zstd, xz or bzip2.
///
/// The output is a new directory, or if its name ends in .tar, a tar that belongs to root.
#[derive(Args)]
pub struct Options {
    /// Directories, links to directories, tars
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<PathBuf>,
    /// Directory or tar to make
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    /// Merge nothing, but write a file that names the sources: what depends on it depends on them
    #[arg(long)]
    only_deps: bool,
    /// Fail if sources conflict
    #[arg(long)]
    strict: bool,
    /// Modification time of all that is in the tar: a date with a time and a zone or without, @SECONDS, or now [default: 1970-01-01T00:00:01Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    mtime: Option<Time>,
    #[command(flatten)]
    limits: LimitArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    Files::default().reads(&options.sources).writes([&options.output]).check()?;
    if options.only_deps {
        let names: Vec<&[u8]> = options.sources.iter().map(|source| source.as_os_str().as_bytes()).collect();
        return Ok(write_whole(&options.output, &[names.join(&b' '), b"\n".to_vec()].concat())?);
    }
    if options.output == Path::new("-") {
        bail!("cannot make: -: expected a directory, or a name that ends in .tar");
    }
    check_tar(&options.output, None)?;
    let is_tar = options.output.as_os_str().as_bytes().to_ascii_lowercase().ends_with(b".tar");
    let open = |source: &PathBuf| open_tree(source, options.limits.limits(), true);
    let sources = options.sources.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    // All of them are trees: what is no directory is read as a tar.
    let sources: Vec<TreeSource> = sources.into_iter().flatten().collect();
    let merged = merge_trees(&sources)?;
    if options.strict && !merged.conflicts.is_empty() {
        return Err(RootError::Conflicts { conflicts: merged.conflicts }.into());
    }
    match is_tar {
        true => write_tar(&merged, options.mtime, &options.output)?,
        false => merged.write_directory(&options.output)?,
    }
    merged.conflicts.iter().for_each(|conflict| common.warn(format_args!("contents conflict: {conflict}")));
    Ok(())
}

fn write_tar(merged: &MergedTrees, mtime: Option<Time>, output: &Path) -> Result<()> {
    let source = merged.tar(mtime.unwrap_or(Time::one_second()).seconds()?);
    let mut out = Output::create(output)?;
    write_layer(&source, &mut out, output, &Progress::default())?;
    Ok(out.commit()?)
}
