//! The HTTP client: asks an origin what it serves and fetches bytes of exactly that version, or says why not.
//!
//! Knows: HTTP/1.1 and 2, TLS, proxies, redirects, and how origins misbehave; hyper is named in this room only. Does
//! not know: jobs, leases, files, retries. Bytes leave as large chunks straight from the socket's buffer.

mod answer;
mod base64;
mod body;
mod channel;
mod checksums;
mod connect;
mod error;
mod gate;
mod habits;
mod multipart;
mod place;
mod pool;
mod proxy;
mod reach;
mod redirect;
mod repr_digest;
mod request;
mod several;
mod tls;
mod url;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use peer_proto::content::ByteRange;
use peer_proto::version::Version;
use tokio::time::{Instant, sleep};

pub use self::answer::Answer;
pub use self::body::OriginBody;
pub use self::checksums::ChecksumError;
pub use self::error::{Fault, OriginError, OriginSeverity, Phase, RedirectFault, Violation};
pub use self::place::OriginSpan;
pub use self::proxy::{ProxyError, ProxySettings};
pub use self::reach::Reach;
pub use self::request::{BadHeader, Credentials};
pub use self::several::{SeveralBody, SeveralFault};
pub use self::url::{UrlError, canonical_url, parse_url};
pub use ::url::Url;

use self::answer::ContentRange;
use self::habits::Habits;
use self::multipart::Multipart;
use self::place::{Asked, judge};
use self::pool::Pool;
use self::proxy::Proxies;
use self::reach::{Class, Trail};
pub use self::redirect::RedirectRule;
use self::redirect::{At, JobRules, Reached};
use self::request::Ask;
use self::tls::Trust;

/// How origins are asked.
#[derive(Clone, Debug)]
pub struct OriginConfig {
    /// A PEM file of root certificates believed beside the system's. Default none.
    pub extra_ca: Option<PathBuf>,
    /// Proxies. Default: what the environment names.
    pub proxy: ProxySettings,
    /// Time for name, TCP, and again for TLS. Default 10 s.
    pub connect_timeout: Duration,
    /// Time from a question to the head of its answer. Default 30 s.
    pub head_timeout: Duration,
    /// Time without a byte after which a body counts as broken off. Default 30 s.
    pub no_progress: Duration,
    /// Sent as `User-Agent`. Default `nearbits/VERSION`.
    pub user_agent: String,
    /// Whether loopback and private addresses may be asked (LOCAL-7). Default: by the user's own jobs.
    pub allow_private: Reach,
    /// Addresses of names, in lower case, that are not looked up. Their addresses are checked like all others.
    /// Default none.
    pub names: BTreeMap<String, Vec<IpAddr>>,
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            extra_ca: None,
            proxy: ProxySettings::from_env(),
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(30),
            no_progress: Duration::from_secs(30),
            user_agent: concat!("nearbits/", env!("CARGO_PKG_VERSION")).to_owned(),
            allow_private: Reach::OwnUser,
            names: BTreeMap::new(),
        }
    }
}

/// A configuration that cannot be used; each says in one line what to change.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OriginConfigError {
    /// The file of extra roots.
    #[error("cannot use the extra certificates in {}: {reason}", .path.display())]
    ExtraCa {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// A proxy.
    #[error("cannot use the configured proxy: {0}")]
    Proxy(ProxyError),
    /// The `User-Agent`.
    #[error("the user agent contains characters no header may have")]
    UserAgent,
}

/// The client. Cheap to clone; clones share connections and what was learned about origins.
#[derive(Clone, Debug)]
pub struct Origin {
    inner: Arc<Inner>,
    job: JobRules,
}

