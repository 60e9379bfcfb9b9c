//! What went wrong with a file, under BITS' name, and what follows: a wait, or the end.
//!
//! Knows: which name a fault of the origin, of this machine or of the bytes has, how long tries are apart. Does not know:
//! the file's job.

use std::time::Duration;

use super::core::Core;
use super::event::Failure;
use super::file::{JobFile, Stage};
use super::io::{LocalFault, LocalFaultKind, OriginFault, Severity};
use super::pieces::Pieces;
use super::step::Trigger;
use super::why::Chosen;
use crate::job::{Code, Context, JobState};

/// Failures in a row after which tries are the job's retry delay apart.
pub(super) const QUICK_RETRIES: u32 = 2;

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
        let code = match (fault.code, fault.status.filter(is_error), fault.severity) {
            (Some(code), _, _) => code,
            (None, Some(status), _) => Code::Http(status),
            (None, None, Severity::Transient { .. }) => Code::ConnectFailure,
            (None, None, Severity::Fatal) => Code::InvalidServerResponse,
            (None, None, Severity::VersionChanged) => Code::RemoteFileChanged,
            (None, None, Severity::NoRanges) => Code::InsufficientRangeSupport,
        };
        let is_of_file = fault.code.is_some_and(|code| !is_of_the_way(code)) || fault.status.is_some();
        let context = if is_of_file { Context::RemoteFile } else { Context::Transport };
        Self { code, context, status: fault.status, text: fault.message }
    }
}

/// Whether a code is about the way to the origin, and not about what it answers.
const fn is_of_the_way(code: Code) -> bool {
    matches!(
        code,
        Code::NameNotResolved
            | Code::ConnectFailure
            | Code::ConnectionClosed
            | Code::Timeout
            | Code::CertificateErrors
            | Code::ChannelError
    )
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

impl JobFile {
    /// Something of this machine failed.
    pub(super) fn local_trouble(&mut self, fault: LocalFault, core: &mut Core) {
        if fault.kind == LocalFaultKind::NoSpace {
            let jitter = core.chance.below(256);
            self.local.fail(jitter, core.time());
            self.stop_all(core);
            self.fail_for_now(fault.into(), core);
        } else {
            self.fail(local_failure(fault.kind), fault.into(), core);
        }
    }

    /// Somebody removed its part: it is fetched again when the job is resumed.
    pub(super) fn lose(&mut self, fault: LocalFault, core: &mut Core) {
        (self.is_whole_once, self.sealed, self.stage) = (false, None, Stage::Fetching);
        (self.blake3, self.sha256) = (None, None);
        (self.pieces, self.changed) = (Pieces::default(), true);
        let text =
            format!("{}: somebody removed it; `nearbits job resume` fetches the file again", fault.message);
        self.fail(local_failure(fault.kind), LocalFault { message: text, ..fault }.into(), core);
    }

    /// Waits to try again.
    pub(super) fn fail_for_now(&mut self, trouble: Trouble, core: &mut Core) {
        if self.runs() {
            if self.reason != trouble.text {
                self.announce = true;
                self.why.note(
                    Chosen::Nobody,
                    trouble.text.clone(),
                    "tried again later".to_owned(),
                    core.time(),
                );
            }
            self.note_trouble(Failure::Transient, trouble);
            if self.state != JobState::TransientError {
                self.trigger(Trigger::FailedForNow);
                self.wait_to_retry(core);
                self.unsaved = true;
            }
        }
    }

    /// Stops for good, until somebody resumes it.
    pub(super) fn fail(&mut self, failure: Failure, trouble: Trouble, core: &mut Core) {
        if self.trigger(Trigger::Failed) {
            let ends = "the file stands still until somebody acts".to_owned();
            self.why.note(Chosen::Nobody, trouble.text.clone(), ends, core.time());
            self.note_trouble(failure, trouble);
            self.leave_swarm(core);
            self.stop_all(core);
            self.unsaved = true;
        }
    }

    pub(super) fn note_trouble(&mut self, failure: Failure, trouble: Trouble) {
        (self.failure, self.status) = (Some(failure), trouble.status);
        self.trouble = Some((trouble.code, trouble.context));
        self.reason = trouble.text;
    }

    /// After two quick ones, tries are the job's retry delay apart (LIM-1, JOB-27).
    fn wait_to_retry(&mut self, core: &mut Core) {
        if self.origin.breaker.failures() > QUICK_RETRIES {
            let delay = Duration::from_secs(self.wish.retry_delay_s);
            // Machines that failed together do not come back together (SCHED-11).
            let early = delay / 1_024 * core.chance.below(256);
            self.origin.breaker.wait_until(core.time().after(delay.saturating_sub(early)));
        }
    }
}

/// What kind of failure a local fault is to the owner.
pub(super) const fn local_failure(kind: LocalFaultKind) -> Failure {
    match kind {
        LocalFaultKind::NoSpace => Failure::Transient,
        LocalFaultKind::Denied | LocalFaultKind::NotFound => Failure::Denied,
        LocalFaultKind::Io => Failure::Fatal,
    }
}

/// Scheme, host and port of a URL.
pub(super) fn place_of(url: &str) -> String {
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

/// Where an error came from, unless it is this machine's own. Never a path or a query: they may hold secrets.
pub(super) fn source_of(context: Context, url: &str) -> Option<String> {
    (context != Context::LocalFile).then(|| place_of(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn err_4_a_fault_of_the_origin_is_of_the_file_if_an_answer_came_or_its_code_says_so_and_else_of_the_way()
    {
        let of = |code, status, severity| {
            let trouble =
                Trouble::from(OriginFault { code, ..OriginFault::new(severity, "it failed", status) });
            (trouble.code, trouble.context)
        };
        let transient = Severity::Transient { retry_after: None };
        assert_eq!(of(None, None, transient), (Code::ConnectFailure, Context::Transport));
        assert_eq!(of(None, Some(404), Severity::Fatal), (Code::Http(404), Context::RemoteFile));
        assert_eq!(of(None, Some(200), Severity::Fatal), (Code::InvalidServerResponse, Context::RemoteFile));
        for way in [Code::NameNotResolved, Code::Timeout, Code::CertificateErrors, Code::ChannelError] {
            assert_eq!(of(Some(way), None, transient), (way, Context::Transport), "{way}");
        }
        let garbled = Code::InvalidServerResponse;
        assert_eq!(of(Some(garbled), None, Severity::Fatal), (garbled, Context::RemoteFile));
    }

    #[test]
    fn err_27_an_answer_that_cannot_be_used_is_trouble_with_the_file_and_says_which() {
        let trouble = Trouble::response("no length".into());
        assert_eq!(
            (trouble.code, trouble.context, trouble.text.as_str()),
            (Code::InvalidServerResponse, Context::RemoteFile, "no length")
        );
    }
}
