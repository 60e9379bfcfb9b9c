//! The addresses of one link or of one site: a prefix.
//!
//! Knows: which addresses share a prefix, and how people write it. Does not know: interfaces.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Addresses of one family that begin with the same bits: `10.1.0.0/16`, `2001:db8:7::/48`. Never all of a family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    /// Its lowest address.
    first: IpAddr,
    prefix: u8,
}

/// Text that is no subnet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a subnet: expected the lowest address and the bits that count, as in 10.1.0.0/16")]
pub struct NotASubnet {
    text: String,
}

impl Subnet {
    /// The subnet with this prefix that an address is in. `None` for a prefix of zero bits, or of more than there are.
    #[must_use]
    pub fn of(ip: IpAddr, prefix: u8) -> Option<Self> {
        let first = match ip {
            IpAddr::V4(v4) if (1..=32).contains(&prefix) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::from((u32::from(v4) & mask).to_be_bytes())
            }
            IpAddr::V6(v6) if (1..=128).contains(&prefix) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::from((u128::from(v6) & mask).to_be_bytes())
            }
            _ => return None,
        };
        Some(Self { first, prefix })
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        Self::of(ip, self.prefix).is_some_and(|of| of == *self)
    }
}

/// Whether an address is one that organizations use inside: 10/8, 172.16/12, 192.168/16, fc00::/7.
#[must_use]
pub const fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Subnet {
    type Err = NotASubnet;

    fn from_str(text: &str) -> Result<Self, NotASubnet> {
        let parts =
            text.split_once('/').and_then(|(ip, prefix)| Some((ip.parse().ok()?, prefix.parse().ok()?)));
        let subnet = parts.and_then(|(ip, prefix)| Some((ip, Self::of(ip, prefix)?)));
        match subnet {
            // Bits that do not count hint at a slip.
            Some((ip, subnet)) if subnet.first == ip => Ok(subnet),
            _ => Err(NotASubnet { text: text.chars().take(80).collect() }),
        }
    }
}

impl TryFrom<String> for Subnet {
    type Error = NotASubnet;

    fn try_from(text: String) -> Result<Self, NotASubnet> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_subnet_has_the_addresses_of_its_prefix_and_no_others() {
        for (subnet, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
            ("192.168.7.128/25", "192.168.7.128", "192.168.7.127"),
            ("10.0.0.1/32", "10.0.0.1", "10.0.0.2"),
            ("128.0.0.0/1", "255.1.1.1", "127.1.1.1"),
            ("2001:db8:7::/48", "2001:db8:7:ffff::1", "2001:db8:8::1"),
            ("::/1", "7fff::", "10.0.0.1"),
        ] {
            let subnet: Subnet = subnet.parse().unwrap();
            assert!(subnet.contains(ip(inside)) && !subnet.contains(ip(outside)), "{subnet}");
            assert_eq!(subnet.to_string().parse(), Ok(subnet));
        }
    }

    #[test]
    fn what_is_no_subnet_or_everything_is_refused() {
        for text in ["10.0.0.0/0", "::/0", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0", "10.0.0.0/x", "/8", ""] {
            assert!(text.parse::<Subnet>().is_err(), "{text}");
        }
    }

    #[test]
    fn private_addresses_are_those_of_organizations() {
        for text in ["10.0.0.1", "172.16.0.1", "172.31.9.9", "192.168.1.1", "fd00::1", "fc00::1"] {
            assert!(is_private(ip(text)), "{text}");
        }
        for text in [
            "8.8.8.8",
            "127.0.0.1",
            "169.254.1.1",
            "172.32.0.1",
            "100.64.0.1",
            "fe80::1",
            "::1",
            "2001:db8::1",
        ] {
            assert!(!is_private(ip(text)), "{text}");
        }
    }
}
