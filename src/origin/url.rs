//! The URLs we ask: checked when a job is submitted, checked again at every redirect.
//!
//! Knows: which forms are refused (D16, D17, T14), the canonical form of ATTEST-4. Does not know: addresses (`reach`
//! checks those when they are connected to).

use url::{Host, Position, Url};

/// Why a URL is refused. One line, without the URL itself: it may hold secrets.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    /// More bytes than a job may have.
    #[error("the URL has {len} bytes, the limit is {limit}")]
    TooLong {
        /// Bytes found.
        len: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// CR, LF, NUL, blanks and the like, plain or percent-encoded.
    #[error("the URL contains a control character or a blank; encode blanks as %20")]
    Control,
    /// Not an absolute URL.
    #[error("this is no absolute URL: {reason}")]
    Malformed {
        /// What the parser said.
        reason: String,
    },
    /// Neither http nor https.
    #[error("the scheme {scheme:?} is not supported; use http or https")]
    Scheme {
        /// The scheme found.
        scheme: String,
    },
    /// `user:password@`.
    #[error(
        "the URL contains a user name or password, which would end up in logs and records; leave them out"
    )]
    UserInfo,
    /// `#…`.
    #[error("the URL contains a fragment (#…), which an origin never sees; leave it out")]
    Fragment,
    /// A host name with letters beyond ASCII: look-alikes cannot be told apart.
    #[error("the host name is not plain ASCII; if you mean {ascii:?}, write it so")]
    NotAsciiHost {
        /// The name as the network knows it.
        ascii: String,
    },
    /// A name that leads to a machine's own services or a cloud's metadata.
    #[error("the host {host:?} is never asked")]
    ForbiddenHost {
        /// The name.
        host: String,
    },
    /// Port zero.
    #[error("port 0 cannot be asked")]
    Port,
}

/// Checks and parses the URL of a job.
///
/// # Errors
/// [`UrlError`] says in one line what to change: unsupported scheme, user information, fragment, control characters
/// (also `%00`, `%0d`, `%0a`), more than 2 200 bytes, a host beyond ASCII, a host that is never asked.
///
/// # Examples
/// ```
/// let url = nearbits::origin::parse_url("https://example.org/big.iso").expect("well-formed");
/// assert_eq!(url.host_str(), Some("example.org"));
/// assert!(nearbits::origin::parse_url("file:///etc/passwd").is_err());
/// ```
pub fn parse_url(text: &str) -> Result<Url, UrlError> {
    check_text(text, URL_LEN_MAX)?;
    let url = Url::parse(text).map_err(|source| UrlError::Malformed { reason: source.to_string() })?;
    if url.fragment().is_some() {
        return Err(UrlError::Fragment);
    }
    check_parts(&url)?;
    check_ascii_host(text, &url)?;
    Ok(url)
}

/// Resolves the `Location` of a redirect; its fragment, if any, is dropped.
pub(super) fn resolve_location(from: &Url, location: &str) -> Result<Url, UrlError> {
    check_text(location, LOCATION_LEN_MAX)?;
    let mut url = from.join(location).map_err(|source| UrlError::Malformed { reason: source.to_string() })?;
    url.set_fragment(None);
    check_parts(&url)?;
    Ok(url)
}

/// The one text all equal URLs have (ATTEST-4): scheme and host in lower case, IDNA in ASCII, no default port, no
/// fragment, no dot segments, percent-escapes of unreserved characters decoded and all others in upper case.
#[must_use]
pub fn canonical_url(url: &Url) -> String {
    let mut text = url[..Position::BeforePath].to_owned();
    let rest = url[Position::BeforePath..Position::AfterQuery].as_bytes();
    let mut index = 0;
    while index < rest.len() {
        let byte = rest[index];
        let escaped = (byte == b'%').then(|| rest.get(index + 1..index + 3)).flatten().and_then(byte_of_hex);
        match escaped {
            Some(value) if value.is_ascii_alphanumeric() || b"-._~".contains(&value) => {
                text.push(char::from(value));
                index += 3;
            }
            Some(value) => {
                text.push_str(&format!("%{value:02X}"));
                index += 3;
            }
            None => {
                text.push(char::from(byte));
                index += 1;
            }
        }
    }
    text
}

/// Scheme, host and port, such as `https://cdn.example:443`: all that logs and versions may show, and errors but for the path
/// of a job's own URL.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    format!("{}://{host}:{}", url.scheme(), url.port_or_known_default().unwrap_or_default())
}

/// Whether this name is never asked, whoever names it.
pub(super) fn is_forbidden_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    FORBIDDEN_HOSTS.contains(&host.as_str())
}

fn check_text(text: &str, limit: usize) -> Result<(), UrlError> {
    if text.len() > limit {
        return Err(UrlError::TooLong { len: text.len(), limit });
    }
    let is_bad = |character: char| character.is_control() || character.is_whitespace();
    let lower = text.to_ascii_lowercase();
    if text.chars().any(is_bad) || ["%00", "%0a", "%0d"].iter().any(|escape| lower.contains(escape)) {
        return Err(UrlError::Control);
    }
    Ok(())
}

