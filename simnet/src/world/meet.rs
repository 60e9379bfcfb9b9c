//! Streams between hosts, questions to origins, and how hosts learn of each other.
//!
//! Knows: what opens and closes, who is told. Does not know: bulk (`flows`), what goes wrong (`faults`).

use std::time::Duration;

use peer_proto::time::Instant;

use super::{Event, Notice, Power, Trouble, World, place};
use crate::host::{Host, HostId};
use crate::link::Link;
use crate::net::PATIENCE;
use crate::origin::{Answer, OriginId, Reach};

/// A question to an origin that is not answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    host: HostId,
    origin: OriginId,
    number: u64,
    asked: Instant,
}

/// A client that is not answered tries again after this, until its patience is over.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl<H: Host> World<H> {
    pub(super) fn is_connected(&self, one: HostId, other: HostId) -> bool {
        self.place(one).is_some_and(|place| place.streams.contains(&other))
    }

    /// Whether anything gets from one host to another.
    pub(super) fn way_is_open(&self, from: HostId, to: HostId) -> bool {
        let (Some(one), Some(other)) = (self.place(from), self.place(to)) else { return false };
        let sites = [one, other].map(|place| place.attached.map(|attached| attached.seat.site));
        let far = sites[0] != sites[1];
        let dark = far && sites.iter().flatten().any(|site| self.dark.contains(site));
        let on = one.power == Power::On && other.power == Power::On;
        on && !dark && !self.cuts.contains(&(from, to))
    }

    /// Opens a stream. Both ends are told.
    pub(super) fn open(&mut self, one: HostId, other: HostId) {
        // The line may have been cut when there was no stream on it.
        self.look_at_links(one, other);
        for (id, peer) in [(one, other), (other, one)] {
            self.note(5, u64::from(id.0), u64::from(peer.0));
            if let Some(place) = self.place_mut(id) {
                place.streams.insert(peer);
                place.dialling.remove(&peer);
            }
            self.notices.push_back((id, Notice::Connected(peer)));
        }
    }

    /// Closes a stream with everything on it. Both ends are told.
    pub(super) fn close(&mut self, one: HostId, other: HostId) {
        if !self.is_connected(one, other) {
            return;
        }
        for (id, peer) in [(one, other), (other, one)] {
            self.note(6, u64::from(id.0), u64::from(peer.0));
            if let Some(link) = self.links.get_mut(&(id, peer)) {
                link.reset(self.now);
            }
            if let Some(place) = self.place_mut(id) {
                place.streams.remove(&peer);
            }
        }
        self.break_flows_between(one, other);
        self.notices.push_back((one, Notice::Lost(other)));
        self.notices.push_back((other, Notice::Lost(one)));
    }

    pub(super) fn dial(&mut self, from: HostId, to: HostId) {
        if from == to || self.is_connected(from, to) {
            return;
        }
        let (Some(one), Some(other)) = (self.place(from), self.place(to)) else { return };
        let delay = match (one.attached, other.attached) {
            (Some(one), Some(other)) => self.net.line(&one, &other).delay,
            _ => Duration::ZERO,
        };
        let is_new = self.place_mut(from).is_some_and(|place| place.dialling.insert(to));
        if is_new {
            // Two round trips: the connection, and the proof of who is there.
            let at = self.now.after(delay.saturating_mul(4)).after(Duration::from_micros(1));
            self.queue.push(at, Event::Dialled(from, to));
        }
    }

    pub(super) fn dialled(&mut self, from: HostId, to: HostId) {
        let was_wanted = self.place_mut(from).is_some_and(|place| place.dialling.remove(&to));
        if !was_wanted || self.is_connected(from, to) {
            return;
        }
        if !self.way_is_open(from, to) || !self.way_is_open(to, from) {
            self.notices.push_back((from, Notice::Lost(to)));
            return;
        }
        let ends = [from, to].map(|id| self.place(id).and_then(|place| place.attached));
        if let [Some(one), Some(other)] = ends {
            let lines = [self.net.line(&one, &other), self.net.line(&other, &one)];
            for (way, line) in [(from, to), (to, from)].into_iter().zip(lines) {
                self.links.entry(way).or_insert_with(|| Link::new(line));
            }
        }
        if self.links.contains_key(&(from, to)) {
            self.open(from, to);
        }
    }

    pub(super) fn ask(&mut self, host: HostId, origin: OriginId, number: u64) {
        let Some(source) = self.origins.get_mut(place(origin.0)) else { return };
        source.counts.asks += 1;
        let question = Question { host, origin, number, asked: self.now };
        let key = self.next_question;
        self.next_question = self.next_question.wrapping_add(1);
        self.questions.insert(key, question);
        let at = self.now.after(self.round_trip(host, origin));
        self.queue.push(at, Event::Answer(key));
    }

    pub(super) fn answer(&mut self, key: u32) {
        let Some(question) = self.questions.get(&key).copied() else { return };
        let Some(source) = self.origins.get(place(question.origin.0)) else { return };
        let reach = if self.is_dark(question.host) { Reach::Silent } else { source.spec.reach };
        let answer = match reach {
            Reach::Up => {
                let round_trip = self.round_trip(question.host, question.origin);
                Answer::Says { version: source.spec.says, round_trip }
            }
            Reach::Refuses => Answer::Refused,
            Reach::Silent if self.now.since(question.asked) < PATIENCE => {
                self.queue.push(self.now.after(ASK_AGAIN), Event::Answer(key));
                return;
            }
            Reach::Silent => Answer::Silence,
        };
        self.questions.remove(&key);
        self.note(7, u64::from(question.host.0), question.number);
        self.notices.push_back((question.host, Notice::Answer(question.number, answer)));
    }

    /// Questions of a host that does not run any more are not answered.
    pub(super) fn forget_questions(&mut self, host: HostId) {
        self.questions.retain(|_, question| question.host != host);
    }

    pub(super) fn is_dark(&self, host: HostId) -> bool {
        let attached = self.place(host).and_then(|place| place.attached);
        attached.is_some_and(|attached| self.dark.contains(&attached.seat.site))
    }

    fn round_trip(&self, host: HostId, origin: OriginId) -> Duration {
        let attached = self.place(host).and_then(|place| place.attached);
        let spec = self.origins.get(place(origin.0)).map(|source| source.spec);
        match (attached, spec) {
            (Some(attached), Some(spec)) => self.net.way_to_origin(&spec, &attached).0.saturating_mul(2),
            (None, Some(spec)) => spec.delay.saturating_mul(2),
            (_, None) => Duration::ZERO,
        }
    }

    /// A host of a site and some of those that are there will learn of each other.
    pub(super) fn announce(&mut self, id: HostId) {
        let Some(attached) = self.place(id).and_then(|place| place.attached) else { return };
        let residents = self.residents.entry(attached.seat.site).or_default();
        let mut others: Vec<HostId> = residents.iter().copied().filter(|other| *other != id).collect();
        if !residents.contains(&id) {
            residents.push(id);
        }
        let told = others.len().min(self.discovery.told_max);
        for at in 0..told {
            let rest = u64::try_from(others.len() - at).unwrap_or(0);
            let pick = usize::try_from(self.dice.below(rest)).unwrap_or(0);
            others.swap(at, at + pick);
        }
        let delay_max = u64::try_from(self.discovery.delay_max.as_micros()).unwrap_or(u64::MAX);
        for other in others.into_iter().take(told) {
            for (to, of) in [(id, other), (other, id)] {
                let delay = Duration::from_micros(self.dice.below(delay_max.saturating_add(1)));
                self.queue.push(self.now.after(delay), Event::Sight(to, of));
            }
        }
    }

    /// Announcements are heard by those who can hear them.
    pub(super) fn sight(&mut self, to: HostId, of: HostId) -> Result<(), Trouble> {
        if !self.way_is_open(of, to) {
            return Ok(());
        }
        let neighbour = self.neighbour(to, of);
        let now = self.now;
        if let Some(place) = self.place_mut(to) {
            place.host.handle_discovered(neighbour, now);
        }
        self.settle(to)
    }
}
