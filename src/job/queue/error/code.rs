//! The codes: name, number, class, and two sentences for people, each in one row.
//!
//! Knows: BITS' public numbers, those of Windows for what BITS takes from the system, the classes of HTTP status
//! (HTTP-21, 26). Does not know: who raises a code.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::Class;

/// Text that names no code.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no code of BITS; they look like BG_E_NOT_FOUND or 0x80200001")]
pub struct NotACode(pub String);

macro_rules! codes {
    ($($variant:ident = $number:literal, $class:ident, $name:literal, $text:literal, $advice:literal;)+) => {
        /// What went wrong, or what a success has to say, under BITS' names and numbers. Written as its name.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Code {
            $(#[doc = $text] $variant,)+
            /// The server answered with this status: `BG_E_HTTP_ERROR_404`.
            Http(u16),
        }

        impl Code {
            /// All but those of HTTP, in the order of their numbers at BITS, then those of the system.
            pub const NAMED: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name, as the headers of BITS and of Windows have it.
            #[must_use]
            pub fn name(self) -> Cow<'static, str> {
                match self {
                    $(Self::$variant => Cow::Borrowed($name),)+
                    Self::Http(status) => Cow::Owned(format!("{HTTP_PREFIX}{status}")),
                }
            }

            /// Its number there.
            #[must_use]
            pub fn number(self) -> u32 {
                match self {
                    $(Self::$variant => $number,)+
                    Self::Http(status) => HTTP_NUMBER + u32::from(status),
                }
            }

            /// What it does. A code that can answer a call and end a job has the class of the job's error.
            #[must_use]
            pub const fn class(self) -> Class {
                match self {
                    $(Self::$variant => Class::$class,)+
                    Self::Http(status) => class_of_status(status),
                }
            }

            /// What it means, as one sentence.
            #[must_use]
            pub fn text(self) -> Cow<'static, str> {
                match self {
                    $(Self::$variant => Cow::Borrowed($text),)+
                    Self::Http(status) => Cow::Owned(format!(
                        "The server answered with the status {status}{}.",
                        meaning_of_status(status)
                    )),
                }
            }

            /// What to do about it, as one or two sentences.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self {
                    $(Self::$variant => $advice,)+
                    Self::Http(status) => advice_for_status(status),
                }
            }
        }
    };
}

