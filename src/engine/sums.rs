//! Which digests name a file: the job's own, those of a publisher's list of checksums, those its origin states.
//!
//! Knows: that a list is asked for before anything else of the file, and what follows if it cannot be had. Does not know: how
//! such lists are written (`origin`), who may be believed without a digest (`vouched`).

use peer_proto::digest::Digest;
use peer_proto::time::Instant;

use super::claims::Claims;
use super::core::Core;
use super::event::Failure;
use super::file::JobFile;
use super::io::{Effect, OriginFault, Severity};
use super::why::Chosen;

impl JobFile {
    /// Digests that the job names, itself or by a list of checksums.
    pub(super) fn named_digests(&self) -> impl Iterator<Item = &Digest> {
        self.wish.digests.iter().chain(self.listed.iter().flatten())
    }

    /// Every digest the file must have: those of the wish, and those the origin stated; else what attestors vouch for.
    pub(super) fn digests(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.named_digests().cloned().collect();
        for digest in self.origin.probe.iter().flat_map(|probe| &probe.digests) {
            if !digests.contains(digest) {
                digests.push(digest.clone());
            }
        }
        digests.extend(self.vouched_digest());
        digests
    }

    /// Whether something names the bytes under which peers may give them.
    pub(super) fn is_named(&self) -> bool {
        self.has_digest() || self.rests_on_attestors()
    }

    /// Asks for the list of checksums, unless there is none or it answered. `true` while it is waited for.
    pub(super) fn asks_for_digests(&mut self, core: &mut Core) -> bool {
        let Some(list) = self.wish.digest_from.clone().filter(|_| self.listed.is_none()) else {
            return false;
        };
        let url = self.wish.remote.url.clone();
        self.waiting = Some(core.ask(self.id, |id| Effect::FetchDigests { id, list, url }));
        true
    }

    /// Until when a list that could not be had is left alone, if it is.
    pub(super) fn list_opens_at(&self, now: Instant) -> Option<Instant> {
        let is_owed = self.wish.digest_from.is_some() && self.listed.is_none();
        self.origin.breaker.opens_at(now).filter(|_| is_owed)
    }

    /// The list answered.
    pub(super) fn digests_fetched(&mut self, outcome: Result<Vec<Digest>, OriginFault>, core: &mut Core) {
        match outcome {
            Ok(digests) => {
                let named = digests.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let why = "a publisher's list of checksums says what the bytes must be";
                self.why.note(Chosen::Origin, why, named, core.time());
                self.origin.breaker.succeed();
                self.listed = Some(digests);
                let named: Vec<Digest> = self.named_digests().cloned().collect();
                self.claims = Claims::new(&named);
            }
            Err(fault) if matches!(fault.severity, Severity::Transient { .. } | Severity::VersionChanged) => {
                let jitter = core.chance.below(256);
                self.origin.breaker.fail(jitter, core.time());
                self.fail_for_now(fault.into(), core);
            }
            Err(fault) => self.fail(Failure::Fatal, fault.into(), core),
        }
    }
}
