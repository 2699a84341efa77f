//! Stable codes of errors, for programs: the kind of an error by the types of its causes. Does not know what to do about it.

use crate::config::Malformed;
use layerstone_closure::Error as Closure;
use layerstone_image::Error as Image;
use layerstone_layer::Error as Layer;
use layerstone_layering::Error as Layering;
use layerstone_nixpkgs::Error as Nixpkgs;
use layerstone_oci::{Error as Oci, InvalidReference};
use layerstone_overlay::Error as Overlay;
use layerstone_pipeline::{Error as Pipeline, Refused};
use layerstone_registry::Error as Registry;
use layerstone_root::{Error as Root, SandboxError};
use layerstone_spec::Error as Spec;
use layerstone_store::{Cancelled, Error as Store, Limit};
use layerstone_tar::Error as Tar;
use std::error::Error as StdError;
use std::io::{Error as Io, ErrorKind};

/// What kind of error it is. Codes and classes stay what they are; new ones may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// What `--errors json` calls it.
    pub name: &'static str,
    /// The class that it belongs to.
    pub class: &'static str,
}

const fn code(name: &'static str, class: &'static str) -> Code {
    Code { name, class }
}

/// A command line that cannot be taken.
pub const USAGE: Code = code("usage", "usage");
const NOT_A_PLACE: Code = code("not-a-place", "input");
const NOT_A_NAME: Code = code("not-a-name", "input");
const NOT_A_STORE_PATH: Code = code("not-a-store-path", "input");
const MALFORMED: Code = code("malformed", "input");
const LIMIT: Code = code("limit", "input");
const CONFLICT: Code = code("conflict", "input");
/// An error of a kind that has no code of its own.
const OTHER: Code = code("error", "input");
const NOT_FOUND: Code = code("not-found", "not-found");
const UNREACHABLE: Code = code("unreachable", "network");
const REGISTRY: Code = code("registry", "network");
const REFUSED_CREDENTIALS: Code = code("refused-credentials", "auth");
const SCRIPT_FAILED: Code = code("script-failed", "script");
const WRONG_DIGEST: Code = code("wrong-digest", "changed");
const CHANGED: Code = code("changed", "changed");
const UNAVAILABLE: Code = code("unavailable", "internal");
/// The work was interrupted.
pub const INTERRUPTED: Code = code("interrupted", "internal");
const IO: Code = code("io", "internal");

/// The code of the first error in the chain that has one.
pub fn of(error: &anyhow::Error) -> Code {
    error.chain().find_map(of_cause).unwrap_or(OTHER)
}

