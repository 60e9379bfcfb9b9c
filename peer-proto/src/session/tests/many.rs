//! Nodes that are in several groups: a session may be one of members of one of them or of more.

use std::collections::BTreeSet;

use super::groups::{badge, carried, members_of, of_group, session_in};
use super::pair::*;
use crate::content::Hash;
use crate::group::{Badge, Badges, DenyList, EpochSecret, GroupId, HolderId};
use crate::limits::{GROUPS_MAX, TAGS_AT_ONCE_MAX};
use crate::peer::PeerId;
use crate::session::{EnrolBy, HandedOn, Output, Session, SessionEvent};
use crate::sign::Signer;
use crate::time::Instant;
use crate::wire::{DenyWant, Frame, Hello, Newest, Record, RecordHead, Said, Versions};

const NOW: Instant = Instant::ZERO;
const A: GroupId = GroupId([0xa; 16]);
const B: GroupId = GroupId([0xb; 16]);
const C: GroupId = GroupId([0xc; 16]);

/// What a node shows in these groups: their secrets, and those of the epoch before.
fn shown(peer: PeerId, groups: &[(GroupId, u8, Option<u8>)]) -> Badges {
    let badge = |(group, secret, former): &(GroupId, u8, Option<u8>)| {
        let mark = |epoch: u8| {
            let mut bytes = [epoch; 32];
            bytes[0] = group.0[0];
            EpochSecret(bytes)
        };
        let of_it = of_group(&badge(peer, 0, None), *group);
        std::sync::Arc::new(Badge { secret: mark(*secret), former: former.map(mark), ..(*of_it).clone() })
    };
    groups.iter().map(badge).collect()
}

/// Two that greeted each other, as members of these groups each.
fn greeted(
    mine: &[(GroupId, u8, Option<u8>)],
    yours: &[(GroupId, u8, Option<u8>)],
    max: u32,
) -> (Session, Session) {
    let (mut one, my_hello) = session_in(me(), you(), 1, shown(me(), mine));
    let (mut other, your_hello) = session_in(you(), me(), 2, shown(you(), yours));
    let older = |hello| match hello {
        Frame::Hello(hello) => Frame::Hello(Hello { versions: Versions { min: 1, max }, ..hello }),
        other => panic!("{other:?}"),
    };
    one.handle_frame(older(your_hello), NOW).unwrap();
    other.handle_frame(older(my_hello), NOW).unwrap();
    (one, other)
}

fn tokens(events: &[SessionEvent]) -> BTreeSet<GroupId> {
    let token = |event: &SessionEvent| match event {
        SessionEvent::TokenShown(token) => Some(token.group()),
        _ => None,
    };
    events.iter().filter_map(token).collect()
}

/// One record of each of these groups.
fn records(groups: &[GroupId]) -> Vec<Record> {
    let signer = Signer::of(&[1; 32]);
    let record = |group: &GroupId| {
        let head = RecordHead { group: *group, author: signer.peer(), number: 1, swarm: content(1) };
        Record::sign(&signer, head, Said::Pieces { first: 0, values: vec![Hash([1; 32])] }).unwrap()
    };
    groups.iter().map(record).collect()
}

fn heard(events: Vec<SessionEvent>) -> Vec<GroupId> {
    let records = |event| match event {
        SessionEvent::RecordsShown(records) => records,
        _ => Vec::new(),
    };
    events.into_iter().flat_map(records).map(|record| record.head().group).collect()
}

#[test]
fn group_2_tokens_are_shown_in_the_groups_that_both_are_in_and_in_no_other() {
    let max = Versions::OURS.max;
    for (mine, yours, common) in [
        (&[A, B][..], &[B, C][..], &[B][..]),
        (&[A, B, C], &[A, C], &[A, C]),
        (&[A], &[B, C], &[]),
        (&[A, B], &[A, B], &[A, B]),
    ] {
        let epoch = |groups: &[GroupId]| groups.iter().map(|group| (*group, 1, None)).collect::<Vec<_>>();
        let (mut one, mut other) = greeted(&epoch(mine), &epoch(yours), max);
        let common: BTreeSet<GroupId> = common.iter().copied().collect();
        assert_eq!((one.groups(), other.groups()), (&common, &common));
        assert_eq!(tokens(&carried(&mut one, &mut other, NOW)), common);
        assert_eq!(tokens(&carried(&mut other, &mut one, NOW)), common);
    }
}

