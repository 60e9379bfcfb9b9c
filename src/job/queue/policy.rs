//! What an administrator may say of all jobs of a machine, and what holds in the end.
//!
//! Knows: the values of POL-1..6 and POL-10..15, their bounds and precedence, who is exempt (LIM-7..10). Does not know: files
//! (`config` reads them), who is an administrator.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::{TrustFloor, TrustRules};
use super::error::Code;
use super::peering::{PeerRules, Strangers};
use super::spec::{FILES_MAX, Limits, RANGES_MAX};

/// What `policy.toml` may say of jobs. What is absent is not configured, which is different from any value. What a
/// user prefers has the same form.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Policy {
    /// Days without any activity after which a job is given up, 1 to 999. Default 90 (POL-10, JOB-34).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactivity_days: Option<u16>,
    /// Seconds a job may connect and transfer in all, at least 1. Default 7 776 000, which is 90 days. A job's own value
    /// comes before it (POL-11, LIM-3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_download_s: Option<u64>,
    /// Jobs of all users together, at least 1. Default 300 (POL-12, LIM-7).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_per_machine: Option<u32>,
    /// Jobs of one user, at least 1 and fewer than of all together. Default 60 (POL-13, LIM-8).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_per_user: Option<u32>,
    /// Files of a job, 1 to 65 536. Default 200 (POL-14, LIM-9).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_per_job: Option<u32>,
    /// Ranges of a file, 1 to 65 536. Default 500 (POL-15, LIM-10).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranges_per_file: Option<u32>,
    /// Whether peer caching is on, whatever the computer's flags say. Default: the computer's flags hold (POL-1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_peer_caching: Option<bool>,
    /// Keeps all jobs from taking from peers, where peer caching is on (POL-2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_peer_caching_client: Option<bool>,
    /// Keeps this machine from caching for peers and serving them, where peer caching is on (POL-3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_peer_caching_server: Option<bool>,
    /// Days after its last use at which a cached record goes, 1 to 120, where peer caching is on (POL-4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_content_age_days: Option<u16>,
    /// Hundredths of the disk that the cache may take, 1 to 80, where peer caching is on (POL-5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cache_size_percent: Option<u8>,
    /// Bits per second that peers are served together, 1 048 576 to 4 294 967 200, where peer caching is on (POL-6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bandwidth_served: Option<u64>,
    /// The least that must vouch for bytes before peers are asked for them: `auto`, `attested-2` to
    /// `attested-5`, `digest` or `origin`. What a user prefers, or a job says, counts where it demands more. Default `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_trust: Option<TrustFloor>,
    /// Hosts, at most 64, whose files this node may attest although their certificates end in a root that its
    /// configuration added (ATTEST-2). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attest_hosts: Option<Vec<String>>,
    /// Whether an attestation counts only if the origin's certificates ended in the same root for its attestor as they do
    /// here (ATTEST-14). Default no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_same_anchor: Option<bool>,
    /// What strangers are given, who are in no group with this machine: `off`, `recent` or `all`. Default `recent` (LOOKUP-3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strangers: Option<Strangers>,
}

/// Who said what holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = PolicySource)]
pub enum Source {
    /// The administrator.
    Policy,
    /// The user's configuration.
    Preference,
    /// Nobody.
    Default,
    /// The job itself.
    Job,
}

/// A value that holds, and who said so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Value<T> {
    /// What holds.
    pub value: T,
    /// Who said so.
    pub source: Source,
}

/// What holds in the end, on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Effective {
    /// Days without any activity after which a job is given up.
    pub inactivity_days: Value<u16>,
    /// Seconds a job may connect and transfer in all; see [`Effective::max_time_s`].
    pub max_download_s: Value<u64>,
    /// Jobs of all users together.
    pub jobs_per_machine: Value<u32>,
    /// Jobs of one user.
    pub jobs_per_user: Value<u32>,
    /// Files of a job.
    pub files_per_job: Value<u32>,
    /// Ranges of a file.
    pub ranges_per_file: Value<u32>,
    /// What holds of peer caching.
    pub peers: PeerRules,
    /// What holds of trust, and who said that of the floor and the rest.
    pub trust: TrustRules,
    trust_sources: [Source; 3],
    /// What strangers are given.
    pub strangers: Value<Strangers>,
}

