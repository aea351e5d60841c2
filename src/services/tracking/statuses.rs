//! Where orders are: what many requests ask for at once is read at once.

use std::sync::Arc;
use std::time::Duration;

use daemon::batcher::{BatchError, BatchLimits, Batcher, together_or_alone};
use http_kit::Problem;
use tokio_util::task::TaskTracker;

use crate::domain::OrderNumber;
use crate::services::lookup::no_such_order;
use crate::services::servers::shared_failure;
use crate::store::{OrderStatus, Store, StoreError};

/// Two readers: while one waits for its answer, the other's batch gathers.
const READERS: usize = 2;
/// Orders in one reading: beyond this it takes longer without being cheaper.
const STATUS_BATCH_ORDERS: usize = 128;
/// What a client is told to wait when too many ask.
const STATUS_RETRY_AFTER: Duration = Duration::from_secs(1);

type Found = Result<Option<OrderStatus>, Arc<StoreError>>;

pub(super) struct Statuses(Batcher<OrderNumber, Found>);

impl Statuses {
    /// Starts it on `tasks`. Every one of so many connections may ask at once.
    pub(super) fn start(store: Store, connections: usize, tasks: &TaskTracker) -> Self {
        let limits =
            BatchLimits { queue: connections, batch: STATUS_BATCH_ORDERS, writers: READERS, linger: None };
        Self(Batcher::start(limits, tasks, move |numbers| read(store.clone(), numbers)))
    }

    /// Where this order is.
    ///
    /// # Errors
    /// 404 where there is none of this number; 503 while PostgreSQL is away.
    pub(super) async fn of(&self, number: &OrderNumber) -> Result<OrderStatus, Problem> {
        match self.0.submit(number.clone()).await {
            Ok(found) => found.map_err(shared_failure)?.ok_or_else(|| no_such_order(number)),
            Err(BatchError::Full) => Err(Problem::unavailable(
                STATUS_RETRY_AFTER,
                "too many ask for orders; try again in a moment",
            )),
            Err(error @ (BatchError::TimedOut | BatchError::GivenUp)) => Err(Problem::internal(error)),
        }
    }
}

async fn read(store: Store, numbers: Vec<OrderNumber>) -> Vec<Found> {
    let read = |numbers| store.order_statuses(numbers);
    together_or_alone(&numbers, read, |error: &StoreError| !error.is_unavailable(), Arc::new).await
}
