//! Reading the body of a request, bounded in size and in time: JSON mostly.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use poem::{
    Body, Request, RequestBody,
    http::{HeaderMap, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};

use super::{
    docs,
    places::Place,
    problem::{Kind, Problem},
};

const JSON: &str = "application/json";

/// A body may have this many bytes.
pub const BODY_MAX_BYTES: usize = 64 * 1024;

/// A body must have arrived whole within this time after its header.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// The bytes of a JSON body, not parsed yet; `T` is its schema in the OpenAPI document, as an object that has no other
/// members than the named ones.
///
/// poem-openapi's own parsing stops at the first error and doesn't name the field; here the caller parses (see
/// [`Members`](super::members::Members)) and can list every violation. Fails as in
/// [`may::BODY`](super::fail::may::BODY).
#[derive(Debug)]
pub struct JsonRequest<T> {
    /// The body as it came.
    pub bytes: Bytes,
    schema: PhantomData<fn() -> T>,
}

impl<'a, T: Type> ApiExtractor<'a> for JsonRequest<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
        docs::close(registry, &T::schema_ref());
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType { content_type: JSON, schema: T::schema_ref() }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self { bytes: taken(request, body, JSON).await?, schema: PhantomData })
    }
}

/// The same for a body that may be left out. What is wrong with it is told by [`Self::bytes`], so that a caller can look
/// first whether somebody may ask at all.
#[derive(Debug)]
pub struct OptionalJsonRequest<T> {
    bytes: Result<Option<Bytes>, Problem>,
    schema: PhantomData<fn() -> T>,
}

impl<T> OptionalJsonRequest<T> {
    /// The body as it came, if there is one.
    ///
    /// # Errors
    /// As in [`may::BODY`](super::fail::may::BODY).
    pub fn bytes(self) -> Result<Option<Bytes>, Problem> {
        self.bytes
    }
}

impl<'a, T: Type> ApiExtractor<'a> for OptionalJsonRequest<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        JsonRequest::<T>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        JsonRequest::<T>::request_meta().map(|meta| MetaRequest { required: false, ..meta })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = if UnreadBody::of(request.headers()).is_some() {
            taken(request, body, JSON).await.map(|bytes| Some(bytes).filter(|bytes| !bytes.is_empty()))
        } else {
            Ok(None)
        };
        Ok(Self { bytes, schema: PhantomData })
    }
}

/// Takes a request's body of this media type off its connection.
pub(super) async fn taken(
    request: &Request,
    body: &mut RequestBody,
    media_type: &'static str,
) -> Result<Bytes, Problem> {
    let body = body.take().map_err(Problem::internal)?;
    let bytes = read(media_type, request.headers(), body, BODY_MAX_BYTES, BODY_DEADLINE).await?;
    if let Some(unread) = request.data::<UnreadBody>() {
        unread.0.store(false, Ordering::Relaxed);
    }
    if let Some(place) = request.data::<Arc<Place>>()
        && !place.serve()
    {
        // Its connection is being cut: nobody would hear what became of it.
        std::future::pending::<()>().await;
    }
    Ok(bytes)
}

/// Whether a body is left on the connection when its request is answered. The server can then not go on with the next
/// request, and must say so: a client that is not told sends that one into a connection which is being closed.
#[derive(Debug, Clone)]
pub(super) struct UnreadBody(Arc<AtomicBool>);

