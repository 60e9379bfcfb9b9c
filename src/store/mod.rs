//! What must survive: the state folder, its jobs, and an index that may go at any time.
//!
//! Knows: where things lie below the state folder and in which order they become durable. Does not know: what jobs
//! or records mean. sled is named here only, and holds nothing that cannot be rebuilt.

pub mod attests;
pub mod authority;
pub mod damaged;
pub mod folder;
pub mod group;
pub mod index;
pub mod jobs;
pub mod setting;
pub mod tickets;

pub use attests::{AttestStore, Distrusted, KnownAttestations};
pub use authority::{Authority, AuthorityError};
pub use damaged::Damaged;
pub use folder::{FolderError, StateFolder};
pub use group::GroupStore;
pub use index::Index;
pub use jobs::{JobStore, JobStoreError};
pub use setting::{AddedStore, FlagStore, LimitStore, Setting};
pub use tickets::TicketStore;
