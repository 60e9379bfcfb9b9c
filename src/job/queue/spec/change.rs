//! A change of a job: all of it, or nothing.
//!
//! Knows: which properties may change when and by whom (JOB-7, FILE-4, 12, 13, 20..24, HTTP-36, 37). Does not know:
//! what running transfers do about it.

use peer_proto::digest::Digest;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::super::super::{
    Ask, Existing, Headers, OneGroup, PeerFlags, Priority, Rates, Redirects, TrustFloor,
};
use super::{FileSpec, Limits, NotifyFlags, RETRY_DELAY_MIN_S, Spec, SpecError};

/// A change of a job. What is absent stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[schema(as = JobChange)]
pub struct Change {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another description; an empty one removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Files that are added behind those there are: all, or none (FILE-4).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add_files: Vec<FileSpec>,
    /// Another URL for the file of this index (FILE-12).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<(u16, String)>,
    /// Other digests for the file of this index, instead of those it had; none leaves it without. Only while the file is in
    /// error, or nothing of it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<(u16, Vec<String>)>)]
    pub digests: Option<(u16, Vec<Digest>)>,
    /// In the URLs of all files that begin with the first text, the second one takes its place (FILE-13). Files that do
    /// not begin so, and mirrors, stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_prefix: Option<(String, String)>,
    /// Another priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Other permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<PeerFlags>,
    /// Whether no BranchCache is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_branch_cache: Option<bool>,
    /// Another floor of trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustFloor>,
    /// Whom else to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<Ask>,
    /// The only group to keep to; null for all there are.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    #[schema(value_type = Option<OneGroup>)]
    pub group: Option<InGroup>,
    /// Whether attestors may vouch for its URLs although they have a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shareable: Option<bool>,
    /// Whether it completes by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_complete: Option<bool>,
    /// What happens when a destination's name is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
    /// Other limits of speed, all three at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// Another retry delay, in seconds; under 5 it is raised to 5 (LIM-1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_delay_s: Option<u64>,
    /// Another no-progress timeout, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_progress_s: Option<u64>,
    /// Another time in all, in seconds; 0 gives the job the policy's again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_time_s: Option<u64>,
    /// Other header lines instead of those there are; none removes them. The owner's to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
    /// Whether nobody can read the header lines any more. Never taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_write_only: Option<bool>,
    /// What a redirect does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirects: Option<Redirects>,
    /// Bytes it may take in all, before the first Resume; null for as many as there are.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "named")]
    #[schema(value_type = Option<u64>, minimum = 1)]
    pub max_size: Option<MaxSize>,
    /// Whether its files are dynamic, before the first Resume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic: Option<bool>,
    /// Whether only what somebody asks for is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<bool>,
    /// Other events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<NotifyFlags>,
    /// Other milliseconds between events of changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_interval_ms: Option<u32>,
    /// Whether folders that are missing are made, for files added from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_dirs: Option<bool>,
}

impl Change {
    /// What makes a job that is there do what a new one of the same files was to do: how urgent it is, what must vouch
    /// for its bytes, who is asked, how fast, how often and how long it is tried, what becomes of taken names. `None` if nothing of that differs.
    #[must_use]
    pub fn between(known: &Spec, wanted: &Spec) -> Option<Self> {
        let change = Self {
            priority: differing(&known.priority, &wanted.priority),
            trust: differing(&known.trust, &wanted.trust),
            ask: differing(&known.ask, &wanted.ask),
            group: differing(&known.group, &wanted.group).map(InGroup),
            shareable: differing(&known.shareable, &wanted.shareable),
            existing: differing(&known.existing, &wanted.existing),
            rates: differing(&known.rates, &wanted.rates),
            retry_delay_s: differing(&known.retry_delay_s, &wanted.retry_delay_s),
            no_progress_s: differing(&known.no_progress_s, &wanted.no_progress_s),
            max_time_s: differing(&known.max_time_s.unwrap_or(0), &wanted.max_time_s.unwrap_or(0)),
            redirects: differing(&known.redirects, &wanted.redirects),
            ..Self::default()
        };
        (change != Self::default()).then_some(change)
    }
}

/// How many bytes a job may take in all; none for as many as there are (FILE-24).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MaxSize(pub Option<u64>);

/// Which group a job keeps to; none for all there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InGroup(pub Option<OneGroup>);

/// What is named counts, null too.
fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn differing<T: Clone + PartialEq>(known: &T, wanted: &T) -> Option<T> {
    (known != wanted).then(|| wanted.clone())
}

