//! The hosts that requests may be for.
//!
//! A page from elsewhere may have its own name point to this service (DNS rebinding): the browser then takes both for one, and
//! lets the page read what is answered. The name that it asks for is still the page's.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use poem::{
    Request,
    http::{Uri, header},
};

use super::problem::{Kind, Problem};

/// What is asked by machines that know an address and no name, or are on this machine. A page's name is neither.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
const THIS_MACHINE: &str = "localhost";

/// A host as a request names it, or one that requests may be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHost {
    /// Whom the request is for.
    pub host: HostName,
    /// The port where one is named.
    pub port: Option<u16>,
}

/// One way of writing for each host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostName {
    /// In lower case, without the dot at the end of a full name.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl RequestHost {
    /// Reads `name`, `name:port`, `192.0.2.1`, `[2001:db8::1]:port`; `None` where it is no host.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address = IpAddr::from(address.parse::<Ipv6Addr>().ok()?);
            return Some(Self { host: HostName::Address(address.to_canonical()), port: parse_port(port)? });
        }
        let (name, port) = text.find(':').map_or((text, ""), |colon| text.split_at(colon));
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.split('.').any(str::is_empty) || !name.chars().all(is_plain) {
            return None;
        }
        let host = match name.parse() {
            Ok(address) => HostName::Address(address),
            Err(_) => HostName::Name(name.to_ascii_lowercase()),
        };
        Some(Self { host, port: parse_port(port)? })
    }

    /// Whether a request for `asked` is for this host. A host without a port is meant on each.
    pub fn takes(&self, asked: &Self) -> bool {
        self.host == asked.host && (self.port.is_none() || self.port == asked.port)
    }
}

/// The port behind a host, with its colon; nothing, and a colon alone, is none.
fn parse_port(text: &str) -> Option<Option<u16>> {
    match text.strip_prefix(':') {
        None => text.is_empty().then_some(None),
        Some("") => Some(None),
        // Digits only: a sign would be read as well.
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok().map(Some),
        Some(_) => None,
    }
}

/// The hosts that requests may be for: any, where none is named.
#[derive(Debug, Clone, Default)]
pub struct AllowedHosts(Arc<[RequestHost]>);

impl FromIterator<RequestHost> for AllowedHosts {
    fn from_iter<I: IntoIterator<Item = RequestHost>>(hosts: I) -> Self {
        Self(hosts.into_iter().collect())
    }
}

impl AllowedHosts {
    /// Why a request is for nobody here: the host that it names.
    pub(super) fn misdirected<'a>(&self, request: &'a Request) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let named = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
        // Where the target names a host itself, that is the one which counts; one that says two things is for nobody.
        let target = request.uri().authority().map(|authority| authority.as_str());
        let hosts = [target, named.or_else(|| target.is_none().then_some(""))];
        hosts.into_iter().flatten().find(|host| !self.admit(host, request.uri()))
    }

    fn admit(&self, host: &str, target: &Uri) -> bool {
        let is_probe = PROBES.contains(&target.path());
        let Some(asked) = RequestHost::parse(host) else { return is_probe && host.is_empty() };
        let is_nobodys_page = match &asked.host {
            HostName::Address(_) => true,
            HostName::Name(name) => name == THIS_MACHINE,
        };
        (is_probe && is_nobodys_page) || self.0.iter().any(|allowed| allowed.takes(&asked))
    }
}

/// The answer to a request for another host. It does not say which there are.
pub(super) fn refusal() -> Problem {
    Problem::new(Kind::Misdirected, "this service does not answer for the host that the request is for")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_served(uri: &'static str, host: Option<&'static str>) -> bool {
        let hosts: AllowedHosts = RequestHost::parse("orders.example.org").into_iter().collect();
        let request = Request::builder().uri_str(uri);
        let request = match host {
            Some(host) => request.header("host", host),
            None => request,
        };
        hosts.misdirected(&request.finish()).is_none()
    }

    #[test]
    fn a_request_is_served_for_the_hosts_that_are_named() {
        assert!(is_served("/orders", Some("orders.example.org:3000")));
        assert!(is_served("http://orders.example.org/orders", Some("orders.example.org")));
        for host in ["evil.test", "127.0.0.1:3000", "localhost", "orders.example.org.evil.test", ""] {
            assert!(!is_served("/orders", Some(host)), "{host}");
        }
        assert!(!is_served("/orders", None));
        assert!(!is_served("http://evil.test/orders", Some("orders.example.org")));
        assert!(!is_served("http://orders.example.org/orders", Some("evil.test")));
        let any = AllowedHosts::default();
        assert!(any.misdirected(&Request::builder().uri_str("/").header("host", "x").finish()).is_none());
    }

    #[test]
    fn who_looks_at_a_machine_by_its_address_learns_whether_it_is_well() {
        for path in PROBES {
            for host in
                [Some("192.0.2.1:3000"), Some("[2001:db8::1]"), Some("localhost:3000"), Some(""), None]
            {
                assert!(is_served(path, host), "{path} {host:?}");
            }
            assert!(!is_served(path, Some("evil.test")), "{path}");
        }
    }
}
