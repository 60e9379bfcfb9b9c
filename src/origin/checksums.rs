//! What a publisher's list of checksums says of one file: `SHA256SUMS` and its kin, or a Metalink (RFC 5854).
//!
//! Knows: how such lists are written, and that one counts only if every hop was https (TRUST-11). Does not know: what is
//! done with a digest.

use std::collections::BTreeSet;

use peer_proto::digest::{Algorithm, Digest};
use percent_encoding::percent_decode_str;
use url::Url;

use super::{Origin, OriginError, OriginSpan};

/// Bytes of a list at most.
const LIST_LEN_MAX: usize = 8 * 1024 * 1024;
/// Digests of one file that are taken.
const DIGESTS_MAX: usize = 8;
/// Depth is bounded by the parser; so many elements of a Metalink are looked at.
const NODES_MAX: u32 = 200_000;

/// Why a list of checksums names no digest.
#[derive(Debug, thiserror::Error)]
pub enum ChecksumError {
    /// It could not be had.
    #[error("the checksums at {place}: {}; `nearbits job set --digest` names the digest without them", source.fault())]
    Origin {
        /// The list's URL without its query.
        place: String,
        /// What the origin, or the way to it, said.
        source: OriginError,
    },
    /// Some hop was not https: whoever is on the way could have written it.
    #[error(
        "the checksums at {place} did not come over https all the way, so they prove nothing; name an https URL"
    )]
    Insecure {
        /// The list's URL without its query.
        place: String,
    },
    /// More than 8 MiB.
    #[error("the checksums at {place} are longer than 8 MiB; name the list itself")]
    TooLong {
        /// The list's URL without its query.
        place: String,
    },
    /// It names nothing for this file.
    #[error(
        "the checksums at {place} have no SHA-256, SHA-384, SHA-512 or BLAKE3 digest of {name}; see how it is called there"
    )]
    NotListed {
        /// The list's URL without its query.
        place: String,
        /// The file's name.
        name: String,
    },
    /// It names two different digests of one algorithm for files of this name.
    #[error("the checksums at {place} name different files {name}; give the digest itself")]
    Ambiguous {
        /// The list's URL without its query.
        place: String,
        /// The file's name.
        name: String,
    },
}

impl Origin {
    /// The digests that a publisher's list names for the file of a URL.
    ///
    /// # Errors
    /// [`ChecksumError`].
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection it was using.
    pub async fn checksums(&self, list: &Url, file: &Url) -> Result<Vec<Digest>, ChecksumError> {
        let place = format!("{}{}", super::url::place(list), list.path());
        let failed = |source| ChecksumError::Origin { place: place.clone(), source };
        let answer = self.probe(list).await.map_err(failed)?;
        if !answer.secure {
            return Err(ChecksumError::Insecure { place });
        }
        // Under the version that was just seen over https: nothing else is taken for it.
        let mut body = self.open(list, OriginSpan::Whole, Some(&answer.version)).await.map_err(failed)?;
        let mut bytes = Vec::new();
        while let Some(part) = body.next().await.map_err(failed)? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LIST_LEN_MAX {
                return Err(ChecksumError::TooLong { place });
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let name = name_of(file);
        let list_name = name_of(list);
        match digests(&text, &list_name, file) {
            Found::These(digests) => Ok(digests),
            Found::Nothing => Err(ChecksumError::NotListed { place, name }),
            Found::Different => Err(ChecksumError::Ambiguous { place, name }),
        }
    }
}

/// What a list says of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Found {
    These(Vec<Digest>),
    Nothing,
    /// Two of one algorithm.
    Different,
}

/// The last part of a URL's path, as people read it.
fn name_of(url: &Url) -> String {
    let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    percent_decode_str(last).decode_utf8_lossy().into_owned()
}

