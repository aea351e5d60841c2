//! A client of the tracking service's `/events`, which goes on after its last event whenever it is cut off.

use crate::support::Http;
use restaurant_system::client::sse::SseParser;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A stream that says nothing for so long is opened anew: the service may be frozen.
const SILENCE: Duration = Duration::from_secs(4);
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// The order number and new status of every event, in the order of the stream.
pub type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// Watches for ever, from the first event of all, at wherever a tracking service is at the moment.
pub async fn watch(url: impl Fn() -> Option<String>, seen: Seen) {
    // The service is another each time.
    let http = Http::as_staff("");
    let mut last_id = String::new();
    loop {
        if let Some(url) = url() {
            follow(http.at(&url).stream("/events?from=start"), &mut last_id, &seen).await;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Reads one stream to its end; `None` when that has come, which is always.
async fn follow(request: reqwest::RequestBuilder, last_id: &mut String, seen: &Seen) -> Option<()> {
    let request = request.header("last-event-id", last_id.as_str()).send();
    let mut response = tokio::time::timeout(SILENCE, request).await.ok()?.ok()?.error_for_status().ok()?;
    let mut parser = SseParser::default();
    loop {
        let bytes = tokio::time::timeout(SILENCE, response.chunk()).await.ok()?.ok()??;
        let mut seen = seen.lock().unwrap();
        let note = |event: restaurant_system::client::sse::ReceivedEvent| {
            // The database has lost what the stream had told: it tells everything again.
            if event.event == "reset" {
                seen.clear();
                last_id.clear();
                return;
            }
            let Ok(update) = serde_json::from_str::<Value>(&event.data) else { return };
            let text = |name: &str| update[name].as_str().unwrap_or_default().to_owned();
            seen.push((text("order_number"), text("new_status")));
            *last_id = event.id.unwrap_or_default();
        };
        parser.push(&bytes, note).ok()?;
    }
}
