//! The stream of a station: the whole document, first at once and then with each change. All streams tell the same texts; one task
//! of the process looks for them, while there are streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{Stream, stream};
use http_kit::Problem;
use http_kit::schemas::UtcTime;
use http_kit::sse::{SseEvent, SseFrame};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};

use super::views::{LateView, TicketView, TicketsView};
use crate::domain::OrderNumber;
use crate::services::kitchen::cook::backoff;
use crate::services::kitchen::{StationOptions, StationTimes};
use crate::store::{
    StaffAct, StationLook, StationTicket, Store, StoreAccess, StoreError, TicketAct, TicketOutcome,
};

/// How often it is looked for what others have changed: a second screen shows it within a second, with time to tell it.
const LOOK: Duration = Duration::from_millis(500);
/// The bytes of the hash that is a revision: no two of a day are the same.
const REVISION_BYTES: usize = 12;

/// What a station shows.
pub(super) struct Board {
    store: Store,
    look: StationLook,
    times: StationTimes,
    shown: watch::Sender<Option<Shown>>,
    /// How many looks have begun.
    looks: AtomicU64,
    /// Told when this process has changed something, and when a stream begins.
    changed: Notify,
}

/// A document as the streams tell it.
#[derive(Clone)]
struct Shown {
    revision: Arc<str>,
    frame: SseFrame,
    /// Since which look it has been so, or later.
    look: u64,
}

impl Board {
    pub(super) fn new(store: Store, look: StationLook, options: &StationOptions) -> Self {
        let (shown, looks, changed) = (watch::Sender::new(None), AtomicU64::new(0), Notify::new());
        Self { store, look, times: options.times, shown, looks, changed }
    }

    /// What it shows now.
    pub(super) async fn document(&self) -> Result<TicketsView, StoreError> {
        let picture = self.store.station_picture(&self.look).await?;
        let view = |tickets: Vec<_>| tickets.into_iter().map(|ticket| self.ticket(ticket)).collect();
        let mut document = TicketsView {
            station: self.look.station.to_string(),
            revision: String::new(),
            now: UtcTime(Timestamp::UNIX_EPOCH),
            bump_undo_seconds: self.times.bump_undo.as_secs_f64(),
            recall_minutes: self.look.recall_within.as_secs() / 60,
            late: LateView { warn: self.times.warn, late: self.times.late },
            waiting: picture.waiting,
            tickets: view(picture.tickets),
            ready: view(picture.ready),
        };
        let content = serde_json::to_vec(&document).unwrap_or_default();
        document.revision = URL_SAFE_NO_PAD.encode(&Sha256::digest(content)[..REVISION_BYTES]);
        document.now = UtcTime(picture.now);
        Ok(document)
    }

    /// Has a person do something to a ticket.
    pub(super) async fn act(
        &self,
        number: &OrderNumber,
        attempt: i32,
        act: TicketAct,
        by: &StaffAct<'_>,
    ) -> Result<TicketOutcome, StoreError> {
        let outcome = self.store.act_on_ticket(&self.look.station, number, attempt, act, by).await;
        self.changed.notify_one();
        outcome
    }

    pub(super) fn ticket(&self, ticket: StationTicket) -> TicketView {
        TicketView::new(ticket, &self.times, self.look.promote_after)
    }

    /// The documents from now on. The first is none of before: the client may know of what has changed since.
    pub(super) fn stream(&self) -> impl Stream<Item = SseFrame> + Send + use<> {
        let (shown, passed) = (self.shown.subscribe(), self.looks.load(Ordering::SeqCst));
        self.changed.notify_one();
        stream::unfold((shown, None), move |(mut shown, told): (_, Option<Arc<str>>)| async move {
            let is_new = |shown: &Option<Shown>| {
                shown.as_ref().is_some_and(|s| s.look > passed && Some(&s.revision) != told.as_ref())
            };
            // It fails when the station is gone.
            let Shown { revision, frame, .. } = shown.wait_for(is_new).await.ok()?.clone()?;
            Some((frame, (shown, Some(revision))))
        })
    }

    /// Looks for ever. While PostgreSQL is away streams are told nothing.
    pub(super) async fn watch(&self) {
        let mut backoff = backoff();
        loop {
            if self.shown.receiver_count() == 0 {
                // The next stream begins with what is true then.
                self.shown.send_replace(None);
                self.changed.notified().await;
                continue;
            }
            let look = self.looks.fetch_add(1, Ordering::SeqCst) + 1;
            let document = self.document().await.map_err(Problem::from);
            match document.and_then(|document| Shown::of(&document, look)) {
                Ok(shown) => {
                    backoff.reset();
                    self.shown.send_replace(Some(shown));
                    tokio::select! {
                        () = self.changed.notified() => {}
                        () = tokio::time::sleep(LOOK) => {}
                    }
                }
                Err(problem) => {
                    if problem.retry_after_s().is_none() {
                        let error: &dyn std::error::Error = &problem;
                        tracing::error!(
                            action = "station_failed",
                            error,
                            "looking at the station's tickets failed"
                        );
                    }
                    tokio::time::sleep(backoff.next_delay()).await;
                    self.store.wait_up().await;
                }
            }
        }
    }
}

impl Shown {
    fn of(document: &TicketsView, look: u64) -> Result<Self, Problem> {
        let data = serde_json::to_string(document).map_err(Problem::internal)?;
        let (id, event) = (Some(document.revision.clone()), Some("tickets".into()));
        Ok(Self {
            revision: Arc::from(document.revision.as_str()),
            frame: SseEvent { id, event, data }.into(),
            look,
        })
    }
}
