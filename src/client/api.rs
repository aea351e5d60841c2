//! The calls of the order and the tracking API. Every one has a time limit and reads a bounded answer.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Client, StatusCode, Url, redirect};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::call::{as_staff, call, parse};
use super::error::ClientError;
use super::events::EventStream;
use super::offer::Offer;
use super::orders::{ListedPage, ListedWorker, OrderForm, OrderReceipt, OrderSheet, StatusAnswer};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take, from sending to the last byte of its answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an event stream may be silent before it is taken for dead and opened again.
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Orders of a page: the most that the service gives.
const PAGE_LIMIT: &str = "200";

/// The address of a service: `http://host:port`, with a path where a proxy puts the service under one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    pub fn into_url(self) -> Url {
        self.0
    }

    /// The address of something in the service; each segment is percent-encoded.
    pub(crate) fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl FromStr for BaseUrl {
    type Err = ClientError;

    /// # Errors
    /// [`ClientError::InvalidUrl`] for anything but a plain `http://` address of a host.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let invalid =
            |reason: &str| ClientError::InvalidUrl { url: text.to_owned(), reason: reason.to_owned() };
        let url = Url::parse(text).map_err(|error| invalid(&format!("{error}; write http://HOST:PORT")))?;
        match url.scheme() {
            "http" => {}
            "https" => {
                return Err(invalid(
                    "this client speaks http:// only; ask the service itself, behind its TLS proxy",
                ));
            }
            _ => return Err(invalid("write http://HOST:PORT")),
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("write it without `?` and `#`"));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// An HTTP client for calls on these services: no proxy, no redirect, since neither belongs between them.
fn http_client(
    configure: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<Client, ClientError> {
    let builder = Client::builder()
        .user_agent(concat!("restaurant-system/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .redirect(redirect::Policy::none())
        .no_proxy();
    configure(builder).build().map_err(ClientError::Setup)
}

#[derive(Debug, Clone)]
pub struct PlaceAnswer {
    pub order: OrderReceipt,
    /// The answer as it stands.
    pub body: String,
}

/// The order service's API. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct OrderClient {
    client: Client,
    base: BaseUrl,
    staff_token: Option<SecretString>,
}

/// How staff moves an order on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaffStep {
    Cancel,
    Dispatch,
    Complete,
    Recall,
}

impl StaffStep {
    /// The last part of its address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Dispatch => "dispatch",
            Self::Complete => "complete",
            Self::Recall => "recall",
        }
    }
}

/// The answer of `POST /sessions`.
#[derive(Deserialize)]
struct NewSession {
    token: SecretString,
}

impl OrderClient {
    /// A client of the order service at `base`; connects when first called.
    pub fn new(base: BaseUrl) -> Result<Self, ClientError> {
        Ok(Self { client: http_client(|builder| builder.timeout(CALL_TIMEOUT))?, base, staff_token: None })
    }

    /// The same, which shows this token with what is for staff.
    #[must_use]
    pub fn with_staff_token(self, staff_token: Option<SecretString>) -> Self {
        Self { staff_token, ..self }
    }

    /// Places an order. With an idempotency key the same call can be repeated without ordering twice.
    ///
    /// # Errors
    /// [`ClientError::Problem`] when it is refused; [`ClientError::BrokenOff`] when it may have been taken.
    pub async fn place(
        &self,
        order: &OrderForm,
        idempotency_key: Option<&str>,
    ) -> Result<PlaceAnswer, ClientError> {
        let url = self.base.join(&["orders"]);
        let mut request = self.client.post(url.clone()).json(order);
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        let body = call(request, &url).await?;
        let order = parse(&body, &url)?;
        let body =
            String::from_utf8(body).map_err(|error| ClientError::unexpected(&url, error.to_string()))?;
        Ok(PlaceAnswer { order, body })
    }

