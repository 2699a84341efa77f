//! Holds a cancellation token, which whoever works asks whether to stop. Does not know of signals.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Tells all parts of a work whether to stop. Clones are one token.
#[derive(Clone, Default)]
pub struct Cancel(Arc<State>);

#[derive(Default)]
struct State {
    is_cancelled: AtomicBool,
    /// What cancels besides, such as a signal that came.
    condition: Option<Box<dyn Fn() -> bool + Send + Sync>>,
}

/// The work was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

impl Cancel {
    /// How often whoever waits for something else asks the token.
    pub const TICK: Duration = Duration::from_millis(50);

    /// A token that is also cancelled once this holds.
    pub fn when(condition: impl Fn() -> bool + Send + Sync + 'static) -> Cancel {
        Cancel(Arc::new(State { is_cancelled: AtomicBool::new(false), condition: Some(Box::new(condition)) }))
    }

    /// Cancels the work.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether the work was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed) || self.0.condition.as_ref().is_some_and(|condition| condition())
    }

    /// An error once the work was cancelled.
    ///
    /// # Errors
    ///
    /// It was.
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// Sleeps, until the work is cancelled at most.
    ///
    /// # Errors
    ///
    /// It was cancelled.
    pub fn sleep(&self, time: Duration) -> Result<(), Cancelled> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => sleep(left.min(Cancel::TICK)),
            }
        }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancel({})", self.is_cancelled())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_one_token() {
        let cancel = Cancel::default();
        let clone = cancel.clone();
        assert_eq!((cancel.check(), cancel.sleep(Duration::ZERO)), (Ok(()), Ok(())));
        clone.cancel();
        assert_eq!((cancel.check(), cancel.sleep(Duration::from_secs(60))), (Err(Cancelled), Err(Cancelled)));
        assert!(Cancel::when(|| true).is_cancelled() && !Cancel::when(|| false).is_cancelled());
    }
}
