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
    use tokio::sync::Semaphore;
    use tokio::task::{JoinHandle, yield_now};

    const PATIENCE: Duration = Duration::from_millis(500);

    /// A batcher of one writer that notes each batch and then waits until it may go on.
    struct Gated {
        batcher: Batcher<u32, u32>,
        gate: Arc<Semaphore>,
        batches: Arc<std::sync::Mutex<Vec<Vec<u32>>>>,
    }

    impl Gated {
        fn start(queue: usize, batch: usize) -> Self {
            let gate = Arc::new(Semaphore::new(0));
            let batches = Arc::new(std::sync::Mutex::new(Vec::new()));
            let (held, noted) = (Arc::clone(&gate), Arc::clone(&batches));
            let limits = BatchLimits { queue, batch, writers: 1 };
            let batcher = Batcher::start(limits, &TaskTracker::new(), move |items: Vec<u32>| {
                noted.lock().unwrap().push(items.clone());
                let held = Arc::clone(&held);
                async move {
                    held.acquire().await.unwrap().forget();
                    items
                }
            });
            Self { batcher, gate, batches }
        }

        /// Submits the item, which is in the queue when this returns.
        async fn submit(&self, item: u32) -> JoinHandle<Result<u32, BatchError>> {
            let batcher = self.batcher.clone();
            let answer = tokio::spawn(async move { batcher.submit_within(item, PATIENCE).await });
            yield_now().await;
            answer
        }

        /// Waits until so many batches have begun.
        async fn begun(&self, count: usize) {
            while self.batches.lock().unwrap().len() < count {
                yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn what_gathers_during_a_write_is_the_next_batch() {
        let gated = Gated::start(100, 10);
        let mut answers = vec![gated.submit(0).await];
        gated.begun(1).await;
        for item in 1..=12 {
            answers.push(gated.submit(item).await);
        }
        gated.gate.add_permits(3);
        for (item, answer) in (0..).zip(answers) {
            assert_eq!(answer.await.unwrap(), Ok(item));
        }
        let expected: [Vec<u32>; 3] = [vec![0], (1..=10).collect(), vec![11, 12]];
        assert_eq!(*gated.batches.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let gated = Gated::start(1, 1);
        let first = gated.submit(1).await;
        gated.begun(1).await;
        let second = gated.submit(2).await;
        assert_eq!(gated.batcher.submit(3).await, Err(BatchError::Full));
        gated.gate.add_permits(2);
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(1), Ok(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_too_long_for_its_batch_is_never_handled() {
        let gated = Gated::start(10, 10);
        let begun = gated.submit(1).await;
        gated.begun(1).await;
        assert_eq!(gated.batcher.submit_within(2, PATIENCE).await, Err(BatchError::TimedOut));
        gated.gate.add_permits(2);
        assert_eq!(begun.await.unwrap(), Ok(1), "what has begun is waited for");
        assert_eq!(gated.batcher.submit_within(3, PATIENCE).await, Ok(3));
        assert_eq!(*gated.batches.lock().unwrap(), [[1], [3]]);
    }

    #[tokio::test]
    async fn a_handler_that_panics_gives_its_batch_up() {
        let limits = BatchLimits { queue: 1, batch: 1, writers: 1 };
        let batcher = Batcher::start(limits, &TaskTracker::new(), |_: Vec<()>| async move {
            assert!(std::hint::black_box(false), "on purpose");
            Vec::<()>::new()
        });
        assert_eq!(batcher.submit(()).await, Err(BatchError::GivenUp));
        assert_eq!(batcher.submit(()).await, Err(BatchError::GivenUp), "the next batch is handled as well");
    }
}
