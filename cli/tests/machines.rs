//! What other programs read and write of this one: files of results, dry runs, schemas, a first image.json, codes of errors.

mod answers;
mod codes;
mod dry_runs;
mod init;
mod log;
mod results;
mod schemas;
mod stage_files;
mod timings;
