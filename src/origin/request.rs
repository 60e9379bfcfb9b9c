//! The questions we send.
//!
//! Knows: the fields of a request, and to whom a job's header lines may go (T19). Does not know: connections, answers.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::Empty;
use peer_proto::content::ByteRange;
use peer_proto::version::Version;
use url::{Position, Url};

use super::error::Fault;
use super::proxy::Proxy;
use super::url::place;

/// What is asked of whichever URL a chain of redirects leads to.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) range: Option<ByteRange>,
    /// Parts that are asked for beside the first one.
    pub(super) more: Vec<ByteRange>,
    pub(super) if_range: Option<String>,
}

/// Where and how a question travels.
pub(super) struct Route<'a> {
    pub(super) url: &'a Url,
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) is_h2: bool,
}

/// Header lines of one job for one origin (HTTP-36): sent with every request to exactly this scheme, host and port,
/// never after a redirect has left it (T19). They count as secrets: they never show in errors or logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    place: String,
    lines: Vec<(HeaderName, HeaderValue)>,
}

/// A header line that is not sent. Says which one by its place, counted from one: name and value may be secrets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadHeader {
    /// The name is empty, or has blanks, colons, control characters or letters beyond ASCII in it.
    #[error("header line {line}: the name has characters no header's name may have")]
    Name {
        /// Which line.
        line: usize,
    },
    /// Line ends or other control characters in the value (T18).
    #[error("header line {line}: the value has characters no header may have")]
    Value {
        /// Which line.
        line: usize,
    },
    /// It frames the message or says which bytes are wanted.
    #[error("header line {line}: {name} is set by the transfer itself")]
    Ours {
        /// Which line.
        line: usize,
        /// The name.
        name: &'static str,
    },
    /// All of them together are too long, or too many (LIM-14).
    #[error("the header lines have more than 16384 characters, or are more than 64")]
    TooMuch,
}

impl Ask {
    /// HEAD.
    pub(super) fn head() -> Self {
        Self { method: Method::HEAD, range: None, more: Vec::new(), if_range: None }
    }

    /// GET, of all or of a part; of the pinned version only, where the origin can tell.
    pub(super) fn get(range: Option<ByteRange>, pinned: Option<&Version>) -> Self {
        let validator = pinned.filter(|_| range.is_some()).and_then(|version| {
            version.strong_etag().or(version.last_modified.as_deref()).filter(|text| text.is_ascii())
        });
        Self { method: Method::GET, range, more: Vec::new(), if_range: validator.map(ToOwned::to_owned) }
    }

    /// The request for one hop.
    pub(super) fn request(
        &self,
        route: &Route<'_>,
        user_agent: &HeaderValue,
        credentials: Option<&Arc<Credentials>>,
    ) -> Result<Request<Empty<Bytes>>, Fault> {
        let url = route.url;
        let is_proxied = route.proxy.is_some() && url.scheme() == "http";
        let target = if is_proxied || route.is_h2 {
            &url[..Position::AfterQuery]
        } else {
            &url[Position::BeforePath..Position::AfterQuery]
        };
        let mut request = Request::builder().method(self.method.clone()).uri(target);
        if let Some(fields) = request.headers_mut() {
            self.fill(fields, route, user_agent)?;
            if let Some(credentials) = credentials {
                credentials.fill(fields, url);
            }
            if let Some(authorization) =
                route.proxy.filter(|_| is_proxied).and_then(|p| p.authorization.as_ref())
            {
                fields.insert(header::PROXY_AUTHORIZATION, authorization.clone());
            }
        }
        request.body(Empty::new()).map_err(|_| bad_target())
    }

    fn fill(&self, fields: &mut HeaderMap, route: &Route<'_>, user_agent: &HeaderValue) -> Result<(), Fault> {
        let mut set = |name: HeaderName, text: &str| {
            fields.insert(name, HeaderValue::from_str(text).map_err(|_| bad_target())?);
            Ok(())
        };
        if !route.is_h2 {
            set(header::HOST, &route.url[Position::BeforeHost..Position::AfterPort])?;
        }
        set(header::ACCEPT, "*/*")?;
        set(header::ACCEPT_ENCODING, "identity")?;
        if let Some(range) = self.range {
            let mut text = format!("bytes={}-{}", range.start(), range.end() - 1);
            for range in &self.more {
                text.push_str(&format!(",{}-{}", range.start(), range.end() - 1));
            }
            set(header::RANGE, &text)?;
        }
        if let Some(validator) = &self.if_range {
            set(header::IF_RANGE, validator)?;
        }
        fields.insert(header::USER_AGENT, user_agent.clone());
        Ok(())
    }
}

