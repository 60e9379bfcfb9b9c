//! What went wrong with a job, in BITS' words: codes, classes, contexts, the error that a job carries.
//!
//! Knows: the rules ERR-2, 4, 5 and JOB-29..31, sentences for people. Does not know: what raised an error.

mod code;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use code::{Code, NotACode};

/// What an error of a code does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// No error: success that says something.
    Ok,
    /// The answer to one call; the job goes on as before.
    Call,
    /// The job stands in ERROR until somebody acts.
    Fatal,
    /// The job stands in TRANSIENT_ERROR and is retried after its delay.
    Transient,
    /// The job stands in TRANSIENT_ERROR until a condition ends; its delay plays no role (JOB-26).
    Waits,
    /// Only in the log.
    Log,
}

/// Where an error arose: BITS' `BG_ERROR_CONTEXT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub enum Context {
    /// Nothing went wrong.
    #[serde(rename = "BG_ERROR_CONTEXT_NONE")]
    None,
    /// Nobody knows.
    #[serde(rename = "BG_ERROR_CONTEXT_UNKNOWN")]
    Unknown,
    /// In the node's handling of its jobs.
    #[serde(rename = "BG_ERROR_CONTEXT_GENERAL_QUEUE_MANAGER")]
    QueueManager,
    /// When somebody was told of an event.
    #[serde(rename = "BG_ERROR_CONTEXT_QUEUE_MANAGER_NOTIFICATION")]
    Notification,
    /// At the file on this machine.
    #[serde(rename = "BG_ERROR_CONTEXT_LOCAL_FILE")]
    LocalFile,
    /// At the file its origin has.
    #[serde(rename = "BG_ERROR_CONTEXT_REMOTE_FILE")]
    RemoteFile,
    /// On the way between the two.
    #[serde(rename = "BG_ERROR_CONTEXT_GENERAL_TRANSPORT")]
    Transport,
    /// In the application behind an upload server (ERR-4).
    #[serde(rename = "BG_ERROR_CONTEXT_REMOTE_APPLICATION")]
    RemoteApplication,
    /// When the origin's certificate was checked against the job's pins (HTTP-43).
    #[serde(rename = "BG_ERROR_CONTEXT_SERVER_CERTIFICATE_CALLBACK")]
    ServerCertificate,
}

impl Context {
    /// BITS' number for it.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Unknown => 1,
            Self::QueueManager => 2,
            Self::Notification => 3,
            Self::LocalFile => 4,
            Self::RemoteFile => 5,
            Self::Transport => 6,
            Self::RemoteApplication => 7,
            Self::ServerCertificate => 8,
        }
    }

    /// Where that is, as a part of a sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "nowhere",
            Self::Unknown => "at an unknown place",
            Self::QueueManager => "in the handling of the job",
            Self::Notification => "while somebody was told of it",
            Self::LocalFile => "at the file on this machine",
            Self::RemoteFile => "at the file on the server",
            Self::Transport => "on the way between this machine and the server",
            Self::RemoteApplication => "in the application behind the server",
            Self::ServerCertificate => "while the server's certificate was checked",
        }
    }
}

/// The error that a job carries (ERR-5). The last one stays for the life of the job (JOB-29).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JobError {
    /// What went wrong.
    pub code: Code,
    /// Where.
    pub context: Context,
    /// At which file, from zero, if at one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<u16>,
    /// From which source: scheme, host and port of an origin, or a peer's id. Never a path, a query or a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The HTTP status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// One line for people: what, where, what to do.
    pub message: String,
    /// When it was seen first, in milliseconds of Unix time.
    pub first_unix_ms: i64,
    /// When it was seen last.
    pub last_unix_ms: i64,
    /// How often it was seen in a row; at least one.
    pub count: u32,
    /// When the job is tried again, if a time is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at_unix_ms: Option<i64>,
}

impl JobError {
    /// An error that is seen now, for the first time.
    #[must_use]
    pub const fn new(code: Code, context: Context, message: String, now_unix_ms: i64) -> Self {
        Self {
            code,
            context,
            file: None,
            source: None,
            status: code.status(),
            message,
            first_unix_ms: now_unix_ms,
            last_unix_ms: now_unix_ms,
            count: 1,
            retry_at_unix_ms: None,
        }
    }

    /// This error after the one the job carried: if it is the same code at the same file, it counts on, and keeps the
    /// time when it was seen first.
    #[must_use]
    pub fn following(mut self, earlier: Option<&Self>) -> Self {
        if let Some(same) = earlier.filter(|other| other.code == self.code && other.file == self.file) {
            self.first_unix_ms = same.first_unix_ms;
            self.count = same.count.saturating_add(self.count);
        }
        self
    }
}

/// What is known of a code, for people who met it in a log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// Its name.
    pub code: Code,
    /// Its number, as `0x` and eight hexadecimal digits.
    pub number: String,
    /// What it does to a job.
    pub class: Class,
    /// What it means.
    pub text: String,
    /// What to do.
    pub advice: String,
}

/// Explains a code: its name with or without `BG_E_`, in letters of either case, or its number as `0x` and
/// hexadecimal digits. `None` if there is no such code.
#[must_use]
pub fn explain(code_text: &str) -> Option<Explanation> {
    let code: Code = code_text.parse().ok()?;
    Some(Explanation {
        code,
        number: format!("{:#010x}", code.number()),
        class: code.class(),
        text: code.text().into_owned(),
        advice: code.advice().to_owned(),
    })
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
