//! Reads and consumes a layer on two threads, joined by a bounded channel of buffers that go round.

use crate::{Result, Source};
use crossbeam_channel::{Receiver, Sender, bounded};
use layerstone_store::Cancelled;
use std::thread;

/// Bytes in a buffer: small enough that what one thread read is still in a cache when the other consumes it.
const CHUNK: usize = 256 << 10;

/// Buffers in a chain: the reader may be this far ahead. Memory is DEPTH × CHUNK for each chain.
const DEPTH: usize = 8;

/// A layer smaller than this many bytes is not worth a second thread.
const SMALL: u64 = 2 * CHUNK as u64;

/// Passes a layer's bytes in order through `tap`, on the thread that reads them, and then `consume`, on the caller's.
///
/// An error of either ends the chain. In a rayon pool of one thread, for small layers, and if no thread can be made, all is
/// done on the caller's thread.
pub(crate) fn run(
    source: &Source,
    tap: &(dyn Fn(u64, &[u8]) -> Result<()> + Sync),
    consume: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    if rayon::current_num_threads() == 1 || source.size() < SMALL {
        return run_alone(source, tap, consume);
    }
    let chained = thread::scope(|scope| {
        let (full, filled) = bounded(DEPTH);
        let (free, emptied) = bounded(DEPTH);
        for _ in 0..DEPTH {
            free.send(vec![0; CHUNK]).expect("the channel has room for all buffers");
        }
        let reader = thread::Builder::new().spawn_scoped(scope, move || read(source, tap, &emptied, &full)).ok()?;
        let consumed = drain(filled, free, consume);
        // Both ends of the channels are gone by now, so the reader is done or about to be.
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Some(consumed.and(read))
    });
    // Without a second thread.
    chained.unwrap_or_else(|| run_alone(source, tap, consume))
}

fn run_alone(
    source: &Source,
    tap: &(dyn Fn(u64, &[u8]) -> Result<()> + Sync),
    consume: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut reader = source.reader()?;
    let mut buffer = vec![0; CHUNK.min(usize::try_from(source.size()).unwrap_or(CHUNK).max(1))];
    let mut offset = 0;
    loop {
        let count = reader.fill(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        tap(offset, &buffer[..count])?;
        consume(&buffer[..count])?;
        offset += count as u64;
    }
}

/// A buffer and how much of it is filled.
type Filled = (Vec<u8>, usize);

/// Fills buffers until the layer ends or the consumer is gone.
fn read(
    source: &Source,
    tap: &(dyn Fn(u64, &[u8]) -> Result<()> + Sync),
    emptied: &Receiver<Vec<u8>>,
    full: &Sender<Filled>,
) -> Result<()> {
    let mut reader = source.reader()?;
    let mut offset = 0;
    while let Ok(mut buffer) = emptied.recv() {
        let count = reader.fill(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        tap(offset, &buffer[..count])?;
        offset += count as u64;
        if full.send((buffer, count)).is_err() {
            break;
        }
    }
    Err(Cancelled.into())
}

/// Consumes buffers until the reader is done, and gives them back.
fn drain(filled: Receiver<Filled>, free: Sender<Vec<u8>>, consume: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    for (buffer, count) in filled {
        consume(&buffer[..count])?;
        // At the end of the layer the reader no longer takes buffers.
        let _ = free.send(buffer);
    }
    Ok(())
}
