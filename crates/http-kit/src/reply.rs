//! Answers: JSON written straight from a type to its text, and texts of other media types.
//!
//! poem-openapi's `Json` builds a tree of values first, through which amounts would go as binary fractions;
//! [`JsonReply`] serialises with serde, once, and documents the same schema.

use std::marker::PhantomData;

use bytes::Bytes;
use poem::{
    IntoResponse, Response,
    http::{HeaderValue, header},
};
use poem_openapi::{
    ApiResponse,
    payload::Payload,
    registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use serde::Serialize;

use super::problem::Problem;

/// A `200 OK` with a JSON body of schema `T`. In an enum deriving `ApiResponse` it takes the status of its variant.
pub struct JsonReply<T> {
    body: Bytes,
    schema: PhantomData<fn() -> T>,
}

impl<T: Serialize> JsonReply<T> {
    /// Serialises a value.
    ///
    /// # Errors
    /// 500 where the value cannot be written as JSON (a map with keys that are not text, say).
    pub fn new(value: &T) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(Problem::internal)?;
        Ok(Self::from_bytes(body.into()))
    }
}

impl<T> JsonReply<T> {
    /// An answer whose text is ready: the JSON of a `T`, made earlier.
    pub fn from_bytes(body: Bytes) -> Self {
        Self { body, schema: PhantomData }
    }

    /// The text of the answer.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }
}

impl<T> std::fmt::Debug for JsonReply<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JsonReply({} bytes)", self.body.len())
    }
}

/// An answer that says its length itself, so that the answer to `HEAD`, from which the body is taken, says it too.
fn with_length(content_type: &str, body: Bytes) -> Response {
    let length = HeaderValue::from(body.len());
    Response::builder().content_type(content_type).header(header::CONTENT_LENGTH, length).body(body)
}

impl<T> IntoResponse for JsonReply<T> {
    fn into_response(self) -> Response {
        with_length("application/json", self.body)
    }
}

impl<T: Type> Payload for JsonReply<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type> ApiResponse for JsonReply<T> {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![ok::<Self>("As asked for.")] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// The description of a `200 OK` with a payload.
pub(super) fn ok<P: Payload>(description: &'static str) -> MetaResponse {
    MetaResponse {
        description,
        status: Some(200),
        status_range: None,
        content: vec![MetaMediaType { content_type: P::CONTENT_TYPE, schema: P::schema_ref() }],
        headers: Vec::new(),
    }
}

/// A media type, for [`Page`].
pub trait Media: Send {
    /// The whole `Content-Type`.
    const CONTENT_TYPE: &'static str;
    /// The type of its schema.
    const SCHEMA: &'static str = "string";
}

/// The media types that are served beside JSON of a schema.
pub mod media {
    use super::Media;
    use daemon::metrics;

    /// A web page.
    #[derive(Debug)]
    pub struct Html;
    impl Media for Html {
        const CONTENT_TYPE: &'static str = "text/html; charset=utf-8";
    }

    /// A JSON object of no schema of ours.
    #[derive(Debug)]
    pub struct Json;
    impl Media for Json {
        const CONTENT_TYPE: &'static str = "application/json";
        const SCHEMA: &'static str = "object";
    }

    /// What Prometheus reads.
    #[derive(Debug)]
    pub struct OpenMetrics;
    impl Media for OpenMetrics {
        const CONTENT_TYPE: &'static str = metrics::MEDIA_TYPE;
    }
}

/// A `200 OK` with a text of media type `M`.
#[derive(Debug)]
pub struct Page<M> {
    body: Bytes,
    media: PhantomData<fn() -> M>,
}

impl<M: Media> Page<M> {
    /// From its text.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), media: PhantomData }
    }
}

impl<M: Media> IntoResponse for Page<M> {
    fn into_response(self) -> Response {
        with_length(M::CONTENT_TYPE, self.body)
    }
}

impl<M: Media> Payload for Page<M> {
    const CONTENT_TYPE: &'static str = M::CONTENT_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new(M::SCHEMA)))
    }
}

impl<M: Media> ApiResponse for Page<M> {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![ok::<Self>("As asked for.")] }
    }

    fn register(_registry: &mut Registry) {}
}
