//! A client of Server-Sent Events that keeps to the standard and to deadlines.

use super::http::Http;
use super::wait::DEADLINE;
use serde_json::Value;

/// An open stream of events.
pub struct Events {
    response: reqwest::Response,
    buffer: String,
    last_id: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: String,
    pub event: String,
    pub data: Value,
}

impl Event {
    pub fn order(&self) -> &str {
        self.data["order_number"].as_str().unwrap()
    }

    pub fn new_status(&self) -> &str {
        self.data["new_status"].as_str().unwrap()
    }
}

impl Events {
    pub async fn open(http: &Http, path: &str, last_event_id: Option<&str>) -> Self {
        let mut request = http.stream(path).header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/event-stream"));
        Self { response, buffer: String::new(), last_id: String::new() }
    }

    /// The next event; `None` at the end of the stream. Fails the test when neither comes.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(DEADLINE, self.next_whenever()).await.expect("an event or the end of the stream")
    }

    /// The next event or the end, however long it takes.
    pub async fn next_whenever(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let event = parse(block);
                if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id:")) {
                    self.last_id = id.trim().to_owned();
                }
                self.buffer = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let chunk = self.response.chunk().await.ok().flatten()?;
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The id that a browser would come back with, once it is another than `id`.
    pub async fn last_id_after(&mut self, id: &str) -> String {
        let deadline = std::time::Instant::now() + DEADLINE;
        while self.last_id == id {
            assert!(std::time::Instant::now() < deadline, "no other id than {id}");
            let moment = std::time::Duration::from_millis(50);
            let event = tokio::time::timeout(moment, self.next_whenever()).await;
            assert!(event.is_err(), "an event in place of an id: {event:?}");
        }
        self.last_id.clone()
    }

    pub async fn take(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            let so_far = events.len();
            events.push(self.next().await.unwrap_or_else(|| panic!("the stream ended after {so_far}")));
        }
        events
    }

    pub async fn until_end(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

/// A block of lines; `None` for comments and `retry:` alone.
fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        lines.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect::<Vec<_>>().join("\n")
    };
    let data = field("data");
    (!data.is_empty()).then(|| Event {
        id: field("id"),
        event: field("event"),
        data: serde_json::from_str(&data).unwrap(),
    })
}