/// What all clones share.
struct Inner {
    config: OriginConfig,
    user_agent: HeaderValue,
    proxies: Proxies,
    trust: Trust,
    pool: Pool,
    habits: Habits,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Origin {
    /// A client. The system's root certificates are read when the first https origin is asked.
    ///
    /// # Errors
    /// [`OriginConfigError`] if the extra certificates, a proxy or the user agent cannot be used.
    pub fn new(config: OriginConfig) -> Result<Self, OriginConfigError> {
        let inner = Inner {
            user_agent: HeaderValue::from_str(&config.user_agent)
                .map_err(|_| OriginConfigError::UserAgent)?,
            proxies: Proxies::new(&config.proxy).map_err(OriginConfigError::Proxy)?,
            trust: Trust::new(config.extra_ca.as_deref())?,
            pool: Pool::default(),
            habits: Habits::default(),
            config,
        };
        Ok(Self { inner: Arc::new(inner), job: JobRules::default() })
    }

    /// The same client for a job with header lines of its own. Its answers are never public (LOCAL-1); connections
    /// that have carried them serve only jobs with the same lines, and where redirects led is not remembered.
    #[must_use]
    pub fn with_credentials(&self, credentials: Credentials) -> Self {
        let job = JobRules { credentials: Some(Arc::new(credentials)), ..self.job };
        Self { inner: Arc::clone(&self.inner), job }
    }

    /// The same client for a job with a rule for redirects.
    #[must_use]
    pub fn with_redirects(&self, redirects: RedirectRule) -> Self {
        Self { inner: Arc::clone(&self.inner), job: JobRules { redirects, ..self.job.clone() } }
    }

    /// Asks what the origin serves: HEAD, or GET of the first byte where HEAD is refused, says too little, or was
    /// found to lie.
    ///
    /// # Errors
    /// [`OriginError`] if there is no usable answer; its severity says what to do.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection it was using.
    pub async fn probe(&self, url: &Url) -> Result<Answer, OriginError> {
        let inner = &self.inner;
        if !inner.habits.is_head_distrusted(url) {
            match inner.follow(url, &Ask::head(), &self.job, None).await {
                Ok(reached) if says_enough(&reached) => return Ok(self.answer_to_head(url, reached)),
                Ok(reached) if HEAD_REFUSED.contains(&reached.head.status) => inner.habits.distrust_head(url),
                Ok(reached) if matches!(reached.head.status, 200..=299) => {}
                Ok(reached) => return Err(inner.blame_reached(url, &reached, reached.head.status_fault())),
                Err(At(_, Fault::Broken { .. } | Fault::NoAnswer { .. })) => inner.habits.distrust_head(url),
                Err(At(at, fault)) => {
                    if matches!(fault, Fault::TimedOut { phase: Phase::Head, .. }) {
                        inner.habits.distrust_head(url);
                    }
                    return Err(inner.blame(url, at, fault));
                }
            }
        }
        let first = ByteRange::new(0..1);
        let reached = self.ask(url, &Ask::get(first, None)).await?;
        match (reached.head.status, reached.head.content_range) {
            (206, Some(ContentRange::Part { start: 0, len, .. })) => {
                self.answer_to_part(url, reached, len).await
            }
            (206, _) => Err(inner.blame_reached(url, &reached, Fault::broken(Violation::NoContentRange))),
            (416, Some(ContentRange::Unsatisfied { len: 0 })) => self.answer_to_get(url, reached, Some(0)),
            (416, _) => {
                let reached = self.ask(url, &Ask::get(None, None)).await?;
                let len = reached.head.stated_len();
                self.answer_to_get(url, reached, len)
            }
            _ => {
                let len = reached.head.stated_len();
                self.answer_to_get(url, reached, len)
            }
        }
    }

    /// Asks for bytes, of the pinned version only if one is named.
    ///
    /// # Errors
    /// [`OriginError`], among others of severity `VersionChanged` when another version answers and `NoRanges` when
    /// the whole comes instead of a part (none of it is handed out).
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection it was using.
    pub async fn open(
        &self,
        url: &Url,
        span: OriginSpan,
        pinned: Option<&Version>,
    ) -> Result<OriginBody, OriginError> {
        let inner = &self.inner;
        // HTTP-8: all of a file is asked for without a Range, which every origin understands.
        let range = match span {
            OriginSpan::Whole => None,
            OriginSpan::Range(range)
                if range.start() == 0 && pinned.is_some_and(|v| v.len == Some(range.end())) =>
            {
                None
            }
            OriginSpan::Range(range) => Some(range),
        };
        let shortcut = self.shortcut(url, pinned);
        let reached = inner
            .follow(url, &Ask::get(range, pinned), &self.job, shortcut)
            .await
            .map_err(|At(at, fault)| inner.blame(url, at, fault))?;
        match judge(&reached.head, &reached.url, Asked { range, pinned }) {
            Ok(placed) => Ok(OriginBody::new(Arc::clone(inner), url.clone(), reached, placed)),
            Err(fault) => Err(inner.blame_reached(url, &reached, fault)),
        }
    }

    /// Asks for what the origin makes as it is asked, whatever version that is. Where neither a length nor chunks tell the
    /// end, the end of the connection does (HTTP-15): a cut cannot be told from it.
    ///
    /// # Errors
    /// [`OriginError`].
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection it was using.
    pub async fn open_dynamic(&self, url: &Url) -> Result<OriginBody, OriginError> {
        let inner = &self.inner;
        let reached = self.ask(url, &Ask::get(None, None)).await?;
        match place::dynamic(&reached.head, &reached.url) {
            Ok(placed) => Ok(OriginBody::new(Arc::clone(inner), url.clone(), reached, placed)),
            Err(fault) => Err(inner.blame_reached(url, &reached, fault)),
        }
    }

    /// Asks for several parts of the pinned version in one request (RNG-17), at most [`SEVERAL_MAX`] of them,
    /// of [`SEVERAL_LEN_MAX`] bytes each. `None` if
    /// this origin does not answer that as it was asked, now or before: then each part is asked for by itself.
    ///
    /// # Errors
    /// [`OriginError`], if there is no answer, one of an error, or one of another version.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection it was using.
    pub async fn open_several(
        &self,
        url: &Url,
        parts: &[ByteRange],
        pinned: &Version,
    ) -> Result<Option<SeveralBody>, OriginError> {
        let inner = &self.inner;
        let is_short = parts.iter().all(|part| part.len() <= SEVERAL_LEN_MAX);
        let may_ask =
            is_short && (2..=SEVERAL_MAX).contains(&parts.len()) && !inner.habits.are_several_denied(url);
        let Some((first, more)) = parts.split_first().filter(|_| may_ask) else { return Ok(None) };
        let ask = Ask { more: more.to_vec(), ..Ask::get(Some(*first), Some(pinned)) };
        let shortcut = self.shortcut(url, Some(pinned));
        let reached = inner.follow(url, &ask, &self.job, shortcut).await;
        let reached = reached.map_err(|At(at, fault)| inner.blame(url, at, fault))?;
        let status = reached.head.status;
        if !matches!(status, 200 | 206 | 400 | 416) {
            return Err(inner.blame_reached(url, &reached, reached.head.status_fault()));
        }
        let placed = place::several(&reached.head, &reached.url, pinned)
            .map_err(|fault| inner.blame_reached(url, &reached, fault))?;
        let content_type = reached.head.content_type().unwrap_or_default();
        let (Some(placed), Some(boundary)) = (placed, multipart::boundary(&content_type)) else {
            inner.habits.deny_several(url);
            return Ok(None);
        };
        let reader = Multipart::new(boundary, parts, pinned.len);
        let body = OriginBody::new(Arc::clone(inner), url.clone(), reached, placed);
        Ok(Some(SeveralBody::new(body, reader)))
    }

    /// From now on parts of this URL are asked for one by one.
    pub fn deny_several(&self, url: &Url) {
        self.inner.habits.deny_several(url);
    }

    fn shortcut(&self, url: &Url, pinned: Option<&Version>) -> Option<habits::Shortcut> {
        self.inner.habits.shortcut(url).filter(|end| {
            self.may_take_shortcuts() && pinned.is_some_and(|v| v.final_origin == self::url::place(&end.url))
        })
    }

    async fn ask(&self, url: &Url, ask: &Ask) -> Result<Reached, OriginError> {
        let outcome = self.inner.follow(url, ask, &self.job, None).await;
        outcome.map_err(|At(at, fault)| self.inner.blame(url, at, fault))
    }

    fn answer_to_head(&self, url: &Url, reached: Reached) -> Answer {
        let len = reached.head.stated_len();
        let advertised = reached.head.accept_ranges == Some(true);
        let answer = self.answer(url, &reached, len, advertised);
        // No body follows, so the connection is free again.
        self.inner.pool.put(reached.to, reached.channel);
        answer
    }

    /// The answer to a probe by GET that brought the first byte, which is read so that the connection stays usable.
    async fn answer_to_part(
        &self,
        url: &Url,
        reached: Reached,
        len: Option<u64>,
    ) -> Result<Answer, OriginError> {
        let inner = &self.inner;
        let answer = self.answer(url, &reached, len, true);
        let asked = Asked { range: ByteRange::new(0..1), pinned: None };
        let placed = judge(&reached.head, &reached.url, asked)
            .map_err(|fault| inner.blame_reached(url, &reached, fault))?;
        let mut body = OriginBody::new(Arc::clone(inner), url.clone(), reached, placed);
        while body.next().await?.is_some() {}
        Ok(answer)
    }

    fn answer_to_get(&self, url: &Url, reached: Reached, len: Option<u64>) -> Result<Answer, OriginError> {
        let fault = match (reached.head.status, &reached.head.coding) {
            (200, Some(coding)) => Fault::Encoded { coding: coding.clone() },
            (200, None) => return Ok(self.answer(url, &reached, len, false)),
            (416, _) if len == Some(0) => return Ok(self.answer(url, &reached, len, false)),
            _ => reached.head.status_fault(),
        };
        Err(self.inner.blame_reached(url, &reached, fault))
    }

    fn answer(&self, url: &Url, reached: &Reached, len: Option<u64>, ranges: bool) -> Answer {
        let head = &reached.head;
        Answer {
            version: head.version(&reached.url, len),
            ranges: ranges && !self.inner.habits.are_ranges_denied(url),
            digests: if reached.is_secure { head.digests.clone() } else { Vec::new() },
            public: reached.is_public,
            secure: reached.is_secure,
            varies: head.varies,
            anchor: reached.channel.anchor,
            date: head.date,
            round_trip: reached.round_trip,
            final_url: reached.url.clone(),
            headers: head.told_headers(),
        }
    }

    /// Whether a chain that others walked may be cut short: not with secrets, and not where redirects are refused.
    fn may_take_shortcuts(&self) -> bool {
        self.job.credentials.is_none() && self.job.redirects == RedirectRule::Follow
    }
}

impl Inner {
    /// Makes an error of a fault, and remembers what it says about the origin of this URL.
    fn blame(&self, url: &Url, at: String, mut fault: Fault) -> OriginError {
        match &mut fault {
            Fault::Broken { hopeless, .. } => *hopeless = self.habits.strike(url),
            Fault::VersionChanged { .. } => {
                self.habits.distrust_head(url);
                self.habits.set_shortcut(url, None);
            }
            Fault::NoRanges => self.habits.deny_ranges(url),
            _ => {}
        }
        tracing::debug!(origin = %at, %fault, "origin");
        OriginError { at, fault }
    }