fn check_parts(url: &Url) -> Result<(), UrlError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(UrlError::Scheme { scheme: url.scheme().to_owned() });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::UserInfo);
    }
    if url.port() == Some(0) {
        return Err(UrlError::Port);
    }
    match url.host() {
        Some(Host::Domain(host)) if is_forbidden_host(host) => {
            Err(UrlError::ForbiddenHost { host: host.to_owned() })
        }
        Some(_) => {
            let target = &url[Position::BeforePath..Position::AfterQuery];
            target
                .parse::<http::uri::PathAndQuery>()
                .map(|_| ())
                .map_err(|source| UrlError::Malformed { reason: source.to_string() })
        }
        None => Err(UrlError::Malformed { reason: "no host".into() }),
    }
}

/// The parser turns look-alike letters into others (full-width digits into digits, Cyrillic into `xn--`); only what
/// the person wrote can be judged.
fn check_ascii_host(text: &str, url: &Url) -> Result<(), UrlError> {
    let after_scheme = text.split_once(':').map_or("", |(_, rest)| rest).trim_start_matches(['/', '\\']);
    let authority = after_scheme.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    if authority.is_ascii() && !authority.contains('%') {
        return Ok(());
    }
    Err(UrlError::NotAsciiHost { ascii: url.host_str().unwrap_or_default().to_owned() })
}

fn byte_of_hex(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(text, 16).ok()
}

/// Bytes in the URL of a job (BITS' own limit).
const URL_LEN_MAX: usize = 2_200;
/// Bytes in a redirect's place: signed URLs are long.
const LOCATION_LEN_MAX: usize = 8 * 1024;
/// Names of metadata services, and what is no host at all.
const FORBIDDEN_HOSTS: [&str; 7] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "unix",
    "",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d16_forms_that_hide_a_target_are_refused_at_submit() {
        let long = format!("http://a.example/{}", "x".repeat(2_201 - "http://a.example/".len()));
        assert_eq!(long.len(), 2_201);
        assert!(parse_url(&long[..2_200]).is_ok());
        for (text, wanted) in [
            (long.as_str(), UrlError::TooLong { len: 2_201, limit: 2_200 }),
            ("http://user:word@a.example/f", UrlError::UserInfo),
            ("http://user@a.example/f", UrlError::UserInfo),
            ("http://a.example/f#part", UrlError::Fragment),
            ("http://a.example/f%00", UrlError::Control),
            ("http://a.example/f?q=%0D%0aX", UrlError::Control),
            ("ftp://a.example/f", UrlError::Scheme { scheme: "ftp".into() }),
            ("file:///etc/passwd", UrlError::Scheme { scheme: "file".into() }),
            ("http+unix://%2Frun%2Fdocker.sock/f", UrlError::Scheme { scheme: "http+unix".into() }),
            ("http://unix:/run/docker.sock", UrlError::ForbiddenHost { host: "unix".into() }),
            (
                "http://metadata.google.internal/x",
                UrlError::ForbiddenHost { host: "metadata.google.internal".into() },
            ),
            (
                "http://METADATA.google.internal./x",
                UrlError::ForbiddenHost { host: "metadata.google.internal.".into() },
            ),
            ("http://a.example:0/", UrlError::Port),
            ("http://аpple.example/f", UrlError::NotAsciiHost { ascii: "xn--pple-43d.example".into() }),
            ("http://１２７.0.0.1/f", UrlError::NotAsciiHost { ascii: "127.0.0.1".into() }),
            ("http://%31%32%37.0.0.1/f", UrlError::NotAsciiHost { ascii: "127.0.0.1".into() }),
        ] {
            assert_eq!(parse_url(text), Err(wanted), "{text}");
        }
        for text in ["", "a.example/f", "http://", "http:///", "http://[::1", "//a.example/f"] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn d17_and_file_2_line_ends_and_blanks_in_a_url_are_refused() {
        for text in [
            "http://a.example/\r\nX: y",
            "http://a.example/a b",
            "http://a.example/\0",
            "\thttp://a.example/",
        ] {
            assert_eq!(parse_url(text), Err(UrlError::Control), "{text:?}");
        }
        let refused = parse_url("gopher\u{1b}[31m://x/").unwrap_err();
        assert_eq!(refused.to_string().lines().count(), 1);
    }

    #[test]
    fn addresses_in_odd_clothes_become_plain_ones() {
        for text in ["http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://127.1/"] {
            assert_eq!(parse_url(text).unwrap().host_str(), Some("127.0.0.1"), "{text}");
        }
    }

    #[test]
    fn attest_4_the_canonical_form_is_one_and_idempotent() {
        for (text, wanted) in [
            ("HTTP://Example.ORG:80/a/../b/./c%7e%2fd?x=%c3%a9#", "http://example.org/b/c~%2Fd?x=%C3%A9"),
            ("https://example.org:443", "https://example.org/"),
            ("https://example.org:8443/%41%2541", "https://example.org:8443/A%2541"),
            ("http://example.org/100%", "http://example.org/100%"),
        ] {
            let once = canonical_url(&Url::parse(text).unwrap());
            assert_eq!(once, wanted);
            assert_eq!(canonical_url(&Url::parse(&once).unwrap()), once);
        }
    }

    #[test]
    fn d14_places_of_redirects_are_checked_like_jobs() {
        let from = Url::parse("https://a.example/x/y").unwrap();
        assert_eq!(resolve_location(&from, "../z#part").unwrap().as_str(), "https://a.example/z");
        for place in
            ["file:///etc/passwd", "http://metadata/", "ftp://a.example/", "https://u:p@a.example/", "/\u{0}"]
        {
            assert!(resolve_location(&from, place).is_err(), "{place}");
        }
    }
}
