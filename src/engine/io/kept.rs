//! What the cache is to keep of a delivered file.
//!
//! Knows: what a record says beside its bytes. Does not know: whether it may be kept (the engine decides).

use std::path::PathBuf;

use peer_proto::version::Version;

use super::SealedFile;
use crate::job::FileId;
use crate::record::{Scope, Voucher};

/// A delivered file and what is known of it.
#[derive(Clone, Debug)]
pub struct KeptFile {
    /// The file.
    pub file: FileId,
    /// Where it was delivered.
    pub destination: PathBuf,
    /// What it is.
    pub sealed: SealedFile,
    /// Which URL it came from.
    pub url: String,
    /// The version, if the origin answered.
    pub version: Option<Version>,
    /// Who may use it.
    pub scope: Scope,
    /// Attestors on whose word alone it was sealed; none if something else proved it.
    pub vouched: Vec<Voucher>,
}
