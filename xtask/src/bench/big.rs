//! `cargo xtask bench big`: images, stores and lists of tags as large as any, each in two sizes, so that the table shows how
//! time, memory, descriptors and threads grow.

mod archive;
mod peak;
mod store;
mod tags;

use crate::bench::Place;
use crate::bench::registry::keeper::Keeper;
use anyhow::{Result, ensure};
use std::fs;
use std::path::Path;

/// Where.
#[derive(clap::Args)]
pub struct Options {
    /// Only shapes whose name begins so
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    #[command(flatten)]
    place: Place,
}

/// Something large, and the command that reads it.
struct Row {
    name: &'static str,
    sizes: [u64; 2],
    /// Makes it of this size in a directory, where a store of one path is already.
    make: fn(u64, &Path) -> Result<()>,
    /// The command, run there. `HOST` stands for a registry that has so many tags, `TAGS` for so many images of a layout;
    /// `serve` ends when all its tags were listed.
    line: &'static str,
}

const fn row(name: &'static str, sizes: [u64; 2], make: fn(u64, &Path) -> Result<()>, line: &'static str) -> Row {
    Row { name, sizes, make, line }
}

const FILES: [u64; 2] = [100_000, 1_000_000];
const TAGS: [u64; 2] = [500, 5_000];
const HASHED: &str = "layer plan.layers.json --all --root root -o out";

const PLANNED: &str = "layers graph.json --max-layers 99 -o out.layers.json";

/// What is written goes to `/dev/null` where it would fill a disk.
const ROWS: [Row; 17] = [
    row("files of a base, exported", FILES, archive::files, "overlay export image.tar -o -"),
    row("files of a base, built on", FILES, archive::files, "build image.json --root root -o -"),
    row("files of a base, copied", FILES, archive::files, "copy image.tar oci:out --compression none"),
    row(
        "files of a base, below a root script",
        FILES,
        archive::files,
        "overlay run --backend userns --base image.tar --script script -o out.layer.json --blob out.tar",
    ),
    row("layers of a base, exported", [12, 127], archive::layers, "overlay export image.tar -o -"),
    row("layers of a base, copied", [12, 127], archive::layers, "copy image.tar oci:out"),
    row("GB of a base in gzip, exported", [2, 20], archive::bytes, "overlay export image.tar -o -"),
    row("GB of a base in gzip, copied", [2, 20], archive::bytes, "copy image.tar oci:out"),
    row("files of a store path, hashed", FILES, store::files, HASHED),
    row("GB of a sparse file of a store path, hashed", [5, 50], store::bytes, HASHED),
    row("store paths in 99 layers, built", [1_000, 10_000], store::paths, "build image.json --root root -o -"),
    row("store paths that need all that follow, planned", [1_000, 5_000], store::chain, PLANNED),
    row("tags of a repository, one more pushed", TAGS, tags::registry, "push image.json HOST/big:more --root root"),
    row("tags of a repository, one of them copied", TAGS, tags::registry, "copy registry:HOST/big:7 oci:out"),
    row("tags of a layout, one more added", TAGS, tags::layout, "copy small.tar oci:tags --as big:more"),
    row("tags of a layout, served and listed", [50, 500], tags::layout, "serve TAGS --listen 127.0.0.1:0"),
    row("tags of an archive, merged", TAGS, archive::tags, "merge image.tar -o -"),
];

/// Makes every shape, runs its command once, and prints the table.
pub fn run(options: &Options) -> Result<()> {
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.name.starts_with(&options.only)).collect();
    ensure!(!rows.is_empty(), "--only: found {:?}, which begins no row's name", options.only);
    options.place.run(|binary, work| {
        println!("| what | how many | seconds | memory, MiB | descriptors | threads |\n|---|---:|---:|---:|---:|---:|");
        for row in rows {
            for size in row.sizes {
                let directory = work.join("big");
                fs::create_dir_all(&directory)?;
                eprintln!("{size} {}", row.name);
                let peak = measure(row, size, binary, &directory)?;
                let (seconds, memory) = (peak.wall.as_secs_f64(), peak.memory / 1024);
                println!(
                    "| {} | {size} | {seconds:.2} | {memory} | {} | {} |",
                    row.name, peak.descriptors, peak.threads
                );
                fs::remove_dir_all(&directory)?;
            }
        }
        Ok(())
    })
}

fn measure(row: &Row, size: u64, binary: &Path, directory: &Path) -> Result<peak::Peak> {
    store::paths(1, directory)?;
    (row.make)(size, directory)?;
    let registry = row.line.contains("HOST").then(|| Keeper::start(&directory.join("registry"))).transpose()?;
    let host = registry.as_ref().map_or("", Keeper::host);
    if let Some(registry) = &registry {
        peak::run(binary, &format!("push image.json {}/big:0 --root root", registry.host()), directory)?;
        tags::repeat(size, &directory.join("registry"))?;
    }
    peak::run(binary, &row.line.replace("HOST", host).replace("TAGS", &tags::names(size)), directory)
}
