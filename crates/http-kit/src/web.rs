//! Pages for people, and the files that they load: styles and scripts that are inside the program.

use std::fmt::Write;

use bytes::Bytes;
use poem::{
    IntoResponse, Response,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
use poem_openapi::{
    ApiResponse,
    payload::Payload,
    registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry},
};
use sha2::{Digest, Sha256};

use super::{
    asset::{Compressed, takes_gzip},
    problem::Problem,
    reply::{Media, Page, media::Html, ok},
};

/// A page loads scripts and styles from its own service and nothing from anywhere else; nothing inline runs.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                           connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Without it a browser names no origin with a form's request, and one without TLS then does not say at all where that comes from.
const OWN_SITE_ALONE: &str = "same-origin";

const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");

/// A file's address changes with its content, so that nobody has to ask for it again; the time is the longest that caches know, a year.
const KEPT_FOR_EVER: &str = "public, max-age=31536000, immutable";

/// So many bytes of the hash are in the address: enough that two versions never have the same.
const VERSION_BYTES: usize = 8;

/// A web page with its policy. In an enum deriving `ApiResponse` it takes the status of its variant.
#[derive(Debug)]
pub struct WebPage {
    page: Page<Html>,
    is_unlisted: bool,
}

impl WebPage {
    /// From its HTML.
    pub fn new(html: impl Into<Bytes>) -> Self {
        Self { page: Page::new(html), is_unlisted: false }
    }

    /// A page that search engines are not to list, and whose address nobody learns from a request, this service included.
    #[must_use]
    pub fn unlisted(self) -> Self {
        Self { is_unlisted: true, ..self }
    }
}

impl IntoResponse for WebPage {
    fn into_response(self) -> Response {
        let mut response = self.page.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
        if self.is_unlisted {
            headers.insert(X_ROBOTS_TAG, HeaderValue::from_static("noindex"));
        } else {
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static(OWN_SITE_ALONE));
        }
        response
    }
}

impl Payload for WebPage {
    const CONTENT_TYPE: &'static str = Html::CONTENT_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        Page::<Html>::schema_ref()
    }
}

impl ApiResponse for WebPage {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![ok::<Self>("The page.")] }
    }

    fn register(_registry: &mut Registry) {}
}

/// A text inside the program that pages load.
#[derive(Debug)]
pub struct File {
    /// For instance `page.css`.
    pub name: &'static str,
    /// The whole `Content-Type`.
    pub content_type: &'static str,
    /// The content.
    pub text: &'static str,
}

/// The files of the pages. All are below one address that changes with any of them, so a script finds the others by relative
/// addresses.
#[derive(Debug)]
pub struct Files {
    files: &'static [File],
    version: String,
}

impl Files {
    /// Hashes the files.
    pub fn new(files: &'static [File]) -> Self {
        let mut hash = Sha256::new();
        for part in files.iter().flat_map(|file| [file.name, file.text]) {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let mut version = String::with_capacity(2 * VERSION_BYTES);
        for byte in &hash.finalize()[..VERSION_BYTES] {
            // Writing to a string cannot fail.
            let _ = write!(version, "{byte:02x}");
        }
        Self { files, version }
    }

    /// What stands in the addresses of these files and of no others.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The file of this name in this version, compressed for who takes that by the request's headers.
    ///
    /// # Errors
    /// 404 where there is none.
    pub fn get(&self, version: &str, name: &str, headers: &HeaderMap) -> Result<ServedFile, Problem> {
        let file = self.files.iter().find(|file| version == self.version && file.name == name);
        let file = file.ok_or_else(|| Problem::not_found("there is no such file of this version"))?;
        // Each browser asks once: it costs less to compress it anew than to keep it.
        let document = Compressed::of(file.text).map_err(Problem::internal)?;
        Ok(ServedFile { document, as_gzip: takes_gzip(headers), content_type: file.content_type })
    }
}

/// A `200 OK` with a file that browsers keep for ever.
#[derive(Debug)]
pub struct ServedFile {
    document: Compressed,
    as_gzip: bool,
    content_type: &'static str,
}

impl IntoResponse for ServedFile {
    fn into_response(self) -> Response {
        let mut response = self.document.into_response(self.content_type, self.as_gzip);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(KEPT_FOR_EVER));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        response
    }
}

impl ApiResponse for ServedFile {
    fn meta() -> MetaResponses {
        let kinds = ["text/css", "text/javascript"];
        let content =
            kinds.map(|content_type| MetaMediaType { content_type, schema: Page::<Html>::schema_ref() });
        let fresh: MetaResponse = ok::<WebPage>("The file, which never changes at this address.");
        MetaResponses { responses: vec![MetaResponse { content: content.into(), ..fresh }] }
    }

    fn register(_registry: &mut Registry) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    static FILES: [File; 1] =
        [File { name: "page.css", content_type: "text/css; charset=utf-8", text: "p { margin: 0 }" }];
    static OTHERS: [File; 1] =
        [File { name: "page.css", content_type: "text/css; charset=utf-8", text: "p { margin: 1px }" }];

    #[test]
    fn the_address_of_a_file_changes_with_its_content() {
        assert_eq!(Files::new(&FILES).version(), Files::new(&FILES).version());
        assert_ne!(Files::new(&FILES).version(), Files::new(&OTHERS).version());
        assert_eq!(Files::new(&FILES).version().len(), 2 * VERSION_BYTES);
    }

    #[tokio::test]
    async fn a_file_is_kept_for_ever_and_there_is_none_of_another_version() {
        let (files, mut headers) = (Files::new(&FILES), HeaderMap::new());
        let plain = files.get(files.version(), "page.css", &headers).unwrap().into_response();
        assert_eq!(plain.headers()[header::CACHE_CONTROL], KEPT_FOR_EVER);
        assert_eq!(plain.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
        assert_eq!(plain.into_body().into_string().await.unwrap(), FILES[0].text);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let packed = files.get(files.version(), "page.css", &headers).unwrap().into_response();
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        for (version, name) in [("0123456789abcdef", "page.css"), (files.version(), "page.js"), ("", "")] {
            assert!(files.get(version, name, &headers).is_err(), "{version}/{name}");
        }
    }

    #[test]
    fn a_page_has_the_policy_of_pages() {
        let response = WebPage::new("<!doctype html>").into_response();
        assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], PAGE_POLICY);
        assert_eq!(response.headers()[header::REFERRER_POLICY], OWN_SITE_ALONE);
        assert_eq!(response.headers()[header::CONTENT_TYPE], Html::CONTENT_TYPE);
    }
}
