//! `job list`: all jobs, or some.
//!
//! Knows: which columns people want, patterns for names (CLI-36). Does not know: who may see which jobs.

use super::show::priority;
use super::{reason_and_retry, short, state, stored};
use crate::cli::args::ListArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::{person, reach, say, table};
use crate::control::api::{JobId, JobView, ListJobs};

/// Jobs that are over and have a row where all jobs are listed for people.
const OVER_MAX: usize = 64;

pub(super) async fn run(args: &ListArgs) -> Result<Exit, Stop> {
    let client = reach::running(&args.ask.place).await?;
    let wanted = ListJobs { all: args.all_users, state: args.state.map(Into::into), name: None };
    let mut jobs = client.jobs_where(&wanted).await?;
    jobs.sort_by_key(|view| (view.times.created_unix_ms, view.id));
    if let Some(pattern) = &args.name {
        let pattern: Vec<char> = pattern.chars().collect();
        jobs.retain(|view| fits(&pattern, &view.name.chars().collect::<Vec<_>>()));
    }
    if args.ask.json {
        return table::json(&jobs);
    }
    let mut header = vec!["job", "name", "state", "priority", "files", "stored", "reason"];
    if args.all_users {
        header.insert(1, "owner");
    }
    let is_some = args.name.is_some() || args.state.is_some();
    let hidden = if is_some { 0 } else { hide_over(&mut jobs) };
    let mut rows = table::new(&header);
    for view in &jobs {
        rows.add_row(row(view, args.all_users));
    }
    table::print(&rows, if is_some { "no job is like this" } else { "there are no jobs" });
    if hidden > 0 {
        say::note(format_args!("{hidden} more are over: --json, --state and --name show them"));
    }
    let damaged = client.status().await?.damaged_jobs.len();
    if damaged > 0 {
        let count = if damaged == 1 { "1 job".to_owned() } else { format!("{damaged} jobs") };
        say::note(format_args!(
            "{count} could not be read: `nearbits status` says which, and where what was fetched is"
        ));
    }
    Ok(Exit::Done)
}

/// Leaves the last of those that are over; gives how many that are not shown.
fn hide_over(jobs: &mut Vec<JobView>) -> usize {
    let mut ended: Vec<(i64, JobId)> = jobs
        .iter()
        .filter(|view| view.state.is_final())
        .map(|view| (view.times.modified_unix_ms, view.id))
        .collect();
    ended.sort_unstable();
    let hidden = ended.len().saturating_sub(OVER_MAX);
    ended.truncate(hidden);
    jobs.retain(|view| !ended.contains(&(view.times.modified_unix_ms, view.id)));
    hidden
}

fn row(view: &JobView, with_owner: bool) -> Vec<String> {
    let mut row = vec![
        short(view),
        view.name.clone(),
        state(view).to_owned(),
        priority(view.priority).to_owned(),
        format!("{}/{}", view.files_transferred, view.files_total),
        stored(view),
        reason_and_retry(view),
    ];
    if with_owner {
        row.insert(1, person::user(view.owner));
    }
    row
}

/// Whether a text is what a pattern means: `*` any letters, `?` one, `[a-r]` one of these.
fn fits(pattern: &[char], text: &[char]) -> bool {
    // Where to go on if the last star took one letter more.
    let mut star: Option<(usize, usize)> = None;
    let (mut at, mut letter) = (0, 0);
    loop {
        if pattern.get(at) == Some(&'*') {
            star = Some((at + 1, letter));
            at += 1;
            continue;
        }
        match (text.get(letter), pattern.get(at)) {
            (None, None) => return true,
            (Some(found), Some(_)) if let Some(len) = one(&pattern[at..], *found) => {
                (at, letter) = (at + len, letter + 1);
                continue;
            }
            _ => {}
        }
        match star {
            Some((after, taken)) if taken < text.len() => {
                star = Some((after, taken + 1));
                (at, letter) = (after, taken + 1);
            }
            _ => return false,
        }
    }
}

/// How much of the pattern means this one letter; `None` if it means another one.
fn one(pattern: &[char], found: char) -> Option<usize> {
    let first = *pattern.first()?;
    let class = (first == '[').then(|| pattern.iter().position(|letter| *letter == ']')).flatten();
    let Some(end) = class.filter(|end| *end > 1) else {
        return (first == '?' || first == found).then_some(1);
    };
    let mut letters = &pattern[1..end];
    while let Some((from, rest)) = letters.split_first() {
        let (to, rest) = match rest {
            ['-', to, rest @ ..] => (to, rest),
            rest => (from, rest),
        };
        if (*from..=*to).contains(&found) {
            return Some(end + 1);
        }
        letters = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::api::JobState;

    #[test]
    fn job_10_of_jobs_that_are_over_people_are_shown_the_last_64() {
        let view = |at: u8, state| {
            let mut view = JobView { id: JobId([at; 16]), state, ..JobView::default() };
            view.times.modified_unix_ms = i64::from(at);
            view
        };
        let mut jobs: Vec<JobView> = (0..80).map(|at| view(at, JobState::Acknowledged)).collect();
        jobs.insert(7, view(100, JobState::Queued));
        assert_eq!((hide_over(&mut jobs), jobs.len()), (16, OVER_MAX + 1));
        assert!(jobs.iter().all(|view| view.times.modified_unix_ms >= 16), "the first ones are hidden");
        assert_eq!((hide_over(&mut jobs), jobs.len()), (0, OVER_MAX + 1));
    }

    fn is_like(pattern: &str, text: &str) -> bool {
        fits(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
    }

    #[test]
    fn cli_36_a_pattern_has_stars_question_marks_and_ranges() {
        for (pattern, text) in [
            ("update", "update"),
            ("*", ""),
            ("up*e", "update"),
            ("*d*d*", "added dust"),
            ("u?date", "update"),
            ("[a-r]x", "bx"),
            ("[xyz-]1", "-1"),
            ("a*b*c", "aXbYbZc"),
            ("[", "["),
            ("[]", "[]"),
            ("ü*", "übung"),
        ] {
            assert!(is_like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("update", "updates"), ("", "a"), ("[a-r]x", "sx"), ("?", ""), ("a*b", "abc"), ("[b-a]", "a")]
        {
            assert!(!is_like(pattern, text), "{pattern} {text}");
        }
    }
}
