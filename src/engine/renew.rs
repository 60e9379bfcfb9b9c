//! A member that has its token renewed by an enroller, and an enroller that renews others' (GROUP-5, 7).
//!
//! Knows: when a token is due, whom to ask, in which order, how long to wait after all failed. Does not know: what an enroller may
//! give (`peer_proto::group::enrol`), where a token is kept.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use peer_proto::group::{GrantFault, GroupId, Membership, Offer, Roles, Token, TokenFault};
use peer_proto::limits::REPLY_TIMEOUT;
use peer_proto::peer::PeerId;
use peer_proto::session::EnrolBy;
use peer_proto::time::Instant;

use super::core::Core;
use super::event::Event;
use super::group::GroupConfig;
use super::io::Effect;

/// After all enrollers were asked in vain, ...
pub const RENEW_AGAIN: Duration = Duration::from_secs(60);
/// ... doubling up to this.
pub const RENEW_AGAIN_MAX: Duration = Duration::from_secs(60 * 60);
/// Hundredths of a life after which a token is renewed, and after which people are told that it was not: at the end once more.
const DUE_PERCENT: u64 = 50;
const TOLD_PERCENTS: [u64; 2] = [75, 100];
/// A wait for a moment of the wall clock is looked at this often, because that clock may be set.
const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// Why a token was not renewed so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenewalFault {
    /// Nobody to ask.
    NobodyThere,
    /// It has to come from the group's owner.
    OwnersOnly,
    /// No answer in time.
    Silent(PeerId),
    /// It said no.
    Refused(PeerId, GrantFault),
    /// What it gave does not count here.
    Worthless(PeerId, TokenFault),
    /// What it gave is somebody else's, or less than what is there.
    Other(PeerId),
}

impl fmt::Display for RenewalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyThere => f.write_str("no enroller of the group is connected"),
            Self::OwnersOnly => f.write_str("an enroller's own token comes from whoever runs the group"),
            Self::Silent(peer) => write!(f, "{peer} did not answer"),
            Self::Refused(peer, fault) => write!(f, "{peer}: {fault}"),
            Self::Worthless(peer, fault) => write!(f, "what {peer} gave does not count: it is {fault}"),
            Self::Other(peer) => write!(f, "what {peer} gave is another token than was asked for"),
        }
    }
}

/// How far it is in one group.
#[derive(Debug)]
pub(super) struct Renewal {
    /// Who is asked, under which number, and until when it may take.
    asked: Option<(PeerId, u32, Instant)>,
    /// Who was asked in vain since the last wait.
    tried: BTreeSet<PeerId>,
    /// Nobody is asked before this moment.
    rests_until: Instant,
    /// Waits in a row.
    rounds: u32,
    last: Option<RenewalFault>,
    /// For how many of the two moments people were told.
    told: usize,
}

impl Default for Renewal {
    fn default() -> Self {
        Self::fresh()
    }
}

impl Renewal {
    const fn fresh() -> Self {
        Self {
            asked: None,
            tried: BTreeSet::new(),
            rests_until: Instant::ZERO,
            rounds: 0,
            last: None,
            told: 0,
        }
    }

    pub(super) fn forget_peer(&mut self, peer: PeerId) {
        if self.asked.take_if(|(asked, ..)| *asked == peer).is_some() {
            self.last = Some(RenewalFault::Silent(peer));
        }
        self.tried.remove(&peer);
    }
}

impl Core {
    /// Why this node's token in a group was not renewed when it should have been, if that is so.
    pub(super) fn renewal_fault(&self, group: GroupId) -> Option<RenewalFault> {
        self.renewal.get(&group)?.last.filter(|_| self.is_due(group))
    }

    /// When there is something to do about one of this node's tokens.
    pub(super) fn renewal_wake(&self) -> Instant {
        let groups = self.config.groups.iter();
        groups.map(|(group, config)| self.renewal_wake_in(group, config)).min().unwrap_or(Instant::NEVER)
    }

    fn renewal_wake_in(&self, group: GroupId, config: &GroupConfig) -> Instant {
        static FRESH: Renewal = Renewal::fresh();
        let renewal = self.renewal.get(&group).unwrap_or(&FRESH);
        let token = &config.badge.token;
        let told = TOLD_PERCENTS.get(renewal.told);
        let told = told.map_or(Instant::NEVER, |percent| self.instant_of(moment(token, *percent)));
        let due = match &renewal.asked {
            Some((_, _, until)) => *until,
            None if !self.belongs_to(group) || token.wish().roles.has(Roles::ENROL) => Instant::NEVER,
            None if !self.is_due(group) => self.instant_of(moment(token, DUE_PERCENT)),
            None if self.next_enroller(group).is_some() || !renewal.tried.is_empty() => {
                renewal.rests_until.max(self.time())
            }
            // Whoever comes is asked when it comes.
            None => Instant::NEVER,
        };
        told.min(due)
    }

