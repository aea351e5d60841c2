//! A small API behind the real server, spoken to over real connections.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod connections;
mod requests;

use std::{net::SocketAddr, time::Duration};

use jiff::Timestamp;
use poem_openapi::{Object, OpenApi, param::Path, param::Query};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    app::app,
    body::JsonRequest,
    docs::ApiInfo,
    fail::{Fail, may},
    health::{Readiness, ReadinessReport},
    members::Members,
    problem::Problem,
    reply::JsonReply,
    request_id::RequestContext,
    server::{Listener, ServerLimits, serve},
};
use crate::runtime::metrics::Metrics;

#[derive(Serialize, Object)]
struct Thing {
    name: String,
    request_id: String,
}

#[derive(Object)]
struct NewThing {
    #[allow(dead_code)]
    name: String,
}

struct TestApi;

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
    ) -> Result<JsonReply<Thing>, Fail<{ may::BODY | may::UNAVAILABLE }>> {
        let members = Members::read(&body.bytes).map_err(Problem::from)?;
        let unknown = members.unknown("", &["name"]);
        if !unknown.is_empty() {
            Err(Problem::unknown_fields(unknown))?;
        }
        let Some(name) = members.get("name") else {
            return Err(Problem::unavailable(Duration::from_secs(2), "try again").into());
        };
        Ok(JsonReply::new(&Thing { name: name.get().to_owned(), request_id: String::new() })?)
    }

    #[oai(path = "/things", method = "get", operation_id = "list_things")]
    async fn list(
        &self,
        limit: Query<Option<u16>>,
    ) -> Result<JsonReply<Vec<u16>>, Fail<{ may::BAD_REQUEST }>> {
        Ok(JsonReply::new(&vec![limit.0.unwrap_or(7)])?)
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
    }
}

/// A running server; ends with the test.
struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    client: reqwest::Client,
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
        let app = app(TestApi, &info(), &Metrics::new(), ready);
        let listener = Listener::bind("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr();
        let task = tokio::spawn(serve(listener, app, limits, shutdown.clone()));
        Self { address, shutdown, task, client: reqwest::Client::new() }
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
