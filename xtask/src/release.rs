//! Makes a release: for each target a static program with man pages and completions as an archive and as a package of Debian,
//! an image of ourselves for all targets, release notes, checksums, and a signature of them.
//!
//! The sources are those of HEAD, and all that is made of them is the same bytes in any directory: paths of the machine are
//! replaced in the program, times are that of the commit. `--twice` compiles in a second directory and compares.

mod binary;
mod image;
mod notes;
mod package;
mod source;
mod sums;
mod target;

use crate::top;
use anyhow::{Context, Result, ensure};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use target::Target;

/// Flags of `cargo xtask release`.
#[derive(Args)]
pub struct Options {
    /// Directory that receives what is handed out [default: target/release-files at the workspace's top]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Target to compile for; may be given several times [default: both]
    #[arg(long = "target", value_name = "TRIPLE")]
    targets: Vec<Target>,
    /// Profile of Cargo.toml that it is built with
    #[arg(long, value_name = "NAME", default_value = crate::dist::PROFILE)]
    profile: String,
    /// Address of the repository, such as https://host.example/team/layerstone: for release notes, packages and the image
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
    /// Who stands for the package of Debian
    #[arg(long, value_name = "NAME <ADDRESS>", default_value = "layerstone <layerstone@localhost>")]
    maintainer: String,
    /// Private key in PEM, of ECDSA with P-256, that signs SHA256SUMS and the image
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Compile a second time, in another directory, and compare
    #[arg(long)]
    twice: bool,
}

/// What all parts of a release have in common.
struct Release<'a> {
    /// Where the sources of HEAD are.
    source: &'a Path,
    /// What is handed out goes there.
    output: &'a Path,
    /// Directory for what is made on the way.
    work: &'a Path,
    /// Seconds since 1970 of the commit.
    epoch: u64,
    /// Where the repository is, if that is known.
    repository: Option<&'a str>,
    /// Who stands for the package of Debian.
    maintainer: &'a str,
}

/// Makes a release.
pub fn run(options: &Options) -> Result<()> {
    let output = options.output.clone().unwrap_or_else(|| top().join("target/release-files"));
    let work = top().join("target/release-work");
    let targets = if options.targets.is_empty() { Target::ALL.to_vec() } else { options.targets.clone() };
    for directory in [&output, &work] {
        fs::create_dir_all(directory).with_context(|| format!("cannot create: {}", directory.display()))?;
    }
    let (output, work) = (output.canonicalize()?, work.canonicalize()?);
    let source = work.join("source");
    let epoch = source::export(&source)?;
    let release = Release {
        source: &source,
        output: &output,
        work: &work,
        epoch,
        repository: options.repository.as_deref(),
        maintainer: &options.maintainer,
    };
    let mut binaries = Vec::new();
    for target in targets {
        let binary = binary::build(&source, target, &options.profile)?;
        if options.twice {
            compare(&release, target, &options.profile, &binary)?;
        }
        binaries.push((target, binary));
    }
    let host = binaries.iter().find(|(target, _)| target.is_of_this_machine());
    let (_, host) = host.context("no target of this machine among them: its program writes man pages and the image")?;
    let mut made = Vec::new();
    for (target, binary) in &binaries {
        let tree = package::tree(&release, *target, binary, host)?;
        made.push(package::archive(&release, *target, &tree)?);
        made.push(package::deb(&release, *target, &tree)?);
    }
    made.push(image::make(&release, &binaries, host, options.key.as_deref())?);
    made.push(notes::write(&release)?);
    made.extend(sums::write(&release, &made, options.key.as_deref())?);
    for path in made {
        println!("{} {} bytes", path.display(), path.metadata()?.len());
    }
    Ok(())
}

/// Compiles in a directory of another name and length.
fn compare(release: &Release<'_>, target: Target, profile: &str, first: &Path) -> Result<()> {
    let second = release.work.join("the-same-in-another-directory");
    source::export(&second)?;
    let second = binary::build(&second, target, profile)?;
    let same = fs::read(first)? == fs::read(&second)?;
    ensure!(same, "not the same bytes: {} and {}", first.display(), second.display());
    println!("{}: the same bytes in two directories", target.triple());
    Ok(())
}
