//! Connections that wait for the next question.
//!
//! Knows: how many wait, for whom, for how long. Does not know: HTTP.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use url::Url;

use super::channel::Channel;
use super::error::Fault;
use super::request::Credentials;
use super::{mark, proxy::Proxy};

/// What a connection leads to, and whose it is: some origins take a connection for a person once it has brought their
/// secrets, so it is shared by those only who would send the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Destination {
    place: String,
    proxy: Option<String>,
    credentials: Option<Arc<Credentials>>,
}

impl Destination {
    pub(super) fn of(url: &Url, proxy: Option<&Proxy>, credentials: Option<&Arc<Credentials>>) -> Self {
        let proxy = proxy.map(|proxy| format!("{}:{}", proxy.host, proxy.port));
        Self { place: super::url::place(url), proxy, credentials: credentials.cloned() }
    }
}

/// Idle connections. They close when their time is over, whether or not anybody asks again.
pub(super) struct Pool {
    idle_time: Duration,
    shelf: Arc<Mutex<Shelf>>,
    /// The one task that closes what has waited too long; it ends when nothing waits.
    sweeper: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Shelf {
    /// The latest last.
    idle: Vec<Idle>,
    is_swept: bool,
}

struct Idle {
    to: Destination,
    channel: Channel,
    since: Instant,
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(IDLE_TIME_MAX)
    }
}

impl Pool {
    fn new(idle_time: Duration) -> Self {
        Self { idle_time, shelf: Arc::default(), sweeper: Mutex::default() }
    }

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

    /// Keeps a connection whose last answer was read to its end. To be called on a runtime.
    pub(super) fn put(&self, to: Destination, channel: Channel) {
        let mut shelf = lock(&self.shelf);
        if shelf.idle.iter().filter(|other| other.to == to).count() < IDLE_PER_DESTINATION_MAX {
            shelf.idle.push(Idle { to, channel, since: mark() });
        }
        if shelf.idle.len() > IDLE_MAX {
            shelf.idle.remove(0);
        }
        if !std::mem::replace(&mut shelf.is_swept, true) {
            let mut sweeper = lock(&self.sweeper);
            while sweeper.try_join_next().is_some() {}
            sweeper.spawn(sweep(Arc::clone(&self.shelf), self.idle_time));
        }
    }

    fn take_one(&self, to: &Destination) -> Option<Channel> {
        let mut shelf = lock(&self.shelf);
        shelf.close_old(self.idle_time);
        let index = shelf.idle.iter().rposition(|entry| entry.to == *to)?;
        Some(shelf.idle.remove(index).channel)
    }
}

impl Shelf {
    fn close_old(&mut self, idle_time: Duration) {
        let now = mark();
        self.idle.retain(|entry| now.duration_since(entry.since) < idle_time);
    }
}

/// Closes connections whose time is over, until none is left.
async fn sweep(shelf: Arc<Mutex<Shelf>>, idle_time: Duration) {
    loop {
        sleep(idle_time).await;
        let mut shelf = lock(&shelf);
        shelf.close_old(idle_time);
        if shelf.idle.is_empty() {
            shelf.is_swept = false;
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Idle connections to one origin.
const IDLE_PER_DESTINATION_MAX: usize = 8;
/// Idle connections in all.
const IDLE_MAX: usize = 32;
/// After this time a connection is more likely dead than useful.
const IDLE_TIME_MAX: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::connect::{Connected, Stream};
    use super::super::reach::Class;
    use super::*;

    #[tokio::test]
    async fn a_connection_that_nobody_needs_closes_by_itself() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let connected =
            Connected { stream: Stream::plain(near), class: Class::Loopback, is_h2: false, anchor: None };
        let channel = Channel::open(connected).await.unwrap();
        let pool = Pool::new(Duration::from_millis(20));
        let url = Url::parse("http://a.example/").unwrap();
        pool.put(Destination::of(&url, None, None), channel);
        // Nobody asks the pool anything any more.
        let read = tokio::time::timeout(Duration::from_secs(10), async { far.read(&mut [0; 1]).await });
        assert_eq!(read.await.expect("it closes").unwrap(), 0);
        assert!(lock(&pool.shelf).idle.is_empty() && !lock(&pool.shelf).is_swept);
    }
}