/// What a list says of a file: of those that have its name, the ones whose path the URL's ends with, if any does.
fn digests(text: &str, list_name: &str, file: &Url) -> Found {
    let path = percent_decode_str(file.path()).decode_utf8_lossy().into_owned();
    let name = name_of(file);
    let listed = if is_metalink(text) { metalink(text) } else { lines(text, list_name, &name) };
    let is_its_name = |listed: &str| listed.rsplit(['/', '\\']).next() == Some(name.as_str());
    let named: Vec<(String, Digest)> = listed.into_iter().filter(|(listed, _)| is_its_name(listed)).collect();
    let is_its_path = |listed: &str| {
        let listed = listed.trim_start_matches("./");
        listed.contains('/') && path.ends_with(&format!("/{listed}"))
    };
    let exact: Vec<&(String, Digest)> = named.iter().filter(|(listed, _)| is_its_path(listed)).collect();
    // A path that is another one's names another file.
    let is_bare = |listed: &str| !listed.trim_start_matches("./").contains(['/', '\\']);
    let bare = named.iter().filter(|(listed, _)| is_bare(listed));
    let chosen: Vec<&(String, Digest)> = if exact.is_empty() { bare.collect() } else { exact };
    let distinct: BTreeSet<&Digest> = chosen.iter().map(|(_, digest)| digest).collect();
    let algorithms: BTreeSet<Algorithm> = distinct.iter().map(|digest| digest.algorithm()).collect();
    match distinct.len() {
        0 => Found::Nothing,
        count if count > algorithms.len() => Found::Different,
        _ => Found::These(distinct.into_iter().take(DIGESTS_MAX).cloned().collect()),
    }
}

/// `HEX  name`, `HEX *name`, `SHA256 (name) = HEX`, or one line with nothing but digits, which are of the file asked for.
/// Other lines, such as those of a signature around the list, say nothing.
fn lines(text: &str, list_name: &str, name: &str) -> Vec<(String, Digest)> {
    let mut found = Vec::new();
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        if let Some((head, hex)) = line.rsplit_once(") = ")
            && let Some((algorithm, listed)) = head.split_once(" (")
        {
            let digest =
                algorithm_named(algorithm).and_then(|named| Digest::from_hex(named, hex.trim()).ok());
            found.extend(digest.map(|digest| (listed.to_owned(), digest)));
            continue;
        }
        let (hex, listed) = match line.split_once(' ') {
            Some((hex, rest)) => (hex, rest.strip_prefix([' ', '*']).unwrap_or(rest).trim_start()),
            None => (line, ""),
        };
        let Some(digest) = by_length(hex, list_name) else { continue };
        let listed = if listed.is_empty() { name } else { listed };
        found.push((listed.to_owned(), digest));
    }
    found
}

/// The digest that so many digits make. 64 of them are SHA-256, unless the list calls itself one of BLAKE3.
fn by_length(hex: &str, list_name: &str) -> Option<Digest> {
    let list_name = list_name.to_ascii_lowercase();
    let says = |word: &str| list_name.contains(word);
    let is_blake3 = !says("sha256") && (says("b3sum") || says("blake3") || list_name.ends_with(".b3"));
    let algorithm = match hex.len() {
        64 if is_blake3 => Algorithm::Blake3,
        64 => Algorithm::Sha256,
        96 => Algorithm::Sha384,
        128 => Algorithm::Sha512,
        _ => return None,
    };
    Digest::from_hex(algorithm, hex).ok()
}

fn algorithm_named(name: &str) -> Option<Algorithm> {
    match name.to_ascii_lowercase().as_str() {
        "sha256" | "sha-256" => Some(Algorithm::Sha256),
        "sha384" | "sha-384" => Some(Algorithm::Sha384),
        "sha512" | "sha-512" => Some(Algorithm::Sha512),
        "blake3" => Some(Algorithm::Blake3),
        _ => None,
    }
}

fn is_metalink(text: &str) -> bool {
    let start = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    start.starts_with('<') && text.contains("urn:ietf:params:xml:ns:metalink")
}

