//! A node behind the control door.
//!
//! Knows: how the driver's handle answers what callers ask. Does not know: HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU64;

use peer_proto::content::ByteRange;
use peer_proto::group::{GroupId, Membership, OfferFault, Roles, Ticket};
use tokio::sync::broadcast;

use super::api::{
    AddPeer, AttestationView, CacheChange, CacheState, Caller, Code, DamagedJob, Decision, Event, Failure,
    FileRanges, FileView, FlagsShown, GroupOffer, GroupShown, GroupTaken, JobId, JobSpec, JobView, KeepAs,
    Kind, PeerFlags, PeerKnownBy, PeerRow, PolicyShown, Problem, ProblemKind, RecordId, RecordRow,
    RecordVerified, RecordsRemoved, RemoteRange, Scope, SeenRow, Status, TakeBack, TicketMade, TicketOrder,
    Totals, UnheardLink, Verb, WhichGroup,
};
use super::server::Desk;
use crate::driver::{
    AddedError, BlownLink, Cleared, Damaged, Done, EnrolmentError, Gone, Handle, JobCommand, KeeperError,
    KnownBy, KnownPeer, PeerView, PolicyState, RequestError, Shown, TicketError, TicketWish,
};
use crate::telemetry;

/// A running node and what it was started as.
#[derive(Clone)]
pub struct NodeDesk {
    handle: Handle,
    kind: Kind,
}

impl NodeDesk {
    /// The node behind this handle.
    #[must_use]
    pub const fn new(handle: Handle, kind: Kind) -> Self {
        Self { handle, kind }
    }
}

impl From<Gone> for Problem {
    fn from(gone: Gone) -> Self {
        Self::new(ProblemKind::Busy, gone.to_string())
    }
}

impl From<AddedError> for Problem {
    fn from(error: AddedError) -> Self {
        let kind = match &error {
            AddedError::Address(_) => ProblemKind::Usage,
            AddedError::Refused(_) => ProblemKind::Conflict,
            AddedError::NotAdded(_) => ProblemKind::NotFound,
            AddedError::NotKept(_) => ProblemKind::Fatal,
            AddedError::Gone(_) => ProblemKind::Busy,
        };
        let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
        Self::new(kind, format!("{error}{why}"))
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let text = error.to_string();
        match error {
            RequestError::NoSuchJob(_) => Self::new(ProblemKind::NotFound, text).with_code(Code::NotFound),
            RequestError::Gone(_) => Self::new(ProblemKind::Busy, text),
            RequestError::Refused { failure, code, .. } => {
                Self::new(kind(failure, code), text).with_code(code)
            }
        }
    }
}

/// What kind of refusal a code is; where it does not say, what kind of failure it was.
const fn kind(failure: Option<Failure>, code: Code) -> ProblemKind {
    match code {
        Code::NotFound => ProblemKind::NotFound,
        Code::AccessDenied | Code::FileExists => ProblemKind::Denied,
        // Of a request; files that are added to a job say so by the kind of their failure.
        Code::TooManyRangesInFile if failure.is_none() => ProblemKind::Denied,
        Code::InvalidArgument
        | Code::StringTooLong
        | Code::InvalidRange
        | Code::OverlappingRanges
        | Code::MaxDownloadSizeInvalidValue
        | Code::UnsupportedJobConfiguration
        | Code::FileNotAvailable => ProblemKind::Usage,
        Code::InvalidState
        | Code::Empty
        | Code::Pending
        | Code::RandomAccessNotSupported
        | Code::ReadOnlyProperty
        | Code::ReadOnlyPropertyAfterResume => ProblemKind::Conflict,
        _ => match failure {
            Some(Failure::Denied) => ProblemKind::Denied,
            Some(Failure::Fatal | Failure::Integrity) => ProblemKind::Fatal,
            Some(Failure::Transient) | None => ProblemKind::Transient,
        },
    }
}

