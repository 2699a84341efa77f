//! Reads what a bill of materials is of: a closure file, a references graph, or an image wherever it is.

use crate::args::read::parse_place;
use crate::command::inspect::is_stage_file;
use anyhow::Result;
use layerstone_closure::Closure;
use layerstone_oci::{Place, Time, Wanted};
use layerstone_pipeline::{BillSources, Error, Opener, image_bill};
use layerstone_sbom::{Bill, Subject};
use std::env::var_os;
use std::ffi::OsStr;
use std::path::Path;

/// The variable that stands in for the clock (reproducible-builds.org, "SOURCE_DATE_EPOCH specification").
const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// How sources are read.
pub struct Source<'a> {
    pub opener: &'a Opener<'a>,
    pub wanted: &'a Wanted,
    pub store_dir: &'a str,
    pub sources: BillSources<'a>,
}

impl Source<'_> {
    /// The bill of what is at a place, made at that time.
    pub fn bill(&self, text: &OsStr, created: Option<Time>) -> Result<Bill> {
        let place = parse_place(text)?;
        let mut bill = match self.closure(&place)? {
            Some(path) => {
                let mut bill = Bill::of(Subject::closure(&title(path)), &Closure::read(path)?, "");
                if let Some(database) = self.sources.database {
                    bill.set_origins(database.origins(&bill.paths())?);
                }
                bill
            }
            None => {
                let opened = self.opener.open(&place, self.wanted)?;
                let name = text.to_string_lossy();
                image_bill(opened.image()?, &name, self.store_dir, self.sources, self.opener.report)?
            }
        };
        bill.created = time(created, &bill.created)?;
        Ok(bill)
    }

    /// The file of a closure, if that is what is meant.
    fn closure<'a>(&self, place: &'a Place) -> Result<Option<&'a Path>> {
        let Place::File(location) = place else { return Ok(None) };
        if location.reference().is_some() {
            return Ok(None);
        }
        if location.path == Path::new("-") {
            return Ok(Some(&location.path));
        }
        match is_stage_file(&location.path)? {
            None => Ok(None),
            Some(false) => Ok(Some(&location.path)),
            Some(true) => {
                let file = location.path.display();
                let message =
                    format!("found a plan, which tells no references: {file}: expected a closure or an image");
                Err(Error::advised(message, "the closure that the plan was made of tells them").into())
            }
        }
    }
}

/// The file's name without what ends it; standard input has none.
fn title(path: &Path) -> String {
    if path == Path::new("-") {
        return "closure".to_owned();
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let short = name.strip_suffix(".json").map(|name| name.strip_suffix(".closure").unwrap_or(name));
    short.filter(|name| !name.is_empty()).unwrap_or(&name).to_owned()
}

/// In whole seconds, as SPDX wants it: what is given, SOURCE_DATE_EPOCH, what the image says, or one second after the epoch.
fn time(given: Option<Time>, of_image: &str) -> Result<String> {
    let epoch = var_os(EPOCH_VARIABLE).map(|_| Time::Now);
    let time = given.or(epoch).or_else(|| of_image.parse().ok()).unwrap_or_else(Time::one_second);
    Ok(Time::from_seconds(time.seconds()?)?.rfc3339()?)
}