/// The code of one error. A limit is in the text of errors of several kinds.
fn of_cause(cause: &(dyn StdError + 'static)) -> Option<Code> {
    if Limit::of_message(&cause.to_string()).is_some() {
        return Some(LIMIT);
    }
    match cause {
        _ if let Some(error) = cause.downcast_ref() => of_pipeline(error),
        _ if let Some(error) = cause.downcast_ref() => of_store(error),
        _ if let Some(error) = cause.downcast_ref() => of_registry(error),
        _ if let Some(error) = cause.downcast_ref() => of_image(error),
        _ if let Some(error) = cause.downcast_ref() => of_root(error),
        _ if let Some(error) = cause.downcast_ref() => of_overlay(error),
        _ if let Some(error) = cause.downcast_ref() => of_closure(error),
        _ if let Some(error) = cause.downcast_ref() => of_layer(error),
        _ if let Some(error) = cause.downcast_ref() => of_oci(error),
        _ if let Some(error) = cause.downcast_ref() => of_tar(error),
        _ if let Some(error) = cause.downcast_ref() => of_io(error),
        _ if let Some(Layering::NotClosure { .. }) = cause.downcast_ref() => Some(MALFORMED),
        _ if let Some(Spec::Stage(error)) = cause.downcast_ref() => of_store(error),
        _ if let Some(Spec::Oci(error)) = cause.downcast_ref() => of_oci(error),
        _ if cause.is::<serde_json::Error>() || cause.is::<Malformed>() => Some(MALFORMED),
        _ if cause.is::<layerstone_sbom::Error>() || cause.is::<layerstone_policy::Error>() => Some(MALFORMED),
        _ if cause.is::<Refused>() => Some(NOT_A_PLACE),
        _ if cause.is::<InvalidReference>() => Some(NOT_A_NAME),
        _ if cause.is::<Cancelled>() => Some(INTERRUPTED),
        _ if cause.is::<SandboxError>() => Some(UNAVAILABLE),
        _ => match cause.downcast_ref()? {
            Nixpkgs::Stage(error) | Nixpkgs::Checksum { source: error, .. } => of_store(error),
            Nixpkgs::Oci(error) => of_oci(error),
            Nixpkgs::Layer(error) => of_layer(error),
            Nixpkgs::Image(error) => of_image(error),
            _ => None,
        },
    }
}

/// Of most errors of the pipeline the cause tells, which is next in the chain.
fn of_pipeline(error: &Pipeline) -> Option<Code> {
    if let Pipeline::Differs { .. } = error { Some(CHANGED) } else { None }
}

fn of_store(error: &Store) -> Option<Code> {
    match error {
        Store::Io { source, .. } => of_io(source),
        Store::NoParent { .. } => Some(NOT_FOUND),
        Store::StorePath { .. } => Some(NOT_A_STORE_PATH),
        Store::Json { .. } | Store::Malformed { .. } | Store::WrongFormat { .. } => Some(MALFORMED),
        Store::Digest { .. } | Store::NarHash { .. } => Some(MALFORMED),
        Store::NoCache { .. } => Some(CONFLICT),
        _ => None,
    }
}

fn of_io(error: &Io) -> Option<Code> {
    // One that another library made of its own error.
    if let Some(inner) = error.get_ref()
        && let Some(code) = of_cause(inner)
    {
        return Some(code);
    }
    Some(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { IO })
}

fn of_registry(error: &Registry) -> Option<Code> {
    Some(match error {
        Registry::Unreachable { .. } | Registry::Proxy { .. } => UNREACHABLE,
        Registry::Unauthorized { .. } | Registry::Renewed { .. } | Registry::Status { status: 401 | 403, .. } => {
            REFUSED_CREDENTIALS
        }
        Registry::Listen { .. } => UNAVAILABLE,
        Registry::NotFound { .. } | Registry::Status { status: 404, .. } => NOT_FOUND,
        Registry::Status { .. } | Registry::Protocol { .. } | Registry::NoDeletion { .. } => REGISTRY,
        Registry::NoReferrerList { .. } | Registry::OtherSubject { .. } | Registry::NotListed { .. } => REGISTRY,
        Registry::Digest { .. } => WRONG_DIGEST,
        Registry::NoClient { .. } => UNAVAILABLE,
        Registry::Cancelled => INTERRUPTED,
        Registry::Content(error) => return of_oci(error),
        Registry::Stage(error) => return of_store(error),
        _ => return None,
    })
}

fn of_image(error: &Image) -> Option<Code> {
    Some(match error {
        Image::NotAnImage { .. } | Image::Layer { .. } => MALFORMED,
        Image::NoSuchImage { .. } => NOT_FOUND,
        Image::Digest { .. } => WRONG_DIGEST,
        Image::TooLarge { .. } | Image::TooLargeTogether { .. } | Image::Holes { .. } => LIMIT,
        Image::TagTwice { .. } => CONFLICT,
        Image::NoTag { .. } => NOT_A_NAME,
        Image::Cancelled(_) => INTERRUPTED,
        Image::Stage(error) => return of_store(error),
        Image::Tar(error) => return of_tar(error),
        _ => return None,
    })
}

fn of_root(error: &Root) -> Option<Code> {
    Some(match error {
        Root::Script { .. } | Root::ScriptExceeded { .. } => SCRIPT_FAILED,
        Root::NoBash { .. } | Root::Spawn { .. } => UNAVAILABLE,
        Root::OverBase { .. } | Root::HelperOverBase { .. } | Root::Conflicts { .. } => CONFLICT,
        Root::Libraries { .. } => NOT_FOUND,
        Root::Stage(error) => return of_store(error),
        Root::Tar(error) => return of_tar(error),
        Root::Layer(error) => return of_layer(error),
        Root::Closure(error) => return of_closure(error),
        Root::Spec(Spec::Stage(error)) => return of_store(error),
        Root::Spec(Spec::Oci(error)) => return of_oci(error),
        _ => return None,
    })
}

fn of_overlay(error: &Overlay) -> Option<Code> {
    Some(match error {
        Overlay::Script { .. } | Overlay::Inside { .. } | Overlay::Timeout { .. } => SCRIPT_FAILED,
        Overlay::Silent { .. } | Overlay::Lost { .. } | Overlay::NoBackend(_) | Overlay::Unavailable(_) => UNAVAILABLE,
        Overlay::Interrupted(_) => INTERRUPTED,
        Overlay::Tar(error) => return of_tar(error),
        Overlay::Stage(error) => return of_store(error),
        _ => return None,
    })
}

fn of_closure(error: &Closure) -> Option<Code> {
    Some(match error {
        Closure::Path { .. } | Closure::Absent { .. } | Closure::Cycle { .. } => MALFORMED,
        Closure::NotDatabase { .. } | Closure::Schema { .. } | Closure::Damaged { .. } => MALFORMED,
        Closure::NotThere { .. } | Closure::NotExcluded { .. } | Closure::NotValid { .. } => NOT_FOUND,
        Closure::Unknown { .. } => NOT_FOUND,
        Closure::Conflict { .. } => CONFLICT,
        Closure::Changed { .. } => CHANGED,
        Closure::OtherHash { .. } => WRONG_DIGEST,
        Closure::NoSqlite { .. } => UNAVAILABLE,
        Closure::Stage(error) => return of_store(error),
        _ => return None,
    })
}

fn of_layer(error: &Layer) -> Option<Code> {
    match error {
        Layer::Digest { .. } => Some(WRONG_DIGEST),
        Layer::Cancelled(_) => Some(INTERRUPTED),
        Layer::Stage(error) => of_store(error),
        Layer::Tar(error) => of_tar(error),
        Layer::Content(error) => of_cause(&**error),
        _ => None,
    }
}

fn of_oci(error: &Oci) -> Option<Code> {
    match error {
        Oci::Blob { .. } => Some(WRONG_DIGEST),
        Oci::Manifest { .. } | Oci::NotALayout { .. } => Some(MALFORMED),
        Oci::Reference(_) => Some(NOT_A_NAME),
        Oci::Stage(error) => of_store(error),
        Oci::Layer(error) => of_layer(error),
        Oci::BlobStore(error) => of_cause(&**error),
        _ => None,
    }
}

fn of_tar(error: &Tar) -> Option<Code> {
    match error {
        Tar::Read { source, .. } | Tar::Write { source, .. } => of_io(source),
        Tar::Changed { .. } => Some(CHANGED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that there are.
    const ALL: [Code; 18] = [
        USAGE,
        NOT_A_PLACE,
        NOT_A_NAME,
        NOT_A_STORE_PATH,
        MALFORMED,
        LIMIT,
        CONFLICT,
        OTHER,
        NOT_FOUND,
        UNREACHABLE,
        REGISTRY,
        REFUSED_CREDENTIALS,
        SCRIPT_FAILED,
        WRONG_DIGEST,
        CHANGED,
        UNAVAILABLE,
        INTERRUPTED,
        IO,
    ];

    /// The page lists every code with its class, in the order of this file, and no other.
    #[test]
    fn the_table_in_the_documentation() {
        let page = include_str!("../../../docs/machines.md");
        let section = page.split("\n## ").find(|section| section.starts_with("Errors\n")).unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | `"));
        let rows: Vec<(&str, &str)> = rows.filter_map(|(name, rest)| Some((name, rest.split_once('`')?.0))).collect();
        assert_eq!(rows, ALL.map(|it| (it.name, it.class)));
        let own = include_str!("code.rs");
        assert_eq!(own.lines().filter(|line| line.contains(": Code = code(\"")).count(), ALL.len());
    }

    /// An error inside others, whichever of them shows it as its own.
    #[test]
    fn inner_errors_tell() {
        let io = |kind| Store::Io { action: "read", path: "x".into(), source: Io::from(kind) };
        let of = |error: anyhow::Error| of(&error.context("outside")).name;
        assert_eq!(of(io(ErrorKind::NotFound).into()), "not-found");
        assert_eq!(of(io(ErrorKind::PermissionDenied).into()), "io");
        assert_eq!(of(Pipeline::from(Layer::from(io(ErrorKind::NotFound))).into()), "not-found");
        let unreachable = || Registry::NoClient { host: "x".to_owned() };
        assert_eq!(of(Oci::from(unreachable()).into()), "unavailable");
        assert_eq!(of(Layer::Content(Box::new(unreachable())).into()), "unavailable");
        assert_eq!(of(anyhow::anyhow!("found 6 members, expected at most 5 (limit members)")), "limit");
        assert_eq!(of(anyhow::anyhow!("something else")), "error");
    }
}
