//! Free ports on 127.0.0.1 which stay free while a server restarts.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use super::error::ServerError;
use super::files;

/// Below the range from which Linux takes ports for outgoing connections (32768 and up by default). A port of that
/// range could be taken, while its server is down, by any connection made meanwhile, even by a client's connection
/// to itself.
const LOW: u16 = 16_000;
const HIGH: u16 = 31_999;
const MAX_TRIES: usize = 500;

/// Whether a server could listen on this port of 127.0.0.1 now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// `N` different free ports of 127.0.0.1, none of them from the range of outgoing connections.
///
/// # Errors
/// [`ServerError::NoFreePort`] when several hundred random ports were all taken.
pub fn free_ports<const N: usize>() -> Result<[u16; N], ServerError> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    let mut tries = 0;
    while held.len() < N {
        tries += 1;
        if tries > MAX_TRIES {
            return Err(ServerError::NoFreePort { low: LOW, high: HIGH });
        }
        let port = fastrand::u16(LOW..=HIGH);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            ports[held.len()] = port;
            held.push(listener);
        }
    }
    Ok(ports)
}

/// The ports that the last start wrote to `file`, where they are all free still, else new ones.
pub(crate) fn kept_or_free_ports<const N: usize>(file: &Path) -> Result<[u16; N], ServerError> {
    let text = files::read(file).unwrap_or_default();
    let kept: Vec<u16> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match <[u16; N]>::try_from(kept) {
        Ok(ports) if ports.iter().all(|port| is_free(*port)) => Ok(ports),
        _ => free_ports(),
    }
}

/// Writes ports for [`kept_or_free_ports`] of the next start.
pub(crate) fn keep_ports(file: &Path, ports: &[u16]) -> Result<(), ServerError> {
    let text: Vec<String> = ports.iter().map(u16::to_string).collect();
    files::write(file, &(text.join(" ") + "\n"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_kept_unless_one_of_them_was_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ports");
        let first: [u16; 3] = kept_or_free_ports(&file).unwrap();
        keep_ports(&file, &first).unwrap();
        assert_eq!(kept_or_free_ports::<3>(&file).unwrap(), first);

        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first[1])).unwrap();
        let second: [u16; 3] = kept_or_free_ports(&file).unwrap();
        assert!(!second.contains(&first[1]));
    }
}