codes! {
PartialComplete = 0x0020_0017, Ok, "BG_S_PARTIAL_COMPLETE",
    "The files that were whole are delivered; the others were deleted.",
    "Nothing; fetch the missing files with a new job if you need them.";
UnableToDeleteFiles = 0x0020_001A, Ok, "BG_S_UNABLE_TO_DELETE_FILES",
    "The job is over, but some of its temporary files could not be deleted.",
    "Delete the `.part` files beside the destinations by hand.";
ProxyChanged = 0x0020_002A, Ok, "BG_S_PROXY_CHANGED",
    "The proxy settings have changed.",
    "Nothing.";
OverriddenByPolicy = 0x0020_0055, Ok, "BG_S_OVERRIDDEN_BY_POLICY",
    "The value is stored, but a policy of this machine has the last word.",
    "See `nearbits policy show`; ask whoever administers this machine.";
NotFound = 0x8020_0001, Call, "BG_E_NOT_FOUND",
    "There is no such job.",
    "See `nearbits job list`; a job that was completed or cancelled is gone.";
InvalidState = 0x8020_0002, Call, "BG_E_INVALID_STATE",
    "The job's present state does not allow this.",
    "See `nearbits job show`; a job that is over cannot be changed.";
Empty = 0x8020_0003, Call, "BG_E_EMPTY",
    "The job has no files.",
    "Add a file, then resume the job.";
FileNotAvailable = 0x8020_0004, Call, "BG_E_FILE_NOT_AVAILABLE",
    "The error did not arise at a file.",
    "Nothing; the error's context says where it arose.";
ProtocolNotAvailable = 0x8020_0005, Call, "BG_E_PROTOCOL_NOT_AVAILABLE",
    "The error did not arise at a source.",
    "Nothing; the error's context says where it arose.";
DestinationLocked = 0x8020_000D, Waits, "BG_E_DESTINATION_LOCKED",
    "The destination's disk is locked.",
    "Wait until the disk check is over; the job goes on by itself.";
VolumeChanged = 0x8020_000E, Fatal, "BG_E_VOLUME_CHANGED",
    "The destination's disk is not the one the job began on.",
    "Mount the former disk and resume, or cancel the job.";
ErrorInformationUnavailable = 0x8020_000F, Call, "BG_E_ERROR_INFORMATION_UNAVAILABLE",
    "The job has had no error.",
    "Nothing.";
NetworkDisconnected = 0x8020_0010, Waits, "BG_E_NETWORK_DISCONNECTED",
    "This machine has no network.",
    "Connect it; the job goes on by itself.";
MissingFileSize = 0x8020_0011, Fatal, "BG_E_MISSING_FILE_SIZE",
    "The server does not say how long the file is, so its end cannot be told from a cut.",
    "Mark the job as dynamic, or have the server send Content-Length.";
InsufficientHttpSupport = 0x8020_0012, Fatal, "BG_E_INSUFFICIENT_HTTP_SUPPORT",
    "The server does not speak HTTP/1.1 well enough.",
    "Use another server or a mirror.";
InsufficientRangeSupport = 0x8020_0013, Fatal, "BG_E_INSUFFICIENT_RANGE_SUPPORT",
    "The server, or a proxy before it, does not give parts of a file.",
    "Ask for the whole file, or use another server.";
RemoteNotSupported = 0x8020_0014, Call, "BG_E_REMOTE_NOT_SUPPORTED",
    "Jobs cannot be managed from another machine.",
    "Run the command on the machine itself.";
NewOwnerDiffMapping = 0x8020_0015, Call, "BG_E_NEW_OWNER_DIFF_MAPPING",
    "The new owner sees other drives than the former one.",
    "Cancel the job and make a new one.";
NewOwnerNoFileAccess = 0x8020_0016, Call, "BG_E_NEW_OWNER_NO_FILE_ACCESS",
    "The new owner may not use the job's temporary files.",
    "Give the new owner the right to read and write them.";
ProxyListTooLarge = 0x8020_0018, Call, "BG_E_PROXY_LIST_TOO_LARGE",
    "The list of proxies is too long.",
    "Shorten it to 4 000 characters.";
ProxyBypassListTooLarge = 0x8020_0019, Call, "BG_E_PROXY_BYPASS_LIST_TOO_LARGE",
    "The list of hosts without a proxy is too long.",
    "Shorten it to 4 000 characters.";
InvalidServerResponse = 0x8020_001B, Fatal, "BG_E_INVALID_SERVER_RESPONSE",
    "The server's answer breaks the rules of HTTP or is not what was asked for.",
    "Tell whoever runs the server, or use a mirror.";
TooManyFiles = 0x8020_001C, Call, "BG_E_TOO_MANY_FILES",
    "An upload has one file only.",
    "Make one job for each file.";
LocalFileChanged = 0x8020_001D, Fatal, "BG_E_LOCAL_FILE_CHANGED",
    "The local file changed while it was moved.",
    "Leave the file alone and start again.";
SessionNotFound = 0x8020_001F, Log, "BG_E_SESSION_NOT_FOUND",
    "The upload server has forgotten the session.",
    "Nothing; the upload starts again.";
TooLarge = 0x8020_0020, Fatal, "BG_E_TOO_LARGE",
    "This is larger than it may be.",
    "Ask whoever sets the limit, or take less.";
StringTooLong = 0x8020_0021, Call, "BG_E_STRING_TOO_LONG",
    "A text is too long.",
    "Shorten it.";
ClientServerProtocolMismatch = 0x8020_0022, Fatal, "BG_E_CLIENT_SERVER_PROTOCOL_MISMATCH",
    "This machine and the server share no protocol.",
    "Bring one of them up to date.";
ServerExecuteEnable = 0x8020_0023, Fatal, "BG_E_SERVER_EXECUTE_ENABLE",
    "The server would run what is uploaded there.",
    "Tell whoever runs the server.";
NoProgress = 0x8020_0024, Fatal, "BG_E_NO_PROGRESS",
    "Nothing arrived for the whole no-progress timeout.",
    "See the errors before it, mend the cause, then resume.";
UsernameTooLarge = 0x8020_0025, Call, "BG_E_USERNAME_TOO_LARGE",
    "The user name is too long.",
    "Shorten it to 300 characters.";
PasswordTooLarge = 0x8020_0026, Call, "BG_E_PASSWORD_TOO_LARGE",
    "The password is too long.",
    "Shorten it to 65 536 characters.";
InvalidAuthTarget = 0x8020_0027, Call, "BG_E_INVALID_AUTH_TARGET",
    "Credentials are for a server or for a proxy.",
    "Name one of the two.";
InvalidAuthScheme = 0x8020_0028, Call, "BG_E_INVALID_AUTH_SCHEME",
    "There is no such scheme for credentials.",
    "Name one that the command's help lists.";
FileNotFound = 0x8020_0029, Fatal, "BG_E_FILE_NOT_FOUND",
    "A file that the job needs is not there.",
    "Put it back, or cancel the job.";
InvalidRange = 0x8020_002B, Fatal, "BG_E_INVALID_RANGE",
    "A range lies outside the file.",
    "Ask for bytes that the file has.";
OverlappingRanges = 0x8020_002C, Call, "BG_E_OVERLAPPING_RANGES",
    "Two ranges of a file have bytes in common.",
    "Ask for each byte once.";
ConnectFailure = 0x8020_002D, Transient, "BG_E_CONNECT_FAILURE",
    "No connection to the server could be made.",
    "Nothing; it is tried again. See whether the server is up and no firewall is between.";
ConnectionClosed = 0x8020_002E, Transient, "BG_E_CONNECTION_CLOSED",
    "The server ended the connection too early.",
    "Nothing; it is tried again from where it stopped.";
BlockedByPolicy = 0x8020_003E, Waits, "BG_E_BLOCKED_BY_POLICY",
    "A policy allows background jobs no bandwidth at this hour.",
    "Wait for the hour to pass, or make the job foreground.";
InvalidProxyInfo = 0x8020_003F, Fatal, "BG_E_INVALID_PROXY_INFO",
    "The proxy settings cannot be used.",
    "Correct them, then resume.";
InvalidCredentials = 0x8020_0040, Call, "BG_E_INVALID_CREDENTIALS",
    "The credentials have the wrong form.",
    "Correct them.";
InvalidHashAlgorithm = 0x8020_0041, Call, "BG_E_INVALID_HASH_ALGORITHM",
    "There is no such digest algorithm here.",
    "Use one that the command's help lists.";
RecordDeleted = 0x8020_0042, Call, "BG_E_RECORD_DELETED",
    "The cache does not have this record any more.",
    "Nothing.";
CommitInProgress = 0x8020_0043, Call, "BG_E_COMMIT_IN_PROGRESS",
    "The file is just being taken into the cache.",
    "Try again in a moment.";
DiscoveryInProgress = 0x8020_0044, Call, "BG_E_DISCOVERY_IN_PROGRESS",
    "Peers are being looked for already.",
    "Wait until that is done.";
UpnpError = 0x8020_0045, Log, "BG_E_UPNP_ERROR",
    "The gateway did not tell how busy the line is.",
    "Nothing.";
TestOptionBlockedDownload = 0x8020_0046, Log, "BG_E_TEST_OPTION_BLOCKED_DOWNLOAD",
    "A test option forbids the download.",
    "Remove the option.";
PeercachingDisabled = 0x8020_0047, Call, "BG_E_PEERCACHING_DISABLED",
    "Sharing with peers is switched off on this machine.",
    "See `nearbits flags get` and `nearbits policy show`.";
BusyCacheRecord = 0x8020_0048, Call, "BG_E_BUSYCACHERECORD",
    "The record is in use.",
    "Try again in a moment.";
TooManyJobsPerUser = 0x8020_0049, Call, "BG_E_TOO_MANY_JOBS_PER_USER",
    "You have as many jobs as one user may have.",
    "Complete or cancel jobs that you do not need any more; see `nearbits job list`.";
TooManyJobsPerMachine = 0x8020_0050, Call, "BG_E_TOO_MANY_JOBS_PER_MACHINE",
    "This machine has as many jobs as it may have.",
    "Complete or cancel jobs that nobody needs any more.";
TooManyFilesInJob = 0x8020_0051, Call, "BG_E_TOO_MANY_FILES_IN_JOB",
    "The job would have more files than a job may have.",
    "Make several jobs.";
TooManyRangesInFile = 0x8020_0052, Call, "BG_E_TOO_MANY_RANGES_IN_FILE",
    "The file would have more ranges than a file may have.",
    "Join ranges that are neighbours, or fetch the whole file.";
ValidationFailed = 0x8020_0053, Fatal, "BG_E_VALIDATION_FAILED",
    "The file is not what its digest, or the application, says it must be.",
    "Check the digest; if it is right, the server has another file. Resume fetches the file again.";
MaxDownloadTimeout = 0x8020_0054, Fatal, "BG_E_MAXDOWNLOAD_TIMEOUT",
    "The job took longer than it may.",
    "Resume gives it the same time again; or set a longer one.";
TokenRequired = 0x8020_0056, Fatal, "BG_E_TOKEN_REQUIRED",
    "The second identity that the job was lent is gone.",
    "Set it again or clear it, then resume.";
UnknownPropertyId = 0x8020_0057, Call, "BG_E_UNKNOWN_PROPERTY_ID",
    "There is no such property.",
    "See the names in the command's help.";
ReadOnlyProperty = 0x8020_0058, Call, "BG_E_READ_ONLY_PROPERTY",
    "This property cannot be changed.",
    "Make a new job.";
BlockedByCostTransferPolicy = 0x8020_0059, Waits, "BG_E_BLOCKED_BY_COST_TRANSFER_POLICY",
    "The network costs more than the job may spend.",
    "Wait for another network, or allow the job to use this one.";
DownloadJobsOnly = 0x8020_0060, Call, "BG_E_PROPERTY_SUPPORTED_FOR_DOWNLOAD_JOBS_ONLY",
    "Only downloads have this property.",
    "Leave it out.";
ReadOnlyPropertyAfterAddFile = 0x8020_0061, Call, "BG_E_READ_ONLY_PROPERTY_AFTER_ADDFILE",
    "This property can only be set before the job has a file.",
    "Make a new job and set it first.";
ReadOnlyPropertyAfterResume = 0x8020_0062, Call, "BG_E_READ_ONLY_PROPERTY_AFTER_RESUME",
    "This property can only be set before the job is resumed for the first time.",
    "Make a new job and set it first.";
MaxDownloadSizeInvalidValue = 0x8020_0063, Call, "BG_E_MAX_DOWNLOAD_SIZE_INVALID_VALUE",
    "This is no size that a job may be limited to.",
    "Name a size above zero, such as 10GiB, or none.";
MaxDownloadSizeLimitReached = 0x8020_0064, Fatal, "BG_E_MAX_DOWNLOAD_SIZE_LIMIT_REACHED",
    "The job would take more bytes than its limit allows.",
    "Make a new job with a higher --max-size, or without one.";
StandbyMode = 0x8020_0065, Waits, "BG_E_STANDBY_MODE",
    "This machine is in standby.",
    "Nothing; the job goes on when it wakes.";
UseStoredCredentialsNotSupported = 0x8020_0066, Call, "BG_E_USE_STORED_CREDENTIALS_NOT_SUPPORTED",
    "Stored credentials are for proxies only.",
    "Name the proxy as the target.";
BatteryPolicy = 0x8020_0067, Waits, "BG_E_BLOCKED_BY_BATTERY_POLICY",
    "A policy forbids transfers on battery.",
    "Plug this machine in.";
BatterySaver = 0x8020_0068, Waits, "BG_E_BLOCKED_BY_BATTERY_SAVER",
    "This machine saves its battery.",
    "Plug this machine in.";
WatchdogTimeout = 0x8020_0069, Transient, "BG_E_WATCHDOG_TIMEOUT",
    "A part of the node did not answer in time.",
    "Nothing; it is tried again. Report it if it comes back.";
AppPackageNotFound = 0x8020_006A, Call, "BG_E_APP_PACKAGE_NOT_FOUND",
    "The application that the job belongs to is not installed.",
    "Install it, or cancel the job.";
AppPackageScenarioNotSupported = 0x8020_006B, Call, "BG_E_APP_PACKAGE_SCENARIO_NOT_SUPPORTED",
    "An application of this kind cannot do this.",
    "Use another interface.";
DatabaseCorrupt = 0x8020_006C, Log, "BG_E_DATABASE_CORRUPT",
    "The stored jobs cannot be read; they were set aside.",
    "See the log for where they are now.";
RandomAccessNotSupported = 0x8020_006D, Fatal, "BG_E_RANDOM_ACCESS_NOT_SUPPORTED",
    "Parts of this file cannot be asked for in any order.",
    "Fetch the whole file, or use a server that gives ranges.";
BackgroundAccessPolicy = 0x8020_006E, Waits, "BG_E_BLOCKED_BY_BACKGROUND_ACCESS_POLICY",
    "A policy forbids transfers in the background.",
    "Make the job foreground, or wait.";
GameMode = 0x8020_006F, Waits, "BG_E_BLOCKED_BY_GAME_MODE",
    "This machine is kept free for another application.",
    "Wait until that application ends.";
SystemPolicy = 0x8020_0070, Waits, "BG_E_BLOCKED_BY_SYSTEM_POLICY",
    "A policy of the system forbids transfers now.",
    "Wait, or ask whoever administers this machine.";
CustomMethodNotSupported = 0x8020_0071, Call, "BG_E_NOT_SUPPORTED_WITH_CUSTOM_HTTP_METHOD",
    "This does not go together with a method other than GET.",
    "Use one of the two.";
UnsupportedJobConfiguration = 0x8020_0072, Call, "BG_E_UNSUPPORTED_JOB_CONFIGURATION",
    "Two properties of the job do not go together.",
    "Use one of the two; the message names them.";
RemoteFileChanged = 0x8020_0073, Transient, "BG_E_REMOTE_FILE_CHANGED",
    "The file changed at the server again and again while it was fetched.",
    "Name a version that does not change. If the server makes the file for each who asks: a new job with --dynamic.";
CertificateCheckRequired = 0x8020_0074, Transient, "BG_E_SERVER_CERT_VALIDATION_INTERFACE_REQUIRED",
    "Whoever was to check the server's certificate is not there.",
    "Pin the certificate in the job instead.";
ReadOnlyWhenJobActive = 0x8020_0075, Call, "BG_E_READ_ONLY_WHEN_JOB_ACTIVE",
    "This property can only be set while the job is suspended.",
    "Suspend the job, set it, then resume.";
InvalidArgument = 0x8007_0057, Call, "E_INVALIDARG",
    "A value is not one that can be used here.",
    "Correct it; the message says what is wrong.";
AccessDenied = 0x8007_0005, Fatal, "E_ACCESSDENIED",
    "This may not be read, written or asked by you.",
    "Ask for the right, or use another place; then resume.";
NotImplemented = 0x8000_4001, Call, "E_NOTIMPL",
    "There is no such thing here.",
    "Leave it out.";
Pending = 0x8000_000A, Call, "E_PENDING",
    "The file is not whole yet.",
    "Wait until it is.";
DiskFull = 0x8007_0070, Waits, "ERROR_DISK_FULL",
    "The destination's disk is full.",
    "Make space; the job goes on by itself.";
PathNotFound = 0x8007_0003, Fatal, "ERROR_PATH_NOT_FOUND",
    "The destination's folder is not there.",
    "Create it, or let the job create it; then resume.";
FileExists = 0x8007_0050, Fatal, "ERROR_FILE_EXISTS",
    "The destination's name is taken.",
    "Remove that file or allow the job to replace it; then try again.";
IoDevice = 0x8007_045D, Fatal, "ERROR_IO_DEVICE",
    "The disk could not be read or written.",
    "See the system's log; the disk may be broken.";
NameNotResolved = 0x8007_2EE7, Transient, "WININET_E_NAME_NOT_RESOLVED",
    "The server's name has no address now.",
    "Nothing; it is tried again. Check the name for a mistake.";
Timeout = 0x8007_2EE2, Transient, "WININET_E_TIMEOUT",
    "The server did not answer in time.",
    "Nothing; it is tried again.";
CertificateErrors = 0x8007_2F17, Fatal, "WININET_E_SEC_CERT_ERRORS",
    "The server's certificate is not trusted, is not valid now, or is for another name.",
    "Check this machine's clock and authorities; else tell whoever runs the server.";
CertificateRevoked = 0x8007_2F8A, Fatal, "WININET_E_SEC_CERT_REVOKED",
    "The server's certificate was revoked.",
    "Do not trust this server; tell whoever runs it.";
RevocationUnavailable = 0x8007_2F19, Fatal, "WININET_E_SEC_CERT_REV_FAILED",
    "Nobody could tell whether the server's certificate was revoked.",
    "Resume when the authority can be reached, or do not ask for that check.";
ChannelError = 0x8007_2F7D, Fatal, "WININET_E_SECURITY_CHANNEL_ERROR",
    "No encrypted connection with the server could be agreed upon.",
    "Tell whoever runs the server, or use a mirror.";}

