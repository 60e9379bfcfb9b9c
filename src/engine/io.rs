//! The seam between the brain and the hands: facts in, effects out.
//!
//! Every effect that is answered carries an id, and every id gets exactly one answer. Late answers are harmless.
//! Bytes never pass here: the brain sees ranges, ids, values of 32 bytes, and reports.

mod ban;
mod command;
mod fault;
mod kept;
mod lease;
mod probe;
mod serve;
mod ticket;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use peer_proto::attest::Attestation;
use peer_proto::content::{ContentId, Hash, PieceIndex};
use peer_proto::digest::Digest;
use peer_proto::evidence::Contradiction;
use peer_proto::group::{GroupId, HolderId, Offer};
use peer_proto::peer::PeerId;
use peer_proto::question::{Question, Wanted};
pub use peer_proto::standing::{PieceRun, Standing};
use peer_proto::subnet::Subnet;
use peer_proto::time::Instant;
use peer_proto::verify::HashList;
use peer_proto::version::Version;
use peer_proto::void::Void;
use peer_proto::wire::{Frame, ListPart};

pub use self::ban::{KeptBan, KeptFuse};
pub use self::command::JobCommand;
pub use self::fault::{LeaseFault, LocalFault, LocalFaultKind, OriginFault, SealFault, Severity};
pub use self::kept::KeptFile;
pub use self::lease::{Accept, Lease, LeaseSource, Span};
pub use self::probe::{Footing, Probe};
pub use self::serve::{SMALL_REQUEST, Serve, ServeFrom, ServeOutcome, ServePace, Yields};
pub use self::ticket::{TicketFact, TicketFault, TicketWork};
use super::groups::Groups;
pub use super::stored::{FilePhase, StoredFile, StoredJob, Times, Validation};
use crate::job::{Caller, Effective, FileId, JobId, JobSpec, PeerFlags, Rates, Remote, Wish};
use crate::record::{RecordId, RecordSummary};

/// Now, as a value: only `clock.rs` reads clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Since the node started. Timers use this one only.
    pub monotonic: Instant,
    /// Wall clock, milliseconds since 1970. Ages and not-after only.
    pub wall_unix_ms: i64,
}

/// Correlates an effect with its one answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EffectId(pub u64);

/// Names a lease for the life of the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LeaseId(pub u64);

/// Names one answer to a peer's request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServeId(pub u64);

/// What was found beside the destination when a job was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartFound {
    /// The version pinned when its bytes were fetched; `None` if there was no part, or one with nothing in it.
    pub version: Option<Version>,
    /// The pieces whose bytes are there and agree with the journal.
    pub runs: Vec<PieceRun>,
}