impl Credentials {
    /// Header lines, each a name and a value, for the origin of `url`.
    ///
    /// # Errors
    /// [`BadHeader`] if a line cannot be sent, or must not be: it has line ends or other control characters in it
    /// (T18), its name is one of those that a transfer sets itself, or all of them are too long.
    pub fn new<'a>(
        url: &Url,
        lines: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, BadHeader> {
        let mut kept = Vec::new();
        let mut len = 0_usize;
        for (index, (name, value)) in lines.into_iter().enumerate() {
            let line = index + 1;
            len = len.saturating_add(name.len()).saturating_add(value.len()).saturating_add(LINE_OVERHEAD);
            if len > LINES_LEN_MAX || line > LINES_MAX {
                return Err(BadHeader::TooMuch);
            }
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BadHeader::Name { line })?;
            if let Some(name) = OURS.iter().find(|ours| name.as_str() == **ours) {
                return Err(BadHeader::Ours { line, name });
            }
            let mut value = HeaderValue::from_str(value).map_err(|_| BadHeader::Value { line })?;
            value.set_sensitive(true);
            kept.push((name, value));
        }
        Ok(Self { place: place(url), lines: kept })
    }

    /// Whether they may be sent there.
    pub(super) fn are_for(&self, url: &Url) -> bool {
        place(url) == self.place
    }

    fn fill(&self, fields: &mut HeaderMap, url: &Url) {
        if !self.are_for(url) {
            return;
        }
        // The job's own words replace ours; a name may stand in several of its lines.
        self.lines.iter().for_each(|(name, _)| drop(fields.remove(name)));
        for (name, value) in &self.lines {
            fields.append(name.clone(), value.clone());
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials for {}", self.place)
    }
}

/// Characters of all header lines of a job together, as they stand in a request (LIM-14).
const LINES_LEN_MAX: usize = 16_384;
/// Colon, blank, line end.
const LINE_OVERHEAD: usize = 4;
/// Header lines of a job.
const LINES_MAX: usize = 64;
/// What no job sets: where a message ends, where it goes, which bytes of which version are meant, how they are coded.
const OURS: [&str; 20] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Cannot come: URLs are checked at the door, validators to be ASCII. Told as what it would be.
fn bad_target() -> Fault {
    Fault::Redirect(super::error::RedirectFault::NoPlace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t18_line_ends_in_header_lines_are_refused() {
        let url = Url::parse("https://a.example/").unwrap();
        for text in ["Basic x\r\nHost: b", "a\nb", "a\0b", "a\u{7f}b"] {
            let bad = Credentials::new(&url, [("X-A", "fine"), ("Authorization", text)]).unwrap_err();
            assert_eq!(bad, BadHeader::Value { line: 2 });
            assert_eq!(Credentials::new(&url, [(text, "fine")]).unwrap_err(), BadHeader::Name { line: 1 });
        }
        assert_eq!(Credentials::new(&url, [("", "x")]).unwrap_err(), BadHeader::Name { line: 1 });
        let kept =
            Credentials::new(&url, [("Authorization", "Basic secret"), ("Cookie", "id=secret")]).unwrap();
        assert!(!format!("{kept:?}").contains("secret"));
    }

    #[test]
    fn lim_14_header_lines_have_a_limit_together() {
        let url = Url::parse("https://a.example/").unwrap();
        let long = "x".repeat(LINES_LEN_MAX - 1 - LINE_OVERHEAD);
        assert!(Credentials::new(&url, [("a", long.as_str())]).is_ok());
        let over = Credentials::new(&url, [("a", long.as_str()), ("b", "")]);
        assert_eq!(over.unwrap_err(), BadHeader::TooMuch);
        assert_eq!(Credentials::new(&url, [("a", ""); LINES_MAX + 1]).unwrap_err(), BadHeader::TooMuch);
    }

    #[test]
    fn names_that_frame_a_request_are_ours_and_others_replace_our_words() {
        let url = Url::parse("https://a.example/").unwrap();
        for name in OURS.iter().map(|name| name.to_uppercase()) {
            let refused = Credentials::new(&url, [(name.as_str(), "1")]).unwrap_err();
            assert!(matches!(refused, BadHeader::Ours { line: 1, .. }), "{name}");
        }
        let lines = [("user-agent", "theirs"), ("X-A", "1"), ("x-a", "2")];
        let kept = Arc::new(Credentials::new(&url, lines).unwrap());
        let asked = |url: &Url| {
            let route = Route { url, proxy: None, is_h2: false };
            Ask::head().request(&route, &HeaderValue::from_static("ours"), Some(&kept)).unwrap()
        };
        let values = |request: &Request<Empty<Bytes>>, name| {
            let all = request.headers().get_all(name).iter();
            all.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let request = asked(&url);
        assert_eq!(values(&request, "user-agent"), ["theirs"]);
        assert_eq!(values(&request, "x-a"), ["1", "2"]);
        assert!(!format!("{request:?}").contains("theirs"));
        for elsewhere in ["https://b.example/", "https://a.example:444/", "http://a.example/"] {
            let request = asked(&Url::parse(elsewhere).unwrap());
            assert_eq!(values(&request, "user-agent"), ["ours"]);
            assert_eq!(values(&request, "x-a").len(), 0);
        }
    }

    #[test]
    fn if_range_names_a_strong_etag_or_else_the_date() {
        let version = |etag: Option<&str>| Version {
            final_origin: String::new(),
            etag: etag.map(ToOwned::to_owned),
            last_modified: Some("then".into()),
            len: Some(9),
        };
        let range = ByteRange::new(1..3);
        assert_eq!(Ask::get(range, Some(&version(Some("\"e\"")))).if_range.as_deref(), Some("\"e\""));
        assert_eq!(Ask::get(range, Some(&version(Some("W/\"e\"")))).if_range.as_deref(), Some("then"));
        assert_eq!(Ask::get(range, Some(&version(None))).if_range.as_deref(), Some("then"));
        assert_eq!(Ask::get(None, Some(&version(None))).if_range, None);
    }
}
