//! What an administrator says of peer caching, and which of the computer's flags hold then.
//!
//! Knows: POL-1..6, that the others have no say unless the first is on (PEER-3, POL-19). Does not know: where the
//! preference comes from, what the flags do.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::policy::{PolicyRow, Source};
use crate::job::PeerFlags;

/// Which of what this machine holds and fetches it gives to strangers, who are in no group with it (LOOKUP-3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strangers {
    /// Nothing: only members learn what is here.
    Off,
    /// What is being fetched, and what was completed or used within 24 hours.
    #[default]
    Recent,
    /// Whatever may be given at all.
    All,
}

impl fmt::Display for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Recent => "recent",
            Self::All => "all",
        })
    }
}

/// What an administrator says of peer caching. What he does not say is not configured, which is different from any value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PeerRules {
    /// Whether peer caching is on; where this is not configured, the computer's preference holds (POL-1).
    pub enabled: Option<bool>,
    /// Takes the client half away (POL-2).
    pub client_disabled: Option<bool>,
    /// Takes the server half away (POL-3).
    pub server_disabled: Option<bool>,
    /// Days after its last use at which a record goes (POL-4).
    pub age_days: Option<u16>,
    /// Hundredths of the disk that the cache may take (POL-5).
    pub cache_percent: Option<u8>,
    /// Bits per second that peers are served together (POL-6).
    pub bits_served: Option<u64>,
}

impl PeerRules {
    /// The computer's flags that hold, if it prefers these (PEER-3).
    #[must_use]
    pub fn flags(&self, preference: PeerFlags) -> PeerFlags {
        match self.enabled {
            None => preference,
            Some(false) => PeerFlags::NONE,
            Some(true) => PeerFlags {
                client: self.client_disabled != Some(true),
                server: self.server_disabled != Some(true),
            },
        }
    }

    /// Days after its last use at which a record goes, if this says so at all (POL-19).
    #[must_use]
    pub fn age_days(&self) -> Option<u16> {
        self.age_days.filter(|_| self.is_on())
    }

    /// Hundredths of the disk that the cache may take, if this says so at all (POL-19).
    #[must_use]
    pub fn cache_percent(&self) -> Option<u8> {
        self.cache_percent.filter(|_| self.is_on())
    }

    /// Bytes per second that peers are served together at most, if this says so at all (POL-6, POL-19).
    #[must_use]
    pub fn bandwidth_served(&self) -> Option<NonZeroU64> {
        self.bits_served.filter(|_| self.is_on()).and_then(|bits| NonZeroU64::new(bits / 8))
    }

    fn is_on(&self) -> bool {
        self.enabled == Some(true)
    }

    /// The rows of `policy show` (POL-20).
    pub(super) fn rows(&self) -> [PolicyRow; 6] {
        let switch = |value: Option<bool>| value.map(|is_on| if is_on { "on" } else { "off" }.to_owned());
        let halves = match self.enabled {
            None => "the computer's own flags hold: `nearbits flags get`",
            Some(true) => "the computer's flags are both on, but for the halves that are disabled",
            Some(false) => "no job takes from peers, and nothing is served",
        };
        let when_on = |effect: &'static str| if self.is_on() { effect } else { VOID };
        [
            row("POL-1", "enable-peer-caching", switch(self.enabled), halves),
            row(
                "POL-2",
                "disable-peer-caching-client",
                switch(self.client_disabled),
                when_on("`on` keeps all jobs from taking from peers"),
            ),
            row(
                "POL-3",
                "disable-peer-caching-server",
                switch(self.server_disabled),
                when_on("`on` keeps this machine from caching for peers and serving them"),
            ),
            row(
                "POL-4",
                "max-content-age-days",
                self.age_days.map(|days| days.to_string()),
                when_on("a record that nobody used for so long goes"),
            ),
            row(
                "POL-5",
                "max-cache-size-percent",
                self.cache_percent.map(|percent| percent.to_string()),
                when_on("what was used least lately goes until the cache takes no more of the disk"),
            ),
            row(
                "POL-6",
                "max-bandwidth-served",
                self.bits_served.map(|bits| bits.to_string()),
                when_on("peers are given no more bits in a second than that, all of them together"),
            ),
        ]
    }
}

/// What the others say while peer caching is not switched on by policy.
const VOID: &str = "without effect while enable-peer-caching is not on";

fn row(id: &str, name: &str, value: Option<String>, effect: &str) -> PolicyRow {
    let source = if value.is_some() { Source::Policy } else { Source::Default };
    PolicyRow {
        id: id.to_owned(),
        name: name.to_owned(),
        value: value.unwrap_or_else(|| "not configured".to_owned()),
        source,
        effect: effect.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: [bool; 2] = [false, true];

    fn each_flags() -> impl Iterator<Item = PeerFlags> {
        EACH.into_iter().flat_map(|client| EACH.map(|server| PeerFlags { client, server }))
    }

    /// All sixteen combinations of the computer's preference and a job's flags, under every policy: who may take, and who
    /// may serve.
    #[test]
    fn peer_2_and_peer_3_and_pol_1_and_pol_2_and_pol_3_every_combination_of_preference_job_and_policy() {
        let said = [None, Some(false), Some(true)];
        let mut cases = 0;
        for (computer, job) in each_flags().flat_map(|computer| each_flags().map(move |job| (computer, job)))
        {
            for enabled in said {
                for (client_disabled, server_disabled) in said.into_iter().flat_map(|c| said.map(|s| (c, s)))
                {
                    let rules =
                        PeerRules { enabled, client_disabled, server_disabled, ..PeerRules::default() };
                    let holds = rules.flags(computer).and(job);
                    let half = |preference: bool, of_job: bool, disabled: Option<bool>| {
                        of_job
                            && match enabled {
                                None => preference,
                                Some(false) => false,
                                Some(true) => disabled != Some(true),
                            }
                    };
                    let case = format!("{computer:?} {job:?} {rules:?}");
                    assert_eq!(holds.client, half(computer.client, job.client, client_disabled), "{case}");
                    assert_eq!(holds.server, half(computer.server, job.server, server_disabled), "{case}");
                    cases += 1;
                }
            }
        }
        assert_eq!(cases, 16 * 27);
    }

    #[test]
    fn pol_19_what_says_something_of_peer_caching_says_nothing_while_that_is_not_switched_on() {
        for enabled in [None, Some(false)] {
            let rules = PeerRules {
                enabled,
                client_disabled: Some(true),
                server_disabled: Some(true),
                age_days: Some(3),
                cache_percent: Some(4),
                bits_served: Some(8_000_000),
            };
            assert_eq!((rules.age_days(), rules.cache_percent()), (None, None));
            assert_eq!(rules.bandwidth_served(), None);
            let preferred = if enabled.is_none() { PeerFlags::BOTH } else { PeerFlags::NONE };
            assert_eq!(rules.flags(PeerFlags::BOTH), preferred);
            let rows = rules.rows();
            assert!(
                rows[1..].iter().all(|row| row.effect == VOID && row.source == Source::Policy),
                "{rows:?}"
            );
        }
        let on = PeerRules {
            enabled: Some(true),
            age_days: Some(3),
            cache_percent: Some(4),
            bits_served: Some(8_000_007),
            ..PeerRules::default()
        };
        assert_eq!((on.age_days(), on.cache_percent()), (Some(3), Some(4)));
        assert_eq!(on.bandwidth_served(), NonZeroU64::new(1_000_000), "bytes");
        assert!(on.rows().iter().all(|row| row.effect != VOID));
    }
}
