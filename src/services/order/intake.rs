//! The intake: gathers what arrived while the last commit ran, and takes it in one transaction.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use daemon::batcher::{BatchError, BatchLimits, Batcher, Linger, together_or_alone};
use daemon::clock::whole_ms;
use daemon::sync::locked;
use http_kit::problem::{Kind, OwnKind};
use http_kit::{FieldError, Problem};
use poem::http::StatusCode;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::metrics::OrdersReceived;
use crate::domain::{Money, OrderNumber, TrackingToken};
use crate::relay::RelayWaker;
use crate::services::servers::shared_failure;
use crate::store::{IdempotencyKey, IntakeRequest, IntakeStore, NoRoom, Placed, StoreError};

/// One writer: a second one's transaction would only wait for the day's counter, which the first has locked, and take
/// half of each batch away.
const WRITERS: usize = 1;
/// Orders in one transaction: beyond this a batch takes longer without being cheaper.
const INTAKE_BATCH_ORDERS: usize = 256;
/// At thousands of orders a second that come whenever they like, batches of five or six would follow each other without
/// end: half of what each costs PostgreSQL it costs for one order, too.
const INTAKE_LINGER: Linger = Linger { after: 4, until: 8, longest: Duration::from_millis(3) };
/// Orders that wait for their batch, in batches, and at least; more are refused at once: in an overload those who are
/// taken do not wait for long, and the others know it soon.
const QUEUE_BATCHES: usize = 8;
const QUEUE_ORDERS_MIN: usize = 256;
/// What a client is told to wait when the service is full.
const INTAKE_RETRY_AFTER: Duration = Duration::from_secs(1);
/// And where too many of its orders are open: an order is cooked in minutes.
const OPEN_RETRY_AFTER: Duration = Duration::from_mins(1);
/// How long a repetition waits for the request it repeats before it is told that this one is still in progress.
const PROGRESS_WAIT: Duration = Duration::from_secs(2);

static ITEM_SOLD_OUT: OwnKind =
    OwnKind { status: StatusCode::CONFLICT, slug: "item-sold-out", title: "Something is sold out" };

static INTAKE_FULL: OwnKind = OwnKind {
    status: StatusCode::SERVICE_UNAVAILABLE,
    slug: "intake-full",
    title: "No more orders are taken now",
};
/// The order was not taken, as its customer is to know: of other 503 nobody can say whether it was.
static SERVICE_FULL: OwnKind = OwnKind {
    status: StatusCode::SERVICE_UNAVAILABLE,
    slug: "service-full",
    title: "Too many orders at once",
};
static TOO_MANY_OPEN_ORDERS: OwnKind = OwnKind {
    status: StatusCode::TOO_MANY_REQUESTS,
    slug: "too-many-open-orders",
    title: "Too many orders are open",
};

pub struct Intake {
    batcher: Batcher<IntakeRequest, Result<Placed, NotPlaced>>,
    queue_timeout: Duration,
    received: OrdersReceived,
    in_progress: InProgress,
}

/// Why an order of a batch was not taken.
#[derive(Debug, Clone)]
enum NotPlaced {
    Unavailable(Arc<StoreError>),
    /// PostgreSQL refused it, which was logged.
    Refused,
}

impl Intake {
    /// Starts it on `tasks`: up to `max_concurrent` orders are being taken at once, and more wait for
    /// `queue_timeout` before they are refused.
    pub fn start<S: IntakeStore>(
        store: S,
        relay: RelayWaker,
        max_concurrent: usize,
        queue_timeout: Duration,
        received: OrdersReceived,
        tasks: &TaskTracker,
    ) -> Self {
        let batch = INTAKE_BATCH_ORDERS.min(max_concurrent.max(1));
        let queue = QUEUE_ORDERS_MIN.max(QUEUE_BATCHES * max_concurrent);
        let limits = BatchLimits { queue, batch, writers: WRITERS, linger: Some(INTAKE_LINGER) };
        let batcher = Batcher::start(limits, tasks, move |batch| take(store.clone(), relay.clone(), batch));
        Self { batcher, queue_timeout, received, in_progress: InProgress::default() }
    }

