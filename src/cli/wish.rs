//! What a `get` asks for, read from its command line.
//!
//! Knows: how URL, digests, destination and rate are written. Does not know: nodes.

use std::path::{Path, PathBuf};

use peer_proto::digest::{Algorithm, Digest};

use super::amount;
use super::args::GetArgs;
use super::exit::Stop;
use super::place;
use crate::control::api::{Ask, Existing, JobSpec, PeerFlags, Priority, Rates, TrustFloor};
use crate::node::parse_url;

/// The job a `get` hands in.
pub(super) fn spec(args: &GetArgs) -> Result<JobSpec, Stop> {
    parse_url(&args.url).map_err(|error| Stop::usage(error.to_string()))?;
    let limit = args.limit.as_deref().map(amount::parse_rate).transpose().map_err(Stop::usage)?;
    let destination = match &args.output {
        Some(path) => destination(&args.url, path)?,
        None => destination(&args.url, Path::new("."))
            .map_err(|stop| Stop::usage(format!("{} (-o PATH)", stop.line)))?,
    };
    Ok(JobSpec {
        flags: if args.no_peers { PeerFlags::NONE } else { PeerFlags::BOTH },
        trust: args.trust,
        shareable: args.shareable,
        ask: args.ask,
        priority: Priority::Foreground,
        auto_complete: true,
        rates: Rates { total: limit, ..Rates::default() },
        existing: if args.overwrite { Existing::Replace } else { Existing::Refuse },
        // Somebody waits: tries are no further apart than they must be (LIM-1).
        retry_delay_s: 5,
        ..file_spec(args, destination)?
    })
}

fn file_spec(args: &GetArgs, destination: PathBuf) -> Result<JobSpec, Stop> {
    let mut spec = JobSpec::for_file(args.url.as_str(), destination).named_by(digests(args)?);
    spec.files.iter_mut().for_each(|file| file.digest_from.clone_from(&args.digest_from));
    Ok(spec)
}

fn digests(args: &GetArgs) -> Result<Vec<Digest>, Stop> {
    let given = [
        ("--blake3", Algorithm::Blake3, &args.blake3),
        ("--sha256", Algorithm::Sha256, &args.sha256),
        ("--sha384", Algorithm::Sha384, &args.sha384),
        ("--sha512", Algorithm::Sha512, &args.sha512),
    ];
    given
        .into_iter()
        .filter_map(|(flag, algorithm, text)| Some((flag, algorithm, text.as_deref()?)))
        .map(|(flag, algorithm, text)| {
            Digest::from_hex(algorithm, text.trim()).map_err(|error| Stop::usage(format!("{flag}: {error}")))
        })
        .collect()
}

/// Where the file goes: the named file, or the URL's last part in the named folder.
pub(super) fn destination(url: &str, named: &Path) -> Result<PathBuf, Stop> {
    if named.as_os_str().is_empty() {
        return Err(Stop::usage("the destination is empty: name a file or a folder"));
    }
    if !named.is_dir() && !named.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return place::absolute(named);
    }
    let name = name_in(url).ok_or_else(|| {
        Stop::usage("the URL does not end in a file name: name the file it goes to, not only a folder")
    })?;
    place::absolute(&named.join(name))
}

/// The last part of a URL's path, if it is a plain file name. A server's idea of a name is never asked for.
fn name_in(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let last = url.path_segments()?.next_back()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+~=@,()".contains(&byte);
    let is_plain = !last.is_empty()
        && last.len() <= 200
        && last.bytes().all(plain)
        && !last.starts_with(['.', '-', '~']);
    is_plain.then(|| last.to_owned())
}

