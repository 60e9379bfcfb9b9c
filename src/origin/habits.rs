//! What was learned about the origins of URLs, for an hour.
//!
//! Knows: heads that lied, ranges that were ignored, rules that were broken, where redirects led, whether a name was
//! global. Does not know: versions; nothing here is trusted for bytes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::mark;
use super::reach::{Class, Trail};

/// Where a chain of redirects ended.
#[derive(Clone, Debug)]
pub(super) struct Shortcut {
    pub(super) url: Url,
    pub(super) trail: Trail,
}

/// A bounded memory; what is oldest is forgotten first.
#[derive(Default)]
pub(super) struct Habits {
    urls: Mutex<BTreeMap<String, Habit>>,
    hosts: Mutex<BTreeMap<String, (Class, Instant)>>,
}

struct Habit {
    head_lies: bool,
    no_ranges: bool,
    one_range: bool,
    strikes: u32,
    shortcut: Option<(Shortcut, Instant)>,
    since: Instant,
}

impl Habits {
    /// From now on probes of this URL use GET: its HEAD was refused, or said something else than its GET.
    pub(super) fn distrust_head(&self, url: &Url) {
        self.change(url, |habit| habit.head_lies = true);
    }

    pub(super) fn is_head_distrusted(&self, url: &Url) -> bool {
        self.read(url, |habit| habit.head_lies).unwrap_or(false)
    }

    /// A range request was answered with the whole.
    pub(super) fn deny_ranges(&self, url: &Url) {
        self.change(url, |habit| habit.no_ranges = true);
    }

    pub(super) fn are_ranges_denied(&self, url: &Url) -> bool {
        self.read(url, |habit| habit.no_ranges).unwrap_or(false)
    }

    /// A request for several ranges was answered otherwise than it was asked.
    pub(super) fn deny_several(&self, url: &Url) {
        self.change(url, |habit| habit.one_range = true);
    }

    pub(super) fn are_several_denied(&self, url: &Url) -> bool {
        self.read(url, |habit| habit.one_range).unwrap_or(false)
    }

    /// Counts a broken rule; true when it was the third in a row, and the count begins again.
    pub(super) fn strike(&self, url: &Url) -> bool {
        self.change(url, |habit| {
            habit.strikes += 1;
            let is_hopeless = habit.strikes >= STRIKES_MAX;
            if is_hopeless {
                habit.strikes = 0;
            }
            is_hopeless
        })
    }

    /// A body was read to its good end.
    pub(super) fn forgive(&self, url: &Url) {
        let mut urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(habit) = urls.get_mut(url.as_str()) {
            habit.strikes = 0;
        }
    }

    /// The chain of redirects that starts at `url` ended there.
    pub(super) fn set_shortcut(&self, url: &Url, shortcut: Option<Shortcut>) {
        if shortcut.is_none() && self.read(url, |habit| habit.shortcut.is_some()) != Some(true) {
            return;
        }
        self.change(url, |habit| habit.shortcut = shortcut.map(|shortcut| (shortcut, mark())));
    }

    pub(super) fn shortcut(&self, url: &Url) -> Option<Shortcut> {
        let (shortcut, since) = self.read(url, |habit| habit.shortcut.clone())??;
        (mark().duration_since(since) < SHORTCUT_AGE_MAX).then_some(shortcut)
    }

    /// Notes where a job's own host was found.
    pub(super) fn note_host(&self, host: &str, class: Class) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let now = mark();
        hosts.insert(host.to_owned(), (class, now));
        if hosts.len() > ENTRIES_MAX {
            let oldest = hosts.iter().min_by_key(|(_, (_, since))| *since).map(|(host, _)| host.clone());
            hosts.remove(&oldest.unwrap_or_default());
        }
    }

    pub(super) fn host(&self, host: &str) -> Option<Class> {
        let hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let (class, since) = hosts.get(host)?;
        (mark().duration_since(*since) < AGE_MAX).then_some(*class)
    }

    fn read<T>(&self, url: &Url, read: impl FnOnce(&Habit) -> T) -> Option<T> {
        let urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
        let habit = urls.get(url.as_str())?;
        (mark().duration_since(habit.since) < AGE_MAX).then(|| read(habit))
    }

    fn change<T>(&self, url: &Url, change: impl FnOnce(&mut Habit) -> T) -> T {
        let mut urls = self.urls.lock().unwrap_or_else(PoisonError::into_inner);
        let now = mark();
        urls.retain(|_, habit| now.duration_since(habit.since) < AGE_MAX);
        if urls.len() >= ENTRIES_MAX && !urls.contains_key(url.as_str()) {
            let oldest = urls.iter().min_by_key(|(_, habit)| habit.since).map(|(url, _)| url.clone());
            urls.remove(&oldest.unwrap_or_default());
        }
        let habit = urls.entry(url.as_str().to_owned()).or_insert(Habit {
            head_lies: false,
            no_ranges: false,
            one_range: false,
            strikes: 0,
            shortcut: None,
            since: now,
        });
        change(habit)
    }
}

/// URLs, and hosts, remembered at most.
const ENTRIES_MAX: usize = 256;
/// How long anything is remembered.
const AGE_MAX: Duration = Duration::from_secs(3_600);
/// How long a chain of redirects is not walked again: signed targets live for minutes.
const SHORTCUT_AGE_MAX: Duration = Duration::from_secs(120);
/// Broken answers in a row after which asking again is useless (D05).
const STRIKES_MAX: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn d05_the_third_broken_answer_in_a_row_is_hopeless() {
        let habits = Habits::default();
        let url = Url::parse("http://a.example/").unwrap();
        assert!(!habits.strike(&url) && !habits.strike(&url));
        habits.forgive(&url);
        assert!(!habits.strike(&url) && !habits.strike(&url) && habits.strike(&url));
        assert!(!habits.strike(&url));
    }

    #[tokio::test]
    async fn the_memory_is_bounded() {
        let habits = Habits::default();
        for index in 0..ENTRIES_MAX + 9 {
            habits.deny_ranges(&Url::parse(&format!("http://a.example/{index}")).unwrap());
            habits.note_host(&format!("h{index}"), Class::Global);
        }
        assert_eq!(habits.urls.lock().unwrap().len(), ENTRIES_MAX);
        assert_eq!(habits.hosts.lock().unwrap().len(), ENTRIES_MAX);
        let last = Url::parse(&format!("http://a.example/{}", ENTRIES_MAX + 8)).unwrap();
        assert!(habits.are_ranges_denied(&last));
    }
}
