//! What both services say of an order, as far as the page shows it.

use jiff::Timestamp;
use poem::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::{Money, OrderNumber, OrderType, Status};
use crate::services::gateway::caller::Caller;
use crate::services::gateway::upstream::{Service, Upstream, UpstreamError};

/// When a page that could not be shown is tried again, where nobody says.
const RETRY_AFTER_S: u64 = 5;

/// The order service: to the owner everything but name and address, to others the type.
#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub(super) order_number: String,
    pub(super) order_type: OrderType,
    #[serde(default)]
    pub(super) items: Vec<Item>,
    pub(super) total_amount: Option<Money>,
    pub(super) notes: Option<String>,
    pub(super) table_number: Option<u8>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) quantity: u8,
    pub(super) price: Money,
    #[serde(default)]
    pub(super) options: Vec<String>,
    pub(super) notes: Option<String>,
}

/// `GET /orders/{n}/status`.
#[derive(Debug, Deserialize)]
pub(super) struct Outlook {
    pub(super) current_status: Status,
    pub(super) estimated_completion: Option<Timestamp>,
    pub(super) orders_ahead: Option<u64>,
}

/// Of `GET /orders/{n}/history`.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) status: Status,
    pub(super) timestamp: Timestamp,
    pub(super) notes: Option<String>,
}

/// Everything that is known of an order.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) order: Order,
    pub(super) outlook: Outlook,
    pub(super) steps: Vec<Step>,
}

/// By what an order is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key<'a> {
    /// Its owner's, of which nobody else knows.
    Token(&'a str),
    /// One that can be guessed.
    Number(&'a str),
}

/// Why nothing is known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unknown {
    Missing,
    Away { retry_after_s: u64 },
}

impl From<UpstreamError> for Unknown {
    fn from(error: UpstreamError) -> Self {
        match error.status {
            StatusCode::NOT_FOUND => Self::Missing,
            _ => Self::Away { retry_after_s: error.retry_after_s.unwrap_or(RETRY_AFTER_S) },
        }
    }
}

impl Known {
    pub(super) async fn read(upstream: &Upstream, caller: &Caller, key: Key<'_>) -> Result<Self, Unknown> {
        let order: Order = match key {
            Key::Token(token) => {
                let owner = caller.clone().with_order_token(token);
                read(upstream, Service::Order, "/orders/mine", &owner).await?
            }
            Key::Number(number) => {
                read(upstream, Service::Order, &format!("/orders/{number}"), caller).await?
            }
        };
        let of_order = |what| format!("/orders/{}/{what}", order.order_number);
        let (outlook, history) = (of_order("status"), of_order("history"));
        let (outlook, steps) = tokio::try_join!(
            read(upstream, Service::Tracking, &outlook, caller),
            read(upstream, Service::Tracking, &history, caller),
        )?;
        Ok(Self { order, outlook, steps })
    }

    /// Where the order is: what has happened last.
    pub(super) fn status(&self) -> Status {
        self.steps.last().map_or(self.outlook.current_status, |step| step.status)
    }
}

/// Whether there is an order of this number.
pub(super) async fn exists(
    upstream: &Upstream,
    caller: &Caller,
    number: &OrderNumber,
) -> Result<bool, Unknown> {
    match upstream
        .get(Service::Tracking, &format!("/orders/{number}/status"), caller)
        .await
        .map_err(Unknown::from)
    {
        Ok(_) => Ok(true),
        Err(Unknown::Missing) => Ok(false),
        Err(away) => Err(away),
    }
}

async fn read<T: DeserializeOwned>(
    upstream: &Upstream,
    service: Service,
    path: &str,
    caller: &Caller,
) -> Result<T, Unknown> {
    let body = upstream.get(service, path, caller).await?;
    serde_json::from_slice(&body).map_err(|error| {
        let service = service.as_str();
        tracing::error!(action = "answer_unreadable", service, %error, "an order cannot be shown");
        Unknown::Away { retry_after_s: RETRY_AFTER_S }
    })
}
