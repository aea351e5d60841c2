//! The live event stream: a connection that breaks is made again and goes on after the last event.

use std::collections::VecDeque;
use std::time::Duration;

use daemon::retry::Backoff;
use reqwest::{Client, Response, Url};
use secrecy::SecretString;
use tokio::time::{Instant, sleep_until};

use super::call::open_stream;
use super::error::ClientError;
use super::sse::{ReceivedEvent, SseParser};
use crate::domain::StatusUpdate;

/// How often in a row a broken stream is opened again before it is given up: with the waits below some 40 s.
const MAX_ATTEMPTS: u32 = 12;
/// The first wait before a new attempt; each further one is twice as long, with jitter.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(300);
/// The longest wait before a new attempt.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(6);
/// The longest wait that a service may ask for (`Retry-After`).
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15);
/// A connection that held this long was a good one: the attempts are counted anew when it ends.
const STEADY_AFTER: Duration = Duration::from_secs(10);

/// One change of an order, as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEvent {
    pub update: StatusUpdate,
    /// The event's data as received, on one line.
    pub data: String,
}

/// The next item of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamItem {
    Event(StatusEvent),
    /// There is a connection now: what comes from here on comes as it happens.
    Connected,
    /// The connection broke, for this reason; the next call makes a new one.
    Interrupted(String),
    /// The service's database does not hold what was told before: what follows begins anew.
    Reset,
}

/// The changes of one order, or of all: what is so far, then each change as it happens, none left out or repeated.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    url: Url,
    staff_token: Option<SecretString>,
    connection: Option<Connection>,
    events: VecDeque<ReceivedEvent>,
    last_event_id: Option<String>,
    attempts: u32,
    max_attempts: u32,
    backoff: Backoff,
    retry_at: Option<Instant>,
}

#[derive(Debug)]
struct Connection {
    answer: Response,
    parser: SseParser,
    opened_at: Instant,
}

