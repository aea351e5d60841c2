//! Documents that are large and always the same: made when somebody asks for one first, and kept compressed.

use std::{
    io::{self, Read, Write},
    marker::PhantomData,
    sync::Arc,
};

use bytes::{Buf, Bytes};
use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use futures_util::stream;
use poem::{
    Body, IntoResponse, Response,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse,
    registry::{MetaResponses, Registry},
};
use tokio::sync::OnceCell;

use super::{
    etag::{ETag, meta_of_tag, meta_of_unmodified},
    headers,
    problem::Problem,
    reply::{Media, Page, ok},
};

/// A text is decompressed in such pieces for a client that does not do it itself.
const PIECE_BYTES: usize = 16 * 1024;

/// A document that nobody has paid for before somebody asks for it.
pub(super) struct OnDemand<I> {
    about: Arc<I>,
    make: fn(&I) -> String,
    policy: fn(&str) -> Result<Option<HeaderValue>, Problem>,
    made: OnceCell<Compressed>,
}

impl<I: Send + Sync + 'static> OnDemand<I> {
    pub(super) fn new(about: &Arc<I>, make: fn(&I) -> String) -> Self {
        Self { about: Arc::clone(about), make, policy: |_| Ok(None), made: OnceCell::new() }
    }

    /// A page, which has a policy of its own.
    pub(super) fn page(about: &Arc<I>, make: fn(&I) -> String) -> Self {
        Self { policy: |html| headers::policy_of_page(html).map(Some), ..Self::new(about, make) }
    }

    /// The document. Who asks while it is being made waits for it.
    ///
    /// # Errors
    /// 500 where it cannot be made.
    pub(super) async fn get(&self) -> Result<Compressed, Problem> {
        // Some tens of milliseconds, once; a thread of its own for it would cost the process more memory than the document.
        let make = async || {
            let text = (self.make)(&self.about);
            let document = Compressed::of(&text).map_err(Problem::internal)?;
            Ok(Compressed { policy: (self.policy)(&text)?, ..document })
        };
        self.made.get_or_try_init(make).await.cloned()
    }
}

/// A text, compressed.
#[derive(Debug, Clone)]
pub struct Compressed {
    gzip: Bytes,
    /// As it was.
    text_bytes: usize,
    tag: ETag,
    /// Its own `Content-Security-Policy`.
    policy: Option<HeaderValue>,
}

impl Compressed {
    pub(super) fn of(text: &str) -> io::Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes())?;
        let mut gzip = encoder.finish()?;
        gzip.shrink_to_fit();
        Ok(Self { tag: ETag::of(&gzip), gzip: gzip.into(), text_bytes: text.len(), policy: None })
    }

    /// The answer with the document.
    pub(super) fn into_response(self, content_type: &str, as_gzip: bool) -> Response {
        let response = Response::builder().content_type(content_type);
        if as_gzip {
            return response.header(header::CONTENT_ENCODING, "gzip").body(self.gzip);
        }
        let length = HeaderValue::from(self.text_bytes);
        response.header(header::CONTENT_LENGTH, length).body(self.text())
    }

    /// The text again, piece by piece as it is taken.
    fn text(self) -> Body {
        let mut decoder = GzDecoder::new(self.gzip.reader());
        let next = move || {
            let mut piece = vec![0; PIECE_BYTES];
            match decoder.read(&mut piece) {
                Ok(0) => None,
                Ok(length) => {
                    piece.truncate(length);
                    Some(Ok(Bytes::from(piece)))
                }
                Err(error) => Some(Err(error)),
            }
        };
        Body::from_bytes_stream(stream::iter(std::iter::from_fn(next)))
    }
}

/// A `200 OK` with a document of media type `M`, compressed for who takes that, or `304 Not Modified` for who has it.
#[derive(Debug)]
pub struct Asset<M> {
    document: Compressed,
    tag: ETag,
    as_gzip: bool,
    unmodified: bool,
    media: PhantomData<fn() -> M>,
}