impl From<Verb> for JobCommand {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Suspend => Self::Suspend,
            Verb::Resume => Self::Resume,
            Verb::Complete => Self::Complete,
            Verb::Cancel => Self::Cancel,
            Verb::Take => Self::Take,
            Verb::Forget => Self::Forget,
        }
    }
}

impl From<PeerView> for PeerRow {
    fn from(view: PeerView) -> Self {
        Self {
            peer: view.peer.to_string(),
            address: view.address,
            near: view.near,
            connected: view.connected,
            known_by: None,
            member: view.member,
            groups: view.groups,
            received_bytes: view.bytes_in,
            served_bytes: view.bytes_out,
            banned_s: view.banned_for_s,
        }
    }
}

impl From<KnownBy> for PeerKnownBy {
    fn from(by: KnownBy) -> Self {
        match by {
            KnownBy::Configured => Self::Configured,
            KnownBy::Added => Self::Added,
            KnownBy::Command => Self::Command,
            KnownBy::Announced => Self::Announced,
            KnownBy::Named => Self::Named,
            KnownBy::Remembered => Self::Remembered,
        }
    }
}

/// Peers that were met, and those that are only known by an address: of several addresses the first.
fn with_known(mut rows: Vec<PeerRow>, known: Vec<KnownPeer>) -> Vec<PeerRow> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    places.extend(rows.iter().enumerate().map(|(place, row)| (row.peer.clone(), place)));
    for KnownPeer { peer, address, by, connected } in known {
        let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
        match places.get(&peer).and_then(|place| rows.get_mut(*place)) {
            Some(row) => row.known_by = row.known_by.or(Some(by.into())),
            None => {
                if !peer.is_empty() {
                    places.insert(peer.clone(), rows.len());
                }
                rows.push(PeerRow {
                    peer,
                    address: address.to_string(),
                    near: true,
                    connected,
                    known_by: Some(by.into()),
                    member: false,
                    groups: Vec::new(),
                    received_bytes: 0,
                    served_bytes: 0,
                    banned_s: None,
                });
            }
        }
    }
    rows
}

impl From<Shown> for RecordRow {
    fn from(shown: Shown) -> Self {
        let held = shown.summary.held_bytes();
        let range = |held: ByteRange| RemoteRange { offset: held.start(), len: NonZeroU64::new(held.len()) };
        let ranges = shown.summary.held_ranges().into_iter().map(range).collect();
        let record = shown.summary;
        let seen = shown.seen.into_iter().map(|seen| {
            let (etag, last_modified) =
                seen.version.map_or((None, None), |version| (version.etag, version.last_modified));
            SeenRow { url: seen.url, etag, last_modified }
        });
        Self {
            id: record.id.to_string(),
            blake3: record.content.root.to_string(),
            len: record.content.len,
            held,
            ranges: Some(ranges),
            validated: true,
            digests: record.digests.iter().map(ToString::to_string).collect(),
            scope: match record.scope {
                Scope::Private { .. } => "private",
                Scope::Machine => "machine",
                Scope::Shareable => "shareable",
            }
            .into(),
            served: record.served,
            last_used_unix_s: record.last_used_unix_s,
            kept: if shown.is_borrowed { KeepAs::Borrow } else { KeepAs::Copy },
            seen: seen.collect(),
        }
    }
}

impl From<KeeperError> for Problem {
    fn from(error: KeeperError) -> Self {
        let text = error.to_string();
        match error {
            KeeperError::NoRecord(_) => Self::new(ProblemKind::NotFound, text).with_code(Code::NotFound),
            KeeperError::Deleted(_) => Self::new(ProblemKind::NotFound, text).with_code(Code::RecordDeleted),
            KeeperError::Busy(_) => Self::new(ProblemKind::Transient, text).with_code(Code::BusyCacheRecord),
            KeeperError::Limit(_) => Self::new(ProblemKind::Usage, text).with_code(Code::InvalidArgument),
            KeeperError::Gone => Self::new(ProblemKind::Busy, text),
            KeeperError::Cache(_) | KeeperError::NotKept(_) => Self::new(ProblemKind::Fatal, text),
        }
    }
}

