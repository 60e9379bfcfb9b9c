//! How often the network is asked who is there (PEER-14, PEER-15).
//!
//! Knows: when it was asked last because somebody wanted it. Does not know: how it is asked.

use std::time::Duration;

use peer_proto::time::Instant;

/// Somebody who asks again within this time learns what is known already.
const REST: Duration = Duration::from_secs(600);

/// The last time somebody asked.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    last: Option<Instant>,
}

impl Inquiry {
    /// Whether the network is to be asked now; if so, this is the last time.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let rests = self.last.is_some_and(|last| now.since(last) < REST);
        if !rests {
            self.last = Some(now);
        }
        !rests
    }

    /// The next one asks, whenever the last one did (PEER-23).
    pub(super) const fn lift(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_15_and_peer_23_the_network_is_asked_once_in_ten_minutes_unless_the_list_was_cleared() {
        let at = |seconds: u64| Instant::ZERO.after(Duration::from_secs(seconds));
        let mut inquiry = Inquiry::default();
        assert!(inquiry.begin(at(0)), "a node that just started may ask");
        assert!(!inquiry.begin(at(1)) && !inquiry.begin(at(599)));
        assert!(inquiry.begin(at(600)) && !inquiry.begin(at(601)));
        inquiry.lift();
        assert!(inquiry.begin(at(602)));
    }
}
