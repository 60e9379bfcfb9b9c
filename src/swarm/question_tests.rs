//! What of the link's questions counts, and where our own go.

use super::*;
use crate::swarm::identity::peer_id_of;
use peer_proto::digest::{Algorithm, Digest};
use peer_proto::question::Audience;

fn net(ip: &str, prefix: u8, index: u32) -> Net {
    Net { ip: ip.parse().unwrap(), prefix, index }
}

fn office() -> Links {
    Links::new(vec![
        net("127.0.0.1", 8, 1),
        net("2001:db8:7::20", 64, 2),
        net("fe80::20", 64, 2),
        net("192.168.7.20", 24, 2),
        net("fe80::20", 64, 3),
        net("2001:db8:8::20", 64, 3),
    ])
}

fn own(addresses: Advertised) -> Advert {
    Advert { me: peer_id_of([1; 32]), port: 4_710, addresses }
}

fn question_of(seed: u8, port: u16) -> Vec<u8> {
    let asker = Asker {
        peer: peer_id_of([seed; 32]),
        port: NonZeroU16::new(port).unwrap(),
        address: "192.168.7.9".parse().unwrap(),
        nonce: [1; 8],
    };
    let digest = Digest::new(Algorithm::Sha256, vec![1; 32]).unwrap();
    Question::new(&asker, &[Wanted { digest, audience: Audience::Link }]).unwrap().encode()
}

fn addresses(links: &Links) -> Vec<String> {
    links.nets().iter().map(|net| net.ip.to_string()).collect()
}

#[test]
fn t11_a_question_counts_only_from_a_link_that_is_announced_on() {
    let own = own(Advertised::All { v4: true, v6: true });
    let counts = |datagram: &[u8], from: &str, links: &Links| {
        read(datagram, from.parse().unwrap(), links, &own).is_some()
    };
    let good = question_of(2, 7_411);
    for (from, expected) in [
        ("192.168.7.9:5000", true),
        ("[fe80::9%2]:5000", true),
        ("[2001:db8:7::9]:5000", true),
        ("192.168.8.9:5000", false),
        ("8.8.8.8:5000", false),
        ("127.0.0.1:5000", false),
        ("192.168.7.255:5000", false),
        ("169.254.169.254:5000", false),
        ("[fe80::9]:5000", false),
    ] {
        assert_eq!(counts(&good, from, &office()), expected, "{from}");
    }
    let only_v6 = announced_on(&Advertised::All { v4: false, v6: true }, &office());
    assert!(!counts(&good, "192.168.7.9:5000", &only_v6));
    assert!(!counts(&question_of(1, 7_411), "192.168.7.9:5000", &office()), "our own");
    assert!(!counts(&good[..40], "192.168.7.9:5000", &office()), "cut off");
    assert!(!counts(&[1; 513], "192.168.7.9:5000", &office()), "too long");
}

#[test]
fn each_link_is_asked_once_from_the_address_that_is_announced() {
    let asked = |addresses| {
        let links = announced_on(&addresses, &office());
        one_of_each_link(&links)
            .iter()
            .map(|net| format!("{} over {}", net.ip, net.index))
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(Advertised::All { v4: true, v6: true }), ["192.168.7.20 over 2", "fe80::20 over 3"]);
    assert_eq!(asked(Advertised::All { v4: true, v6: false }), ["192.168.7.20 over 2"]);
    assert_eq!(asked(Advertised::All { v4: false, v6: true }), ["fe80::20 over 2", "fe80::20 over 3"]);
    let these = Advertised::These(vec!["2001:db8:8::20".parse().unwrap()]);
    assert_eq!(asked(these), ["2001:db8:8::20 over 3"]);
    assert_eq!(asked(Advertised::Nothing), [""; 0]);
    assert_eq!(addresses(&announced_on(&Advertised::Nothing, &office())), [""; 0]);
}

#[test]
fn t7_ten_questions_of_an_address_and_a_hundred_in_all_are_looked_at_in_a_second() {
    let mut gate = Gate::default();
    let ip = |last: u32| IpAddr::from((0x0a63_0000 + last).to_be_bytes());
    let at = |ms: u64| Instant::ZERO.after(Duration::from_millis(ms));
    let one = (0..500).filter(|_| gate.admits(ip(1), at(2_000))).count();
    assert_eq!(one, 10);
    assert!(gate.admits(ip(2), at(2_100)), "others are heard all the while");
    let many = (3..1_000).filter(|last| gate.admits(ip(*last), at(2_200))).count();
    assert_eq!(many, 89);
    assert!(gate.of_address.len() <= 100, "{}", gate.of_address.len());
    while gate.is_open(at(2_300)) {
        gate.admits(ip(1), at(2_300));
    }
    assert_eq!(gate.arrived, QUESTION_DATAGRAMS_PER_S_MAX);
    assert!(gate.is_open(at(3_000)) && gate.admits(ip(1), at(3_000)), "a new second begins");
}
