//! Who of the staff calls from a browser: the token of a session as a cookie.

use http_kit::Problem;
use http_kit::browser::{Provenance, SessionCookie};
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::auth::{StaffToken, address_of};

/// The name of the security scheme in the OpenAPI document.
const SCHEME: &str = "session";
const SCHEME_TEXT: &str = "The session of a person who has logged in by `POST /login`; on this machine without TLS the cookie is called \
                           `session`. A request that changes something has to come from a page of the service itself.";

/// The argument of a call for staff that pages make as well: a bearer token, or without one the cookie of a session.
#[derive(Debug)]
pub struct StaffCaller(pub StaffToken);

impl StaffCaller {
    /// What a request shows.
    ///
    /// # Errors
    /// 403 where a page from elsewhere may have caused it.
    pub fn of(request: &Request) -> Result<Self, Problem> {
        let (headers, client) = (request.headers(), request.remote_addr());
        let token = StaffToken::of(headers, address_of(client));
        let Some(value) = SessionCookie::of(headers, client).value(headers) else { return Ok(Self(token)) };
        let Some(token) = token.or_cookie(value) else { return Ok(Self(token)) };
        if request.method().is_safe() || Provenance::of(headers) == Provenance::Own {
            return Ok(Self(token));
        }
        Err(Problem::forbidden(
            "a change that shows a cookie must come from a page of this service: Sec-Fetch-Site or Origin says another",
        ))
    }
}

impl<'a> ApiExtractor<'a> for StaffCaller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        StaffToken::register(registry);
        let scheme = MetaSecurityScheme {
            ty: "apiKey",
            description: Some(SCHEME_TEXT),
            name: Some("__Host-session"),
            key_in: Some("cookie"),
            scheme: None,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme(SCHEME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        let mut schemes = StaffToken::security_schemes();
        schemes.push(SCHEME);
        schemes
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self::of(request)?)
    }
}
