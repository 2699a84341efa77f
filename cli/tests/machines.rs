//! What other programs read and write of this one: files of results, dry runs, schemas, a first image.json, codes of errors.

mod dry_runs;
mod results;

