//! What a station shows, and its stream.

use std::time::Duration;

use futures_util::Stream;
use http_kit::Problem;
use http_kit::schemas::UtcTime;
use http_kit::sse::SseFrame;
use jiff::Timestamp;

use super::views::{LateView, TicketView, TicketsView};
use crate::domain::OrderNumber;
use crate::services::kitchen::{StationOptions, StationTimes};
use crate::services::live_document::{Document, LiveDocument, Looking, revision_of};
use crate::store::{StaffAct, StationLook, StationTicket, Store, StoreError, TicketAct, TicketOutcome};

/// How often it is looked for what others have changed: a second screen shows it within a second, with time to tell it.
const LOOK: Duration = Duration::from_millis(500);
const LOOKING: Looking =
    Looking { event: "tickets", failure: "station_failed", every: LOOK, gap: Duration::ZERO };

/// What a station shows.
pub(super) struct Board {
    store: Store,
    look: StationLook,
    times: StationTimes,
    shown: LiveDocument,
}

impl Board {
    pub(super) fn new(store: Store, look: StationLook, options: &StationOptions) -> Self {
        Self { store, look, times: options.times, shown: LiveDocument::new(LOOKING) }
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
        document.revision = revision_of(serde_json::to_vec(&document).unwrap_or_default());
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
        self.shown.changed();
        outcome
    }

    pub(super) fn ticket(&self, ticket: StationTicket) -> TicketView {
        TicketView::new(ticket, &self.times, self.look.promote_after)
    }

    pub(super) fn stream(&self) -> impl Stream<Item = SseFrame> + Send + use<> {
        self.shown.stream()
    }

    /// Looks for ever.
    pub(super) async fn watch(&self) {
        let look = || async {
            let document = self.document().await?;
            let data = serde_json::to_string(&document).map_err(Problem::internal)?;
            Ok(Document { revision: document.revision, data })
        };
        self.shown.watch(&self.store, look).await;
    }
}