#[test]
fn group_8_what_is_said_in_one_group_is_neither_told_to_nor_heard_from_who_is_in_another_only() {
    let max = Versions::OURS.max;
    let (mut mine, mut yours) = greeted(&[(A, 1, None), (B, 1, None)], &[(B, 1, None), (C, 1, None)], max);
    carried(&mut yours, &mut mine, NOW);
    carried(&mut mine, &mut yours, NOW);
    mine.show_records(records(&[A, B, C]));
    assert_eq!(heard(carried(&mut mine, &mut yours, NOW)), [B], "told");
    let all = through_the_codec(&Frame::Records(records(&[A, B, C])));
    yours.handle_frame(all, NOW).unwrap();
    let mut events = Vec::new();
    while let Output::Event(event) = yours.poll_output() {
        events.push(event);
    }
    assert_eq!(heard(events), [B], "heard");
    yours.handle_frame(Frame::Token(of_group(&badge(me(), 1, None), A).token.clone()), NOW).unwrap();
    yours.handle_frame(Frame::Newest(newest(Some(A))), NOW).unwrap();
    assert!(matches!(yours.poll_output(), Output::WaitUntil(_)), "of no common group");
    assert!(!mine.want_denied(newest(Some(A))) && mine.ask_enroller(EnrolBy::Member(A)).is_none());
    mine.join_in(Some(A), &digest(1), 1 << 20, true);
    mine.join_in(Some(B), &digest(1), 1 << 20, true);
    let groups = carried(&mut mine, &mut yours, NOW).into_iter().map(|event| match event {
        SessionEvent::Interested { group, .. } => group,
        other => panic!("{other:?}"),
    });
    assert_eq!(groups.collect::<Vec<_>>(), [None, Some(B)]);
}

fn newest(group: Option<GroupId>) -> Newest {
    Newest { group, epoch: 3, denied: 7, denied_len: 89 }
}

#[test]
fn group_6_the_deny_lists_of_two_groups_come_at_the_same_time() {
    let (keys, list) = ([Signer::of(&[9; 32]), Signer::of(&[8; 32])], |key: &Signer, mark| {
        DenyList::sign(key, 7, [HolderId([mark; 16])].into()).unwrap()
    });
    let lists = [list(&keys[0], 1), list(&keys[1], 2)];
    let (mut mine, mut yours) = members_of(&[lists[0].group(), lists[1].group()]);
    carried(&mut yours, &mut mine, NOW);
    carried(&mut mine, &mut yours, NOW);
    for list in &lists {
        assert!(mine.want_denied(Newest { denied_len: 105, ..newest(Some(list.group())) }));
    }
    for event in carried(&mut mine, &mut yours, NOW) {
        let SessionEvent::HandedOn(HandedOn::DenyWanted(of)) = event else { panic!("{event:?}") };
        // Whoever is asked for one group's is not taken at his word with another's.
        lists.iter().filter(|list| Some(list.group()) == of.group).for_each(|list| {
            yours.show_denied(of, Some(list));
        });
    }
    let came: Vec<_> = carried(&mut yours, &mut mine, NOW)
        .into_iter()
        .map(|event| match event {
            SessionEvent::HandedOn(HandedOn::Denied { group, list: Some(list) }) => (group, list),
            other => panic!("{other:?}"),
        })
        .collect();
    let sent: BTreeSet<_> = lists.iter().map(DenyList::group).collect();
    assert!(came.iter().all(|(group, list)| list.group() == *group && lists.contains(list)), "{came:?}");
    assert_eq!(came.iter().map(|(group, _)| *group).collect::<BTreeSet<_>>(), sent);
    let of = DenyWant { group: Some(lists[0].group()), version: 7, page: 0 };
    yours.show_denied(of, Some(&lists[1]));
    let Output::Transmit(Frame::DenyPage(page)) = yours.poll_output() else { panic!("a page") };
    assert!(page.bytes.is_empty(), "another group's list is none of this one");
}