/// A fact told to the brain.
#[derive(Clone, Debug)]
pub enum Input {
    /// A user submits a job. Answered by [`Effect::PersistJob`] and, once that is done, `Event::JobAccepted`.
    Submit {
        /// The id drawn for it by the caller (16 random bytes).
        job: JobId,
        /// What is wanted.
        spec: Box<JobSpec>,
        /// Who wants it, and owns it.
        by: Caller,
        /// Whether it begins at once; it is suspended otherwise (JOB-3).
        start: bool,
    },
    /// A job found on disk when the node started; it goes on from where it was.
    JobFound(Box<StoredJob>),
    /// A user's command on a job.
    Command {
        /// Which job.
        job: JobId,
        /// What to do.
        command: JobCommand,
        /// Who asks for it.
        by: Caller,
    },
    /// What the computer prefers of its flags changed (all jobs that are affected by what holds then are re-planned: PEER-9).
    FlagsChanged(PeerFlags),
    /// The administrator's policy, read anew.
    PolicyChanged(Box<Effective>),
    /// The administrator forgot all peers that are not configured (PEER-23).
    PeersForgotten,
    /// What makes this node a member of groups is something else now; nothing does if there is none.
    GroupsChanged(Groups),
    /// The machine's network came up, or the last of it went.
    NetworkChanged {
        /// Whether there is one now.
        up: bool,
    },
    /// Answer to [`Effect::PersistJob`].
    JobPersisted {
        /// The effect.
        id: EffectId,
        /// Whether it is durable now.
        outcome: Result<(), LocalFault>,
    },
    /// Answer to [`Effect::FetchDigests`].
    DigestsFetched {
        /// The effect.
        id: EffectId,
        /// What the list names for the file: one digest at least.
        outcome: Result<Vec<Digest>, OriginFault>,
    },
    /// Answer to [`Effect::OpenPart`].
    PartOpened {
        /// The effect.
        id: EffectId,
        /// What was there.
        outcome: Result<PartFound, LocalFault>,
    },
    /// Answer to [`Effect::ResetPart`].
    PartReset {
        /// The effect.
        id: EffectId,
        /// Whether the part is empty and pinned to the version now.
        outcome: Result<(), LocalFault>,
    },
    /// Answer to [`Effect::Probe`].
    Probed {
        /// The effect.
        id: EffectId,
        /// What the origin said.
        outcome: Result<Probe, OriginFault>,
    },
    /// Bytes arrived for a lease, proved or not; at least every 100 ms while any do. Cumulative.
    Progress {
        /// The lease.
        lease: LeaseId,
        /// Bytes received so far.
        received: u64,
    },
    /// Bytes of a lease are here and wait for the rate of their job or machine: its source is not late. At least every
    /// 100 ms while they wait.
    LeaseHeld {
        /// The lease.
        lease: LeaseId,
    },
    /// Pieces of a lease were written and agree. Told in batches.
    PiecesStored {
        /// The lease that brought them.
        lease: LeaseId,
        /// The pieces.
        run: PieceRun,
    },
    /// Answer to [`Effect::StartLease`]. All its `PiecesStored` were told before.
    LeaseEnded {
        /// The lease.
        lease: LeaseId,
        /// Bytes received in all, stored or not.
        received: u64,
        /// For [`Span::ToEnd`]: the length, learned at the good end of the body. Its values (at piece length) come
        /// with a `PiecesStored` before.
        len: Option<u64>,
        /// How it ended; `Ok` if the whole (perhaps trimmed) span is stored.
        outcome: Result<(), LeaseFault>,
    },
    /// Answer to [`Effect::Seal`].
    Sealed {
        /// The effect.
        id: EffectId,
        /// What the whole file is.
        outcome: Result<SealedFile, SealFault>,
    },
    /// Answer to [`Effect::Deliver`].
    Delivered {
        /// The effect.
        id: EffectId,
        /// Whether the file has its final name, durably.
        outcome: Result<(), LocalFault>,
    },
    /// Answer to [`Effect::DropPart`].
    PartDropped {
        /// The effect.
        id: EffectId,
        /// Whether part and journal are gone.
        outcome: Result<(), LocalFault>,
    },
    /// A peer is connected on an encrypted channel that proved its id.
    PeerConnected {
        /// Who.
        peer: PeerId,
        /// Its TCP address as text, without port: for per-address counts and for people.
        address: String,
        /// Whether its address is on-link, loopback, or was configured (LOOKUP-3).
        near: bool,
        /// The subnet of ours that it is on, or one that stands for where it is: what strangers on it did counts against all
        /// of them (CLAIM-12). `None` if nobody can say.
        link: Option<Subnet>,
        /// 16 fresh random bytes: our session nonce in this session.
        nonce: [u8; 16],
    },
    /// A peer that just connected is a rendezvous of the configuration.
    RendezvousMet {
        /// Who.
        peer: PeerId,
    },
    /// A peer is refused, as an earlier run says.
    BanFound(KeptBan),
    /// What an earlier run held against strangers on a link.
    FuseFound(KeptFuse),
    /// This node listens for peers.
    Listening {
        /// Where.
        at: SocketAddr,
    },
    /// The last connection to a peer is gone.
    PeerLost {
        /// Who.
        peer: PeerId,
    },
    /// Somebody on one of our links asks all of it (no more often than its bounds say). It is never answered in the open.
    LinkAsked {
        /// Where the datagram came from: an address on that link.
        from: SocketAddr,
        /// What it says.
        question: Question,
    },
    /// A control or page frame arrived.
    FrameReceived {
        /// From whom.
        peer: PeerId,
        /// The frame, decoded.
        frame: Frame,
    },
    /// A peer sent what cannot be decoded, or blocks nobody asked for (WIRE-2, 5): the connection is closed.
    BadFrame {
        /// From whom.
        peer: PeerId,
        /// What was wrong.
        message: String,
    },
    /// A record exists in the cache: found at start, added, or grown.
    RecordHeld(RecordSummary),
    /// A record went from the cache.
    RecordGone(RecordId),
    /// Answer to [`Effect::RecallList`].
    ListRecalled {
        /// The effect.
        id: EffectId,
        /// The list; `None` if the record is not there any more.
        list: Option<Arc<HashList>>,
    },
    /// Answer to [`Effect::ReadList`].
    ListRead {
        /// The effect.
        id: EffectId,
        /// The values of that part; `None` if the record is gone.
        values: Option<Vec<Hash>>,
    },
    /// About tickets.
    Ticket(TicketFact),
    /// An attestation that was kept when this node ran last.
    AttestationFound(Attestation),
    /// An attestor whose word was found false when this node ran last.
    DistrustFound {
        /// In which group; in all of them if that is not known any more.
        group: Option<GroupId>,
        /// Who.
        holder: HolderId,
        /// What proves that to other members, if anything does.
        proof: Option<Contradiction>,
    },
    /// An administrator takes back what this node's holder attested, by the ids of it.
    TakeBack {
        /// Hexadecimal digits, all of them.
        statements: Vec<String>,
        /// Why, for people.
        reason: String,
    },
    /// A void that an administrator hands in.
    VoidMade(Void),
    /// A void that was kept when this node ran last.
    VoidFound(Void),
    /// Answer to [`Effect::Serve`].
    ServeEnded {
        /// Which one.
        id: ServeId,
        /// Payload bytes handed to the transport.
        sent: u64,
        /// Whether everything asked for was sent.
        outcome: ServeOutcome,
    },
}

