//! Who is staff: what a caller shows to be known, as a bearer token.
//!
//! Order numbers can be guessed, so what is for staff needs a token. Whether one is right is for the program to say. An
//! address that has shown too many wrong ones waits ([`super::attempts`]).

use std::net::{IpAddr, Ipv4Addr};

use http_kit::Problem;
use poem::{
    Addr, Request, RequestBody,
    http::{HeaderMap, header},
    web::RemoteAddr,
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The name of the security scheme in the OpenAPI document.
const SCHEME: &str = "staff";
const SCHEME_TEXT: &str = "The token of a session (`POST /sessions`), or the one in the file of `staff.token_file`. Where \
                           neither accounts nor a token are configured, calls for staff are off.";

const CHALLENGE: &str = "Bearer realm=\"restaurant-system\"";
const CHALLENGE_WRONG: &str = "Bearer realm=\"restaurant-system\", error=\"invalid_token\"";

/// The SHA-256 of a token: what is kept and compared, so that neither the length nor the text of a token gets anywhere.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Of a token; white space around it (the line's end in its file) is no part of it.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.trim().as_bytes()).into())
    }

    /// Whether these are the bytes of the same token's; it takes the same time for any.
    pub fn is(&self, bytes: &[u8; 32]) -> bool {
        self.0.ct_eq(bytes).into()
    }

    /// The bytes, which say nothing of the token.
    pub fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest")
    }
}

/// 401: nothing is shown where something must be.
pub fn nothing_shown() -> Problem {
    Problem::unauthorized(
        CHALLENGE,
        "this is for staff: send Authorization: Bearer with the staff's token, or a session's",
    )
}

/// 401: what is shown is not, or no longer, right.
pub fn wrong(detail: &'static str) -> Problem {
    Problem::unauthorized(CHALLENGE_WRONG, detail)
}

/// What came as a token.
#[derive(Debug, Clone, Copy)]
pub enum Shown {
    /// No `Authorization`.
    Nothing,
    /// It is no guess: whatever it says, it is never the staff's.
    Unusable,
    /// A token.
    Token(TokenDigest),
}

impl Shown {
    fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (first, None) = (values.next(), values.next()) else {
            return Self::Unusable;
        };
        let Some(value) = first else {
            return Self::Nothing;
        };
        match value.to_str().ok().and_then(|text| text.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Self::Token(TokenDigest::of(token))
            }
            _ => Self::Unusable,
        }
    }
}

/// What a caller shows to be known as staff. As an argument of a handler it declares the security scheme in the OpenAPI
/// document; whether it is right is for the program to say.
pub struct Credentials<const REQUIRED: bool> {
    shown: Shown,
    address: IpAddr,
}

/// The argument of a call that is only for staff.
pub type StaffToken = Credentials<true>;

/// The argument of a call where staff see more than others.
pub type OptionalStaffToken = Credentials<false>;

impl<const REQUIRED: bool> Credentials<REQUIRED> {
    /// Reads the `Authorization` header of a request that came from `address`.
    pub fn of(headers: &HeaderMap, address: IpAddr) -> Self {
        Self { shown: Shown::of(headers), address }
    }

    /// The same of a caller who shows a token as a cookie; `None` where there is an `Authorization`, which counts.
    pub(super) fn or_cookie(&self, token: &str) -> Option<Self> {
        let shown = Shown::Token(TokenDigest::of(token));
        matches!(self.shown, Shown::Nothing).then_some(Self { shown, address: self.address })
    }

    /// What it is.
    pub fn shown(&self) -> Shown {
        self.shown
    }

    /// Whom a failure is counted for.
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

/// Whom a failure of a client is counted for. What has no address of its own counts as one.
pub fn address_of(client: &RemoteAddr) -> IpAddr {
    match &client.0 {
        Addr::SocketAddr(address) => address.ip(),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

impl<const REQUIRED: bool> std::fmt::Debug for Credentials<REQUIRED> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl<'a, const REQUIRED: bool> ApiExtractor<'a> for Credentials<REQUIRED> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = MetaSecurityScheme {
            ty: "http",
            description: Some(SCHEME_TEXT),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme(SCHEME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    fn has_security_fallback() -> bool {
        !REQUIRED
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self::of(request.headers(), address_of(request.remote_addr())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(values: &[&str]) -> Shown {
        let values = values.iter().map(|value| (header::AUTHORIZATION, value.parse().unwrap()));
        Shown::of(&values.collect())
    }

    #[test]
    fn a_token_stands_behind_the_word_bearer_with_any_blanks_around_it() {
        for value in ["Bearer s3cret", "bearer  s3cret "] {
            let Shown::Token(token) = shown(&[value]) else { panic!("{value}") };
            assert!(token.is(&TokenDigest::of("s3cret\n").bytes()), "{value}");
            assert!(!token.is(&TokenDigest::of("s3cre").bytes()), "{value}");
        }
    }

    #[test]
    fn what_can_be_no_token_is_unusable() {
        let unusable: [&[&str]; 4] =
            [&["Bearer"], &["Basic s3cret"], &["s3cret"], &["Bearer s3cret", "Bearer s3cret"]];
        for values in unusable {
            assert!(matches!(shown(values), Shown::Unusable), "{values:?}");
        }
        assert!(matches!(shown(&[]), Shown::Nothing));
    }

    #[test]
    fn nothing_shows_the_token() {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, "Bearer s3cret".parse().unwrap())]);
        let credentials = StaffToken::of(&headers, IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(format!("{credentials:?} {:?}", credentials.shown()), "Credentials Token(TokenDigest)");
    }
}
