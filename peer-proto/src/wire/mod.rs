//! The frames two peers exchange and their bytes.
//!
//! Knows: what each frame may hold, its cap, its bytes (golden tests pin them; `docs/protocol.md` describes them).
//! Does not know: when a frame may be sent (that is [`session`](crate::session)), sockets.

pub mod attest;
pub mod block;
pub mod codec;
pub mod fault;
pub mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod have;
pub mod kin;
pub mod lookup;
pub mod meet;
mod proto;
pub mod record;
pub mod swarm;
mod versions;

#[cfg(test)]
pub(crate) mod tests;

pub use attest::{AttestWant, Attestations, Batches};
pub use block::{BLOCK_HEADER_LEN, BlockGate, BlockHeader};
pub use codec::{DecodeError, EncodeError, FRAME_HEADER_LEN, FrameHeader};
pub use fault::FrameFault;
pub use frame::{
    Cancel, Frame, FrameKind, Goodbye, Have, HavePage, Hello, ListPart, ListRefuse, ListValues, ListWant,
    PageBits, Refuse, RefuseReason, Want,
};
pub use have::HaveSet;
pub use kin::{DenyPage, DenyWant, Enrol, Enrolled, Newest, Tags};
pub use lookup::{Answer, Find, Found, NumberedAnswer, Question};
pub use meet::{NamedPeer, Register};
pub use record::{Record, RecordHead, Said};
pub use swarm::{Interest, Leave, PieceClaim, SegmentClaim};
pub use versions::Versions;
