//! Turns what a room says went wrong into what the brain acts on.
//!
//! Knows: both vocabularies. Does not know: what the brain does then.

use std::io::ErrorKind;

use super::layout::LayoutError;
use crate::disk::DiskError;
use crate::engine::io::{LeaseFault, LocalFault, LocalFaultKind, OriginFault, Severity};
use crate::job::Code;
use crate::origin::{Fault, OriginError, OriginSeverity, RedirectFault};

/// A failure of this machine's files.
pub(super) fn local(error: &DiskError) -> LocalFault {
    LocalFault { kind: local_kind(error.kind()), message: error.to_string() }
}

/// What a job does about a failure of the operating system.
#[must_use]
pub fn local_kind(kind: ErrorKind) -> LocalFaultKind {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => LocalFaultKind::NoSpace,
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::AlreadyExists
        | ErrorKind::InvalidInput
        | ErrorKind::IsADirectory => LocalFaultKind::Denied,
        ErrorKind::NotFound | ErrorKind::NotADirectory => LocalFaultKind::NotFound,
        _ => LocalFaultKind::Io,
    }
}

/// A failure at the origin.
pub(super) fn origin(error: &OriginError) -> OriginFault {
    let severity = match error.severity() {
        OriginSeverity::Transient { retry_after } => Severity::Transient { retry_after },
        OriginSeverity::Fatal => Severity::Fatal,
        OriginSeverity::VersionChanged => Severity::VersionChanged,
        OriginSeverity::NoRanges => Severity::NoRanges,
    };
    let redirect = match error.fault() {
        Fault::Redirect(RedirectFault::Refused { target, .. }) => Some(target.clone()),
        _ => None,
    };
    // What breaks the rules every time it is asked is the origin's own answer, and nothing of the way to it.
    let is_hopeless = matches!(error.fault(), Fault::Broken { hopeless: true, .. });
    let code = is_hopeless.then_some(Code::InvalidServerResponse);
    OriginFault { code, redirect, ..OriginFault::new(severity, error.to_string(), error.status()) }
}

/// A wish that no origin can be asked for.
pub(super) fn unaskable(error: &dyn std::error::Error) -> OriginFault {
    OriginFault::new(Severity::Fatal, error.to_string(), None)
}

/// Ranges that cannot be had of an origin (RNG-5, 6).
pub(super) fn layout(error: &LayoutError) -> OriginFault {
    let code = match error {
        LayoutError::Outside { .. } | LayoutError::TooLong => Code::InvalidRange,
        LayoutError::NoRanges => Code::InsufficientRangeSupport,
        LayoutError::NoLength => Code::MissingFileSize,
    };
    OriginFault { code: Some(code), ..unaskable(error) }
}

/// An effect that asks for what cannot be: our own fault, said instead of panicking.
pub(super) fn broken_rule(rule: &str) -> LeaseFault {
    LeaseFault::Local(broken(rule))
}

/// The same for effects other than leases.
pub(super) fn broken(rule: &str) -> LocalFault {
    LocalFault { kind: LocalFaultKind::Io, message: format!("an internal rule was broken: {rule}") }
}