impl EventStream {
    pub(super) fn new(client: Client, url: Url, staff_token: Option<SecretString>) -> Self {
        Self {
            client,
            url,
            staff_token,
            connection: None,
            events: VecDeque::new(),
            last_event_id: None,
            attempts: 0,
            max_attempts: MAX_ATTEMPTS,
            backoff: Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY),
            retry_at: None,
        }
    }

    /// Waits for the next thing to tell. `None` when the service says that nothing more will come.
    ///
    /// # Errors
    /// A lasting refusal (404, say) at once; [`ClientError::StreamLost`] after too many failures in a row.
    pub async fn next(&mut self) -> Result<Option<StreamItem>, ClientError> {
        loop {
            while let Some(event) = self.events.pop_front() {
                if let Some(item) = self.accept(event)? {
                    return Ok(Some(item));
                }
            }
            if self.connection.is_none() {
                if let Some(at) = self.retry_at.take() {
                    sleep_until(at).await;
                }
                let (id, token) = (self.last_event_id.as_deref(), self.staff_token.as_ref());
                match open_stream(&self.client, &self.url, id, token).await {
                    Ok(Some(answer)) => {
                        let (parser, opened_at) = (SseParser::default(), Instant::now());
                        self.connection = Some(Connection { answer, parser, opened_at });
                        return Ok(Some(StreamItem::Connected));
                    }
                    Ok(None) => return Ok(None),
                    Err(error) if error.is_transient() => {
                        return self.interrupted(error.to_string(), error.retry_after()).map(Some);
                    }
                    Err(error) => return Err(error),
                }
            }
            if let Err(reason) = self.receive().await {
                return self.interrupted(reason, None).map(Some);
            }
        }
    }

    /// Reads one piece of the connection; the error says how it ended.
    async fn receive(&mut self) -> Result<(), String> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        // All events so far are taken: an id that came without one is behind them.
        if let Some(id) = connection.parser.last_event_id() {
            self.last_event_id = Some(id.to_owned()).filter(|id| !id.is_empty());
        }
        match connection.answer.chunk().await {
            Ok(Some(bytes)) => connection
                .parser
                .push(&bytes, |event| self.events.push_back(event))
                .map_err(|e| e.to_string()),
            Ok(None) => Err("the service closed the connection".to_owned()),
            Err(error) => Err(ClientError::transport(&self.url, error).to_string()),
        }
    }

    /// Takes an event as told: from here on the stream resumes after it.
    fn accept(&mut self, event: ReceivedEvent) -> Result<Option<StreamItem>, ClientError> {
        self.trust_again();
        self.last_event_id = event.id.or(self.last_event_id.take()).filter(|id| !id.is_empty());
        match event.event.as_str() {
            "status" => {}
            "reset" => {
                self.last_event_id = None;
                return Ok(Some(StreamItem::Reset));
            }
            _ => return Ok(None),
        }
        let update = serde_json::from_str(&event.data)
            .map_err(|error| ClientError::unexpected(&self.url, format!("a status event with {error}")))?;
        // JSON text has no line feed inside its strings, so that one between them may as well be a blank.
        Ok(Some(StreamItem::Event(StatusEvent { update, data: event.data.replace('\n', " ") })))
    }

    /// Plans the next attempt, or gives up.
    fn interrupted(&mut self, reason: String, wait: Option<Duration>) -> Result<StreamItem, ClientError> {
        if self.connection.take().is_some_and(|connection| connection.opened_at.elapsed() > STEADY_AFTER) {
            self.trust_again();
        }
        self.attempts += 1;
        if self.attempts > self.max_attempts {
            return Err(ClientError::StreamLost {
                url: self.url.to_string(),
                attempts: self.attempts,
                reason,
            });
        }
        let delay = self.backoff.next_delay();
        let delay = wait.map_or(delay, |wait| wait.min(MAX_RETRY_AFTER).max(delay));
        self.retry_at = Some(Instant::now() + delay);
        Ok(StreamItem::Interrupted(reason))
    }

    fn trust_again(&mut self) {
        self.attempts = 0;
        self.backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::super::api::TrackingClient;
    use super::super::stub::{answer, closed_port, cut_stream, scripted, status_event};
    use super::*;

    async fn statuses(stream: &mut EventStream, count: usize) -> Vec<String> {
        let mut statuses = Vec::new();
        while statuses.len() < count {
            if let Some(StreamItem::Event(event)) = stream.next().await.unwrap() {
                statuses.push(event.update.new_status);
            }
        }
        statuses
    }

    #[tokio::test]
    async fn a_cut_connection_is_resumed_after_the_last_whole_event() {
        let received = status_event(11, "", "received");
        let cooking = status_event(12, "received", "cooking");
        let half = &cooking[..cooking.len() / 2];
        let (url, requests) = scripted(vec![
            cut_stream(&format!("{received}{half}")),
            answer("503 Service Unavailable", "{}"),
            cut_stream(&format!(": hello\n\n{cooking}{}", status_event(13, "cooking", "ready"))),
        ])
        .await;
        let mut stream = TrackingClient::new(url).unwrap().order_events("ORD_20261122_001");
        assert_eq!(statuses(&mut stream, 3).await, ["received", "cooking", "ready"]);
        let requests = requests.lock().unwrap();
        assert!(requests[0].starts_with("GET /orders/ORD_20261122_001/events HTTP/1.1"), "{}", requests[0]);
        assert!(!requests[0].contains("last-event-id"), "{}", requests[0]);
        assert!(requests[1].contains("last-event-id: 11\r\n"), "{}", requests[1]);
        assert!(requests[2].contains("last-event-id: 11\r\n"), "{}", requests[2]);
    }

    #[tokio::test]
    async fn after_a_reset_a_stream_begins_anew_also_on_the_next_connection() {
        let received = status_event(11, "", "received");
        let reset = "event: reset\nid:\ndata: {\"reason\":\"ahead_of_database\"}\n\n";
        let again = status_event(3, "", "received");
        let (url, requests) = scripted(vec![
            cut_stream(&format!("{received}{reset}")),
            cut_stream(&again),
            cut_stream("id: 4\n\n"),
            cut_stream(&status_event(5, "received", "cooking")),
        ])
        .await;
        let mut stream = TrackingClient::new(url).unwrap().order_events("ORD_20261122_001");
        assert_eq!(statuses(&mut stream, 1).await, ["received"]);
        assert_eq!(stream.next().await.unwrap(), Some(StreamItem::Reset));
        assert_eq!(statuses(&mut stream, 2).await, ["received", "cooking"]);
        let requests = requests.lock().unwrap();
        assert!(!requests[1].contains("last-event-id"), "{}", requests[1]);
        assert!(requests[2].contains("last-event-id: 3\r\n"), "{}", requests[2]);
        assert!(requests[3].contains("last-event-id: 4\r\n"), "{}", requests[3]);
    }

    #[tokio::test]
    async fn a_lasting_refusal_ends_the_stream_at_once() {
        let (url, _) = scripted(vec![answer("404 Not Found", r#"{"title":"No such order"}"#)]).await;
        let mut stream = TrackingClient::new(url).unwrap().order_events("ORD_20261122_009");
        assert_eq!(stream.next().await.unwrap_err().status(), Some(404));
    }

    #[tokio::test]
    async fn an_answer_that_is_no_event_stream_is_named() {
        let (url, _) = scripted(vec![answer("200 OK", "{}")]).await;
        let error = TrackingClient::new(url).unwrap().all_events().next().await.unwrap_err().to_string();
        assert!(error.contains("application/json in place of text/event-stream"), "{error}");
    }

    #[tokio::test]
    async fn a_stream_that_never_comes_back_is_given_up() {
        let mut stream = TrackingClient::new(closed_port().await).unwrap().all_events();
        stream.max_attempts = 3;
        stream.backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        for _ in 0..3 {
            assert!(matches!(stream.next().await, Ok(Some(StreamItem::Interrupted(_)))));
        }
        let error = stream.next().await.unwrap_err();
        assert!(matches!(error, ClientError::StreamLost { attempts: 4, .. }), "{error}");
    }
}
