//! `layerstone serve`: a registry on this machine that only gives.

mod pulls;

use crate::args::Common;
use crate::args::transfer::TransferArgs;
use crate::message::interrupt;
use crate::overwrite::Files;
use crate::screen::answer::{AnswerArgs, print_answer_line};
use crate::screen::fit::labelled;
use crate::screen::out::print;
use crate::screen::progress::print_line;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_oci::{BlobStore, Descriptor, Index, Reference, media_type};
use layerstone_pipeline::{Copier, ImageSource, PutManifest, check_sources};
use layerstone_registry::{Asked, MemoryRegistry, Outcome, RepositoryHandle, Server};
use layerstone_store::{Digest, Scratch};
use pulls::{Event, Pulls};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{AddrParseError, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

/// The target of what `-v` tells.
const LOG: &str = "layerstone::serve";

/// Serve images as a registry does, on this machine
///
/// docker pull and other clients take only the layers that they lack. Layers of an image.json are made from the store when they are asked for, and not compressed unless --compression says
/// so. An image for several platforms is given with its index, unless --arch, --variant or --os picks one of it. SIGINT and
/// SIGTERM end it, when what is being sent is sent.
#[derive(Args)]
pub struct Options {
    /// The images: image.json files, files or directories of images, registry:REF, docker:NAME or podman:NAME
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<OsString>,
    /// Address to listen on; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000", value_parser = parse_listen)]
    listen: SocketAddr,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let (store, registries) = (options.transfer.store.store()?, options.transfer.registries(common));
    let mut copier = options.transfer.copier(&store, &registries, common)?;
    copier.options.compression.plain_by_default = true;
    copier.referrers = true;
    Files::default().writes_state(options.transfer.state.as_deref()).check()?;
    // First, so that a port that is taken is an error at once.
    let server = Server::bind(options.listen)?;
    let parse = |image: &OsString| Ok(ImageSource::parse(image)?);
    let images: Vec<ImageSource> = options.images.iter().map(parse).collect::<Result<_>>()?;
    options.transfer.check_sources(&images)?;
    check_sources(&images, &registries)?;
    let shelf = Mutex::new(MemoryRegistry::default());
    let (mut names, mut scratches, mut digests) = (Vec::new(), Vec::new(), BTreeMap::new());
    for image in images {
        let (name, digest) = put(image, &copier, &shelf, &mut scratches)?;
        digests.insert(digest, name.to_string());
        if names.contains(&name) {
            bail!("two images called {name}: expected names of their own");
        }
        names.push(name);
    }
    let shelf = shelf.into_inner().expect("no thread is left that has it");
    // Until here a signal ends the program at once; from here on what is being sent is sent to its end.
    interrupt::take();
    let address = server.address();
    let names: Vec<String> = names.iter().map(|name| format!("{address}/{name}")).collect();
    if options.answer.is_json() {
        print_answer_line("serve", &json!({"images": names}))?;
    } else {
        names.iter().try_for_each(|name| print(format_args!("{name}\n")))?;
    }
    let is_told = !options.answer.is_json() && !common.quiet;
    if is_told {
        let paint = common.color.of_stderr();
        names.iter().for_each(|name| print_line(labelled("pull", &format!("docker pull {name}"), paint).trim_end()));
    }
    // Where signals are not noted, they end the program, and nothing is ever read from this.
    let (never, _writer) = std::io::pipe().context("cannot make a pipe")?;
    let (events, pulled) = channel::<Event>();
    let tell = move |asked: Asked<'_>, outcome: Outcome<'_>| {
        if options.answer.is_json() {
            // Whoever read it may be gone: the images are given away all the same.
            value(asked, outcome).map(|value| print(format_args!("{value}\n")));
            return;
        }
        log(asked, outcome);
        match outcome {
            Outcome::Failed(cause) if is_told => print_line(&format!("cannot give {}: {cause}", asked.digest)),
            _ => {}
        }
        // Whoever counts them ends after this.
        let _ = events.send(Event::of(asked, outcome));
    };
    let digests = &digests;
    thread::scope(|scope| {
        let count = move || {
            Pulls::new(digests).tell(pulled, &|line| {
                if is_told {
                    print_line(line)
                }
            })
        };
        thread::Builder::new().spawn_scoped(scope, count).context("cannot start a thread")?;
        let served = server.run(&shelf, interrupt::descriptor().unwrap_or(never.as_fd()), &tell);
        drop(tell);
        Ok(served?)
    })
}

/// Tells a request with `-v`.
fn log(asked: Asked<'_>, outcome: Outcome<'_>) {
    let Asked { client, kind, repository, digest, .. } = asked;
    let client = tracing::field::display(client);
    match outcome {
        Outcome::Begun => {}
        Outcome::Gave(bytes) => tracing::info!(target: LOG, client, bytes, "gave {kind} {digest} of {repository}"),
        Outcome::Broken => tracing::info!(target: LOG, client, "the client has gone: {kind} {digest} of {repository}"),
        Outcome::Failed(cause) => tracing::info!(target: LOG, client, cause, "cannot give {kind} {digest}"),
    }
}

/// An event, for programs.
fn value(asked: Asked<'_>, outcome: Outcome<'_>) -> Option<Value> {
    let Asked { client, kind, repository, digest, .. } = asked;
    match outcome {
        Outcome::Begun | Outcome::Broken => None,
        Outcome::Gave(bytes) => Some(json!({
            "event": "gave", "kind": kind, "digest": digest, "bytes": bytes, "client": client, "repository": repository,
        })),
        Outcome::Failed(cause) => Some(json!({"event": "failed", "digest": digest, "cause": cause})),
    }
}

/// Puts an image into the registry; what it is called there, and the digest of what that name leads to.
fn put(
    source: ImageSource,
    copier: &Copier<'_>,
    registry: &Mutex<MemoryRegistry>,
    scratches: &mut Vec<Scratch>,
) -> Result<(Reference, Digest)> {
    let into = |repository: String| RepositoryHandle { registry, repository };
    let (mut images, repository) = match source {
        ImageSource::Spec(path) => {
            let specs = copier.specs(&path)?;
            let target = into(specs[0].reference()?.name().to_owned());
            let put = |spec| copier.put_spec(spec, &path, specs.len() > 1, &target);
            let images = specs.iter().map(put).collect::<layerstone_pipeline::Result<Vec<_>>>()?;
            (images, Some(target.repository))
        }
        // Blobs are given away from any repository.
        source => (vec![copier.put_listed(&source, &into(String::new()))?], None),
    };
    scratches.extend(images.iter_mut().filter_map(|it| it.scratch.take()));
    let name = images.iter().find_map(|it| it.name.clone()).context("no name: expected an image that has one")?;
    let target = into(repository.unwrap_or_else(|| repository_of(name.name())));
    let name = Reference::unchecked(&format!("{}:{}", target.repository, name.tag_or_latest()));
    if let [PutManifest { descriptor, bytes, .. }] = &images[..] {
        target.finish(descriptor, bytes, Some(&name))?;
        return Ok((name, descriptor.digest));
    }
    for PutManifest { descriptor, bytes, .. } in &images {
        target.put_manifest(descriptor, bytes)?;
    }
    let index = Index::new(images.into_iter().map(|it| it.descriptor).collect(), BTreeMap::new());
    let bytes = index.to_bytes();
    let descriptor = Descriptor::of(media_type::INDEX, &bytes);
    target.finish(&descriptor, &bytes, Some(&name))?;
    Ok((name, descriptor.digest))
}

/// Reads an address to answer at; `localhost` is 127.0.0.1, as for other programs.
fn parse_listen(text: &str) -> Result<SocketAddr, AddrParseError> {
    match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse(),
        None => text.parse(),
    }
}

/// The repository of an image on this machine: its name without the registry that it came from.
fn repository_of(name: &str) -> String {
    match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest.to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in
            [("localhost:5055", "127.0.0.1:5055"), ("[::1]:1", "[::1]:1"), ("0.0.0.0:0", "0.0.0.0:0")]
        {
            assert_eq!(parse_listen(text).unwrap().to_string(), expected);
        }
        for text in ["localhost", "localhost:", ":5055", "example:1"] {
            assert!(parse_listen(text).is_err(), "{text}");
        }
    }
}
