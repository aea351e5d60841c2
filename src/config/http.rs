//! `http:` how the services treat connections.

use std::net::{IpAddr, Ipv6Addr};

use http_kit::hosts::RequestHost;
use ipnet::IpNet;
use settings::Reader;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Connections that one address may hold at once; half of all where nothing else is said.
    pub connections_per_address: Option<usize>,
    /// Proxies in front: they hold connections for many, and their word on their clients' addresses is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// The hosts that requests may be for; any where there is none.
    pub allowed_hosts: Vec<RequestHost>,
}

fn parse_allowed_host(text: &str) -> Result<RequestHost, String> {
    // An IPv6 address needs no brackets where no port can follow.
    let bracketed = text.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    RequestHost::parse(bracketed.as_deref().unwrap_or(text)).ok_or_else(|| {
        "must be a host name or an address, as orders.example.org, 192.0.2.1, [2001:db8::1] or localhost:3000"
            .to_owned()
    })
}

impl HttpConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            connections_per_address: reader.optional_number("http.connections_per_address"),
            trusted_proxies: reader.list("http.trusted_proxies", parse_network),
            allowed_hosts: reader.list("http.allowed_hosts", parse_allowed_host),
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

    #[test]
    fn a_host_has_one_way_of_writing() {
        let takes = |allowed: &str, asked: &str| {
            parse_allowed_host(allowed).unwrap().takes(&RequestHost::parse(asked).unwrap())
        };
        for (allowed, asked) in [
            ("orders.example.org", "Orders.Example.ORG:8080"),
            ("Orders.example.org.", "orders.example.org"),
            ("orders.example.org", "orders.example.org.:80"),
            ("192.0.2.1", "192.0.2.1:3000"),
            ("2001:db8::1", "[2001:DB8:0::1]:3000"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("localhost:3000", "localhost:3000"),
            ("192.0.2.1", "[::ffff:192.0.2.1]"),
        ] {
            assert!(takes(allowed, asked), "{allowed} {asked}");
        }
        for (allowed, asked) in [
            ("orders.example.org", "orders.example.org.evil.test"),
            ("orders.example.org", "xorders.example.org"),
            ("orders.example.org", "example.org"),
            ("localhost:3000", "localhost:3001"),
            ("localhost:3000", "localhost"),
            ("192.0.2.1", "192.0.2.10"),
        ] {
            assert!(!takes(allowed, asked), "{allowed} {asked}");
        }
        for text in [
            "",
            ":80",
            "a b",
            "a/b",
            "a:b",
            "a:99999",
            "a:+1",
            "*.example.org",
            "http://a",
            "[::1",
            "..",
            "é",
        ] {
            assert!(parse_allowed_host(text).is_err(), "{text}");
        }
    }
}
