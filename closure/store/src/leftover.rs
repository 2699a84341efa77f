//! Registers what must not stay if this process is ended early: temporary files and directories, programs that it started.
//! Does not know why it ends.
//!
//! Whoever makes such a thing registers it in the same step ([`Leftover::make`]), and whoever removes or renames it takes
//! it off the list ([`Leftover::settle`], or drop). [`remove_leftovers`] is called by the thread that ends the process:
//! it removes all that is on the list, the youngest first, and keeps the list locked, so that nothing is made after that.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::sleep;
use std::time::Duration;

/// What removes something; it is no error if that is gone.
type Remove = Box<dyn FnOnce() + Send>;

/// Things by their age.
struct List {
    next: u64,
    things: BTreeMap<u64, Remove>,
}

static LIST: Mutex<List> = Mutex::new(List { next: 0, things: BTreeMap::new() });

/// How often, and after which pauses, a list that a slow file system keeps locked is tried.
const TRIES: (u32, Duration) = (100, Duration::from_millis(10));

/// A thing on the list, until this is dropped.
#[derive(Debug)]
pub struct Leftover(u64);

impl Leftover {
    /// Makes something, and what removes it.
    ///
    /// # Errors
    ///
    /// What making it gives.
    pub fn make<T, R: FnOnce() + Send + 'static>(
        make: impl FnOnce() -> io::Result<(T, R)>,
    ) -> io::Result<(T, Leftover)> {
        let mut list = list();
        let (made, remove) = make()?;
        let number = list.next;
        list.next += 1;
        list.things.insert(number, Box::new(remove));
        Ok((made, Leftover(number)))
    }

    /// Does what leaves nothing to be removed, such as a rename; if it fails, the thing stays on the list.
    ///
    /// # Errors
    ///
    /// What doing it gives.
    pub fn settle<T>(self, settle: impl FnOnce() -> io::Result<T>) -> Result<T, (Leftover, io::Error)> {
        let mut list = list();
        let settled = settle();
        if settled.is_ok() {
            list.things.remove(&self.0);
        }
        drop(list);
        settled.map_err(|error| (self, error))
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        list().things.remove(&self.0);
    }
}

fn list() -> MutexGuard<'static, List> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all that is on the list. Whoever makes, renames or drops something afterwards waits for the end of the process,
/// which must come now. Returns how many things there were.
pub fn remove_leftovers() -> usize {
    for _ in 0..TRIES.0 {
        let mut list = match LIST.try_lock() {
            Ok(list) => list,
            Err(TryLockError::Poisoned(list)) => list.into_inner(),
            Err(TryLockError::WouldBlock) => {
                sleep(TRIES.1);
                continue;
            }
        };
        let things = mem::take(&mut list.things);
        let count = things.len();
        for (_, remove) in things.into_iter().rev() {
            remove();
        }
        mem::forget(list);
        return count;
    }
    0
}
