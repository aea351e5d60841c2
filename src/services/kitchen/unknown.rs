//! Messages of orders that PostgreSQL does not have. One is somebody's mistake; when a standby is promoted that had not
//! received the last orders, they are hundreds at once, and one line says how many.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use daemon::sync::locked;

/// From the first one on they are counted for so long.
const COUNTED_FOR: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct UnknownOrders {
    /// `None` where there was none lately.
    count: Mutex<Option<u64>>,
}

impl UnknownOrders {
    fn count(&self) -> MutexGuard<'_, Option<u64>> {
        locked(&self.count)
    }

    /// One more. Says whether it is the first, which is told by itself.
    pub(super) fn note(self: &Arc<Self>) -> bool {
        let mut count = self.count();
        if let Some(count) = &mut *count {
            *count += 1;
            return false;
        }
        *count = Some(1);
        let counting = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(COUNTED_FOR).await;
            counting.tell();
        });
        true
    }

    /// Says how many they were, where they were several.
    pub(super) fn tell(&self) {
        let count = self.count().take();
        if let Some(count @ 2..) = count {
            tracing::error!(
                action = "orders_unknown",
                details = count,
                "{count} messages of orders that the database does not have are among the dead letters: a standby that had not \
                 received these orders was promoted, or they were deleted"
            );
        }
    }
}
