//! Whether orders are taken: by the hours, by what staff has paused, and by how much the kitchen has to do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemon::clock::rfc3339_ms;
use daemon::sync::locked;
use http_kit::Problem;
use http_kit::problem::{Kind, OwnKind};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use poem::http::StatusCode;
use poem::web::RemoteAddr;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::IntakeRules;
use super::looking::keep_looking;
use crate::domain::{Opening, OrderType};
use crate::http::auth::address_of;
use crate::services::load::KitchenPictures;
use crate::services::servers::shared_failure;
use crate::store::{OrderSource, Store, StoreError};

/// What a client is told to wait for a kitchen with too much to do, at least; and where it is unknown how long that takes.
const OVERLOAD_RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(1));

static CLOSED: OwnKind =
    OwnKind { status: StatusCode::CONFLICT, slug: "closed", title: "The restaurant is closed" };
static PAUSED: OwnKind = OwnKind {
    status: StatusCode::SERVICE_UNAVAILABLE,
    slug: "paused",
    title: "No such orders are taken now",
};

/// What stops orders of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Staff does, until then.
    Staff(Timestamp),
    /// The kitchen has too much to do, by this estimate where there still is one.
    Overload(Option<Duration>),
}

#[derive(Clone)]
pub(super) struct IntakeBoard(Arc<Inner>);

struct Inner {
    store: Store,
    rules: IntakeRules,
    /// Of the restaurant.
    time_zone: TimeZone,
    kitchens: KitchenPictures,
    /// What staff has paused, each until when; `None` before PostgreSQL was asked.
    paused: watch::Sender<Option<HashMap<OrderType, Timestamp>>>,
    /// The types of which the kitchen has too much, as estimated last.
    overloaded: Mutex<HashMap<OrderType, Option<Duration>>>,
    /// Looks follow each other, so that none puts back what a later one has found.
    looking: tokio::sync::Mutex<()>,
}

impl IntakeBoard {
    pub(super) fn new(store: Store, rules: IntakeRules, time_zone: TimeZone) -> Self {
        let kitchens = KitchenPictures::new(store.clone(), rules.unmeasured, rules.promote_after);
        let (paused, overloaded, looking) = (watch::Sender::new(None), Mutex::default(), Default::default());
        Self(Arc::new(Inner { store, rules, time_zone, kitchens, paused, overloaded, looking }))
    }

    /// Whether it is open now.
    pub(super) fn opening(&self) -> Opening {
        self.0.rules.hours.at(&Timestamp::now().to_zoned(self.0.time_zone.clone()))
    }

    /// Says no where orders of this type are not taken now.
    ///
    /// # Errors
    /// 409 where it is closed, 503 where the type is paused or that cannot be known.
    pub(super) async fn admit(&self, order_type: OrderType) -> Result<(), Problem> {
        if let Opening::Closed { opens_at } = self.opening() {
            return Err(closed(opens_at));
        }
        match self.stop_of(order_type).await? {
            None => Ok(()),
            Some(Stop::Staff(until)) => {
                let wait = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
                Err(paused(format!("no {order_type} orders are taken until {until:.0}"), wait))
            }
            Some(Stop::Overload(estimate)) => {
                let detail = format!("the kitchen has too many {order_type} orders; try again later");
                let bound = self.0.rules.times.resume();
                let wait = estimate.zip(bound).map(|(estimate, bound)| estimate.saturating_sub(bound));
                let wait = wait.map_or(OVERLOAD_RETRY_AFTER.1, |wait| wait.max(OVERLOAD_RETRY_AFTER.0));
                Err(paused(detail, wait))
            }
        }
    }

    /// What stops orders of this type now, if anything does.
    ///
    /// # Errors
    /// 503 where that is not known and cannot be asked for.
    pub(super) async fn stop_of(&self, order_type: OrderType) -> Result<Option<Stop>, Problem> {
        if self.0.paused.borrow().is_none() {
            self.look().await?;
        }
        let by_staff = self.0.paused.borrow().as_ref().and_then(|paused| paused.get(&order_type).copied());
        if let Some(until) = by_staff.filter(|until| *until > Timestamp::now()) {
            return Ok(Some(Stop::Staff(until)));
        }
        Ok(locked(&self.0.overloaded).get(&order_type).copied().map(Stop::Overload))
    }