impl From<EnrolmentError> for Problem {
    fn from(error: EnrolmentError) -> Self {
        let kind = match &error {
            EnrolmentError::Offer(OfferFault::Unknown | OfferFault::Damaged) => ProblemKind::Usage,
            EnrolmentError::Offer(OfferFault::OtherPeer { .. } | OfferFault::Token(_)) => ProblemKind::Denied,
            EnrolmentError::Offer(_) => ProblemKind::Conflict,
            EnrolmentError::Ticket(error) => match error {
                TicketError::Unreached(_) | TicketError::Full | TicketError::Replaced => ProblemKind::Busy,
                TicketError::Fault(_) | TicketError::Over => ProblemKind::Denied,
                TicketError::OtherGroup | TicketError::NoEnroller(_) => ProblemKind::Denied,
                TicketError::NoRandomness => ProblemKind::Fatal,
                TicketError::Roles | TicketError::Uses | TicketError::Life | TicketError::NoAddress => {
                    ProblemKind::Usage
                }
            },
            EnrolmentError::NoGroup | EnrolmentError::Unknown(..) => ProblemKind::NotFound,
            EnrolmentError::Several(_) | EnrolmentError::ReplacesSeveral(_) => ProblemKind::Usage,
            EnrolmentError::Folder(_) => ProblemKind::Fatal,
            EnrolmentError::Gone => ProblemKind::Busy,
        };
        Self::new(kind, error.to_string())
    }
}

fn damaged_job(damaged: Damaged) -> DamagedJob {
    let Damaged { job, path, reason, parts } = damaged;
    DamagedJob { id: job, path, reason, parts }
}

fn unheard_link(blown: BlownLink) -> UnheardLink {
    UnheardLink { link: blown.link.to_string(), until_unix_ms: blown.until_unix_ms }
}

impl Desk for NodeDesk {
    async fn status(&self) -> Result<Status, Problem> {
        let totals = self.handle.totals().await?;
        Ok(Status {
            peer_id: self.handle.peer_id().to_string(),
            listen: self.handle.listen_addresses(),
            flags: self.handle.flags().await?,
            totals: Totals {
                origin_bytes: totals.origin_bytes,
                peer_bytes: totals.peer_bytes,
                served_bytes: totals.served_bytes,
                discarded_bytes: totals.discarded_bytes,
                banned_peers: totals.banned_peers,
            },
            rss_bytes: telemetry::rss_bytes().unwrap_or_default(),
            kind: self.kind,
            version: env!("CARGO_PKG_VERSION").into(),
            group: self.group().await?.complaint(),
            unheard_links: self.handle.blown_links().await?.into_iter().map(unheard_link).collect(),
            damaged_jobs: self.handle.damaged_jobs().iter().cloned().map(damaged_job).collect(),
        })
    }

    async fn jobs(&self) -> Result<Vec<JobView>, Problem> {
        Ok(self.handle.jobs().await?)
    }

    async fn job(&self, id: JobId) -> Result<Option<JobView>, Problem> {
        Ok(self.handle.job(id).await?)
    }

    async fn why(&self, id: JobId) -> Result<Option<Vec<Decision>>, Problem> {
        Ok(self.handle.decisions(id).await?)
    }

    async fn files(&self, id: JobId) -> Result<Option<Vec<FileView>>, Problem> {
        Ok(self.handle.files(id).await?)
    }

    async fn ranges(&self, id: JobId, file: u16) -> Result<Option<FileRanges>, Problem> {
        Ok(self.handle.file_ranges(id, file).await?)
    }

