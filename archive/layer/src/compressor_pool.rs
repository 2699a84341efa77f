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
use crate::chunked::{Batch, PackedBatch, TableBuilder, TablePosition};
use crate::compressor::Compressor;
use crate::{BlobCache, CompressionParams};
use crossbeam_channel::{Receiver, SendError, Sender, bounded};
use layerstone_store::{Digest, Hasher};
use layerstone_tar::Part;
use std::io::{self, BufReader, Write};
use std::thread;

/// Bytes that are worth a system call, or a job for a thread.
pub(crate) const PIECE: usize = 1 << 20;

impl CompressionParams {
    /// Bytes of input in a block. Larger blocks compress better and take more memory: zstd looks back over megabytes, gzip
    /// over 32 KiB. A change changes the output.
    pub(crate) fn block(self) -> usize {
        match self {
            CompressionParams::Gzip { .. } => 1 << 20,
            CompressionParams::Zstd { .. } | CompressionParams::ZstdChunked { .. } => 4 << 20,
        }
    }
}

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

    /// Runs `produce` with a writer whose blocks are compressed and written to `out`; the result, and where in `out` what
    /// has to be found again is.
    ///
    /// # Errors
    ///
    /// What writing to `out` failed of; the result of `produce` is lost then.
    pub fn compress<T>(
        &self,
        out: &mut (dyn Write + Send),
        produce: impl FnOnce(&mut BlockWriter) -> T,
    ) -> io::Result<(T, Positions)> {
        thread::scope(|scope| {
            // What may be compressed but not yet written: enough that no thread waits for a slow neighbour.
            let (pieces, ordered) = bounded::<Piece>(self.threads + 2);
            let writer = thread::Builder::new().spawn_scoped(scope, move || write_pieces(&ordered, out))?;
            let params = self.params;
            let mut blocks =
                BlockWriter { params, buffer: Vec::with_capacity(params.block()), jobs: self.jobs.clone(), pieces };
            let result = produce(&mut blocks);
            // A writer that is gone tells why itself.
            let _ = blocks.cut();
            drop(blocks);
            let positions = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((result, positions))
        })
    }

    /// Compresses what fits into one block, in this thread: the same bytes as through a writer.
    pub(crate) fn compress_small(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        assert!(bytes.len() <= self.params.block(), "fits into one block");
        if bytes.is_empty() { Ok(Vec::new()) } else { Compressor::new(self.params)?.compress(bytes) }
    }

    /// How it compresses.
    pub(crate) fn params(&self) -> CompressionParams {
        self.params
    }
}

/// Where in an output what has to be found again is.
#[derive(Debug, Default)]
pub struct Positions {
    /// The offset of every slot.
    pub slots: Vec<u64>,
    /// Offset and size of every layer, compressed or copied.
    pub layers: Vec<(u64, u64)>,
}

/// What to compress, and where to send the result.
enum Job {
    Block(Vec<u8>, Sender<io::Result<Vec<u8>>>),
    Batch(Batch, Sender<io::Result<PackedBatch>>),
}

/// The next piece of output.
#[derive(Debug)]
enum Piece {
    /// A block, as soon as it is compressed.
    Block(Receiver<io::Result<Vec<u8>>>),
    /// Frames of a layer that gets a table, as soon as they are compressed.
    Batch(Receiver<io::Result<PackedBatch>>),
    /// The table of the frames so far.
    Table(Sender<Option<TablePosition>>),
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

/// The table of a layer that is on its way into an output.
#[derive(Debug)]
pub(crate) struct PendingTable(Receiver<Option<TablePosition>>);

impl PendingTable {
    /// Where the table is, once the output is written; none if the layer cannot have one.
    pub fn wait(self) -> Option<TablePosition> {
        self.0.recv().ok().flatten()
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

    /// Hands on frames of a layer that gets a table.
    pub(crate) fn batch(&mut self, batch: Batch) -> io::Result<()> {
        self.cut()?;
        let (result, receiver) = bounded(1);
        self.pieces.send(Piece::Batch(receiver)).map_err(gone)?;
        self.run(Job::Batch(batch, result));
        Ok(())
    }

    /// Writes the table of the frames so far.
    pub(crate) fn table(&mut self) -> io::Result<PendingTable> {
        let (sender, receiver) = bounded(1);
        self.pieces.send(Piece::Table(sender)).map_err(gone)?;
        Ok(PendingTable(receiver))
    }

    /// Ends the current block, so that where the next begins depends on what follows alone.
    fn cut(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let block = std::mem::replace(&mut self.buffer, Vec::with_capacity(self.params.block()));
        let (result, receiver) = bounded(1);
        self.pieces.send(Piece::Block(receiver)).map_err(gone)?;
        self.run(Job::Block(block, result));
        Ok(())
    }

    fn run(&self, job: Job) {
        if let Err(SendError(job)) = self.jobs.send(job) {
            compress(&mut Compressor::new(self.params), job);
        }
    }
}

impl Write for BlockWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.params.block() - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..count]);
        if self.buffer.len() == self.params.block() {
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
    let mut compressor = Compressor::new(params);
    for job in queue {
        compress(&mut compressor, job);
    }
}

