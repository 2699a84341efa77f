//! Compresses on all cores, into the same bytes whatever their number.
//!
//! The input is cut into blocks of a fixed size, and each becomes a gzip member (RFC 1952, section 2.2) or a zstd frame
//! (RFC 8878, section 3.1) of its own, compressed by whichever thread is free and written in order; both formats define
//! the concatenation as the concatenation of contents. The cost is the window lost at every block's start; with libdeflate
//! at the default level the result is less than three percent larger than `pigz -6` makes it (see `cargo xtask bench`).
//!
//! A [`CompressorPool`] serves several outputs at once: while a big layer keeps most threads busy, small layers take the
//! others.
//!
//! An output may hold layers: each begins and ends a block, so that its bytes there are those of its blob, which may be
//! kept on the way, or copied where it was kept before.
//!
//! A *slot* is a piece stored uncompressed in a member of known length, which can be written again later: the header of
//! a layer names the layer's digest, which is only known once the layer is through.

use crate::blob_cache::Keeping;
use crate::{BlobCache, CompressionParams};
use crossbeam_channel::{Receiver, SendError, Sender, bounded};
use layerstone_store::{Digest, Hasher};
use layerstone_tar::Part;
use libdeflater::{CompressionLvl, Compressor};
use std::io::{self, BufReader, Write};
use std::thread;

impl CompressionParams {
    /// A member that holds the bytes uncompressed; its length depends on theirs alone.
    pub fn store(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            CompressionParams::Gzip { .. } => gzip_member(bytes, 0),
            CompressionParams::Zstd { .. } => zstd_raw_frame(bytes),
        }
    }

    fn compress(self, block: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            CompressionParams::Gzip { level } => Ok(gzip_member(block, level)),
            CompressionParams::Zstd { level } => zstd::bulk::compress(block, level),
        }
    }
}

/// Header fields are libdeflate's: no name, no time, so that nothing but contents decides the bytes.
fn gzip_member(bytes: &[u8], level: i32) -> Vec<u8> {
    let level = CompressionLvl::new(level.clamp(0, 12)).expect("a level between 0 and 12");
    let mut compressor = Compressor::new(level);
    let mut member = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let len = compressor.gzip_compress(bytes, &mut member).expect("the bound is never exceeded");
    member.truncate(len);
    member
}

/// One frame of one raw block (RFC 8878, sections 3.1.1.1 and 3.1.1.2): single segment, content size in four bytes.
fn zstd_raw_frame(bytes: &[u8]) -> Vec<u8> {
    const MAGIC: u32 = 0xFD2F_B528;
    const SINGLE_SEGMENT_WITH_SIZE_OF_4: u8 = 0b1010_0000;
    const LAST_BLOCK: u32 = 1;
    let len = u32::try_from(bytes.len()).expect("slots are a few blocks of tar header");
    let mut frame = MAGIC.to_le_bytes().to_vec();
    frame.push(SINGLE_SEGMENT_WITH_SIZE_OF_4);
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(&(len << 3 | LAST_BLOCK).to_le_bytes()[..3]);
    frame.extend_from_slice(bytes);
    frame
}

/// Bytes of input in a block. Larger blocks compress better and take more memory; a change changes the output.
pub(crate) const BLOCK: usize = 1 << 20;

/// A pool of threads that compress blocks.
#[derive(Debug)]
pub struct CompressorPool {
    params: CompressionParams,
    jobs: Sender<Job>,
    threads: usize,
}

impl CompressorPool {
    /// Runs `work` with a pool of so many threads, which are gone afterwards.
    pub fn with<T>(params: CompressionParams, threads: usize, work: impl FnOnce(&CompressorPool) -> T) -> T {
        thread::scope(|scope| {
            let (jobs, queue) = bounded::<Job>(threads);
            for _ in 0..threads {
                let queue = queue.clone();
                // One that cannot be made is missed by nobody; without any, whoever produces a block compresses it.
                let _ = thread::Builder::new().spawn_scoped(scope, move || compress_blocks(params, &queue));
            }
            drop(queue);
            // Dropped at the end of this closure, which lets the threads go.
            work(&CompressorPool { params, jobs, threads })
        })
    }

