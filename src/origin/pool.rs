//! Connections that wait for the next question.
//!
//! Knows: how many wait, for whom, for how long. Does not know: HTTP.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::channel::Channel;
use super::error::Fault;
use super::{mark, proxy::Proxy};

/// What a connection leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Destination {
    place: String,
    proxy: Option<String>,
}

impl Destination {
    pub(super) fn of(url: &Url, proxy: Option<&Proxy>) -> Self {
        let proxy = proxy.map(|proxy| format!("{}:{}", proxy.host, proxy.port));
        Self { place: super::url::place(url), proxy }
    }
}

/// Idle connections, the latest last.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    to: Destination,
    channel: Channel,
    since: Instant,
}

impl Pool {
    /// A connection to `to` that can be used at once, if its address passes `check`.
    pub(super) async fn take(
        &self,
        to: &Destination,
        check: impl Fn(&Channel) -> Result<(), Fault>,
    ) -> Option<Channel> {
        loop {
            let mut channel = self.take_one(to)?;
            if check(&channel).is_ok() && channel.is_ready().await {
                return Some(channel);
            }
        }
    }

    /// Keeps a connection whose last answer was read to its end.
    pub(super) fn put(&self, to: Destination, channel: Channel) {
        let mut idle = self.lock();
        if idle.iter().filter(|other| other.to == to).count() < IDLE_PER_DESTINATION_MAX {
            idle.push(Idle { to, channel, since: mark() });
        }
        if idle.len() > IDLE_MAX {
            idle.remove(0);
        }
    }

    fn take_one(&self, to: &Destination) -> Option<Channel> {
        let mut idle = self.lock();
        let now = mark();
        idle.retain(|entry| now.duration_since(entry.since) < IDLE_TIME_MAX);
        let index = idle.iter().rposition(|entry| entry.to == *to)?;
        Some(idle.remove(index).channel)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Idle connections to one origin.
const IDLE_PER_DESTINATION_MAX: usize = 8;
/// Idle connections in all.
const IDLE_MAX: usize = 32;
/// After this time a connection is more likely dead than useful.
const IDLE_TIME_MAX: Duration = Duration::from_secs(15);
