//! `layerstone cache`: what is in the cache, and making room in it.

use crate::args::cache::default_directory;
use crate::screen::answer::{AnswerArgs, print_answer};
use crate::screen::out::print;
use crate::screen::table::{counted, size};
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use layerstone_pipeline::{Error, SIZE};
use layerstone_store::{Cache, CacheContents, PruneStats, Usage, parse_bytes};
use serde::Serialize;
use std::path::PathBuf;

/// Look into the cache, which remembers what layers are
#[derive(Subcommand)]
pub enum Command {
    /// Show what is in it
    Stats(StatsOptions),
    /// Remove what was used longest ago, down to a size
    Prune(PruneOptions),
    /// Read all of it and remove what is damaged; status 1 if there was anything
    Verify(VerifyOptions),
}

#[derive(Args)]
pub struct StatsOptions {
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

#[derive(Args)]
pub struct PruneOptions {
    /// Most bytes to keep; 0 keeps nothing
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value_t = SIZE)]
    cache_size: u64,
    /// Show how much would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

#[derive(Args)]
pub struct VerifyOptions {
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

/// Which cache.
#[derive(Args)]
pub struct CacheArgs {
    /// The cache's directory [default: $LAYERSTONE_CACHE, or layerstone in the user's cache directory]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Stats(options) => stats(options),
        Command::Prune(options) => {
            let (cache, limit) = (options.cache.open()?, options.cache_size);
            let (stats, words) = match options.dry_run {
                true => (cache.prunable(limit)?, ("would remove", "keep")),
                false => (cache.prune(limit)?, ("removed", "kept")),
            };
            let (removed, kept) = (shown(stats.removed), shown(stats.kept));
            let passed_over = passed_over_text(stats.passed_over);
            let value = || PruneAnswer::of(&cache, &stats, options.dry_run);
            let text = || format!("{} {removed}, {} {kept}{passed_over}\n", words.0, words.1);
            options.answer.print("cache-prune", value, text)
        }
        Command::Verify(options) => {
            let cache = options.cache.open()?;
            let stats = cache.verify()?;
            let PruneStats { kept, removed, passed_over } = stats;
            let (removed_text, kept, passed_over) = (shown(removed), shown(kept), passed_over_text(passed_over));
            let is_good = removed.files == 0;
            let text = || if is_good { format!("read {kept}, all good{passed_over}\n") } else { String::new() };
            options.answer.print("cache-verify", || PruneAnswer::of(&cache, &stats, false), text)?;
            if !is_good {
                bail!("damaged: {}: removed {removed_text}, kept {kept}{passed_over}", cache.directory().display());
            }
            Ok(())
        }
    }
}

/// What was or would be removed, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PruneAnswer {
    folder: String,
    dry_run: bool,
    removed: Room,
    kept: Room,
    passed_over: u64,
}

#[derive(Serialize)]
struct Room {
    files: u64,
    bytes: u64,
}

impl PruneAnswer {
    fn of(cache: &Cache, stats: &PruneStats, dry_run: bool) -> PruneAnswer {
        let room = |it: Usage| Room { files: it.files, bytes: it.bytes };
        PruneAnswer {
            folder: cache.directory().display().to_string(),
            dry_run,
            removed: room(stats.removed),
            kept: room(stats.kept),
            passed_over: stats.passed_over,
        }
    }
}

fn stats(options: &StatsOptions) -> Result<()> {
    let cache = options.cache.open()?;
    let CacheContents { kinds, passed_over } = cache.contents()?;
    let directory = cache.directory().display();
    if options.answer.is_json() {
        let kinds = kinds.map(|(kind, room)| {
            (kind.name().to_owned(), serde_json::json!({"files": room.files, "bytes": room.bytes}))
        });
        let kinds = serde_json::Map::from_iter(kinds);
        let answer = serde_json::json!({"folder": directory.to_string(), "kinds": kinds, "passedOver": passed_over});
        return print_answer("cache-stats", &answer);
    }
    print(format_args!("{directory}\n"))?;
    for (kind, room) in kinds {
        print(format_args!("  {:8} {}\n", kind.name(), shown(room)))?;
    }
    match passed_over {
        0 => Ok(()),
        count => print(format_args!("  passed over {count} without permission\n")),
    }
}

/// What this user may not list, read or remove.
fn passed_over_text(count: u64) -> String {
    if count == 0 { String::new() } else { format!(", passed over {count} without permission") }
}

fn shown(room: Usage) -> String {
    format!("{} of {}", counted(room.files, "file"), size(room.bytes))
}

impl CacheArgs {
    fn open(&self) -> Result<Cache> {
        let directory = self.cache.clone().or_else(default_directory);
        let no_cache =
            |message| Error::advised(format_args!("no cache: {message}"), "a build with --cache DIR makes one");
        let nowhere = || no_cache("found neither --cache, LAYERSTONE_CACHE nor a home, expected one".to_owned());
        let directory = directory.ok_or_else(nowhere)?;
        if !directory.is_dir() {
            return Err(no_cache(format!("{}: it does not exist", directory.display())).into());
        }
        Ok(Cache::open(&directory)?)
    }
}