    /// Runs `produce` with a writer whose blocks are compressed and written to `out`; the result, and the offset in `out`
    /// of every slot.
    ///
    /// # Errors
    ///
    /// What writing to `out` failed of; the result of `produce` is lost then.
    pub fn compress<T>(
        &self,
        out: &mut (dyn Write + Send),
        produce: impl FnOnce(&mut BlockWriter) -> T,
    ) -> io::Result<(T, Vec<u64>)> {
        thread::scope(|scope| {
            // What may be compressed but not yet written: enough that no thread waits for a slow neighbour.
            let (pieces, ordered) = bounded::<Piece>(self.threads + 2);
            let writer = thread::Builder::new().spawn_scoped(scope, move || write_pieces(&ordered, out))?;
            let params = self.params;
            let mut blocks = BlockWriter { params, buffer: Vec::with_capacity(BLOCK), jobs: self.jobs.clone(), pieces };
            let result = produce(&mut blocks);
            // A writer that is gone tells why itself.
            let _ = blocks.cut();
            drop(blocks);
            let slots = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((result, slots))
        })
    }

    /// Compresses what fits into one block, in this thread: the same bytes as through a writer.
    pub(crate) fn compress_small(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        assert!(bytes.len() <= BLOCK, "fits into one block");
        if bytes.is_empty() { Ok(Vec::new()) } else { self.params.compress(bytes) }
    }
}

/// A block to compress, and where to send the result.
type Job = (Vec<u8>, Sender<io::Result<Vec<u8>>>);

/// The next piece of output.
#[derive(Debug)]
enum Piece {
    /// A block, as soon as it is compressed.
    Block(Receiver<io::Result<Vec<u8>>>),
    /// A stored member whose offset is to be remembered.
    Slot(Vec<u8>),
    /// The blob of a layer, as it was compressed before.
    Blob(Part),
    /// The blocks that follow are those of a layer.
    Begin(Keeping),
    /// They were all of the layer.
    End(Sender<(Digest, u64)>),
}

/// The blob of a layer that is on its way into an output.
#[derive(Debug)]
pub struct PendingBlob(Receiver<(Digest, u64)>);

impl PendingBlob {
    /// The digest and the size of the blob, once the output is written.
    pub fn wait(self) -> Option<(Digest, u64)> {
        self.0.recv().ok()
    }
}

/// Takes bytes and hands them on in blocks.
#[derive(Debug)]
pub struct BlockWriter {
    params: CompressionParams,
    buffer: Vec<u8>,
    jobs: Sender<Job>,
    pieces: Sender<Piece>,
}

impl BlockWriter {
    /// Ends the current block and stores bytes in a member of their own.
    pub fn slot(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.cut()?;
        self.pieces.send(Piece::Slot(self.params.store(bytes))).map_err(gone)
    }

    /// Writes a layer with `produce`; its blob is kept in a cache, if there is one.
    ///
    /// # Errors
    ///
    /// The output cannot be written; the error of `produce` is in the result.
    pub fn layer<T>(
        &mut self,
        cache: Option<&BlobCache>,
        produce: impl FnOnce(&mut BlockWriter) -> T,
    ) -> io::Result<(T, PendingBlob)> {
        self.cut()?;
        self.pieces.send(Piece::Begin(Keeping::begin(cache))).map_err(gone)?;
        let result = produce(self);
        self.cut()?;
        let (sender, receiver) = bounded(1);
        self.pieces.send(Piece::End(sender)).map_err(gone)?;
        Ok((result, PendingBlob(receiver)))
    }

    /// Writes a layer whose blob exists, which was compressed with the same parameters.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn blob(&mut self, blob: Part) -> io::Result<()> {
        self.cut()?;
        self.pieces.send(Piece::Blob(blob)).map_err(gone)
    }

    /// Ends the current block, so that where the next begins depends on what follows alone.
    fn cut(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let block = std::mem::replace(&mut self.buffer, Vec::with_capacity(BLOCK));
        let (result, receiver) = bounded(1);
        self.pieces.send(Piece::Block(receiver)).map_err(gone)?;
        if let Err(SendError((block, result))) = self.jobs.send((block, result)) {
            compress_block(self.params, &block, &result);
        }
        Ok(())
    }
}

