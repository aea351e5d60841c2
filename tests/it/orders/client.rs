//! An order service with a client, and answers that can be asked what they are.

use crate::support::{Role, STAFF_TOKEN, TestEnv};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;

/// Has every statement that reads or writes orders wait until this transaction ends.
pub async fn lock_orders(client: &mut tokio_postgres::Client) -> tokio_postgres::Transaction<'_> {
    let lock = client.transaction().await.unwrap();
    lock.batch_execute("lock table orders in access exclusive mode").await.unwrap();
    lock
}

/// A running order service in an environment of its own.
pub struct OrderService {
    pub env: TestEnv,
    pub role: Role,
    pub http: Http,
}

impl OrderService {
    /// With the flags' defaults, on a free port.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further flags.
    pub async fn start_with(flags: &[&str]) -> Self {
        let env = TestEnv::new().await;
        let (role, http) = spawn(&env, flags).await;
        Self { env, role, http }
    }
}

/// Starts an order service in an environment and waits until it is ready.
pub async fn spawn(env: &TestEnv, flags: &[&str]) -> (Role, Http) {
    let (role, http) = spawn_unready(env, flags).await;
    http.wait_ready().await;
    (role, http)
}

/// Starts an order service in an environment and waits until it listens.
pub async fn spawn_unready(env: &TestEnv, flags: &[&str]) -> (Role, Http) {
    let role = env.spawn(&[&["order-service", "--port", "0"], flags].concat());
    let http = Http::new(role.url().await);
    (role, http)
}

/// Changes the environment's configuration file.
pub fn edit_config(env: &TestEnv, edit: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(env.config()).unwrap();
    std::fs::write(env.config(), edit(text)).unwrap();
}

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
    /// Of the service at this URL.
    pub fn new(url: String) -> Self {
        let client = Client::builder()
            .timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
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

    /// `GET` as anybody.
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
        let answer = self.post(order).await;
        assert_eq!(answer.status, 201, "{order}: {answer:?}");
        answer.json()["order_number"].as_str().unwrap().to_owned()
    }

    /// Waits until `/readyz` says 200.
    pub async fn wait_ready(&self) {
        crate::support::eventually("the service is ready", || async {
            self.get("/readyz").await.status == 200
        })
        .await;
    }
}

/// Sends a request.
pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
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

/// An order of the simplest kind that is right.
pub fn takeout() -> Value {
    json!({"customer_name": "Ada Lovelace", "order_type": "takeout", "items": [item("Margherita Pizza", 1, 15.99)]})
}

/// One for table 7.
pub fn dine_in() -> Value {
    with(&with(&takeout(), "/order_type", json!("dine_in")), "/table_number", json!(7))
}

/// One to be brought.
pub fn delivery() -> Value {
    let order = with(&takeout(), "/order_type", json!("delivery"));
    with(&order, "/delivery_address", json!("12 Analytical Row, London"))
}

/// An entry of an order.
pub fn item(name: &str, quantity: u8, price: f64) -> Value {
    json!({"name": name, "quantity": quantity, "price": price})
}

/// The order with another value at a pointer; its last part may be a new member.
pub fn with(order: &Value, pointer: &str, value: Value) -> Value {
    let mut order = order.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = order.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
    order
}

/// The order without the member at a pointer.
pub fn without(order: &Value, pointer: &str) -> Value {
    let mut order = order.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    order.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    order
}

/// An order of one item with this price, written exactly so.
pub fn priced(price: &str) -> String {
    format!(
        r#"{{"customer_name":"Ada","order_type":"takeout","items":[{{"name":"Soup","quantity":1,"price":{price}}}]}}"#
    )
}
