//! Locks.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what is whole at every panic. Nothing here keeps a lock over a change that could end half way, so the panic of
/// another thread is no reason to stop: `std` would refuse the lock from then on.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
