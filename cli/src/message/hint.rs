//! What to do about an error, where a command would help.

mod argument;
mod table;
mod words;

use crate::command::check_stage::NoGood;
use crate::config::Malformed;
use crate::message::command_line::{takes, words};
use crate::message::file_kind;
use layerstone_attestation::Error as Attestation;
use layerstone_closure::Error as Closure;
use layerstone_image::Error as Image;
use layerstone_layering::Error as Layering;
use layerstone_oci::Error as Oci;
use layerstone_overlay::Error as Overlay;
use layerstone_pipeline::{Error as Pipeline, Refused, chain_text};
use layerstone_registry::{Error as Registry, Obstacle};
use layerstone_root::{Error as Root, Exceeded, SandboxError};
use layerstone_store::{Error as Store, Limit};
use std::io::ErrorKind;
use std::path::Path;

/// What to do about a pattern that matches nothing.
pub const USELESS_PATTERN: &str =
    "patterns match names without the hash, as 'glibc*'; `layerstone inspect CLOSURE.JSON` shows them";

/// A hint for the first error in the chain that has one.
pub fn of(error: &anyhow::Error) -> Option<String> {
    let of = |cause| of_library(cause).or_else(|| of_registry(cause)).or_else(|| of_file(cause));
    let by_type = error.chain().find_map(|cause| of(cause).or_else(|| of_limit(cause)));
    let text = chain_text(error.as_ref());
    by_type.or_else(|| words::of(&text)).or_else(|| table::of(&text).map(str::to_owned)).or_else(|| argument::of(&text))
}

/// A hint for what a text says, whatever the command.
pub fn of_text(text: &str) -> Option<String> {
    table::of(text).map(str::to_owned)
}

