//! `job why`: who was asked for every range, who was passed over, under which flag, policy or trust rule.
//!
//! Knows: how decisions read. Does not know: how they are made.

use super::find::find;
use super::{because, called};
use crate::cli::args::WhyArgs;
use crate::cli::exit::{Exit, Stop};
use crate::cli::words::flags_text;
use crate::cli::{reach, say, summary, table};
use crate::control::api::{Decision, JobView, PeerFlags};

pub(super) async fn run(args: &WhyArgs) -> Result<Exit, Stop> {
    let ask = &args.one.ask;
    let client = reach::running(&ask.place).await?;
    let view = find(&client, &args.one.job).await?;
    if let Some(file) = args.file.filter(|file| usize::from(*file) >= view.files_total) {
        let count = view.files_total;
        let files = if count == 1 { "file" } else { "files" };
        let line = format!("the job has {count} {files}, counted from 0: there is no file {file}");
        return Err(Stop::new(Exit::NotFound, line));
    }
    let mut decisions = client.why(view.id).await?;
    if let Some(file) = args.file {
        // In a job of one file decisions do not name it.
        decisions.retain(|decision| decision.file.unwrap_or_default() == file);
    }
    if ask.json {
        return table::json(&decisions);
    }
    let spec = client.spec(view.id).await?;
    say::line(heading(&view, spec.flags, client.flags().await.ok().map(|flags| flags.holds())));
    if decisions.is_empty() {
        say::line(if view.state.is_final() {
            "why is not kept: it is of the last 64 jobs that are over"
        } else {
            "nothing was decided yet"
        });
    }
    let mut files: Vec<Option<u16>> = decisions.iter().map(|decision| decision.file).collect();
    files.sort_unstable();
    files.dedup();
    for file in files {
        if let Some(index) = file {
            let url = spec.files.get(usize::from(index)).map_or("", |file| file.url.as_str());
            say::line(format_args!("file {index}: {url}"));
        }
        let of_file: Vec<Decision> = decisions.iter().filter(|made| made.file == file).cloned().collect();
        say::line(summary::why(&of_file));
    }
    Ok(Exit::Done)
}

/// What holds for all its ranges: state, trust, both halves of the permissions (PEER-2).
fn heading(view: &JobView, job: PeerFlags, computer: Option<PeerFlags>) -> String {
    let mut text = format!("{}: {}{}", called(view), view.state.name(), because(view));
    if !view.trust.is_empty() {
        text = format!("{text}\ntrust: {}", view.trust);
    }
    text = format!("{text}\npeers: the job allows {}", flags_text(job));
    match computer {
        Some(computer) => {
            let both = flags_text(job.and(computer));
            format!("{text}, the computer {}: {both} holds", flags_text(computer))
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_2_the_heading_tells_which_half_of_a_permission_is_missing() {
        let view = JobView { name: "update".into(), ..JobView::default() };
        let client = PeerFlags { client: true, server: false };
        let text = heading(&view, PeerFlags::BOTH, Some(client));
        assert!(text.ends_with("the job allows client,server, the computer client: client holds"), "{text}");
        assert!(heading(&view, client, None).ends_with("the job allows client"));
    }
}
