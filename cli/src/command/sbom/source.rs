//! Reads what a bill of materials is of: a closure file, a references graph, a plan, a spec, or an image wherever it is.

use crate::args::read::parse_place;
use crate::command::inspect::is_stage_file;
use anyhow::Result;
use layerstone_closure::Closure;
use layerstone_layering::Plan;
use layerstone_oci::{Place, Time, Wanted};
use layerstone_pipeline::{
    BillSources, BuildOptions, Copier, Error, ImageSource, Opener, bill_of_plan, bill_of_spec, image_bill, time_of_bill,
};
use layerstone_sbom::{Bill, Subject};
use layerstone_spec::References;
use layerstone_store::Store;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// How sources are read.
pub struct Source<'a> {
    pub opener: &'a Opener<'a>,
    pub wanted: &'a Wanted,
    pub store: &'a Store,
    /// Files of references that stand in for those of a spec.
    pub graphs: &'a [PathBuf],
    pub sources: BillSources<'a>,
}

impl Source<'_> {
    /// The bill of what is at a place, made at that time.
    pub fn bill(&self, text: &OsStr, created: Option<Time>) -> Result<Bill> {
        let place = parse_place(text)?;
        let (graph, database) = (self.sources.graph, self.sources.database);
        let mut bill = match self.found(text, &place)? {
            Found::Closure(path) => {
                let mut bill = Bill::of(Subject::closure(&title(path)), &Closure::read(path)?, "");
                if let Some(database) = database {
                    bill.set_origins(database.origins(&bill.paths())?);
                }
                bill
            }
            Found::Plan(path) => {
                let mut bill = bill_of_plan(&Plan::read(path)?, &title(path), path, graph)?;
                if let Some(database) = database {
                    bill.set_origins(database.origins(&bill.paths())?);
                }
                bill
            }
            Found::Spec(path) => self.bill_of_spec(path)?,
            Found::Image => {
                let opened = self.opener.open(&place, self.wanted)?;
                let name = text.to_string_lossy();
                image_bill(opened.image()?, &name, self.store.dir(), self.sources, self.opener.report)?
            }
        };
        bill.created = time_of_bill(created, &bill.created)?;
        Ok(bill)
    }

    /// The bill of the image that a spec would become.
    fn bill_of_spec(&self, path: &Path) -> Result<Bill> {
        let Opener { registries, limits, report, .. } = *self.opener;
        let options = BuildOptions { limits, ..BuildOptions::new(self.store, registries, report) };
        let copier = Copier { wanted: self.wanted.clone(), options, rehearsal: None, referrers: false };
        let mut specs = copier.specs(path)?;
        let [spec] = &mut specs[..] else {
            let message = format!("several architectures: {}: expected one", path.display());
            return Err(Error::advised(message, "--arch picks one").into());
        };
        if !self.graphs.is_empty() {
            spec.references = Some(References::Graphs(self.graphs.to_vec()));
        }
        let mut bill = bill_of_spec(spec, path, &copier.options)?;
        if let Some(database) = self.sources.database {
            bill.set_origins(database.origins(&bill.paths())?);
        }
        Ok(bill)
    }

    /// Whether it is a spec.
    pub fn is_spec(&self, text: &OsStr, place: &Place) -> Result<bool> {
        Ok(matches!(self.found(text, place)?, Found::Spec(_)))
    }

    /// What is at a place.
    fn found<'a>(&self, text: &OsStr, place: &'a Place) -> Result<Found<'a>> {
        let Place::File(location) = place else { return Ok(Found::Image) };
        if location.reference().is_some() {
            return Ok(Found::Image);
        }
        if location.path == Path::new("-") {
            return Ok(Found::Closure(&location.path));
        }
        Ok(match (is_stage_file(&location.path)?, ImageSource::parse(text)?) {
            (Some(false), _) => Found::Closure(&location.path),
            (Some(true), _) => Found::Plan(&location.path),
            (None, ImageSource::Spec(_)) => Found::Spec(&location.path),
            (None, ImageSource::Image(_)) => Found::Image,
        })
    }
}

/// What a bill is of.
enum Found<'a> {
    Closure(&'a Path),
    Plan(&'a Path),
    Spec(&'a Path),
    Image,
}

/// The file's name without what ends it; standard input has none.
fn title(path: &Path) -> String {
    if path == Path::new("-") {
        return "closure".to_owned();
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let short = name
        .strip_suffix(".json")
        .map(|name| name.strip_suffix(".closure").or(name.strip_suffix(".layers")).unwrap_or(name));
    short.filter(|name| !name.is_empty()).unwrap_or(&name).to_owned()
}