impl Write for BlockWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == BLOCK {
            self.cut()?;
        }
        Ok(count)
    }

    /// Does nothing: a block's end must not depend on when somebody flushes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The writer stopped because of an error that it returns itself.
fn gone<T>(_: SendError<T>) -> io::Error {
    io::Error::from(io::ErrorKind::BrokenPipe)
}

fn compress_blocks(params: CompressionParams, queue: &Receiver<Job>) {
    for (block, result) in queue {
        compress_block(params, &block, &result);
    }
}

fn compress_block(params: CompressionParams, block: &[u8], result: &Sender<io::Result<Vec<u8>>>) {
    // Nobody waits for the result once the writer has failed.
    let _ = result.send(params.compress(block));
}

/// Writes pieces in order; the offsets of the slots.
fn write_pieces(ordered: &Receiver<Piece>, out: &mut (dyn Write + Send)) -> io::Result<Vec<u64>> {
    let (mut offset, mut slots) = (0, Vec::new());
    let mut layer: Option<(Hasher, u64, Keeping)> = None;
    for piece in ordered {
        let bytes = match piece {
            Piece::Slot(bytes) => {
                slots.push(offset);
                bytes
            }
            Piece::Block(result) => {
                result.recv().map_err(|_| io::Error::other("a compressing thread ended early"))??
            }
            Piece::Blob(part) => {
                // In pieces that are worth a system call.
                offset += io::copy(&mut BufReader::with_capacity(BLOCK, part.reader()), out)?;
                continue;
            }
            Piece::Begin(keeping) => {
                layer = Some((Hasher::default(), 0, keeping));
                continue;
            }
            Piece::End(sender) => {
                if let Some((hasher, size, keeping)) = layer.take() {
                    let digest = hasher.finish();
                    keeping.keep(&digest);
                    // Whoever asked may be gone after an error.
                    let _ = sender.send((digest, size));
                }
                continue;
            }
        };
        out.write_all(&bytes)?;
        offset += bytes.len() as u64;
        if let Some((hasher, size, keeping)) = &mut layer {
            hasher.update(&bytes);
            *size += bytes.len() as u64;
            keeping.write(&bytes);
        }
    }
    out.flush()?;
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn round_trip(params: CompressionParams, threads: usize, input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let ((), slots) = CompressorPool::with(params, threads, |pool| {
            pool.compress(&mut out, |writer| {
                writer.write_all(&input[..input.len() / 3]).unwrap();
                writer.slot(&[7; 512]).unwrap();
                writer.write_all(&input[input.len() / 3..]).unwrap();
            })
        })
        .unwrap();
        assert_eq!(slots.len(), 1);
        let mut plain = Vec::new();
        match params {
            CompressionParams::Gzip { .. } => {
                flate2::read::MultiGzDecoder::new(&out[..]).read_to_end(&mut plain).unwrap()
            }
            CompressionParams::Zstd { .. } => {
                zstd::stream::read::Decoder::new(&out[..]).unwrap().read_to_end(&mut plain).unwrap()
            }
        };
        let expected = [&input[..input.len() / 3], &[7; 512], &input[input.len() / 3..]].concat();
        assert!(plain == expected);
        // A slot can be written again in place.
        let stored = params.store(&[7; 512]);
        let at = slots[0] as usize;
        assert_eq!(out[at..at + stored.len()], stored);
        assert_eq!(params.store(&[9; 512]).len(), stored.len());
        out
    }

    #[test]
    fn same_bytes_for_any_thread_count() {
        let input: Vec<u8> = (0..5_000_000u32).flat_map(|i| (i.wrapping_mul(i) >> 7).to_le_bytes()).collect();
        for params in [CompressionParams::GZIP, CompressionParams::ZSTD] {
            for len in [0, 1, BLOCK - 1, 3 * BLOCK, input.len()] {
                let one = round_trip(params, 1, &input[..len]);
                assert!(one == round_trip(params, 8, &input[..len]), "{params:?} {len}");
            }
        }
    }

    #[test]
    fn a_failing_output_is_told() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let result = CompressorPool::with(CompressionParams::GZIP, 2, |pool| {
            pool.compress(&mut Full, |writer| {
                let zeros = vec![0; BLOCK];
                while writer.write_all(&zeros).is_ok() {}
            })
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
