//! Whose order it is: what a caller shows to be known as its customer.

use std::net::IpAddr;

use poem::{Request, RequestBody, http::HeaderMap};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

use super::auth::address_of;
use crate::domain::TrackingToken;

/// The header that an order's token comes in.
const HEADER: &str = "x-order-token";
/// The name of the security scheme in the OpenAPI document.
const SCHEME: &str = "order";
const SCHEME_TEXT: &str = "An order's token: the last part of the `tracking_url` that it was placed with. It shows one order, without the \
                           customer's name and address.";

/// An order's token, as a caller shows it. As an argument of a handler it declares the security scheme in the OpenAPI document.
pub struct OrderToken {
    shown: Option<Option<TrackingToken>>,
    address: IpAddr,
}

impl OrderToken {
    fn of(headers: &HeaderMap, address: IpAddr) -> Self {
        let mut values = headers.get_all(HEADER).iter();
        let shown = values.next().map(|first| match values.next() {
            None => first.to_str().ok().and_then(TrackingToken::parse),
            Some(_) => None,
        });
        Self { shown, address }
    }

    /// Whether there is any, a right one or not.
    pub fn is_shown(&self) -> bool {
        self.shown.is_some()
    }

    /// What can be an order's.
    pub fn token(&self) -> Option<TrackingToken> {
        self.shown.flatten()
    }

    /// Whether it is this one; no order of a version before has any.
    pub fn is(&self, expected: Option<TrackingToken>) -> bool {
        self.token().is_some() && self.token() == expected
    }

    /// Whom a wrong one is counted for.
    pub fn address(&self) -> IpAddr {
        self.address
    }
}

impl std::fmt::Debug for OrderToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OrderToken")
    }
}

impl<'a> ApiExtractor<'a> for OrderToken {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = MetaSecurityScheme {
            ty: "apiKey",
            description: Some(SCHEME_TEXT),
            name: Some("X-Order-Token"),
            key_in: Some("header"),
            scheme: None,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme(SCHEME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
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
    use std::net::Ipv4Addr;

    use super::*;

    const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODw";

    fn shown(values: &[&str]) -> OrderToken {
        let values = values.iter().map(|value| (HEADER.parse().unwrap(), value.parse().unwrap()));
        OrderToken::of(&HeaderMap::from_iter(values), IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    #[test]
    fn one_token_is_shown_or_none() {
        assert_eq!(shown(&[TOKEN]).token(), TrackingToken::parse(TOKEN));
        for values in [&[TOKEN, TOKEN][..], &["x"], &[""]] {
            let shown = shown(values);
            assert!(shown.is_shown() && shown.token().is_none(), "{values:?}");
        }
        assert!(!shown(&[]).is_shown());
    }

    #[test]
    fn nothing_is_the_token_of_an_order_that_has_none() {
        for values in [&[][..], &["x"], &[TOKEN]] {
            assert!(!shown(values).is(None), "{values:?}");
        }
        assert!(shown(&[TOKEN]).is(TrackingToken::parse(TOKEN)));
    }
}
