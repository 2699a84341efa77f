//! A database as Nix keeps it of a large store: 100,000 paths and a million references, no files.

use crate::bench::random::Random;
use anyhow::{Context, Result};
use rusqlite::{Connection, params};
use std::fs;
use std::path::Path;

/// Paths in the database.
const PATHS: u64 = 100_000;
/// Paths that one root leads to. All others are in closures of the same size, which share nothing.
const CLOSURE: u64 = 5_000;
/// References of a path: itself, the next one of its closure, and so many at random of those after it. Some of these
/// are the same, so that there are a little more than a million in all.
const AT_RANDOM: u64 = 10;
/// The version of Nix's schema, which Nix wants to see in a file.
const VERSION: &str = "10";

/// What Nix 2 makes (nix, src/libstore/schema.sql): tables and indices, of which the time depends.
const SCHEMA: &str = "
    create table ValidPaths (id integer primary key autoincrement not null, path text unique not null,
        hash text not null, registrationTime integer not null, deriver text, narSize integer, ultimate integer,
        sigs text, ca text);
    create table Refs (referrer integer not null, reference integer not null, primary key (referrer, reference),
        foreign key (referrer) references ValidPaths(id) on delete cascade,
        foreign key (reference) references ValidPaths(id) on delete restrict);
    create index IndexReferrer on Refs(referrer);
    create index IndexReference on Refs(reference);
    create table DerivationOutputs (drv integer not null, id text not null, path text not null,
        primary key (drv, id), foreign key (drv) references ValidPaths(id) on delete cascade);
    create index IndexDerivationOutputs on DerivationOutputs(path);";

/// Makes the database and the file beside it that says its version; a root of 5,000 paths.
pub fn write(path: &Path) -> Result<String> {
    let context = || format!("cannot write: {}", path.display());
    let folder = path.parent().with_context(context)?;
    fs::create_dir_all(folder).with_context(context)?;
    fs::write(folder.join("schema"), VERSION).with_context(context)?;
    fill(&mut Connection::open(path).with_context(context)?).with_context(context)
}

/// A path's row is any, as in a store that has grown for years: neighbours of one closure are not neighbours here.
fn fill(connection: &mut Connection) -> Result<String> {
    let mut random = Random::new(0);
    let mut places: Vec<u64> = (0..PATHS).collect();
    for last in (1..places.len()).rev() {
        places.swap(last, usize::try_from(random.below(last as u64 + 1))?);
    }
    let mut rows: Vec<(u64, u64)> = places.iter().copied().zip(0..).collect();
    rows.sort_unstable();
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Rows come in their order, which is none of references.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.execute_batch(SCHEMA)?;
    let transaction = connection.transaction()?;
    {
        let mut paths = transaction.prepare(
            "insert into ValidPaths (id, path, hash, registrationTime, deriver, narSize, sigs)
             values (?, ?, ?, 1, ?, ?, ?)",
        )?;
        let mut references = transaction.prepare("insert or ignore into Refs values (?, ?)")?;
        for (row, index) in rows {
            let (path, hash) = (name(index), format!("sha256:{:064x}", Random::new(index).next()));
            let (deriver, signature) = (format!("{path}.drv"), format!("cache.example-1:{}", "A".repeat(86)));
            let size = 1 + random.below(1 << 24);
            paths.execute(params![signed(row)?, path, hash, deriver, signed(size)?, signature])?;
            for other in referred(index, &mut random) {
                references.execute([signed(row)?, signed(places[usize::try_from(other)?])?])?;
            }
        }
    }
    transaction.commit()?;
    Ok(name(0))
}

/// Which paths of its closure a path refers to.
fn referred(index: u64, random: &mut Random) -> Vec<u64> {
    let after = CLOSURE - 1 - index % CLOSURE;
    let mut others = vec![index];
    if after > 0 {
        others.push(index + 1);
        others.extend((0..AT_RANDOM).map(|_| index + 1 + random.below(after)));
    }
    others
}

fn name(index: u64) -> String {
    format!("/nix/store/{}-package-{index}", Random::new(index).hash_part())
}

/// SQLite's integers are signed.
fn signed(number: u64) -> Result<i64> {
    Ok(i64::try_from(number)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_large_as_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db/db.sqlite");
        let root = write(&file).unwrap();
        let connection = Connection::open(&file).unwrap();
        let count = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs();
        assert_eq!(count("select count(*) from ValidPaths"), PATHS);
        assert!(count("select count(*) from Refs") > 1_000_000);
        let reached = format!(
            "with recursive reached(id) as (select id from ValidPaths where path = '{root}' union
                select reference from Refs join reached on referrer = id) select count(*) from reached"
        );
        assert_eq!(count(&reached), CLOSURE);
    }
}
