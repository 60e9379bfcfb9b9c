//! Every code that the engine raises, each by the situation that raises it (ERR-11..60).
//!
//! Knows: jobs as their owner handles them, origins that are away or lack the file. Does not know: what answers of HTTP
//! are called (`transfer::fault`), what callers of the cache are told (`control`).

use std::num::NonZeroU64;
use std::time::Duration;

use super::desk::{Desk, Manner, job, url, wish};
use super::models::ME;
use crate::engine::io::{Input, JobCommand};
use crate::job::{Code, JobChange, JobSpec, JobState, Policy, RemoteRange};

const SECOND: Duration = Duration::from_secs(1);

/// A job that was begun a moment ago, of one file.
fn begun(spec: JobSpec) -> Desk {
    let mut desk = Desk::new();
    desk.submit(job(1), spec);
    desk.run_for(SECOND / 10);
    desk
}

fn commanded(mut desk: Desk, command: JobCommand) -> Desk {
    desk.command(job(1), command);
    desk.run_for(SECOND);
    desk
}

fn changed(desk: Desk, change: JobChange) -> Desk {
    commanded(desk, JobCommand::Change(Box::new(change)))
}

/// A job whose file is whole.
fn whole() -> Desk {
    let mut desk = begun(wish(&["a"]));
    desk.run_for(4 * SECOND);
    assert_eq!(desk.state(job(1)), JobState::Transferred);
    desk
}

fn from(manner: Manner, spec: JobSpec) -> Desk {
    let mut desk = Desk::new();
    desk.manners.insert(url("a"), manner);
    desk.submit(job(1), spec);
    desk.run_for(SECOND);
    desk
}

fn with_ranges(ranges: &[(u64, u64)]) -> JobSpec {
    let mut spec = wish(&["a"]);
    let range = |(offset, len): &(u64, u64)| RemoteRange { offset: *offset, len: NonZeroU64::new(*len) };
    spec.files[0].ranges = ranges.iter().map(range).collect();
    spec
}

fn under(policy: &Policy, jobs: u8, spec: &JobSpec) -> Desk {
    let mut desk = Desk::with(|config| config.policy = policy.over(&Policy::default()));
    for number in 1..=jobs {
        let mut spec = spec.clone();
        spec.files.iter_mut().for_each(|file| file.destination.push(number.to_string()));
        desk.submit_as(job(number), spec, ME, false);
    }
    desk
}

fn left_over() -> Desk {
    let mut desk = begun(wish(&["a"]));
    desk.stuck.insert("/out/a".into());
    commanded(desk, JobCommand::Cancel)
}

fn offline() -> Desk {
    let mut desk = begun(wish(&["a"]));
    desk.tell(Input::NetworkChanged { up: false });
    desk
}

fn without_progress() -> Desk {
    let mut desk = from(Manner::Away, JobSpec { no_progress_s: 1_000, retry_delay_s: 300, ..wish(&["a"]) });
    desk.run_for(9 * SECOND);
    desk.skip(1_100 * SECOND);
    desk
}

fn too_slow() -> Desk {
    let mut desk = from(Manner::Gives(100_000), JobSpec { max_time_s: Some(2), ..wish(&["a"]) });
    desk.run_for(3 * SECOND);
    desk
}

fn unknown() -> Desk {
    let mut desk = Desk::new();
    desk.command(job(9), JobCommand::Suspend);
    desk
}

/// The code that was raised: by a refusal, else by the job's error or its success.
fn raised(desk: &Desk) -> Option<Code> {
    let refused = desk.refusal().map(|(code, _)| code);
    let view = desk.engine.job_view(job(1));
    refused.or_else(|| view.and_then(|view| view.outcome.or(view.error.map(|error| error.code))))
}

/// What is refused or goes wrong whatever the job is made of, and what it has too many of.
fn of_jobs() -> Vec<(Code, Desk)> {
    vec![
        (Code::UnableToDeleteFiles, left_over()),
        (Code::NotFound, unknown()),
        (
            Code::InvalidState,
            commanded(commanded(begun(wish(&["a"])), JobCommand::Cancel), JobCommand::Resume),
        ),
        (Code::Empty, commanded(under(&Policy::default(), 1, &wish(&[])), JobCommand::Resume)),
        (
            Code::FileNotAvailable,
            commanded(begun(wish(&["a"])), JobCommand::Validate { file: 3, valid: true }),
        ),
        (Code::NetworkDisconnected, offline()),
        (Code::StringTooLong, begun(JobSpec { name: "x".repeat(257), ..wish(&["a"]) })),
        (Code::NoProgress, without_progress()),
        (Code::ConnectFailure, from(Manner::Away, wish(&["a"]))),
        (Code::InvalidRange, begun(with_ranges(&[(u64::MAX, 2)]))),
        (Code::OverlappingRanges, begun(with_ranges(&[(0, 10), (5, 10)]))),
        (
            Code::TooManyJobsPerUser,
            under(&Policy { jobs_per_user: Some(1), ..Policy::default() }, 2, &wish(&["a"])),
        ),
        (
            Code::TooManyJobsPerMachine,
            under(&Policy { jobs_per_machine: Some(1), ..Policy::default() }, 2, &wish(&["a"])),
        ),
        (
            Code::TooManyFilesInJob,
            under(&Policy { files_per_job: Some(1), ..Policy::default() }, 1, &wish(&["a", "b"])),
        ),
        (
            Code::TooManyRangesInFile,
            under(
                &Policy { ranges_per_file: Some(1), ..Policy::default() },
                1,
                &with_ranges(&[(0, 1), (5, 1)]),
            ),
        ),
    ]
}

/// What is said of files, times and properties.
fn of_properties() -> Vec<(Code, Desk)> {
    let range = RemoteRange { offset: 0, len: NonZeroU64::new(1) };
    vec![
        (Code::ValidationFailed, commanded(whole(), JobCommand::Validate { file: 0, valid: false })),
        (Code::MaxDownloadTimeout, too_slow()),
        (
            Code::ReadOnlyPropertyAfterResume,
            changed(begun(wish(&["a"])), JobChange { dynamic: Some(true), ..JobChange::default() }),
        ),
        (
            Code::ReadOnlyProperty,
            changed(
                begun(JobSpec { headers_write_only: true, ..wish(&["a"]) }),
                JobChange { headers_write_only: Some(false), ..JobChange::default() },
            ),
        ),
        (Code::MaxDownloadSizeInvalidValue, begun(JobSpec { max_size: Some(0), ..wish(&["a"]) })),
        (
            Code::MaxDownloadSizeLimitReached,
            from(Manner::Gives(100_000), JobSpec { max_size: Some(9), ..wish(&["a"]) }),
        ),
        (
            Code::RandomAccessNotSupported,
            commanded(
                under(&Policy::default(), 1, &JobSpec { dynamic: true, ..wish(&["a"]) }),
                JobCommand::RequestRanges { file: 0, ranges: vec![range] },
            ),
        ),
        (Code::UnsupportedJobConfiguration, begun(JobSpec { dynamic: true, ..with_ranges(&[(0, 1)]) })),
        (Code::Http(404), from(Manner::Missing, wish(&["a"]))),
    ]
}

#[test]
fn err_11_and_err_14_and_err_15_and_err_16_and_err_17_and_err_21_and_err_32_and_err_35_and_err_38_and_err_47_and_err_48_and_err_49_and_err_51_and_err_53_and_err_58_and_err_59_and_err_62_each_code_is_raised_by_what_it_is_for()
 {
    for (code, desk) in of_jobs().into_iter().chain(of_properties()) {
        assert_eq!(raised(&desk), Some(code));
    }
}