    fn blame_reached(&self, url: &Url, reached: &Reached, fault: Fault) -> OriginError {
        let answers_itself = matches!(fault, Fault::Status { .. }) && reached.url == *url;
        let error = self.blame(url, self::url::place(&reached.url), fault);
        // Whose job it is knows the path; that of a redirect, and any query, may carry a key.
        let path = if answers_itself { url.path() } else { "" };
        OriginError { at: format!("{}{path}", error.at), ..error }
    }

    /// A name that led to the internet must not lead inwards a little later (DNS rebinding, T14).
    fn check_rebound(&self, url: &Url, trail: &Trail, class: Class) -> Result<(), &'static str> {
        let was_global =
            trail.is_fresh() && url.domain().and_then(|host| self.habits.host(host)) == Some(Class::Global);
        if was_global && class != Class::Global {
            return Err("its name led to the internet a moment ago and now leads into a private network");
        }
        Ok(())
    }

    fn note_class(&self, url: &Url, trail: &Trail, class: Class) {
        if let (true, Some(host)) = (trail.is_fresh(), url.domain()) {
            self.habits.note_host(host, class);
        }
    }
}

/// Parts in one request. Each takes up to 40 letters of its head.
pub const SEVERAL_MAX: usize = 32;
/// Bytes of a part that is asked for together with others: it is held until what follows it shows that it is all there.
pub const SEVERAL_LEN_MAX: u64 = 64 * 1024;

