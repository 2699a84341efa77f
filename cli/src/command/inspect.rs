//! `layerstone inspect`: what a stage file or an image is.

pub mod files;
pub mod image;
pub mod old;
mod stage_file;

use super::diff::{self, Comparing};
use crate::args::Common;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_place};
use crate::screen::answer::json_of;
use crate::screen::fit::{room, width};
use crate::screen::out::print;
use anyhow::{Context, Result};
use clap::{ArgAction, Args};
use files::Chosen;
use image::View;
use layerstone_image::{ArchiveSummary, Artifact, ImageFile, ImageSummary, StoredImage};
use layerstone_oci::{Location, Place};
use layerstone_pipeline::{Opener, make_plain, open_file_as};
use layerstone_store::Scratch;
use layerstone_tar::Tree;
use old::OldImage;
use serde_json::{Value, to_value};
use std::env::temp_dir;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const USAGE: &str = "\
layerstone inspect [OPTIONS] <FILE|IMAGE>
       layerstone inspect <IMAGE> --against <OLD>
       layerstone inspect <IMAGE> --files [GLOB]
       layerstone inspect <IMAGE> --tree";

/// Show what a stage file or an image is
///
/// Of an image: what it runs on and what it runs, and its layers with their sizes and what they hold; of a registry only
/// the manifest and the config are fetched. With --files, --tree and --wide the layers are read.
#[derive(Args)]
#[command(override_usage = USAGE)]
pub struct Options {
    /// Closure, plan, layer file, image spec or references graph, - for stdin; or an image: FILE[#NAME:TAG], oci:DIR,
    /// registry:REF, docker:NAME, or any other place
    #[arg(value_name = "FILE|IMAGE", required_unless_present = "diff")]
    file: Option<OsString>,
    /// Show which layers a client that has this image must fetch
    #[arg(long, value_name = "OLD")]
    against: Option<OsString>,
    /// List the files of the image: all, or those whose path or name matches
    #[arg(long, num_args = 0..=1, value_name = "GLOB", conflicts_with_all = ["tree", "against"])]
    files: Option<Option<String>>,
    /// Show the directories of the image by size
    #[arg(long, conflicts_with = "against")]
    tree: bool,
    /// Show diff IDs, unpacked sizes, all names and the whole config too, however wide it is
    #[arg(long)]
    wide: bool,
    /// The same as `layerstone diff OLD NEW`
    #[arg(long, num_args = 2, action = ArgAction::Set, value_names = ["OLD", "NEW"])]
    #[arg(conflicts_with_all = ["file", "against", "files", "tree", "wide"], hide = true)]
    diff: Vec<OsString>,
    /// The store directory of the images
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/nix/store",
        requires = "diff",
        conflicts_with = "file",
        hide = true
    )]
    store: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    if let [old, new] = &options.diff[..] {
        let comparing = Comparing {
            store: &options.store,
            changed: false,
            files: false,
            json: options.json,
            platform: &options.platform,
            width: width(),
            paint: common.color.of_stdout(),
        };
        return diff::images(old, new, &comparing, &opener);
    }
    let text = options.file.as_deref().context("no file: expected FILE or IMAGE")?;
    let old = options.against.as_deref().map(parse_place).transpose()?;
    let old = old.map(|old| OldImage::open(&old, &options.platform.of_image(), &opener)).transpose()?;
    let view = View { width: width(), paint: common.color.of_stdout(), wide: options.wide, old };
    let screen = Screen { options, opener: &opener, view };
    if text == "-" {
        let scratch = Scratch::create(&temp_dir())?;
        let spooled = scratch.path().join("stdin");
        let mut file = File::create_new(&spooled).context("cannot make a temporary file")?;
        io::copy(&mut io::stdin().lock(), &mut file).context("cannot read: stdin")?;
        return print(screen.file(&spooled, Path::new("-"))?);
    }
    print(match parse_place(text)? {
        Place::File(location) if location.reference().is_none() => screen.file(&location.path, &location.path)?,
        place @ Place::Registry(_) if !options.reads_layers() => {
            screen.summary(&old::with_referrers(&place, &options.platform.wanted(), &opener)?)?
        }
        place => {
            let opened = opener.open(&place, &options.platform.of_image())?;
            screen.images(vec![opened.image()?], None)?
        }
    })
}

impl Options {
    /// Whether what is asked for needs the contents of layers.
    fn reads_layers(&self) -> bool {
        self.files.is_some() || self.tree || self.wide
    }
}

/// What is shown of whatever there is.
struct Screen<'a> {
    options: &'a Options,
    opener: &'a Opener<'a>,
    view: View,
}

