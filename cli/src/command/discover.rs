//! `layerstone discover`: what is attached to an image.

use super::attach::media_type;
use crate::args::Common;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_name};
use crate::screen::answer::AnswerArgs;
use crate::screen::fit::clean;
use anyhow::Result;
use clap::Args;
use layerstone_oci::Descriptor;
use layerstone_pipeline::{Discovered, FoundReferrer, discover};
use serde_json::{Value, json};
use std::ffi::OsString;

/// List what is attached to an image, by digest and type
///
/// A registry is asked for all that names the image as its subject, or for the list that clients keep where it has none.
/// What BuildKit puts into the index of an image is listed too.
#[derive(Args)]
pub struct Options {
    /// The image: HOST/NAME:TAG or HOST/NAME@sha256:HEX in a registry, or an OCI layout: oci:DIR or FILE[#NAME:TAG]
    #[arg(value_name = "IMAGE")]
    image: OsString,
    /// List only files of this type: a media type or a word of `layerstone attach --type`
    #[arg(long = "type", value_name = "TYPE", value_parser = media_type)]
    artifact_type: Option<String>,
    /// Also show files that are attached to attached files
    #[arg(long)]
    tree: bool,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let place = parse_name(&options.image)?;
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    let (wanted, kind) = (options.platform.wanted(), options.artifact_type.as_deref());
    let found = discover(&place, &wanted, kind, options.tree, &opener)?;
    let text = || if options.tree { tree(&found) } else { list(&found) };
    options.answer.print("referrers", || value(&found), text)
}

/// A line each.
fn list(found: &Discovered) -> String {
    let entries = found.referrers.iter().map(|it| &it.entry).chain(&found.attestations);
    entries.map(|entry| format!("{}  {}\n", entry.digest, kind(entry))).collect()
}

/// The image, and below it what is attached.
fn tree(found: &Discovered) -> String {
    let attestations = found.attestations.iter().map(|entry| Node { entry, below: &[] });
    let nodes: Vec<Node<'_>> = found.referrers.iter().map(Node::of).chain(attestations).collect();
    let mut text = format!("{}\n", found.subject.digest);
    branches(&nodes, "", &mut text);
    text
}

/// What stands in a tree.
struct Node<'a> {
    entry: &'a Descriptor,
    below: &'a [FoundReferrer],
}

impl<'a> Node<'a> {
    fn of(found: &'a FoundReferrer) -> Node<'a> {
        Node { entry: &found.entry, below: &found.referrers }
    }
}

fn branches(nodes: &[Node<'_>], indent: &str, text: &mut String) {
    for (number, Node { entry, below }) in (1..).zip(nodes) {
        let (branch, more) = if number == nodes.len() { ("└── ", "    ") } else { ("├── ", "│   ") };
        text.push_str(&format!("{indent}{branch}{}  {}\n", entry.digest, kind(entry)));
        let below: Vec<Node<'_>> = below.iter().map(Node::of).collect();
        branches(&below, &format!("{indent}{more}"), text);
    }
}

/// What an entry is: its type, and that of its statement if it tells it.
fn kind(entry: &Descriptor) -> String {
    let kind = entry.artifact_type().or(entry.annotations.get("vnd.docker.reference.type").map(String::as_str));
    let predicate = entry.annotations.get(layerstone_oci::PREDICATE_TYPE).map(|it| format!("  {it}"));
    clean(&format!("{}{}", kind.unwrap_or("no type"), predicate.unwrap_or_default()))
}

fn value(found: &Discovered) -> Value {
    let referrers: Vec<Value> = found.referrers.iter().map(value_of).collect();
    let mut value = json!({"subject": found.subject, "referrers": referrers, "attestations": found.attestations});
    if !found.unread.is_empty() {
        value["unread"] = json!(found.unread);
    }
    value
}

/// A referrer, with what refers to it.
fn value_of(found: &FoundReferrer) -> Value {
    let mut value = json!(found.entry);
    if !found.referrers.is_empty() {
        value["referrers"] = found.referrers.iter().map(value_of).collect();
    }
    value
}
