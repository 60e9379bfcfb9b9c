//! One file as it is fetched: what the job says of it and of all its files together.
//!
//! Knows: values. Does not know: the job's other files.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use peer_proto::digest::Digest;

use super::{Ask, Existing, FileSpec, JobSpec, OneGroup, PeerFlags, Priority, Remote, TrustFloor};

/// What the hands and the planner need to know of one file of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// Where it is at the origin.
    pub remote: Arc<Remote>,
    /// Other URLs of the same bytes, to be tried when the first says no.
    pub mirrors: Vec<String>,
    /// Where it goes: an absolute path whose folder exists.
    pub destination: PathBuf,
    /// Digests the file must have; each one gives trust level 3.
    pub digests: Vec<Digest>,
    /// Where more of them are named: an https URL of a list of checksums or a Metalink.
    pub digest_from: Option<String>,
    /// The job's half of the permissions.
    pub flags: PeerFlags,
    /// The least that must vouch for its bytes before peers are asked.
    pub trust: TrustFloor,
    /// Who is asked for it beside the origin.
    pub ask: Ask,
    /// The only group whose members are asked for it.
    pub group: Option<OneGroup>,
    /// Whether attestors may vouch for its URL although it has a query.
    pub shareable: bool,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether it is delivered as soon as it is sealed.
    pub auto_complete: bool,
    /// Bytes per second the job may take, if it has a limit: leases are sized for it.
    pub limit: Option<NonZeroU64>,
    /// What happens when the destination's name is taken.
    pub existing: Existing,
    /// Seconds between tries once quick ones have failed (LIM-1).
    pub retry_delay_s: u64,
    /// Whether only what somebody asks for is fetched (FILE-28).
    pub on_demand: bool,
}

impl Wish {
    /// One file of a job.
    #[must_use]
    pub fn of(spec: &JobSpec, file: &FileSpec) -> Self {
        let remote = Remote {
            url: file.url.clone(),
            ranges: file.ranges.clone(),
            headers: spec.headers.clone(),
            redirects: spec.redirects,
            dynamic: spec.dynamic,
        };
        let rates = [spec.rates.total, spec.rates.wan, spec.rates.lan];
        let limit = rates.into_iter().flatten().min();
        Self {
            remote: Arc::new(remote),
            mirrors: file.mirrors.clone(),
            destination: file.destination.clone(),
            digests: file.digests.clone(),
            digest_from: file.digest_from.clone(),
            // What is made anew for everybody who asks is nobody else's.
            flags: if spec.dynamic { PeerFlags::NONE } else { spec.flags },
            trust: spec.trust,
            ask: spec.ask,
            group: spec.group,
            shareable: spec.shareable,
            priority: spec.priority,
            auto_complete: spec.auto_complete,
            limit: limit.filter(|_| !spec.dynamic),
            existing: spec.existing,
            retry_delay_s: spec.retry_delay_s,
            on_demand: spec.on_demand,
        }
    }

    /// Whether another wish needs the file put on its way anew: other bytes, another name, another rule for a taken one,
    /// another end.
    #[must_use]
    pub fn is_elsewhere(&self, other: &Self) -> bool {
        self.remote != other.remote
            || self.destination != other.destination
            || self.digests != other.digests
            || self.digest_from != other.digest_from
            || self.existing != other.existing
            || self.auto_complete != other.auto_complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Rates;

    fn wish(change: impl FnOnce(&mut JobSpec)) -> Wish {
        let mut spec = JobSpec::for_file("https://a.test/f", "/f");
        spec.flags = PeerFlags::BOTH;
        change(&mut spec);
        Wish::of(&spec, &spec.files[0])
    }

    #[test]
    fn file_23_a_dynamic_file_has_no_limit_and_is_nobody_elses() {
        let limit = NonZeroU64::new(7);
        let rates = Rates { total: NonZeroU64::new(9), wan: limit, lan: None };
        let plain = wish(|spec| spec.rates = rates);
        assert_eq!((plain.limit, plain.flags), (limit, PeerFlags::BOTH), "the lowest of its limits counts");
        let dynamic = wish(|spec| (spec.rates, spec.dynamic) = (rates, true));
        assert_eq!((dynamic.limit, dynamic.flags, dynamic.remote.dynamic), (None, PeerFlags::NONE, true));
    }

    #[test]
    fn file_12_what_is_said_of_bytes_names_and_ends_puts_a_file_on_its_way_anew_and_nothing_else_does() {
        type Change = fn(&mut JobSpec);
        let anew: [Change; 6] = [
            |spec| spec.files[0].url.push('2'),
            |spec| spec.files[0].destination.push("2"),
            |spec| {
                spec.files[0].digests =
                    vec![Digest::new(peer_proto::digest::Algorithm::Sha256, vec![1; 32]).unwrap()]
            },
            |spec| spec.files[0].digest_from = Some("https://a.test/SUMS".into()),
            |spec| spec.existing = Existing::Replace,
            |spec| spec.auto_complete = true,
        ];
        let usual = wish(|_| {});
        for (place, change) in anew.into_iter().enumerate() {
            let other = wish(change);
            assert!(usual.is_elsewhere(&other) && !other.is_elsewhere(&other), "{place}");
        }
        let kept: [Change; 6] = [
            |spec| spec.priority = Priority::Low,
            |spec| spec.flags = PeerFlags::NONE,
            |spec| spec.ask = Ask::Nobody,
            |spec| spec.group = Some(OneGroup(peer_proto::group::GroupId([1; 16]))),
            |spec| spec.rates.total = NonZeroU64::new(1),
            |spec| spec.retry_delay_s = 77,
        ];
        for (place, change) in kept.into_iter().enumerate() {
            assert!(!usual.is_elsewhere(&wish(change)), "{place}");
        }
    }
}
