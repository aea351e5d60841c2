//! Customers and staff: orders at a bounded rate, each repeated under its `Idempotency-Key` until it has an answer.

use crate::support::{Http, STAFF_TOKEN, delivery, dine_in, takeout, try_answer, with};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Customers who wait at once. While all wait nobody new comes.
const MAX_CUSTOMERS: usize = 64;
/// A customer's patience with one request: a frozen service is left for the other one.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
const RETRY_PAUSE_MS: std::ops::Range<u64> = 100..500;
/// One order in so many …
const INVALID_ONE_IN: u64 = 30;
const TWICE_AT_ONCE_ONE_IN: u64 = 15;
const REPEATED_LATER_ONE_IN: u64 = 10;
const CANCELLED_ONE_IN: u64 = 8;
const RECALLED_ONE_IN: u64 = 8;
const COMPLETED_ONE_IN: u64 = 5;
/// How often staff tries what cannot be yet.
const TRIES: u32 = 8;
/// How long after it was placed an order is cancelled: while it waits, while it is cooked, or too late.
const CANCELLED_AFTER_MS: std::ops::Range<u64> = 0..3_000;

/// What the clients know in the end.
#[derive(Debug, Default, Clone)]
pub struct Answers {
    /// Key → every order number that it was answered with by 201.
    pub placed: BTreeMap<String, Vec<String>>,
    /// Keys of orders that were refused for good: nothing may be stored of them.
    pub refused: Vec<String>,
    /// Order number → what staff was told that it became, one after the other.
    pub moved: BTreeMap<String, Vec<&'static str>>,
    /// Answers that nobody should get.
    pub wrong: Vec<String>,
}

/// Where the order services are that answer at this moment.
type Urls = Box<dyn Fn() -> Vec<Option<String>> + Send + Sync>;

/// The customers.
pub struct Load {
    urls: Urls,
    rate_per_s: u64,
    http: Http,
    seed: u64,
    next: AtomicU64,
    retries: AtomicU64,
    answers: Mutex<Answers>,
    /// When each request for an order was answered, and with what.
    times: Mutex<Vec<(Instant, u16)>>,
    tasks: TaskTracker,
}

impl Load {
    /// Nobody comes before [`Load::run`]; then so many a second, while every customer is served at once.
    pub fn new(
        urls: impl Fn() -> Vec<Option<String>> + Send + Sync + 'static,
        rate_per_s: u64,
        seed: u64,
    ) -> Self {
        let http = Http::impatient("", REQUEST_TIMEOUT);
        Self {
            urls: Box::new(urls),
            rate_per_s,
            http,
            seed,
            next: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            answers: Mutex::default(),
            times: Mutex::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Customers come until `stop`; those who are there then are served still.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let seats = Arc::new(Semaphore::new(MAX_CUSTOMERS));
        let mut ticks = tokio::time::interval(Duration::from_millis(1000 / self.rate_per_s));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
            let load = Arc::clone(&self);
            self.tasks.spawn(async move {
                load.customer(load.next.fetch_add(1, Ordering::Relaxed)).await;
                drop(seat);
            });
        }
    }

    /// How many customers are still there.
    pub fn waiting(&self) -> usize {
        self.tasks.len()
    }

