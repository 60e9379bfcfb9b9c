//! One direction of a line between two hosts, and the reliable stream on it.
//!
//! Knows: rate, delay, loss, cuts. The transport of the real node is a TCP stream, so nothing a protocol sends is
//! ever lost, doubled or out of order: a lost packet makes its message, and everything behind it, *late*. A packet
//! is tried again after 200 ms, then after twice that, and so on; a cut holds everything until the first retry after
//! it healed; a cut that outlasts the patience of the stream breaks it. Bytes that were tampered with break the
//! encrypted channel, which is the same as a broken stream. Does not know: who is at the ends.

use std::collections::VecDeque;
use std::time::Duration;

use peer_proto::time::Instant;

use crate::dice::Dice;

/// What a line is like, in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkSpec {
    /// Bytes it carries in a second. Zero stands for no limit.
    pub rate_bytes_per_s: u64,
    /// Time from one end to the other.
    pub delay: Duration,
    /// Packets (of 1 448 bytes) lost in a million.
    pub loss_per_million: u32,
    /// How long the stream bears a cut before it breaks.
    pub patience: Duration,
}

impl Default for LinkSpec {
    /// A quiet office line: 1 Gbit/s, 200 µs, no loss, patience of 30 s.
    fn default() -> Self {
        Self {
            rate_bytes_per_s: 125_000_000,
            delay: Duration::from_micros(200),
            loss_per_million: 0,
            patience: Duration::from_secs(30),
        }
    }
}

/// What happened on a link so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LinkCounts {
    /// Messages the sender handed over.
    pub sent: u64,
    /// Messages the receiver got.
    pub arrived: u64,
    /// Messages that went with a broken stream.
    pub dropped: u64,
    /// Bytes of the messages that arrived.
    pub bytes: u64,
    /// Packets that were lost, each sent again.
    pub packets_lost: u64,
}

#[derive(Debug)]
pub(crate) struct Link<M> {
    spec: LinkSpec,
    /// When the line has sent what was handed over so far.
    busy_until: Instant,
    /// No message arrives before the one in front of it.
    last_arrival: Instant,
    under_way: VecDeque<Parcel<M>>,
    cut_since: Option<Instant>,
    counts: LinkCounts,
}

#[derive(Debug)]
struct Parcel<M> {
    arrival: Instant,
    len: u32,
    message: M,
}

const PACKET_LEN: u32 = 1_448;
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// Retries of one packet, each after twice the time: 200 ms to 102 s.
const RETRIES_MAX: u32 = 9;

impl<M> Link<M> {
    pub(crate) fn new(spec: LinkSpec) -> Self {
        Self {
            spec,
            busy_until: Instant::ZERO,
            last_arrival: Instant::ZERO,
            under_way: VecDeque::new(),
            cut_since: None,
            counts: LinkCounts::default(),
        }
    }

    /// Takes a message over; says when to come back for it.
    pub(crate) fn send(&mut self, message: M, len: u32, now: Instant, dice: &mut Dice) -> Instant {
        self.counts.sent += 1;
        let arrival = self.carry(len, now, dice);
        self.under_way.push_back(Parcel { arrival, len, message });
        arrival
    }

    /// The next message that has arrived by now.
    pub(crate) fn pop_arrived(&mut self, now: Instant) -> Option<M> {
        if self.cut_since.is_some() {
            return None;
        }
        let parcel = self.under_way.pop_front_if(|parcel| parcel.arrival <= now)?;
        self.counts.arrived += 1;
        self.counts.bytes += u64::from(parcel.len);
        Some(parcel.message)
    }

    /// Cuts the line; says when the stream breaks if the line is still cut then.
    pub(crate) fn cut(&mut self, now: Instant) -> Instant {
        let since = *self.cut_since.get_or_insert(now);
        since.after(self.spec.patience)
    }

    /// Heals the line; what was held leaves at the next retry. Says when to come back for each message.
    pub(crate) fn heal(&mut self, now: Instant, dice: &mut Dice) -> Vec<Instant> {
        let Some(since) = self.cut_since.take() else { return Vec::new() };
        if self.under_way.is_empty() {
            return Vec::new();
        }
        let mut retry = since.after(FIRST_RETRY);
        let mut pause = FIRST_RETRY;
        while retry < now {
            pause = pause.saturating_mul(2);
            retry = retry.after(pause);
        }
        self.busy_until = retry;
        self.last_arrival = retry;
        let mut held = std::mem::take(&mut self.under_way);
        for parcel in &mut held {
            parcel.arrival = self.carry(parcel.len, retry, dice);
        }
        self.under_way = held;
        self.under_way.iter().map(|parcel| parcel.arrival).collect()
    }

    /// Whether the line has been cut for as long as the stream bears.
    pub(crate) fn is_broken(&self, now: Instant) -> bool {
        self.cut_since.is_some_and(|since| now.since(since) >= self.spec.patience)
    }

