//! The true address of a client that comes through a proxy, and whom an address counts for.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use poem::http::{HeaderMap, HeaderName, header};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word on their clients' addresses is taken. Anybody else could claim to be who it likes.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl TrustedProxies {
    /// Whether this is the address of one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whose request this is that came from a trusted `proxy`: the last address on its way that is no trusted proxy.
    /// `X-Forwarded-For` counts, and `Forwarded` where there is none.
    pub(super) fn client(&self, headers: &HeaderMap, proxy: IpAddr) -> IpAddr {
        let (name, read): (_, fn(&str) -> Option<IpAddr>) = match headers.contains_key(X_FORWARDED_FOR) {
            true => (X_FORWARDED_FOR, read_node),
            false => (header::FORWARDED, read_forwarded),
        };
        let mut client = proxy;
        for value in headers.get_all(name).iter().rev() {
            for hop in value.to_str().unwrap_or_default().rsplit(',') {
                // What is behind a hop that says nothing is anybody's claim.
                let Some(hop) = read(hop.trim()) else { return client };
                client = hop;
                if !self.contains(hop) {
                    return client;
                }
            }
        }
        client
    }
}

/// Whom a connection, a stream or a failed attempt counts for: an IPv4 address, or the 64 bits of an IPv6 network, which is
/// what one subscriber has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    /// Of an address; one of IPv4 that is written as one of IPv6 is the same.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

/// How much each origin holds. What is of no origin counts for nobody.
#[derive(Debug, Default)]
pub(super) struct Shares(HashMap<Origin, usize>);

impl Shares {
    pub(super) fn of(&self, origin: Option<Origin>) -> usize {
        origin.and_then(|origin| self.0.get(&origin)).copied().unwrap_or_default()
    }

    pub(super) fn add(&mut self, origin: Option<Origin>) {
        if let Some(origin) = origin {
            *self.0.entry(origin).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, origin: Option<Origin>) {
        if let Some(origin) = origin
            && let Some(count) = self.0.get_mut(&origin)
        {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&origin);
            }
        }
    }
}

/// An address with or without a port, an IPv6 one with or without brackets.
fn read_node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

/// One element of `Forwarded` (RFC 7239): `for=192.0.2.1;proto=http`.
fn read_forwarded(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| read_node(value.trim().trim_matches('"')))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(headers: &[(HeaderName, &'static str)]) -> String {
        let proxies: TrustedProxies =
            ["10.0.0.0/8", "::1/128"].iter().map(|net| net.parse::<IpNet>().unwrap()).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.clone(), value.parse().unwrap());
        }
        proxies.client(&map, "10.0.0.1".parse().unwrap()).to_string()
    }

    #[test]
    fn the_client_is_the_last_that_is_no_trusted_proxy() {
        let x = || X_FORWARDED_FOR;
        assert_eq!(client(&[(x(), "192.0.2.7")]), "192.0.2.7");
        assert_eq!(client(&[(x(), "6.6.6.6, 192.0.2.7, 10.1.1.1")]), "192.0.2.7");
        assert_eq!(client(&[(x(), "6.6.6.6"), (x(), "192.0.2.7:4711")]), "192.0.2.7");
        assert_eq!(client(&[(x(), "[2001:db8::1]:80")]), "2001:db8::1");
        assert_eq!(client(&[(x(), "::ffff:192.0.2.7")]), "192.0.2.7");
        let forwarded = header::FORWARDED;
        assert_eq!(
            client(&[(forwarded.clone(), "for=6.6.6.6, For=\"[2001:db8::2]:1\";proto=http")]),
            "2001:db8::2"
        );
        assert_eq!(client(&[(forwarded, "for=6.6.6.6"), (x(), "192.0.2.7")]), "192.0.2.7");
    }

    #[test]
    fn a_network_of_ipv6_is_one_origin_and_a_mapped_address_is_that_of_ipv4() {
        let of = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn who_says_nothing_that_can_be_read_is_the_proxy() {
        for value in ["", "unknown", "6.6.6.6, _hidden", "6.6.6.6,"] {
            assert_eq!(client(&[(X_FORWARDED_FOR, value)]), "10.0.0.1", "{value}");
        }
        assert_eq!(client(&[]), "10.0.0.1");
    }
}
