//! A small API behind the real server, spoken to over real connections.

#![allow(clippy::panic)]

mod connections;
mod headers;
mod places;
mod requests;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use daemon::metrics::Metrics;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use poem::{
    Body,
    http::{HeaderMap, Method},
    web::RemoteAddr,
};
use poem_openapi::{
    ApiResponse, Object, OpenApi, SecurityScheme,
    auth::Bearer,
    param::{Header, Path, Query},
};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    app::app,
    body::{self, JsonRequest},
    docs::ApiInfo,
    etag::Conditional,
    fail::{Fail, may},
    health::{Readiness, ReadinessReport},
    members::Members,
    problem::Problem,
    reply::JsonReply,
    request_id::RequestContext,
    server::{Listener, ServerLimits, serve},
    sse::{EventStreams, SseEvent, SseReply},
};

#[derive(Serialize, Object)]
struct Thing {
    name: String,
    request_id: String,
}

#[derive(Object)]
#[allow(dead_code)]
struct NewThing {
    name: String,
    parts: Option<Vec<NewPart>>,
}

#[derive(Object)]
#[allow(dead_code)]
struct NewPart {
    name: String,
}

#[derive(ApiResponse)]
enum Made {
    /// It is made.
    #[oai(status = 201)]
    Thing(JsonReply<Thing>, #[oai(header = "Location")] String),
}

/// What a caller shows of itself; any token will do.
#[derive(SecurityScheme)]
#[oai(ty = "bearer")]
struct Token(#[allow(dead_code)] Bearer);

struct TestApi {
    streams: EventStreams,
}

#[OpenApi]
impl TestApi {
    #[oai(path = "/things/:name", method = "get", operation_id = "get_thing")]
    async fn get(
        &self,
        name: Path<String>,
        context: RequestContext,
    ) -> Result<JsonReply<Thing>, Fail<{ may::NOT_FOUND }>> {
        match name.0.as_str() {
            "panic" => panic!("a bug"),
            "broken" => Err(Problem::internal(std::io::Error::other("SELECT secret")))?,
            "none" => Err(Problem::not_found("there is no such thing"))?,
            name => {
                let thing = Thing { name: name.to_owned(), request_id: context.request_id.to_string() };
                Ok(JsonReply::new(&thing)?)
            }
        }
    }

    #[oai(path = "/things", method = "post", operation_id = "make_thing")]
    async fn post(
        &self,
        body: JsonRequest<NewThing>,
    ) -> Result<Made, Fail<{ may::BODY | may::UNAVAILABLE }>> {
        let members = Members::read(&body.bytes)?;
        let unknown = members.unknown("", &["name"]);
        if !unknown.is_empty() {
            Err(Problem::unknown_fields(unknown))?;
        }
        let Some(name) = members.get("name") else {
            return Err(Problem::unavailable(Duration::from_secs(2), "try again").into());
        };
        let thing = Thing { name: name.get().to_owned(), request_id: String::new() };
        Ok(Made::Thing(JsonReply::new(&thing)?, "/things/1".to_owned()))
    }

    #[oai(path = "/things", method = "get", operation_id = "list_things")]
    async fn list(
        &self,
        limit: Query<Option<u16>>,
        also: Query<Option<Vec<u16>>>,
    ) -> Result<JsonReply<Vec<u16>>, Fail<{ may::BAD_REQUEST }>> {
        let also = also.0.unwrap_or_default();
        Ok(JsonReply::new(&std::iter::once(limit.0.unwrap_or(7)).chain(also).collect())?)
    }

    #[oai(path = "/tagged", method = "get", operation_id = "tagged")]
    async fn tagged(
        &self,
        #[oai(name = "If-None-Match")] if_none_match: Header<Option<String>>,
    ) -> Result<Conditional<u8>, Fail<{ may::NOTHING }>> {
        Ok(Conditional::new(JsonReply::new(&7)?, if_none_match.0.as_deref()))
    }

    #[oai(path = "/guarded", method = "post", operation_id = "change_guarded")]
    async fn change_guarded(&self, _shown: Token) -> Result<JsonReply<u8>, Fail<{ may::TOKEN }>> {
        Ok(JsonReply::new(&1)?)
    }

    #[oai(path = "/guarded", method = "get", operation_id = "guarded")]
    async fn guarded(&self, _shown: Token) -> Result<JsonReply<u8>, Fail<{ may::TOKEN }>> {
        Ok(JsonReply::new(&1)?)
    }

    /// Reads a body with little patience
    #[oai(path = "/impatient", method = "post", operation_id = "impatient")]
    async fn impatient(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<JsonReply<usize>, Fail<{ may::BODY }>> {
        let bytes = body::read("application/json", headers, body, 100, Duration::from_millis(100)).await?;
        Ok(JsonReply::new(&bytes.len())?)
    }

    /// Counts on from the last event, for ever
    #[oai(path = "/events", method = "get", operation_id = "events")]
    async fn events(
        &self,
        client: &RemoteAddr,
        #[oai(name = "Last-Event-ID")] last_event_id: Header<Option<String>>,
    ) -> Result<SseReply, Fail<{ may::UNAVAILABLE }>> {
        let last: u64 = last_event_id.0.and_then(|id| id.parse().ok()).unwrap_or_default();
        if last == 100 {
            return Ok(SseReply::Over);
        }
        let count =
            |n: u64| SseEvent { id: Some(n.to_string()), event: Some("count".into()), data: n.to_string() };
        let events = stream::iter([last + 1, last + 2]).map(count).chain(stream::pending());
        Ok(SseReply::Stream(self.streams.open(client, events)?))
    }

    /// Answers after so many milliseconds
    #[oai(path = "/slow/:millis", method = "get", operation_id = "slow")]
    async fn slow(&self, millis: Path<u64>) -> Result<JsonReply<u64>, Fail<{ may::NOT_FOUND }>> {
        tokio::time::sleep(Duration::from_millis(millis.0)).await;
        Ok(JsonReply::new(&millis.0)?)
    }
}

fn info() -> ApiInfo {
    ApiInfo {
        title: "Test".to_owned(),
        version: "1".to_owned(),
        description: "For tests.".to_owned(),
        license: "MIT".to_owned(),
        problem_types: "urn:test:problem:",
    }
}

/// A running server; ends with the test.
struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    client: reqwest::Client,
    /// Has `POST /things` admit nothing.
    full: Arc<AtomicBool>,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(ServerLimits::default()).await
    }

    async fn start_with(limits: ServerLimits) -> Self {
        let shutdown = CancellationToken::new();
        let ready = Readiness::new(|| {
            ReadinessReport::new().required("postgresql", false, Timestamp::UNIX_EPOCH).optional(
                "rabbitmq",
                true,
                Timestamp::UNIX_EPOCH,
            )
        });
        let metrics = Metrics::new();
        let api = TestApi { streams: EventStreams::new(10, 5, shutdown.clone(), &metrics) };
        let full = Arc::new(AtomicBool::new(false));
        let refuses = Arc::clone(&full);
        let app = app(api, &info(), &metrics, ready).with_admission(Method::POST, "/things", move || {
            let full = refuses.load(Ordering::Relaxed);
            full.then(|| Problem::unavailable(Duration::from_secs(7), "nothing is admitted"))
        });
        let listener = Listener::bind("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr();
        let task = tokio::spawn(serve(listener, app, limits, shutdown.clone()));
        Self { address, shutdown, task, client: reqwest::Client::new(), full }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    async fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let request = self.client.post(self.url("/things")).header("content-type", "application/json");
        request.body(body).send().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.task.abort();
    }
}

/// Checks that a response is a problem document of a status, and returns its body.
async fn problem(response: reqwest::Response, status: u16) -> serde_json::Value {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let path = response.url().path().to_owned();
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    assert_eq!(body["request_id"], request_id);
    assert_eq!(body["instance"], path);
    body
}
