//! The lab: a real Nix store closure, its references found by Nix's own scanner, made of Debian packages.
//!
//! No binary cache and no nixpkgs are needed, only apt-get, dpkg-deb, patchelf and Nix.
//! Every Debian package, or group of packages that need each other, becomes one derivation; a last one, NAME-env, is
//! a tree of links over them and the closure's root.
//! The derivations' builder is this very program, copied into the work directory (`lab-builder`).
//! The `debian` of the presets is no closure, but Debian itself, for images on a base; `clients` are the container tools
//! of today's Debian, for tests, and `judges` two more of its programs.
//! Meant for a machine of one's own, as root: it fills /nix/store, and nothing is sandboxed.
//!
//! ```text
//! apt ─▶ packages ─▶ deb: facts ─▶ component: who joins whom ─▶ expression ─▶ closure: nix-build, what Nix knows
//!                                                                                │
//!                                                          builder::{component, env, graph}, run by Nix
//! ```

mod apt;
mod builder;
mod clients;
mod closure;
mod component;
mod deb;
mod debian;
mod expression;
mod judges;
mod layout;

pub use builder::Builder;
pub use deb::parse_control;

use anyhow::{Context, Result, bail};
use apt::Apt;
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use xtask::stamp::{self, PRESETS};

/// What to make and where.
#[derive(clap::Args)]
pub struct Options {
    /// Debian packages, or without --name one of small, web, tools, medium, large, debian, clients, judges
    #[arg(required = true)]
    packages: Vec<String>,
    /// Name of a closure of your own
    #[arg(long)]
    name: Option<String>,
    /// Take packages from this suite of Debian alone, such as bookworm without its updates; the closure is NAME-SUITE
    #[arg(long)]
    suite: Option<String>,
    /// Directory for packages and results; the store paths depend on it
    #[arg(long, default_value = "/var/tmp/layerstone-lab")]
    work: PathBuf,
    /// Builds at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Only print the packages with their versions
    #[arg(long)]
    dry_run: bool,
}

/// Makes a closure and leaves what Nix knows of it in WORK/closures/NAME, or Debian itself; at last a stamp of it.
pub fn make(options: &Options) -> Result<()> {
    if options.name.is_none() && options.packages == ["debian"] {
        let file = if options.dry_run { debian::file(&options.work) } else { debian::make(&options.work)? };
        println!("{}", file.display());
        return Ok(());
    }
    if options.name.is_none() && options.packages == ["clients"] {
        let folder = if options.dry_run { clients::folder(&options.work) } else { clients::make(&options.work)? };
        println!("{}", folder.display());
        return Ok(());
    }
    if options.name.is_none() && options.packages == ["judges"] {
        let folder = if options.dry_run { judges::folder(&options.work) } else { judges::make(&options.work)? };
        println!("{}", folder.display());
        return Ok(());
    }
    let clock = Clock(Instant::now());
    let (name, requested) = selection(options)?;
    let (name, apt) = match &options.suite {
        None => (name, Apt::of_machine()),
        Some(suite) => (format!("{name}-{suite}"), Apt::of_suite(suite, &options.work.join("apt").join(suite))?),
    };
    let packages = apt.resolve(&requested)?;
    clock.say(&format!("{} packages", packages.len()));
    if options.dry_run {
        packages.iter().for_each(|package| println!("{} {}", package.name, package.version));
        return Ok(());
    }
    // Nix takes absolute paths only, and every derivation names the work directory.
    let work = std::path::absolute(&options.work).context("cannot find the current directory")?;
    let debs = work.join("debs");
    let folder = work.join("closures").join(&name);
    for folder in [&debs, &folder] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create: {}", folder.display()))?;
    }
    // Until all of it is there, it is no closure of this recipe.
    stamp::remove(&folder)?;
    apt.download(&packages, &debs)?;
    clock.say("downloaded");
    let packages = with_facts(packages, &debs)?;
    let components = component::components(&packages, &requested);
    clock.say(&format!("{} components", components.len()));
    let expression = expression::expression(&name, &install_builder(&work)?, &debs, &components)?;
    let summary = closure::build(&expression, &folder, options.jobs)?;
    stamp::write(&folder, &stamp::text(&requested.join(" ")))?;
    clock.say(&summary);
    println!("{}", folder.display());
    Ok(())
}

/// The closure's name and the packages asked for.
fn selection(options: &Options) -> Result<(String, Vec<String>)> {
    if let Some(name) = &options.name {
        return Ok((name.clone(), options.packages.clone()));
    }
    let preset = PRESETS.iter().find(|(name, _)| options.packages == [*name]);
    let Some((name, packages)) = preset else {
        bail!(
            "no such closure: {}: expected small, web, tools, medium, large, debian, clients or judges, or --name NAME and packages",
            options.packages.join(" ")
        );
    };
    Ok(((*name).to_owned(), packages.split_whitespace().map(str::to_owned).collect()))
}

fn with_facts(packages: Vec<apt::Package>, debs: &Path) -> Result<component::Packages> {
    let read = |package: apt::Package| {
        let facts = deb::facts(&debs.join(&package.file))?;
        Ok((package.name.clone(), (package, facts)))
    };
    packages.into_par_iter().map(read).collect()
}

/// Copies this program into the work directory: the builder's own path is an input of every derivation, and so the store
/// paths are the same wherever the checkout lies.
fn install_builder(work: &Path) -> Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let copy = work.join("lab-builder");
    // By renaming, because a program that is running cannot be written.
    let new = work.join(format!("lab-builder.{}", std::process::id()));
    let installed = fs::copy(&program, &new).and_then(|_| fs::rename(&new, &copy));
    installed.with_context(|| format!("cannot write: {}", copy.display()))?;
    Ok(copy)
}

/// Tells on standard error what is done and when.
struct Clock(Instant);

impl Clock {
    fn say(&self, what: &str) {
        eprintln!("[{:6.1} s] {what}", self.0.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn parse(line: &str) -> Result<(String, Vec<String>)> {
        selection(&Line::try_parse_from(["lab"].into_iter().chain(line.split_whitespace()))?.options)
    }

    #[test]
    fn presets_and_closures_of_ones_own() -> Result<()> {
        let (name, packages) = parse("small")?;
        assert_eq!((name.as_str(), packages.join(" ")), ("small", "hello bash coreutils dash".to_owned()));
        let (name, packages) = parse("--name mine hello dash")?;
        assert_eq!((name.as_str(), packages.len()), ("mine", 2));
        assert_eq!(parse("web")?.1, ["nginx-light"]);
        assert_eq!(parse("large")?.1.len(), 23);
        assert!(parse("hello dash").is_err() && parse("").is_err());
        Ok(())
    }
}
