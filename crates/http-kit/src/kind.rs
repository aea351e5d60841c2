//! The kinds of problems: a fixed list, so that programs can tell them apart.

use poem::http::StatusCode;

/// What kind of problem it is: decides `type`, `status` and `title`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 400: the body is not JSON, or not an object, or has a member that is unknown or there twice.
    MalformedRequest,
    /// 400: a parameter of the path or the query, or a header, cannot be read.
    InvalidParameter,
    /// 401: a token is needed, or the one given is wrong.
    Unauthorized,
    /// 403: what is asked for is switched off or not for this caller.
    Forbidden,
    /// 404: nothing is there.
    NotFound,
    /// 405: it is there, but not for this method.
    MethodNotAllowed,
    /// 408: the request did not arrive in time.
    RequestTimeout,
    /// 409: it contradicts the present state.
    Conflict,
    /// 409: the caller has seen an earlier state of the thing that it changes.
    OtherAttempt,
    /// 413: the body is larger than what is read.
    PayloadTooLarge,
    /// 415: the body is not JSON.
    UnsupportedMediaType,
    /// 421: it is for a host that is not served here.
    Misdirected,
    /// 422: the request is well formed and breaks a rule.
    ValidationFailed,
    /// 422: an `Idempotency-Key` was used before, with another body.
    IdempotencyKeyReused,
    /// 429: this address has shown too many wrong tokens; `Retry-After` says when it may go on.
    TooManyRequests,
    /// 500: our fault.
    Internal,
    /// 503: not now; `Retry-After` says when.
    Unavailable,
    /// One of the program's own.
    Own(&'static OwnKind),
    /// Any other status that the framework may answer with.
    Other(StatusCode),
}

/// A kind that is not one of HTTP, but of what the program does.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnKind {
    /// See [`Kind::status`].
    pub status: StatusCode,
    /// See [`Kind::slug`].
    pub slug: &'static str,
    /// See [`Kind::title`].
    pub title: &'static str,
}

impl Kind {
    /// The HTTP status of this kind.
    pub fn status(self) -> StatusCode {
        match self {
            Self::MalformedRequest | Self::InvalidParameter => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict | Self::OtherAttempt => StatusCode::CONFLICT,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::ValidationFailed | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Own(kind) => kind.status,
            Self::Other(status) => status,
        }
    }

    /// The last part of `type`: stable, for programs.
    pub fn slug(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed-request",
            Self::InvalidParameter => "invalid-parameter",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::RequestTimeout => "request-timeout",
            Self::Conflict => "conflict",
            Self::OtherAttempt => "other-attempt",
            Self::PayloadTooLarge => "payload-too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::Misdirected => "misdirected-request",
            Self::ValidationFailed => "validation-failed",
            Self::IdempotencyKeyReused => "idempotency-key-reused",
            Self::TooManyRequests => "too-many-requests",
            Self::Internal => "internal-error",
            Self::Unavailable => "service-unavailable",
            Self::Own(kind) => kind.slug,
            Self::Other(_) => "request-failed",
        }
    }

    /// One short sentence for people, the same for every problem of this kind.
    pub fn title(self) -> &'static str {
        match self {
            Self::MalformedRequest => "The request cannot be read",
            Self::InvalidParameter => "A parameter cannot be read",
            Self::Unauthorized => "A valid token is needed",
            Self::Forbidden => "This is not allowed",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::RequestTimeout => "The request took too long to arrive",
            Self::Conflict => "This contradicts the present state",
            Self::OtherAttempt => "The present attempt is another one",
            Self::PayloadTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body is not of a supported type",
            Self::Misdirected => "The request is for another host",
            Self::ValidationFailed => "The request breaks a rule",
            Self::IdempotencyKeyReused => "The idempotency key belongs to another request",
            Self::TooManyRequests => "Too many attempts failed",
            Self::Internal => "Something went wrong on our side",
            Self::Unavailable => "The service cannot do this right now",
            Self::Own(kind) => kind.title,
            Self::Other(status) => status.canonical_reason().unwrap_or("The request failed"),
        }
    }
}
