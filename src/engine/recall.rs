//! What this machine has already: a record of its own cache that has the digest the job names.
//!
//! Knows: which record may be used, what is left to copy from it, when it is of no use any more. Does not know: files
//! (`cache`), other sources.

use std::sync::Arc;
use std::time::Duration;

use peer_proto::digest::Digest;
use peer_proto::verify::HashList;

use super::core::Core;
use super::fetch::unknown_version;
use super::file::JobFile;
use super::io::{Effect, LeaseFault, LocalFault};
use super::lease::OpenLease;
use super::piece_set::PieceSet;
use super::planner::longest_run;
use super::serve::pieces_of;
use super::why::Chosen;
use crate::job::TrustFloor;
use crate::record::{RecordSummary, Scope};

/// Copies from the cache at a time.
const COPIES_MAX: usize = 2;

/// A copy of which nothing came for so long ends, unless the job has a rate to keep.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// How far the look into the own cache has come.
#[derive(Clone, Debug, Default)]
pub(super) enum Recall {
    /// Not looked yet.
    #[default]
    Untried,
    /// This record fits; its hash list is being read.
    Listing(RecordSummary),
    /// Its pieces are copied.
    Copying(Found),
    /// Nothing of it is left to be had; its scope stays with what was taken.
    Over(Option<Scope>),
}

/// A record and its list.
#[derive(Clone, Debug)]
pub(super) struct Found {
    record: RecordSummary,
    list: Arc<HashList>,
    have: PieceSet,
}

impl Recall {
    /// Who may use what was taken, if anything was.
    pub(super) const fn scope(&self) -> Option<Scope> {
        match self {
            Self::Untried | Self::Listing(_) => None,
            Self::Copying(found) => Some(found.record.scope),
            Self::Over(scope) => *scope,
        }
    }
}

impl JobFile {
    /// Looks into the own cache, once. `true` while the answer is awaited.
    pub(super) fn recall(&mut self, core: &mut Core) -> bool {
        if self.origin_only || self.case(core).floor == TrustFloor::Origin {
            // What the cache has of it was called invalid, or is as good as that (VAL-4).
            self.recall = Recall::Over(None);
        }
        if matches!(self.recall, Recall::Untried) {
            let is_ours = |record: &&RecordSummary| match record.scope {
                Scope::Private { uid } => uid == self.owner,
                // Made by earlier versions of what was not for others, without saying whose it is.
                Scope::Machine => false,
                Scope::Shareable => true,
            };
            let named: Vec<Digest> = self.named_digests().cloned().chain(self.vouched_digest()).collect();
            let records = named.iter().flat_map(|digest| core.records_of(digest));
            let len = self.wish.remote.ranges_len();
            let fits = |record: &&RecordSummary| len.is_none_or(|len| record.content.len == len);
            let best = records.filter(is_ours).filter(fits).max_by_key(|record| pieces_of(record).count());
            self.recall = match best.filter(|record| record.content.len > 0).cloned() {
                None => Recall::Over(None),
                Some(record) => {
                    let id = record.id;
                    self.waiting = Some(core.ask(self.id, |ask| Effect::RecallList { id: ask, record: id }));
                    Recall::Listing(record)
                }
            };
        }
        matches!(self.recall, Recall::Listing(_))
    }

    /// The list of the record came, or it is not there any more.
    pub(super) fn list_recalled(&mut self, list: Option<Arc<HashList>>) {
        let Recall::Listing(record) = std::mem::take(&mut self.recall) else { return };
        let list = list.filter(|list| list.content() == record.content);
        self.recall = match list {
            None => Recall::Over(None),
            Some(list) => {
                let have = pieces_of(&record);
                Recall::Copying(Found { record, list, have })
            }
        };
        let Recall::Copying(found) = &self.recall else { return };
        let (content, scope) = (found.record.content, found.record.scope);
        if scope != Scope::Shareable {
            self.keep_private();
        }
        // This node checked the digest over these very bytes: it names this root and this length.
        self.claims.root = Some(content.root);
        if self.pinned.is_none() || self.len != Some(content.len) {
            self.reset_to = Some(unknown_version(content.len));
        }
    }

