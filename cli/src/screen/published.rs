//! Says which image was built or published: a line for programs on stdout, a summary for people on stderr.

use crate::args::Common;
use crate::screen::answer::{AnswerArgs, print_answer};
use crate::screen::out::print;
use crate::screen::summary::{Summary, Work};
use crate::screen::table::{counted, size};
use anyhow::Result;
use layerstone_oci::PutOutcome;
use layerstone_pipeline::{Built, ImageTarget, Published, Rehearsal, Rehearsed};
use serde_json::json;
use std::io::{IsTerminal, stderr, stdout};

/// Says what was built.
pub fn tell_built(built: &Built, work: &Work<'_>, common: &Common) -> Result<()> {
    let Built { reference, image, .. } = built;
    let line = match (&image.manifest, work.target) {
        (Some((manifest, _)), ImageTarget::Registry(_)) => {
            format!("{reference}@{}\n", manifest.descriptor.digest)
        }
        _ => format!("{reference} {}\n", image.image_id),
    };
    tell(&line, &Published::from(built), work, common)
}

/// Says what was built and published with other files: as [`tell_built`] does if it is one image.
pub fn tell_built_and_published(published: &Published, work: &Work<'_>, common: &Common) -> Result<()> {
    match (published, work.target) {
        (Published::Manifest { name: Some(name), config: Some(image_id), .. }, target)
            if !matches!(target, ImageTarget::Registry(_)) =>
        {
            tell(&format!("{name} {image_id}\n"), published, work, common)
        }
        _ => tell_published(published, work, common),
    }
}

/// Says what was published.
pub fn tell_published(published: &Published, work: &Work<'_>, common: &Common) -> Result<()> {
    let lines = match published {
        Published::Manifest { name, listed, .. } => {
            let mut lines = format!("{}@{}\n", name.as_deref().unwrap_or_default(), published.digest());
            for manifest in listed {
                let platform = manifest.platform.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
                lines.push_str(&format!("  {platform} {}\n", manifest.digest));
            }
            lines
        }
        Published::Image { name, image_id, .. } => {
            let name = name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
            format!("{name}{image_id}\n")
        }
    };
    tell(&lines, published, work, common)
}

/// Prints lines on stdout unless the image goes there, or the digest alone if little is to be said, and the summary.
fn tell(lines: &str, published: &Published, work: &Work<'_>, common: &Common) -> Result<()> {
    if work.answer.is_json() {
        let mut value = Summary::of(work, published).value();
        if let Published::Manifest { descriptor, config, listed, .. } = published {
            (value["descriptor"], value["config"]) = (serde_json::to_value(descriptor)?, json!(config));
            value["manifests"] = serde_json::to_value(listed)?;
        }
        print_answer("made", &value)?;
    } else if !work.target.is_stdout() {
        if common.quiet {
            print(format_args!("{}\n", published.digest()))?;
        } else if lines.lines().count() > 1 || !is_told_twice() {
            print(lines)?;
        }
    }
    Summary::of(work, published).tell(common);
    Ok(())
}

/// Whether somebody who sees the summary would see the line for programs too.
pub fn is_told_twice() -> bool {
    stdout().is_terminal() && stderr().is_terminal()
}

/// Says what would become of each blob and manifest, a line each with its digest and its bytes, and of all together.
pub fn print_rehearsed(
    published: &Published,
    rehearsal: &Rehearsal,
    target: &ImageTarget,
    answer: AnswerArgs,
) -> Result<()> {
    let send = if let ImageTarget::Registry(_) = target { "send" } else { "write" };
    let word = |put| match put {
        PutOutcome::Sent => send,
        PutOutcome::Existing => "there",
        PutOutcome::Mounted => "mount",
    };
    let (blobs, manifests) = (rehearsal.blobs(), rehearsal.manifests());
    if answer.is_json() {
        let value =
            |Rehearsed { digest, size, put }: &Rehearsed| json!({"digest": digest, "size": size, "would": word(*put)});
        let values = |all: &[Rehearsed]| all.iter().map(value).collect::<Vec<_>>();
        let (blobs, manifests) = (values(&blobs), values(&manifests));
        let answer = json!({
            "place": target.to_string(),
            "digest": published.digest(),
            "blobs": blobs,
            "manifests": manifests,
        });
        return print_answer("transfer", &answer);
    }
    for (all, kind) in [(&blobs, "blob"), (&manifests, "manifest")] {
        for Rehearsed { digest, size, put } in all {
            print(format_args!("{} {kind} {digest} {size}\n", word(*put)))?;
        }
    }
    let of = |put| {
        let some = || blobs.iter().chain(&manifests).filter(move |one| one.put == put);
        let bytes = some().map(|one| one.size).fold(0, u64::saturating_add);
        format!("{} of {}", counted(some().count(), "piece"), size(bytes))
    };
    let mounted = blobs.iter().any(|blob| blob.put == PutOutcome::Mounted);
    let mounted = if mounted { format!(", mount {}", of(PutOutcome::Mounted)) } else { String::new() };
    let digest = published.digest();
    let (there, sent) = (of(PutOutcome::Existing), of(PutOutcome::Sent));
    print(format_args!("{target} {digest}: would {send} {sent}{mounted}; {there} there already\n"))
}
