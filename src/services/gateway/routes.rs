//! Which calls of the services are passed on: those that pages need, and no others.

use std::sync::LazyLock;

use poem::http::header::IF_NONE_MATCH;
use poem::http::{HeaderName, Method};

use super::caller::{IDEMPOTENCY_KEY, X_ORDER_TOKEN, X_TABLE_TOKEN};
use super::upstream::Service;

/// A call that is passed on, at `/api` and its own path.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) service: Service,
    pub(super) method: Method,
    /// Of the service; a parameter stands in braces.
    pub(super) path: &'static str,
    pub(super) operation_id: &'static str,
    pub(super) summary: &'static str,
    pub(super) way: Way,
    /// The parameters of the query; one that may be repeated ends in `[]`.
    pub(super) query: &'static [&'static str],
    /// The headers that are passed on beside what every call shows.
    pub(super) headers: Vec<HeaderName>,
    /// It is for staff, or staff see more.
    pub(super) staff: bool,
}

/// How a call is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Without a body.
    Bare,
    /// With a JSON body, if there is one.
    WithBody,
    /// Its answer is a stream of events.
    Stream,
    /// Its answer has the token of a session, which becomes a cookie.
    BeginSession,
    /// The cookie is forgotten.
    EndSession,
}

/// What the paths of all of them begin with at the gateway.
pub(super) const PREFIX: &str = "/api";

impl Route {
    /// At the gateway.
    pub(super) fn public_path(&self) -> String {
        format!("{PREFIX}{}", self.path)
    }

    /// A question that anybody may ask.
    fn get(service: Service, path: &'static str, operation_id: &'static str, summary: &'static str) -> Self {
        let (method, way) = (Method::GET, Way::Bare);
        Self {
            service,
            method,
            path,
            operation_id,
            summary,
            way,
            query: &[],
            headers: Vec::new(),
            staff: false,
        }
    }

    /// A change that staff make.
    fn change(method: Method, path: &'static str, operation_id: &'static str, summary: &'static str) -> Self {
        let this = Self::get(Service::Order, path, operation_id, summary).for_staff();
        Self { method, way: Way::WithBody, ..this }
    }

    fn for_staff(self) -> Self {
        Self { staff: true, ..self }
    }

    fn for_all(self) -> Self {
        Self { staff: false, ..self }
    }

    fn way(self, way: Way) -> Self {
        Self { way, ..self }
    }

    fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    fn headers<const N: usize>(self, headers: [HeaderName; N]) -> Self {
        Self { headers: headers.into(), ..self }
    }
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const RESUMED: &[&str] = &["last_event_id"];

#[rustfmt::skip] // a route a line or two
pub(super) static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    use Service::{Order, Tracking};
    vec![
        Route::get(Order, "/menu", "menu", "The menu").headers([IF_NONE_MATCH]),
        Route::get(Order, "/intake", "intake", "Whether orders are taken"),
        Route::change(Method::POST, "/intake/pause", "pauseIntake", "Take no orders for a while"),
        Route::change(Method::POST, "/intake/resume", "resumeIntake", "Take orders again"),
        Route::change(Method::POST, "/orders", "placeOrder", "Place an order").for_all().headers([IDEMPOTENCY_KEY, X_TABLE_TOKEN]),
        Route::get(Tracking, "/orders", "listOrders", "Orders, newest first").for_staff()
            .query(&["status[]", "order_type[]", "limit", "cursor"]),
        Route::get(Order, "/orders/mine", "myOrder", "The order of a token").headers([X_ORDER_TOKEN]),
        Route::get(Order, "/orders/{order_number}", "getOrder", "An order").headers([X_ORDER_TOKEN]).for_staff(),
        Route::change(Method::POST, "/orders/{order_number}/cancel", "cancelOrder", "Cancel an order").headers([X_ORDER_TOKEN]),
        Route::change(Method::POST, "/orders/{order_number}/dispatch", "dispatchOrder", "Send an order out"),
        Route::change(Method::POST, "/orders/{order_number}/complete", "completeOrder", "Hand an order over"),
        Route::change(Method::POST, "/orders/{order_number}/recall", "recallOrder", "Have an order cooked again"),
        Route::get(Tracking, "/orders/{order_number}/status", "orderStatus", "Where an order is").headers([IF_NONE_MATCH]),
        Route::get(Tracking, "/orders/{order_number}/history", "orderHistory", "What happened to an order"),
        Route::get(Tracking, "/orders/{order_number}/events", "orderEvents", "An order's life as Server-Sent Events")
            .way(Way::Stream).query(RESUMED).headers([LAST_EVENT_ID]),
        Route::get(Tracking, "/events", "events", "Every order's life as Server-Sent Events").for_staff()
            .way(Way::Stream).query(&["last_event_id", "from"]).headers([LAST_EVENT_ID]),
        Route::get(Tracking, "/board", "board", "What is being made, and what is ready"),
        Route::get(Tracking, "/board/events", "boardEvents", "The same as Server-Sent Events").way(Way::Stream),
        Route::get(Tracking, "/workers/status", "workersStatus", "All workers"),
        Route::get(Order, "/tables/mine", "myTable", "The table of a token").headers([X_TABLE_TOKEN]),
        Route::change(Method::PUT, "/menu/items/{id}/availability", "setAvailability", "Say that an item is sold out, or not"),
        Route::get(Order, "/staff/actions", "staffActions", "What the staff did").for_staff().query(&["limit", "cursor"]),
        Route::change(Method::POST, "/sessions", "beginSession", "Log in").for_all().way(Way::BeginSession),
        Route::change(Method::DELETE, "/sessions/current", "endSession", "Log out").way(Way::EndSession),
    ]
});
