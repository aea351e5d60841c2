//! Who is staff: a bearer token, compared in constant time.
//!
//! Order numbers can be guessed, so what is for staff needs the token that is configured (`staff.token_file`). Where none
//! is, calls for staff are off for everybody: a caller on loopback may be a proxy that speaks for anyone.

use poem::{
    Request, RequestBody,
    http::{HeaderMap, header},
};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::problem::Problem;

/// The name of the security scheme in the OpenAPI document.
const SCHEME: &str = "staff";
const SCHEME_TEXT: &str =
    "The token in the file of `staff.token_file`. Where none is configured, calls for staff are off.";

const CHALLENGE: &str = "Bearer realm=\"restaurant-system\"";
const CHALLENGE_WRONG: &str = "Bearer realm=\"restaurant-system\", error=\"invalid_token\"";

/// The SHA-256 of a token: what is compared and kept, so that neither the length nor the text of a token gets anywhere.
type TokenDigest = [u8; 32];

fn digest(token: &str) -> TokenDigest {
    Sha256::digest(token.as_bytes()).into()
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
pub struct StaffAuth(Option<TokenDigest>);

impl StaffAuth {
    /// With the configured token; without one, or with an empty one, calls for staff are off. White space around the
    /// token (the line's end in its file) is no part of it.
    pub fn new(token: Option<&SecretString>) -> Self {
        let token = token.map(|token| token.expose_secret().trim()).filter(|token| !token.is_empty());
        Self(token.map(digest))
    }

    /// For a call that is only for staff.
    ///
    /// # Errors
    /// 403 where no token is configured, 401 where none or a wrong one is shown.
    pub fn require(&self, shown: &StaffToken) -> Result<(), Problem> {
        let Some(expected) = &self.0 else {
            return Err(Problem::forbidden(
                "calls for staff are off: no token is configured; put one into a file and name it as staff.token_file \
                 in the configuration",
            ));
        };
        check(expected, &shown.0)
    }

    /// For a call where staff see more than others.
    ///
    /// # Errors
    /// 401 where a wrong token is shown. Without any token the caller is [`Viewer::Public`], and so is everybody where
    /// none is configured.
    pub fn viewer(&self, shown: &OptionalStaffToken) -> Result<Viewer, Problem> {
        match (&self.0, &shown.0) {
            (None, _) | (_, Shown::Nothing) => Ok(Viewer::Public),
            (Some(expected), shown) => check(expected, shown).map(|()| Viewer::Staff),
        }
    }
}

impl std::fmt::Debug for StaffAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StaffAuth({})", if self.0.is_some() { "on" } else { "off" })
    }
}

fn check(expected: &TokenDigest, shown: &Shown) -> Result<(), Problem> {
    match shown {
        Shown::Token(token) if bool::from(token.ct_eq(expected)) => Ok(()),
        Shown::Token(_) | Shown::Unusable => {
            Err(Problem::unauthorized(CHALLENGE_WRONG, "the token is not the staff's"))
        }
        Shown::Nothing => Err(Problem::unauthorized(
            CHALLENGE,
            "this is for staff: send Authorization: Bearer with the staff's token",
        )),
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
                Self::Token(digest(token.trim()))
            }
            _ => Self::Unusable,
        }
    }
}

/// What a caller shows to be known as staff. As an argument of a handler it declares the security scheme in the OpenAPI
/// document; whether it is right is for [`StaffAuth`] to say.
pub struct Credentials<const REQUIRED: bool>(Shown);

/// The argument of a call that is only for staff.
pub type StaffToken = Credentials<true>;

/// The argument of a call where staff see more than others.
pub type OptionalStaffToken = Credentials<false>;

impl<const REQUIRED: bool> Credentials<REQUIRED> {
    /// Reads the `Authorization` header.
    pub fn of(headers: &HeaderMap) -> Self {
        Self(Shown::of(headers))
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
        Ok(Self::of(request.headers()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| (header::AUTHORIZATION, value.parse().unwrap()));
        values.collect()
    }

    fn auth() -> StaffAuth {
        StaffAuth::new(Some(&SecretString::from("s3cret\n")))
    }

    fn require(auth: &StaffAuth, values: &[&str]) -> Result<(), u16> {
        auth.require(&StaffToken::of(&headers(values))).map_err(|problem| problem.status().as_u16())
    }

    fn viewer(auth: &StaffAuth, values: &[&str]) -> Result<Viewer, u16> {
        auth.viewer(&OptionalStaffToken::of(&headers(values))).map_err(|problem| problem.status().as_u16())
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
    fn without_a_configured_token_nobody_is_staff() {
        for off in [StaffAuth::new(None), StaffAuth::new(Some(&SecretString::from(" \n")))] {
            for values in [&[][..], &["Bearer "], &["Bearer s3cret"]] {
                assert_eq!(require(&off, values), Err(403));
                assert_eq!(viewer(&off, values), Ok(Viewer::Public));
            }
        }
        let problem = StaffAuth::new(None).require(&StaffToken::of(&HeaderMap::new())).unwrap_err();
        assert!(problem.detail().contains("staff.token_file"));
    }

    #[test]
    fn nothing_shows_the_token() {
        assert_eq!(
            format!("{:?} {:?}", auth(), StaffToken::of(&headers(&["Bearer s3cret"]))),
            "StaffAuth(on) Credentials"
        );
    }
}