#[test]
fn wire_1_what_an_older_version_says_without_a_group_is_of_the_one_that_both_are_in() {
    let (mut mine, mut yours) = greeted(&[(A, 1, None), (B, 1, None)], &[(B, 1, None)], 7);
    carried(&mut yours, &mut mine, NOW);
    carried(&mut mine, &mut yours, NOW);
    mine.handle_frame(Frame::Newest(newest(None)), NOW).unwrap();
    let Output::Event(SessionEvent::HandedOn(HandedOn::Newest(told))) = mine.poll_output() else {
        panic!("heard")
    };
    assert_eq!(told, newest(Some(B)));
    yours.join(&digest(1), 1 << 20, true);
    let events = carried(&mut yours, &mut mine, NOW);
    assert!(matches!(events[..], [SessionEvent::Interested { group: Some(B), .. }]), "{events:?}");
    assert!(mine.ask_enroller(EnrolBy::Member(B)).is_some());
    // Among those who name groups it is of none.
    let (mut mine, mut yours) = greeted(&[(A, 1, None)], &[(A, 1, None)], Versions::OURS.max);
    carried(&mut yours, &mut mine, NOW);
    yours.join(&digest(1), 1 << 20, true);
    let events = carried(&mut yours, &mut mine, NOW);
    assert!(matches!(events[..], [SessionEvent::Interested { group: None, .. }]), "{events:?}");
}

#[test]
fn group_7_with_eight_groups_members_of_either_epoch_are_recognized_in_all_of_them() {
    let group = |number: u8| GroupId([number; 16]);
    let all = |secret, former| -> Vec<(GroupId, u8, Option<u8>)> {
        (1..=8).map(|number| (group(number), secret, former)).collect()
    };
    for (mine, yours) in [
        (all(2, Some(1)), all(1, None)),
        (all(2, Some(1)), all(2, Some(1))),
        (all(1, None), all(1, None)),
        (all(2, Some(1)), all(1, None)[6..].to_vec()),
    ] {
        let (one, other) = greeted(&mine, &yours, Versions::OURS.max);
        let common: BTreeSet<GroupId> = yours.iter().map(|(group, ..)| *group).collect();
        assert_eq!((one.groups(), other.groups()), (&common, &common));
    }
    // A node that heard of the new epoch only, while there is room for both.
    let few = |secret, former| [(A, secret, former), (B, 1, None)];
    let (one, other) = greeted(&few(2, Some(1)), &few(2, None), Versions::OURS.max);
    assert_eq!((one.groups(), other.groups()), (&[A, B].into(), &[A, B].into()));
    let more: Vec<_> = (1..=9).map(|number| (group(number), 1, None)).collect();
    let (one, _) = greeted(&more, &more, Versions::OURS.max);
    assert_eq!(one.groups().len(), GROUPS_MAX);
}

#[test]
fn group_8_what_is_said_in_a_group_that_was_left_is_not_told_any_more() {
    let (mut mine, mut yours) =
        greeted(&[(A, 1, None), (B, 1, None)], &[(A, 1, None), (B, 1, None)], Versions::OURS.max);
    carried(&mut yours, &mut mine, NOW);
    carried(&mut mine, &mut yours, NOW);
    mine.renew(shown(me(), &[(B, 1, None)]));
    assert!(!mine.is_kin_of(A) && mine.is_kin_of(B));
    mine.show_records(records(&[A, B]));
    let events = carried(&mut mine, &mut yours, NOW);
    assert_eq!(tokens(&events), [B].into());
    assert_eq!(heard(events), [B]);
}

/// What of this has another member look at its groups anew: other tags, made with these bytes.
fn joins(session: &mut Session, peer: PeerId, groups: &[(GroupId, u8, Option<u8>)]) {
    session.renew_tags(shown(peer, groups), [0x66; 16], [0x77; 128]);
}

