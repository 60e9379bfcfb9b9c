//! One question, asked of a URL and of wherever it leads, hop by hop.
//!
//! Knows: reuse of connections, redirects and their rules (T13, T14, T19, LOCAL-7). Does not know: what an answer that
//! is no redirect means.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use url::Url;

use super::answer::Head;
use super::channel::{AskFault, Channel};
use super::error::{Fault, RedirectFault};
use super::habits::Shortcut;
use super::pool::Destination;
use super::reach::Trail;
use super::request::{Ask, Credentials, Route};
use super::url::{place, resolve_location};
use super::{Inner, mark};

/// An answer that is no redirect, and the connection its body comes over.
pub(super) struct Reached {
    pub(super) head: Head,
    pub(super) incoming: Incoming,
    pub(super) channel: Channel,
    pub(super) to: Destination,
    /// The URL that answered.
    pub(super) url: Url,
    /// Whether every hop was https.
    pub(super) is_secure: bool,
    /// Whether no hop said that its answer is private, and no credentials were sent.
    pub(super) is_public: bool,
    pub(super) round_trip: Duration,
}

/// What a redirect does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RedirectRule {
    /// It is followed, within the rules (T13, T14, T19).
    #[default]
    Follow,
    /// It is an error that names its target (HTTP-17).
    Refuse,
}

/// What a job wants of its requests.
#[derive(Clone, Debug, Default)]
pub(super) struct JobRules {
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) redirects: RedirectRule,
}

/// A fault, and the place it happened at.
pub(super) struct At(pub(super) String, pub(super) Fault);

impl Inner {
    /// Asks `job_url`, follows redirects, and returns the first answer that is none. `shortcut`: where an earlier
    /// chain ended, to be asked first.
    pub(super) async fn follow(
        &self,
        job_url: &Url,
        ask: &Ask,
        job: &JobRules,
        shortcut: Option<Shortcut>,
    ) -> Result<Reached, At> {
        let credentials = job.credentials.as_ref();
        if let Some(Shortcut { url, mut trail }) = shortcut {
            let is_secure = job_url.scheme() == "https";
            if let Ok(reached) = self.exchange(&url, ask, None, &mut trail).await
                && matches!(reached.head.status, 200 | 206 | 416 | 429 | 503)
            {
                return Ok(Reached { is_secure: reached.is_secure && is_secure, ..reached });
            }
            self.habits.set_shortcut(job_url, None);
        }
        let mut hop = Hop { url: job_url.clone(), trail: Trail::default(), credentials };
        let mut seen = Vec::new();
        let (mut is_secure, mut is_public) = (true, credentials.is_none());
        for _ in 0..=REDIRECTS_MAX {
            let before = hop.trail;
            let reached = self
                .exchange(&hop.url, ask, hop.credentials, &mut hop.trail)
                .await
                .map_err(|fault| At(place(&hop.url), fault))?;
            is_secure &= reached.is_secure;
            is_public &= reached.head.public;
            let Some(location) = redirect_target(&reached.head) else {
                // Where secrets led is no place for those who do not have them.
                if !seen.is_empty() && credentials.is_none() {
                    let shortcut = Shortcut { url: hop.url.clone(), trail: before };
                    self.habits.set_shortcut(job_url, Some(shortcut));
                }
                return Ok(Reached { is_secure, is_public, ..reached });
            };
            if job.redirects == RedirectRule::Refuse {
                let fault = refused(&hop.url, location, reached.head.status);
                return Err(At(place(&hop.url), Fault::Redirect(fault)));
            }
            seen.push(hop.url.as_str().to_owned());
            hop = hop.next(location, &seen)?;
        }
        Err(At(place(&hop.url), Fault::Redirect(RedirectFault::TooMany)))
    }

    /// One question and its answer; a connection that died while idle is replaced by a fresh one.
    async fn exchange(
        &self,
        url: &Url,
        ask: &Ask,
        credentials: Option<&Arc<Credentials>>,
        trail: &mut Trail,
    ) -> Result<Reached, Fault> {
        let proxy = self.proxies.of(url);
        let to = Destination::of(url, proxy, credentials);
        let reach = self.config.allow_private;
        let check = |channel: &Channel| {
            let admitted = trail.admit_class(reach, channel.class);
            admitted.map(|_| ()).map_err(|_| Fault::NoAnswer { reason: String::new() })
        };
        let mut kept = self.pool.take(&to, check).await;
        loop {
            let (mut channel, is_fresh) = match kept.take() {
                Some(channel) => (channel, false),
                None => (Channel::open(self.connect(url, proxy, trail).await?).await?, true),
            };
            let route = Route { url, proxy, is_h2: channel.is_h2() };
            let request = ask.request(&route, &self.user_agent, credentials)?;
            let asked_at = mark();
            let (parts, incoming) = match channel.ask(request, self.config.head_timeout).await {
                Ok(response) => response.into_parts(),
                Err(AskFault::Silent(_)) if !is_fresh => continue,
                Err(AskFault::Silent(reason)) => return Err(Fault::NoAnswer { reason }),
                Err(AskFault::Other(fault)) => return Err(fault),
            };
            let head = Head::read(&parts, ask.method == http::Method::HEAD).map_err(Fault::broken)?;
            trail.pass(channel.class);
            let reached = Reached {
                is_public: head.public,
                head,
                incoming,
                channel,
                to,
                url: url.clone(),
                is_secure: url.scheme() == "https",
                round_trip: mark().duration_since(asked_at),
            };
            return Ok(reached);
        }
    }
}

/// The next place of a chain.
struct Hop<'a> {
    url: Url,
    trail: Trail,
    credentials: Option<&'a Arc<Credentials>>,
}

impl<'a> Hop<'a> {
    fn next(self, location: &str, seen: &[String]) -> Result<Hop<'a>, At> {
        let fail = |fault| At(place(&self.url), Fault::Redirect(fault));
        let url = resolve_location(&self.url, location).map_err(|error| fail(RedirectFault::Place(error)))?;
        if self.url.scheme() == "https" && url.scheme() == "http" {
            return Err(fail(RedirectFault::Downgrade));
        }
        if seen.iter().any(|earlier| earlier == url.as_str()) {
            return Err(fail(RedirectFault::Loop));
        }
        // Once the chain has left their origin they are not sent again, wherever it leads.
        let credentials = self.credentials.filter(|credentials| credentials.are_for(&url));
        Ok(Hop { url, trail: self.trail, credentials })
    }
}

/// What is said of a redirect that the job does not want.
fn refused(from: &Url, location: &str, status: u16) -> RedirectFault {
    match resolve_location(from, location) {
        Ok(target) => RedirectFault::Refused { place: place(&target), target: target.into(), status },
        Err(error) => RedirectFault::Place(error),
    }
}

fn redirect_target(head: &Head) -> Option<&str> {
    let is_redirect = matches!(head.status, 300..=303 | 307 | 308);
    head.location.as_deref().filter(|_| is_redirect)
}

/// Redirects followed for one question.
const REDIRECTS_MAX: usize = 10;
