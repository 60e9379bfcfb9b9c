//! The questions we send.
//!
//! Knows: the fields of a request, and to whom credentials may go (T19). Does not know: connections, answers.

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
    pub(super) if_range: Option<String>,
}

/// Where and how a question travels.
pub(super) struct Route<'a> {
    pub(super) url: &'a Url,
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) is_h2: bool,
}

/// Secrets of one job for one origin: sent to exactly this scheme, host and port, never after a redirect has left it
/// (T19). They never show in errors or logs.
#[derive(Clone)]
pub struct Credentials {
    place: String,
    authorization: Option<HeaderValue>,
    cookie: Option<HeaderValue>,
}

/// A header value with line ends or other control characters in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field} contains characters no header may have")]
pub struct BadHeader {
    /// Which header.
    pub field: &'static str,
}

impl Ask {
    /// HEAD.
    pub(super) fn head() -> Self {
        Self { method: Method::HEAD, range: None, if_range: None }
    }

    /// GET, of all or of a part; of the pinned version only, where the origin can tell.
    pub(super) fn get(range: Option<ByteRange>, pinned: Option<&Version>) -> Self {
        let validator = pinned.filter(|_| range.is_some()).and_then(|version| {
            version.strong_etag().or(version.last_modified.as_deref()).filter(|text| text.is_ascii())
        });
        Self { method: Method::GET, range, if_range: validator.map(ToOwned::to_owned) }
    }

    /// The request for one hop.
    pub(super) fn request(
        &self,
        route: &Route<'_>,
        user_agent: &HeaderValue,
        credentials: Option<&Credentials>,
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
            set(header::RANGE, &format!("bytes={}-{}", range.start(), range.end() - 1))?;
        }
        if let Some(validator) = &self.if_range {
            set(header::IF_RANGE, validator)?;
        }
        fields.insert(header::USER_AGENT, user_agent.clone());
        Ok(())
    }
}

impl Credentials {
    /// Credentials for the origin of `url`; `authorization` and `cookie` are the values of the headers of that name.
    ///
    /// # Errors
    /// [`BadHeader`] if a value has a line end or another control character in it (T18).
    pub fn new(url: &Url, authorization: Option<&str>, cookie: Option<&str>) -> Result<Self, BadHeader> {
        let secret = |text: Option<&str>, field: &'static str| {
            let value = text.map(HeaderValue::from_str).transpose().map_err(|_| BadHeader { field })?;
            Ok(value.map(|mut value| {
                value.set_sensitive(true);
                value
            }))
        };
        Ok(Self {
            place: place(url),
            authorization: secret(authorization, "Authorization")?,
            cookie: secret(cookie, "Cookie")?,
        })
    }

    /// Whether they may be sent there.
    pub(super) fn are_for(&self, url: &Url) -> bool {
        place(url) == self.place
    }

    fn fill(&self, fields: &mut HeaderMap, url: &Url) {
        if !self.are_for(url) {
            return;
        }
        for (name, value) in [(header::AUTHORIZATION, &self.authorization), (header::COOKIE, &self.cookie)] {
            if let Some(value) = value {
                fields.insert(name, value.clone());
            }
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials for {}", self.place)
    }
}

/// Cannot come: URLs are checked at the door, validators to be ASCII. Told as what it would be.
fn bad_target() -> Fault {
    Fault::Redirect(super::error::RedirectFault::NoPlace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t18_line_ends_in_credentials_are_refused() {
        let url = Url::parse("https://a.example/").unwrap();
        for text in ["Basic x\r\nHost: b", "a\nb", "a\0b"] {
            assert!(Credentials::new(&url, Some(text), None).is_err());
            assert!(Credentials::new(&url, None, Some(text)).is_err());
        }
        let kept = Credentials::new(&url, Some("Basic secret"), Some("id=secret")).unwrap();
        assert!(!format!("{kept:?}").contains("secret"));
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