    /// The number of the table with this token on it.
    ///
    /// # Errors
    /// 403 where there is none.
    pub(super) fn table(&self, token: &str) -> Result<u8, Problem> {
        let unknown = || Problem::forbidden("X-Table-Token is not the token of a table");
        self.0.rules.tables.table(token).ok_or_else(unknown)
    }

    /// From where an order comes, where it is counted who has how many.
    pub(super) fn source(&self, table: Option<u8>, client: &RemoteAddr) -> Option<OrderSource> {
        let limits = &self.0.rules.limits;
        match table {
            Some(table) => limits.open_of_a_table.map(|_| OrderSource::table(table)),
            None => limits.open_of_an_address.map(|_| OrderSource::address(address_of(client))),
        }
    }

    /// How long an order of this type takes that comes now; `None` while nobody cooks that.
    ///
    /// # Errors
    /// 503 where PostgreSQL is away.
    pub(super) async fn estimate(&self, order_type: OrderType) -> Result<Option<Duration>, Problem> {
        self.0.kitchens.wait_of_new(order_type).await.map_err(shared_failure)
    }

    /// Whether an estimate is that of a busy kitchen.
    pub(super) fn is_busy(&self, estimate: Duration) -> bool {
        estimate >= self.0.rules.times.busy
    }

    /// Sees what stops orders now.
    pub(super) async fn look(&self) -> Result<(), StoreError> {
        let _alone = self.0.looking.lock().await;
        let paused = self.0.store.intake_pauses().await?.into_iter().collect();
        self.0.paused.send_replace(Some(paused));
        if self.0.rules.times.pause.is_none() {
            return Ok(());
        }
        for order_type in OrderType::ALL {
            // Where it cannot be estimated what was known before holds; the next look sees it.
            if let Ok(estimate) = self.0.kitchens.wait_of_new(order_type).await {
                self.note(order_type, estimate);
            }
        }
        Ok(())
    }

    fn note(&self, order_type: OrderType, estimate: Option<Duration>) {
        let mut overloaded = locked(&self.0.overloaded);
        let was_paused = overloaded.contains_key(&order_type);
        let is_paused = self.0.rules.times.pauses(was_paused, estimate);
        if is_paused {
            overloaded.insert(order_type, estimate);
        } else {
            overloaded.remove(&order_type);
        }
        drop(overloaded);
        if is_paused != was_paused {
            let action = if is_paused { "intake_paused" } else { "intake_resumed" };
            let minutes = estimate.map(|estimate| format!(", estimated at {} min", whole_minutes(estimate)));
            let details = format!("{order_type}{}", minutes.unwrap_or_default());
            tracing::warn!(action, details, "the intake goes by how much the kitchen has to do");
        }
    }

    /// Looks at what stops orders, from now on.
    pub(super) async fn keep(self, stop: CancellationToken) {
        keep_looking(self.0.store.clone(), stop, "intake_not_read", || self.look()).await;
    }
}

/// As people are told it: never less.
pub(super) fn whole_minutes(time: Duration) -> u64 {
    time.as_secs().div_ceil(60)
}

fn closed(opens_at: Option<Timestamp>) -> Problem {
    let Some(opens_at) = opens_at.map(rfc3339_ms) else {
        return Problem::new(Kind::Own(&CLOSED), "no orders are taken");
    };
    let detail = format!("orders are taken again from {opens_at} on");
    Problem::new(Kind::Own(&CLOSED), detail).member("opens_at", opens_at)
}

fn paused(detail: String, retry_after: Duration) -> Problem {
    Problem::new(Kind::Own(&PAUSED), detail).retry_after(retry_after)
}