/// The first line of a `get`: from where bytes may come, and why.
pub(super) fn first_line(spec: &JobSpec) -> String {
    if !spec.flags.client {
        return "peers are off for this job: every byte comes from the origin".into();
    }
    let who = match spec.ask {
        Ask::Link | Ask::Members if spec.group.is_some() => "members of the one group",
        Ask::Link => "strangers on this link",
        Ask::Members => "members of this machine's group",
        Ask::Nobody => return "as `--ask none` says, every byte comes from the origin".into(),
    };
    let file = spec.files.first();
    let is_named = file.is_some_and(|file| !file.digests.is_empty() || file.digest_from.is_some());
    match spec.trust {
        TrustFloor::Origin => return "as `--trust origin` says, every byte comes from the origin".into(),
        TrustFloor::Digest if !is_named => {
            return "no digest given, and `--trust digest`: bytes come from the origin, unless it states a digest".into();
        }
        TrustFloor::Auto
        | TrustFloor::AttestedTwice
        | TrustFloor::AttestedByThree
        | TrustFloor::AttestedByFour
        | TrustFloor::AttestedByFive
        | TrustFloor::Digest => {}
    }
    match file.and_then(|file| file.digests.first()) {
        None if file.is_some_and(|file| file.digest_from.is_some()) => {
            format!(
                "{who} may be asked too, by an id that does not tell the listed digest: every byte is proved"
            )
        }
        None => {
            "no digest given: bytes come from the origin, or on an attestor's word from this machine's group \
                 (--sha256, --blake3 or --digest-from let neighbours help)"
                .into()
        }
        Some(digest) => format!(
            "{who} may be asked too, by an id that does not tell the {} digest: every byte is proved",
            digest.algorithm()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_goes_by_the_digest_and_by_the_floor() {
        let digest = Digest::new(Algorithm::Sha256, vec![7; 32]).expect("32 bytes");
        let line = |trust, digests: &[Digest], list: Option<&str>| {
            let mut spec =
                JobSpec::for_file("https://a.test/b", PathBuf::from("/b")).named_by(digests.to_vec());
            spec.files[0].digest_from = list.map(str::to_owned);
            (spec.trust, spec.flags) = (trust, PeerFlags::BOTH);
            first_line(&spec)
        };
        let list = Some("https://a.test/SHA256SUMS");
        for (floor, digests, list, says) in [
            (TrustFloor::Auto, &[digest.clone()][..], None, "sha256 digest: every byte is proved"),
            (TrustFloor::Auto, &[], list, "the listed digest"),
            (TrustFloor::Auto, &[], None, "an attestor's word"),
            (TrustFloor::AttestedTwice, &[], None, "an attestor's word"),
            (TrustFloor::Digest, &[digest.clone()][..], None, "strangers on this link"),
            (TrustFloor::Digest, &[], list, "strangers on this link"),
            (TrustFloor::Digest, &[], None, "bytes come from the origin, unless"),
            (TrustFloor::Origin, &[digest.clone()][..], None, "every byte comes from the origin"),
        ] {
            let line = line(floor, digests, list);
            assert!(line.contains(says), "{line}");
        }
    }

    #[test]
    fn lookup_5_the_first_line_says_who_is_asked() {
        let digest = Digest::new(Algorithm::Sha256, vec![7; 32]).expect("32 bytes");
        for (ask, says) in [
            (Ask::Link, "strangers on this link may be asked"),
            (Ask::Members, "members of this machine's group may be asked"),
            (Ask::Nobody, "as `--ask none` says, every byte comes from the origin"),
        ] {
            let spec =
                JobSpec::for_file("https://a.test/b", PathBuf::from("/b")).named_by(vec![digest.clone()]);
            let line = first_line(&JobSpec { ask, flags: PeerFlags::BOTH, ..spec });
            assert!(line.starts_with(says), "{line}");
        }
    }

    #[test]
    fn the_file_is_named_by_the_url_only_where_that_is_safe() {
        for (url, name) in [
            ("http://a.test/b/update-1.2.msi", Some("update-1.2.msi")),
            ("http://a.test/b/file.deb?sig=1#x", Some("file.deb")),
            ("http://a.test/b/../c", Some("c")),
            ("http://a.test/", None),
            ("http://a.test", None),
            ("http://a.test/b/", None),
            ("http://a.test/.ssh", None),
            ("http://a.test/-rf", None),
            ("http://a.test/a%2fb", None),
            ("http://a.test/a%00", None),
        ] {
            assert_eq!(name_in(url).as_deref(), name, "{url}");
        }
        let long = format!("http://a.test/{}", "a".repeat(201));
        assert_eq!(name_in(&long), None);
    }
}
