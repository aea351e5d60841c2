//! A client of the program's HTTP services, and answers that can be asked what they are.

use super::env::STAFF_TOKEN;
use super::role::Role;
use super::wait::{DEADLINE, eventually, eventually_ok};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use std::time::Duration;

/// A stream of events goes on for as long as its test.
const STREAM_TIMEOUT: Duration = Duration::from_hours(24);

/// A client of one service, with connections that are kept.
#[derive(Clone)]
pub struct Http {
    pub url: String,
    client: Client,
}

/// What a request was answered with.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Http {
    /// A client of the service at this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self::with(url.into(), DEADLINE, HeaderMap::new())
    }

    /// A client that waits only so long for an answer.
    pub fn impatient(url: impl Into<String>, timeout: Duration) -> Self {
        Self::with(url.into(), timeout, HeaderMap::new())
    }

    /// A client that shows the staff's token with every request.
    pub fn as_staff(url: impl Into<String>) -> Self {
        Self::with_token(url, STAFF_TOKEN)
    }

    /// A client that shows this token with every request.
    pub fn with_token(url: impl Into<String>, token: &str) -> Self {
        let value = format!("Bearer {token}").parse().unwrap();
        Self::with(url.into(), DEADLINE, HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    /// A client of an HTTP role: waits until that listens.
    pub async fn of(role: &Role) -> Self {
        Self::new(role.url().await)
    }

    /// The same client at another service.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), client: self.client.clone() }
    }

    fn with(url: String, timeout: Duration, headers: HeaderMap) -> Self {
        let client = Client::builder()
            .no_proxy()
            .timeout(timeout)
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(headers)
            .build()
            .unwrap();
        Self { url, client }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// A request to be finished by the caller.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A `GET` of a stream to be sent by the caller: its answer does not end.
    pub fn stream(&self, path: &str) -> RequestBuilder {
        self.request("GET", path).timeout(STREAM_TIMEOUT)
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request("GET", path)).await
    }

    /// A request with the staff's token.
    pub async fn staff(&self, method: &str, path: &str) -> Answer {
        answer(self.request(method, path).bearer_auth(STAFF_TOKEN)).await
    }

    /// `POST /orders` with this text as its JSON body, to be finished by the caller.
    pub fn order_request(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.request("POST", "/orders").header("content-type", "application/json").body(body)
    }

    /// `POST /orders` with this text as its JSON body.
    pub async fn post_text(&self, body: impl Into<reqwest::Body>) -> Answer {
        answer(self.order_request(body)).await
    }

    /// `POST /orders`.
    pub async fn post(&self, order: &Value) -> Answer {
        self.post_text(order.to_string()).await
    }

    /// `POST /orders` under an `Idempotency-Key`.
    pub async fn post_keyed(&self, key: &str, order: &Value) -> Answer {
        answer(self.order_request(order.to_string()).header("idempotency-key", key)).await
    }

    /// Places an order that must be taken; returns its number.
    pub async fn place(&self, order: &Value) -> String {
        self.place_with(order, &[]).await
    }

    /// [`Http::place`], with these headers.
    pub async fn place_with(&self, order: &Value, headers: &[(&str, &str)]) -> String {
        let request = self.order_request(order.to_string());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        answer(request).await.number()
    }

    /// Has staff `cancel` or `complete` an order, which must succeed.
    pub async fn change(&self, number: &str, what: &str) {
        let answer = self.staff("POST", &format!("/orders/{number}/{what}")).await;
        assert_eq!(answer.status, 200, "{what} {number}: {answer:?}");
    }

    /// What the tracking service says an order's status is.
    pub async fn status_of(&self, number: &str) -> Value {
        self.get(&format!("/orders/{number}/status")).await.json()["current_status"].clone()
    }

    /// Waits until the tracking service says that an order has this status.
    pub async fn wait_status(&self, number: &str, status: &str) {
        eventually_ok(&format!("{number} is {status}"), || async {
            let found = self.status_of(number).await;
            if found == status { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// What `/readyz` says.
    pub async fn readiness(&self) -> (u16, Value) {
        let answer = self.get("/readyz").await;
        (answer.status, answer.json())
    }

    /// Waits until `/readyz` has this status and says so of this server; returns what it says.
    pub async fn wait_check(&self, status: u16, server: &str, state: &str) -> Value {
        eventually_ok(&format!("/readyz says {status}, {server} {state}"), || async {
            let (found, ready) = self.readiness().await;
            let is_wanted = found == status && ready["checks"][server]["status"] == state;
            if is_wanted { Ok(ready) } else { Err((found, ready)) }
        })
        .await
    }

    /// Waits until `/readyz` says 200; before that the service may not even listen.
    pub async fn wait_ready(&self) {
        eventually("the service is ready", || async {
            try_answer(self.request("GET", "/readyz")).await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }
}

/// Sends a request that must get an answer.
pub async fn answer(request: RequestBuilder) -> Answer {
    try_answer(request).await.unwrap()
}

/// Sends a request that may get no answer.
pub async fn try_answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON of a 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        self.json()
    }

    /// The number of the order that was taken, which it must have been.
    #[track_caller]
    pub fn number(&self) -> String {
        assert_eq!(self.status, 201, "{self:?}");
        self.json()["order_number"].as_str().unwrap().to_owned()
    }

    /// A header, `""` where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The answer must be a problem document with this status and everything that every one of them has. Returns it.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        for member in ["type", "title", "detail", "instance", "request_id"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {problem}");
        }
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{problem}");
        let lower = self.text.to_lowercase();
        for inside in
            ["select ", "insert ", "postgres", "tokio", ".rs", "/home/", "/tmp/", "panicked", "backtrace"]
        {
            assert!(!lower.contains(inside), "{inside:?} in {self:?}");
        }
        problem
    }

    /// The pointers of the violations, in their order; the answer must be a problem with this status.
    #[track_caller]
    pub fn violations(&self, status: u16) -> Vec<String> {
        let problem = self.problem(status);
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        for error in &errors {
            assert!(error["detail"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}
