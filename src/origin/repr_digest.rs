//! Digests an origin states for the whole representation (RFC 9530, TRUST-11).
//!
//! Knows: which entries of `Repr-Digest` count. Does not know: whether every hop was https (`mod` asks for that).

use std::collections::BTreeMap;

use http::HeaderMap;
use peer_proto::digest::{Algorithm, Digest};

use super::base64;

/// The strong digests of a head, one per algorithm. An entry that is not exactly one byte sequence of the right length
/// does not count; two different ones for one algorithm cancel each other.
pub(super) fn digests(fields: &HeaderMap) -> Vec<Digest> {
    let mut found: BTreeMap<Algorithm, Option<Digest>> = BTreeMap::new();
    for value in fields.get_all("repr-digest") {
        let Ok(text) = value.to_str() else { continue };
        for entry in text.split(',') {
            let Some((name, item)) = entry.trim().split_once('=') else { continue };
            let Some(algorithm) = algorithm(name) else { continue };
            let digest = item
                .strip_prefix(':')
                .and_then(|item| item.strip_suffix(':'))
                .and_then(base64::decode)
                .and_then(|bytes| Digest::new(algorithm, bytes).ok());
            found
                .entry(algorithm)
                .and_modify(|earlier| {
                    if *earlier != digest {
                        *earlier = None;
                    }
                })
                .or_insert(digest);
        }
    }
    found.into_values().flatten().collect()
}

fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "sha-256" => Some(Algorithm::Sha256),
        "sha-384" => Some(Algorithm::Sha384),
        "sha-512" => Some(Algorithm::Sha512),
        "blake3" => Some(Algorithm::Blake3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Vec<String> {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append("repr-digest", value.parse().unwrap());
        }
        digests(&fields).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn trust_11_only_whole_strong_digests_count() {
        let item = |byte: u8, len: usize| format!(":{}:", base64::encode(&vec![byte; len]));
        let (short, long) = (item(7, 32), item(9, 64));
        let sha256 = format!("sha256:{}", "07".repeat(32));
        let sha512 = format!("sha512:{}", "09".repeat(64));
        assert_eq!(read(&[&format!("sha-256={short}")]), std::slice::from_ref(&sha256));
        assert_eq!(read(&[&format!("sha-512={long}, sha-256={short}")]), [sha256.clone(), sha512.clone()]);
        assert_eq!(read(&[&format!("sha-256={short}"), &format!("sha-256={short}")]), [sha256]);
        for text in [
            format!("sha-256={}", item(7, 31)),
            format!("sha-256={long}"),
            format!("sha-256={short};q=1"),
            format!("SHA-256={short}"),
            format!("sha-256={}", short.trim_matches(':')),
            format!("md5={}", item(1, 16)),
            format!("sha={}", item(1, 20)),
            format!("sha-256={short}, sha-256={}", item(8, 32)),
            "sha-256".to_owned(),
            String::new(),
        ] {
            assert_eq!(read(&[&text]), Vec::<String>::new(), "{text}");
        }
    }
}
