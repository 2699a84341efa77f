//! Writing the header of a copied member.

use super::TarInfo;
use layerstone_tar::{HeaderFields, Records, append_pax};

impl TarInfo {
    /// The header blocks, as Python writes them in its PAX format: a record that the member came with stays, and has
    /// priority over what would be recorded for a field that is too small.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut records = Records::default();
        self.pax.iter().for_each(|(key, value)| records.set(key, value));
        let fields = HeaderFields {
            name: &self.name,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            size: self.size,
            mtime: self.mtime,
            flag: self.flag,
            link: &self.linkname,
            uname: &self.uname,
            gname: &self.gname,
            device: None,
        };
        let mut header = Vec::new();
        append_pax(&fields, records, &mut header);
        header
    }
}
