//! Files we may lose at any moment, and how nothing is lost with them.
//!
//! Knows: partial files and their journals, sync rules, the one door to users' paths, and the small synchronous
//! [`Files`] trait all of it is written against, so that tests cut the power at every single operation. Does not
//! know: jobs, peers, what a piece is worth.

mod digests;
mod error;
pub mod files;
pub mod journal;
#[doc(hidden)]
pub mod memory_files;
pub mod part;
pub mod paths;
mod pieces;
pub mod prefix;
mod real_files;

pub use digests::DigestSet;
pub use error::DiskError;
pub use files::{Access, Existing, FileHandle, FileKind, FileStat, Files, Space};
pub use part::seal;
pub use real_files::RealFiles;
