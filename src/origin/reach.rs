//! Which addresses an origin request may connect to (LOCAL-7, T14).
//!
//! Knows: classes of addresses, and what a chain of redirects has touched so far. Does not know: names; it judges the
//! very address that is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who may send requests into the machine and its private networks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reach {
    /// The node belongs to the user who submits: loopback and private addresses when the job's own URL leads there.
    #[default]
    OwnUser,
    /// The node works for several users: global addresses only.
    GlobalOnly,
}

/// What an address is part of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// The internet.
    Global,
    /// A private network, or reserved for one purpose or another.
    Private,
    /// This machine.
    Loopback,
    /// Link-local, metadata, multicast, unspecified: never asked.
    Never,
}

/// What a chain of requests for one job has touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Trail {
    first: Option<Class>,
    left_home: bool,
}

impl Trail {
    /// Notes a hop that connected to an address of this class.
    pub(super) fn pass(&mut self, class: Class) {
        self.first.get_or_insert(class);
        self.left_home |= class == Class::Global;
    }

    /// Whether no hop was made yet: the next one is the job's own host.
    pub(super) fn is_fresh(&self) -> bool {
        self.first.is_none()
    }

    /// Whether the next hop may connect to `address`.
    pub(super) fn admit(&self, reach: Reach, address: IpAddr) -> Result<Class, &'static str> {
        self.admit_class(reach, classify(address))
    }

    /// The same for an address that is known by its class only.
    pub(super) fn admit_class(&self, reach: Reach, class: Class) -> Result<Class, &'static str> {
        match (class, reach) {
            (Class::Global, _) => Ok(class),
            (Class::Never, _) => {
                Err("link-local, metadata, multicast and unspecified addresses are never asked")
            }
            (Class::Private | Class::Loopback, Reach::GlobalOnly) => {
                Err("this node asks addresses of the internet only")
            }
            (Class::Private | Class::Loopback, Reach::OwnUser) if self.left_home => {
                Err("a redirect may not lead from the internet into this machine or a private network")
            }
            (Class::Loopback, Reach::OwnUser) if self.first == Some(Class::Private) => {
                Err("a redirect may not lead from another machine to this one")
            }
            (Class::Private | Class::Loopback, Reach::OwnUser) => Ok(class),
        }
    }
}

/// The class of an address; IPv4 inside IPv6 is judged as what it leads to.
pub(super) fn classify(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(address: Ipv4Addr) -> Class {
    let [a, b, c, _] = address.octets();
    if METADATA_V4.contains(&address.octets())
        || a == 0
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
    {
        return Class::Never;
    }
    if address.is_loopback() {
        return Class::Loopback;
    }
    let is_reserved = address.is_private()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        || a >= 240;
    if is_reserved { Class::Private } else { Class::Global }
}

fn classify_v6(address: Ipv6Addr) -> Class {
    if address == Ipv6Addr::LOCALHOST {
        return Class::Loopback;
    }
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        classify_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => v4(high, low),
        // A translator or tunnel in front of an address that is not global is a way round the rules.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => match v4(high, low) {
            Class::Global => Class::Global,
            Class::Private | Class::Loopback | Class::Never => Class::Never,
        },
        [0x2001, 0, ..] => Class::Never,
        [0xfd00, 0xec2, ..] => Class::Never,
        [first, ..] if first & 0xffc0 == 0xfe80 || first & 0xff00 == 0xff00 => Class::Never,
        [first, ..] if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Class::Private,
        [0x2001, 0xdb8, ..] | [0x100, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Class::Private,
        [first, ..] if first & 0xe000 == 0x2000 => Class::Global,
        _ => Class::Private,
    }
}

/// Metadata services outside the link-local range.
const METADATA_V4: [[u8; 4]; 3] = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Class {
        classify(text.parse().unwrap())
    }

    #[test]
    fn t14_metadata_link_local_multicast_and_unspecified_are_never_asked() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "2001:0:1::1",
            "fe80::1",
            "ff02::fb",
            "fd00:ec2::254",
        ] {
            assert_eq!(class(address), Class::Never, "{address}");
            assert!(Trail::default().admit(Reach::OwnUser, address.parse().unwrap()).is_err());
        }
    }

    #[test]
    fn addresses_fall_into_their_classes() {
        for (address, wanted) in [
            ("93.184.215.14", Class::Global),
            ("2606:2800:21f:cb07::1", Class::Global),
            ("64:ff9b::5db8:d70e", Class::Global),
            ("127.0.0.1", Class::Loopback),
            ("127.255.0.9", Class::Loopback),
            ("::1", Class::Loopback),
            ("::ffff:127.0.0.1", Class::Loopback),
            ("10.1.2.3", Class::Private),
            ("172.31.0.1", Class::Private),
            ("192.168.1.1", Class::Private),
            ("100.64.0.1", Class::Private),
            ("198.18.0.1", Class::Private),
            ("240.0.0.1", Class::Private),
            ("::ffff:10.0.0.1", Class::Private),
            ("fd12::1", Class::Private),
            ("2001:db8::1", Class::Private),
        ] {
            assert_eq!(class(address), wanted, "{address}");
        }
    }

    #[test]
    fn local_7_a_redirect_never_leads_inwards() {
        let private: IpAddr = "10.0.0.5".parse().unwrap();
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let fresh = Trail::default();
        assert!(fresh.is_fresh() && fresh.admit(Reach::OwnUser, loopback).is_ok());
        assert!(fresh.admit(Reach::GlobalOnly, loopback).is_err());
        let mut outside = fresh;
        outside.pass(Class::Global);
        assert!(outside.admit(Reach::OwnUser, private).is_err());
        assert!(outside.admit(Reach::OwnUser, loopback).is_err());
        let mut lan = fresh;
        lan.pass(Class::Private);
        assert!(lan.admit(Reach::OwnUser, private).is_ok());
        assert!(lan.admit(Reach::OwnUser, loopback).is_err());
        lan.pass(Class::Global);
        assert!(lan.admit(Reach::OwnUser, private).is_err());
        let mut own = fresh;
        own.pass(Class::Loopback);
        assert!(own.admit(Reach::OwnUser, loopback).is_ok());
    }
}
