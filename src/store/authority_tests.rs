//! A group's authority: what it signs, what it remembers, what it refuses.

use std::os::unix::fs::PermissionsExt;

use peer_proto::group::{OfferFault, OfferRules, Taken, TokenFault};

use super::*;

const NOW: u64 = 1_800_000_000;

fn peer(number: u8) -> PeerId {
    Signer::of(&[number; 32]).peer()
}

fn usual() -> Roles {
    Roles::FETCH.and(Roles::SERVE)
}

struct Lab {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("branch.group"), "branch", NOW).unwrap();
        Self { folder, authority }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("branch.group")
    }

    /// Another process opens it.
    fn reopen(self) -> Self {
        let (path, Self { folder, authority }) = (self.path(), self);
        drop(authority);
        let authority = Authority::open(&path).unwrap();
        Self { folder, authority }
    }

    fn invited(&mut self, number: u8, now: u64) -> Membership {
        member(&self.authority.grant(peer(number), usual(), None, now).unwrap())
    }
}

fn member(line: &str) -> Membership {
    match Offer::parse(line) {
        Ok(Offer::Invitation(membership)) => *membership,
        other => panic!("{other:?}"),
    }
}

fn take(
    line: &str,
    number: u8,
    held: Option<&Membership>,
    now: u64,
) -> Result<(Membership, Taken), OfferFault> {
    let rules = OfferRules { me: peer(number), now };
    Offer::parse(line)?.taken(held, &rules)
}

#[test]
fn group_8_a_group_is_made_once_for_its_owner_alone_and_a_copy_with_it() {
    let lab = Lab::new();
    let copy = lab.authority.save_copy().unwrap();
    let id = lab.authority.id();
    for path in [lab.path(), copy.clone()] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let path = lab.path();
    let Lab { folder, authority } = lab;
    drop(authority);
    let again = Authority::create(&path, "branch", NOW);
    assert!(matches!(again, Err(AuthorityError::Exists(_))), "{again:?}");
    assert_eq!(Authority::open(&path).unwrap().id(), id, "it is still the first one");
    assert_eq!(Authority::open(&copy).unwrap().id(), id);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else lies about");
}

#[test]
fn group_8_a_machines_state_folder_gets_no_groups_key() {
    let folder = tempfile::tempdir().unwrap();
    drop(super::super::StateFolder::open(folder.path()).unwrap());
    let made = Authority::create(&folder.path().join("a.group"), "a", NOW);
    assert!(matches!(made, Err(AuthorityError::StateFolder(_))), "{made:?}");
    assert!(!folder.path().join("a.group").exists());
}

#[test]
fn names_and_files_that_are_none_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.group");
    for name in ["", ".hidden", "a/b", "a b", "ä", &"a".repeat(65)] {
        let error = Authority::create(&path, name, NOW).unwrap_err();
        assert!(matches!(error, AuthorityError::Name(_)), "{name}: {error}");
    }
    let whole = {
        let lab = Lab::new();
        std::fs::read_to_string(lab.path()).unwrap()
    };
    for text in
        ["", "{}", &whole[1..], &whole.replace("\"nearbits-authority\": 1", "\"nearbits-authority\": 2")]
    {
        std::fs::write(&path, text).unwrap();
        let error = Authority::open(&path).unwrap_err();
        assert!(matches!(error, AuthorityError::Damaged(_)), "{error}");
        assert!(!error.to_string().contains('\n'));
    }
    let missing = Authority::open(&folder.path().join("y.group")).unwrap_err().to_string();
    assert!(missing.contains("y.group"), "{missing}");
}

#[test]
fn group_4_a_renewed_token_keeps_its_holder_and_has_a_higher_number() {
    let mut lab = Lab::new();
    let first = lab.invited(1, NOW);
    assert_eq!(first.check(peer(1), NOW), Ok(()));
    lab.authority.save().unwrap();
    let mut lab = lab.reopen();
    let line = lab.authority.renew(peer(1), NOW + 15 * DAY_S).unwrap();
    let (after, taken) = take(&line, 1, Some(&first), NOW + 15 * DAY_S).unwrap();
    assert_eq!(taken, Taken::Renewed);
    let (before, after) = (*first.token.wish(), *after.token.wish());
    assert_eq!((before.holder, before.roles), (after.holder, after.roles));
    assert!(after.serial > before.serial && after.not_after > before.not_after);
    assert_ne!(lab.invited(2, NOW).token.wish().holder, before.holder);
}

