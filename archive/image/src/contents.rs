//! The contents of one file of an image, from the layer that shows it.

use crate::{Error, Result, StoredImage, StoredLayer};
use layerstone_layer::{Kind, Members};
use std::io::{self, BufReader, Write};

/// Bytes read of a layer at a time; members are passed over, so that more would be read in vain.
const BUFFER: usize = 16 * 1024;
/// Hard links that are followed from one member to the next.
const MAX_LINKS: usize = 40;

impl StoredImage {
    /// Writes the contents of a regular file that [`StoredImage::tree`] shows, by its name without a slash in front;
    /// false if no layer has such a file. Layers are plain.
    ///
    /// # Errors
    ///
    /// A layer cannot be read or is no tar, or writing fails.
    pub fn copy_file(&self, name: &[u8], out: &mut dyn Write) -> Result<bool> {
        let mut name = name.to_vec();
        let mut links = 0;
        for layer in self.layers.iter().rev() {
            let wrong = || Error::layer(layer.part.name());
            while let Some((index, kind)) = last_member(layer, &name).map_err(wrong())? {
                match kind {
                    Kind::File { .. } => {
                        copy_member(layer, index, out).map_err(wrong())?;
                        return Ok(true);
                    }
                    Kind::HardLink { target } if links < MAX_LINKS => (name, links) = (target.into(), links + 1),
                    _ => return Ok(false),
                }
            }
        }
        Ok(false)
    }
}

/// The last member of this name, by its number, since later ones replace those before them.
fn last_member(layer: &StoredLayer, name: &[u8]) -> io::Result<Option<(usize, Kind)>> {
    let mut members = Members::new(BufReader::with_capacity(BUFFER, layer.part.reader()));
    let mut found = None;
    let mut index = 0;
    while let Some(member) = members.next_member()? {
        if member.name == name {
            found = Some((index, member.kind));
        }
        members.pass_contents()?;
        index += 1;
    }
    Ok(found)
}

fn copy_member(layer: &StoredLayer, index: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut members = Members::new(BufReader::with_capacity(BUFFER, layer.part.reader()));
    for _ in 0..index {
        members.next_member()?;
        members.pass_contents()?;
    }
    members.next_member()?;
    members.copy_contents(out)
}
