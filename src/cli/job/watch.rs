//! `job watch`: a live view until all jobs are settled.
//!
//! Knows: bars on a terminal, lines elsewhere, JSON where it was asked for. Does not know: how rates and words about a
//! job come about (`board`).

mod board;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;

use self::board::{Board, Seen, SourceRates};
use super::called;
use super::find::find_all;
use crate::cli::args::WatchArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::{reach, say, signals, table};
use crate::clock::Clock;
use crate::control::api::{JobId, JobView, ListJobs};
use crate::control::client::Client;

/// Letters of a job's name beside its bar.
const NAME_CHARS: usize = 20;

/// A job after a change, as JSON.
#[derive(Serialize)]
struct Changed<'a> {
    #[serde(flatten)]
    view: &'a JobView,
    rates: SourceRates,
}

pub(super) async fn run(args: &WatchArgs) -> Result<Exit, Stop> {
    let client = reach::running(&args.ask.place).await?;
    let (named, missing) = find_all(&client, &args.jobs).await?;
    if let Some(stop) = missing.into_iter().next() {
        return Err(stop);
    }
    let own: Vec<JobId> = client.jobs().await?.iter().map(|view| view.id).collect();
    let all = args.all_users || named.iter().any(|view| !own.contains(&view.id));
    let board = Board::new(named.iter().map(|view| view.id).collect());
    let output = Output::new(args.ask.json);
    let wanted = ListJobs { all, ..ListJobs::default() };
    let refresh = Duration::from_millis(args.refresh);
    tokio::select! {
        exit = look_on(&client, board, output, &wanted, refresh) => exit,
        () = signals::interrupted() => Err(Stop::new(Exit::Interrupted, "interrupted; the jobs go on")),
    }
}

async fn look_on(
    client: &Client,
    mut board: Board,
    mut output: Output,
    wanted: &ListJobs,
    refresh: Duration,
) -> Result<Exit, Stop> {
    let clock = Clock::start();
    let mut delivers_itself: BTreeMap<JobId, bool> = BTreeMap::new();
    loop {
        let jobs = client.jobs_where(wanted).await?;
        board.keep(&jobs);
        for view in jobs {
            if !board.wants(&view) {
                continue;
            }
            let at_once = match delivers_itself.get(&view.id) {
                Some(known) => *known,
                None => client.spec(view.id).await?.auto_complete,
            };
            delivers_itself.insert(view.id, at_once);
            if let Some(seen) = board.see(view, at_once, clock.monotonic()) {
                output.show(&seen)?;
            }
        }
        if let Some(exit) = board.exit() {
            output.finish(board.is_empty());
            return Ok(exit);
        }
        tokio::time::sleep(refresh).await;
    }
}

/// Where changes are shown.
enum Output {
    Bars {
        all: MultiProgress,
        bars: BTreeMap<JobId, ProgressBar>,
    },
    /// What was said last of each job.
    Lines(BTreeMap<JobId, String>),
    Json,
}

impl Output {
    fn new(is_json: bool) -> Self {
        if is_json {
            Self::Json
        } else if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
            Self::Bars { all: MultiProgress::new(), bars: BTreeMap::new() }
        } else {
            Self::Lines(BTreeMap::new())
        }
    }

    fn show(&mut self, seen: &Seen) -> Result<(), Stop> {
        let view = seen.view;
        match self {
            Self::Json => return table::json_line(&Changed { view, rates: seen.rates }),
            Self::Lines(said) => {
                // A tenth of the file is worth a line, a block is not.
                if said.insert(view.id, seen.step()).as_deref() != Some(seen.step().as_str()) {
                    say::line(format_args!("{}: {}", called(view), seen.text()));
                }
            }
            Self::Bars { all, bars } => {
                let bar = bars.entry(view.id).or_insert_with(|| {
                    let bar = all.add(ProgressBar::new(0));
                    bar.set_style(style());
                    bar.set_prefix(prefix(view));
                    bar
                });
                bar.set_length(view.len.unwrap_or_default().max(1));
                bar.set_position(board::arrived(view));
                bar.set_message(seen.brief());
                if seen.is_settled {
                    bar.abandon();
                }
            }
        }
        Ok(())
    }

    fn finish(&self, is_empty: bool) {
        if is_empty && !matches!(self, Self::Json) {
            say::line("no job is on its way; `nearbits job list` shows those that are settled");
        }
    }
}

fn prefix(view: &JobView) -> String {
    let called = called(view);
    if called.chars().count() <= NAME_CHARS {
        return called;
    }
    called.chars().take(NAME_CHARS - 1).chain(['…']).collect()
}

fn style() -> ProgressStyle {
    // A template that cannot be read shows as the default one.
    ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar())
}

const TEMPLATE: &str = "{prefix:20} {bar:8} {wide_msg}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_can_be_read_and_long_names_are_cut() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
        let view = JobView { name: "n".repeat(60), ..JobView::default() };
        assert_eq!(prefix(&view).chars().count(), NAME_CHARS);
        assert!(prefix(&view).starts_with("00000000 nnn") && prefix(&view).ends_with('…'));
    }
}