/// A sealed file: exact and durable, not yet under its final name.
#[derive(Clone, Debug)]
pub struct SealedFile {
    /// Root and length.
    pub content: ContentId,
    /// Its hash list.
    pub list: Arc<HashList>,
    /// Every digest that was computed (those asked for; SHA-256 also where asked for by [`Effect::Seal`]).
    pub digests: Vec<Digest>,
}

/// Something for the hands to do. Performing never waits.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make the job durable. Answered by [`Input::JobPersisted`].
    PersistJob {
        /// Correlates.
        id: EffectId,
        /// The job.
        job: Box<StoredJob>,
    },
    /// Remove the job from disk (final state). Not answered.
    ForgetJob {
        /// Which.
        job: JobId,
    },
    /// Ask a publisher's list of checksums for the digests of a file. Answered by [`Input::DigestsFetched`].
    FetchDigests {
        /// Correlates.
        id: EffectId,
        /// The URL of the list.
        list: String,
        /// The URL of the file.
        url: String,
    },
    /// Open or create the part beside the destination and read its journal. Answered by [`Input::PartOpened`].
    OpenPart {
        /// Correlates.
        id: EffectId,
        /// The file.
        file: FileId,
        /// Destination, what to do with an existing file, which digests to follow.
        wish: Box<Wish>,
    },
    /// Empty the part and pin it to a version. Answered by [`Input::PartReset`].
    ResetPart {
        /// Correlates.
        id: EffectId,
        /// The file.
        file: FileId,
        /// What the next bytes belong to.
        version: Version,
    },
    /// Pin a part, whose version was unknown, to the one that its origin states by now; the length is the same and what
    /// is stored stays. Not answered: whoever restarts before it is done finds the version unknown.
    PinPart {
        /// The file.
        file: FileId,
        /// What the bytes belong to.
        version: Version,
    },
    /// Change standings in the journal, bytes stay: proved after a trusted root came, suspect after a refutation.
    /// Not answered.
    Restand {
        /// The file.
        file: FileId,
        /// Pieces and their new standing.
        first: PieceIndex,
        /// How many.
        count: u32,
        /// The new standing.
        standing: Standing,
    },
    /// Ask the origin what it serves now. Answered by [`Input::Probed`].
    Probe {
        /// Correlates.
        id: EffectId,
        /// For which file.
        file: FileId,
        /// Where, and what is sent with the question.
        remote: Arc<Remote>,
    },
    /// Bytes per second of a job, or of the whole machine where none is named: for leases at work as well as later ones.
    /// [`Rates::default`] lets go. Not answered.
    SetRates {
        /// Whose.
        job: Option<JobId>,
        /// How many; from origins counts as WAN, from peers as LAN, from the own cache as neither.
        rates: Rates,
    },
    /// Start a lease. Answered by exactly one [`Input::LeaseEnded`].
    StartLease(Lease),
    /// Let a lease end earlier, at this offset (a piece boundary); what lies beyond is somebody else's now.
    TrimLease {
        /// Which.
        lease: LeaseId,
        /// Its new end.
        end: u64,
    },
    /// End a lease now; pieces already proved stay.
    StopLease {
        /// Which.
        lease: LeaseId,
    },
    /// Validate the whole file, sync it. Answered by [`Input::Sealed`].
    Seal {
        /// Correlates.
        id: EffectId,
        /// The file.
        file: FileId,
        /// Its length.
        len: u64,
        /// Digests it must have.
        digests: Vec<Digest>,
        /// Under which digests it may be shared: SHA-256 is computed even if not asked for.
        want_sha256: bool,
    },
    /// Rename the sealed file to its final name, durably. Answered by [`Input::Delivered`].
    Deliver {
        /// Correlates.
        id: EffectId,
        /// The file.
        file: FileId,
    },
    /// Write down what the journal lacks and let go of the part: it is opened again when the file goes on. Not
    /// answered.
    ClosePart {
        /// The file.
        file: FileId,
    },
    /// Remove part and journal of a file, open or not; one that was delivered keeps its final name. Answered by
    /// [`Input::PartDropped`].
    DropPart {
        /// Correlates.
        id: EffectId,
        /// The file.
        file: FileId,
        /// Where it was to go: the part lies beside it.
        destination: std::path::PathBuf,
    },
    /// Keep a delivered file in the cache (borrowed in place or copied). Ends with [`Input::RecordHeld`] if it was
    /// kept; otherwise not answered.
    Keep(Box<KeptFile>),
    /// Let a record go from the cache, once nobody reads it. Ends with [`Input::RecordGone`] if it went; otherwise not
    /// answered.
    DropRecord {
        /// Which.
        record: RecordId,
    },
    /// Send a control or page frame to a peer. Not answered; a full queue loses the connection.
    Send {
        /// To whom.
        peer: PeerId,
        /// What.
        frame: Frame,
    },
    /// Ask everybody on our links. Not answered: whoever has it calls.
    AskLink {
        /// 8 bytes that were never used before.
        nonce: [u8; 8],
        /// What for, at most sixteen.
        wanted: Vec<Wanted>,
    },
    /// Connect to a peer that asked the link for what is here. Not answered; one try, among the dials strangers get.
    Call {
        /// Who must be there.
        peer: PeerId,
        /// Where: an address on one of our links.
        socket: SocketAddr,
    },
    /// Close the connection to a peer and refuse it until `until`.
    Disconnect {
        /// Whom.
        peer: PeerId,
        /// Not before this moment again.
        until: Instant,
        /// Why, for the log.
        reason: String,
    },
    /// Read a record's whole hash list, for a job that wants its content. Answered by [`Input::ListRecalled`].
    RecallList {
        /// Correlates.
        id: EffectId,
        /// Which record.
        record: RecordId,
    },
    /// Read one part of a record's hash list. Answered by [`Input::ListRead`].
    ReadList {
        /// Correlates.
        id: EffectId,
        /// The record.
        record: RecordId,
        /// Which part.
        part: ListPart,
    },
    /// Read, prove and send what a peer asked for. Answered by exactly one [`Input::ServeEnded`].
    Serve(Serve),
    /// How fast peers are served, from now on and in what is being served. Not answered.
    SetServePace(ServePace),
    /// Keep what the group's key signed and a member handed on, as if its owner had handed it in: [`Input::GroupsChanged`]
    /// follows if it is news. Not answered.
    TakeOffer(Box<Offer>),
    /// About tickets.
    Ticket(TicketWork),
    /// Try a peer of the site, as if it had announced itself. Not answered.
    Meet {
        /// Who should be there.
        peer: PeerId,
        /// Where.
        address: SocketAddr,
    },
    /// Keep an attestation that counts, for the next run and for members that ask. Not answered.
    KeepAttestation(Attestation),
    /// It is of no use any more. Not answered.
    DropAttestation(Hash),
    /// Keep what takes back something an attestor signed, for the next run. Not answered.
    KeepVoid(Void),
    /// It is of no use any more. Not answered.
    DropVoid(Hash),
    /// An attestor's word is not believed again: remember that for good, with what it signed, and raise the alarm. Not
    /// answered.
    Distrust {
        /// In which group.
        group: GroupId,
        /// Who.
        holder: HolderId,
        /// What it signed.
        evidence: Vec<Bytes>,
        /// What is wrong with that, for people.
        why: String,
    },
    /// Stop serving a request. [`Input::ServeEnded`] still comes.
    StopServe {
        /// Which one.
        id: ServeId,
    },
    /// Tell whoever watches.
    Tell(super::event::Event),
}

/// What the brain wants next.
#[derive(Clone, Debug)]
pub enum Output {
    /// Do this.
    Effect(Box<Effect>),
    /// Nothing until this moment, or the next fact.
    WaitUntil(Instant),
}