#[test]
fn group_8_a_copy_of_yesterday_still_makes_members_and_denies_them() {
    let mut lab = Lab::new();
    let copy = lab.authority.save_copy().unwrap();
    let held = lab.invited(1, NOW);
    let (line, _) = lab.authority.forget(&[peer(2).to_string()], NOW).unwrap();
    let (held, _) = take(&line, 1, Some(&held), NOW).unwrap();
    drop(lab.authority);
    let mut restored = Authority::open(&copy).unwrap();
    let line = restored.grant(peer(1), usual(), None, NOW + 1).unwrap();
    let (renewed, taken) = take(&line, 1, Some(&held), NOW + 1).unwrap();
    assert_eq!(taken, Taken::Renewed);
    assert_eq!(renewed.token.wish().holder, held.token.wish().holder);
    let (line, _) = restored.forget(&[peer(3).to_string()], NOW + 1).unwrap();
    let (_, taken) = take(&line, 1, Some(&renewed), NOW + 1).unwrap();
    assert!(matches!(taken, Taken::Denied { count: 1, .. }), "{taken:?}");
}

#[test]
fn group_1_tokens_live_as_long_as_their_roles_allow_and_no_longer() {
    let mut lab = Lab::new();
    let attest = usual().and(Roles::ATTEST);
    for (roles, days, max) in [(usual(), 31, 30), (usual(), 0, 30), (attest, 8, 7), (attest, 30, 7)] {
        let error = lab.authority.grant(peer(1), roles, Some(days), NOW).unwrap_err();
        assert!(
            matches!(error, AuthorityError::Days { days: asked, max: most } if (asked, most) == (days, max)),
            "{error}"
        );
    }
    assert_eq!(lab.authority.members().count(), 0, "nothing of it is remembered");
    for (roles, days) in [(usual(), 30), (attest, 7)] {
        let line = lab.authority.grant(peer(1), roles, None, NOW).unwrap();
        let wish = *member(&line).token.wish();
        assert_eq!((wish.roles, wish.not_after - wish.not_before), (roles, days * DAY_S));
    }
}

#[test]
fn group_3_roles_are_read_by_name_and_fetch_is_one_of_them() {
    assert_eq!(parse_roles("fetch, serve").unwrap(), usual());
    for text in ["", "fetch,", "serv", "FETCH"] {
        let error = parse_roles(text).unwrap_err();
        assert!(matches!(error, AuthorityError::Role(_)), "{text}: {error}");
    }
    assert!(matches!(parse_roles("serve"), Err(AuthorityError::NoFetch)));
    assert_eq!(parse_roles("fetch,attest").unwrap().names(), ["fetch", "attest"]);
}

#[test]
fn group_5_half_of_a_life_makes_a_token_due() {
    let mut lab = Lab::new();
    lab.invited(1, NOW);
    lab.authority.grant(peer(2), usual(), Some(10), NOW).unwrap();
    assert_eq!(lab.authority.due(NOW + 4 * DAY_S), []);
    assert_eq!(lab.authority.due(NOW + 5 * DAY_S), [peer(2)]);
    assert_eq!(lab.authority.due(NOW + 15 * DAY_S).len(), 2);
    lab.authority.forget(&[peer(2).to_string()], NOW).unwrap();
    assert_eq!(lab.authority.due(NOW + 15 * DAY_S), [peer(1)]);
}

#[test]
fn group_6_who_is_forgotten_by_any_name_is_no_member_any_more_and_gets_no_token() {
    let mut lab = Lab::new();
    let members: Vec<Membership> = (1..=4).map(|number| lab.invited(number, NOW)).collect();
    let invitation = invitation_text(&members[2]).unwrap();
    let names = [
        peer(1).to_string(),
        members[1].token.wish().holder.to_string(),
        invitation,
        hex(members[3].token.bytes()),
    ];
    let watcher = lab.invited(5, NOW);
    let (line, count) = lab.authority.forget(&names, NOW).unwrap();
    assert_eq!(count, 4);
    let (watcher, _) = take(&line, 5, Some(&watcher), NOW).unwrap();
    let denied = watcher.denied.as_ref().unwrap().holders().clone();
    for (number, member) in (1..).zip(&members) {
        assert!(denied.contains(&member.token.wish().holder), "{number}");
        let again = lab.authority.grant(peer(number), usual(), None, NOW);
        assert!(matches!(again, Err(AuthorityError::Forgotten(_))), "{again:?}");
    }
    let before = watcher.denied.as_ref().unwrap().version();
    let (line, count) = lab.authority.forget(&names[..1], NOW + 9).unwrap();
    assert_eq!((take(&line, 5, Some(&watcher), NOW).unwrap().1, count), (Taken::Known, 0));
    assert!(matches!(lab.authority.forget(&["nobody".into()], NOW), Err(AuthorityError::Who(_))));
    let (line, _) = lab.authority.forget(&["ab".repeat(16)], NOW).unwrap();
    let Taken::Denied { version, count } = take(&line, 5, Some(&watcher), NOW).unwrap().1 else { panic!() };
    assert!(version > before && count == 5, "{version} {before} {count}");
    // A newcomer hears of all of it with the invitation.
    assert_eq!(lab.invited(6, NOW).denied.unwrap().holders().len(), 5);
}