/// For whom a limit is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Maker {
    /// Somebody whom limits hold for.
    User,
    /// An administrator or the system itself: exempt (LIM-7..10).
    Administrator,
}

/// Jobs that are not over, completed or cancelled: also those that wait to be completed (LIM-27).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JobCounts {
    /// Of the user who wants one more.
    pub of_user: usize,
    /// Of all users together.
    pub of_machine: usize,
}

/// One job more would be too many (LIM-26).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TooManyJobs {
    /// LIM-8.
    #[error("you have {limit} jobs already, as many as one user may have; complete or cancel some")]
    OfUser {
        /// The limit.
        limit: u32,
    },
    /// LIM-7.
    #[error("this machine has {limit} jobs already, as many as it may have; complete or cancel some")]
    OfMachine {
        /// The limit.
        limit: u32,
    },
}

/// What is wrong with a policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// A value that means nothing.
    #[error("{key} is {value}; it may be {least} to {most}")]
    OutOfBounds {
        /// The key.
        key: &'static str,
        /// What it says.
        value: u64,
        /// The least it may say.
        least: u64,
        /// The most.
        most: u64,
    },
    /// POL-13.
    #[error("jobs-per-user is {of_user}; it must be below jobs-per-machine, which is {of_machine}")]
    UserNotBelowMachine {
        /// Jobs of one user.
        of_user: u32,
        /// Jobs of all together.
        of_machine: u32,
    },
}

/// A row of `policy show` (POL-20).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyRow {
    /// The rule: `POL-12`.
    pub id: String,
    /// The key in `policy.toml`.
    pub name: String,
    /// What holds.
    pub value: String,
    /// Who said so.
    pub source: Source,
    /// What follows from it, as a sentence.
    pub effect: String,
}

impl PolicyError {
    /// The key that is wrong.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::OutOfBounds { key, .. } => key,
            Self::UserNotBelowMachine { .. } => "jobs-per-user",
        }
    }
}

