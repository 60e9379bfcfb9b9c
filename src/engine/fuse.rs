//! The fuse (CLAIM-12): a link whose strangers swore to what files were not is not listened to for a while.
//!
//! Ids are free, so it is the link that counts: the subnet a peer is reached on. Knows: which links are not listened to and
//! until when, what is kept of that, which word counts for which file. Does not know: how a stranger is refuted (`lookup`,
//! `swarm`), what his word would have been used for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::subnet::Subnet;
use peer_proto::time::Instant;

use super::core::Core;
use super::file::JobFile;
use super::io::KeptFuse;
use super::why::Chosen;

/// Files within [`WITHIN`] that blow the fuse of a link.
pub const FILES: usize = 2;
/// For so long a file counts, and after so long without one a link begins anew.
pub const WITHIN: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a link is not listened to the first time; each next time is twice as long ...
pub const BLOWN_FIRST: Duration = Duration::from_secs(60 * 60);
/// ... and at most this.
pub const BLOWN_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Links that are known of; a machine has a few, and those whom a rendezvous names come from a few more.
const LINKS_MAX: usize = 64;
/// Strangers whose links are remembered for one file.
const AUTHORS_MAX: usize = 256;

/// A link that is not listened to, as people are shown it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlownLink {
    /// The subnet.
    pub link: Subnet,
    /// Until when, milliseconds since 1970.
    pub until_unix_ms: i64,
}

/// What is held against one link.
#[derive(Clone, Debug, Default)]
struct Held {
    /// When files were found whose strangers were refuted after a mismatch: the last [`FILES`] of them.
    files: Vec<Instant>,
    /// How often in a row it was not listened to.
    times: u32,
    until: Instant,
}

impl Held {
    /// When the last thing happened that a clean day is counted from.
    fn last(&self) -> Instant {
        self.files.last().copied().unwrap_or(Instant::ZERO).max(self.until)
    }
}

/// The fuses of all links.
#[derive(Clone, Debug, Default)]
pub struct Fuse {
    links: BTreeMap<Subnet, Held>,
}

impl Fuse {
    /// Until when strangers on a link are not listened to; `None` if they are.
    #[must_use]
    pub fn blown_until(&self, link: Subnet, now: Instant) -> Option<Instant> {
        self.links.get(&link).map(|held| held.until).filter(|until| *until > now)
    }

    /// One more file was found wrong, and a stranger on this link refuted because of it. What was on its way when the fuse
    /// blew adds nothing. `Some` if the link is not listened to from now on, with until when.
    pub fn note(&mut self, link: Subnet, now: Instant) -> Option<Instant> {
        if self.blown_until(link, now).is_some() {
            return None;
        }
        if self.links.len() >= LINKS_MAX && !self.links.contains_key(&link) {
            let quiet = self.links.iter().min_by_key(|(_, held)| held.last()).map(|(link, _)| *link);
            quiet.and_then(|quiet| self.links.remove(&quiet));
        }
        let held = self.links.entry(link).or_default();
        if now.since(held.last()) >= WITHIN {
            *held = Held::default();
        }
        held.files.retain(|at| now.since(*at) < WITHIN);
        held.files.push(now);
        if held.files.len() < FILES {
            return None;
        }
        held.files.remove(0);
        held.until = now.after(BLOWN_FIRST.saturating_mul(1 << held.times.min(12)).min(BLOWN_MAX));
        held.times = held.times.saturating_add(1);
        Some(held.until)
    }

    /// Links that are not listened to now.
    pub(super) fn blown(&self, now: Instant) -> impl Iterator<Item = (Subnet, Instant)> + '_ {
        let links = self.links.iter().filter(move |(_, held)| held.until > now);
        links.map(|(link, held)| (*link, held.until))
    }

    /// All that counts for the next run.
    #[must_use]
    pub fn kept(&self, now: Instant) -> Vec<KeptFuse> {
        let counts = self.links.iter().filter(|(_, held)| now.since(held.last()) < WITHIN);
        let kept = counts.map(|(link, held)| KeptFuse {
            link: *link,
            times: held.times,
            left_s: held.until.since(now).as_secs(),
            files_s: held.files.iter().map(|at| now.since(*at).as_secs()).collect(),
        });
        kept.collect()
    }

    /// What an earlier run kept. Time before this node started counts as if it had just begun: clocks may leap, and what
    /// was held against a link is not forgiven for that.
    pub fn found(&mut self, kept: &KeptFuse, now: Instant) {
        if self.links.len() >= LINKS_MAX {
            return;
        }
        let begun = |ago_s: &u64| {
            Instant::from_micros(now.as_micros().saturating_sub(ago_s.saturating_mul(1_000_000)))
        };
        let mut files: Vec<Instant> = kept.files_s.iter().take(FILES - 1).map(begun).collect();
        files.sort_unstable();
        let left = Duration::from_secs(kept.left_s).min(BLOWN_MAX);
        let held = Held { files, times: kept.times, until: now.after(left) };
        self.links.insert(kept.link, held);
    }
}