    /// Drops what is under way: the stream broke. The line stays as it is, cut or whole.
    pub(crate) fn reset(&mut self, now: Instant) {
        self.counts.dropped += u64::try_from(self.under_way.len()).unwrap_or(u64::MAX);
        self.under_way.clear();
        self.busy_until = now;
        self.last_arrival = now;
    }

    pub(crate) const fn is_cut(&self) -> bool {
        self.cut_since.is_some()
    }

    pub(crate) const fn counts(&self) -> LinkCounts {
        self.counts
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    fn carry(&mut self, len: u32, now: Instant, dice: &mut Dice) -> Instant {
        let sending = match self.spec.rate_bytes_per_s {
            0 => 0,
            rate => (u64::from(len) * 1_000_000).div_ceil(rate),
        };
        self.busy_until = self.busy_until.max(now).after(Duration::from_micros(sending));
        let penalty = self.worst_retry(len, dice);
        let arrival = self.busy_until.after(self.spec.delay).after(penalty);
        self.last_arrival = self.last_arrival.max(arrival);
        self.last_arrival
    }

    /// How late the unluckiest packet of a message is.
    fn worst_retry(&mut self, len: u32, dice: &mut Dice) -> Duration {
        let mut worst = Duration::ZERO;
        if self.spec.loss_per_million == 0 {
            return worst;
        }
        for _ in 0..len.div_ceil(PACKET_LEN).max(1) {
            let (mut late, mut pause) = (Duration::ZERO, FIRST_RETRY);
            let mut tries = 0;
            while tries < RETRIES_MAX && dice.chance(self.spec.loss_per_million) {
                tries += 1;
                self.counts.packets_lost += 1;
                late = late.saturating_add(pause);
                pause = pause.saturating_mul(2);
            }
            worst = worst.max(late);
        }
        worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Instant {
        Instant::from_micros(count * 1_000)
    }

    fn spec() -> LinkSpec {
        LinkSpec { rate_bytes_per_s: 1_000_000, delay: Duration::from_millis(10), ..LinkSpec::default() }
    }

    fn arrivals(link: &Link<u32>) -> Vec<Instant> {
        link.under_way.iter().map(|parcel| parcel.arrival).collect()
    }

    #[test]
    fn a_message_takes_its_length_over_the_rate_and_the_delay() {
        let mut link = Link::new(spec());
        let dice = &mut Dice::new(1);
        assert_eq!(link.send(1, 5_000, ms(0), dice), ms(15));
        assert_eq!(link.send(2, 1_000, ms(1), dice), ms(16), "after the one in front");
        assert_eq!(link.send(3, 1_000, ms(50), dice), ms(61));
        assert_eq!(link.pop_arrived(ms(14)), None);
        assert_eq!(link.pop_arrived(ms(15)), Some(1));
        assert_eq!(link.pop_arrived(ms(15)), None);
        let counts = link.counts();
        assert_eq!((counts.sent, counts.arrived, counts.bytes), (3, 1, 5_000));
    }

    #[test]
    fn loss_makes_late_and_never_reorders() {
        let mut link = Link::new(LinkSpec { loss_per_million: 300_000, ..spec() });
        let dice = &mut Dice::new(7);
        for number in 0..100 {
            link.send(number, 1_000, ms(u64::from(number)), dice);
        }
        let arrivals = arrivals(&link);
        assert!(arrivals.is_sorted());
        assert!(link.counts().packets_lost > 20, "{:?}", link.counts());
        assert!(arrivals[99] >= ms(99 + 11 + 200));
        let order: Vec<u32> = std::iter::from_fn(|| link.pop_arrived(Instant::NEVER)).collect();
        assert_eq!(order, Vec::from_iter(0..100));
    }

    #[test]
    fn a_cut_holds_everything_until_the_first_retry_after_it_healed() {
        let mut link = Link::new(spec());
        let dice = &mut Dice::new(1);
        link.send(1, 1_000, ms(0), dice);
        link.cut(ms(5));
        link.send(2, 1_000, ms(6), dice);
        assert_eq!(link.pop_arrived(ms(900)), None);
        // Tried again at 205, 605 and 1 405 ms.
        assert_eq!(link.heal(ms(1_000), dice), [ms(1_416), ms(1_417)]);
        assert_eq!(link.heal(ms(1_100), dice), [], "it was whole");
        assert_eq!(arrivals(&link), [ms(1_416), ms(1_417)]);
    }

    #[test]
    fn a_cut_that_outlasts_the_patience_breaks_the_stream() {
        let mut link = Link::new(LinkSpec { patience: Duration::from_secs(2), ..spec() });
        link.send(1, 1_000, ms(0), &mut Dice::new(1));
        assert_eq!(link.cut(ms(5)), ms(2_005));
        assert_eq!(link.cut(ms(50)), ms(2_005), "the first cut counts");
        assert!(!link.is_broken(ms(2_004)) && link.is_broken(ms(2_005)));
        link.reset(ms(2_005));
        assert_eq!((link.under_way(), link.counts().dropped), (0, 1));
    }
}
