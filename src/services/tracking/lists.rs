//! Who may ask for many orders at once, and how many of them at a time.

use std::time::Duration;

use http_kit::Problem;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::domain::Right;
use crate::http::auth::StaffToken;
use crate::services::staff::StaffAuth;

/// Lists that are read at once. The other connections are left to those who ask for one order.
const LISTS_AT_ONCE: usize = 2;
/// How long a list waits for its turn: many pages take no longer together.
const LIST_PATIENCE: Duration = Duration::from_secs(2);
/// What a client is told to wait when that was in vain.
const LISTS_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Admission to the lists.
pub(super) struct Lists {
    /// `None`: they are for everybody.
    staff: Option<StaffAuth>,
    turns: Semaphore,
}

impl Lists {
    pub(super) fn for_staff(staff: StaffAuth) -> Self {
        Self { staff: Some(staff), turns: Semaphore::new(LISTS_AT_ONCE) }
    }

    pub(super) fn public() -> Self {
        Self { staff: None, turns: Semaphore::new(LISTS_AT_ONCE) }
    }

    /// Whether a caller may see more orders than those that he knows the numbers of.
    pub(super) async fn admit(&self, shown: &StaffToken) -> Result<(), Problem> {
        match &self.staff {
            None => Ok(()),
            Some(staff) if staff.is_off() => Err(Problem::forbidden(
                "lists are for staff, and calls for staff are off: name a file of accounts as staff.accounts_file in the \
                 configuration, or one with a token as staff.token_file, or show lists to everybody with \
                 tracking.public_lists: true",
            )),
            Some(staff) => staff.require(shown, Right::Lists).await.map(drop),
        }
    }

    /// Waits until a caller who was admitted would not be any more.
    pub(super) fn end(&self, shown: &StaffToken) -> impl Future<Output = ()> + Send + use<> {
        let (staff, shown) = (self.staff.clone(), shown.shown());
        async move {
            match staff {
                Some(staff) => staff.end(shown).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Waits until a list may be read, which it may be for as long as this is held.
    ///
    /// # Errors
    /// 503 when so many are read that its turn does not come in time.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        match tokio::time::timeout(LIST_PATIENCE, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // It is never closed.
            Ok(Err(_)) | Err(_) => {
                Err(Problem::unavailable(LISTS_RETRY_AFTER, "too many lists are being read"))
            }
        }
    }
}