    /// Says, for [`App::with_admission`](http_kit::App::with_admission), when an order would be refused whatever it is.
    pub fn refusal(&self) -> impl Fn() -> Option<Problem> + Send + Sync + 'static {
        let batcher = self.batcher.clone();
        move || batcher.is_full().then(full)
    }

    /// Takes one order, and gives it a number, or says which it has under its key. Once it is in a batch it is taken even if the caller goes away.
    ///
    /// # Errors
    /// 503 when the service is full or PostgreSQL away; 409 and 422 as `Idempotency-Key` has it.
    pub async fn place(&self, request: IntakeRequest) -> Result<Taken, Problem> {
        let Some(key) = request.idempotency.clone() else { return self.place_new(request).await };
        match self.in_progress.enter(&key).await? {
            Entered::Answered(taken) => Ok(taken),
            Entered::First(first) => {
                let taken = self.place_new(request).await?;
                first.answer(&taken);
                Ok(taken)
            }
        }
    }

    /// What came of a request under this key that this process was working on, if there was one and it was taken.
    ///
    /// # Errors
    /// As for [`Self::place`].
    pub async fn in_progress(&self, key: &IdempotencyKey) -> Result<Option<Taken>, Problem> {
        match self.in_progress.enter(key).await? {
            Entered::Answered(taken) => Ok(Some(taken)),
            Entered::First(_) => Ok(None),
        }
    }

    async fn place_new(&self, request: IntakeRequest) -> Result<Taken, Problem> {
        let (total_amount, token) = (request.order.total_amount(), Some(request.token));
        let order_type = request.order.order_type();
        match self.batcher.submit_within(request, self.queue_timeout).await {
            Ok(Ok(Placed::New(number))) => {
                self.received.note(order_type);
                Ok(Taken { number, total_amount, token })
            }
            // With a menu the same body may cost another sum today.
            Ok(Ok(Placed::Before(number, total_amount, token))) => Ok(Taken { number, total_amount, token }),
            Ok(Ok(Placed::SoldOut(short))) => Err(sold_out(short)),
            Ok(Ok(Placed::NoRoom(no_room))) => Err(no_room_for(no_room)),
            Ok(Ok(Placed::OtherBody)) => Err(other_body()),
            Ok(Err(NotPlaced::Unavailable(error))) => Err(shared_failure(error)),
            Ok(Err(NotPlaced::Refused)) => Err(Problem::internal("the database refused the order")),
            Err(BatchError::Full | BatchError::TimedOut) => Err(full()),
            Err(BatchError::GivenUp) => Err(Problem::internal("the batch was given up")),
        }
    }
}

/// What was answered, or will be, to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub number: OrderNumber,
    pub total_amount: Money,
    /// By which its customer is known.
    pub token: Option<TrackingToken>,
}

fn sold_out(short: Vec<(usize, u32)>) -> Problem {
    let faults = short.into_iter().map(|(index, left)| {
        let detail =
            if left == 0 { "is sold out".to_owned() } else { format!("has too few portions left: {left}") };
        FieldError::new(format!("/items/{index}"), detail)
    });
    Problem::new(Kind::Own(&ITEM_SOLD_OUT), "not all of it can be had any more").errors(faults.collect())
}

fn no_room_for(no_room: NoRoom) -> Problem {
    match no_room {
        NoRoom::QuarterFull(wait) => {
            let detail = "as many orders as the kitchen can take were taken in this quarter of an hour";
            Problem::new(Kind::Own(&INTAKE_FULL), detail).retry_after(wait)
        }
        NoRoom::TooManyOpen => {
            let detail =
                "this table or address has as many orders open as it may; order again when one is ready";
            Problem::new(Kind::Own(&TOO_MANY_OPEN_ORDERS), detail).retry_after(OPEN_RETRY_AFTER)
        }
    }
}

fn full() -> Problem {
    let detail = "the kitchen's intake is full, and the order was not taken; try again in a moment";
    Problem::new(Kind::Own(&SERVICE_FULL), detail).retry_after(INTAKE_RETRY_AFTER)
}

fn other_body() -> Problem {
    Problem::new(
        Kind::IdempotencyKeyReused,
        "this Idempotency-Key was used with another body; take a new key for a new order",
    )
}