impl Policy {
    /// Whether these values mean something.
    ///
    /// # Errors
    /// The first [`PolicyError`] found, with the key and its bounds.
    pub fn check(&self) -> Result<(), PolicyError> {
        let any = u64::from(u32::MAX);
        let bounds = [
            ("inactivity-days", self.inactivity_days.map(u64::from), 1, 999),
            ("max-download-s", self.max_download_s, 1, u64::MAX),
            ("jobs-per-machine", self.jobs_per_machine.map(u64::from), 1, any),
            ("jobs-per-user", self.jobs_per_user.map(u64::from), 1, any),
            ("files-per-job", self.files_per_job.map(u64::from), 1, u64::from(FILES_MAX)),
            ("ranges-per-file", self.ranges_per_file.map(u64::from), 1, u64::from(RANGES_MAX)),
            ("max-content-age-days", self.max_content_age_days.map(u64::from), 1, 120),
            ("max-cache-size-percent", self.max_cache_size_percent.map(u64::from), 1, 80),
            ("max-bandwidth-served", self.max_bandwidth_served, 1_048_576, 4_294_967_200),
        ];
        if let Some(hosts) = &self.attest_hosts
            && hosts.len() > ATTEST_HOSTS_MAX
        {
            let value = u64::try_from(hosts.len()).unwrap_or(u64::MAX);
            let most = u64::try_from(ATTEST_HOSTS_MAX).unwrap_or(u64::MAX);
            return Err(PolicyError::OutOfBounds { key: "attest-hosts", value, least: 0, most });
        }
        for (key, value, least, most) in bounds {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                return Err(PolicyError::OutOfBounds { key, value, least, most });
            }
        }
        match (self.jobs_per_user, self.jobs_per_machine) {
            (Some(of_user), Some(of_machine)) if of_user >= of_machine => {
                Err(PolicyError::UserNotBelowMachine { of_user, of_machine })
            }
            _ => Ok(()),
        }
    }

    /// What holds, if a user prefers this: the policy, else the preference, else the default.
    #[must_use]
    pub fn over(&self, preference: &Self) -> Effective {
        let limits = Limits::default();
        let files = limits.files_per_job.unwrap_or(FILES_MAX);
        // A floor can only be raised.
        let preferred = preference.min_trust.filter(|wish| self.min_trust.is_none_or(|floor| *wish > floor));
        let floor = first(self.min_trust.filter(|_| preferred.is_none()), preferred, TrustFloor::default());
        let hosts = first(self.attest_hosts.clone(), preference.attest_hosts.clone(), Vec::new());
        let anchor = first(self.require_same_anchor, preference.require_same_anchor, false);
        let ranges = limits.ranges_per_file.unwrap_or(RANGES_MAX);
        Effective {
            inactivity_days: first(self.inactivity_days, preference.inactivity_days, 90),
            max_download_s: first(self.max_download_s, preference.max_download_s, 7_776_000),
            jobs_per_machine: first(self.jobs_per_machine, preference.jobs_per_machine, 300),
            jobs_per_user: first(self.jobs_per_user, preference.jobs_per_user, 60),
            files_per_job: first(self.files_per_job, preference.files_per_job, files),
            ranges_per_file: first(self.ranges_per_file, preference.ranges_per_file, ranges),
            // What the computer prefers of these is said elsewhere: its flags, the cache's limits.
            peers: PeerRules {
                enabled: self.enable_peer_caching,
                client_disabled: self.disable_peer_caching_client,
                server_disabled: self.disable_peer_caching_server,
                age_days: self.max_content_age_days,
                cache_percent: self.max_cache_size_percent,
                bits_served: self.max_bandwidth_served,
            },
            trust_sources: [floor.source, hosts.source, anchor.source],
            trust: TrustRules { floor: floor.value, attest_hosts: hosts.value, same_anchor: anchor.value },
            strangers: first(self.strangers, preference.strangers, Strangers::default()),
        }
    }
}

fn first<T>(policy: Option<T>, preference: Option<T>, default: T) -> Value<T> {
    match (policy, preference) {
        (Some(value), _) => Value { value, source: Source::Policy },
        (None, Some(value)) => Value { value, source: Source::Preference },
        (None, None) => Value { value: default, source: Source::Default },
    }
}

impl Effective {
    /// The limits of a job's size (LIM-9, 10).
    #[must_use]
    pub const fn limits(&self, maker: Maker) -> Limits {
        match maker {
            Maker::User => Limits {
                files_per_job: Some(self.files_per_job.value),
                ranges_per_file: Some(self.ranges_per_file.value),
            },
            Maker::Administrator => Limits::EXEMPT,
        }
    }

    /// Whether one job more may be made (LIM-7, 8).
    ///
    /// # Errors
    /// [`TooManyJobs`]; its [`TooManyJobs::code`] is BITS'.
    pub fn admit(&self, maker: Maker, jobs: JobCounts) -> Result<(), TooManyJobs> {
        let is_full = |count: usize, limit: u32| u32::try_from(count).map_or(true, |count| count >= limit);
        let (of_user, of_machine) = (self.jobs_per_user.value, self.jobs_per_machine.value);
        match maker {
            Maker::Administrator => Ok(()),
            Maker::User if is_full(jobs.of_machine, of_machine) => {
                Err(TooManyJobs::OfMachine { limit: of_machine })
            }
            Maker::User if is_full(jobs.of_user, of_user) => Err(TooManyJobs::OfUser { limit: of_user }),
            Maker::User => Ok(()),
        }
    }

