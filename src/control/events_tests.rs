//! Which events are raised, and what somebody finds who comes back.
//!
//! Knows: a desk that remembers, a door over a real socket. Does not know: nodes.

use super::*;
use crate::control::ControlSocket;
use crate::control::api::{FilePhase, FileView, JobSpec, Submit};
use crate::control::client::{Client, Noticed};
use crate::control::fake::{Fake, open, spec, view};
use crate::control::server::ControlServer;

const JOB: JobId = JobId([7; 16]);

const ALL: NotifyFlags = NotifyFlags {
    job_transferred: true,
    job_error: true,
    disable: false,
    job_modification: true,
    file_transferred: true,
    file_ranges_transferred: true,
};

fn raiser(fake: &Fake) -> Raiser<Fake> {
    Raiser {
        events: Arc::new(Events::new()),
        changes: fake.changes(),
        desk: fake.clone(),
        jobs: BTreeMap::new(),
        quiet: DelayQueue::new(),
    }
}

fn as_it_is(state: JobState, notify: NotifyFlags, interval: u32) -> Box<JobView> {
    let base = view(JOB, &spec());
    let mut view = JobView { state, notify, notify_interval_ms: interval, owner: 1_000, ..base };
    if matches!(state, JobState::Transferred | JobState::Acknowledged) {
        view.times.transferred_unix_ms = Some(9);
    }
    Box::new(view)
}

/// A raiser that knows a job which waits.
fn with_job(notify: NotifyFlags, interval: u32) -> Raiser<Fake> {
    let mut raiser = raiser(&Fake::new());
    raiser.jobs.insert(JOB, Known::of(&as_it_is(JobState::Queued, notify, interval)));
    raiser
}

fn names(raiser: &Raiser<Fake>) -> Vec<&'static str> {
    raiser.events.ring().entries.iter().map(|entry| entry.name).collect()
}

fn file(index: u16) -> Event {
    let spec = spec();
    let file = FileView {
        index,
        url: spec.files[0].url.clone(),
        destination: spec.files[0].destination.clone(),
        temp_path: "/tmp/.a.part".into(),
        ranges: Vec::new(),
        phase: FilePhase::Whole,
        is_moving: false,
        reason: String::new(),
        failure: None,
        len: Some(1),
        stored: 1,
        bytes: crate::control::api::BytesBySource::default(),
        from_peer: false,
        restarts: 0,
        blake3: None,
        sha256: None,
        validation: crate::control::api::Validation::Unknown,
        headers: Vec::new(),
    };
    Event::FileTransferred { job: JOB, file: Box::new(file) }
}

#[tokio::test]
async fn notify_2_a_modification_is_not_raised_for_the_change_into_error_or_transferred() {
    let mut raiser = with_job(ALL, 0);
    for state in [JobState::Transferring, JobState::Error, JobState::Queued, JobState::Transferred] {
        raiser.changed(as_it_is(state, ALL, 0));
    }
    assert_eq!(names(&raiser), ["job.changed", "job.error", "job.changed", "job.transferred"]);
}

#[tokio::test]
async fn notify_2_a_transient_error_is_a_modification_only() {
    let mut raiser = with_job(ALL, 0);
    raiser.changed(as_it_is(JobState::TransientError, ALL, 0));
    assert_eq!(names(&raiser), ["job.changed"]);
}

#[tokio::test]
async fn notify_4_a_file_is_told_before_its_job_and_a_job_that_completes_itself_was_transferred_too() {
    let mut raiser = with_job(ALL, 0);
    raiser.hear(file(0));
    raiser.changed(as_it_is(JobState::Acknowledged, ALL, 0));
    raiser.changed(as_it_is(JobState::Acknowledged, ALL, 0));
    assert_eq!(names(&raiser), ["file.transferred", "job.transferred", "job.over"]);
}

#[tokio::test]
async fn notify_1_flags_choose_and_disable_is_above_all() {
    for (notify, expected) in [
        (NotifyFlags::default(), vec!["job.error", "job.transferred", "job.over"]),
        (NotifyFlags { job_error: false, ..NotifyFlags::default() }, vec!["job.transferred", "job.over"]),
        (NotifyFlags { disable: true, ..ALL }, vec![]),
    ] {
        let mut raiser = with_job(notify, 0);
        raiser.hear(file(0));
        for state in [JobState::Error, JobState::Queued, JobState::Transferred, JobState::Cancelled] {
            raiser.changed(as_it_is(state, notify, 0));
        }
        assert_eq!(names(&raiser), expected, "{notify:?}");
    }
}