async fn take<S: IntakeStore>(
    store: S,
    relay: RelayWaker,
    batch: Vec<IntakeRequest>,
) -> Vec<Result<Placed, NotPlaced>> {
    let started = Instant::now();
    let place = |batch| store.place_orders(batch);
    // After any other error the orders may be there, and would be placed twice.
    let is_one_at_fault = |error: &StoreError| matches!(error, StoreError::Refused { .. });
    let results = together_or_alone(&batch, place, is_one_at_fault, not_placed).await;
    relay.wake();
    let duration_ms = whole_ms(started.elapsed());
    for (request, result) in batch.iter().zip(&results) {
        if let Ok(Placed::New(number)) = result {
            tracing::info!(
                action = "order_received",
                order_number = %number,
                request_id = request.request_id,
                duration_ms,
                details = %format_args!(
                    "{}, {} items, {}", request.order.order_type(), request.order.items().len(), request.order.total_amount()
                ),
                "an order was taken"
            );
        }
    }
    results
}

fn not_placed(error: StoreError) -> NotPlaced {
    if error.is_unavailable() {
        return NotPlaced::Unavailable(Arc::new(error));
    }
    tracing::error!(
        action = "order_refused",
        error = &error as &dyn std::error::Error,
        "the database refused an order"
    );
    NotPlaced::Refused
}

/// The keyed requests that this process is working on. Those of other processes are met in the database, where the
/// second waits for the first one's commit.
#[derive(Default)]
struct InProgress {
    by_key: Arc<Mutex<HashMap<String, Working>>>,
}

struct Working {
    body_sha256: [u8; 32],
    /// The answer once there is one; closed when the request failed or was given up.
    answer: watch::Receiver<Option<Taken>>,
}

/// What a keyed request finds.
enum Entered {
    /// Nobody else works on the key.
    First(First),
    /// An equal request was being worked on, and this came of it.
    Answered(Taken),
}

/// Marks a key as being worked on, until it is dropped.
struct First {
    by_key: Arc<Mutex<HashMap<String, Working>>>,
    key: String,
    answer: watch::Sender<Option<Taken>>,
}

impl First {
    /// Gives those who wait the same answer.
    fn answer(&self, taken: &Taken) {
        self.answer.send_replace(Some(taken.clone()));
    }
}

impl Drop for First {
    fn drop(&mut self) {
        lock(&self.by_key).remove(&self.key);
    }
}

fn lock(by_key: &Mutex<HashMap<String, Working>>) -> MutexGuard<'_, HashMap<String, Working>> {
    // The map is whole at every await and panic.
    locked(by_key)
}

impl InProgress {
    /// Waits for an equal request that is being worked on, for its answer; where it failed, takes its place.
    async fn enter(&self, key: &IdempotencyKey) -> Result<Entered, Problem> {
        let deadline = tokio::time::Instant::now() + PROGRESS_WAIT;
        loop {
            let mut answer = match self.try_enter(key)? {
                Ok(first) => return Ok(Entered::First(first)),
                Err(answer) => answer,
            };
            match tokio::time::timeout_at(deadline, answer.wait_for(Option::is_some)).await {
                Ok(Ok(taken)) => {
                    if let Some(taken) = taken.clone() {
                        return Ok(Entered::Answered(taken));
                    }
                }
                Ok(Err(_failed)) => {}
                Err(_) => {
                    return Err(Problem::conflict(
                        "a request with this Idempotency-Key is still in progress",
                    ));
                }
            }
        }
    }

    fn try_enter(
        &self,
        key: &IdempotencyKey,
    ) -> Result<Result<First, watch::Receiver<Option<Taken>>>, Problem> {
        let mut by_key = lock(&self.by_key);
        match by_key.get(&key.key) {
            Some(working) if working.body_sha256 != key.body_sha256 => Err(other_body()),
            Some(working) => Ok(Err(working.answer.clone())),
            None => {
                let (sender, answer) = watch::channel(None);
                by_key.insert(key.key.clone(), Working { body_sha256: key.body_sha256, answer });
                Ok(Ok(First { by_key: Arc::clone(&self.by_key), key: key.key.clone(), answer: sender }))
            }
        }
    }
}
