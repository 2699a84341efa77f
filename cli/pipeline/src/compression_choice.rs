//! How layers are to be compressed, as far as anybody said.

use layerstone_layer::CompressionParams;

/// What was asked for; what was not follows from the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressionChoice {
    /// The compression that was asked for, of which one is none.
    pub asked: Option<Option<CompressionParams>>,
    /// Whether layers stay as they are, instead of gzip, where nobody says.
    pub plain_by_default: bool,
}

impl CompressionChoice {
    /// The compression of layers that are blobs: what was asked for, or else what `described` says, or else what the image
    /// says, or else what is usual.
    pub fn of_layers(
        &self,
        described: Option<CompressionParams>,
        image: Option<Option<CompressionParams>>,
    ) -> Option<CompressionParams> {
        let usual = || Some(CompressionParams::GZIP).filter(|_| !self.plain_by_default);
        self.or(described.or_else(|| image.unwrap_or_else(usual)))
    }

    /// What was asked for, or else this; none for no compression.
    pub fn or(&self, default: Option<CompressionParams>) -> Option<CompressionParams> {
        self.asked.unwrap_or(default)
    }
}
