//! A membership that changes while its node runs.

use peer_proto::group::offer::{denied_text, invitation_text};
use peer_proto::group::{DenyList, EpochSecret, Former, HolderId, Roles, Token, Wish};

use super::*;
use crate::store::StateFolder;

const DAY_S: u64 = 24 * 60 * 60;

fn group() -> Signer {
    Signer::of(&[9; 32])
}

fn node() -> Signer {
    Signer::of(&[1; 32])
}

fn membership(serial: u64, not_after: u64) -> Membership {
    let wish = Wish {
        holder: HolderId([7; 16]),
        peer: node().peer(),
        roles: Roles::FETCH,
        not_before: not_after - 4 * DAY_S,
        not_after,
        epoch: 1,
        serial,
    };
    Membership {
        key: group().public_key(),
        epoch: 1,
        secret: EpochSecret([1; 32]),
        former: None,
        token: Token::grant(&group(), &wish),
        denied: None,
        name: None,
        seal: None,
    }
    .sealed(&group())
}

struct Lab {
    enrolment: Enrolment,
    heard: mpsc::Receiver<Input>,
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tell, heard) = mpsc::channel(8);
        let state = StateFolder::open(folder.path()).unwrap();
        let enrolment = Enrolment::new(&state, node(), Held::new(), Some(tell));
        drop(state);
        Self { enrolment, heard, folder }
    }

    /// What the brain is told, if it is told anything.
    fn heard(&mut self) -> Option<Vec<GroupConfig>> {
        match self.heard.try_recv() {
            Ok(Input::GroupsChanged(groups)) => Some(groups.iter().map(|(_, group)| group.clone()).collect()),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    fn kept(&self) -> Vec<Membership> {
        StateFolder::open(self.folder.path()).unwrap().group().load().unwrap().into_values().collect()
    }

    /// Why the node is no member of its only group now.
    async fn fault(&self) -> Option<TokenFault> {
        let enrolled = self.enrolment.enrolled().await;
        enrolled.standing(enrolled.first()?).err()
    }
}

#[tokio::test]
async fn group_4_what_is_joined_is_kept_before_it_counts_and_left_for_good() {
    let mut lab = Lab::new();
    let member = membership(1, now() + DAY_S);
    let line = invitation_text(&member).unwrap();
    assert_eq!(lab.enrolment.take(&line, false).await.unwrap(), Taken::Joined);
    assert_eq!(lab.kept(), [member]);
    let told = lab.heard().expect("the brain is told").pop().expect("it is a member");
    assert_eq!((told.key, told.epoch), (group().public_key(), 1));
    assert_eq!(lab.enrolment.take(&line, false).await.unwrap(), Taken::Known);
    assert!(lab.heard().is_none(), "nothing changed");
    assert_eq!(lab.enrolment.leave(None).await.unwrap(), GroupId::of(&group().public_key()));
    assert!(lab.heard().is_some_and(|told| told.is_empty()));
    assert_eq!(lab.kept(), []);
    assert!(matches!(lab.enrolment.leave(None).await, Err(EnrolmentError::NoGroup)));
}

#[tokio::test]
async fn group_6_a_node_that_is_denied_itself_is_a_stranger_from_then_on() {
    let mut lab = Lab::new();
    let line = invitation_text(&membership(1, now() + DAY_S)).unwrap();
    lab.enrolment.take(&line, false).await.unwrap();
    lab.heard();
    let list = |holder| {
        denied_text(
            &DenyList::sign(&group(), 1 + u64::from(holder), [HolderId([holder; 16])].into()).unwrap(),
        )
    };
    lab.enrolment.take(&list(6), false).await.unwrap();
    let told = lab.heard().unwrap().pop().expect("still a member");
    assert_eq!(told.denied.map(|list| list.holders().clone()), Some([HolderId([6; 16])].into()));
    lab.enrolment.take(&list(7), false).await.unwrap();
    assert!(lab.heard().is_some_and(|told| told.is_empty()));
    assert_eq!(lab.fault().await, Some(TokenFault::Denied));
}

#[tokio::test]
async fn group_1_what_is_refused_changes_nothing() {
    let mut lab = Lab::new();
    for line in ["nonsense".to_owned(), invitation_text(&membership(1, now() - 1)).unwrap()] {
        assert!(matches!(lab.enrolment.take(&line, false).await, Err(EnrolmentError::Offer(_))));
    }
    assert!(lab.heard().is_none());
    assert_eq!((lab.kept(), lab.fault().await), (vec![], None));
}

#[test]
fn group_5_three_quarters_of_a_life_are_late() {
    let at = |spent_days: u64| {
        let now = 100 * DAY_S;
        let member = membership(1, now + (4 - spent_days) * DAY_S);
        Enrolled { peer: node().peer(), memberships: Vec::new(), now }.is_late(&member)
    };
    assert_eq!([1, 2, 3, 4].map(at), [false, false, true, true]);
}

#[test]
fn group_7_time_alone_begins_a_membership_and_ends_a_former_secret() {
    let at = |membership: &Membership, now| {
        Look::at(membership, &Enrolled { peer: node().peer(), memberships: Vec::new(), now })
    };
    let until = 100 * DAY_S;
    let member = membership(1, until);
    let (early, begun) = (at(&member, until - 5 * DAY_S), at(&member, until - 3 * DAY_S));
    assert!(begun.counts_otherwise_than(early) && !begun.counts_otherwise_than(begun));
    let over = at(&member, until + 1);
    assert!(!over.counts_otherwise_than(begun), "the brain looks at the time itself");
    let former = Former { secret: EpochSecret([0; 32]), until: until - DAY_S };
    let member = Membership { former: Some(former), ..member };
    let (honoured, dropped) = (at(&member, until - DAY_S), at(&member, until - DAY_S + 1));
    assert!(dropped.counts_otherwise_than(honoured));
    let other = at(&membership(2, until), until - DAY_S + 1);
    assert!(!other.counts_otherwise_than(honoured), "what is handed in is told when it is");
}
