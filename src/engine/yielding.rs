//! How fast peers are served: what was allowed, and what is left beside the owner's own jobs.
//!
//! Somebody waits for a foreground job. While such jobs move bytes, everything served that does not bring one of them
//! forward gets a quarter of what they move, and [`LEAST`] in any case, so that the others are not left with nothing.
//! Knows: the rates that hold, what foreground jobs move, whom serving helps. Does not know: how a rate is kept.

use std::num::NonZeroU64;
use std::time::Duration;

use peer_proto::peer::PeerId;
use peer_proto::time::Instant;

use super::core::Core;
use super::file::JobFile;
use super::io::{Effect, ServeFrom, ServePace, Yields};
use super::pace::Meter;
use super::serve::Shelf;
use crate::job::{Priority, ServeRates};

/// Serving is slowed to no less, in bytes per second: the least that BITS lets an administrator set (1 Mbit/s).
const LEAST: NonZeroU64 = NonZeroU64::new(131_072).expect("not zero");
/// Of what foreground jobs move, one part in so many is served beside them.
const SHARE: u64 = 4;
/// What foreground jobs move is measured over this time.
const WINDOW: Duration = Duration::from_secs(1);
/// They move bytes if they moved some in this time: when the last one has ended, nobody waits much longer.
const MOVES: Duration = Duration::from_millis(300);
/// How often the share follows what is moved.
const LOOK_TICK: Duration = Duration::from_millis(250);

/// What foreground jobs move, and what the hands were told.
#[derive(Debug, Default)]
pub(super) struct Yielding {
    moved: Meter,
    moved_at: Option<Instant>,
    told: ServePace,
    /// When the share was looked at last.
    looked_at: Instant,
}

impl Yielding {
    /// Foreground jobs moved bytes.
    pub(super) fn add(&mut self, bytes: u64, now: Instant) {
        if bytes > 0 {
            self.moved.add(bytes, now);
            self.moved_at = Some(now);
        }
    }

    /// Bytes per second beside the foreground; `None` if nothing moves there.
    fn share(&self, now: Instant) -> Option<NonZeroU64> {
        let is_moving = self.moved_at.is_some_and(|at| now.since(at) < MOVES);
        let share = NonZeroU64::new(self.moved.rate(WINDOW, now) / SHARE);
        is_moving.then(|| share.map_or(LEAST, |share| share.max(LEAST)))
    }
}

impl Core {
    fn serve_rates(&self) -> ServeRates {
        capped(self.config.serving, self.config.policy.peers.bandwidth_served())
    }

    /// Bytes per second that one request more would share with all others; `None` without a limit.
    pub(super) fn serve_rate(&self, yields: Yields) -> Option<NonZeroU64> {
        let beside = self.yielding.told.beside.filter(|_| yields == Yields::ToForeground);
        self.serve_rates().total.into_iter().chain(beside).min()
    }

    /// Tells the hands how fast peers are served, if that is another rate than before.
    pub(super) fn tell_serve_pace(&mut self) {
        let now = self.time();
        let told = self.yielding.told;
        // What was told stays while something moves: whoever asks again and again is not let go in between.
        let is_wanted = told.beside.is_some() || self.serving.open.any_yields();
        let share = self.yielding.share(now).filter(|_| is_wanted);
        let is_due = now.since(self.yielding.looked_at) >= LOOK_TICK;
        let beside = if share.is_some() && told.beside.is_some() && !is_due { told.beside } else { share };
        let pace = ServePace { rates: self.serve_rates(), beside };
        if is_due {
            self.yielding.looked_at = now;
        }
        if pace != told {
            self.yielding.told = pace;
            self.effect(Effect::SetServePace(pace));
        }
    }

    /// When what is served is not to yield any more, if nothing else happens.
    pub(super) fn yield_wake(&self) -> Instant {
        let Yielding { moved_at, told, .. } = &self.yielding;
        match (told.beside, moved_at) {
            (Some(_), Some(at)) => at.after(MOVES),
            (None, _) | (_, None) => Instant::NEVER,
        }
    }
}

/// What may be served in all: what the user prefers, and no more than the policy says (POL-6).
fn capped(preference: ServeRates, policy: Option<NonZeroU64>) -> ServeRates {
    ServeRates { total: preference.total.into_iter().chain(policy).min(), ..preference }
}

impl JobFile {
    fn is_foreground(&self) -> bool {
        self.wish.priority == Priority::Foreground
    }

    /// Bytes of this file came in from elsewhere.
    pub(super) fn note_moved(&self, bytes: u64, core: &mut Core) {
        if self.is_foreground() {
            let now = core.time();
            core.yielding.add(bytes, now);
        }
    }
}

impl Shelf<'_> {
    /// Whether what is given to this peer yields: not if it is of a file that a foreground job fetches, nor if the peer
    /// gives to such a job right now. Whoever is slowed then slows that job down.
    pub(super) fn yields(&self, id: PeerId, from: ServeFrom) -> Yields {
        let mut urgent = self.files.values().filter(|file| file.is_foreground());
        let helps = urgent.any(|file| {
            from == ServeFrom::Part(file.file()) || file.leases.values().any(|lease| lease.peer() == Some(id))
        });
        if helps { Yields::Never } else { Yields::ToForeground }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    #[test]
    fn pol_6_the_policy_caps_what_the_user_prefers() {
        let rate = NonZeroU64::new;
        for (preferred, policy, holds) in [
            (None, None, None),
            (None, rate(7), rate(7)),
            (rate(9), rate(7), rate(7)),
            (rate(5), rate(7), rate(5)),
        ] {
            let preference = ServeRates { total: preferred, peer: rate(3) };
            assert_eq!(capped(preference, policy), ServeRates { total: holds, peer: rate(3) });
        }
    }

    #[test]
    fn cache_22_a_quarter_of_what_foreground_jobs_move_is_left_and_never_less_than_a_megabit() {
        let mut yielding = Yielding::default();
        assert_eq!(yielding.share(at(5_000)), None, "nothing moves");
        yielding.add(0, at(5_000));
        assert_eq!(yielding.share(at(5_000)), None);
        yielding.add(4_000_000, at(5_000));
        assert_eq!(yielding.share(at(5_299)), NonZeroU64::new(1_000_000));
        assert_eq!(yielding.share(at(5_300)), None, "the job has ended, or might as well have");
        yielding.add(10, at(6_900));
        assert_eq!(yielding.share(at(7_000)), Some(LEAST));
        assert_eq!(yielding.share(at(7_200)), None);
    }
}