/// Whose word was taken for one file, and where they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Strangers {
    links: BTreeMap<PeerId, Subnet>,
    /// Links that this file was counted against: once each.
    counted: BTreeSet<Subnet>,
    /// Whether its decisions say that somebody is not listened to.
    told: bool,
}

impl Core {
    /// Until when a peer's word is not taken because of where it is; members' always is.
    fn unheard_until(&self, peer: PeerId) -> Option<(Subnet, Instant)> {
        let link = self.peers.get(peer)?.link?;
        let until = self.fuse.blown_until(link, self.time())?;
        (!self.is_member(peer)).then_some((link, until))
    }

    /// Whether what a peer says is taken, if nothing else proves it.
    pub(super) fn hears(&self, peer: PeerId) -> bool {
        self.unheard_until(peer).is_none()
    }

    /// Links that are not listened to now.
    pub(super) fn blown_links(&self) -> Vec<BlownLink> {
        let now = self.time();
        let wall = |until: Instant| {
            let left = i64::try_from(until.since(now).as_millis()).unwrap_or(i64::MAX);
            self.now.wall_unix_ms.saturating_add(left)
        };
        self.fuse.blown(now).map(|(link, until)| BlownLink { link, until_unix_ms: wall(until) }).collect()
    }
}

impl JobFile {
    /// Whether strangers' lists and claims are all that says what the bytes are before the whole file is here.
    pub(super) fn rests_on_strangers(&self) -> bool {
        self.claims.root.is_none() && self.claims.trusted.is_none() && self.vouched_digest().is_none()
    }

    /// Whether a peer's word is taken for this file; if it is, where the peer is stays known after it went.
    pub(super) fn listens_to(&mut self, peer: PeerId, core: &Core) -> bool {
        if !self.rests_on_strangers() || core.is_member(peer) {
            return true;
        }
        if let Some((link, until)) = core.unheard_until(peer) {
            if !std::mem::replace(&mut self.claims.strangers.told, true) {
                let minutes = until.since(core.time()).as_secs().div_ceil(60);
                let why = format!(
                    "strangers at {link} are not listened to for {minutes} min more: twice what they swore to was not the file"
                );
                self.why.note(Chosen::Nobody, why, String::new(), core.time());
            }
            return false;
        }
        if let Some(link) = core.peers.get(peer).and_then(|peer| peer.link)
            && self.claims.strangers.links.len() < AUTHORS_MAX
        {
            self.claims.strangers.links.insert(peer, link);
        }
        true
    }

