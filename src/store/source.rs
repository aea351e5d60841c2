//! From where an order comes, without any address.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

/// From where an order comes: below 0 a table, else an address, of which 24 bits of a hash are kept. Some 256 addresses share
/// each, so it names none; of 10,000 open orders one is another's once in 1,600 times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OrderSource(i32);

impl OrderSource {
    pub(super) fn stored(self) -> i32 {
        self.0
    }

    pub(super) fn from_stored(source: i32) -> Self {
        Self(source)
    }

    pub(super) fn is_table(self) -> bool {
        self.0 < 0
    }

    pub fn table(table: u8) -> Self {
        Self(-i32::from(table))
    }

    /// One household has a whole network of IPv6.
    pub fn address(address: IpAddr) -> Self {
        let hash = match address.to_canonical() {
            IpAddr::V4(address) => Sha256::digest(address.octets()),
            IpAddr::V6(address) => Sha256::digest(&address.octets()[..8]),
        };
        Self(i32::from_be_bytes([0, hash[0], hash[1], hash[2]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_table_an_address_or_a_network_of_ipv6() {
        let address = |text: &str| OrderSource::address(text.parse().unwrap());
        assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert!(address("192.0.2.1").0 >= 0 && OrderSource::table(7).0 < 0);
    }
}
