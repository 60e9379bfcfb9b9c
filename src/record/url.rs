//! One spelling for each URL (ATTEST-4), so that two jobs that mean the same file say the same name.
//!
//! Knows: how a URL is written canonically. Does not know: which URLs may be asked (`origin`).

use std::fmt;
use std::fmt::Write as _;

/// A URL in its canonical spelling: scheme and host in lower case, host in IDNA ASCII, default port and fragment
/// dropped, dot segments resolved, escapes of unreserved characters decoded, all others in upper case, a stray percent sign escaped.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CanonicalUrl(String);

/// Why a text has no canonical URL.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlFault {
    /// It cannot be read as an absolute URL.
    #[error("not an absolute URL: {0}")]
    Malformed(url::ParseError),
    /// Only http and https name files here.
    #[error("the scheme is neither http nor https")]
    Scheme,
    /// Names and passwords do not belong into URLs.
    #[error("a URL with a user name or a password is refused")]
    UserInfo,
}

impl CanonicalUrl {
    /// The canonical spelling of a URL.
    ///
    /// # Errors
    /// [`UrlFault`] if it is no absolute http or https URL, or names a user.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let mut url = url::Url::parse(text).map_err(UrlFault::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlFault::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::UserInfo);
        }
        url.set_fragment(None);
        let mut canonical = url[..url::Position::BeforePath].to_string();
        push_escapes(&mut canonical, url.path());
        if let Some(query) = url.query() {
            canonical.push('?');
            push_escapes(&mut canonical, query);
        }
        Ok(Self(canonical))
    }

    /// The spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CanonicalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn push_escapes(into: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        into.push_str(&rest[..at]);
        rest = &rest[at..];
        let escaped = rest.get(1..3).and_then(peer_proto::digest::bytes_from_hex);
        let Some(&[byte]) = escaped.as_deref() else {
            into.push_str("%25");
            rest = &rest[1..];
            continue;
        };
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(into, "%{byte:02X}");
        }
        rest = &rest[3..];
    }
    into.push_str(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> String {
        CanonicalUrl::parse(text).expect("a good URL").as_str().into()
    }

    #[test]
    fn attest_4_one_spelling_for_each_url() {
        for (text, expected) in [
            ("HTTP://EXAMPLE.org:80/a/../b/./c#top", "http://example.org/b/c"),
            ("https://example.org:443", "https://example.org/"),
            ("https://example.org:8443/x", "https://example.org:8443/x"),
            ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
            ("https://example.org/%7euser/%2f%2F?q=%41%2b", "https://example.org/~user/%2F%2F?q=A%2B"),
            ("https://example.org/a%2Eb/%2e%2E/c", "https://example.org/c"),
            ("https://example.org/100%", "https://example.org/100%25"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
        assert_eq!(CanonicalUrl::parse("https://me:pw@example.org/"), Err(UrlFault::UserInfo));
        assert_eq!(CanonicalUrl::parse("file:///etc/passwd"), Err(UrlFault::Scheme));
        assert!(matches!(CanonicalUrl::parse("/a"), Err(UrlFault::Malformed(_))));
    }

    proptest! {
        #[test]
        fn attest_4_is_idempotent(path in "[a-zA-Z0-9/.%~ äß+&=?-]{0,40}") {
            if let Ok(once) = CanonicalUrl::parse(&format!("https://Example.org/{path}")) {
                prop_assert_eq!(CanonicalUrl::parse(once.as_str()), Ok(once));
            }
        }
    }
}
