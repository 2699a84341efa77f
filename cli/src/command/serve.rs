//! `layerstone serve`: a registry on this machine that only gives.

use crate::args::Common;
use crate::interrupt;
use crate::out::print;
use crate::overwrite::Files;
use crate::transfer_args::TransferArgs;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_oci::{Descriptor, Destination, Index, Reference, media_type};
use layerstone_pipeline::{Brought, Copier, Either, ImageSource, Whole};
use layerstone_registry::{MemoryRegistry, RepositoryHandle, Server};
use layerstone_store::Scratch;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Mutex;

/// Give images away on this machine, as a registry does: docker pull takes only the layers that it lacks
///
/// Layers of an image.json are made from the store when they are asked for, and not compressed unless --compression says
/// so. An image for several platforms is given with its index, unless --arch, --variant or --os picks one of it. SIGINT and
/// SIGTERM end it, when what is being sent is sent.
#[derive(Args)]
pub struct Options {
    /// The images: image.json files, files or folders of images, registry:REF, docker:NAME or podman:NAME
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<OsString>,
    /// Where to answer; port 0 for any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    #[command(flatten)]
    transfer: TransferArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let (store, registries) = (options.transfer.store.store()?, options.transfer.registry.registries());
    let mut copier = options.transfer.copier(&store, &registries, common)?;
    copier.options.compression = copier.options.compression.or_plain();
    Files::default().writes_state(options.transfer.state.as_deref()).check()?;
    // First, so that a port that is taken is told at once.
    let server = Server::bind(options.listen)?;
    let shelf = Mutex::new(MemoryRegistry::default());
    let (mut names, mut scratches) = (Vec::new(), Vec::new());
    for image in &options.images {
        let name = put(image, &copier, &shelf, &mut scratches)?;
        if names.contains(&name) {
            bail!("two images called {name}: expected names of their own");
        }
        names.push(name);
    }
    let shelf = shelf.into_inner().expect("no thread is left that has it");
    // Until here a signal ends the program at once; from here on what is being sent is sent to its end.
    interrupt::take();
    let address = server.address();
    for name in &names {
        print(format_args!("{address}/{name}\n"))?;
    }
    let tell = |text: &str| {
        if !common.quiet {
            eprintln!("{text}");
        }
    };
    // Where signals are not noted, they end the program, and nothing is ever read from this.
    let (never, _writer) = std::io::pipe().context("cannot make a pipe")?;
    server.run(&shelf, interrupt::descriptor().unwrap_or(never.as_fd()), &tell)?;
    Ok(())
}

/// Puts an image on the shelf; what it is called there.
fn put(
    text: &OsString,
    copier: &Copier<'_>,
    shelf: &Mutex<MemoryRegistry>,
    scratches: &mut Vec<Scratch>,
) -> Result<Reference> {
    match ImageSource::parse(text)? {
        ImageSource::Spec(path) => {
            let specs = copier.specs(&path)?;
            let repository = specs[0].reference()?.name().to_owned();
            let place = RepositoryHandle { registry: shelf, repository };
            let bring = |spec| copier.bring_spec(spec, &path, specs.len() > 1, &place);
            let mut brought: Vec<Brought> = specs.iter().map(bring).collect::<layerstone_pipeline::Result<_>>()?;
            scratches.extend(brought.iter_mut().filter_map(|it| it.scratch.take()));
            finish(&place, brought)
        }
        origin => {
            // BlobCache are given away from any repository.
            let nameless = RepositoryHandle { registry: shelf, repository: String::new() };
            match copier.bring_whole(&origin, &nameless)? {
                Either::Index(Whole { descriptor, bytes, name }, scratch) => {
                    let name = name.context("no name: expected an image that has one")?;
                    let name = named(&repository_of(name.name()), &name);
                    scratches.extend(scratch);
                    let place = RepositoryHandle { registry: shelf, repository: name.name().to_owned() };
                    place.finish(&descriptor, &bytes, Some(&name))?;
                    Ok(name)
                }
                Either::Image(mut brought) => {
                    let name = brought.name.as_ref().context("no name: expected an image that has one")?;
                    let repository = repository_of(name.name());
                    scratches.extend(brought.scratch.take());
                    finish(&RepositoryHandle { registry: shelf, repository }, vec![brought])
                }
            }
        }
    }
}

/// Puts the manifest of one image, or the index of several.
fn finish(place: &RepositoryHandle<'_>, brought: Vec<Brought>) -> Result<Reference> {
    let name = brought.iter().find_map(|it| it.name.clone()).context("no name: expected an image that has one")?;
    let name = named(&place.repository, &name);
    if let [Brought { arrived, .. }] = &brought[..] {
        place.finish(&arrived.manifest, &arrived.bytes, Some(&name))?;
        return Ok(name);
    }
    for Brought { arrived, .. } in &brought {
        place.put_manifest(&arrived.manifest, &arrived.bytes)?;
    }
    let index = Index::new(brought.into_iter().map(|it| it.arrived.manifest).collect(), BTreeMap::new());
    let bytes = index.to_bytes();
    place.finish(&Descriptor::of(media_type::INDEX, &bytes), &bytes, Some(&name))?;
    Ok(name)
}

/// What an image is called in a repository on this machine.
fn named(repository: &str, name: &Reference) -> Reference {
    Reference::unchecked(&format!("{repository}:{}", name.tag_or_latest()))
}

/// The repository of an image on this machine: its name without the registry that it came from.
fn repository_of(name: &str) -> String {
    match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest.to_owned(),
        _ => name.to_owned(),
    }
}
