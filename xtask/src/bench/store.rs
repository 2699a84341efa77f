//! A store made from a seed: the same 200 paths, 20,000 files and about 300 MB on every machine.
//!
//! It is like a real one where that decides the time: sizes spread evenly over their logarithm, two thirds of the names
//! longer than the 100 bytes of a ustar header, contents seven eighths text and one eighth noise, references written into files, and a
//! last path of links over the others.

use crate::bench::random::Random;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Store paths but for the last one, which links to them all.
const PATHS: usize = 199;
/// Files in each of them.
const FILES: usize = 100;
/// A file has from 2^4 to 2^17 bytes.
const EXPONENTS: std::ops::Range<u64> = 4..17;
/// References of a path at most.
const REFERENCES: u64 = 8;
/// Decides everything.
const SEED: u64 = 2025;

/// A store path and what it refers to.
pub struct Made {
    pub path: String,
    pub references: Vec<String>,
}

/// Makes the store below `root`; its paths in the order made, the last one being the root of the closure.
pub fn make(root: &Path) -> Result<Vec<Made>> {
    let mut random = Random::new(SEED);
    let phrases = Phrases::new(&mut random);
    let mut made: Vec<Made> = Vec::with_capacity(PATHS + 1);
    for index in 0..PATHS {
        let path = format!("/nix/store/{}-package-{index}", random.hash_part());
        let count = random.below(REFERENCES.min(index as u64) + 1);
        let mut references: Vec<String> =
            (0..count).map(|_| made[random.below(index as u64) as usize].path.clone()).collect();
        references.sort();
        references.dedup();
        let made_path = Made { path, references };
        fill(root, &made_path, &phrases, &mut random).with_context(|| format!("cannot make: {}", made_path.path))?;
        made.push(made_path);
    }
    let env = Made {
        path: format!("/nix/store/{}-env", random.hash_part()),
        references: made.iter().map(|made| made.path.clone()).collect(),
    };
    link_all(root, &env).with_context(|| format!("cannot make: {}", env.path))?;
    made.push(env);
    Ok(made)
}

/// The files of a path: names of three lengths, references at the begin of the first files.
fn fill(root: &Path, made: &Made, phrases: &Phrases, random: &mut Random) -> Result<()> {
    const FOLDERS: [&str; 3] =
        ["lib", "lib/runtime-4.2/site-packages/some-library", "share/doc/a-package/html/reference/classes/members"];
    for index in 0..FILES {
        let folder = root.join(&made.path[1..]).join(FOLDERS[index % FOLDERS.len()]);
        fs::create_dir_all(&folder)?;
        let mut out = BufWriter::new(File::create(folder.join(format!("a_file_of_the_package_{index:03}.txt")))?);
        if let Some(reference) = made.references.get(index) {
            writeln!(out, "{reference}/lib")?;
        }
        let least = 1 << (EXPONENTS.start + random.below(EXPONENTS.end - EXPONENTS.start));
        phrases.write(least + random.below(least), random, &mut out)?;
        out.flush()?;
    }
    Ok(())
}

/// A directory for each path, with links to the directories in it.
fn link_all(root: &Path, env: &Made) -> Result<()> {
    for path in &env.references {
        let folder = root.join(&env.path[1..]).join("packages").join(&path[44..]);
        fs::create_dir_all(&folder)?;
        for name in ["lib", "share"] {
            symlink(format!("{path}/{name}"), folder.join(name))?;
        }
    }
    Ok(())
}

/// Phrases that texts are made of, the first ones more often than the last.
struct Phrases(Vec<Vec<u8>>);

impl Phrases {
    fn new(random: &mut Random) -> Phrases {
        let letter = |random: &mut Random| b'a' + random.below(26) as u8;
        let word = |random: &mut Random| (0..2 + random.below(10)).map(|_| letter(random)).chain([b' ']).collect();
        let words: Vec<Vec<u8>> = (0..1024).map(|_| word(random)).collect();
        let phrase = |random: &mut Random| {
            (0..1 + random.below(12)).flat_map(|_| words[random.below(1024) as usize].clone()).collect()
        };
        Phrases((0..4096).map(|_| phrase(random)).collect())
    }

    /// A phrase; the square of an even choice makes the first quarter as frequent as the rest.
    fn pick(&self, random: &mut Random) -> &[u8] {
        let count = self.0.len() as u64;
        let choice = random.below(count);
        &self.0[(choice * choice / count) as usize]
    }

    /// So many bytes: runs of phrases, and runs of noise.
    fn write(&self, size: u64, random: &mut Random, out: &mut impl Write) -> Result<()> {
        const RUN: usize = 1024;
        let mut left = usize::try_from(size)?;
        let mut run: Vec<u8> = Vec::with_capacity(2 * RUN);
        while left > 0 {
            run.clear();
            let noise = random.below(8) == 0;
            while run.len() < RUN {
                match noise {
                    true => run.extend_from_slice(&random.next().to_le_bytes()),
                    false => run.extend_from_slice(self.pick(random)),
                }
            }
            let count = left.min(run.len());
            out.write_all(&run[..count])?;
            left -= count;
        }
        Ok(())
    }
}