#[tokio::test]
async fn lim_6_changes_within_the_interval_become_the_last_of_them() {
    let mut raiser = with_job(ALL, 3_600_000);
    for stored in 1..=5 {
        let view = as_it_is(JobState::Transferring, ALL, 3_600_000);
        raiser.changed(Box::new(JobView { stored, ..*view }));
    }
    assert_eq!((names(&raiser), raiser.quiet.len()), (vec!["job.changed"], 1));
    raiser.quiet.clear();
    raiser.go_on(JOB);
    let last = raiser.events.ring().entries.back().expect("one more").json.clone();
    assert!(last.contains("\"stored\":5"), "{last}");
    assert_eq!((names(&raiser).len(), raiser.quiet.len()), (2, 1));
}

#[tokio::test]
async fn notify_5_a_change_that_is_held_back_is_told_before_the_end_and_not_lost() {
    let mut raiser = with_job(ALL, 3_600_000);
    for state in [JobState::Transferring, JobState::Connecting, JobState::Cancelled] {
        raiser.changed(as_it_is(state, ALL, 3_600_000));
    }
    assert_eq!(names(&raiser), ["job.changed", "job.changed", "job.over"]);
    assert!(raiser.quiet.is_empty() && raiser.jobs.is_empty(), "nothing is left to wait for");
}

#[tokio::test]
async fn lim_20_and_notify_5_and_notify_6_a_reader_that_stands_still_delays_no_other_and_misses_nothing() {
    let open = open().await;
    let mut still = open.client.events(None).await.expect("let in");
    let mut quick = open.client.events(None).await.expect("let in");
    let wanted = Submit { spec: spec(), adopt: false, start: true };
    let id = open.client.submit(&wanted).await.expect("taken").id;
    still.next().await.expect("a reset");
    quick.next().await.expect("a reset");
    let mut told = Vec::new();
    // More than fits into a socket that nobody reads from.
    for _ in 0..1_000 {
        open.fake.accept(id);
        let noticed = quick.next().await.expect("an event");
        assert!(matches!(noticed.notice, Notice::JobCreated { .. }), "{noticed:?}");
        told.push(noticed.id);
    }
    for expected in told {
        assert_eq!(still.next().await.expect("an event").id, expected);
    }
}

#[tokio::test]
async fn notify_3_a_job_that_is_done_before_anybody_looks_is_told_all_the_same() {
    let fake = Fake::new();
    let mut raiser = raiser(&fake);
    let caller = Caller { uid: 1_000, is_administrator: false };
    let id = fake.submit(spec(), caller, true).await.expect("taken");
    let new = fake.job(id).await.expect("answered").expect("there");
    fake.change(id, JobState::Transferred);
    let done = fake.job(id).await.expect("answered").expect("there");
    raiser.hear(Event::JobAccepted(Box::new(new)));
    let created = raiser.events.ring().entries.back().expect("told").json.clone();
    assert!(created.contains("\"state\":\"queued\""), "as it was then: {created}");
    raiser.changed(Box::new(done));
    assert_eq!(names(&raiser), ["job.created", "job.transferred"]);
}

#[test]
fn notify_12_what_is_kept_is_bounded_in_number_and_in_bytes() {
    let small = Entry { owner: 0, name: "job.over", json: "{}".into() };
    let mut ring = Ring::default();
    for _ in 0..KEPT_MAX + 3 {
        ring.push(small.clone());
    }
    assert_eq!((ring.entries.len(), ring.bytes), (KEPT_MAX, 2 * KEPT_MAX));
    let large = Entry { json: "x".repeat(KEPT_BYTES_MAX / 2).into(), ..small };
    for _ in 0..3 {
        ring.push(large.clone());
    }
    assert_eq!((ring.entries.len(), ring.bytes), (2, KEPT_BYTES_MAX));
}

#[test]
fn notify_12_an_id_too_old_or_of_another_boot_is_answered_by_what_is_there() {
    let events = Events::new();
    let root = Caller { uid: 0, is_administrator: true };
    for _ in 0..3 {
        events.ring().push(Entry { owner: 0, name: "job.over", json: "{}".into() });
    }
    let id = |number: u64| format!("{:016x}-{number}", events.boot);
    let comes = |id: &str| match events.after(events.number(id), root) {
        After::Lines(lines, number) => Ok((lines.len(), number)),
        After::Lost(number) => Err(number),
    };
    assert_eq!([comes(&id(0)), comes(&id(1)), comes(&id(3))], [Ok((3, 3)), Ok((2, 3)), Ok((0, 3))]);
    for unknown in [id(4), format!("{:016x}-1", events.boot ^ 1), "1".into(), "x-y".into(), String::new()] {
        assert_eq!(comes(&unknown), Err(3), "{unknown}");
    }
    events.forget();
    assert_eq!([comes(&id(3)), comes(&id(4))], [Err(4), Ok((0, 4))]);
}