/// Every hash of every file in a Metalink 4. Text that is no XML says nothing.
fn metalink(text: &str) -> Vec<(String, Digest)> {
    let options =
        roxmltree::ParsingOptions { nodes_limit: NODES_MAX, ..roxmltree::ParsingOptions::default() };
    let Ok(document) = roxmltree::Document::parse_with_options(text, options) else { return Vec::new() };
    let files =
        document.descendants().filter(|node| node.has_tag_name(("urn:ietf:params:xml:ns:metalink", "file")));
    let hash = |file: roxmltree::Node<'_, '_>| -> Vec<(String, Digest)> {
        let name = file.attribute("name").unwrap_or_default();
        // Those of pieces stand in an element of their own.
        let hashes = file.children().filter(|node| node.tag_name().name() == "hash");
        hashes
            .filter_map(|node| {
                let algorithm = algorithm_named(node.attribute("type")?)?;
                let digest = Digest::from_hex(algorithm, node.text()?.trim()).ok()?;
                Some((name.to_owned(), digest))
            })
            .collect()
    };
    files.flat_map(hash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn found(text: &str, list: &str, file: &str) -> Found {
        digests(text, list, &Url::parse(file).expect("a URL"))
    }

    fn these(algorithm: Algorithm, hex: &str) -> Found {
        Found::These(vec![Digest::from_hex(algorithm, hex).expect("a digest")])
    }

    #[test]
    fn trust_11_lists_of_gnu_and_bsd_name_the_file_by_its_name() {
        let file = "https://example.org/pool/u.iso";
        let sha256 = these(Algorithm::Sha256, A);
        for text in [
            format!("{B}  other.iso\n{A}  u.iso\n"),
            format!("{A} *u.iso\r\n{B} *u.iso.sig\r\n"),
            format!("{A}  ./pool/u.iso\n"),
            format!("SHA256 (u.iso) = {A}\nMD5 (u.iso) = 00\n"),
            format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{A}  u.iso\n-----BEGIN PGP SIGNATURE-----\n"
            ),
            format!("{}\n", A.to_uppercase()),
            A.to_owned(),
        ] {
            assert_eq!(found(&text, "SHA256SUMS", file), sha256, "{text}");
        }
        assert_eq!(found(&format!("{A}  u.iso"), "B3SUMS", file), these(Algorithm::Blake3, A));
        assert_eq!(found(&format!("{A}  u.iso"), "u-3.14.0b3.iso.sha256", file), sha256);
        let long = A.repeat(2);
        assert_eq!(found(&format!("{long}  u.iso"), "SHA512SUMS", file), these(Algorithm::Sha512, &long));
        assert_eq!(found(&format!("{A}  \u{e4} b.iso"), "x", "https://example.org/%C3%A4%20b.iso"), sha256);
    }

    #[test]
    fn trust_11_weak_and_broken_digests_and_other_names_say_nothing() {
        let file = "https://example.org/u.iso";
        let md5 = &A[..32];
        for text in [
            String::new(),
            format!("{md5}  u.iso"),
            format!("{}  u.iso", &A[..40]),
            format!("{A}  v.iso"),
            format!("{A}  u.iso.sig"),
            format!("z{}  u.iso", &A[1..]),
            format!("SHA1 (u.iso) = {}", &A[..40]),
            "<html>404</html>".to_owned(),
        ] {
            assert_eq!(found(&text, "SHA256SUMS", file), Found::Nothing, "{text}");
        }
    }

    #[test]
    fn trust_11_two_files_of_one_name_are_told_apart_by_their_paths_or_not_at_all() {
        let text = format!("{A}  stable/u.iso\n{B}  testing/u.iso\n");
        let of = |file| found(&text, "SHA256SUMS", file);
        assert_eq!(of("https://example.org/stable/u.iso"), these(Algorithm::Sha256, A));
        assert_eq!(of("https://example.org/testing/u.iso"), these(Algorithm::Sha256, B));
        assert_eq!(of("https://example.org/u.iso"), Found::Nothing, "neither is this one");
        let beside = format!("{A}  u.iso\n{B}  sub/u.iso\n");
        assert_eq!(found(&beside, "x", "https://example.org/pool/u.iso"), these(Algorithm::Sha256, A));
        let different = format!("{A}  u.iso\n{B}  u.iso\n");
        assert_eq!(found(&different, "x", "https://example.org/u.iso"), Found::Different);
        let twice = format!("{A}  u.iso\n{A}  u.iso\n");
        assert_eq!(found(&twice, "x", "https://example.org/u.iso"), these(Algorithm::Sha256, A));
    }

    #[test]
    fn trust_11_a_metalink_names_a_file_by_every_strong_hash_and_its_pieces_do_not_count() {
        let text = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
            <metalink xmlns="urn:ietf:params:xml:ns:metalink">
              <file name="other.iso"><hash type="sha-256">{B}</hash></file>
              <file name="u.iso"><size>7</size><hash type="md5">00</hash><hash type="sha-256"> {A} </hash>
                <hash type="sha-512">{}</hash>
                <pieces length="4" type="sha-256"><hash>{B}</hash></pieces>
                <url>https://mirror.example.org/u.iso</url></file>
            </metalink>"#,
            A.repeat(2)
        );
        let wanted = [(Algorithm::Sha256, A.to_owned()), (Algorithm::Sha512, A.repeat(2))];
        let wanted = wanted.map(|(algorithm, hex)| Digest::from_hex(algorithm, &hex).expect("a digest"));
        assert_eq!(found(&text, "u.meta4", "https://example.org/u.iso"), Found::These(wanted.to_vec()));
        assert_eq!(found(&text[..400], "u.meta4", "https://example.org/u.iso"), Found::Nothing, "cut off");
    }
}
