//! Which level of trust a file reaches: what must be so before a peer is asked for its bytes.
//!
//! Knows: the levels, and the one reason that shut the gate (security 2.2, ATTEST-2). Does not know: attestations
//! themselves (`attest`), permissions (`lookup`), which are the other gate.

use std::fmt;
use std::time::Duration;

use peer_proto::version::Version;

use super::core::Core;
use super::fetch::Reach;
use super::file::JobFile;
use super::io::{Footing, Probe};
use crate::job::TrustFloor;

/// A version whose only validator is Last-Modified is told apart from the next one if it is older than this: two versions
/// within one second look the same.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

/// What vouches for a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Level {
    /// The origin alone: no peer is asked.
    Origin,
    /// One attestor of the group.
    Attested,
    /// Two attestors of one group or more, who say the same.
    AttestedBySeveral,
    /// A digest: whoever gives the bytes may be hostile.
    Digest,
}

/// A level, and why it is no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Trust {
    pub(super) level: Level,
    pub(super) why: &'static str,
    /// Attestors that say the same of this version.
    vouchers: usize,
    /// How many of them the floor asks for, if that is more.
    short_of: Option<usize>,
}

/// What decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Case<'a> {
    /// The higher one of the machine's and the job's.
    pub(super) floor: TrustFloor,
    /// Whether the job, or the origin over https, names a digest.
    pub(super) has_digest: bool,
    /// Whether this node is a member of a group that counts for the job.
    pub(super) is_member: bool,
    /// Whether the job is kept to a group of which it is no member.
    pub(super) lacks_its_group: bool,
    /// Whether the whole remote file is wanted, as it lies there.
    pub(super) is_plain: bool,
    /// Whether the job has header lines of its own.
    pub(super) has_headers: bool,
    /// Whether the URL has a query that may name something personal.
    pub(super) has_query: bool,
    /// Whether the job says that its URL may be shared all the same.
    pub(super) is_shareable: bool,
    /// What the origin answered, if it did.
    pub(super) probe: Option<&'a Probe>,
    /// Whether single pieces can be asked of the origin.
    pub(super) gives_ranges: bool,
    /// Attestors that say the same of this version.
    pub(super) vouchers: usize,
    /// Whether every byte is read from the origin this time, to check them.
    pub(super) is_canary: bool,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Origin => "level 0 (origin)",
            Self::Attested => "level 1 (attested)",
            Self::AttestedBySeveral => "level 2 (attested by several)",
            Self::Digest => "level 3 (digest)",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.level.name(), self.why)?;
        match (self.short_of, self.level) {
            (Some(wanted), _) => write!(f, ": {} of {wanted}", self.vouchers),
            (None, Level::AttestedBySeveral) => write!(f, ": {} of them", self.vouchers),
            (None, _) => Ok(()),
        }
    }
}

