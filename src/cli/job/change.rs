//! Settings of a job, from the command line.
//!
//! Knows: which flag is which property. Does not know: which values a job may have; the node says that.

use std::path::Path;

use crate::cli::args::{Limit, SettingArgs};
use crate::cli::exit::Stop;
use crate::cli::say;
use crate::cli::words::parse_headers;
use crate::control::api::{Existing, Headers, JobChange, JobSpec, MaxSize, RETRY_DELAY_MIN_S, Rates};

/// Bytes that are read of a file with header lines: what a job may have, and blank lines.
const HEADER_FILE_LEN_MAX: u64 = 64 * 1024;

/// What the settings say, for a job with these rates.
pub(super) fn change(settings: &SettingArgs, rates: Rates) -> Result<JobChange, Stop> {
    let settings = settings.clone();
    if let Some(delay) = settings.retry_delay.filter(|delay| *delay < RETRY_DELAY_MIN_S) {
        say::note(format_args!("--retry-delay {delay} is raised to {RETRY_DELAY_MIN_S}, the least there is"));
    }
    Ok(JobChange {
        name: settings.name,
        description: settings.description,
        priority: settings.priority.map(Into::into),
        flags: settings.peers,
        disable_branch_cache: settings.disable_branch_cache,
        trust: settings.trust,
        ask: settings.ask,
        shareable: settings.shareable,
        auto_complete: settings.auto_complete,
        existing: settings.overwrite.map(|yes| if yes { Existing::Replace } else { Existing::Refuse }),
        rates: new_rates([settings.limit, settings.limit_wan, settings.limit_lan], rates),
        retry_delay_s: settings.retry_delay,
        no_progress_s: settings.no_progress_timeout,
        max_time_s: settings.max_time,
        max_size: settings.max_size,
        headers: settings.header_file.as_deref().map(headers).transpose()?,
        headers_write_only: settings.headers_write_only.then_some(true),
        redirects: settings.redirect.map(Into::into),
        dynamic: settings.dynamic,
        on_demand: settings.on_demand,
        notify: settings.notify,
        notify_interval_ms: settings.notify_interval,
        create_dirs: settings.create_dirs,
        ..JobChange::default()
    })
}

/// A new job with these settings and no files yet.
pub(super) fn new_job(settings: &SettingArgs) -> Result<JobSpec, Stop> {
    let change = change(settings, Rates::default())?;
    let usual = JobSpec::default();
    Ok(JobSpec {
        name: change.name.unwrap_or(usual.name),
        description: change.description.unwrap_or(usual.description),
        files: Vec::new(),
        priority: change.priority.unwrap_or(usual.priority),
        flags: change.flags.unwrap_or(usual.flags),
        disable_branch_cache: change.disable_branch_cache.unwrap_or(usual.disable_branch_cache),
        trust: change.trust.unwrap_or(usual.trust),
        ask: change.ask.unwrap_or(usual.ask),
        group: None,
        shareable: change.shareable.unwrap_or(usual.shareable),
        auto_complete: change.auto_complete.unwrap_or(usual.auto_complete),
        existing: change.existing.unwrap_or(usual.existing),
        rates: change.rates.unwrap_or(usual.rates),
        retry_delay_s: change.retry_delay_s.unwrap_or(usual.retry_delay_s),
        no_progress_s: change.no_progress_s.unwrap_or(usual.no_progress_s),
        max_time_s: change.max_time_s.filter(|seconds| *seconds > 0),
        headers: change.headers.unwrap_or(usual.headers),
        headers_write_only: change.headers_write_only.unwrap_or(usual.headers_write_only),
        redirects: change.redirects.unwrap_or(usual.redirects),
        max_size: change.max_size.and_then(|MaxSize(most)| most),
        dynamic: change.dynamic.unwrap_or(usual.dynamic),
        on_demand: change.on_demand.unwrap_or(usual.on_demand),
        notify: change.notify.unwrap_or(usual.notify),
        notify_interval_ms: change.notify_interval_ms.unwrap_or(usual.notify_interval_ms),
        create_dirs: change.create_dirs.unwrap_or(usual.create_dirs),
    })
}

/// A job's rates are set all at once: those that are not named stay.
fn new_rates(limits: [Option<Limit>; 3], old: Rates) -> Option<Rates> {
    let [total, wan, lan] = limits;
    let or = |limit: Option<Limit>, old| limit.map_or(old, |Limit(rate)| rate);
    limits.iter().any(Option::is_some).then(|| Rates {
        total: or(total, old.total),
        wan: or(wan, old.wan),
        lan: or(lan, old.lan),
    })
}

fn headers(path: &Path) -> Result<Headers, Stop> {
    let text = super::sources::read(path, HEADER_FILE_LEN_MAX)?;
    parse_headers(&text).map_err(|error| Stop::usage(format!("--header-file {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::control::api::Priority;

    #[test]
    fn limits_that_are_not_named_stay_as_they_are() {
        let rate = NonZeroU64::new;
        let old = Rates { total: rate(1), wan: rate(2), lan: None };
        assert_eq!(new_rates([None; 3], old), None);
        assert_eq!(
            new_rates([None, Some(Limit(None)), Some(Limit(rate(3)))], old),
            Some(Rates { total: rate(1), wan: None, lan: rate(3) })
        );
    }

    #[test]
    fn job_3_a_job_of_which_nothing_is_said_has_bits_defaults() {
        assert_eq!(new_job(&SettingArgs::default()).expect("a job"), JobSpec::default());
        let settings = SettingArgs {
            priority: clap::ValueEnum::from_str("high", false).ok(),
            max_time: Some(0),
            ..Default::default()
        };
        let spec = new_job(&settings).expect("a job");
        assert_eq!((spec.priority, spec.max_time_s), (Priority::High, None));
    }
}