/// A hint for an error of one library.
fn of_library(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let hint = match cause {
        _ if let Some(error) = cause.downcast_ref::<Closure>() => match error {
            Closure::NoHash { .. } => "`layerstone closure --scan --nar-hash` records them",
            Closure::NotThere { .. } | Closure::NotExcluded { .. } => {
                "`layerstone inspect CLOSURE.JSON` shows its paths; names and patterns are taken too"
            }
            Closure::NotValid { .. } => "--scan finds references in the files, for paths that no database has",
            _ => return None,
        },
        _ if let Some(error) = cause.downcast_ref::<Layering>() => match error {
            Layering::NoSize { .. } => "`layerstone closure --graph FILE --sizes` measures what a graph does not tell",
            Layering::UselessPattern { .. } => USELESS_PATTERN,
            _ => return None,
        },
        _ if let Some(Pipeline::Advised { hint, .. }) = cause.downcast_ref() => hint.as_str(),
        _ if let Some(Oci::NotALayout { path, .. }) = cause.downcast_ref()
            && path.is_file() =>
        {
            return Some(format!("{} is a file: choose another name", path.display()));
        }
        _ if let Some(Oci::OtherFiles { .. }) = cause.downcast_ref() => {
            "a directory of its own holds a layout, such as one below it"
        }
        _ if let Some(error) = cause.downcast_ref::<Root>() => match error {
            Root::OverBase { .. } => "--replace lets the layer hide what the base has there",
            Root::ScriptExceeded { exceeded: Exceeded::Time(_), .. } => "--script-timeout S allows more",
            Root::ScriptExceeded { exceeded: Exceeded::Processes(_), .. } => "--script-processes N allows more",
            Root::Spawn { source: SandboxError::NoSandbox { .. }, .. } => {
                "--sandbox auto runs it with less of a sandbox, or without one"
            }
            Root::Libraries { .. } => {
                "--copy FILE:/usr/lib/NAME copies what lies elsewhere, exclude=GLOB leaves out a program that nobody starts"
            }
            Root::HelperOverBase { .. } => "leave the helper out, or --replace lets it hide what the base has there",
            _ => return None,
        },
        _ if let Some(malformed) = cause.downcast_ref::<Malformed>() => return Some(malformed.hint()),
        _ if let Some(error) = cause.downcast_ref::<NoGood>() => error.hint.as_str(),
        _ if let Some(error) = cause.downcast_ref::<Attestation>() => error.hint()?,
        _ if let Some(Pipeline::Attestation(error)) = cause.downcast_ref() => error.hint()?,
        _ if let Some(refused) = cause.downcast_ref::<Refused>() => refused.hint.as_deref()?,
        _ if let Some(spec) = cause.downcast_ref::<layerstone_spec::Error>()
            && let Some(least) = spec.least_layers() =>
        {
            return Some(match takes("max-layers") {
                true => format!("--max-layers {least} or more"),
                false => format!("\"maxLayers\": {least} or more in the image.json"),
            });
        }
        _ if let Some(error) = cause.downcast_ref::<Overlay>() => match error {
            Overlay::Timeout { .. } => "--timeout S allows more",
            Overlay::NoBackend(_) | Overlay::Lost { .. } | Overlay::Silent { .. } => {
                "`layerstone overlay probe` tells which --backend works here"
            }
            _ => return None,
        },
        _ if let Some(error) = cause.downcast_ref::<Image>() => match error {
            Image::TooLarge { .. } | Image::TooLargeTogether { .. } | Image::Holes { .. } => {
                "--max-unpacked BYTES allows more"
            }
            Image::TagTwice { .. } => "FILE#NAME:TAG takes one image of a file, under this name",
            Image::NoTag { text, path, .. } if !text.contains(':') => {
                let (kind, path) = (if path.is_dir() { "oci" } else { "oci-archive" }, path.display());
                let hint = format!("`skopeo copy {kind}:{path}:{text} docker-archive:FILE:NAME:TAG` gives it a name");
                return Some(hint);
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(hint.to_owned())
}

/// A hint for an error of a limit, which errors of several kinds carry as text.
fn of_limit(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let limit = Limit::of_message(&cause.to_string()).filter(|_| takes("limit"))?;
    Some(format!("--limit {}=NUMBER allows more", limit.description().name))
}

/// A hint for an error of a stage file, or of a store path.
fn of_file(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(Root::Contents { item, cause }) = cause.downcast_ref()
        && cause.contains("a regular file")
        && takes("copy")
    {
        let file = if Path::new(item.as_str()).is_file() { item.as_str() } else { "FILE" };
        return Some(format!("--copy {file}:/bin/{} puts a single file into the image", item.name()));
    }
    match cause.downcast_ref().or_else(|| within(cause))? {
        // What is no store path is a plain file, which has a door of its own.
        Store::StorePath { text, .. } if takes("copy") && words().contains(text) && Path::new(text).exists() => {
            let name = Path::new(text).file_name().filter(|_| !Path::new(text).is_dir());
            let to = name.map_or("/".to_owned(), |name| format!("/{}", name.display()));
            Some(format!("--copy {text}:{to} copies plain files into the image"))
        }
        Store::WrongFormat { found, expected, name, .. } if !is_same_format(found, expected) => {
            file_kind::of(Path::new(name)).and_then(|kind| kind.hint(name))
        }
        Store::WrongFormat { rerun, .. } => Some(format!("write it again with `{rerun}`")),
        Store::NoParent { parent, .. } if parent.exists() => {
            Some(format!("{} is a file: choose another name", parent.display()))
        }
        Store::NoParent { parent, .. } => Some(format!("mkdir -p {}", parent.display())),
        Store::Io { action: "write", path, source } if source.kind() == ErrorKind::IsADirectory => {
            let path = path.display().to_string();
            let path = path.trim_end_matches('/');
            Some(match takes("state") || takes("as") {
                true => format!("oci:{path} writes a layout there, {path}/NAME.tar an archive into it"),
                false => format!("{path}/NAME is a file in it"),
            })
        }
        Store::Io { action: "make", path, source } if source.kind() == ErrorKind::AlreadyExists => {
            Some(format!("a new directory is made: name another one than {}", path.display()))
        }
        Store::NoCache { .. } => Some("a directory that is empty, or not there yet, becomes a cache".to_owned()),
        Store::Io { action: "make a work directory in", .. } => Some("TMPDIR names another directory".to_owned()),
        _ => None,
    }
}

/// Whether two stage files differ in their version alone: `layerstone/layers version 1`.
fn is_same_format(found: &str, expected: &str) -> bool {
    let format = |text: &str| text.split(' ').next().map(str::to_owned);
    format(found) == format(expected)
}

fn of_registry(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    Some(match cause.downcast_ref().or_else(|| registry_within(cause))? {
        Registry::Unreachable { url, obstacle: Obstacle::NoTls, .. } => {
            format!("--insecure {} lets it speak plain HTTP", host_of(url))
        }
        Registry::Unreachable { url, obstacle: Obstacle::Certificate, .. } => {
            let host = host_of(url);
            format!("--ca FILE trusts an authority of your own, --insecure {host} any certificate of that host")
        }
        Registry::Protocol { cause, .. } if let Some(realm) = cause.strip_prefix("found the token server http://") => {
            let host = realm.split(['/', ',']).next().unwrap_or_default();
            format!("--insecure {host} lets it get passwords over plain HTTP")
        }
        Registry::Unreachable { obstacle: Obstacle::Name, .. } => {
            "no host has this name here: is it spelled right, and is there a network?".to_owned()
        }
        Registry::Unreachable { obstacle: Obstacle::Connection, cause, .. } if cause.contains("refused") => {
            "nothing listens there: does the registry run, and is this its port?".to_owned()
        }
        Registry::Listen { source, .. } if source.kind() == ErrorKind::AddrNotAvailable => {
            "--listen 127.0.0.1:5000 is for this machine, --listen 0.0.0.0:5000 for its network".to_owned()
        }
        Registry::Listen { address, .. } => format!("--listen {}:0 takes a port that is free", address.ip()),
        Registry::Unreachable { obstacle: Obstacle::Silence, .. } => "--io-timeout S waits longer".to_owned(),
        Registry::NotFound { name, .. } if !name.contains('@') && has_tag(name) => {
            format!("`layerstone ls {}` lists the tags that are there", name.rsplit_once(':')?.0)
        }
        Registry::Digest { .. } => {
            "what came is not what the digest names: try again, and else ask who runs the registry or a proxy before it"
                .to_owned()
        }
        Registry::NoDeletion { .. } => {
            "docker-registry deletes with REGISTRY_STORAGE_DELETE_ENABLED=true, others on their web pages".to_owned()
        }
        Registry::NoReferrerList { name, .. } => {
            format!(
                "clients keep the list of what is attached there: `layerstone manifest {name}` shows what is there instead"
            )
        }
        Registry::OtherSubject { .. } => "only who runs the registry can correct its list".to_owned(),
        Registry::NotListed { name, digest, .. } => format!(
            "`layerstone discover` tells when it is listed; who runs the registry knows why it is not: {name}@{digest} is there"
        ),
        Registry::Unauthorized { url, .. } => {
            let host = match host_of(url) {
                "registry-1.docker.io" => "docker.io",
                host => host,
            };
            format!("`docker login {host}` or `podman login {host}` keeps credentials, --authfile names a file")
        }
        _ => return None,
    })
}

/// A registry's error inside that of a blob that goes to it or comes from it.
fn registry_within<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a Registry> {
    use {layerstone_layer::Error as Layer, layerstone_oci::Error as Oci};
    let inner = match (cause.downcast_ref(), cause.downcast_ref()) {
        (Some(Oci::BlobStore(inner) | Oci::Layer(Layer::Content(inner))), _) | (_, Some(Layer::Content(inner))) => {
            inner
        }
        _ => return None,
    };
    inner.downcast_ref()
}

/// Whether a name in a registry has a tag.
fn has_tag(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

/// The host of an address, with its port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// The error of a stage file inside another library's, which shows it as its own.
fn within<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a Store> {
    Some(match cause {
        _ if let Some(layerstone_layer::Error::Stage(error)) = cause.downcast_ref() => error,
        _ if let Some(layerstone_spec::Error::Stage(error)) = cause.downcast_ref() => error,
        _ if let Some(Image::Stage(error)) = cause.downcast_ref() => error,
        _ if let Some(Closure::Stage(error)) = cause.downcast_ref() => error,
        _ if let Some(Overlay::Stage(error)) = cause.downcast_ref() => error,
        _ if let Some(Root::Stage(error)) = cause.downcast_ref() => error,
        _ => return None,
    })
}