#[test]
fn group_6_a_holder_leaves_the_list_when_nothing_of_his_counts_any_more_and_stays_forgotten() {
    let mut lab = Lab::new();
    lab.invited(1, NOW);
    lab.authority.forget(&[peer(1).to_string()], NOW).unwrap();
    let later = NOW + 39 * DAY_S;
    lab.authority.forget(&[peer(2).to_string()], later).unwrap();
    let list = lab.invited(3, later).denied.unwrap();
    assert_eq!(list.holders().len(), 1, "the other one's last token is over for more than a week");
    assert!(matches!(lab.authority.renew(peer(1), later), Err(AuthorityError::Forgotten(_))));
}

#[test]
fn group_7_a_new_epoch_is_handed_out_with_the_former_one_for_seven_days() {
    let mut lab = Lab::new();
    let old = lab.invited(1, NOW);
    assert_eq!(lab.authority.rotate(NOW + DAY_S).unwrap(), 0);
    let new = lab.invited(2, NOW + 2 * DAY_S);
    assert_eq!((new.epoch, &new.former.as_ref().unwrap().secret), (2, &old.secret));
    assert_eq!(new.former.as_ref().unwrap().until, NOW + 8 * DAY_S);
    // Each takes the other for a member.
    for (mine, theirs, number) in [(&old, &new, 2), (&new, &old, 1)] {
        let seen = Membership { token: theirs.token.clone(), ..mine.clone() };
        assert_eq!(seen.check(peer(number), NOW + 2 * DAY_S), Ok(()));
    }
    let late = lab.invited(3, NOW + 9 * DAY_S);
    assert_eq!((late.former, late.token.wish().epoch), (None, 2));
}

#[test]
fn group_7_whoever_misses_two_epochs_is_counted_and_is_no_member_of_the_third() {
    let mut lab = Lab::new();
    let old = lab.invited(1, NOW);
    lab.authority.rotate(NOW).unwrap();
    assert_eq!(lab.authority.rotate(NOW + DAY_S).unwrap(), 1);
    let new = lab.invited(2, NOW + DAY_S);
    let seen = Membership { token: old.token, ..new };
    assert_eq!(seen.check(peer(1), NOW + DAY_S), Err(TokenFault::Epoch));
}

#[test]
fn group_8_an_abandoned_key_signs_nothing_that_counts_in_the_new_group() {
    let mut lab = Lab::new();
    let old = lab.invited(1, NOW);
    lab.authority.forget(&[peer(2).to_string()], NOW).unwrap();
    let stolen = lab.authority.signer.clone();
    let before = lab.authority.id();
    lab.authority.abandon(NOW + 1).unwrap();
    lab.authority.save().unwrap();
    let mut lab = lab.reopen();
    assert_ne!(lab.authority.id(), before);
    let line = lab.authority.renew(peer(1), NOW + 1).unwrap();
    let rules = OfferRules { me: peer(1), now: NOW + 1 };
    let (new, _) = Offer::parse(&line).unwrap().taken(Some(&old), &rules).unwrap();
    let seen = Membership { token: old.token.clone(), ..new.clone() };
    assert_eq!(seen.check(peer(1), NOW + 1), Err(TokenFault::OtherGroup));
    let list = DenyList::sign(&stolen, u64::MAX, [new.token.wish().holder].into()).unwrap();
    let refused = take(&denied_text(&list), 1, Some(&new), NOW + 1);
    assert!(matches!(refused, Err(OfferFault::NoGroup(_))), "{refused:?}");
}
