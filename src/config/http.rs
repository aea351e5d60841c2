//! `http:` how the services treat connections.

use std::net::IpAddr;

use ipnet::IpNet;

use super::keys::Key;
use super::reader::Reader;

pub(super) const KEYS: &[Key] =
    &[Key::single("http.connections_per_address"), Key::list("http.trusted_proxies")];

/// How the services treat connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Connections that one address may hold at once; half of all where nothing else is said.
    pub connections_per_address: Option<usize>,
    /// Proxies in front: they hold connections for many, and their word on their clients' addresses is taken.
    pub trusted_proxies: Vec<IpNet>,
}

impl HttpConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            connections_per_address: reader.number("http.connections_per_address", 1..=1_000_000),
            trusted_proxies: reader.items("http.trusted_proxies", parse_network),
        }
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().ok();
    let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network
        .ok_or_else(|| "must be an address or a network, as 10.0.0.1, 10.0.0.0/8 or 2001:db8::/32".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for (text, shown) in [
            ("10.0.0.1", "10.0.0.1/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::1", "::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(parse_network(text).unwrap().to_string(), shown);
        }
        for text in ["proxy.example.org", "10.0.0.0/33", "10.0.0", "10.0.0.1:80"] {
            assert!(parse_network(text).is_err(), "{text}");
        }
    }
}
