//! What to do about an error, where a command would help.

use layerstone_closure::Error as Closure;
use layerstone_image::Error as Image;
use layerstone_overlay::Error as Overlay;
use layerstone_pipeline::Refused;
use layerstone_registry::Error as Registry;
use layerstone_store::Error as Stage;

/// A hint for the first error in the chain that has one.
pub fn of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        match cause.downcast_ref() {
            Some(Closure::NoHash { .. }) => {
                return Some("`layerstone closure --scan --nar-hash` records them".to_owned());
            }
            Some(Closure::NotValid { .. }) => {
                return Some("--scan finds references in the files, for paths that no database has".to_owned());
            }
            _ => {}
        }
        if let Some(layerstone_layering::Error::NoSize { .. }) = cause.downcast_ref() {
            return Some("`layerstone closure --graph FILE --sizes` measures what a graph does not tell".to_owned());
        }
        if let Some(layerstone_root::Error::OverBase { .. }) = cause.downcast_ref() {
            return Some("--replace lets the layer hide what the base has there".to_owned());
        }
        if let Some(layerstone_root::Error::HelperOverBase { .. }) = cause.downcast_ref() {
            return Some("leave the helper out, or --replace lets it hide what the base has there".to_owned());
        }
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            return refused.hint().map(str::to_owned);
        }
        match cause.downcast_ref() {
            Some(Overlay::Timeout { .. }) => return Some("--timeout S allows more".to_owned()),
            Some(Overlay::NoBackend(_) | Overlay::Lost { .. } | Overlay::Silent { .. }) => {
                return Some("`layerstone overlay probe` tells which --backend works here".to_owned());
            }
            _ => {}
        }
        match cause.downcast_ref() {
            Some(Image::TooLarge { .. } | Image::TooLargeTogether { .. } | Image::Holes { .. }) => {
                return Some("--max-unpacked BYTES allows more".to_owned());
            }
            Some(Image::TagTwice { .. }) => {
                return Some("FILE#NAME:TAG takes one image of a file, under this name".to_owned());
            }
            Some(Image::NoTag { text, path, .. }) if !text.contains(':') => {
                let (kind, path) = (if path.is_dir() { "oci" } else { "oci-archive" }, path.display());
                return Some(format!(
                    "`skopeo copy {kind}:{path}:{text} docker-archive:FILE:NAME:TAG` gives it a name"
                ));
            }
            _ => {}
        }
        if let Some(hint) = of_registry(cause) {
            return Some(hint);
        }
        let stage = cause.downcast_ref::<Stage>().or_else(|| within(cause))?;
        match stage {
            Stage::WrongFormat { rerun, .. } => Some(format!("write it again with `{rerun}`")),
            Stage::NoParent { parent, .. } => Some(format!("mkdir -p {}", parent.display())),
            _ => None,
        }
    })
}

fn of_registry(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let inner = match cause.downcast_ref() {
        Some(layerstone_oci::Error::Destination(inner)) => inner.downcast_ref(),
        _ => None,
    };
    Some(match cause.downcast_ref().or(inner)? {
        Registry::Unreachable { url, cause } if cause.contains("found an answer without TLS") => {
            format!("--insecure {} lets it speak plain HTTP", host_of(url))
        }
        Registry::Unreachable { url, cause } if cause.contains("TLS: invalid peer certificate: ") => {
            let host = host_of(url);
            format!("--ca FILE trusts an authority of your own, --insecure {host} any certificate of that host")
        }
        Registry::Protocol { cause, .. } if let Some(realm) = cause.strip_prefix("found the token server http://") => {
            let host = realm.split(['/', ',']).next().unwrap_or_default();
            format!("--insecure {host} lets it get passwords over plain HTTP")
        }
        Registry::Unreachable { cause, .. } if cause.contains("timeout: nothing ") => {
            "--io-timeout S waits longer".to_owned()
        }
        Registry::Unauthorized { .. } => {
            "`docker login` or `podman login` keep credentials, --authfile names a file".to_owned()
        }
        _ => return None,
    })
}

/// The host of an address, with its port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

/// The ground's error inside another library's, which shows it as its own.
fn within<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a Stage> {
    if let Some(layerstone_layer::Error::Stage(stage)) = cause.downcast_ref() {
        return Some(stage);
    }
    if let Some(layerstone_spec::Error::Stage(stage)) = cause.downcast_ref() {
        return Some(stage);
    }
    if let Some(layerstone_image::Error::Stage(stage)) = cause.downcast_ref() {
        return Some(stage);
    }
    if let Some(layerstone_closure::Error::Stage(stage)) = cause.downcast_ref() {
        return Some(stage);
    }
    if let Some(Overlay::Stage(stage)) = cause.downcast_ref() {
        return Some(stage);
    }
    if let Some(layerstone_root::Error::Stage(stage)) = cause.downcast_ref() {
        return Some(stage);
    }
    None
}
