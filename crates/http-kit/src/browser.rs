//! What browsers send by themselves: the cookie of a session, and where a request comes from.
//!
//! A browser sends the cookie with every request to the service, whichever page has caused it. So a request that changes something
//! and shows no more than the cookie is to come from a page of the service itself.

use std::{net::IpAddr, time::Duration};

use poem::{
    http::{HeaderMap, HeaderName, header},
    web::RemoteAddr,
};

use super::hosts::{HostName, RequestHost};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// With this prefix browsers take the cookie over TLS alone, and from this very host.
const NAME: &str = "__Host-session";
/// Without TLS on this machine, where the prefix is no use.
const PLAIN_NAME: &str = "session";
const THIS_MACHINE: &str = "localhost";

/// The values of a cookie: several, where several places have set it.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(of, _)| of.trim() == name).map(|(_, value)| value.trim())
}

/// The cookie that holds the token of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionCookie {
    is_plain: bool,
}

impl SessionCookie {
    /// Of a request from this client. It is plain where browser and service are on one machine, and no proxy has taken TLS off.
    pub fn of(headers: &HeaderMap, client: &RemoteAddr) -> Self {
        let is_here = client.as_socket_addr().is_some_and(|client| client.ip().to_canonical().is_loopback());
        Self { is_plain: is_here && is_for_this_machine(headers) && scheme(headers) != Some("https") }
    }

    /// Its value; `None` where there is none, and where there are two: one of them may come from elsewhere.
    pub fn value(self, headers: &HeaderMap) -> Option<&str> {
        let mut values = cookie(headers, self.name());
        values.next().filter(|value| !value.is_empty() && values.next().is_none())
    }

    /// The `Set-Cookie` that has a browser send this value from now on, for so long.
    pub fn set(self, value: &str, max_age: Duration) -> String {
        let secure = if self.is_plain { "" } else { "; Secure" };
        let max_age_s = max_age.as_secs();
        format!("{}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}", self.name())
    }

    /// The `Set-Cookie` that has a browser forget it.
    pub fn forget(self) -> String {
        self.set("", Duration::ZERO)
    }

    /// Whether a browser keeps it: over TLS and on this machine alone, where it also says which site a request comes from.
    pub fn is_kept(self, headers: &HeaderMap) -> bool {
        self.is_plain || headers.contains_key(SEC_FETCH_SITE) || scheme(headers) == Some("https")
    }

    fn name(self) -> &'static str {
        if self.is_plain { PLAIN_NAME } else { NAME }
    }
}

/// From which page a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// One of this very service.
    Own,
    /// Another.
    Foreign,
    /// The client does not say: it is no browser of today.
    Unsaid,
}

impl Provenance {
    /// By `Sec-Fetch-Site`, or by `Origin` where that is missing.
    pub fn of(headers: &HeaderMap) -> Self {
        let own = |is_own| if is_own { Self::Own } else { Self::Foreign };
        if let Some(site) = headers.get(SEC_FETCH_SITE) {
            return own(site == "same-origin");
        }
        match headers.get(header::ORIGIN) {
            Some(origin) => own(origin.to_str().is_ok_and(|origin| is_own_origin(origin, headers))),
            None => Self::Unsaid,
        }
    }
}