    /// How often a request had to be repeated.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// How many customers came.
    pub fn customers(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// What the clients know.
    pub fn answers(&self) -> Answers {
        self.answers.lock().unwrap().clone()
    }

    /// When each request for an order was answered, and with what.
    pub fn times(&self) -> Vec<(Instant, u16)> {
        self.times.lock().unwrap().clone()
    }

    /// One customer's whole visit.
    async fn customer(self: &Arc<Self>, n: u64) {
        let mut rng = fastrand::Rng::with_seed(self.seed.wrapping_mul(1_000_003).wrapping_add(n));
        let key = format!("crash-{}-{n}", self.seed);
        let service = rng.usize(..2);
        let mut one_in = |count| rng.u64(..count) == 0;
        if one_in(INVALID_ONE_IN) {
            let mut order = order(n);
            order["items"][0]["quantity"] = json!(11);
            return self.place(&key, &order, service, 422).await.map_or((), drop);
        }
        let (twice, later) = (one_in(TWICE_AT_ONCE_ONE_IN), one_in(REPEATED_LATER_ONE_IN));
        let cancelled = one_in(CANCELLED_ONE_IN);
        let (recalled, completed) = (one_in(RECALLED_ONE_IN), one_in(COMPLETED_ONE_IN));
        let cancelled_after_ms = rng.u64(CANCELLED_AFTER_MS);
        let order = order(n);
        let number = if twice {
            let both = tokio::join!(self.place(&key, &order, 0, 201), self.place(&key, &order, 1, 201));
            both.0.or(both.1)
        } else {
            self.place(&key, &order, service, 201).await
        };
        let Some(number) = number else { return };
        if cancelled {
            tokio::time::sleep(Duration::from_millis(cancelled_after_ms)).await;
            self.staff(&number, "cancel", &["cancelled"], 1).await;
        }
        if later {
            self.place(&key, &order, service + 1, 201).await;
        }
        if recalled {
            self.staff(&number, "recall", &["ready", "cooking"], TRIES).await;
        }
        if completed {
            if n % 3 == DELIVERY {
                self.staff(&number, "dispatch", &["out_for_delivery"], TRIES).await;
            }
            self.staff(&number, "complete", &["completed"], TRIES).await;
        }
    }

    /// Asks until there is a definitive answer; any other than `expected` is remembered as wrong. The order's number,
    /// where there is one.
    async fn place(&self, key: &str, order: &Value, service: usize, expected: u16) -> Option<String> {
        for attempt in service.. {
            let answer =
                self.post(attempt, "/orders", |request| request.header("idempotency-key", key).json(order));
            let Some((status, body)) = answer.await else { continue };
            self.times.lock().unwrap().push((Instant::now(), status));
            if status != expected && status != 409 && status != 503 {
                let wrong = format!("POST /orders with the key {key}: {status} {body}");
                self.answers.lock().unwrap().wrong.push(wrong);
            }
            // In progress, full, or without its database: to be tried again. Everything else is for good.
            if status == 409 || status >= 500 {
                self.pause().await;
                continue;
            }
            let number = body["order_number"].as_str().map(str::to_owned);
            let mut answers = self.answers.lock().unwrap();
            match &number {
                Some(number) if status == 201 => {
                    answers.placed.entry(key.to_owned()).or_default().push(number.clone());
                }
                _ => answers.refused.push(key.to_owned()),
            }
            return number;
        }
        None
    }

    /// Staff's call, tried until it succeeds or so many times.
    async fn staff(&self, number: &str, what: &str, becomes: &[&'static str], tries: u32) {
        let path = format!("/orders/{number}/{what}");
        for attempt in 0..tries {
            let finish = |request: reqwest::RequestBuilder| {
                let request = request.bearer_auth(STAFF_TOKEN);
                if what == "cancel" {
                    request.json(&json!({"reason": "the customer has left"}))
                } else {
                    request
                }
            };
            let answer = self.post(attempt as usize, &path, finish).await;
            match answer {
                Some((200, _)) => {
                    let mut answers = self.answers.lock().unwrap();
                    answers.moved.entry(number.to_owned()).or_default().extend(becomes);
                    return;
                }
                Some((409 | 503, _)) | None => self.pause().await,
                Some((status, body)) => {
                    self.answers.lock().unwrap().wrong.push(format!("POST {path}: {status} {body}"));
                    return;
                }
            }
        }
    }

    /// One request to one of the services in turn; `None`, after a pause, where there was no answer.
    async fn post(
        &self,
        attempt: usize,
        path: &str,
        finish: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Option<(u16, Value)> {
        let answer = async {
            let urls = (self.urls)();
            let url = urls.get(attempt % urls.len())?.as_ref()?;
            let answer = try_answer(finish(self.http.at(url).request("POST", path))).await.ok()?;
            Some((answer.status, serde_json::from_str(&answer.text).ok()?))
        };
        let answer = answer.await;
        if answer.is_none() {
            self.pause().await;
        }
        answer
    }

    async fn pause(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(RETRY_PAUSE_MS))).await;
    }
}

/// Which customers of three have their orders delivered.
const DELIVERY: u64 = 2;

/// The order of the `n`-th customer: all types, all priorities.
fn order(n: u64) -> Value {
    let price = [9.99, 60.0, 150.0][(n % 7 % 3) as usize];
    let order = match n % 3 {
        0 => with(&dine_in(), "/table_number", json!(n % 100 + 1)),
        1 => takeout(),
        _ => delivery(),
    };
    with(&order, "/items/0/price", json!(price))
}
