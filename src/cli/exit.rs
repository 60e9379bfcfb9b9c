//! How a command ends: its exit code and its one line.
//!
//! Knows: which failure has which code. Does not know: commands.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

use crate::control::api::{Class, Code, Failure, JobView, Problem, ProblemKind};
use crate::control::client::ClientError;

/// Exit codes, as the README lists them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exit {
    /// All done.
    Done,
    /// A check of `demo` failed, or `sim` found what must not be.
    CheckFailed,
    /// The command line or the configuration is wrong.
    Usage,
    /// Some of it is there, and it was stopped in words.
    Partial,
    /// May pass: try again.
    Transient,
    /// Will not pass by itself.
    Fatal,
    /// Rights are missing, or a name is taken.
    Denied,
    /// No such job, or no such file at the origin.
    NotFound,
    /// The bytes are not what a digest names.
    Integrity,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::CheckFailed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Transient => 4,
            Self::Fatal => 5,
            Self::Denied => 6,
            Self::NotFound => 7,
            Self::Integrity => 8,
            Self::Interrupted => 130,
        }
    }
}

/// How the reason of a job ends whose origin has no such file, or not any more.
const MISSING: [&str; 2] = [": HTTP status 404", ": HTTP status 410"];

impl Exit {
    /// How a command ends whose job failed so.
    fn of_failed(failure: Option<Failure>, reason: &str) -> Self {
        let exit = failure.map_or(Self::Fatal, Self::from);
        let is_missing = MISSING.iter().any(|missing| reason.ends_with(missing));
        if exit == Self::Fatal && is_missing { Self::NotFound } else { exit }
    }
}

impl Exit {
    /// How a command ends whose job is in error.
    pub(super) fn of_job(view: &JobView) -> Self {
        let failed = Self::of_failed(view.failure, &view.reason);
        match view.error.as_ref().map(|error| error.code) {
            Some(Code::Http(404 | 410)) => Self::NotFound,
            // It was begun anew as often as it may be: a later command has no better luck (HTTP-13).
            Some(Code::RemoteFileChanged) => failed,
            // It was tried for as long as it may be, and may pass all the same.
            Some(code) if matches!(code.class(), Class::Transient | Class::Waits) => Self::Transient,
            _ => failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<Failure> for Exit {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Transient => Self::Transient,
            Failure::Fatal => Self::Fatal,
            Failure::Denied => Self::Denied,
            Failure::Integrity => Self::Integrity,
        }
    }
}

/// Why a command stopped: one line, and the code that goes with it.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) exit: Exit,
    pub(super) line: String,
}

impl Stop {
    /// Line breaks in messages of others become spaces.
    pub(super) fn new(exit: Exit, line: impl Into<String>) -> Self {
        Self { exit, line: line.into().split_whitespace().collect::<Vec<_>>().join(" ") }
    }

    pub(super) fn usage(line: impl Into<String>) -> Self {
        Self::new(Exit::Usage, line)
    }
}

/// The user to whom a node belongs that does not let us in: its folder or its socket is closed to us, or it hangs up.
fn owner(error: &ClientError) -> Option<u32> {
    let found = match error {
        ClientError::Unreachable { path, source } if source.kind() == ErrorKind::PermissionDenied => {
            // Of what is in a closed folder nothing is known; the folder's owner is.
            path.ancestors().find_map(|path| std::fs::symlink_metadata(path).ok())
        }
        ClientError::Gone { path } => std::fs::symlink_metadata(path).ok(),
        _ => None,
    };
    found.map(|found| found.uid())
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        let own = rustix::process::geteuid().as_raw();
        if let Some(owner) = owner(&error).filter(|owner| *owner != own) {
            let line = format!(
                "this node belongs to user {owner}; you are user {own}: its socket lets in its own user only"
            );
            return Self::new(Exit::Denied, line);
        }
        let exit = match &error {
            ClientError::Unreachable { .. } | ClientError::Gone { .. } => Exit::Transient,
            ClientError::Answer { .. } => Exit::Fatal,
            ClientError::Refused(Problem { kind, .. }) => match kind {
                ProblemKind::Usage => Exit::Usage,
                ProblemKind::Denied => Exit::Denied,
                ProblemKind::NotFound => Exit::NotFound,
                ProblemKind::Busy | ProblemKind::Transient => Exit::Transient,
                ProblemKind::Conflict | ProblemKind::Fatal => Exit::Fatal,
            },
        };
        // The name under which `nearbits explain` tells more.
        let name = match &error {
            ClientError::Refused(Problem { code: Some(code), .. }) => format!(" ({})", code.name()),
            _ => String::new(),
        };
        Self::new(exit, format!("{error}{name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_origin_does_not_have_is_not_found() {
        let of = |failure, reason| Exit::of_failed(Some(failure), reason).code();
        assert_eq!(of(Failure::Fatal, "http://a.test:80: HTTP status 404"), 7);
        assert_eq!(of(Failure::Fatal, "http://a.test:80: HTTP status 410"), 7);
        assert_eq!(of(Failure::Fatal, "http://a.test:80: HTTP status 403"), 5);
        assert_eq!(of(Failure::Denied, "http://a.test:80: HTTP status 404"), 6);
        assert_eq!(Exit::of_failed(None, "").code(), 5);
    }

    #[test]
    fn a_message_is_one_line_whatever_it_was_made_of() {
        assert_eq!(Stop::usage("no\n  such\tthing").line, "no such thing");
    }
}
