//! A node and its rendezvous.

use super::pair::*;
use crate::limits::REGISTRATIONS_AT_ONCE_MAX;
use crate::session::{ProtocolError, SessionEvent};
use crate::wire::{Frame, Hello, NamedPeer, Register, Versions};

fn greeted(max: u32) -> Alone {
    let mut alone = Alone::new();
    let versions = Versions { min: 1, max };
    alone.take(Frame::Hello(Hello { versions, nonce: [0xee; 16], tags: [0; 128] })).unwrap();
    alone.frames.clear();
    alone.events.clear();
    alone
}

fn named() -> NamedPeer {
    NamedPeer { peer: me(), address: ([10, 1, 2, 3], 7_411).into() }
}

#[test]
fn a_peer_of_an_older_version_is_neither_registered_with_nor_told_names() {
    let mut alone = greeted(Versions::MEET - 1);
    assert!(!alone.session.register(7_411));
    alone.session.name_peers(&[named()]);
    alone.poll();
    assert_eq!(alone.frames(), []);
    let mut alone = greeted(Versions::MEET);
    assert!(alone.session.register(7_411));
    alone.session.name_peers(&[named()]);
    alone.poll();
    assert_eq!(alone.frames(), [Frame::Register(Register { port: 7_411 }), Frame::Named(vec![named()])]);
}

#[test]
fn names_come_only_to_who_registered() {
    let mut alone = greeted(Versions::MEET);
    assert_eq!(alone.take(Frame::Named(vec![named()])), Err(ProtocolError::NotRegistered));
    let mut alone = greeted(Versions::MEET);
    alone.session.register(7_411);
    for _ in 0..2 {
        alone.take(Frame::Named(vec![named()])).unwrap();
        assert!(matches!(alone.events()[..], [SessionEvent::PeersNamed(_)]), "at any time after that");
    }
}

#[test]
fn registrations_are_looked_at_at_a_pace() {
    let mut alone = greeted(Versions::MEET);
    for _ in 0..100 {
        alone.take(Frame::Register(Register { port: 7_411 })).unwrap();
    }
    let looked = u32::try_from(alone.events().len()).unwrap();
    assert_eq!(looked, REGISTRATIONS_AT_ONCE_MAX);
    alone.wait(ms(1_000));
    alone.take(Frame::Register(Register { port: 7_411 })).unwrap();
    assert_eq!(alone.events().len(), 1);
}