async fn next(client: &Client, since: &str) -> Noticed {
    client.events(Some(since)).await.expect("let in").next().await.expect("an event")
}

#[tokio::test]
async fn notify_12_whoever_comes_back_with_the_last_id_gets_every_event_since() {
    let open = open().await;
    let mut events = open.client.events(None).await.expect("let in");
    let first = events.next().await.expect("an event");
    assert_eq!(first.notice, Notice::Reset { jobs: Vec::new() });
    let mut wanted = Submit { spec: spec(), adopt: false, start: true };
    let one = open.client.submit(&wanted).await.expect("taken").id;
    wanted.spec.name = "two".into();
    let two = open.client.submit(&wanted).await.expect("taken").id;
    open.fake.accept(one);
    open.fake.accept(two);
    let mut told = Vec::new();
    while told.len() < 2 {
        let noticed = events.next().await.expect("an event");
        // The node looked around itself after the first one came.
        if let Notice::JobCreated { job } = &noticed.notice {
            told.push((noticed.id.clone(), job.id));
        }
    }
    drop(events);
    let again = next(&open.client, &told[0].0).await;
    assert_eq!(again.id, told[1].0);
    assert!(matches!(&again.notice, Notice::JobCreated { job } if job.id == two), "{again:?}");
    open.fake.change(one, JobState::Cancelled);
    let since = next(&open.client, &told[1].0).await;
    assert!(matches!(&since.notice, Notice::JobOver { job } if job.id == one), "{since:?}");
    assert_eq!(open.server.followers(), 0, "whoever looks at everything keeps no node alive");
}

#[tokio::test]
async fn notify_12_a_reader_of_the_node_that_fell_behind_resets_its_listeners() {
    let open = open().await;
    let mut events = open.client.events(None).await.expect("let in");
    events.next().await.expect("a reset");
    let wanted = Submit { spec: spec(), adopt: false, start: true };
    let id = open.client.submit(&wanted).await.expect("taken").id;
    // No await between them: the room for events that wait is full before anybody reads.
    (0..64).for_each(|_| open.fake.change(id, JobState::Transferring));
    let jobs = loop {
        if let Notice::Reset { jobs } = events.next().await.expect("an event").notice
            && !jobs.is_empty()
        {
            break jobs;
        }
    };
    assert_eq!((jobs[0].id, jobs[0].state), (id, JobState::Transferring));
}

#[tokio::test]
async fn sec_1_nobody_hears_of_the_jobs_of_others() {
    let fake = Fake::new();
    let mine = Caller { uid: 4_242, is_administrator: false };
    let stop = CancellationToken::new();
    let (events, hearing) = Events::of(fake.clone(), stop.clone());
    tokio::spawn(hearing);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let socket = ControlSocket::bind(&folder.path().join("control.sock")).await.expect("a fresh path");
    let path = socket.path().to_owned();
    let _server = ControlServer::start_for(socket, fake.clone(), events, |_| {
        Some(Caller { uid: 4_242, is_administrator: false })
    });
    let client = Client::reach(&path).await.expect("it listens");
    let others = fake.submit(spec(), Caller { uid: 1, ..mine }, true).await.expect("taken");
    let own = fake.submit(JobSpec::for_file("http://o.test/b", "/tmp/b"), mine, true).await.expect("taken");
    let mut heard = client.events(None).await.expect("let in");
    let Notice::Reset { jobs } = heard.next().await.expect("an event").notice else { panic!("no reset") };
    assert_eq!(jobs.iter().map(|view| view.id).collect::<Vec<_>>(), [own]);
    fake.accept(others);
    fake.accept(own);
    loop {
        match heard.next().await.expect("an event").notice {
            Notice::JobCreated { job } => break assert_eq!(job.id, own),
            Notice::Reset { jobs } => assert!(jobs.iter().all(|view| view.id == own)),
            other => panic!("{other:?}"),
        }
    }
    stop.cancel();
}

#[tokio::test]
async fn rng_16_ranges_are_told_to_who_wants_them() {
    for (notify, expected) in [(ALL, vec!["file.ranges"]), (NotifyFlags::default(), vec![])] {
        let mut raiser = with_job(notify, 0);
        let ranges = vec![crate::control::api::RemoteRange { offset: 3, len: std::num::NonZeroU64::new(4) }];
        raiser.hear(Event::FileRanges { job: JOB, file: 1, ranges });
        assert_eq!(names(&raiser), expected, "{notify:?}");
    }
}
