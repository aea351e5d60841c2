//! Where a server is.

use std::fmt;

/// A host name or address with its port. For PostgreSQL an absolute path is the folder of its Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name, an IPv4 address, an IPv6 address without brackets, or an absolute path.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
}

impl HostPort {
    /// Whether it is the folder of a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Whether what is sent there stays on this machine.
    pub fn is_local(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.is_socket() || self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// As [`Self::parse`], of a server that has no Unix socket.
    ///
    /// # Errors
    /// It is no host of a network.
    pub fn parse_network(text: &str, default_port: u16) -> Result<Self, String> {
        match Self::parse(text, default_port)? {
            host if host.is_socket() => Err("must be a host name or address, not a path".to_owned()),
            host => Ok(host),
        }
    }

    /// `host`, `host:port`, `::1`, `[::1]`, `[::1]:port`, or an absolute path, which may have a port behind it as well. The
    /// error says what is expected; it does not repeat the text, which might be a URL with a password.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        let text = text.trim();
        let (host, port) = split(text).ok_or("must be a host or host:port, with a port from 1 to 65535")?;
        let port = match port {
            None => default_port,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or("must be a host or host:port, with a port from 1 to 65535")?,
        };
        if host.is_empty() {
            return Err("must not be empty".to_owned());
        }
        if host.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '@' | '?' | '#' | ',')) {
            return Err("must be a plain host name or address, not a URL".to_owned());
        }
        if host.contains('/') && !host.starts_with('/') {
            return Err("must be a plain host name or address, not a URL".to_owned());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Host and port digits; `None` for brackets that do not fit.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if text.starts_with('/') {
        let port = text.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()));
        return Some(port.map_or((text, None), |(folder, port)| (folder, Some(port))));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((host, None)),
            _ => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') && !self.is_socket() {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_bring_its_own_port() {
        for (text, shown) in [
            ("db", "db:5432"),
            ("db:6000", "db:6000"),
            (" 10.0.0.1 ", "10.0.0.1:5432"),
            ("::1", "[::1]:5432"),
            ("[::1]", "[::1]:5432"),
            ("[fe80::2]:7", "[fe80::2]:7"),
            ("/run/postgresql", "/run/postgresql:5432"),
            ("/run/postgresql:5433", "/run/postgresql:5433"),
        ] {
            assert_eq!(HostPort::parse(text, 5432).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_stays_on_this_machine_is_known_and_a_path_is_no_host_of_a_network() {
        for (text, is_local) in [
            ("/run/postgresql", true),
            ("localhost", true),
            ("127.0.0.2", true),
            ("::1", true),
            ("db", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(HostPort::parse(text, 5432).unwrap().is_local(), is_local, "{text}");
            assert_eq!(HostPort::parse_network(text, 5432).is_err(), text.starts_with('/'), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_without_being_repeated() {
        for text in [
            "",
            " ",
            ":5432",
            "db:0",
            "db:65536",
            "db:x",
            "[::1",
            "[::1]x",
            "a b",
            "amqp://u:hunter2@h/",
            "/run:0",
        ] {
            let message = HostPort::parse(text, 5432).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