const HTTP_PREFIX: &str = "BG_E_HTTP_ERROR_";
/// Added to a status, this is the number of its code (HTTP-26).
const HTTP_NUMBER: u32 = 0x8019_0000;

impl Code {
    /// The HTTP status, if the code is one.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Http(status) => Some(status),
            _ => None,
        }
    }

    /// Whether a job's error count rises with it (JOB-30). Waiting for a condition is nobody's failure (JOB-31).
    #[must_use]
    pub const fn is_counted(self) -> bool {
        matches!(self.class(), Class::Fatal | Class::Transient)
    }

    fn from_number(number: u32) -> Option<Self> {
        let status = number.checked_sub(HTTP_NUMBER).and_then(|status| u16::try_from(status).ok());
        match status.filter(|status| (100..=999).contains(status)) {
            Some(status) => Some(Self::Http(status)),
            None => Self::NAMED.iter().copied().find(|code| code.number() == number),
        }
    }
}

/// The class of a status (HTTP-21, 22, 23); 308 is as final as 301.
const fn class_of_status(status: u16) -> Class {
    match status {
        300..=305 | 307 | 308 | 501 | 505 => Class::Fatal,
        408 | 409 | 425 | 429 => Class::Transient,
        400..=499 => Class::Fatal,
        _ => Class::Transient,
    }
}

