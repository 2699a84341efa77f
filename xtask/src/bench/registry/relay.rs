//! A long line: what goes through a relay arrives later by the same time, each way, however much it is.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that are taken up at a time.
const PIECE: usize = 64 << 10;

/// Begins to listen at a free port of the loopback, for as long as this process lives, and tells where. Every connection leads
/// to `to`.
pub fn start(to: &str, delay: Duration) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on the loopback")?;
    let host = listener.local_addr()?.to_string();
    let to = to.to_owned();
    thread::spawn(move || {
        for here in listener.incoming().flatten() {
            // Without an other side this one is closed.
            let Ok(there) = TcpStream::connect(&to) else { continue };
            for (from, to) in [(here.try_clone(), there.try_clone()), (Ok(there), Ok(here))] {
                if let (Ok(from), Ok(to)) = (from, to) {
                    carry(from, to, delay);
                }
            }
        }
    });
    Ok(host)
}

/// One direction: one thread reads and notes when, another writes when the time has come.
fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    // Else small requests wait for acknowledgements.
    _ = to.set_nodelay(true);
    let (sender, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if sender.send((Instant::now() + delay, piece[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, piece) in pieces {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        _ = to.shutdown(Shutdown::Write);
    });
}
