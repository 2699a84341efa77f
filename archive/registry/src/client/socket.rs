//! Makes TCP connections with a timeout of silence. Cancellation interrupts them, and an answer that comes before the whole
//! body was sent is read.
//!
//! A registry that refuses a big body may answer at once and close the connection. Whoever goes on writing gets "broken
//! pipe", and the answer is lost. Here the first failed write, or an answer that waits to be read, *cuts* the request: all
//! further writes are passed over, and what has arrived is read. Does not know HTTP but for the first bytes of an answer.

use layerstone_store::Cancel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

/// How long after a cut, or after a signal, what is on its way may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(1);

thread_local! {
    /// Whether the request that this thread sends was cut. ureq makes its connections itself and sends on the caller's
    /// thread, so that this is the only variable that both the connection and the body of a request know.
    static IS_CUT: Cell<bool> = const { Cell::new(false) };
}

/// Begins a request of this thread.
pub(crate) fn begin() {
    IS_CUT.set(false);
}

/// Whether the request of this thread was cut.
pub(crate) fn is_cut() -> bool {
    IS_CUT.get()
}

/// Makes connections.
#[derive(Debug)]
pub(crate) struct SocketConnector {
    pub cancel: Cancel,
}

impl<In: Transport> Connector<In> for SocketConnector {
    type Out = Either<In, Socket>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(chained) = chained {
            return Ok(Some(Either::A(chained)));
        }
        let limit = details.timeout.not_zero().map(|limit| *limit);
        let stream = connect(&details.addrs, limit)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Socket { stream, buffers, cancel: self.cancel.clone(), cut: None, end_of_writes: None })))
    }
}

/// Tries one address after the other; each has an equal part of the time that is left.
fn connect(addresses: &[SocketAddr], limit: Option<Duration>) -> Result<TcpStream, Error> {
    let end = limit.map(|limit| Instant::now() + limit);
    let mut failed = Error::ConnectionFailed;
    for (tried, address) in addresses.iter().enumerate() {
        let connected = match end {
            None => TcpStream::connect(address),
            Some(end) => {
                let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
                let part = end.saturating_duration_since(Instant::now()) / left;
                TcpStream::connect_timeout(address, part.max(Duration::from_millis(10)))
            }
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => failed = Error::Timeout(Timeout::Connect),
            Err(e) => failed = e.into(),
        }
    }
    Err(failed)
}

/// A connection.
pub(crate) struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
    cancel: Cancel,
    /// Why no more is written.
    cut: Option<Cut>,
    /// Until when something is written, once the work is cancelled.
    end_of_writes: Option<Instant>,
}

struct Cut {
    error: Option<Error>,
    end: Instant,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Socket").field(&self.stream).finish()
    }
}

impl Socket {
    fn cut(&mut self, error: Error) {
        IS_CUT.set(true);
        self.cut = Some(Cut { error: Some(error), end: Instant::now() + LAST_WORDS });
    }

    /// Writes bytes of the output; an error is a reason to cut.
    fn write(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let limit = *timeout.after;
        let (mut at, mut last) = (0, Instant::now());
        while at < amount {
            self.check_cancel_of_writes()?;
            if self.has_answer() {
                return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
            }
            match (&self.stream).write(&self.buffers.output()[at..amount]) {
                Ok(count) => (at, last) = (at + count, Instant::now()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let Some(left) = limit.checked_sub(last.elapsed()).filter(|left| !left.is_zero()) else {
                        return Err(Error::Timeout(timeout.reason));
                    };
                    self.wait(PollFlags::OUT, left)?;
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Whether an answer without TLS is there that is more than "go on" (RFC 9110, section 15.2).
    fn has_answer(&self) -> bool {
        let mut begin = [0; 10];
        let count = self.stream.peek(&mut begin).unwrap_or(0);
        count == begin.len() && begin.starts_with(b"HTTP/1.") && begin[8] == b' ' && begin[9] != b'1'
    }

    /// Whether no more is to be written. What a body has had before a signal, and its end, still go.
    fn check_cancel_of_writes(&mut self) -> Result<(), Error> {
        if !self.cancel.is_cancelled() {
            return Ok(());
        }
        let end = *self.end_of_writes.get_or_insert_with(|| Instant::now() + LAST_WORDS);
        if Instant::now() < end { Ok(()) } else { Err(io::Error::other("stopped by a signal").into()) }
    }

    /// Waits for a little while.
    fn wait(&self, flags: PollFlags, left: Duration) -> Result<(), Error> {
        let time = Timespec::try_from(left.min(Cancel::TICK)).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.stream, flags)], Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(io::Error::from(e).into()),
        }
    }

    /// Reads at least a byte, or the end of the stream.
    fn read(&mut self, timeout: NextTimeout) -> Result<usize, Error> {
        let mut end = Instant::now().checked_add(*timeout.after);
        end = end.into_iter().chain(self.cut.as_ref().map(|cut| cut.end)).min();
        let mut is_cut_short = false;
        loop {
            match (&self.stream).read(self.buffers.input_append_buf()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                read => return Ok(read?),
            }
            if !is_cut_short && self.cancel.is_cancelled() {
                is_cut_short = true;
                // An answer that is on its way may name an upload, which could not be cancelled otherwise.
                end = end.into_iter().chain([Instant::now() + LAST_WORDS]).min();
            }
            let left = end.map_or(Cancel::TICK, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(Error::Timeout(timeout.reason));
            }
            self.wait(PollFlags::IN, left)?;
        }
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.cut.is_none()
            && let Err(error) = self.write(amount, timeout.for_write())
        {
            self.check_cancel_of_writes()?;
            self.cut(error);
        }
        Ok(())
    }

    /// After a cut the reason of the cut is the error, where no answer was sent before it.
    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let read = self.read(timeout.for_read());
        let reason = self.cut.as_mut().filter(|_| !matches!(read, Ok(1..))).and_then(|cut| cut.error.take());
        match reason {
            Some(error) => Err(error),
            None => read.map(|count| {
                self.buffers.input_appended(count);
                count > 0
            }),
        }
    }

    /// A connection that was cut still owes the rest of a body; one with something to read was closed, or has bytes that
    /// belong to no request.
    fn is_open(&mut self) -> bool {
        let nothing = self.stream.peek(&mut [0]).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock);
        self.cut.is_none() && nothing
    }
}
