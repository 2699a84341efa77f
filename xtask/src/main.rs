//! Developer tasks of layerstone: `cargo xtask help`.

mod dist;
mod elf;
mod lab;
mod process;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Developer tasks of layerstone
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write the synthetic store: 13 paths with every corner that a tar writer meets
    Synth {
        /// Folder that receives the store paths, such as ROOT/nix/store
        store_dir: PathBuf,
        /// Folder that receives graph.json and registration
        out_dir: PathBuf,
    },
    /// Make a real Nix store closure out of Debian packages; needs root and `apt-get install nix-bin patchelf`
    Lab(lab::Options),
    /// Build one derivation of a lab, run by Nix
    #[command(hide = true)]
    LabBuilder {
        /// Which kind of derivation
        builder: lab::Builder,
    },
    /// Build one static release binary of layerstone
    Dist {
        /// Folder that receives layerstone-VERSION-TARGET [default: dist at the workspace's top]
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Synth { store_dir, out_dir } => synth(&store_dir, &out_dir),
        Task::Lab(options) => lab::make(&options),
        Task::LabBuilder { builder } => builder.run(),
        Task::Dist { output } => {
            dist(&output.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("dist")))
        }
    }
}

fn synth(store_dir: &Path, out_dir: &Path) -> Result<()> {
    let synth = xtask::synth::make(store_dir, out_dir)?;
    let bytes: u64 = synth.graph.iter().map(|info| info.nar_size).sum();
    println!("{} paths, {bytes} bytes of NARs", synth.graph.len());
    Ok(())
}

fn dist(folder: &Path) -> Result<()> {
    let binary = dist::build(folder)?;
    println!("{} {} bytes", binary.display(), binary.metadata()?.len());
    Ok(())
}
