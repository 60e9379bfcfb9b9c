//! Values as people write and read them.
//!
//! Knows: flags, digests, ranges, events, header lines. Does not know: which command they belong to.

use std::num::NonZeroU64;

use peer_proto::digest::{Algorithm, Digest};

use super::args::Ranges;
use crate::control::api::{FlagsShown, Header, Headers, NotifyFlags, PeerFlags, RemoteRange};

/// The place of a file in its job.
pub(super) fn parse_index(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "files are named by their place in the job, a number from 0".to_owned())
}

/// Reads `client`, `server`, both with a comma, or `none`.
pub(super) fn parse_flags(text: &str) -> Result<PeerFlags, String> {
    let mut flags = PeerFlags::NONE;
    if text == "none" {
        return Ok(flags);
    }
    for name in text.split(',') {
        match name.trim() {
            "client" => flags.client = true,
            "server" => flags.server = true,
            _ => return Err(format!("{text:?} are no flags: client, server, client,server or none")),
        }
    }
    Ok(flags)
}

/// What to do about flags that do not allow what somebody wants.
pub(super) const fn flags_remedy(flags: FlagsShown) -> &'static str {
    if flags.code.is_some() {
        "a policy says so, see `nearbits policy show`"
    } else {
        "`nearbits flags set client,server`"
    }
}

/// The way [`parse_flags`] reads them.
pub(super) fn flags_text(flags: PeerFlags) -> String {
    match (flags.client, flags.server) {
        (true, true) => "client,server",
        (true, false) => "client",
        (false, true) => "server",
        (false, false) => "none",
    }
    .into()
}

/// Reads `algorithm:hex`, or plain hexadecimal digits of SHA-256, SHA-384 or SHA-512, told apart by how many they are.
pub(super) fn parse_digest(text: &str) -> Result<Digest, String> {
    let text = text.trim();
    if text.contains(':') {
        return Digest::try_from(text.to_lowercase()).map_err(|error| error.to_string());
    }
    let algorithm = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512]
        .into_iter()
        .find(|algorithm| algorithm.len() * 2 == text.len());
    let algorithm = algorithm.ok_or_else(|| {
        let count = text.chars().count();
        let which = "write the 64 of a SHA-256, or ALGORITHM:HEX (sha256, sha384, sha512, blake3)";
        format!("a digest of {count} digits: {which}")
    })?;
    Digest::from_hex(algorithm, text).map_err(|error| error.to_string())
}

/// Reads ranges as `offset:length` with commas between; the length may be `eof`.
pub(super) fn parse_ranges(text: &str) -> Result<Ranges, String> {
    let bad = |part: &str| {
        format!("{part:?} is no range: write OFFSET:LENGTH in bytes, or OFFSET:eof, with commas between")
    };
    let parse = |part: &str| {
        let (offset, len) = part.trim().split_once(':').ok_or_else(|| bad(part))?;
        let offset = offset.parse().map_err(|_| bad(part))?;
        let len = match len {
            "eof" => None,
            len => Some(len.parse::<NonZeroU64>().map_err(|_| bad(part))?),
        };
        Ok(RemoteRange { offset, len })
    };
    text.split(',').map(parse).collect::<Result<Vec<_>, String>>().map(Ranges)
}

/// Reads names of events with commas between, `none`, or BITS' number (NOTIFY-1).
pub(super) fn parse_notify(text: &str) -> Result<NotifyFlags, String> {
    if let Ok(number) = text.parse() {
        let bad = || format!("{number} has a flag that does not exist: BITS' number is 0 to 63");
        return NotifyFlags::from_number(number).ok_or_else(bad);
    }
    if text == "none" {
        return Ok(NotifyFlags { disable: true, ..nothing() });
    }
    let mut flags = nothing();
    for name in text.split(',') {
        match name.trim() {
            "transferred" => flags.job_transferred = true,
            "error" => flags.job_error = true,
            "changed" => flags.job_modification = true,
            "file" => flags.file_transferred = true,
            "ranges" => flags.file_ranges_transferred = true,
            name => {
                return Err(format!(
                    "{name:?} is no event: transferred, error, changed, file, ranges, none, or BITS' number"
                ));
            }
        }
    }
    Ok(flags)
}

