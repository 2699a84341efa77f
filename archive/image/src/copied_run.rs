//! Runs of layers that stand one behind the other in an earlier archive as they do in the new one. A run is copied in one go, with
//! what stands between its layers, which is written again behind it: few large copies take half the time of many.

use crate::LayerMember;
use layerstone_layer::{Error, Progress, Result};
use layerstone_store::{Output, RangeCopy};
use std::fs::File;

/// A piece of an earlier archive, and where it goes.
#[derive(Debug)]
pub(crate) struct CopiedRun<'a> {
    file: &'a File,
    start: u64,
    at: u64,
    size: u64,
}

/// The runs of layers, of which these are the places in the new archive.
pub(crate) fn runs<'a>(layers: &'a [LayerMember], spans: &[(u64, u64)]) -> Vec<CopiedRun<'a>> {
    let mut runs: Vec<CopiedRun<'a>> = Vec::new();
    // Whether the layer before belongs to the last run.
    let mut goes_on = false;
    for (layer, (at, size)) in layers.iter().zip(spans) {
        let Some(kept) = &layer.kept else {
            goes_on = false;
            continue;
        };
        let next = CopiedRun { file: kept.file(), start: kept.start(), at: *at, size: *size };
        match runs.last_mut().filter(|run| goes_on && run.leads_to(&next)) {
            Some(run) => run.size = next.at + next.size - run.at,
            None => runs.push(next),
        }
        goes_on = true;
    }
    runs
}

impl CopiedRun<'_> {
    fn leads_to(&self, next: &CopiedRun<'_>) -> bool {
        let (here, there) = (next.start.checked_sub(self.start), next.at.checked_sub(self.at));
        std::ptr::eq(self.file, next.file) && here == there && here.is_some_and(|between| between >= self.size)
    }

    /// Copies it.
    ///
    /// # Errors
    ///
    /// It cannot be read or not be written, or the work was cancelled.
    pub fn copy(&self, output: &Output, progress: &Progress) -> Result<()> {
        let mut copy = RangeCopy::new((self.file, self.start), (output.file(), self.at), self.size);
        loop {
            match copy.step().map_err(Error::write(output.destination()))? {
                0 => return Ok(()),
                done => progress.count(usize::try_from(done).unwrap_or(usize::MAX))?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_layer::Source;
    use layerstone_tar::Part;
    use std::io::Write;
    use std::path::Path;
    use std::sync::Arc;

    /// Layers, some of which an archive has at these offsets, go to places; what is copied from where to where.
    #[track_caller]
    fn check(file: &Arc<File>, layers: &[(Option<u64>, u64, u64)], expected: &[(u64, u64, u64)]) {
        let member = |(start, _, size): &(Option<u64>, u64, u64)| {
            let source = Source::Part(Part::new(Arc::clone(file), "x", 0, *size));
            let kept = start.map(|start| Part::new(Arc::clone(file), "x", start, *size));
            LayerMember { kept, ..LayerMember::new(source, None, "x") }
        };
        let members: Vec<LayerMember> = layers.iter().map(member).collect();
        let spans: Vec<(u64, u64)> = layers.iter().map(|(_, at, size)| (*at, *size)).collect();
        let found: Vec<(u64, u64, u64)> =
            runs(&members, &spans).iter().map(|run| (run.start, run.at, run.size)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_stands_together_is_copied_together() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        check(&file, &[], &[]);
        check(&file, &[(Some(5), 5, 10), (Some(20), 20, 10), (Some(35), 35, 1)], &[(5, 5, 31)]);
        // All moved by as much.
        check(&file, &[(Some(5), 9, 10), (Some(20), 24, 10)], &[(5, 9, 25)]);
        // One is new, or has become longer, or stands elsewhere, or in front.
        check(&file, &[(Some(5), 5, 10), (None, 20, 10), (Some(35), 35, 1)], &[(5, 5, 10), (35, 35, 1)]);
        check(&file, &[(Some(5), 5, 10), (Some(20), 21, 10)], &[(5, 5, 10), (20, 21, 10)]);
        check(&file, &[(Some(20), 5, 10), (Some(5), 20, 10)], &[(20, 5, 10), (5, 20, 10)]);
    }

    #[test]
    fn a_run_is_copied_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let output = Output::create(&dir.path().join("x")).unwrap();
        let progress = Progress::default();
        CopiedRun { file: &file, start: 2, at: 1, size: 5 }.copy(&output, &progress).unwrap();
        output.commit().unwrap();
        assert_eq!((std::fs::read(dir.path().join("x")).unwrap(), progress.bytes()), (b"\x0023456".to_vec(), 5));
        let too_long = CopiedRun { file: &file, start: 2, at: 1, size: 9 };
        let output = Output::create(Path::new(&dir.path().join("y"))).unwrap();
        assert!(too_long.copy(&output, &progress).is_err());
    }
}