#[test]
fn group_8_who_joins_a_group_in_an_open_session_is_kin_of_its_members_at_once_whoever_is_first() {
    let (a, b) = ((A, 1, None), (B, 1, None));
    let (mut mine, mut yours) = greeted(&[a], &[a, b], Versions::OURS.max);
    carried(&mut yours, &mut mine, NOW);
    carried(&mut mine, &mut yours, NOW);
    joins(&mut mine, me(), &[a, b]);
    assert!(mine.is_kin_of(B), "by what the other showed in its Hello");
    assert_eq!(tokens(&carried(&mut mine, &mut yours, NOW)), [A, B].into());
    assert_eq!((mine.groups(), yours.groups()), (&[A, B].into(), &[A, B].into()));
    assert_eq!(tokens(&carried(&mut yours, &mut mine, NOW)), [B].into(), "what it had not shown");

    // Strangers, of whom one joins first: it shows nothing that the other knows, until that joins, too.
    let c = (C, 1, None);
    let (mut mine, mut yours) = greeted(&[a], &[b], Versions::OURS.max);
    joins(&mut mine, me(), &[a, c]);
    assert!(tokens(&carried(&mut mine, &mut yours, NOW)).is_empty() && !yours.is_kin());
    joins(&mut yours, you(), &[b, c]);
    assert_eq!(tokens(&carried(&mut yours, &mut mine, NOW)), [C].into());
    assert_eq!(tokens(&carried(&mut mine, &mut yours, NOW)), [C].into());
    assert_eq!((mine.groups(), yours.groups()), (&[C].into(), &[C].into()));
}

#[test]
fn group_7_another_epoch_is_met_in_an_open_session() {
    // One heard of the epoch early, the other late: they were strangers.
    let (mut mine, mut yours) = greeted(&[(A, 1, None)], &[(A, 2, None)], Versions::OURS.max);
    assert!(!mine.is_kin());
    joins(&mut mine, me(), &[(A, 2, Some(1))]);
    carried(&mut mine, &mut yours, NOW);
    assert_eq!((mine.groups(), yours.groups()), (&[A].into(), &[A].into()));
}

#[test]
fn group_2_other_tags_look_to_a_stranger_like_no_others_and_versions_that_know_none_are_sent_none() {
    let (a, b) = ((A, 1, None), (B, 1, None));
    let (mut one, mut other) = greeted(&[a], &[(C, 1, None)], Versions::OURS.max);
    carried(&mut one, &mut other, NOW);
    let before = one.config.tags();
    joins(&mut one, me(), &[a, b]);
    let Output::Transmit(Frame::Tags(after)) = one.poll_output() else { panic!("tags first") };
    let alike =
        before.chunks(16).zip(after.tags.chunks(16)).filter(|(before, after)| before == after).count();
    assert_eq!((alike, after.nonce), (0, [0x66; 16]), "made with other bytes, all of them");
    assert!(matches!(one.poll_output(), Output::WaitUntil(_)), "no token to a stranger");

    let (mut one, mut other) = greeted(&[a], &[a, b], 8);
    carried(&mut one, &mut other, NOW);
    assert!(!one.meets_anew());
    joins(&mut one, me(), &[a, b]);
    assert!(matches!(one.poll_output(), Output::WaitUntil(_)) && !one.is_kin_of(B));
    other.handle_frame(Frame::Tags(after), NOW).unwrap();
    assert_eq!(other.groups(), &[A].into());
}

#[test]
fn group_2_tags_are_looked_at_sixteen_times_in_a_row_and_then_once_a_second() {
    let (a, b) = ((A, 1, None), (B, 1, None));
    let (mut one, mut other) = greeted(&[a], &[a, b], Versions::OURS.max);
    carried(&mut one, &mut other, NOW);
    for _ in 0..TAGS_AT_ONCE_MAX {
        joins(&mut one, me(), &[a]);
        carried(&mut one, &mut other, NOW);
    }
    joins(&mut one, me(), &[a, b]);
    carried(&mut one, &mut other, NOW);
    assert!(!other.is_kin_of(B));
    joins(&mut one, me(), &[a, b]);
    carried(&mut one, &mut other, NOW.after(std::time::Duration::from_secs(1)));
    assert!(other.is_kin_of(B));
}
