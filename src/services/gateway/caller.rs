//! What a call upstream shows of the request that it is made for.

use std::net::IpAddr;

use http_kit::Problem;
use http_kit::browser::{Provenance, SessionCookie};
use http_kit::request_id::{RequestContext, RequestId, X_REQUEST_ID};
use poem::Request;
use poem::http::{HeaderMap, HeaderName, HeaderValue, header};

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const X_ORDER_TOKEN: HeaderName = HeaderName::from_static("x-order-token");
pub(super) const X_TABLE_TOKEN: HeaderName = HeaderName::from_static("x-table-token");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Whom a call upstream is made for: the request's id, the client's address, and what the client shows.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    headers: HeaderMap,
}

impl Caller {
    /// The gateway itself.
    pub(super) fn nobody() -> Self {
        let headers = HeaderMap::from_iter([(X_REQUEST_ID, (&RequestId::generate()).into())]);
        Self { headers }
    }

    /// Of a request. The session's cookie becomes a bearer token, unless the request has one of its own.
    ///
    /// # Errors
    /// 403 for a change that another site has caused, or that shows a cookie and does not say that a page of this service has.
    pub(super) fn of(request: &Request) -> Result<Self, Problem> {
        let mut caller = Self { headers: HeaderMap::new() };
        let context = RequestContext::of(request.headers());
        let context = request.data::<RequestContext>().unwrap_or(&context);
        caller.headers.insert(X_REQUEST_ID, (&context.request_id).into());
        if let Some(trace) = &context.trace_parent {
            caller = caller.with(TRACEPARENT, trace.as_str());
        }
        if let Some(client) = request.remote_addr().as_socket_addr() {
            caller = caller.with(X_FORWARDED_FOR, &IpAddr::to_canonical(&client.ip()).to_string());
        }
        caller.show_staff(request)
    }

    /// Without what the session of a member of staff shows: a customer's page is the same for everybody.
    pub(super) fn without_staff(mut self) -> Self {
        self.headers.remove(header::AUTHORIZATION);
        self
    }

    /// The token of an order, with which its owner is known.
    pub(super) fn with_order_token(self, token: &str) -> Self {
        self.with(X_ORDER_TOKEN, token)
    }

    /// The token of a table.
    pub(super) fn with_table_token(self, token: &str) -> Self {
        self.with(X_TABLE_TOKEN, token)
    }

    /// Under this key a call can be repeated.
    pub(super) fn with_idempotency_key(self, key: &str) -> Self {
        self.with(IDEMPOTENCY_KEY, key)
    }

    /// What a request has of these headers.
    pub(super) fn with_headers_of(mut self, request: &Request, names: &[HeaderName]) -> Self {
        for name in names {
            for value in request.headers().get_all(name) {
                let mut value = value.clone();
                value.set_sensitive(true);
                self.headers.append(name.clone(), value);
            }
        }
        self
    }

    /// A header; one that can be none is sent empty, which is nobody's token and no key.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        let mut value = HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""));
        // Shown by no `Debug`.
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self
    }

    /// What is sent.
    pub(super) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn show_staff(mut self, request: &Request) -> Result<Self, Problem> {
        let headers = request.headers();
        let provenance = Provenance::of(headers);
        let is_change = !request.method().is_safe();
        if is_change && provenance == Provenance::Foreign {
            return Err(Problem::forbidden(
                "this comes from a page of another site: use the page of this service",
            ));
        }
        if headers.contains_key(header::AUTHORIZATION) {
            // Each as it is: whether they are one and right is for the service to say.
            for value in headers.get_all(header::AUTHORIZATION) {
                self.headers.append(header::AUTHORIZATION, value.clone());
            }
            return Ok(self);
        }
        let Some(token) = SessionCookie::of(headers, request.remote_addr()).value(headers) else {
            return Ok(self);
        };
        if is_change && provenance != Provenance::Own {
            return Err(Problem::forbidden(
                "a change that shows a cookie must come from a page of this service: Sec-Fetch-Site or Origin is to say so",
            ));
        }
        Ok(self.with(header::AUTHORIZATION, &format!("Bearer {token}")))
    }
}
