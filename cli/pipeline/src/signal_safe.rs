//! A destination in which a signal waits: an upload that has begun is cancelled before the program ends.

use layerstone_layer::CompressedBlob;
use layerstone_oci::{BlobStore, BlobWriter, Content, Descriptor, ExpectedImage, PutOutcome, Reference, Result};
use layerstone_overlay::signal::hold;
use std::sync::Arc;

/// A destination whose every call a signal waits for, as it waits for nothing else: what is read or hashed between two
/// calls is broken off.
pub struct SignalSafe<D>(pub D);

impl<D: BlobStore> BlobStore for SignalSafe<D> {
    fn put(&self, descriptor: &Descriptor, content: &Arc<dyn Content>) -> Result<PutOutcome> {
        let _hold = hold();
        self.0.put(descriptor, content)
    }

    fn put_streaming(&self, write: &mut BlobWriter<'_>) -> Result<(CompressedBlob, PutOutcome)> {
        let _hold = hold();
        self.0.put_streaming(write)
    }

    fn expect_image(&self, image: &ExpectedImage<'_>) -> Result<()> {
        let _hold = hold();
        self.0.expect_image(image)
    }

    fn prefers_streaming(&self) -> bool {
        self.0.prefers_streaming()
    }

    fn verb(&self) -> &'static str {
        self.0.verb()
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        let _hold = hold();
        self.0.put_manifest(descriptor, bytes)
    }

    fn put_referrer(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
        let _hold = hold();
        self.0.put_referrer(descriptor, bytes)
    }

    fn finish_referrers(&self) -> Result<()> {
        let _hold = hold();
        self.0.finish_referrers()
    }

    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Reference>) -> Result<()> {
        let _hold = hold();
        self.0.finish(descriptor, bytes, name)
    }
}
