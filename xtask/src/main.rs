//! Developer tasks of layerstone: `cargo xtask help`.

mod bench;
mod crash;
mod dist;
mod elf;
mod fuzz;
mod lab;
mod manual;
mod process;
mod release;
mod roff;
mod updates;

use anyhow::{Context, Result};
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
        /// Directory that receives the store paths, such as ROOT/nix/store
        store_dir: PathBuf,
        /// Directory that receives graph.json and registration
        out_dir: PathBuf,
    },
    /// Make a real Nix store closure, or a base image's files, out of Debian packages; needs root and `apt-get install
    /// nix-bin patchelf mmdebstrap`
    Lab(lab::Options),
    /// Build one derivation of a lab, run by Nix
    #[command(hide = true)]
    LabBuilder {
        /// Which kind of derivation
        builder: lab::Builder,
    },
    /// Build one static binary of layerstone
    Dist {
        /// Directory that receives layerstone-VERSION-TARGET [default: dist at the workspace's top]
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Profile of Cargo.toml that it is built with
        #[arg(long, value_name = "NAME", default_value = dist::PROFILE)]
        profile: String,
    },
    /// Make a release: static programs with man pages and completions as archives and packages of Debian, an image, checksums
    Release(release::Options),
    /// Measure layerstone beside tar, cat, pigz and openssl; a table in Markdown
    Bench(bench::Options),
    /// Kill layerstone, let its system calls fail, run many at once, and check what is left; tables in Markdown
    #[command(subcommand)]
    Crash(crash::Task),
    /// Give made-up inputs to what reads input of others; a table in Markdown
    Fuzz(fuzz::Options),
    /// Write in which weeks Debian's packages were updated, and the graphs that `bench history` replays; needs Debian 12 and
    /// a network
    Updates(updates::Options),
    /// Put the pages of docs/ together with the help of all commands, and make the book of them with mdbook
    Book {
        /// Directory that receives src and html [default: target/book at the workspace's top]
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Address of the repository's files, such as https://host.example/layerstone/blob/main [default: copies in the book]
        #[arg(long, value_name = "URL")]
        repository: Option<String>,
        /// Write src alone, without mdbook
        #[arg(long)]
        pages_only: bool,
    },
    /// Write the man pages
    Man {
        /// Directory that receives them [default: target/man at the workspace's top]
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
        Task::Dist { output, profile } => dist(&output.unwrap_or_else(|| top().join("dist")), &profile),
        Task::Release(options) => release::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Crash(task) => crash::run(&task),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Updates(options) => updates::run(&options),
        Task::Book { output, repository, pages_only } => {
            book(&output.unwrap_or_else(|| top().join("target/book")), repository.as_deref(), pages_only)
        }
        Task::Man { output } => man(&output.unwrap_or_else(|| top().join("target/man"))),
    }
}

/// The workspace's top directory.
fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

fn synth(store_dir: &Path, out_dir: &Path) -> Result<()> {
    let synth = xtask::synth::make(store_dir, out_dir)?;
    let bytes: u64 = synth.graph.iter().map(|info| info.nar_size).sum();
    println!("{} paths, {bytes} bytes of NARs", synth.graph.len());
    Ok(())
}

fn dist(folder: &Path, profile: &str) -> Result<()> {
    let binary = dist::build(folder, profile)?;
    println!("{} {} bytes", binary.display(), binary.metadata()?.len());
    Ok(())
}

fn book(folder: &Path, repository: Option<&str>, pages_only: bool) -> Result<()> {
    xtask::book::assemble(&top(), folder, repository)?;
    if pages_only {
        return Ok(());
    }
    let status = std::process::Command::new("mdbook").arg("build").arg(folder).status();
    let status = status.context("cannot run mdbook: `cargo install mdbook --locked` installs it")?;
    anyhow::ensure!(status.success(), "mdbook failed: {status}");
    println!("{}", folder.join("html/index.html").display());
    Ok(())
}

fn man(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create: {}", folder.display()))?;
    let arguments = ["run", "--quiet", "--package", "layerstone", "--", "man"];
    process::run(xtask::cargo().args(arguments).arg(folder))?;
    manual::write(&top(), folder)
}