/// The way [`parse_notify`] reads them.
pub(super) fn notify_text(flags: NotifyFlags) -> String {
    if flags.disable {
        return "none".into();
    }
    let names = [
        ("transferred", flags.job_transferred),
        ("error", flags.job_error),
        ("changed", flags.job_modification),
        ("file", flags.file_transferred),
        ("ranges", flags.file_ranges_transferred),
    ];
    let names: Vec<&str> = names.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
    if names.is_empty() { "none".into() } else { names.join(",") }
}

const fn nothing() -> NotifyFlags {
    NotifyFlags {
        job_transferred: false,
        job_error: false,
        disable: false,
        job_modification: false,
        file_transferred: false,
        file_ranges_transferred: false,
    }
}

/// Reads header lines, one `Name: value` a line; empty lines are left out. The error names the line, never what it says.
pub(super) fn parse_headers(text: &str) -> Result<Headers, String> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let header = |(number, line): (u32, &str)| {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("line {number} is no header line: write it as Name: value"))?;
        Ok(Header { name: name.trim().to_owned(), value: value.trim().to_owned() })
    };
    lines.map(header).collect::<Result<Vec<_>, String>>().map(Headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_they_are_written() {
        for text in ["none", "client", "server", "client,server"] {
            assert_eq!(parse_flags(text).map(flags_text).expect("flags"), text);
        }
        for text in ["", "both", "client;server", "client,", "Client"] {
            assert!(parse_flags(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_digest_without_a_name_is_told_by_its_length() {
        for (digits, name) in [(64, "sha256"), (96, "sha384"), (128, "sha512")] {
            let hex = "aB".repeat(digits / 2);
            assert_eq!(
                parse_digest(&hex).expect("a digest").to_string(),
                format!("{name}:{}", hex.to_lowercase())
            );
        }
        let blake3 = format!("BLAKE3:{}", "C1".repeat(32));
        assert_eq!(parse_digest(&blake3).expect("a digest").algorithm(), Algorithm::Blake3);
        for text in ["", "aa", &"zz".repeat(32), "md5:aa", &"a".repeat(65)] {
            assert!(parse_digest(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cli_3_ranges_are_read_as_bitsadmin_has_them() {
        let range = |offset, len| RemoteRange { offset, len: NonZeroU64::new(len) };
        assert_eq!(parse_ranges("0:4, 10:eof"), Ok(Ranges(vec![range(0, 4), range(10, 0)])));
        for text in ["", "0", "0:0", "a:1", "1:-1", "0:4,,5:1", "0:EOF", "0:4;5:1"] {
            assert!(parse_ranges(text).is_err(), "{text}");
        }
    }

    #[test]
    fn events_are_read_as_they_are_written_and_by_number() {
        for text in ["none", "transferred,error", "changed", "transferred,error,changed,file,ranges"] {
            assert_eq!(parse_notify(text).map(notify_text).expect("events"), text);
        }
        assert_eq!(parse_notify("3"), Ok(NotifyFlags::default()));
        assert_eq!(parse_notify("4").map(notify_text).expect("events"), "none");
        for text in ["", "64", "all", "error,"] {
            assert!(parse_notify(text).is_err(), "{text}");
        }
    }

    #[test]
    fn http_36_a_bad_header_line_is_named_by_its_place_and_not_shown() {
        let read = parse_headers("X-One: a: b\n\nX-Two:c\r\n").expect("header lines");
        let read: Vec<(&str, &str)> = read.0.iter().map(|line| (&*line.name, &*line.value)).collect();
        assert_eq!(read, [("X-One", "a: b"), ("X-Two", "c")]);
        let error = parse_headers("X-One: a\nsecret\n").expect_err("no header");
        assert!(error.contains("line 2") && !error.contains("secret"), "{error}");
    }
}