    /// A peer was refuted. If it was a stranger and the file had been found wrong, that is held against its link.
    pub(super) fn note_refuted(&mut self, peer: PeerId, core: &mut Core) {
        let Some(link) = self.claims.strangers.links.get(&peer).copied().filter(|_| self.repair.is_some())
        else {
            return;
        };
        let now = core.time();
        if !self.claims.strangers.counted.insert(link) {
            return;
        }
        if let Some(until) = core.fuse.note(link, now) {
            let minutes = until.since(now).as_secs().div_ceil(60);
            let why = format!(
                "the second file within a day: strangers at {link} are not listened to for {minutes} min, members are"
            );
            self.why.note(Chosen::Nobody, why, String::new(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn at(hours: u64) -> Instant {
        Instant::from_micros((hours + 100) * HOUR * 1_000_000)
    }

    fn link(number: u8) -> Subnet {
        format!("10.{number}.0.0/16").parse().expect("a subnet")
    }

    /// For how many hours a link is not listened to if these files were found wrong at these hours.
    fn hours_after(files: &[u64]) -> Vec<u64> {
        let mut fuse = Fuse::default();
        let blown = files.iter().filter_map(|hour| Some((*hour, fuse.note(link(1), at(*hour))?)));
        blown.map(|(hour, until)| until.since(at(hour)).as_secs() / HOUR).collect()
    }

    fn blow(fuse: &mut Fuse, link: Subnet) {
        assert_eq!((fuse.note(link, at(0)), fuse.note(link, at(0))), (None, Some(at(1))));
    }

    #[test]
    fn claim_12_two_files_within_a_day_blow_the_fuse_for_an_hour() {
        assert_eq!(hours_after(&[0]), [0; 0]);
        assert_eq!(hours_after(&[0, 23]), [1]);
        assert_eq!(hours_after(&[0, 24]), [0; 0], "a day later");
        assert_eq!(hours_after(&[0, 1, 25]), [1], "a day after the one that still counted");
        let mut fuse = Fuse::default();
        assert_eq!(fuse.note(link(1), at(0)), None);
        assert_eq!(fuse.note(link(2), at(1)), None, "another link");
        assert_eq!(fuse.note(link(1), at(2)), Some(at(3)));
        assert_eq!((fuse.blown_until(link(1), at(2)), fuse.blown_until(link(1), at(3))), (Some(at(3)), None));
        assert_eq!(fuse.blown_until(link(2), at(2)), None);
        let blown = |now| fuse.blown(now).collect::<Vec<_>>();
        assert_eq!((blown(at(2)), blown(at(3))), (vec![(link(1), at(3))], Vec::new()));
    }

    #[test]
    fn claim_12_each_time_is_twice_as_long_up_to_a_day_and_a_clean_day_forgives() {
        // One file more within the day is enough.
        assert_eq!(hours_after(&[0, 1, 3, 6, 12, 22, 40, 70]), [1, 2, 4, 8, 16, 24]);
        assert_eq!(hours_after(&[0, 1, 3, 28, 29]), [1, 2, 4], "the second one ended 23 hours before");
        assert_eq!(hours_after(&[0, 1, 3, 29, 30]), [1, 2, 1], "24 hours before");
    }

    #[test]
    fn claim_12_what_was_on_its_way_when_the_fuse_blew_adds_nothing() {
        let mut fuse = Fuse::default();
        blow(&mut fuse, link(1));
        (0..9).for_each(|_| assert_eq!(fuse.note(link(1), at(0)), None));
        assert_eq!(fuse.note(link(1), at(2)), Some(at(4)), "two hours, not a day");
    }

    #[test]
    fn claim_12_what_is_held_against_a_link_is_kept_for_the_next_run() {
        let mut fuse = Fuse::default();
        fuse.note(link(1), at(0));
        blow(&mut fuse, link(2));
        fuse.note(link(3), at(0));
        let kept = fuse.kept(at(0).after(Duration::from_secs(60)));
        let text = serde_json::to_string(&kept).expect("written down");
        assert!(text.contains(r#"{"link":"10.2.0.0/16","times":1,"left-s":3540,"files-s":[60]}"#), "{text}");
        let mut next = Fuse::default();
        let kept: Vec<KeptFuse> = serde_json::from_str(&text).expect("read again");
        kept.iter().for_each(|kept| next.found(kept, at(0)));
        assert_eq!(next.blown_until(link(2), at(0)), Some(at(0).after(Duration::from_secs(3_540))));
        assert_eq!(next.note(link(1), at(1)), Some(at(2)), "the second one");
        assert_eq!(next.note(link(2), at(1)), Some(at(3)), "the third one");
        assert!(next.kept(at(30)).is_empty(), "a day later nothing is worth it");
        let mut quiet = Fuse::default();
        quiet.note(link(1), at(0));
        assert_eq!((quiet.kept(at(23)).len(), quiet.kept(at(24)).len()), (1, 0));
        quiet.found(&KeptFuse { link: link(2), times: 0, left_s: 0, files_s: vec![10, 20, 30] }, at(1));
        let files = |of: KeptFuse| (of.link == link(2)).then_some(of.files_s.len());
        assert_eq!(quiet.kept(at(1)).into_iter().find_map(files), Some(1), "as many as it would have kept");
    }

    #[test]
    fn claim_12_links_are_bounded_and_the_one_that_was_quiet_longest_goes() {
        let mut fuse = Fuse::default();
        blow(&mut fuse, link(0));
        for number in 1..=255 {
            assert_eq!(fuse.note(link(number), at(0).after(Duration::from_secs(number.into()))), None);
        }
        assert_eq!(fuse.links.len(), LINKS_MAX);
        assert!(fuse.blown_until(link(0), at(0)).is_some(), "its hour is not over");
        let full = KeptFuse {
            link: "10.0.0.0/8".parse().expect("a subnet"),
            times: 9,
            left_s: u64::MAX,
            files_s: Vec::new(),
        };
        fuse.found(&full, at(0));
        assert_eq!(fuse.links.len(), LINKS_MAX);
        let mut fuse = Fuse::default();
        fuse.found(&full, at(0));
        assert_eq!(fuse.blown_until(full.link, at(0)), Some(at(24)), "a day at most, whatever a file says");
    }
}
