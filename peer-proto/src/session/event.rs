//! What a session tells its owner.
//!
//! Knows: the words of it. Does not know: when they are said (`session`), what follows from them.

use std::sync::Arc;

use crate::attest::Attestation;
use crate::batch::Batch;
use crate::content::{ByteRange, ContentId, Hash};
use crate::evidence::Against;
use crate::group::{GroupId, Token};
use crate::lookup::LookupId;
use crate::verify::HashList;
use crate::wire::{ListPart, NamedPeer, PieceClaim, Record, SegmentClaim};

use super::{Answer, HandedOn, ListFault, ProtocolError, RefuseReason, RequestId};

/// What happened in a session.
#[derive(Clone, Debug)]
pub enum SessionEvent {
    /// The peer's Hello is here and a version is agreed on.
    Ready,
    /// The answer to a question of ours; silence for 5 s counts as "not here".
    Found {
        /// The caller's name for the question.
        key: u32,
        /// What the peer said.
        answer: Answer,
    },
    /// What the peer serves of this content changed: see [`Session::have`](super::Session::have).
    HaveChanged {
        /// Of which content.
        content: ContentId,
    },
    /// A hash list is here and folds to its root.
    ListComplete {
        /// Whose list.
        content: ContentId,
        /// The list.
        list: Arc<HashList>,
    },
    /// A hash list will not come from this peer.
    ListFailed {
        /// Whose list.
        content: ContentId,
        /// Why; [`ListFault::is_lie`] says whether the peer is to blame.
        reason: ListFault,
    },
    /// The peer does not serve a request, which is closed now.
    Refused {
        /// Our request.
        request: RequestId,
        /// Why; none of these is a lie. [`RefuseReason::retry`] says when to ask again.
        reason: RefuseReason,
    },
    /// The peer asks who holds something. Answer with [`Session::answer`](super::Session::answer) once the proof was checked (LOOKUP-2).
    Asked {
        /// The question's name for [`Session::answer`](super::Session::answer).
        key: u32,
        /// The lookup id.
        id: LookupId,
        /// Proof that the peer knows the digest, made for our nonce.
        proof: [u8; 32],
    },
    /// The peer asks for a part of a hash list. Answer with [`Session::send_list`](super::Session::send_list).
    ListAsked {
        /// Whose list.
        content: ContentId,
        /// Which part; the list has it.
        part: ListPart,
    },
    /// The peer asks for bytes. Serve the blocks and then [`Session::finish`](super::Session::finish), or [`Session::refuse`](super::Session::refuse).
    Wanted {
        /// The peer's name for the request.
        request: RequestId,
        /// Root and length the peer will check the bytes with (TRUST-7).
        content: ContentId,
        /// 1 to 64 ranges inside the file, ascending and disjoint.
        ranges: Vec<ByteRange>,
        /// Inside a swarm, the value of each piece that is asked for; empty otherwise.
        values: Vec<Hash>,
    },
    /// The peer took a request back, which is closed now.
    Cancelled {
        /// Its name.
        request: RequestId,
    },
    /// The peer joins those who fetch a file together, or says something else of itself. Check the proof (LOOKUP-2).
    Interested {
        /// The lookup id of the file.
        id: LookupId,
        /// Proof that the peer knows the digest, made for our nonce.
        proof: [u8; 32],
        /// The length its origin states.
        len: u64,
        /// Whether it can fetch from the origin.
        fetches: bool,
        /// Of the groups that both are in, the one in which it fetches the file.
        group: Option<GroupId>,
    },
    /// The peer wants a file no more.
    Withdrew {
        /// The swarm.
        swarm: ContentId,
    },
    /// The peer states values of pieces it read from the origin (CLAIM-1).
    PiecesClaimed(PieceClaim),
    /// The peer fetches a segment from the origin now.
    SegmentClaimed(SegmentClaim),
    /// The peer knows a secret of a group of ours, and this should make it a member: check it (GROUP-1).
    TokenShown(Token),
    /// Statements of members, which the peer passes on or makes. None is believed before its signature was checked.
    RecordsShown(Vec<Record>),
    /// The peer asks what attestors say of a URL. Answer with [`Session::show_attestations`](super::Session::show_attestations).
    AttestWanted {
        /// The question's name for the answer.
        number: u32,
        /// Of which version of which URL.
        id: [u8; 32],
    },
    /// What attestors say, as the peer passes it on: the answer to a question of ours. None is believed before it was
    /// checked.
    AttestationsShown {
        /// The question's name.
        number: u32,
        /// At most eight.
        list: Vec<Attestation>,
    },
    /// What attestors read of what a question of ours asked for. None is believed before it was checked.
    BatchesShown(Vec<Batch>),
    /// What tells against an attestor, as the peer passes it on. It is not believed before it was checked.
    AgainstShown(Against),
    /// About what a group of ours signed.
    HandedOn(HandedOn),
    /// The peer says where it listens, at the address it is seen at: it takes this node for a rendezvous. Answer with
    /// [`Session::name_peers`](super::Session::name_peers), if this node is one.
    Registered {
        /// Its port.
        port: u16,
    },
    /// Others, as the rendezvous we registered with says: hints.
    PeersNamed(Vec<NamedPeer>),
    /// The peer closes the connection.
    Left {
        /// Its words: up to 200 bytes without control characters.
        words: String,
    },
    /// The session failed by the clock: send what is left to send, then close.
    Failed(ProtocolError),
}
