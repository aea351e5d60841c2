//! File descriptors: every connection is one, and a process may have so many.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a process needs beside its clients and its pool: its files, its other connections, the runtime's own; and clients
/// that have been sent away and are not gone yet.
const RESERVE: u64 = 64;

/// Raises the limit on open files as far as this process may by itself, and says how many it may have now. Outside
/// systemd it is mostly 1,024 at first, which is for programs that know nothing of more.
pub fn raise_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return u64::MAX };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft }
}

/// How many of the wished connections clients may hold where a process may have so many open files and needs some of them
/// for its servers: who holds all of them would cut the process off from its database.
pub fn for_clients(limit: u64, wished: usize, servers: usize) -> usize {
    let free = limit.saturating_sub(RESERVE).saturating_sub(u64::try_from(servers).unwrap_or(u64::MAX));
    wished.min(usize::try_from(free).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_the_servers_leave() {
        assert_eq!(for_clients(8192, 1024, 8), 1024);
        assert_eq!(for_clients(1024, 1024, 10), 950);
        assert_eq!(for_clients(50, 1024, 10), 1);
        assert_eq!(for_clients(u64::MAX, 1024, 10), 1024);
    }
}