impl Case<'_> {
    /// The level that is reached.
    pub(super) fn trust(&self) -> Trust {
        let at = |level, why| Trust { level, why, vouchers: self.vouchers, short_of: None };
        if self.floor == TrustFloor::Origin {
            return at(Level::Origin, "the floor is `origin`, so every byte comes from there");
        }
        if self.has_digest {
            return at(Level::Digest, "a digest names the bytes");
        }
        if self.floor == TrustFloor::Digest {
            return at(Level::Origin, "no digest is known, and the floor is `digest`");
        }
        if let Err(why) = self.may_be_attested() {
            return at(Level::Origin, why);
        }
        if self.is_canary {
            return at(
                Level::Origin,
                "attestors vouch for this version, and this time the origin is read to check them",
            );
        }
        let wanted = self.floor.attestors().unwrap_or(1);
        match self.vouchers {
            0 => {
                at(Level::Origin, "no digest is known, and no attestor of the group vouches for this version")
            }
            count if count < wanted => {
                Trust { short_of: Some(wanted), ..at(Level::Origin, too_few(self.floor)) }
            }
            1 => at(Level::Attested, "an attestor of the group vouches for this version"),
            _ => at(Level::AttestedBySeveral, "attestors of the group vouch for this version"),
        }
    }

    /// Whether an attestation may stand for this file, or be made of it (ATTEST-2).
    pub(super) fn may_be_attested(&self) -> Result<(), &'static str> {
        if self.lacks_its_group {
            return Err("no digest is known, and this machine is not in the group that the job is kept to");
        }
        if !self.is_member {
            return Err("no digest is known, and this machine is in no group whose attestors could vouch");
        }
        if !self.is_plain {
            return Err("no digest is known, and only whole files that lie ready are attested");
        }
        if self.has_headers {
            return Err(
                "no digest is known, and header lines of the job's own make the answer nobody else's",
            );
        }
        if self.has_query && !self.is_shareable {
            return Err(
                "no digest is known, and a URL with a query is attested only if the job is shareable",
            );
        }
        let Some(probe) = self.probe else { return Err("no digest is known yet") };
        if !probe.footing.secure {
            return Err("no digest is known, and the origin did not answer over https all the way");
        }
        if !probe.public {
            return Err("no digest is known, and the origin says that its answer is not for others");
        }
        if probe.footing.varies {
            return Err("no digest is known, and the origin says that it answers others otherwise");
        }
        if !is_firm(&probe.version, probe.footing) {
            return Err(
                "no digest is known, and the origin's version cannot be told from the next one: a strong ETag is \
                 wanted, or a date, and a file that changed in the last minute is not settled",
            );
        }
        if !self.gives_ranges {
            return Err("no digest is known, and the origin gives no ranges to check an attestor with");
        }
        Ok(())
    }
}

/// Why attestors that vouch are not enough for a floor.
const fn too_few(floor: TrustFloor) -> &'static str {
    match floor {
        TrustFloor::AttestedByThree => {
            "fewer attestors vouch for this version than the floor, `attested-3`, asks for"
        }
        TrustFloor::AttestedByFour => {
            "fewer attestors vouch for this version than the floor, `attested-4`, asks for"
        }
        TrustFloor::AttestedByFive => {
            "fewer attestors vouch for this version than the floor, `attested-5`, asks for"
        }
        TrustFloor::Auto | TrustFloor::AttestedTwice | TrustFloor::Digest | TrustFloor::Origin => {
            "fewer attestors vouch for this version than the floor, `attested-2`, asks for"
        }
    }
}

/// Whether a version can be told apart from the next one: a strong ETag, or a Last-Modified that is a minute old; and a
/// length.
fn is_firm(version: &Version, footing: Footing) -> bool {
    let modified = version.last_modified.as_deref().map(httpdate::parse_http_date);
    let modified_s =
        modified.and_then(Result::ok).and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let date_s = footing.date_unix_s.and_then(|date| u64::try_from(date).ok());
    let is_settled = match (modified_s, date_s) {
        (Some(modified), Some(date)) => date.saturating_sub(modified.as_secs()) >= SETTLED_AFTER.as_secs(),
        _ => false,
    };
    let is_dated = version.last_modified.is_some();
    let by_tag = version.strong_etag().is_some() && (is_settled || !is_dated);
    version.len.is_some() && (by_tag || (version.etag.is_none() && is_settled))
}

impl JobFile {
    /// What decides over the trust in this file.
    pub(super) fn case<'a>(&'a self, core: &Core) -> Case<'a> {
        let remote = &self.wish.remote;
        let is_up = self.origin.reach == Reach::Up;
        Case {
            floor: self.wish.trust.max(core.config.policy.trust.floor),
            has_digest: self.has_digest(),
            is_member: self.is_in_a_group(core),
            lacks_its_group: self.lacks_its_group(core),
            is_plain: remote.ranges.is_empty() && !remote.dynamic && !self.wish.on_demand,
            has_headers: !remote.headers.0.is_empty(),
            has_query: remote.url.contains('?'),
            is_shareable: self.wish.shareable,
            probe: self.origin.probe.as_ref().filter(|_| is_up),
            gives_ranges: self.origin.gives_ranges(),
            is_canary: self.vouched.as_ref().is_some_and(|vouched| vouched.is_canary),
            vouchers: self.seeking.count,
        }
    }

    /// How far bytes of peers may be believed now.
    pub(super) fn trust_level(&self, core: &Core) -> Trust {
        self.case(core).trust()
    }
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
