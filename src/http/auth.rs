//! Who is staff: a bearer token, compared in constant time.
//!
//! Order numbers can be guessed, so what is for staff needs the token that is configured (`staff.token_file`). Where none
//! is, calls for staff are off for everybody: a caller on loopback may be a proxy that speaks for anyone. An address that
//! has shown too many wrong ones waits (`attempts`).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use daemon::metrics::Metrics;
use http_kit::Problem;
use poem::{
    Addr, Request, RequestBody,
    http::{HeaderMap, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::attempts::{Attempts, Verdict};

/// The name of the security scheme in the OpenAPI document.
const SCHEME: &str = "staff";
const SCHEME_TEXT: &str =
    "The token in the file of `staff.token_file`. Where none is configured, calls for staff are off.";

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

    /// Whether both are of the same token; it takes the same time for any.
    pub fn is_of_same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenDigest")
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// Somebody who has shown the token.
    Staff,
    /// Anybody.
    Public,
}

/// Knows staff by the configured token.
#[derive(Clone)]
pub struct StaffAuth(Arc<Inner>);

struct Inner {
    expected: Option<TokenDigest>,
    attempts: Attempts,
}

impl StaffAuth {
    /// With what is kept of the configured token; without one, calls for staff are off. Registers `staff_logins_total`, once
    /// for each registry.
    pub fn new(token: Option<TokenDigest>, metrics: &Metrics) -> Self {
        Self(Arc::new(Inner { expected: token, attempts: Attempts::new(metrics) }))
    }

    /// Whether calls for staff are off: no token is configured.
    pub fn is_off(&self) -> bool {
        self.0.expected.is_none()
    }

    /// For a call that is only for staff.
    ///
    /// # Errors
    /// 403 where no token is configured, 401 where none or a wrong one is shown, 429 where the address has shown too many
    /// wrong ones.
    pub fn require(&self, shown: &StaffToken) -> Result<(), Problem> {
        let Some(expected) = &self.0.expected else {
            return Err(Problem::forbidden(
                "calls for staff are off: no token is configured; put one into a file and name it as staff.token_file \
                 in the configuration",
            ));
        };
        self.check(expected, shown)
    }

    /// For a call where staff see more than others.
    ///
    /// # Errors
    /// 401 where a wrong token is shown, 429 where the address has shown too many. Without any token the caller is
    /// [`Viewer::Public`], and so is everybody where none is configured.
    pub fn viewer(&self, shown: &OptionalStaffToken) -> Result<Viewer, Problem> {
        match (&self.0.expected, &shown.shown) {
            (None, _) | (_, Shown::Nothing) => Ok(Viewer::Public),
            (Some(expected), _) => self.check(expected, shown).map(|()| Viewer::Staff),
        }
    }

    fn check<const REQUIRED: bool>(
        &self,
        expected: &TokenDigest,
        credentials: &Credentials<REQUIRED>,
    ) -> Result<(), Problem> {
        let wrong = || Problem::unauthorized(CHALLENGE_WRONG, "the token is not the staff's");
        match &credentials.shown {
            Shown::Token(token) => {
                match self.0.attempts.judge(credentials.address, token.is_of_same(expected)) {
                    Verdict::Right => Ok(()),
                    Verdict::Wrong => Err(wrong()),
                    Verdict::Limited(wait) => Err(Problem::too_many_requests(
                        wait,
                        "too many wrong tokens came from this address; none from it is looked at for now",
                    )),
                }
            }
            // It is no guess: whatever it says, it is never the staff's.
            Shown::Unusable => Err(wrong()),
            Shown::Nothing => Err(Problem::unauthorized(
                CHALLENGE,
                "this is for staff: send Authorization: Bearer with the staff's token",
            )),
        }
    }
}

impl std::fmt::Debug for StaffAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StaffAuth({})", if self.is_off() { "off" } else { "on" })
    }
}

enum Shown {
    Nothing,
    Unusable,
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
/// document; whether it is right is for [`StaffAuth`] to say.
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
}

/// Whom a failure is counted for. What has no address of its own counts as one.
fn address_of(request: &Request) -> IpAddr {
    match &request.remote_addr().0 {
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
        Ok(Self::of(request.headers(), address_of(request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn headers(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| (header::AUTHORIZATION, value.parse().unwrap()));
        values.collect()
    }

    fn auth() -> StaffAuth {
        StaffAuth::new(Some(TokenDigest::of("s3cret\n")), &Metrics::new())
    }

    fn require(auth: &StaffAuth, values: &[&str]) -> Result<(), u16> {
        auth.require(&StaffToken::of(&headers(values), HERE)).map_err(|problem| problem.status().as_u16())
    }

    fn viewer(auth: &StaffAuth, values: &[&str]) -> Result<Viewer, u16> {
        auth.viewer(&OptionalStaffToken::of(&headers(values), HERE))
            .map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn the_right_token_makes_staff() {
        assert_eq!(require(&auth(), &["Bearer s3cret"]), Ok(()));
        assert_eq!(require(&auth(), &["bearer  s3cret "]), Ok(()));
        assert_eq!(viewer(&auth(), &["Bearer s3cret"]), Ok(Viewer::Staff));
    }

    #[test]
    fn anything_else_is_refused() {
        let wrong: [&[&str]; 7] = [
            &["Bearer s3cre"],
            &["Bearer s3crets"],
            &["Bearer "],
            &["Bearer"],
            &["Basic s3cret"],
            &["s3cret"],
            &["Bearer s3cret", "Bearer s3cret"],
        ];
        for wrong in wrong {
            assert_eq!(require(&auth(), wrong), Err(401), "{wrong:?}");
            assert_eq!(viewer(&auth(), wrong), Err(401), "{wrong:?}");
        }
        assert_eq!(require(&auth(), &[]), Err(401));
        assert_eq!(viewer(&auth(), &[]), Ok(Viewer::Public));
    }

    #[test]
    fn only_what_might_be_the_token_is_a_failed_attempt() {
        let auth = auth();
        for values in [&["Basic s3cret"][..], &["s3cret"], &["Bearer a", "Bearer b"], &[]].repeat(3) {
            assert_eq!(require(&auth, values), Err(401));
        }
        for _ in 0..5 {
            assert_eq!(require(&auth, &["Bearer wrong"]), Err(401));
        }
        assert_eq!(require(&auth, &["Bearer s3cret"]), Err(429), "whatever it is");
        assert_eq!(viewer(&auth, &["Bearer s3cret"]), Err(429));
        assert_eq!((require(&auth, &[]), viewer(&auth, &[])), (Err(401), Ok(Viewer::Public)));
    }

    #[test]
    fn without_a_configured_token_nobody_is_staff() {
        let off = StaffAuth::new(None, &Metrics::new());
        for values in [&[][..], &["Bearer "], &["Bearer s3cret"]] {
            assert_eq!(require(&off, values), Err(403));
            assert_eq!(viewer(&off, values), Ok(Viewer::Public));
        }
        let problem = off.require(&StaffToken::of(&HeaderMap::new(), HERE)).unwrap_err();
        assert!(problem.detail().contains("staff.token_file"));
    }

    #[test]
    fn nothing_shows_the_token() {
        assert_eq!(
            format!("{:?} {:?}", auth(), StaffToken::of(&headers(&["Bearer s3cret"]), HERE)),
            "StaffAuth(on) Credentials"
        );
    }
}