/// Whether an answer to HEAD can be believed without a GET: servers that make up a HEAD leave these out, or say zero.
fn says_enough(reached: &Reached) -> bool {
    let head = &reached.head;
    head.status == 200
        && head.coding.is_none()
        && head.stated_len().is_some_and(|len| len > 0)
        && head.accept_ranges.is_some()
}

/// Now, on the timers' own clock: rooms other than `clock` read no other.
fn mark() -> Instant {
    sleep(Duration::ZERO).deadline()
}

/// Statuses of HEAD after which GET is tried: what refuses the method, and what careless servers say instead.
const HEAD_REFUSED: [u16; 6] = [400, 403, 404, 405, 406, 501];

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn t14_a_name_that_was_global_may_not_lead_inwards_later() {
        let origin = Origin::new(OriginConfig::default()).unwrap();
        let url = parse_url("http://rebinding.test/x").unwrap();
        let fresh = Trail::default();
        let checked = |class| origin.inner.check_rebound(&url, &fresh, class);
        assert!(checked(Class::Loopback).is_ok());
        origin.inner.note_class(&url, &fresh, Class::Global);
        assert!(checked(Class::Global).is_ok());
        assert!(checked(Class::Loopback).is_err() && checked(Class::Private).is_err());
    }

    #[test]
    fn unusable_settings_are_refused_in_one_line() {
        for config in [
            OriginConfig { extra_ca: Some("/no/such/file.pem".into()), ..OriginConfig::default() },
            OriginConfig { user_agent: "a\r\nb".into(), ..OriginConfig::default() },
            OriginConfig {
                proxy: ProxySettings { http: Some("socks5://p:1".into()), ..ProxySettings::default() },
                ..OriginConfig::default()
            },
        ] {
            let error = Origin::new(config).unwrap_err();
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }
}