    async fn spec(&self, id: JobId) -> Result<Option<JobSpec>, Problem> {
        Ok(self.handle.spec(id).await?)
    }

    async fn find(&self, spec: &JobSpec, by: Caller) -> Result<Option<JobId>, Problem> {
        Ok(self.handle.unfinished_of(spec, by.uid).await?)
    }

    async fn submit(&self, spec: JobSpec, by: Caller, start: bool) -> Result<JobId, Problem> {
        Ok(self.handle.submit_as(spec, by, start).await?)
    }

    async fn command(&self, id: JobId, command: JobCommand, by: Caller) -> Result<Done, Problem> {
        Ok(self.handle.command_as(id, command, by).await?)
    }

    async fn policy(&self) -> Result<PolicyShown, Problem> {
        let PolicyState { rows, file, problem } = self.handle.policy().await?;
        Ok(PolicyShown { rows, file, problem })
    }

    async fn peers(&self) -> Result<Vec<PeerRow>, Problem> {
        let met = self.handle.peers().await?.into_iter().map(PeerRow::from).collect();
        Ok(with_known(met, self.handle.known_peers()))
    }

    async fn add_peer(&self, peer: AddPeer) -> Result<(), Problem> {
        if peer.keep {
            return Ok(self.handle.keep_peer(&peer.address).await?);
        }
        self.handle.add_peer(peer.address.parse().map_err(AddedError::from)?);
        Ok(())
    }

    async fn remove_peer(&self, address: String) -> Result<(), Problem> {
        Ok(self.handle.remove_peer(&address).await?)
    }

    async fn forget_peers(&self) -> Result<usize, Problem> {
        Ok(self.handle.forget_peers().await?)
    }

    async fn discover_peers(&self) -> Result<bool, Problem> {
        Ok(self.handle.discover_peers())
    }

    async fn records(&self, url: Option<String>) -> Result<Vec<RecordRow>, Problem> {
        let rows = self.handle.cache().records(url).await?.into_iter().map(RecordRow::from);
        // A list of many records stays short.
        Ok(rows.map(|row| RecordRow { ranges: None, ..row }).collect())
    }

    async fn record(&self, id: RecordId) -> Result<RecordRow, Problem> {
        Ok(self.handle.cache().record(id).await?.into())
    }

    async fn remove_record(&self, id: RecordId) -> Result<(), Problem> {
        Ok(self.handle.cache().remove(id).await?)
    }

    async fn forget_url(&self, url: String) -> Result<usize, Problem> {
        Ok(self.handle.cache().forget_url(url).await?)
    }

    async fn clear_cache(&self) -> Result<RecordsRemoved, Problem> {
        let Cleared { removed, busy } = self.handle.cache().clear().await?;
        Ok(RecordsRemoved { records: removed, busy })
    }

    async fn verify_record(&self, id: RecordId) -> Result<RecordVerified, Problem> {
        let found = self.handle.cache().verify(id).await?;
        Ok(RecordVerified { id: id.to_string(), good: found.good, lost: found.lost })
    }

    async fn cache_state(&self) -> Result<CacheState, Problem> {
        let keeper = self.handle.cache();
        let usage = keeper.usage().await?;
        let (limits, preference) = (keeper.limits(), keeper.preference());
        Ok(CacheState {
            limits,
            preference,
            code: (limits != preference).then_some(Code::OverriddenByPolicy),
            records: usage.records,
            own_bytes: usage.own,
            borrowed_bytes: usage.borrowed,
            own_max_bytes: usage.own_max,
        })
    }

    async fn limit_cache(&self, change: CacheChange) -> Result<(), Problem> {
        self.handle.cache().set_limits(change).await?;
        Ok(())
    }

