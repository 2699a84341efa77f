//! Databases as Nix keeps them, of the synthetic store.

use crate::support::synth;
use layerstone_store::NarHash;
use rusqlite::{Connection, params};
use serde_json::Value;
use std::path::Path;

/// The tables that matter, as Nix makes them.
const SCHEMA: &str = "
    create table ValidPaths (id integer primary key autoincrement not null, path text unique not null,
        hash text not null, registrationTime integer not null, deriver text, narSize integer, ultimate integer,
        sigs text, ca text);
    create table Refs (referrer integer not null, reference integer not null, primary key (referrer, reference),
        foreign key (referrer) references ValidPaths(id) on delete cascade,
        foreign key (reference) references ValidPaths(id) on delete restrict);
    create index IndexReferrer on Refs(referrer);
    create index IndexReference on Refs(reference);";

/// Makes the database of the synthetic store, its paths moved to a store directory, with this `journal_mode`. Whoever
/// keeps the connection has it open.
pub fn make(path: &Path, mode: &str, store: &str) -> Connection {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let document: Value = serde_json::from_slice(&std::fs::read(&synth().graph).unwrap()).unwrap();
    let moved = |path: &Value| path.as_str().unwrap().replace("/nix/store", store);
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", mode).unwrap();
    connection.execute_batch(SCHEMA).unwrap();
    for info in document["graph"].as_array().unwrap() {
        let hash: NarHash = info["narHash"].as_str().unwrap().parse().unwrap();
        add(&connection, &moved(&info["path"]), &hash.digest().to_string(), info["narSize"].as_u64().unwrap());
    }
    for info in document["graph"].as_array().unwrap() {
        for reference in info["references"].as_array().unwrap() {
            let query =
                "insert into Refs select a.id, b.id from ValidPaths a, ValidPaths b where a.path = ? and b.path = ?";
            connection.execute(query, [moved(&info["path"]), moved(reference)]).unwrap();
        }
    }
    connection
}

/// Registers a path without references.
pub fn add(connection: &Connection, path: &str, hash: &str, size: u64) {
    let query = "insert into ValidPaths (path, hash, registrationTime, narSize) values (?, ?, 1, ?)";
    connection.execute(query, params![path, hash, i64::try_from(size).unwrap()]).unwrap();
}
