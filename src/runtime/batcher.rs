//! Natural batching: a batch is what gathered while the one before was being written. No timer is involved, so a lone
//! item is never delayed and a rush is never slowed.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// How much is gathered.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Items that may wait for the next batch; more are refused.
    pub queue: usize,
    /// Items in one batch.
    pub batch: usize,
    /// Batches that are written at once: while one waits for its flush, the next is prepared.
    pub writers: usize,
}

/// An item that waits for its batch.
struct Pending<T, R> {
    item: T,
    /// Where the answer is awaited.
    answer: oneshot::Sender<R>,
    /// Set by the one who decides: by the writer that takes it into a batch, or by who does not wait any longer.
    decided: Arc<AtomicBool>,
}

/// Takes items one by one, has them handled in batches, and answers each.
pub struct Batcher<T, R> {
    queue: mpsc::Sender<Pending<T, R>>,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

/// Why an item was not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The queue is full.
    #[error("too many wait already")]
    Full,
    /// It waited too long for its batch, and will not be handled.
    #[error("no batch took it in time")]
    TimedOut,
    /// The handler ended without an answer (it panicked, or the process is ending). Whether the item was handled is
    /// unknown.
    #[error("the batch was given up")]
    GivenUp,
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts the writers on `tasks`; they end when the last clone of the batcher is gone and the queue is empty.
    /// `handle` gets the items of a batch and must answer each of them, in their order.
    pub fn start<F, Fut>(limits: BatchLimits, tasks: &TaskTracker, handle: F) -> Self
    where
        F: Fn(Vec<T>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Vec<R>> + Send + 'static,
    {
        let (queue, receiver) = mpsc::channel(limits.queue);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..limits.writers {
            tasks.spawn(write(Arc::clone(&receiver), limits.batch, handle.clone()));
        }
        Self { queue }
    }

    /// Has `item` handled in the next batch. Dropping the returned future does not take the item back.
    ///
    /// # Errors
    /// See [`BatchError`].
    pub async fn submit(&self, item: T) -> Result<R, BatchError> {
        let (_, answered) = self.enqueue(item)?;
        answered.await.map_err(|_| BatchError::GivenUp)
    }

    /// The same for an item that is not to be handled any more when it has waited so long for its batch to begin. Once
    /// it has begun, the answer is waited for.
    ///
    /// # Errors
    /// See [`BatchError`].
    pub async fn submit_within(&self, item: T, patience: Duration) -> Result<R, BatchError> {
        let (decided, mut answered) = self.enqueue(item)?;
        match tokio::time::timeout(patience, &mut answered).await {
            Err(_) if !decided.swap(true, Ordering::AcqRel) => Err(BatchError::TimedOut),
            Err(_) => answered.await.map_err(|_| BatchError::GivenUp),
            Ok(answer) => answer.map_err(|_| BatchError::GivenUp),
        }
    }

    fn enqueue(&self, item: T) -> Result<(Arc<AtomicBool>, oneshot::Receiver<R>), BatchError> {
        let (answer, answered) = oneshot::channel();
        let decided = Arc::new(AtomicBool::new(false));
        let pending = Pending { item, answer, decided: Arc::clone(&decided) };
        self.queue.try_send(pending).map_err(|_| BatchError::Full)?;
        Ok((decided, answered))
    }
}

async fn write<T, R, F, Fut>(queue: Arc<Mutex<mpsc::Receiver<Pending<T, R>>>>, limit: usize, handle: F)
where
    R: Send + 'static,
    F: Fn(Vec<T>) -> Fut,
    Fut: Future<Output = Vec<R>> + Send + 'static,
{
    let mut gathered = Vec::new();
    loop {
        // The lock is held while waiting: one writer gathers, the others write or wait for their turn to gather.
        let count = queue.lock().await.recv_many(&mut gathered, limit).await;
        if count == 0 {
            return;
        }
        let (items, answers): (Vec<T>, Vec<oneshot::Sender<R>>) = gathered
            .drain(..)
            .filter(|pending| !pending.decided.swap(true, Ordering::AcqRel))
            .map(|pending| (pending.item, pending.answer))
            .unzip();
        if items.is_empty() {
            continue;
        }
        // In a task of its own: a handler that panics gives up its batch, not this writer.
        let Ok(results) = tokio::spawn(handle(items)).await else { continue };
        for (result, answer) in results.into_iter().zip(answers) {
            // Whoever asked may be gone; the item is handled all the same.
            let _ = answer.send(result);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Semaphore;

    const LIMITS: BatchLimits = BatchLimits { queue: 100, batch: 10, writers: 1 };

    #[tokio::test]
    async fn what_gathers_during_a_write_is_the_next_batch() {
        let gate = Arc::new(Semaphore::new(0));
        let batches = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (seen, held) = (Arc::clone(&batches), Arc::clone(&gate));
        let batcher = Batcher::start(LIMITS, &TaskTracker::new(), move |items: Vec<usize>| {
            let (seen, held) = (Arc::clone(&seen), Arc::clone(&held));
            async move {
                seen.lock().unwrap().push(items.clone());
                held.acquire().await.unwrap().forget();
                items
            }
        });
        let submissions: Vec<_> = (0..26)
            .map(|i| {
                let batcher = batcher.clone();
                tokio::spawn(async move { batcher.submit(i).await })
            })
            .collect();
        gate.add_permits(100);
        for (i, submission) in submissions.into_iter().enumerate() {
            assert_eq!(submission.await.unwrap(), Ok(i));
        }
        let batches = batches.lock().unwrap();
        assert!(batches.iter().all(|b| b.len() <= 10), "{batches:?}");
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 26);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let gate = Arc::new(Semaphore::new(0));
        let entered = Arc::new(AtomicUsize::new(0));
        let (held, count) = (Arc::clone(&gate), Arc::clone(&entered));
        let limits = BatchLimits { queue: 1, batch: 1, writers: 1 };
        let batcher = Batcher::start(limits, &TaskTracker::new(), move |items: Vec<()>| {
            let (held, count) = (Arc::clone(&held), Arc::clone(&count));
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                held.acquire().await.unwrap().forget();
                items
            }
        });
        let first = tokio::spawn({
            let b = batcher.clone();
            async move { b.submit(()).await }
        });
        while entered.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn({
            let b = batcher.clone();
            async move { b.submit(()).await }
        });
        while batcher.queue.capacity() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(batcher.submit(()).await, Err(BatchError::Full));
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_too_long_for_its_batch_is_never_handled() {
        let gate = Arc::new(Semaphore::new(0));
        let handled = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (held, seen) = (Arc::clone(&gate), Arc::clone(&handled));
        let batcher = Batcher::start(LIMITS, &TaskTracker::new(), move |items: Vec<u8>| {
            let (held, seen) = (Arc::clone(&held), Arc::clone(&seen));
            async move {
                seen.lock().unwrap().extend(items.clone());
                held.acquire().await.unwrap().forget();
                items
            }
        });
        let patience = Duration::from_millis(500);
        let begun = tokio::spawn({
            let b = batcher.clone();
            async move { b.submit_within(1, patience).await }
        });
        while handled.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(batcher.submit_within(2, patience).await, Err(BatchError::TimedOut));
        gate.add_permits(9);
        assert_eq!(begun.await.unwrap(), Ok(1), "what has begun is waited for");
        assert_eq!(batcher.submit_within(3, patience).await, Ok(3));
        assert_eq!(*handled.lock().unwrap(), [1, 3]);
    }

    #[tokio::test]
    async fn a_handler_that_panics_gives_its_batch_up() {
        let batcher = Batcher::start(LIMITS, &TaskTracker::new(), |_: Vec<()>| async move {
            assert!(std::hint::black_box(false), "on purpose");
            Vec::<()>::new()
        });
        assert_eq!(batcher.submit(()).await, Err(BatchError::GivenUp));
        assert_eq!(batcher.submit(()).await, Err(BatchError::GivenUp), "the next batch is handled as well");
    }
}
