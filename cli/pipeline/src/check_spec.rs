//! Checks what keys of a spec say of each other.

use crate::Result;
use layerstone_spec::{ImageKind, Spec};

/// What no single key of a spec tells.
///
/// # Errors
///
/// Two keys contradict each other, or the name is none.
pub fn check_spec(spec: &Spec) -> Result<()> {
    if spec.run_as_root.is_some() && spec.kind == ImageKind::Single && spec.fake_root_commands.is_some() {
        bail!("fakeRootCommands: found runAsRoot too, expected one of them in an image of kind \"single\"");
    }
    if spec.run_as_root.is_some() && spec.kind == ImageKind::Single && spec.root_layer.is_some() {
        bail!("rootLayer: found runAsRoot too, expected one of them in an image of kind \"single\"");
    }
    if spec.kind == ImageKind::Single && !spec.copy_layers().is_empty() {
        bail!("copy: found a layer in an image of kind \"single\", expected none");
    }
    if !spec.include_store_paths && !spec.layers.is_empty() {
        bail!("layers: found includeStorePaths false too, expected one of them");
    }
    if spec.kind == ImageKind::Single && !spec.tar_layers.is_empty() {
        bail!("tarLayers: found some in an image of kind \"single\", expected none");
    }
    spec.reference()?;
    if let faults @ [_, ..] = &spec.config_faults()[..] {
        bail!("{}", faults.join("\n  "));
    }
    Ok(())
}
