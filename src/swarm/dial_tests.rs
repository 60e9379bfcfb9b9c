//! What the peer table dials, and what it refuses to remember.

use super::*;

const ME: PeerId = PeerId::from_public_key([0x7f; 32]);

fn peer(number: u32) -> PeerId {
    let mut key = [0xff; 32];
    key[1..5].copy_from_slice(&number.to_be_bytes());
    PeerId::from_public_key(key)
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn on_lan(number: u32, port: u16) -> SocketAddr {
    let [_, b, c, d] = number.to_be_bytes();
    ([10, b, c, d], port).into()
}

fn dials(table: &mut PeerTable, now: Instant) -> Vec<Dial> {
    table.next_dials(now, &BTreeSet::new(), Strangers::Dial)
}

#[test]
fn t11_the_table_holds_1024_peers_with_8_addresses_each() {
    let mut table = PeerTable::new(ME);
    for number in 0..3_000 {
        let sockets: Vec<_> = (1..=20).map(|port| on_lan(number, port)).collect();
        table.announce(peer(number), &sockets, KnownBy::Announced, at(0));
    }
    assert_eq!(table.announced.len(), PEERS_MAX);
    assert_eq!(table.known(at(0)).count(), PEERS_MAX * ADDRESSES_PER_PEER_MAX);
}

#[test]
fn t11_one_address_stands_for_32_peer_ids_at_most() {
    let mut table = PeerTable::new(ME);
    let taken = (0..500)
        .filter(|n| table.announce(peer(*n), &[on_lan(1, 80)], KnownBy::Announced, at(0)) == Announced::New)
        .count();
    assert_eq!(taken, PEERS_PER_IP_MAX);
    assert_eq!(table.announce(peer(999), &[on_lan(2, 80)], KnownBy::Announced, at(0)), Announced::New);
}

#[test]
fn t11_announced_strangers_are_dialled_one_per_beat() {
    let mut table = PeerTable::new(ME);
    for number in 0..100 {
        table.announce(peer(number), &[on_lan(number, 80)], KnownBy::Announced, at(0));
    }
    let dialled: usize =
        (0..10).map(|beat| dials(&mut table, Instant::from_micros(beat * 100_000)).len()).sum();
    assert_eq!(dialled, 10);
}

#[test]
fn t11_local_8_ten_dials_a_second_however_often_it_is_asked() {
    let mut table = PeerTable::new(ME);
    for number in 0..100 {
        table.announce(peer(number), &[on_lan(number, 80)], KnownBy::Announced, at(0));
        table.configure(
            PeerAddress::new(on_lan(1_000 + number, 80), None).unwrap(),
            Purpose::Peer,
            NamedBy::Configuration,
            at(0),
        );
    }
    // A flood of announcements and of configured addresses wakes the loop at any time.
    let dialled: usize =
        (0..1_000).map(|milli| dials(&mut table, Instant::from_micros(milli * 1_000)).len()).sum();
    assert_eq!(dialled, 10);
}

#[test]
fn d32_an_announcement_is_forgotten_after_ten_minutes() {
    let mut table = PeerTable::new(ME);
    table.announce(peer(1), &[on_lan(1, 80)], KnownBy::Announced, at(0));
    assert_eq!(dials(&mut table, at(601)), []);
    table.forget_expired(at(601));
    assert_eq!(table.announced.len(), 0);
}

#[test]
fn a_full_table_gives_up_whom_it_cannot_reach_first() {
    let mut table = PeerTable::new(ME);
    for number in 0..1_024 {
        table.announce(peer(number), &[on_lan(number, 80)], KnownBy::Announced, at(0));
    }
    assert_eq!(
        table.announce(peer(5_000), &[on_lan(5_000, 80)], KnownBy::Announced, at(1)),
        Announced::Ignored
    );
    let dial = dials(&mut table, at(1)).pop().unwrap();
    table.failed(&dial, at(2));
    assert_eq!(table.announce(peer(5_000), &[on_lan(5_000, 80)], KnownBy::Announced, at(3)), Announced::New);
    assert!(!table.announced.contains_key(&dial.peer.unwrap()));
}

#[test]
fn every_announced_peer_gets_its_turn() {
    let mut table = PeerTable::new(ME);
    for number in 0..20 {
        table.announce(peer(number), &[on_lan(number, 80)], KnownBy::Announced, at(0));
    }
    let mut reached = BTreeSet::new();
    for second in 1..=20 {
        let dial = dials(&mut table, at(second)).pop().unwrap();
        table.failed(&dial, at(second));
        reached.insert(dial.peer);
    }
    assert_eq!(reached.len(), 20);
}

#[test]
fn trust_9_failures_count_against_the_address_and_never_the_peer() {
    let mut table = PeerTable::new(ME);
    let (forged, real) = (on_lan(1, 80), on_lan(2, 80));
    table.announce(peer(1), &[forged, real], KnownBy::Announced, at(0));
    let first = dials(&mut table, at(1)).pop().unwrap();
    assert_eq!(first.socket, forged);
    table.failed(&first, at(1));
    let second = dials(&mut table, at(1)).pop().unwrap();
    assert_eq!((second.peer, second.socket), (Some(peer(1)), real));
    assert!(!table.is_banned(peer(1), at(1)));
}

#[test]
fn a_configured_peer_is_dialled_for_ever_with_growing_pauses() {
    let mut table = PeerTable::new(ME);
    let address: PeerAddress = "10.0.0.1:80".parse().unwrap();
    assert_eq!(table.configure(address, Purpose::Peer, NamedBy::Configuration, at(0)), Named::New);
    assert_eq!(table.configure(address, Purpose::Peer, NamedBy::Added, at(0)), Named::Known, "twice");
    let mut waits = Vec::new();
    let mut last = 0;
    for second in 0..200 {
        if let Some(dial) = dials(&mut table, at(second)).pop() {
            waits.push(second - last);
            last = second;
            table.failed(&dial, at(second));
        }
    }
    assert_eq!(waits[..7], [0, 1, 2, 4, 8, 16, 30]);
    assert!(waits[7..].iter().all(|wait| *wait == 30));
}

#[test]
fn a_configured_peer_is_not_dialled_while_connected_and_is_again_once_lost() {
    let mut table = PeerTable::new(ME);
    table.configure("10.0.0.1:80".parse().unwrap(), Purpose::Peer, NamedBy::Configuration, at(0));
    let dial = dials(&mut table, at(0)).pop().unwrap();
    table.reached(&dial, peer(1), at(1));
    let busy = BTreeSet::from([peer(1)]);
    assert_eq!(table.next_dials(at(100), &busy, Strangers::Dial), []);
    table.lost(peer(1), at(100));
    assert_eq!(dials(&mut table, at(100)), []);
    assert_eq!(dials(&mut table, at(101)).len(), 1);
}

#[test]
fn of_two_that_discover_each_other_the_larger_id_waits() {
    let (small, large) = (PeerId::from_public_key([1; 32]), PeerId::from_public_key([2; 32]));
    let mut one = PeerTable::new(small);
    one.announce(large, &[on_lan(1, 80)], KnownBy::Announced, at(0));
    assert_eq!(dials(&mut one, at(0)).len(), 1);
    let mut other = PeerTable::new(large);
    other.announce(small, &[on_lan(1, 80)], KnownBy::Announced, at(0));
    let millis = |count| Instant::ZERO.after(Duration::from_millis(count));
    assert_eq!(dials(&mut other, millis(400)), []);
    assert_eq!(dials(&mut other, millis(500)).len(), 1);
}

#[test]
fn a_banned_peer_is_not_dialled_until_its_ban_ends() {
    let mut table = PeerTable::new(ME);
    table.announce(peer(1), &[on_lan(1, 80)], KnownBy::Announced, at(0));
    table.ban(peer(1), Duration::from_secs(60), at(0));
    table.ban(peer(1), Duration::from_secs(1), at(0));
    assert_eq!(dials(&mut table, at(59)), []);
    assert_eq!(dials(&mut table, at(60)).len(), 1);
}

#[test]
fn trust_9_three_banned_ids_put_their_address_last_and_nobody_there_is_refused() {
    let (crowded, other) = (on_lan(1, 80), on_lan(2, 80));
    let order = |banned: u32| {
        let mut table = PeerTable::new(ME);
        for number in 1..=4 {
            table.announce(peer(number), &[crowded], KnownBy::Announced, at(0));
        }
        table.announce(peer(9), &[other], KnownBy::Announced, at(0));
        (1..=banned).for_each(|number| table.ban(peer(number), Duration::from_secs(600), at(0)));
        let dialled = (10..15).flat_map(|second| dials(&mut table, at(second)));
        dialled.map(|dial| (dial.peer.expect("announced"), dial.socket)).collect::<Vec<_>>()
    };
    let (honest, elsewhere) = ((peer(4), crowded), (peer(9), other));
    assert_eq!(order(2), [(peer(3), crowded), honest, elsewhere], "two are no crowd");
    assert_eq!(order(3), [elsewhere, honest]);
}

#[test]
fn wire_9_protocol_errors_ban_for_a_minute_doubling() {
    let mut table = PeerTable::new(ME);
    let mut now = at(0);
    for minutes in [1, 2, 4, 8] {
        table.protocol_error(peer(1), now);
        let end = now.after(Duration::from_secs(60 * minutes));
        assert!(table.is_banned(peer(1), Instant::from_micros(end.as_micros() - 1)));
        assert!(!table.is_banned(peer(1), end));
        now = end;
    }
}

#[test]
fn bans_are_bounded_and_the_shortest_goes_first() {
    let mut table = PeerTable::new(ME);
    for number in 0..2_000 {
        table.ban(peer(number), Duration::from_secs(u64::from(number) + 1), at(0));
    }
    assert_eq!(table.bans.len(), BANS_MAX);
    assert!(table.is_banned(peer(1_999), at(0)) && !table.is_banned(peer(0), at(0)));
}

#[test]
fn nobody_dials_himself() {
    let mut table = PeerTable::new(ME);
    assert_eq!(table.announce(ME, &[on_lan(1, 80)], KnownBy::Announced, at(0)), Announced::Ignored);
    let own = PeerAddress::new(on_lan(1, 80), Some(ME)).unwrap();
    assert_eq!(table.configure(own, Purpose::Peer, NamedBy::Configuration, at(0)), Named::Refused);
}

#[test]
fn t11_and_t9_who_asks_is_called_once_in_turns_with_the_announced_and_within_the_same_ten_a_second() {
    let mut table = PeerTable::new(ME);
    for number in 0..100 {
        table.announce(peer(number), &[on_lan(number, 80)], KnownBy::Announced, at(0));
        table.call(peer(1_000 + number), on_lan(1_000 + number, 80), at(0));
    }
    let mut reasons = Vec::new();
    for milli in 0..1_000 {
        reasons.extend(dials(&mut table, Instant::from_micros(milli * 1_000)).iter().map(|dial| dial.reason));
    }
    assert_eq!(reasons, [Reason::Asked, Reason::Announced].repeat(5));
    assert!(!table.call(ME, on_lan(1, 80), at(1)), "not ourselves");
}

#[test]
fn t9_a_call_that_failed_is_not_repeated_and_holds_back_the_next_to_that_address_only() {
    let mut table = PeerTable::new(ME);
    assert!(table.call(peer(1), on_lan(1, 80), at(0)));
    let dial = dials(&mut table, at(0))[0];
    assert_eq!(dial, Dial { socket: on_lan(1, 80), peer: Some(peer(1)), reason: Reason::Asked });
    table.failed(&dial, at(0));
    assert_eq!(dials(&mut table, at(600)), [], "one try");
    table.failed(&dial, at(600));
    assert!(!table.call(peer(2), on_lan(1, 81), at(600)));
    assert!(table.call(peer(3), on_lan(2, 80), at(600)));
}

#[test]
fn t10_who_is_connected_or_banned_is_not_called() {
    let mut table = PeerTable::new(ME);
    for number in 1..=3 {
        assert!(table.call(peer(number), on_lan(number, 80), at(0)));
    }
    table.ban(peer(2), Duration::from_secs(60), at(0));
    let called = table.next_dials(at(0), &BTreeSet::from([peer(1)]), Strangers::Dial);
    assert_eq!(called.iter().map(|dial| dial.peer).collect::<Vec<_>>(), [Some(peer(3))]);
    assert!(table.call(peer(4), on_lan(4, 80), at(0)));
    assert_eq!(table.next_dials(at(1), &BTreeSet::new(), Strangers::Wait), []);
}

#[test]
fn peer_14_whoever_waits_for_his_next_try_is_tried_at_once_when_somebody_asks() {
    let mut table = PeerTable::new(ME);
    table.announce(peer(1), &[on_lan(1, 80)], KnownBy::Announced, at(0));
    assert_eq!(
        table.configure(
            PeerAddress::new(on_lan(2, 80), None).unwrap(),
            Purpose::Peer,
            NamedBy::Configuration,
            at(0)
        ),
        Named::New
    );
    let first: Vec<Dial> = [dials(&mut table, at(0)), dials(&mut table, at(0))].concat();
    assert_eq!(first.len(), 2);
    first.iter().for_each(|dial| table.failed(dial, at(1)));
    assert_eq!(dials(&mut table, at(1)), []);
    table.retry(at(1));
    assert_eq!([dials(&mut table, at(1)), dials(&mut table, at(1))].concat(), first);
    table.retry(at(1));
    assert_eq!(dials(&mut table, at(1)), [], "what is under way is not begun again");
}

#[test]
fn peer_23_a_cleared_table_keeps_configured_peers_and_bans() {
    let mut table = PeerTable::new(ME);
    for number in 1..=3 {
        table.announce(peer(number), &[on_lan(number, 80)], KnownBy::Announced, at(0));
    }
    assert_eq!(
        table.configure(
            PeerAddress::new(on_lan(9, 80), None).unwrap(),
            Purpose::Peer,
            NamedBy::Configuration,
            at(0)
        ),
        Named::New
    );
    table.ban(peer(1), Duration::from_secs(60), at(0));
    assert_eq!(table.clear(), 3);
    assert_eq!(table.known(at(0)).map(|(_, address, _)| address).collect::<Vec<_>>(), [on_lan(9, 80)]);
    assert!(table.is_banned(peer(1), at(1)));
}

#[test]
fn whoever_is_connected_stays_known_and_a_goodbye_on_the_link_takes_announcements_only() {
    let mut table = PeerTable::new(ME);
    table.announce(peer(1), &[on_lan(1, 80), on_lan(2, 80)], KnownBy::Announced, at(0));
    table.announce(peer(1), &[on_lan(3, 80)], KnownBy::Named, at(0));
    assert_eq!(table.still_there(peer(1), on_lan(1, 9).ip(), at(599)), [on_lan(1, 80)]);
    assert_eq!(table.still_there(peer(2), on_lan(1, 9).ip(), at(599)), []);
    let known = |table: &PeerTable, now| table.known(now).map(|(_, address, _)| address).collect::<Vec<_>>();
    assert_eq!(known(&table, at(600)), [on_lan(1, 80)], "the others were said ten minutes ago");
    table.withdraw(peer(1));
    assert_eq!(known(&table, at(0)), [on_lan(3, 80)]);
}

#[test]
fn a_peer_that_was_added_goes_when_it_is_taken_back_and_what_is_configured_or_under_way_goes_on() {
    let mut table = PeerTable::new(ME);
    let [kept, lent, fixed] = [1, 2, 3].map(|number| PeerAddress::new(on_lan(number, 80), None).unwrap());
    for (address, by) in [
        (kept, NamedBy::Added),
        (lent, NamedBy::Command),
        (fixed, NamedBy::Configuration),
        (fixed, NamedBy::Added),
    ] {
        table.configure(address, Purpose::Peer, by, at(0));
    }
    let by = |table: &PeerTable| table.known(at(0)).map(|(_, _, by)| by).collect::<Vec<_>>();
    assert_eq!(by(&table), [KnownBy::Added, KnownBy::Command, KnownBy::Configured]);
    let dial = dials(&mut table, at(0)).pop().unwrap();
    assert_eq!(dial.reason, Reason::Configured(kept));
    assert!(table.remove_added(kept) && !table.remove_added(kept));
    assert!(!table.remove_added(lent) && !table.remove_added(fixed), "nobody added them to be kept");
    // The dial under way ends as it may: it is nobody's, and the others keep their turns.
    table.reached(&dial, peer(9), at(1));
    table.failed(&dial, at(1));
    assert_eq!(by(&table), [KnownBy::Command, KnownBy::Configured]);
    assert!(table.known(at(1)).all(|(peer, _, _)| peer.is_none()));
    let next: Vec<_> =
        (1..3).flat_map(|second| dials(&mut table, at(second))).map(|dial| dial.socket).collect();
    assert_eq!(next, [lent.socket(), fixed.socket()]);
}

#[test]
fn peer_23_whoever_is_forgotten_counts_once_however_he_came_to_be_known() {
    let mut table = PeerTable::new(ME);
    let fixed = PeerAddress::new(on_lan(1, 80), Some(peer(1))).unwrap();
    table.configure(fixed, Purpose::Peer, NamedBy::Configuration, at(0));
    table.configure(
        PeerAddress::new(on_lan(2, 80), Some(peer(2))).unwrap(),
        Purpose::Peer,
        NamedBy::Added,
        at(0),
    );
    table.configure(PeerAddress::new(on_lan(3, 80), None).unwrap(), Purpose::Peer, NamedBy::Command, at(0));
    table.announce(peer(2), &[on_lan(2, 81)], KnownBy::Announced, at(0));
    table.announce(peer(4), &[on_lan(4, 80)], KnownBy::Announced, at(0));
    assert_eq!((table.clear(), table.clear()), (3, 0));
    assert_eq!(
        table.known(at(0)).collect::<Vec<_>>(),
        [(Some(peer(1)), fixed.socket(), KnownBy::Configured)]
    );
}