const fn meaning_of_status(status: u16) -> &'static str {
    match status {
        300..=399 => ", a redirect that is not followed",
        401 => ": it wants credentials",
        403 => ": it forbids this",
        404 | 410 => ": it does not have this file",
        407 => ": the proxy wants credentials",
        408 => ": it waited too long",
        414 => ": the URL is too long for it",
        416 => ": the file has no such bytes",
        425 | 429 => ": it wants to be asked later",
        501 | 505 => ": it does not support what was asked",
        503 => ": it is too busy",
        504 => ": a server behind it did not answer",
        500..=599 => ": it failed",
        _ => "",
    }
}

const fn advice_for_status(status: u16) -> &'static str {
    match status {
        300..=399 => "Set the file's URL to the redirect's target, or allow redirects; then resume.",
        401 | 407 => "Give the job credentials, then resume.",
        403 => "Ask whoever runs the server for the right to read the file, then resume.",
        404 | 410 => "Correct the file's URL, then resume.",
        _ => match class_of_status(status) {
            Class::Transient => "Nothing; it is tried again.",
            _ => "Correct the file's URL or tell whoever runs the server, then resume.",
        },
    }
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What went wrong, or what a success has to say, under BITS' name."))
            .pattern(Some("^[A-Z][A-Z0-9_]*$"))
            .examples(["BG_E_NOT_FOUND"])
            .into()
    }
}

impl ToSchema for Code {}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl FromStr for Code {
    type Err = NotACode;

    /// Reads a name, with or without `BG_E_`, in letters of either case, or a number as `0x` and hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, NotACode> {
        let name = text.trim().to_ascii_uppercase();
        let no_code = || NotACode(text.to_owned());
        if let Some(digits) = name.strip_prefix("0X") {
            let number = u32::from_str_radix(digits, 16).map_err(|_| no_code())?;
            return Self::from_number(number).ok_or_else(no_code);
        }
        let is_name = |code: &Self| {
            let full = code.name();
            full == name || full.strip_prefix("BG_E_") == Some(&name)
        };
        if let Some(code) = Self::NAMED.iter().copied().find(is_name) {
            return Ok(code);
        }
        let status = name.strip_prefix("BG_E_").unwrap_or(&name).strip_prefix("HTTP_ERROR_");
        let status =
            status.and_then(|status| status.parse().ok()).filter(|status| (100..=999).contains(status));
        status.map(Self::Http).ok_or_else(no_code)
    }
}

impl TryFrom<String> for Code {
    type Error = NotACode;

    fn try_from(text: String) -> Result<Self, NotACode> {
        text.parse()
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.name().into_owned()
    }
}