    /// The moment at which the wall clock shows so many seconds since 1970, or a look at it before.
    fn instant_of(&self, wall_s: u64) -> Instant {
        let left = Duration::from_secs(wall_s.saturating_sub(self.wall_s()));
        self.time().after(left.min(LOOK_AGAIN))
    }

    /// Whether this node's token in a group wants to be renewed: half of its life is over, or there is a newer epoch.
    fn is_due(&self, group: GroupId) -> bool {
        let Some(config) = self.config.groups.get(group) else { return false };
        let is_old = self.wall_s() >= moment(&config.badge.token, DUE_PERCENT);
        let told =
            self.handing.get(&group).map(|handing| handing.newest_epoch(self.members.enrollers(group)));
        is_old || told.is_some_and(|newest| newest > config.epoch)
    }

    /// An enroller that was not asked yet: one of those who know the newest epoch.
    fn next_enroller(&self, group: GroupId) -> Option<PeerId> {
        let renewal = self.renewal.get(&group);
        let is_left = |peer: &&PeerId| renewal.is_none_or(|renewal| !renewal.tried.contains(*peer));
        let left = self.members.enrollers(group).iter().filter(is_left);
        let handing = self.handing.get(&group);
        left.copied().max_by_key(|peer| handing.map_or(0, |handing| handing.epoch_of(*peer)))
    }

    /// How far the renewal of this node's token in a group is.
    fn renewal_of(&mut self, group: GroupId) -> &mut Renewal {
        self.renewal.entry(group).or_default()
    }

    /// In all groups of this node's: see [`renew`](Self::renew).
    pub(super) fn renew_all(&mut self) {
        self.config.groups.ids().into_iter().for_each(|group| self.renew(group));
    }

    /// Asks for a newer token in a group, if it is time and somebody is there; tells people if it is late.
    pub(super) fn renew(&mut self, group: GroupId) {
        self.tell_age(group);
        let now = self.time();
        let late = self.renewal_of(group).asked.take_if(|(_, _, until)| *until <= now);
        if let Some((late, ..)) = late {
            self.renewal_failed(group, late, RenewalFault::Silent(late));
        }
        let config = self.config.groups.get(group);
        let is_enroller = config.is_none_or(|config| config.badge.token.wish().roles.has(Roles::ENROL));
        if is_enroller || !self.belongs_to(group) || !self.is_due(group) {
            return;
        }
        let may_ask = |renewal: &Renewal| renewal.asked.is_none() && renewal.rests_until <= now;
        while may_ask(self.renewal_of(group)) {
            let Some(peer) = self.next_enroller(group) else { return self.rest(group) };
            let session = self.peers.get_mut(peer).map(|peer| &mut peer.session);
            match session.and_then(|session| session.ask_enroller(EnrolBy::Member(group))) {
                Some(number) => {
                    self.renewal_of(group).asked = Some((peer, number, now.after(REPLY_TIMEOUT)));
                    self.pump(peer);
                }
                None => self.renewal_failed(group, peer, RenewalFault::Silent(peer)),
            }
        }
    }

    /// An enroller is there that was not: it is asked at once if it is time.
    pub(super) fn renew_at(&mut self, peer: PeerId, group: GroupId) {
        if self.members.enrollers(group).contains(&peer) {
            self.renewal_of(group).rests_until = Instant::ZERO;
            self.renew(group);
        }
    }

    /// Everybody there was asked.
    fn rest(&mut self, group: GroupId) {
        let now = self.time();
        let renewal = self.renewal_of(group);
        if renewal.tried.is_empty() {
            renewal.last.get_or_insert(RenewalFault::NobodyThere);
            return;
        }
        renewal.tried.clear();
        let wait = RENEW_AGAIN.saturating_mul(1 << renewal.rounds.min(6)).min(RENEW_AGAIN_MAX);
        renewal.rounds = renewal.rounds.saturating_add(1);
        renewal.rests_until = now.after(wait);
    }

    fn renewal_failed(&mut self, group: GroupId, peer: PeerId, fault: RenewalFault) {
        let renewal = self.renewal_of(group);
        renewal.tried.insert(peer);
        renewal.last = Some(fault);
    }

