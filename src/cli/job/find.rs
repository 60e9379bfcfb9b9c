//! The one job that somebody means.
//!
//! Knows: that a job is named by its name or by the first digits of its id, and what is done where that fits several.
//! Does not know: what is wanted of it.

use super::called;
use crate::cli::exit::{Exit, Stop};
use crate::control::api::{JobId, JobView, ListJobs};
use crate::control::client::Client;

/// Jobs that an error names, if a name fits several.
const LISTED_MAX: usize = 8;

/// The job that is meant: one of one's own, else, for an administrator, one of another user.
pub(super) async fn find(client: &Client, text: &str) -> Result<JobView, Stop> {
    if let Ok(id) = text.parse::<JobId>() {
        return client.job(id).await.map_err(|error| {
            let Stop { exit, line } = error.into();
            let line = if exit == Exit::NotFound { not_known(id) } else { line };
            Stop { exit, line }
        });
    }
    let own = client.jobs().await?;
    let stop = match choose(own, text) {
        Err(stop) if stop.exit == Exit::NotFound => stop,
        found => return found,
    };
    // Who is no administrator is refused this, and has no other jobs.
    match client.jobs_where(&ListJobs { all: true, ..ListJobs::default() }).await {
        Ok(all) => choose(all, text),
        Err(_) => Err(stop),
    }
}

/// Several of them, each named for itself, and what was said of those that are not there.
pub(super) async fn find_all(client: &Client, texts: &[String]) -> Result<(Vec<JobView>, Vec<Stop>), Stop> {
    let (mut found, mut missing): (Vec<JobView>, Vec<Stop>) = (Vec::new(), Vec::new());
    for text in texts {
        match find(client, text).await {
            Ok(view) if found.iter().any(|other| other.id == view.id) => {}
            Ok(view) => found.push(view),
            Err(stop) if stop.exit == Exit::NotFound => missing.push(stop),
            Err(stop) => return Err(stop),
        }
    }
    Ok((found, missing))
}

/// What is said of an id that the node does not know: whoever has it got it from the node.
fn not_known(id: JobId) -> String {
    format!(
        "job {id} is not known, or not any more: of jobs that are over the last 1024 are listed, unless they were \
         forgotten (BG_E_NOT_FOUND); `nearbits job list` shows all"
    )
}

/// Names come before digits, and jobs that are not over before those that are.
fn choose(jobs: Vec<JobView>, text: &str) -> Result<JobView, Stop> {
    let (named, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|view| view.name == text);
    let (open, over): (Vec<_>, Vec<_>) = named.into_iter().partition(|view| !view.state.is_final());
    if !open.is_empty() {
        return only(open, &format!("several jobs are called {text:?}"));
    }
    if !over.is_empty() {
        return only(over, &format!("several jobs were called {text:?}"));
    }
    let start = text.to_lowercase();
    let begins = |view: &JobView| !start.is_empty() && view.id.to_string().starts_with(&start);
    let found: Vec<JobView> = others.into_iter().filter(begins).collect();
    if found.is_empty() {
        let line = format!(
            "no job is called {text:?}, and no id starts like this: `nearbits job list` shows all jobs"
        );
        return Err(Stop::new(Exit::NotFound, line));
    }
    only(found, &format!("several ids start with {text:?}"))
}

fn only(mut jobs: Vec<JobView>, problem: &str) -> Result<JobView, Stop> {
    if jobs.len() > 1 {
        let rest = jobs.len().saturating_sub(LISTED_MAX);
        let listed: Vec<String> = jobs.iter().take(LISTED_MAX).map(called).collect();
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        return Err(Stop::usage(format!("{problem}: write digits of its id: {}{more}", listed.join(", "))));
    }
    jobs.pop().ok_or_else(|| Stop::new(Exit::NotFound, "there is no such job"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::JobState;

    fn job(first: u8, name: &str, state: JobState) -> JobView {
        let mut id = [7; 16];
        id[0] = first;
        JobView { id: JobId(id), name: name.into(), state, ..JobView::default() }
    }

    fn chosen(jobs: &[JobView], text: &str) -> Result<u8, (Exit, String)> {
        choose(jobs.to_vec(), text).map(|view| view.id.0[0]).map_err(|stop| (stop.exit, stop.line))
    }

    #[test]
    fn a_job_is_found_by_its_name_or_by_digits_of_its_id() {
        let jobs = [
            job(0xab, "update", JobState::Queued),
            job(0xac, "ab", JobState::Queued),
            job(0xba, "driver", JobState::Suspended),
        ];
        assert_eq!(chosen(&jobs, "update"), Ok(0xab));
        assert_eq!(chosen(&jobs, "AB0"), Ok(0xab));
        assert_eq!(chosen(&jobs, "b"), Ok(0xba));
        assert_eq!(chosen(&jobs, "ab"), Ok(0xac), "a name comes before digits");
    }

    #[test]
    fn cli_31_a_name_that_fits_several_jobs_is_an_error_that_lists_them() {
        let jobs = [job(1, "update", JobState::Queued), job(2, "update", JobState::Error)];
        let (exit, line) = chosen(&jobs, "update").expect_err("two jobs");
        assert_eq!(exit, Exit::Usage);
        assert!(line.contains("01070707 update, 02070707 update"), "{line}");
        let (exit, line) = chosen(&jobs, "0").expect_err("two jobs");
        assert!(exit == Exit::Usage && line.contains("01070707"), "{line}");
        assert_eq!(chosen(&jobs, "up").expect_err("no job").0, Exit::NotFound);
        assert_eq!(chosen(&jobs, "").expect_err("no job").0, Exit::NotFound);
    }

    #[test]
    fn a_job_that_is_over_does_not_hide_one_that_is_not() {
        let jobs = [
            job(1, "update", JobState::Acknowledged),
            job(2, "update", JobState::Queued),
            job(3, "old", JobState::Cancelled),
        ];
        assert_eq!(chosen(&jobs, "update"), Ok(2));
        assert_eq!(chosen(&jobs, "old"), Ok(3));
    }
}