impl Screen<'_> {
    /// A file that messages call so.
    fn file(&self, path: &Path, shown: &Path) -> Result<String> {
        let open = || open_file_as(path, shown, self.opener.limits, self.opener.report);
        let platform = &self.options.platform;
        Ok(match kind_of(path, shown)? {
            Kind::Archive if platform.wanted().is_named => {
                self.images(vec![open()?.image(&Location::of(shown), &platform.of_image())?], None)?
            }
            Kind::Archive => {
                let file = open()?;
                self.images(file.images()?, Some(&file))?
            }
            Kind::Registration => stage_file::registration(path, self.options.json, &self.view)?,
            Kind::Json(value) => stage_file::text(path, shown, &value, self.options.json, &self.view)?,
        })
    }

    /// All images of a file, or some image.
    fn images(&self, images: Vec<StoredImage>, file: Option<&ImageFile>) -> Result<String> {
        if self.options.files.is_some() || self.options.tree {
            let texts = images.into_iter().map(|image| self.contents(image));
            return Ok(texts.collect::<Result<Vec<_>>>()?.join("\n"));
        }
        if self.options.json {
            return match (file, &images[..]) {
                (Some(file), _) => self.json(&ArchiveSummary::of(file)?.images, to_value(ArchiveSummary::of(file)?)?),
                (None, [image]) => self.json_of_one(&ImageSummary::of(image)?),
                (None, _) => Ok(String::new()),
            };
        }
        let texts = images.into_iter().map(|mut image| {
            let summary = match file {
                Some(file) => ImageSummary::within(&image, file)?,
                None => ImageSummary::of(&image)?,
            };
            if self.options.wide {
                make_plain(&mut image, self.opener.limits, self.opener.report)?;
            }
            let unpacked = self.options.wide.then(|| image::unpacked_sizes(&image));
            image::image(&summary, unpacked.as_deref(), &self.view)
        });
        let artifacts = file.map_or(&[][..], ImageFile::artifacts);
        let artifact = |it: &Artifact| Ok(image::artifact(it, self.view.paint));
        Ok(texts.chain(artifacts.iter().map(artifact)).collect::<Result<Vec<_>>>()?.join("\n"))
    }

    /// An image of which only this is known.
    fn summary(&self, summary: &ImageSummary) -> Result<String> {
        if self.options.json { self.json_of_one(summary) } else { image::image(summary, None, &self.view) }
    }

    fn json_of_one(&self, summary: &ImageSummary) -> Result<String> {
        let mut value = to_value(summary)?;
        self.add_states(summary, &mut value);
        json_of("inspect", &value)
    }

    fn json(&self, images: &[ImageSummary], mut value: Value) -> Result<String> {
        for (index, image) in images.iter().enumerate() {
            self.add_states(image, &mut value["images"][index]);
        }
        json_of("images", &value)
    }

    /// Adds to the JSON of an image which of its layers the old one has.
    fn add_states(&self, image: &ImageSummary, value: &mut Value) {
        let Some(old) = &self.view.old else { return };
        for (index, state) in old.states(image).into_iter().enumerate() {
            value["layers"][index]["state"] = state.word().into();
        }
    }

    /// What is in an image.
    fn contents(&self, mut image: StoredImage) -> Result<String> {
        make_plain(&mut image, self.opener.limits, self.opener.report)?;
        let (tree, paint) = (image.tree()?, self.view.paint);
        let Some(pattern) = &self.options.files else { return self.tree(&tree) };
        let found = files::files(&tree, &Chosen::parse(pattern.as_deref())?);
        if self.options.json {
            json_of("files", &files::list_json(&found))
        } else {
            Ok(files::list(&found, room(self.options.wide), paint))
        }
    }

    fn tree(&self, tree: &Tree) -> Result<String> {
        match self.options.json {
            true => json_of("tree", &files::tree_json(tree)),
            false => Ok(files::tree(tree, self.view.width, !self.options.wide, self.view.paint)),
        }
    }
}

/// Whether a file is a plan, or what tells references; none if it is something else.
pub fn is_stage_file(path: &Path) -> Result<Option<bool>> {
    Ok(match kind_of(path, path)? {
        Kind::Json(value) => stage_file::is_plan_or_closure(&value),
        Kind::Registration => Some(false),
        Kind::Archive => None,
    })
}

enum Kind {
    Json(Value),
    Registration,
    Archive,
}

/// Decided by the first byte that is not white space.
fn kind_of(path: &Path, shown: &Path) -> Result<Kind> {
    let context = || format!("cannot read: {}", shown.display());
    if path.is_dir() {
        return Ok(Kind::Archive);
    }
    let mut head = [0; 64];
    let mut file = File::open(path).with_context(context)?;
    let count = file.read(&mut head).with_context(context)?;
    Ok(match head[..count].iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => {
            let mut bytes = head[..count].to_vec();
            file.read_to_end(&mut bytes).with_context(context)?;
            Kind::Json(serde_json::from_slice(&bytes).with_context(|| format!("not JSON: {}", shown.display()))?)
        }
        // A tar of nixpkgs' store layers begins with a slash too, and has NULs behind the first name.
        Some(b'/') if !head.contains(&0) => Kind::Registration,
        _ => Kind::Archive,
    })
}