    /// What an enroller gave, or why it gave nothing.
    pub(super) fn enrolled(&mut self, peer: PeerId, number: u32, given: Result<Box<Membership>, GrantFault>) {
        let is_asked = |(asked, wanted, _): &mut (PeerId, u32, Instant)| (*asked, *wanted) == (peer, number);
        let asked =
            self.renewal.iter_mut().find_map(|(group, one)| one.asked.take_if(is_asked).map(|_| *group));
        let Some(group) = asked else { return };
        match given
            .map_err(|fault| RenewalFault::Refused(peer, fault))
            .and_then(|given| self.judged(group, peer, given))
        {
            Ok(given) => {
                // Should it not be kept, it is asked for again after a while.
                self.renewal_of(group).tried.insert(peer);
                self.rest(group);
                self.effect(Effect::TakeOffer(Box::new(Offer::Invitation(given))));
            }
            Err(fault) => self.renewal_failed(group, peer, fault),
        }
        self.renew(group);
    }

    /// Whether it is this node's token, for longer or in a newer epoch, and no other.
    fn judged(
        &self,
        group: GroupId,
        peer: PeerId,
        given: Box<Membership>,
    ) -> Result<Box<Membership>, RenewalFault> {
        let Some(group) = self.config.groups.get(group) else { return Err(RenewalFault::Other(peer)) };
        let (before, after) = (group.badge.token.wish(), given.token.wish());
        let is_same = given.key == group.key
            && (before.holder, before.roles, before.peer) == (after.holder, after.roles, after.peer);
        let gains = given.epoch > group.epoch || after.not_after > before.not_after;
        if !is_same || !gains || given.epoch < group.epoch || after.serial <= before.serial {
            return Err(RenewalFault::Other(peer));
        }
        let denied = group.denied.clone();
        let with_denied = Membership { denied, ..(*given).clone() };
        with_denied
            .check(self.config.me, self.wall_s())
            .map_err(|fault| RenewalFault::Worthless(peer, fault))?;
        Ok(given)
    }

    /// A member asks for a newer token.
    pub(super) fn renewal_asked(&mut self, id: PeerId, group: GroupId, number: u32) {
        let now = self.wall_s();
        let Some(token) = self.members.token(id, group) else { return };
        let Some(group) = self.config.groups.get(group) else { return };
        let own = group.enroller.as_deref().ok_or(GrantFault::NoEnroller);
        let given = own.and_then(|own| own.renew(&group.signer, token, now));
        let given = given.and_then(|given| given.invitation().ok_or(GrantFault::NoEnroller));
        if let Some(peer) = self.peers.get_mut(id) {
            peer.session.show_enrolled(number, given);
        }
        self.pump(id);
    }

    /// What this node is a member by may be something else now.
    pub(super) fn renewals_begin_anew(&mut self) {
        let now = self.wall_s();
        let is_newer = |config: &GroupConfig| now < moment(&config.badge.token, DUE_PERCENT);
        let newer: Vec<GroupId> = self
            .config
            .groups
            .iter()
            .filter(|(_, config)| is_newer(config))
            .map(|(group, _)| group)
            .collect();
        // A newer deny list changes nothing of who was asked and how long to wait.
        newer.iter().for_each(|group| drop(self.renewal.remove(group)));
        self.renew_all();
    }

    /// Tells people, once at three quarters of a life and once at its end, that no newer token came (GROUP-5).
    fn tell_age(&mut self, group: GroupId) {
        let Some(config) = self.config.groups.get(group) else { return };
        let (token, renewal) = (&config.badge.token, self.renewal.get(&group));
        let is_past = |percent: &&u64| self.wall_s() >= moment(token, **percent);
        let past = TOLD_PERCENTS.iter().take_while(is_past).count();
        if past <= renewal.map_or(0, |renewal| renewal.told) {
            return;
        }
        let is_enroller = token.wish().roles.has(Roles::ENROL);
        let usual = if is_enroller { RenewalFault::OwnersOnly } else { RenewalFault::NobodyThere };
        let event = Event::TokenOld {
            group: group.to_string(),
            until_unix_s: token.wish().not_after,
            is_over: past == TOLD_PERCENTS.len(),
            reason: renewal.and_then(|renewal| renewal.last).unwrap_or(usual).to_string(),
        };
        self.renewal_of(group).told = past;
        self.effect(Effect::Tell(event));
    }
}

/// Seconds since 1970 at which so many hundredths of a token's life are over; after the end, that is when it counts no more.
fn moment(token: &Token, percent: u64) -> u64 {
    let wish = token.wish();
    let life = wish.not_after.saturating_sub(wish.not_before);
    let past = wish.not_before.saturating_add(life.saturating_mul(percent) / 100);
    if percent == 100 { past.saturating_add(1) } else { past }
}
