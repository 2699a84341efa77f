//! `closure --verify`: whether the store's files still are what a closure recorded.

use crate::args::Common;
use crate::screen::answer::print_answer;
use crate::screen::out::print;
use crate::screen::table::{counted, size};
use anyhow::{Context, Result, bail};
use layerstone_closure::{Closure, Mismatch, verify};
use layerstone_layer::Progress;
use layerstone_store::Store;
use serde_json::{Value, json};
use std::path::Path;

/// Prints every path that differs; one is an error.
pub fn run(file: &Path, store: &Store, as_json: bool, common: &Common) -> Result<()> {
    let closure = Closure::read(file)?;
    let bytes = closure.graph.iter().filter_map(|info| info.nar_size).fold(0, u64::saturating_add);
    let work = |progress: &Progress| verify(&closure, store, |count| progress.add_bytes(count));
    let mismatches = common
        .report()
        .during("verifying", Some(bytes), Vec::new(), work)
        .with_context(|| file.display().to_string())?;
    let paths = closure.graph.len();
    if as_json {
        let differing: Vec<Value> = mismatches.iter().map(entry).collect();
        let answer = json!({"differing": differing, "narSize": bytes, "paths": paths});
        print_answer("closure-verify", &answer)?;
    } else if mismatches.is_empty() {
        print(format_args!("{}, {}: all as recorded\n", counted(paths, "path"), size(bytes)))?;
    } else {
        print(mismatches.iter().map(line).collect::<String>())?;
    }
    match mismatches.len() {
        0 => Ok(()),
        count => {
            let differ = if paths == 1 { "differs" } else { "differ" };
            bail!("not as recorded: {}: {count} of {} {differ}", file.display(), counted(paths, "path"))
        }
    }
}

fn line(mismatch: &Mismatch) -> String {
    let what = match &mismatch.found {
        Err(error) => error.to_string(),
        Ok((hash, _)) if *hash != mismatch.nar_hash => {
            format!("NAR hash: found {hash}, expected {}", mismatch.nar_hash)
        }
        Ok((_, size)) => format!("NAR size: found {size}, expected {}", mismatch.nar_size.unwrap_or_default()),
    };
    format!("{}: {what}\n", mismatch.path)
}

fn entry(mismatch: &Mismatch) -> Value {
    let mut entry = json!({"path": mismatch.path, "expected": {"narHash": mismatch.nar_hash}});
    if let Some(size) = mismatch.nar_size {
        entry["expected"]["narSize"] = size.into();
    }
    match &mismatch.found {
        Ok((hash, size)) => entry["found"] = json!({"narHash": hash, "narSize": size}),
        Err(error) => entry["error"] = error.to_string().into(),
    }
    entry
}