/// When a job is changed, and by whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Whether the job was ever resumed.
    pub has_run: bool,
    /// Whether its state is final.
    pub is_over: bool,
    /// Whether its owner asks. Administrators may change everything but header lines (HTTP-36).
    pub is_owner: bool,
}

impl Spec {
    /// The job after a change. If a prefix is replaced that no file has, that is no error and changes nothing.
    ///
    /// # Errors
    /// The first [`SpecError`] found; then nothing of the change counts. The limits hold for files that are added; a
    /// job may have more from before.
    pub fn apply(&self, change: &Change, moment: &Moment, limits: &Limits) -> Result<Self, SpecError> {
        self.may_change(change, moment)?;
        let mut next = self.clone();
        if let Some((index, url)) = &change.url {
            let (file, count) = (usize::from(*index), next.files.len());
            next.files.get_mut(file).ok_or(SpecError::NoSuchFile { file, count })?.url.clone_from(url);
        }
        if let Some((index, digests)) = &change.digests {
            let (file, count) = (usize::from(*index), next.files.len());
            let file = next.files.get_mut(file).ok_or(SpecError::NoSuchFile { file, count })?;
            file.digests.clone_from(digests);
            // What names the digests now is whoever changed them.
            file.digest_from = None;
        }
        if let Some((old, new)) = &change.replace_prefix {
            if old.is_empty() || new.is_empty() {
                return Err(SpecError::EmptyPrefix);
            }
            for file in &mut next.files {
                if let Some(rest) = file.url.strip_prefix(old.as_str()) {
                    file.url = format!("{new}{rest}");
                }
            }
        }
        next.files.extend(change.add_files.iter().cloned());
        next.set_properties(change);
        next.check_properties()?;
        next.check_files(self.files.len(), limits)?;
        Ok(next)
    }

    fn may_change(&self, change: &Change, moment: &Moment) -> Result<(), SpecError> {
        if moment.is_over {
            return Err(SpecError::Over);
        }
        if moment.has_run && change.dynamic.is_some() {
            return Err(SpecError::AfterResume { property: "dynamic" });
        }
        if moment.has_run && change.max_size.is_some() {
            return Err(SpecError::AfterResume { property: "max-size" });
        }
        if !moment.is_owner && (change.headers.is_some() || change.headers_write_only.is_some()) {
            return Err(SpecError::NotOwner);
        }
        if self.headers_write_only && change.headers_write_only == Some(false) {
            return Err(SpecError::WriteOnlyForGood);
        }
        Ok(())
    }

    fn set_properties(&mut self, change: &Change) {
        set(&mut self.name, change.name.as_ref());
        set(&mut self.description, change.description.as_ref());
        set(&mut self.priority, change.priority.as_ref());
        set(&mut self.flags, change.flags.as_ref());
        set(&mut self.disable_branch_cache, change.disable_branch_cache.as_ref());
        set(&mut self.trust, change.trust.as_ref());
        set(&mut self.ask, change.ask.as_ref());
        set(&mut self.group, change.group.map(|InGroup(group)| group).as_ref());
        set(&mut self.shareable, change.shareable.as_ref());
        set(&mut self.auto_complete, change.auto_complete.as_ref());
        set(&mut self.existing, change.existing.as_ref());
        set(&mut self.rates, change.rates.as_ref());
        set(&mut self.retry_delay_s, change.retry_delay_s.map(|delay| delay.max(RETRY_DELAY_MIN_S)).as_ref());
        set(&mut self.no_progress_s, change.no_progress_s.as_ref());
        set(&mut self.max_time_s, change.max_time_s.map(|time| (time > 0).then_some(time)).as_ref());
        set(&mut self.headers, change.headers.as_ref());
        set(&mut self.headers_write_only, change.headers_write_only.as_ref());
        set(&mut self.redirects, change.redirects.as_ref());
        set(&mut self.max_size, change.max_size.map(|MaxSize(most)| most).as_ref());
        set(&mut self.dynamic, change.dynamic.as_ref());
        set(&mut self.on_demand, change.on_demand.as_ref());
        set(&mut self.notify, change.notify.as_ref());
        set(&mut self.notify_interval_ms, change.notify_interval_ms.as_ref());
        set(&mut self.create_dirs, change.create_dirs.as_ref());
    }
}

fn set<T: Clone>(place: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        place.clone_from(value);
    }
}