impl UnreadBody {
    /// For a request that has a body, as its headers say.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let has_length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
        (has_length || headers.contains_key(header::TRANSFER_ENCODING))
            .then(|| Self(Arc::new(AtomicBool::new(true))))
    }

    /// Nobody has read it to its end.
    pub(super) fn is_left(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Takes the body of a request that is not to be served off the connection, if it is small and comes in time.
pub(super) async fn discard(request: &mut Request) {
    let body = request.take_body().into_bytes_stream();
    if let Ok(Ok(_)) = tokio::time::timeout(BODY_DEADLINE, collect(body, BODY_MAX_BYTES)).await
        && let Some(unread) = request.data::<UnreadBody>()
    {
        unread.0.store(false, Ordering::Relaxed);
    }
}

/// Reads a body of at most `max_bytes` within `deadline`.
///
/// # Errors
/// 415 unless the headers say plainly that it is of this media type, 413 when it is larger (at once where the headers say so), 408
/// when it takes longer, 400 when the client goes away or breaks the framing.
pub(super) async fn read(
    media_type: &'static str,
    headers: &HeaderMap,
    body: Body,
    max_bytes: usize,
    deadline: Duration,
) -> Result<Bytes, Problem> {
    check_type(media_type, headers)?;
    check_encoding(headers)?;
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > max_bytes as u64) {
        return Err(Problem::payload_too_large(max_bytes));
    }
    match tokio::time::timeout(deadline, collect(body.into_bytes_stream(), max_bytes)).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let detail = format!("the body did not arrive within {} seconds", deadline.as_secs_f32());
            Err(Problem::new(Kind::RequestTimeout, detail))
        }
    }
}

/// Gathers the chunks; a body that came in one piece, as nearly all do, is not copied.
async fn collect(
    chunks: impl Stream<Item = std::io::Result<Bytes>>,
    max_bytes: usize,
) -> Result<Bytes, Problem> {
    let mut chunks = std::pin::pin!(chunks);
    let mut whole = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::bad_request("the body broke off or its framing is wrong").because(error)
        })?;
        if whole.len() + rest.len() + chunk.len() > max_bytes {
            return Err(Problem::payload_too_large(max_bytes));
        }
        if whole.is_empty() && rest.is_empty() {
            whole = chunk;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut whole));
            }
            rest.extend_from_slice(&chunk);
        }
    }
    Ok(if rest.is_empty() { whole } else { rest.freeze() })
}

/// This type, whatever its parameters; it has no other charset than UTF-8, which parsing checks.
fn check_type(media_type: &'static str, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err(Problem::unsupported_media_type(format!(
            "the Content-Type is missing; it must be {media_type}"
        )));
    };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(media_type) {
        return Ok(());
    }
    Err(Problem::unsupported_media_type(format!("the Content-Type must be {media_type}")))
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Problem::unsupported_media_type("the body must be sent as it is, without a Content-Encoding"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poem::http::{HeaderValue, StatusCode};

    async fn read(content_type: Option<&str>, body: Body, max_bytes: usize) -> Result<Bytes, StatusCode> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        }
        super::read(JSON, &headers, body, max_bytes, Duration::from_millis(50))
            .await
            .map_err(|problem| problem.status())
    }

    fn chunks(chunks: &[&'static str]) -> Body {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok::<_, std::io::Error>(Bytes::from_static(chunk.as_bytes())))
            .collect();
        Body::from_bytes_stream(futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn only_plain_json_is_read() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
            assert_eq!(read(Some(good), "{}".into(), 9).await.unwrap(), "{}", "{good}");
        }
        for bad in [
            "text/plain",
            "application/problem+json",
            "application/jsonx",
            "",
            "json",
            "application/json, a/b",
        ] {
            let status = read(Some(bad), "{}".into(), 9).await.unwrap_err();
            assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{bad}");
        }
        assert_eq!(read(None, "{}".into(), 9).await.unwrap_err(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[tokio::test]
    async fn an_encoded_body_is_not_read() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let problem = super::read(JSON, &headers, Body::empty(), 9, BODY_DEADLINE).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[tokio::test]
    async fn chunks_are_put_together_up_to_the_limit() {
        let json = Some("application/json");
        assert_eq!(read(json, chunks(&["ab", "", "cd", "e"]), 5).await.unwrap(), "abcde");
        assert_eq!(
            read(json, chunks(&["ab", "cd", "ef"]), 5).await.unwrap_err(),
            StatusCode::PAYLOAD_TOO_LARGE
        );
        assert_eq!(read(json, chunks(&["abcdef"]), 5).await.unwrap_err(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_awaited_forever() {
        let never = Body::from_bytes_stream(futures_util::stream::pending::<std::io::Result<Bytes>>());
        assert_eq!(read(Some("application/json"), never, 5).await.unwrap_err(), StatusCode::REQUEST_TIMEOUT);
    }
}
