//! Which interfaces of this machine are tunnels: VPNs, PPP, other networks' packets inside one's own.
//!
//! Knows: what Linux tells of an interface under `/sys/class/net`. Does not know: addresses, who may be met over a tunnel.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// Whether peers are met over tunnels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Tunnels {
    /// No: what seems to be the next room may be a colleague's home at the other end of a slow line.
    #[default]
    Shun,
    /// As over any other link.
    Use,
}

/// Kinds of hardware, in the system's numbers, that are none: PPP, IP in IP of four kinds, GRE of two, and "no header at
/// all", as `tun` and WireGuard have it.
const TUNNEL_KINDS: [u32; 8] = [512, 768, 769, 776, 778, 783, 823, 65_534];

/// Whether an interface is a tunnel. `false` where the system does not say.
pub(super) fn is_tunnel(name: &str) -> bool {
    is_tunnel_in(Path::new("/sys/class/net"), name)
}

fn is_tunnel_in(folder: &Path, name: &str) -> bool {
    // A second address may have the interface's name with a label.
    let name = name.split(':').next().unwrap_or(name);
    let folder = folder.join(name);
    let kind = std::fs::read_to_string(folder.join("type")).ok().and_then(|text| text.trim().parse().ok());
    // `tap` looks like Ethernet, but has this.
    folder.join("tun_flags").exists() || kind.is_some_and(|kind: u32| TUNNEL_KINDS.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_are_told_from_links_by_what_the_system_says() {
        let folder = tempfile::tempdir().unwrap();
        for (name, kind, flags, is_tunnel) in [
            ("eth0", "1", None, false),
            ("wlan0", "1", None, false),
            ("br0", "1", None, false),
            ("lo", "772", None, false),
            ("tun0", "65534", Some("0x1801"), true),
            ("tap0", "1", Some("0x1802"), true),
            ("wg0", "65534", None, true),
            ("ppp0", "512", None, true),
            ("gre1", "778", None, true),
            ("odd", "not a number", None, false),
        ] {
            let of_it = folder.path().join(name);
            std::fs::create_dir(&of_it).unwrap();
            std::fs::write(of_it.join("type"), format!("{kind}\n")).unwrap();
            if let Some(flags) = flags {
                std::fs::write(of_it.join("tun_flags"), flags).unwrap();
            }
            assert_eq!(is_tunnel_in(folder.path(), name), is_tunnel, "{name}");
            assert_eq!(
                is_tunnel_in(folder.path(), &format!("{name}:1")),
                is_tunnel,
                "{name}, another address"
            );
        }
        assert!(!is_tunnel_in(folder.path(), "gone"));
        assert!(!is_tunnel("lo"));
    }
}