impl<M: Media> Asset<M> {
    /// Decides by the request's `Accept-Encoding` and `If-None-Match`.
    pub fn new(document: Compressed, headers: &HeaderMap, if_none_match: Option<&str>) -> Self {
        let as_gzip = takes_gzip(headers);
        // Equal tags mean equal bytes, and these are others.
        let tag = if as_gzip { document.tag.clone() } else { document.tag.variant("text") };
        let unmodified = if_none_match.is_some_and(|header| tag.is_in(header));
        Self { document, tag, as_gzip, unmodified, media: PhantomData }
    }
}

impl<M: Media> IntoResponse for Asset<M> {
    fn into_response(self) -> Response {
        let policy = self.document.policy.clone();
        let mut response = match self.unmodified {
            true => Response::builder().status(StatusCode::NOT_MODIFIED).finish(),
            false => self.document.into_response(M::CONTENT_TYPE, self.as_gzip),
        };
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::from_str(self.tag.as_str()) {
            headers.insert(header::ETAG, tag);
        }
        if let Some(policy) = policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

impl<M: Media> ApiResponse for Asset<M> {
    fn meta() -> MetaResponses {
        let mut fresh = ok::<Page<M>>("As asked for.");
        fresh.headers.push(meta_of_tag());
        MetaResponses { responses: vec![fresh, meta_of_unmodified()] }
    }

    fn register(_registry: &mut Registry) {}
}

/// Whether an `Accept-Encoding` has gzip, or anything, with a weight above 0.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for coding in value.to_str().unwrap_or_default().split(',') {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = parameters.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse().ok());
            let is_taken = weight.unwrap_or(1.0_f32) > 0.0;
            match name.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => return is_taken,
                "*" => any = is_taken,
                _ => {}
            }
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::reply::media::Html;

    fn headers(accept_encoding: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, accept_encoding.parse().unwrap());
        headers
    }

    #[test]
    fn gzip_is_for_who_says_that_it_takes_it() {
        for yes in ["gzip", "br, GZIP;q=0.5", "*", "identity;q=0, x-gzip", "gzip, *;q=0"] {
            assert!(takes_gzip(&headers(yes)), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "identity"] {
            assert!(!takes_gzip(&headers(no)), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_document_is_made_once_and_not_before_it_is_asked_for() {
        let count = Arc::new(AtomicUsize::new(0));
        let document = OnDemand::new(&count, |count| {
            count.fetch_add(1, Ordering::Relaxed);
            "x".repeat(100_000)
        });
        assert_eq!(count.load(Ordering::Relaxed), 0);
        let (first, second) = tokio::join!(document.get(), document.get());
        assert_eq!(count.load(Ordering::Relaxed), 1);
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.gzip.as_ptr(), second.gzip.as_ptr());
        assert!(first.gzip.len() < 1000);
    }

    #[tokio::test]
    async fn a_document_is_the_same_with_and_without_compression_and_has_two_tags() {
        let text = "<p>ü</p>".repeat(10_000);
        let document = Compressed::of(&text).unwrap();
        let plain = Asset::<Html>::new(document.clone(), &HeaderMap::new(), None).into_response();
        let packed = Asset::<Html>::new(document.clone(), &headers("gzip"), None).into_response();
        let tag = |response: &Response| response.headers()[header::ETAG].to_str().unwrap().to_owned();
        let (plain_tag, packed_tag) = (tag(&plain), tag(&packed));
        assert_ne!(plain_tag, packed_tag);
        assert_eq!(plain.headers()[header::CONTENT_LENGTH], text.len().to_string());
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(plain.into_body().into_string().await.unwrap(), text);
        let packed = packed.into_body().into_bytes().await.unwrap();
        assert!(packed.len() < text.len() / 10);
        let again = Asset::<Html>::new(document.clone(), &headers("gzip"), Some(&packed_tag)).into_response();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        let other = Asset::<Html>::new(document, &HeaderMap::new(), Some(&packed_tag)).into_response();
        assert_eq!(other.status(), StatusCode::OK);
    }
}
