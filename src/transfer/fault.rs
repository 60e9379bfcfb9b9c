//! Turns what a room says went wrong into what the brain acts on.
//!
//! Knows: both vocabularies. Does not know: what the brain does then.

use std::io::ErrorKind;

use crate::disk::DiskError;
use crate::engine::io::{LeaseFault, LocalFault, LocalFaultKind, OriginFault, Severity};
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
    OriginFault { severity, message: error.to_string(), status: error.status(), redirect }
}

/// A wish that no origin can be asked for.
pub(super) fn unaskable(error: &dyn std::error::Error) -> OriginFault {
    OriginFault { severity: Severity::Fatal, message: error.to_string(), status: None, redirect: None }
}

/// An effect that asks for what cannot be: our own fault, said instead of panicking.
pub(super) fn broken_rule(rule: &str) -> LeaseFault {
    LeaseFault::Local(broken(rule))
}

/// The same for effects other than leases.
pub(super) fn broken(rule: &str) -> LocalFault {
    LocalFault { kind: LocalFaultKind::Io, message: format!("an internal rule was broken: {rule}") }
}