    async fn group(&self) -> Result<GroupShown, Problem> {
        let enrolled = self.handle.group().enrolled().await;
        let ids: Vec<GroupId> = enrolled.memberships.iter().map(Membership::group).collect();
        let mut shown = GroupShown::from(enrolled);
        let peers = self.handle.peers().await?;
        for (group, id) in shown.groups.iter_mut().zip(ids) {
            group.renewal = self.handle.renewal_fault(id).await?;
            let members = peers.iter().filter(|peer| peer.connected && peer.groups.contains(&group.id));
            group.connected = Some(u32::try_from(members.count()).unwrap_or(u32::MAX));
        }
        Ok(GroupShown::new(shown.peer_id, shown.groups))
    }

    async fn offer_group(&self, offer: GroupOffer) -> Result<GroupTaken, Problem> {
        let taken = match Ticket::is_meant(&offer.text) {
            true => self.handle.join_by_ticket(&offer.text, offer.replace).await?,
            false => self.handle.group().take(&offer.text, offer.replace).await?,
        };
        Ok(GroupTaken::of(&offer.text, taken, self.group().await?))
    }

    async fn make_ticket(&self, order: TicketOrder) -> Result<TicketMade, Problem> {
        let usage = |words: String| Problem::new(ProblemKind::Usage, words);
        let role = |name: &String| Roles::named(name).ok_or_else(|| usage(format!("{name:?} is no role")));
        let roles = order.roles.iter().map(role).collect::<Result<Vec<Roles>, Problem>>()?;
        let roles = roles.into_iter().fold(Roles(0), Roles::and);
        let no_address = |text: &String| usage(format!("{text:?} is no address: ip:port, as 192.0.2.7:7411"));
        let parsed = |text: &String| text.parse().map_err(|_| no_address(text));
        let mut addresses = order.addresses.iter().map(parsed).collect::<Result<Vec<SocketAddr>, _>>()?;
        if addresses.is_empty() {
            addresses = self.handle.reachable_at();
        }
        let wish =
            TicketWish { group: order.group, uses: order.uses, life_s: order.life_s, roles, addresses };
        let (ticket, until_unix_s) = self.handle.group().make_ticket(&wish).await?;
        Ok(TicketMade { ticket, until_unix_s, uses: order.uses })
    }

    async fn leave_group(&self, which: WhichGroup) -> Result<(), Problem> {
        self.handle.group().leave(which.group.as_deref()).await?;
        Ok(())
    }

    async fn attestations(&self) -> Result<Vec<AttestationView>, Problem> {
        Ok(self.handle.attestations().await?)
    }

    async fn take_back(&self, wish: TakeBack) -> Result<Vec<AttestationView>, Problem> {
        let denied = |words: String| Problem::new(ProblemKind::Denied, words);
        let mut meant = wish.meant(self.handle.attestations().await?)?;
        match wish.signed()? {
            Some(void) => {
                let outcome = self.handle.hand_in_void(void).await?;
                outcome.map_err(|fault| denied(format!("it is not taken back: {fault}")))?;
            }
            None => {
                meant.retain(|one| one.is_own);
                if meant.is_empty() {
                    let words = "this node's holder did not say that, or may not attest now: only who attested it takes it back, \
                                 or the group's key (--group FILE)";
                    return Err(denied(words.to_owned()));
                }
                self.handle.take_back(meant.iter().map(|one| one.id.clone()).collect(), wish.reason).await?;
            }
        }
        let ids: Vec<String> = meant.into_iter().map(|one| one.id).collect();
        let known = self.handle.attestations().await?.into_iter();
        Ok(known.filter(|one| ids.contains(&one.id) && one.taken_back.is_some()).collect())
    }

    async fn flags(&self) -> Result<FlagsShown, Problem> {
        let (holds, preference) = self.handle.permissions().await?;
        Ok(FlagsShown::of(holds, preference))
    }

    async fn set_flags(&self, flags: PeerFlags) -> Result<(), Problem> {
        Ok(self.handle.set_flags(flags).await?)
    }

    fn changes(&self) -> broadcast::Receiver<Event> {
        self.handle.watch()
    }
}