    /// Whether the own cache has everything that is missing, or gave it: then nobody else is asked.
    pub(super) fn recalls_all(&self) -> bool {
        if self.rests_on_attestors() {
            // The origin says which version it is, and checks them.
            return false;
        }
        let found = match &self.recall {
            Recall::Copying(found) => found,
            Recall::Over(scope) => return scope.is_some() && self.is_whole() && !self.is_in_doubt(),
            Recall::Untried | Recall::Listing(_) => return false,
        };
        let mut all = found.have.clone();
        all.union_with(self.pieces.held());
        all.contains_all(0..found.list.geometry().piece_count())
    }

    /// Copies what the own cache has. `true` while there is something to copy.
    pub(super) fn plan_recall(&mut self, core: &mut Core) -> bool {
        let Recall::Copying(found) = &self.recall else { return false };
        let (id, scope) = (found.record.id, found.record.scope);
        let now = core.time();
        let stuck = |lease: &OpenLease| lease.is_from_cache() && now.since(lease.moved) >= STUCK_AFTER;
        let is_stuck = self.wish.limit.is_none() && self.leases.values().any(stuck);
        if is_stuck || self.len != Some(found.list.content().len) {
            // The disk it lies on does not answer; or the part is of another file by now.
            self.stop_where(core, OpenLease::is_from_cache);
            self.recall = Recall::Over(Some(scope));
            return false;
        }
        if self.claims.trusted.is_none() {
            let list = Arc::clone(&found.list);
            self.trust(list, core);
        }
        loop {
            let Recall::Copying(found) = &self.recall else { return false };
            let mut wanted = self.gaps();
            wanted.intersect_with(&found.have);
            self.audited().into_iter().for_each(|audited| wanted.subtract(audited));
            let open = self.leases.values().filter(|lease| lease.is_from_cache() && !lease.stopped).count();
            match longest_run(&wanted) {
                None if open == 0 => {
                    self.recall = Recall::Over(Some(scope));
                    return false;
                }
                Some(pieces) if open < COPIES_MAX => {
                    let list = Arc::clone(&found.list);
                    if !self.lease_from_cache(id, list, pieces, core) {
                        self.recall = Recall::Over(Some(scope));
                        return false;
                    }
                }
                None | Some(_) => return true,
            }
        }
    }

    /// Attestors vouch for bytes that this machine may have: it looks again.
    pub(super) fn recall_vouched(&mut self) {
        if matches!(self.recall, Recall::Over(None)) {
            self.recall = Recall::Untried;
        }
    }

    /// Nobody vouches any more for what was copied, or was to be.
    pub(super) fn recall_no_more(&mut self, core: &mut Core) {
        self.stop_where(core, OpenLease::is_from_cache);
        self.recall = Recall::Over(None);
    }

    /// A copy ended. What it could not give comes from elsewhere.
    pub(super) fn cache_lease_ended(&mut self, outcome: Result<(), LeaseFault>) -> Option<LocalFault> {
        match outcome {
            Ok(()) | Err(LeaseFault::Stopped | LeaseFault::Differs { .. }) => None,
            Err(LeaseFault::Local(fault)) => Some(fault),
            Err(
                LeaseFault::NotHeld
                | LeaseFault::WrongBytes { .. }
                | LeaseFault::PeerLost
                | LeaseFault::Origin(_),
            ) => {
                self.recall = Recall::Over(self.recall.scope());
                None
            }
        }
    }

    /// The file is wrong, and all that says what it should be is a record: that record is not believed any more, and
    /// everything starts again without it. `false` if no record was used.
    pub(super) fn recalled_in_vain(&mut self, core: &mut Core) -> bool {
        if self.recall.scope().is_none() {
            return false;
        }
        let why =
            "what this machine's cache keeps under the digest does not have it: started again".to_owned();
        self.why.note(Chosen::Nobody, why, String::new(), core.time());
        self.recall = Recall::Over(None);
        self.repair = None;
        self.origin.forgive();
        self.claims = super::claims::Claims::new(&self.digests());
        self.reset_to = self.pinned.clone();
        true
    }
}
