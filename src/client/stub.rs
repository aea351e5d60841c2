//! Stand-ins for the services, for the tests of the client side only: one that takes orders and cooks them at once,
//! and one that plays a written script, byte for byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream;
use poem::http::StatusCode;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::Data;
use poem::web::sse::{Event, SSE};
use poem::{EndpointExt, IntoResponse, Request, Response, Route, get, handler, post};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::api::BaseUrl;
use super::rules::violations;

/// An order and tracking service in one, which checks the rules and has every order ready within 30 ms.
pub(crate) struct Stub {
    url: BaseUrl,
    state: Arc<Mutex<StubState>>,
    _server: JoinSet<()>,
}

struct StubState {
    orders: Vec<&'static str>,
    events: Vec<String>,
    changed: watch::Sender<()>,
    has_streams: bool,
    cooks: bool,
    answer_delay: Duration,
    idempotency_keys: Vec<String>,
}

type Shared = Arc<Mutex<StubState>>;

impl StubState {
    fn number(index: usize) -> String {
        format!("ORD_20261122_{:03}", index + 1)
    }

    fn change(&mut self, index: usize, status: &'static str) {
        let old = std::mem::replace(&mut self.orders[index], status);
        let update = json!({
            "order_number": Self::number(index), "old_status": Some(old).filter(|old| !old.is_empty()),
            "new_status": status, "changed_by": "chef_anna", "timestamp": "2026-11-22T12:00:00.000Z",
            "estimated_completion": null,
        });
        self.events.push(update.to_string());
        self.changed.send_replace(());
    }
}

impl Stub {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(StubState {
            orders: Vec::new(),
            events: Vec::new(),
            changed: watch::Sender::new(()),
            has_streams: true,
            cooks: true,
            answer_delay: Duration::ZERO,
            idempotency_keys: Vec::new(),
        }));
        let app = Route::new()
            .at("/healthz", get(healthz))
            .at("/orders", post(place))
            .at("/orders/:number/status", get(serve_status))
            .at("/events", get(serve_events))
            .data(state.clone());
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.unwrap();
        let address = acceptor.local_addr()[0].as_socket_addr().copied().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move { poem::Server::new_with_acceptor(acceptor).run(app).await.unwrap() });
        Self { url: format!("http://{address}").parse().unwrap(), state, _server: server }
    }

    pub(crate) fn url(&self) -> BaseUrl {
        self.url.clone()
    }

    pub(crate) fn refuse_streams(&self) {
        self.state.lock().unwrap().has_streams = false;
    }

    pub(crate) fn answer_after(&self, delay: Duration) {
        self.state.lock().unwrap().answer_delay = delay;
    }

    pub(crate) fn never_cook(&self) {
        self.state.lock().unwrap().cooks = false;
    }

    pub(crate) fn idempotency_keys(&self) -> Vec<String> {
        self.state.lock().unwrap().idempotency_keys.clone()
    }
}

#[handler]
fn healthz() -> &'static str {
    "{}"
}

#[handler]
async fn place(Data(state): Data<&Shared>, request: &Request, body: poem::Body) -> Response {
    let delay = state.lock().unwrap().answer_delay;
    tokio::time::sleep(delay).await;
    let text = body.into_string().await.unwrap();
    let order: Value = serde_json::from_str(&text).unwrap();
    let errors: Vec<_> = violations(&order)
        .into_iter()
        .map(|rule| json!({"pointer": format!("/{rule}"), "detail": "broken"}))
        .collect();
    if !errors.is_empty() {
        let problem = json!({"title": "Invalid order", "status": 422, "errors": errors, "request_id": "r-9"});
        return Response::builder()
            .status(StatusCode::UNPROCESSABLE_ENTITY)
            .content_type("application/problem+json")
            .body(problem.to_string());
    }
    let mut guard = state.lock().unwrap();
    guard.idempotency_keys.extend(request.header("Idempotency-Key").map(str::to_owned));
    guard.orders.push("");
    let index = guard.orders.len() - 1;
    guard.change(index, "received");
    if guard.cooks {
        let state = state.clone();
        tokio::spawn(async move {
            for status in ["cooking", "ready"] {
                tokio::time::sleep(Duration::from_millis(10)).await;
                state.lock().unwrap().change(index, status);
            }
        });
    }
    let number = StubState::number(index);
    let answer = format!(r#"{{"order_number":"{number}","status":"received","total_amount":24.98}}"#);
    Response::builder().status(StatusCode::CREATED).content_type("application/json").body(answer)
}

#[handler]
fn serve_status(Data(state): Data<&Shared>, poem::web::Path(number): poem::web::Path<String>) -> Response {
    let state = state.lock().unwrap();
    let Some(index) = (0..state.orders.len()).find(|&index| StubState::number(index) == number) else {
        return StatusCode::NOT_FOUND.into();
    };
    let answer = json!({
        "order_number": number, "current_status": state.orders[index], "updated_at": "2026-11-22T12:00:00.000Z",
        "estimated_completion": null, "processed_by": null,
    });
    Response::builder().content_type("application/json").body(answer.to_string())
}

#[handler]
fn serve_events(Data(state): Data<&Shared>) -> Response {
    if !state.lock().unwrap().has_streams {
        return StatusCode::NOT_FOUND.into();
    }
    let changed = state.lock().unwrap().changed.subscribe();
    let all = stream::unfold((state.clone(), changed, 0), |(state, mut changed, next)| async move {
        loop {
            let data = state.lock().unwrap().events.get(next).cloned();
            if let Some(data) = data {
                let event = Event::message(data).event_type("status").id((next + 1).to_string());
                return Some((event, (state, changed, next + 1)));
            }
            changed.changed().await.ok()?;
        }
    });
    SSE::new(all).into_response()
}

/// Answers each connection with the next text and closes it; tells what each was asked.
pub(crate) async fn scripted(answers: Vec<String>) -> (BaseUrl, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (mut request, mut buffer) = (String::new(), [0; 1024]);
            while !request.contains("\r\n\r\n") {
                let length = socket.read(&mut buffer).await.unwrap();
                if length == 0 {
                    break;
                }
                request.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
            seen.lock().unwrap().push(request);
            socket.write_all(answer.as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
        }
    });
    (url, requests)
}

/// The script of an event stream that is cut off after these bytes: it promises more than it sends.
pub(crate) fn cut_stream(events: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{events}\r\n",
        events.len()
    )
}

/// The script of a plain answer.
pub(crate) fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// One `status` event of order `ORD_20261122_001`.
pub(crate) fn status_event(id: u32, old: &str, new: &str) -> String {
    let old = if old.is_empty() { Value::Null } else { Value::from(old) };
    let data = json!({
        "order_number": "ORD_20261122_001", "old_status": old, "new_status": new, "changed_by": "chef_anna",
        "timestamp": "2026-11-22T12:00:00.000Z", "estimated_completion": "2026-11-22T12:00:10.000Z",
    });
    format!("event: status\nid: {id}\ndata: {data}\n\n")
}

/// An address where nobody listens.
pub(crate) async fn closed_port() -> BaseUrl {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap()).parse().unwrap()
}