fn is_own_origin(origin: &str, headers: &HeaderMap) -> bool {
    let Some((origin_scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match origin_scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let place = |host: RequestHost| (host.host, host.port.unwrap_or(default_port));
    let (named, own) = (RequestHost::parse(authority).map(place), asked_for(headers).map(place));
    named.is_some() && named == own && scheme(headers).is_none_or(|scheme| scheme == origin_scheme)
}

fn asked_for(headers: &HeaderMap) -> Option<RequestHost> {
    RequestHost::parse(headers.get(header::HOST)?.to_str().ok()?)
}

fn is_for_this_machine(headers: &HeaderMap) -> bool {
    asked_for(headers).is_some_and(|asked| match asked.host {
        HostName::Address(address) => IpAddr::is_loopback(&address),
        HostName::Name(name) => name == THIS_MACHINE,
    })
}

/// What a proxy says that the browser has used. A claim of anybody else makes the cookie stricter, not laxer.
fn scheme(headers: &HeaderMap) -> Option<&str> {
    headers.get(X_FORWARDED_PROTO)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn cookie(address: &str, pairs: &[(&'static str, &'static str)]) -> SessionCookie {
        let client = std::net::SocketAddr::new(address.parse().unwrap(), 4711);
        SessionCookie::of(&headers(pairs), &RemoteAddr(client.into()))
    }

    #[test]
    fn the_cookie_is_plain_on_this_machine_without_tls_alone() {
        for host in ["127.0.0.1:3001", "localhost:3001", "[::1]:3001"] {
            assert!(cookie("127.0.0.1", &[("host", host)]).is_plain, "{host}");
        }
        let host = ("host", "localhost");
        assert!(!cookie("127.0.0.1", &[host, ("x-forwarded-proto", "https")]).is_plain);
        assert!(!cookie("192.0.2.1", &[host]).is_plain);
        assert!(!cookie("127.0.0.1", &[("host", "station.example.org")]).is_plain);
        assert!(!cookie("127.0.0.1", &[]).is_plain);
    }

    #[test]
    fn a_cookie_is_set_and_read_under_its_name() {
        let (strict, plain) = (SessionCookie { is_plain: false }, SessionCookie { is_plain: true });
        let day = Duration::from_secs(86_400);
        assert_eq!(
            strict.set("t0ken", day),
            "__Host-session=t0ken; Path=/; Max-Age=86400; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(plain.forget(), "session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
        let sent = headers(&[("cookie", "lang=de; session=a; __Host-session=b")]);
        assert_eq!((strict.value(&sent), plain.value(&sent)), (Some("b"), Some("a")));
        for none in ["", "session", "session=", "xsession=a", "session=a; session=b"] {
            assert_eq!(plain.value(&headers(&[("cookie", none)])), None, "{none}");
        }
    }

    #[test]
    fn a_browser_keeps_the_cookie_over_tls_and_on_this_machine() {
        let elsewhere = ("host", "station.example.org");
        let kept = |address: &str, pairs: &[(&'static str, &'static str)]| {
            cookie(address, pairs).is_kept(&headers(pairs))
        };
        assert!(kept("127.0.0.1", &[("host", "localhost:3001")]));
        assert!(kept("192.0.2.1", &[elsewhere, ("sec-fetch-site", "none")]));
        assert!(kept("192.0.2.1", &[elsewhere, ("x-forwarded-proto", "https")]));
        assert!(!kept("192.0.2.1", &[elsewhere]));
    }

    #[test]
    fn a_request_comes_from_the_page_that_the_browser_names() {
        let host = ("host", "station.example.org:3001");
        let of =
            |pairs: &[(&'static str, &'static str)]| Provenance::of(&headers(&[&[host], pairs].concat()));
        assert_eq!(of(&[]), Provenance::Unsaid);
        for own in ["http://station.example.org:3001", "https://station.example.org:3001"] {
            assert_eq!(of(&[("origin", own)]), Provenance::Own, "{own}");
        }
        for foreign in [
            "null",
            "http://station.example.org",
            "http://evil.test:3001",
            "http://station.example.org:3001.evil.test",
            "ftp://station.example.org:3001",
        ] {
            assert_eq!(of(&[("origin", foreign)]), Provenance::Foreign, "{foreign}");
        }
        let (own, http) = (("origin", "http://station.example.org:3001"), ("x-forwarded-proto", "https"));
        assert_eq!(of(&[own, http]), Provenance::Foreign, "the page is another over TLS");
        assert_eq!(of(&[("sec-fetch-site", "same-origin"), ("origin", "null")]), Provenance::Own);
        for site in ["cross-site", "same-site", "none"] {
            assert_eq!(of(&[("sec-fetch-site", site), own]), Provenance::Foreign, "{site}");
        }
        let port = headers(&[("host", "[2001:db8::1]"), ("origin", "https://[2001:db8::1]:443")]);
        assert_eq!(Provenance::of(&port), Provenance::Own);
    }
}
