//! Turns what a room says went wrong into what the brain acts on.
//!
//! Knows: both vocabularies. Does not know: what the brain does then.

use std::io::ErrorKind;

use super::layout::LayoutError;
use crate::disk::DiskError;
use crate::engine::io::{LeaseFault, LocalFault, LocalFaultKind, OriginFault, Severity};
use crate::job::Code;
use crate::origin::{ChecksumError, Fault, OriginError, OriginSeverity, RedirectFault};

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
    let code = origin_code(error.fault());
    OriginFault { code, redirect, ..OriginFault::new(severity, error.to_string(), error.status()) }
}

/// What a list of checksums that names nothing means for its file.
pub(super) fn checksums(error: &ChecksumError) -> OriginFault {
    match error {
        ChecksumError::Origin { source, .. } => OriginFault { message: error.to_string(), ..origin(source) },
        ChecksumError::Insecure { .. }
        | ChecksumError::TooLong { .. }
        | ChecksumError::NotListed { .. }
        | ChecksumError::Ambiguous { .. } => OriginFault::new(Severity::Fatal, error.to_string(), None),
    }
}

/// BITS' name for a failure, where neither status nor severity tells.
const fn origin_code(fault: &Fault) -> Option<Code> {
    match fault {
        Fault::Unresolved { .. } => Some(Code::NameNotResolved),
        Fault::Unreachable { .. } | Fault::Tls { hopeless: false, .. } => Some(Code::ConnectFailure),
        Fault::NoAnswer { .. } | Fault::Cut { .. } => Some(Code::ConnectionClosed),
        Fault::TimedOut { .. } => Some(Code::Timeout),
        Fault::Certificate { .. } => Some(Code::CertificateErrors),
        Fault::Tls { hopeless: true, .. } | Fault::NotTls => Some(Code::ChannelError),
        // What breaks the rules every time it is asked is the origin's own answer, and nothing of the way to it.
        Fault::Broken { hopeless: true, .. } | Fault::SpeaksTls => Some(Code::InvalidServerResponse),
        Fault::AddressRefused { .. }
        | Fault::Redirect(_)
        | Fault::Proxy { .. }
        | Fault::Status { .. }
        | Fault::Broken { hopeless: false, .. }
        | Fault::Encoded { .. }
        | Fault::NoLength
        | Fault::VersionChanged { .. }
        | Fault::NoRanges => None,
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::Class;
    use crate::origin::{Phase, Violation};

    #[test]
    fn err_39_and_err_64_and_err_65_failures_on_the_way_to_an_origin_have_names_of_their_own() {
        let reason = String::new;
        let limit = Duration::from_secs(1);
        for (fault, code) in [
            (Fault::Unresolved { reason: reason() }, Code::NameNotResolved),
            (Fault::Unreachable { reason: reason() }, Code::ConnectFailure),
            (Fault::NoAnswer { reason: reason() }, Code::ConnectionClosed),
            (Fault::Cut { received: 7, reason: reason() }, Code::ConnectionClosed),
            (Fault::TimedOut { phase: Phase::Head, limit }, Code::Timeout),
            (Fault::Certificate { reason: reason() }, Code::CertificateErrors),
            (Fault::Tls { reason: reason(), hopeless: true }, Code::ChannelError),
            (Fault::Tls { reason: reason(), hopeless: false }, Code::ConnectFailure),
            (Fault::NotTls, Code::ChannelError),
            (Fault::SpeaksTls, Code::InvalidServerResponse),
        ] {
            assert_eq!(origin_code(&fault), Some(code), "{fault}");
        }
        assert_eq!(
            origin_code(&Fault::Status { status: 503, retry_after: None }),
            None,
            "its status names it"
        );
    }

    #[test]
    fn err_27_an_origin_that_breaks_the_rules_every_time_gives_no_answer_that_can_be_used() {
        let broken = |hopeless| Fault::Broken { violation: Violation::Garbled, hopeless };
        assert_eq!(origin_code(&broken(true)), Some(Code::InvalidServerResponse));
        assert_eq!(origin_code(&broken(false)), None, "once may pass");
        assert_eq!(Code::InvalidServerResponse.class(), Class::Fatal);
    }

    #[test]
    fn err_22_and_err_24_and_err_38_ranges_that_cannot_be_had_have_names_of_their_own() {
        let code = |error: LayoutError| layout(&error).code;
        assert_eq!(code(LayoutError::NoLength), Some(Code::MissingFileSize));
        assert_eq!(code(LayoutError::NoRanges), Some(Code::InsufficientRangeSupport));
        assert_eq!(code(LayoutError::TooLong), Some(Code::InvalidRange));
    }
}
