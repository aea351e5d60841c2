//! A document that streams tell whole: first at once, and then with each change. All streams of a process tell the same text; one
//! task looks for it, while there are streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use daemon::retry::Backoff;
use futures_util::{Stream, stream};
use http_kit::Problem;
use http_kit::sse::{SseEvent, SseFrame};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};

use crate::store::{Store, StoreAccess};

/// The bytes of the hash that is a revision: no two of a day are the same.
const REVISION_BYTES: usize = 12;
/// The pauses between looks while PostgreSQL is away: the first, and the longest.
const LOOK_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What is told of a document.
pub(super) struct Document {
    /// Another one with each change.
    pub(super) revision: String,
    /// The text.
    pub(super) data: String,
}

/// How it is looked for.
pub(super) struct Looking {
    /// How its events are called.
    pub(super) event: &'static str,
    /// The `action` under which a failure is logged.
    pub(super) failure: &'static str,
    /// How often, where nobody says that something has changed.
    pub(super) every: Duration,
    /// Between two looks at least: what changes meanwhile is seen together.
    pub(super) gap: Duration,
}

pub(super) struct LiveDocument {
    looking: Looking,
    shown: watch::Sender<Option<Shown>>,
    /// How many looks have begun.
    looks: AtomicU64,
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

impl LiveDocument {
    pub(super) fn new(looking: Looking) -> Self {
        Self { looking, shown: watch::Sender::new(None), looks: AtomicU64::new(0), changed: Notify::new() }
    }

    /// Says that it may have changed.
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }

    /// The documents from now on. The first is none of before: the client may know of what has changed since.
    pub(super) fn stream(&self) -> impl Stream<Item = SseFrame> + Send + use<> {
        let (shown, passed) = (self.shown.subscribe(), self.looks.load(Ordering::SeqCst));
        self.changed();
        stream::unfold((shown, None), move |(mut shown, told): (_, Option<Arc<str>>)| async move {
            let is_new = |shown: &Option<Shown>| {
                shown.as_ref().is_some_and(|s| s.look > passed && Some(&s.revision) != told.as_ref())
            };
            // It fails when the process ends.
            let Shown { revision, frame, .. } = shown.wait_for(is_new).await.ok()?.clone()?;
            Some((frame, (shown, Some(revision))))
        })
    }

    /// Looks for ever. While PostgreSQL is away streams are told nothing.
    pub(super) async fn watch<F>(&self, store: &Store, look: impl Fn() -> F)
    where
        F: Future<Output = Result<Document, Problem>>,
    {
        let mut backoff = Backoff::new(LOOK_RETRY.0, LOOK_RETRY.1);
        loop {
            if self.shown.receiver_count() == 0 {
                // The next stream begins with what is true then.
                self.shown.send_replace(None);
                self.changed.notified().await;
                continue;
            }
            let number = self.looks.fetch_add(1, Ordering::SeqCst) + 1;
            match look().await {
                Ok(document) => {
                    backoff.reset();
                    self.shown.send_replace(Some(self.shown_of(document, number)));
                    tokio::time::sleep(self.looking.gap).await;
                    let _ = tokio::time::timeout(self.looking.every, self.changed.notified()).await;
                }
                Err(problem) => {
                    if problem.retry_after_s().is_none() {
                        let error: &dyn std::error::Error = &problem;
                        tracing::error!(
                            action = self.looking.failure,
                            error,
                            "looking for what is shown failed"
                        );
                    }
                    tokio::time::sleep(backoff.next_delay()).await;
                    store.wait_up().await;
                }
            }
        }
    }

    fn shown_of(&self, Document { revision, data }: Document, look: u64) -> Shown {
        let (id, event) = (Some(revision.clone()), Some(self.looking.event.into()));
        Shown { revision: revision.into(), frame: SseEvent { id, event, data }.into(), look }
    }
}

/// A revision that another content does not have.
pub(super) fn revision_of(content: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(content)[..REVISION_BYTES])
}