/// Nobody waits for the result once the writer has failed.
fn compress(compressor: &mut io::Result<Compressor>, job: Job) {
    let no_compressor = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
    match (job, compressor) {
        (Job::Block(block, result), Ok(compressor)) => drop(result.send(compressor.compress(&block))),
        (Job::Batch(batch, result), Ok(compressor)) => drop(result.send(batch.pack(compressor))),
        (Job::Block(_, result), Err(error)) => drop(result.send(Err(no_compressor(error)))),
        (Job::Batch(_, result), Err(error)) => drop(result.send(Err(no_compressor(error)))),
    }
}

/// Writes pieces in order.
fn write_pieces(ordered: &Receiver<Piece>, out: &mut (dyn Write + Send)) -> io::Result<Positions> {
    let (mut offset, mut positions) = (0, Positions::default());
    let mut layer: Option<(Hasher, u64, Keeping)> = None;
    let mut table: Option<TableBuilder> = None;
    let ended = |_| io::Error::other("a compressing thread ended early");
    for piece in ordered {
        let bytes = match piece {
            Piece::Slot(bytes) => {
                positions.slots.push(offset);
                bytes
            }
            Piece::Block(result) => result.recv().map_err(ended)??,
            Piece::Batch(result) => {
                let batch = result.recv().map_err(ended)??;
                match &mut table {
                    Some(table) => table.add(&batch, offset)?,
                    None => table.insert(TableBuilder::new()?).add(&batch, offset)?,
                }
                batch.bytes
            }
            Piece::Table(sender) => {
                let made = table.take().map(|table| table.finish(offset)).transpose()?.flatten();
                // Whoever asked may be gone after an error.
                let _ = sender.send(made.as_ref().map(|(_, position)| *position));
                made.map_or(Vec::new(), |(frames, _)| frames)
            }
            Piece::Blob(part) => {
                // In pieces that are worth a system call.
                let size = io::copy(&mut BufReader::with_capacity(PIECE, part.reader()), out)?;
                positions.layers.push((offset, size));
                offset += size;
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
                    positions.layers.push((offset - size, size));
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
    Ok(positions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn round_trip(params: CompressionParams, threads: usize, input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let ((), Positions { slots, layers }) = CompressorPool::with(params, threads, |pool| {
            pool.compress(&mut out, |writer| {
                writer.write_all(&input[..input.len() / 3]).unwrap();
                writer.slot(&[7; 512]).unwrap();
                writer.write_all(&input[input.len() / 3..]).unwrap();
            })
        })
        .unwrap();
        assert_eq!((slots.len(), layers.len()), (1, 0));
        let mut plain = Vec::new();
        match params {
            CompressionParams::Gzip { .. } => {
                flate2::read::MultiGzDecoder::new(&out[..]).read_to_end(&mut plain).unwrap()
            }
            CompressionParams::Zstd { .. } | CompressionParams::ZstdChunked { .. } => {
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
            let block = params.block();
            for len in [0, 1, block - 1, 3 * block, input.len()] {
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
                let zeros = vec![0; PIECE];
                while writer.write_all(&zeros).is_ok() {}
            })
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