    /// What its menu offers now; `None` where there is no menu, and customers say the prices.
    ///
    /// # Errors
    /// [`ClientError::Problem`] where the service does not know.
    pub async fn offer(&self) -> Result<Option<Offer>, ClientError> {
        let url = self.base.join(&["menu"]);
        match call(self.client.get(url.clone()), &url).await {
            Ok(body) => parse(&body, &url).map(Some),
            Err(ClientError::Problem(problem)) if problem.status == StatusCode::NOT_FOUND.as_u16() => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// An order. Without a staff token it lacks what is for staff.
    pub async fn order(&self, order_number: &str) -> Result<OrderSheet, ClientError> {
        let url = self.base.join(&["orders", order_number]);
        let request = as_staff(self.client.get(url.clone()), self.staff_token.as_ref());
        parse(&call(request, &url).await?, &url)
    }

    /// Moves an order on. An order that is being cooked is cancelled for a reason only.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 409 where the order is not one that can go this step.
    pub async fn step(
        &self,
        order_number: &str,
        step: StaffStep,
        reason: Option<&str>,
    ) -> Result<(), ClientError> {
        let url = self.base.join(&["orders", order_number, step.as_str()]);
        let mut request = as_staff(self.client.post(url.clone()), self.staff_token.as_ref());
        if let Some(reason) = reason {
            request = request.json(&json!({ "reason": reason }));
        }
        call(request, &url).await.map(drop)
    }

    /// Begins a session of a member of the staff, and shows its token from now on.
    pub async fn log_in(self, name: &str, password: &str) -> Result<Self, ClientError> {
        let url = self.base.join(&["sessions"]);
        let request = self.client.post(url.clone()).json(&json!({ "name": name, "password": password }));
        let session: NewSession = parse(&call(request, &url).await?, &url)?;
        Ok(self.with_staff_token(Some(session.token)))
    }

    /// Ends the session whose token is shown.
    pub async fn log_out(&self) -> Result<(), ClientError> {
        let url = self.base.join(&["sessions", "current"]);
        let request = as_staff(self.client.delete(url.clone()), self.staff_token.as_ref());
        call(request, &url).await.map(drop)
    }

    /// The token that is shown with what is for staff.
    pub fn staff_token(&self) -> Option<&SecretString> {
        self.staff_token.as_ref()
    }

    /// Asks whether the service lives: one quick call, before many.
    pub async fn check(&self) -> Result<(), ClientError> {
        let url = self.base.join(&["healthz"]);
        call(self.client.get(url.clone()), &url).await.map(drop)
    }
}

/// The tracking service's API. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct TrackingClient {
    calls: Client,
    streams: Client,
    base: BaseUrl,
    staff_token: Option<SecretString>,
}

impl TrackingClient {
    /// A client of the tracking service at `base`; connects when first called.
    pub fn new(base: BaseUrl) -> Result<Self, ClientError> {
        Ok(Self {
            calls: http_client(|builder| builder.timeout(CALL_TIMEOUT))?,
            streams: http_client(|builder| builder.read_timeout(STREAM_IDLE_TIMEOUT))?,
            base,
            staff_token: None,
        })
    }

    /// The same, which shows this token with what is for staff.
    #[must_use]
    pub fn with_staff_token(self, staff_token: Option<SecretString>) -> Self {
        Self { staff_token, ..self }
    }

    /// Where an order stands.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with status 404 for an unknown order.
    pub async fn status(&self, order_number: &str) -> Result<StatusAnswer, ClientError> {
        let url = self.base.join(&["orders", order_number, "status"]);
        let body = call(self.calls.get(url.clone()).header(ACCEPT, "application/json"), &url).await?;
        parse(&body, &url)
    }

    /// A page of the orders in these statuses, newest first: the first page, or the one that a page before names.
    pub async fn orders(&self, statuses: &[&str], cursor: Option<&str>) -> Result<ListedPage, ClientError> {
        let mut url = self.base.join(&["orders"]);
        url.query_pairs_mut()
            .extend_pairs(statuses.iter().map(|status| ("status", status)))
            .extend_pairs(cursor.map(|cursor| ("cursor", cursor)))
            .append_pair("limit", PAGE_LIMIT);
        let request = as_staff(self.calls.get(url.clone()), self.staff_token.as_ref());
        parse(&call(request, &url).await?, &url)
    }

    /// All workers that were ever there, by name.
    pub async fn workers(&self) -> Result<Vec<ListedWorker>, ClientError> {
        let url = self.base.join(&["workers", "status"]);
        parse(&call(self.calls.get(url.clone()), &url).await?, &url)
    }

    /// The changes of one order: those so far, then each as it happens.
    pub fn order_events(&self, order_number: &str) -> EventStream {
        EventStream::new(self.streams.clone(), self.base.join(&["orders", order_number, "events"]), None)
    }

    /// The changes of all orders: the open ones as they are, then each change as it happens. It is for staff, unless the
    /// service shows them to everybody.
    pub fn all_events(&self) -> EventStream {
        EventStream::new(self.streams.clone(), self.base.join(&["events"]), self.staff_token.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_addresses_are_taken() {
        for url in ["https://example.org", "ftp://example.org", "localhost:3000", "3000", "", "http://h/?a=b"]
        {
            assert!(url.parse::<BaseUrl>().is_err(), "{url}");
        }
        let error = "https://example.org".parse::<BaseUrl>().unwrap_err().to_string();
        assert!(error.contains("http:// only"), "{error}");
    }

    #[test]
    fn segments_are_encoded_and_a_path_prefix_is_kept() {
        let base: BaseUrl = "http://127.0.0.1:3002/tracking/".parse().unwrap();
        assert_eq!(
            base.join(&["orders", "a/b?c", "status"]).as_str(),
            "http://127.0.0.1:3002/tracking/orders/a%2Fb%3Fc/status"
        );
        assert_eq!(base.to_string(), "http://127.0.0.1:3002/tracking");
    }
}
