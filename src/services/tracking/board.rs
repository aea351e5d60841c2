//! What the room sees: one reader for all who look, at a screen or once.

use std::sync::Arc;
use std::time::Duration;

use daemon::batcher::{BatchLimits, Batcher};
use futures_util::Stream;
use http_kit::Problem;
use http_kit::sse::SseFrame;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::views::BoardView;
use crate::services::live_document::{Document, LiveDocument, Looking, revision_of};
use crate::services::servers::shared_failure;
use crate::store::{RoomBoard, Store, StoreError};

/// New orders wake nobody: they show within so much time.
const LOOK: Duration = Duration::from_secs(1);
/// In a rush there are ten looks a second.
const LOOK_GAP: Duration = Duration::from_millis(100);
const LOOKING: Looking = Looking { event: "board", failure: "board_failed", every: LOOK, gap: LOOK_GAP };
/// What a client is told to wait when too many ask.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Room {
    reader: Batcher<(), Result<Arc<RoomBoard>, Arc<StoreError>>>,
    live: Arc<LiveDocument>,
}

impl Room {
    /// Starts it on `tasks`, until `stop`. Every one of so many connections may ask at once.
    pub(super) fn start(
        store: Store,
        connections: usize,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> Self {
        let limits = BatchLimits { queue: connections, batch: connections, writers: 1, linger: None };
        let of = store.clone();
        let reader = Batcher::start(limits, tasks, move |askers: Vec<()>| {
            let store = of.clone();
            async move {
                let board = store.room_board().await.map(Arc::new).map_err(Arc::new);
                vec![board; askers.len()]
            }
        });
        let room = Self { reader, live: Arc::new(LiveDocument::new(LOOKING)) };
        let watching = room.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = watching.live.watch(&store, || watching.document()) => {}
            }
        });
        room
    }

    /// Says that an order has changed.
    pub(super) fn changed(&self) {
        self.live.changed();
    }

    pub(super) fn stream(&self) -> impl Stream<Item = SseFrame> + Send + use<> {
        self.live.stream()
    }

    /// What it shows now.
    pub(super) async fn view(&self) -> Result<BoardView, Problem> {
        match self.reader.submit(()).await {
            Ok(board) => Ok(BoardView::from(&*board.map_err(shared_failure)?)),
            Err(_) => {
                Err(Problem::unavailable(RETRY_AFTER, "too many look at the board; try again in a moment"))
            }
        }
    }

    async fn document(&self) -> Result<Document, Problem> {
        let data = serde_json::to_string(&self.view().await?).map_err(Problem::internal)?;
        Ok(Document { revision: revision_of(&data), data })
    }
}
