//! What went wrong with a file, under BITS' name, and where.
//!
//! Knows: which name a fault of the origin, of this machine or of the bytes has. Does not know: what follows from it.

use super::io::{LocalFault, LocalFaultKind, OriginFault, Severity};
use crate::job::{Code, Context};

/// A fault in words and by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Trouble {
    pub(super) code: Code,
    pub(super) context: Context,
    /// The origin's status, if it answered.
    pub(super) status: Option<u16>,
    /// One line for people.
    pub(super) text: String,
}

impl Default for Trouble {
    fn default() -> Self {
        Self { code: Code::ConnectFailure, context: Context::Transport, status: None, text: String::new() }
    }
}

impl Trouble {
    /// The bytes are not what a digest names.
    pub(super) const fn integrity(text: String) -> Self {
        Self { code: Code::ValidationFailed, context: Context::RemoteFile, status: None, text }
    }

    /// The origin serves something else all the time.
    pub(super) const fn changed(text: String) -> Self {
        Self { code: Code::RemoteFileChanged, context: Context::RemoteFile, status: None, text }
    }

    /// The origin's answer cannot be used.
    pub(super) const fn response(text: String) -> Self {
        Self { code: Code::InvalidServerResponse, context: Context::RemoteFile, status: None, text }
    }
}

impl From<OriginFault> for Trouble {
    fn from(fault: OriginFault) -> Self {
        let is_error = |status: &u16| *status >= 400;
        let code = match (fault.status.filter(is_error), fault.severity) {
            (Some(status), _) => Code::Http(status),
            (None, Severity::Transient { .. }) => Code::ConnectFailure,
            (None, Severity::Fatal) => Code::InvalidServerResponse,
            (None, Severity::VersionChanged) => Code::RemoteFileChanged,
            (None, Severity::NoRanges) => Code::InsufficientRangeSupport,
        };
        let context = if fault.status.is_some() { Context::RemoteFile } else { Context::Transport };
        Self { code, context, status: fault.status, text: fault.message }
    }
}

impl From<LocalFault> for Trouble {
    fn from(fault: LocalFault) -> Self {
        let code = match fault.kind {
            LocalFaultKind::NoSpace => Code::DiskFull,
            LocalFaultKind::Denied => Code::AccessDenied,
            LocalFaultKind::NotFound => Code::PathNotFound,
            LocalFaultKind::Io => Code::IoDevice,
        };
        Self { code, context: Context::LocalFile, status: None, text: fault.message }
    }
}
