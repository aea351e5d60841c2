//! Natural batching: a batch is what gathered while the one before was being written. No timer is involved, so a lone
//! item is never delayed and a rush is never slowed. In between, where batches are small but follow each other, a writer may
//! [`Linger`].

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;
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
    /// Whether a writer lets more gather between small batches.
    pub linger: Option<Linger>,
}

/// A pause between small batches, as long as the one before took to write. A batch has a price of its own beside that of its
/// items: at a rate of arrivals that could be written in a quarter of the time, batches that follow each other at once keep
/// the server busy all the time, and everybody waits for it.
#[derive(Debug, Clone, Copy)]
pub struct Linger {
    /// It follows a batch of so many items at least: fewer come from clients that wait for each answer, and would only be
    /// slowed.
    pub after: usize,
    /// It ends when so many wait.
    pub until: usize,
    /// It is never longer than this.
    pub longest: Duration,
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
            tasks.spawn(write(Arc::clone(&receiver), limits, handle.clone()));
        }
        Self { queue }
    }

    /// Whether no more can wait for their batch.
    pub fn is_full(&self) -> bool {
        self.queue.capacity() == 0
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

async fn write<T, R, F, Fut>(queue: Arc<Mutex<mpsc::Receiver<Pending<T, R>>>>, limits: BatchLimits, handle: F)
where
    R: Send + 'static,
    F: Fn(Vec<T>) -> Fut,
    Fut: Future<Output = Vec<R>> + Send + 'static,
{
    let mut gathered = Vec::new();
    // Until when, and until how many wait.
    let mut lingering: Option<(Instant, usize)> = None;
    loop {
        // The lock is held while waiting: one writer gathers, the others write or wait for their turn to gather.
        if !gather(&mut *queue.lock().await, &mut gathered, limits.batch, lingering.take()).await {
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
        let (began, count) = (Instant::now(), items.len());
        // In a task of its own: a handler that panics gives up its batch, not this writer.
        let Ok(results) = tokio::spawn(handle(items)).await else { continue };
        for (result, answer) in results.into_iter().zip(answers) {
            // Whoever asked may be gone; the item is handled all the same.
            let _ = answer.send(result);
        }
        lingering = limits
            .linger
            .filter(|linger| count >= linger.after)
            .map(|linger| (Instant::now() + began.elapsed().min(linger.longest), linger.until));
    }
}

/// Waits for the items of a batch: for one, and while the writer lingers, for more. `false` when there will be none.
async fn gather<P>(
    queue: &mut mpsc::Receiver<P>,
    gathered: &mut Vec<P>,
    limit: usize,
    lingering: Option<(Instant, usize)>,
) -> bool {
    let mut count = queue.recv_many(gathered, limit).await;
    if let Some((end, enough)) = lingering {
        while count > 0 && gathered.len() < enough.min(limit) {
            let more = queue.recv_many(gathered, limit - gathered.len());
            let Ok(received) = tokio::time::timeout_at(end, more).await else { break };
            count = received;
        }
    }
    !gathered.is_empty()
}

/// Handles a batch; where one item may be at fault, each alone, so that it cannot spoil the others. `failed` makes of an error
/// what each item that met it is answered.
pub async fn together_or_alone<'a, T, R, E, F: Clone, Fut: Future<Output = Result<Vec<R>, E>>>(
    items: &'a [T],
    handle: impl Fn(&'a [T]) -> Fut,
    is_one_at_fault: impl Fn(&E) -> bool,
    failed: impl Fn(E) -> F,
) -> Vec<Result<R, F>> {
    match handle(items).await {
        Err(error) if items.len() > 1 && is_one_at_fault(&error) => {}
        together => return answers(together, items.len(), failed),
    }
    let mut results = Vec::with_capacity(items.len());
    for item in items.chunks(1) {
        results.extend(answers(handle(item).await, 1, &failed));
    }
    results
}

fn answers<R, E, F: Clone>(
    outcome: Result<Vec<R>, E>,
    count: usize,
    failed: impl Fn(E) -> F,
) -> Vec<Result<R, F>> {
    match outcome {
        Ok(results) => results.into_iter().map(Ok).collect(),
        Err(error) => std::iter::repeat_n(failed(error), count).map(Err).collect(),
    }
}

#[cfg(test)]
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
            Self::lingering(queue, batch, None)
        }

        fn lingering(queue: usize, batch: usize, linger: Option<Linger>) -> Self {
            let gate = Arc::new(Semaphore::new(0));
            let batches = Arc::new(std::sync::Mutex::new(Vec::new()));
            let (held, noted) = (Arc::clone(&gate), Arc::clone(&batches));
            let limits = BatchLimits { queue, batch, writers: 1, linger };
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
        assert!(!gated.batcher.is_full());
        let second = gated.submit(2).await;
        assert!(gated.batcher.is_full());
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

    const LINGER: Linger = Linger { after: 2, until: 3, longest: Duration::from_millis(10) };

    /// A batcher that has just written a batch of so many items, for which it took 4 ms of a time that stands still.
    async fn having_written(items: u32) -> Gated {
        let gated = Gated::lingering(100, 10, Some(LINGER));
        let mut answers = vec![gated.submit(0).await];
        gated.begun(1).await;
        for item in 1..=items {
            answers.push(gated.submit(item).await);
        }
        gated.gate.add_permits(1);
        gated.begun(2).await;
        tokio::time::advance(Duration::from_millis(4)).await;
        gated.gate.add_permits(1);
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
        gated
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_small_batch_more_gathers_for_as_long_as_it_took() {
        let gated = having_written(2).await;
        let lingers_from = Instant::now();
        for item in 3..5 {
            drop(gated.submit(item).await);
        }
        while gated.batches.lock().unwrap().len() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(gated.batches.lock().unwrap().last(), Some(&vec![3, 4]));
        // Looked at each millisecond.
        assert!(matches!(lingers_from.elapsed().as_millis(), 4..=5), "{:?}", lingers_from.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn enough_that_wait_end_the_rest() {
        let gated = having_written(2).await;
        let lingers_from = Instant::now();
        for item in 3..6 {
            drop(gated.submit(item).await);
        }
        gated.begun(3).await;
        assert_eq!(gated.batches.lock().unwrap().last(), Some(&vec![3, 4, 5]));
        assert_eq!(lingers_from.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_lone_item_the_next_one_waits_for_nothing() {
        let gated = having_written(1).await;
        let lingers_from = Instant::now();
        drop(gated.submit(2).await);
        gated.begun(3).await;
        assert_eq!(lingers_from.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_handler_that_panics_gives_its_batch_up() {
        let limits = BatchLimits { queue: 1, batch: 1, writers: 1, linger: None };
        let batcher = Batcher::start(limits, &TaskTracker::new(), |_: Vec<()>| async move {
            assert!(std::hint::black_box(false), "on purpose");
            Vec::<()>::new()
        });
        assert_eq!(batcher.submit(()).await, Err(BatchError::GivenUp));
        assert_eq!(batcher.submit(()).await, Err(BatchError::GivenUp), "the next batch is handled as well");
    }

    /// What is answered to each where the zero is refused, and whatever comes when the server is away.
    async fn handled(items: &[u32], is_away: bool) -> Vec<Result<u32, &'static str>> {
        let handle = |items: &[u32]| {
            let outcome = match items.contains(&0) || is_away {
                true => Err(if is_away { "away" } else { "refused" }),
                false => Ok(items.to_vec()),
            };
            std::future::ready(outcome)
        };
        together_or_alone(items, handle, |error| *error == "refused", |error| error).await
    }

    #[tokio::test]
    async fn one_item_at_fault_spoils_no_other_one() {
        assert_eq!(handled(&[1, 2], false).await, [Ok(1), Ok(2)]);
        assert_eq!(handled(&[1, 0, 2], false).await, [Ok(1), Err("refused"), Ok(2)]);
        assert_eq!(handled(&[0], false).await, [Err("refused")]);
        assert_eq!(handled(&[1, 0], true).await, [Err("away"), Err("away")]);
    }
}