    /// Seconds a job may connect and transfer in all: here the job's own value comes before the policy (LIM-3).
    #[must_use]
    pub fn max_time_s(&self, of_job: Option<u64>) -> Value<u64> {
        of_job.map_or(self.max_download_s, |value| Value { value, source: Source::Job })
    }

    /// Every row of `policy show` (POL-20).
    #[must_use]
    pub fn rows(&self) -> Vec<PolicyRow> {
        let mut rows = self.peers.rows().to_vec();
        rows.extend([
            row(
                "POL-10",
                "inactivity-days",
                self.inactivity_days,
                "a job that rests for so long is given up",
            ),
            row(
                "POL-11",
                "max-download-s",
                self.max_download_s,
                "a job that transfers for longer fails, unless it names its own time",
            ),
            row("POL-12", "jobs-per-machine", self.jobs_per_machine, EXEMPT),
            row("POL-13", "jobs-per-user", self.jobs_per_user, EXEMPT),
            row("POL-14", "files-per-job", self.files_per_job, EXEMPT),
            row("POL-15", "ranges-per-file", self.ranges_per_file, EXEMPT),
        ]);
        rows.extend(self.trust_rows());
        let effect = match self.strangers.value {
            Strangers::Off => "nothing is given to who is in no group with this machine",
            Strangers::Recent => {
                "who is in no group with this machine is given what is fetched or was used within 24 hours"
            }
            Strangers::All => "who is in no group with this machine is given whatever peers are",
        };
        rows.push(row("LOOKUP-3", "strangers", self.strangers, effect));
        rows
    }
}

impl Effective {
    fn trust_rows(&self) -> [PolicyRow; 3] {
        let [floor, hosts, anchor] = self.trust_sources;
        let TrustRules { floor: level, attest_hosts, same_anchor } = &self.trust;
        let effect = match level {
            TrustFloor::Auto => {
                "peers are asked for what a digest names, or an attestor of the group vouches for"
            }
            TrustFloor::AttestedTwice => {
                "peers are asked for what a digest names, or two attestors of one group vouch for"
            }
            TrustFloor::AttestedByThree => {
                "peers are asked for what a digest names, or three attestors of one group vouch for"
            }
            TrustFloor::AttestedByFour => {
                "peers are asked for what a digest names, or four attestors of one group vouch for"
            }
            TrustFloor::AttestedByFive => {
                "peers are asked for what a digest names, or five attestors of one group vouch for"
            }
            TrustFloor::Digest => "peers are asked for what a digest names, and for nothing else",
            TrustFloor::Origin => "no peer is asked for anything",
        };
        let named = if attest_hosts.is_empty() { "none".to_owned() } else { attest_hosts.join(", ") };
        let same = (if *same_anchor { "on" } else { "off" }).to_owned();
        [
            row("TRUST", "min-trust", Value { value: level.to_string(), source: floor }, effect),
            row(
                "ATTEST-2",
                "attest-hosts",
                Value { value: named, source: hosts },
                "their files are attested although their certificates end in a root of this machine's own",
            ),
            row(
                "ATTEST-14",
                "require-same-anchor",
                Value { value: same, source: anchor },
                "`on` believes no attestor whose certificates of the origin ended in another root",
            ),
        ]
    }
}

fn row<T: fmt::Display>(id: &str, name: &str, held: Value<T>, effect: &str) -> PolicyRow {
    PolicyRow {
        id: id.to_owned(),
        name: name.to_owned(),
        value: held.value.to_string(),
        source: held.source,
        effect: effect.to_owned(),
    }
}

impl TooManyJobs {
    /// BITS' code for it.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::OfUser { .. } => Code::TooManyJobsPerUser,
            Self::OfMachine { .. } => Code::TooManyJobsPerMachine,
        }
    }
}

/// Hosts that may be named.
const ATTEST_HOSTS_MAX: usize = 64;
const EXEMPT: &str = "more are refused, except from administrators";

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
