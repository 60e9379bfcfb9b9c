//! Parts of remote files, seen through a real node: what is asked of the origin, and what its answers lead to.
//!
//! Knows: one node and one scripted origin. Does not know: peers.

use std::num::NonZeroU64;

use nearbits::job::{Code, Context, JobSpec, JobState, RemoteRange};
use nearbits::node::JobCommand;

use super::lab::{LabNode, wish};
use super::origin_script::{Asked, Payload, Reply, Scripted, Site};

const LEN: u64 = 300_000;

fn site() -> Site {
    Site::new(Payload::new(61, LEN))
}

/// A job of one file that is made of parts of the origin's.
fn parts(node: &LabNode, origin: &Scripted, ranges: &[(u64, u64)]) -> JobSpec {
    let mut spec = wish(origin.url("/payload.bin"), node.path("parts"), Vec::new());
    let range = |(offset, len): &(u64, u64)| RemoteRange { offset: *offset, len: NonZeroU64::new(*len) };
    spec.files[0].ranges = ranges.iter().map(range).collect();
    spec
}

/// Fetches, insists on an error with this code of the file at the origin, and returns what was said.
async fn refused(node: &LabNode, spec: JobSpec, origin: &Scripted, code: Code) -> String {
    let job = node.submit(spec).await;
    let view = node.settled(job).await;
    assert_eq!(view.state, JobState::Error, "{view:#?}");
    let error = view.error.expect("an error has one");
    let found = (error.code, error.context, error.file, error.source);
    assert_eq!(found, (code, Context::RemoteFile, Some(0), Some(origin.url(""))), "{}", error.message);
    assert!(!node.path("parts").exists());
    error.message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rng_5_a_range_outside_the_remote_file_ends_the_job_as_bits_has_it() {
    let origin = Scripted::serve(site()).await;
    let node = LabNode::start(&[]).await;
    for outside in [(LEN - 1, 2), (LEN, 0), (LEN + 5, 1)] {
        let spec = parts(&node, &origin, &[(0, 10), outside]);
        let said = refused(&node, spec, &origin, Code::InvalidRange).await;
        assert!(said.contains(&format!("byte {} ", outside.0)) && said.contains("300000"), "{said}");
    }
    assert!(origin.requests().iter().all(Asked::is_head), "no byte is fetched in vain");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rng_6_an_origin_without_ranges_ends_the_job_whether_it_says_so_or_not() {
    let node = LabNode::start(&[]).await;
    for said in [None, Some("none"), Some("bytes")] {
        let honest = Site { accept_ranges: said.map(str::to_owned), ..site() };
        let origin = Scripted::start(move |asked| {
            let headers = asked.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("range"));
            honest.reply(&Asked { headers: headers.cloned().collect(), ..asked.clone() })
        })
        .await;
        let spec = parts(&node, &origin, &[(100, 10), (5_000, 10)]);
        let words = refused(&node, spec, &origin, Code::InsufficientRangeSupport).await;
        assert!(words.contains("range"), "{words}");
    }
    node.shut_down().await;
}

/// Answers every question for a part with this one.
fn always(honest: &Site, asked: &Asked, start: u64, end: u64) -> Reply {
    match asked.range() {
        Some(_) if !asked.is_head() => {
            vec![honest.part_head(start, end), super::origin_script::Act::Payload(honest.payload, start..end)]
        }
        _ => honest.reply(asked),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rng_6_an_origin_that_gives_other_parts_than_were_asked_for_ends_the_job() {
    let node = LabNode::start(&[]).await;
    let origin = Scripted::start(|asked| always(&site(), asked, 1_000, 2_000)).await;
    let spec = parts(&node, &origin, &[(500, 1_000), (5_000, 10)]);
    let words = refused(&node, spec, &origin, Code::InvalidServerResponse).await;
    assert!(words.contains("Content-Range"), "{words}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rng_6_what_a_merged_answer_has_of_the_part_that_was_asked_for_is_taken() {
    let node = LabNode::start(&[]).await;
    let origin = Scripted::start(|asked| always(&site(), asked, 400, 6_000)).await;
    node.fetch(parts(&node, &origin, &[(5_000, 10), (500, 1_000)])).await;
    let payload = site().payload;
    let wanted = [payload.bytes(5_000..5_010), payload.bytes(500..1_500)].concat();
    assert!(std::fs::read(node.path("parts")).unwrap() == wanted);
    node.shut_down().await;
}

/// What the origin was asked for, heads left out.
fn asked(origin: &Scripted) -> Vec<(u64, Option<u64>)> {
    let gets = origin.requests().into_iter().filter(|asked| !asked.is_head());
    gets.map(|asked| asked.range().unwrap_or((0, None))).collect()
}

fn requested(ranges: &[(u64, u64)]) -> JobCommand {
    let range = |(offset, len): &(u64, u64)| RemoteRange { offset: *offset, len: NonZeroU64::new(*len) };
    JobCommand::RequestRanges { file: 0, ranges: ranges.iter().map(range).collect() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rng_10_and_file_7_what_was_asked_for_is_read_under_the_temporary_name() {
    let payload = Payload::new(62, 4 << 20);
    let origin = Scripted::serve(Site::new(payload)).await;
    let node = LabNode::start(&[]).await;
    let spec = wish(origin.url("/payload.bin"), node.path("film"), Vec::new());
    let job = node.submit(JobSpec { on_demand: true, ..spec }).await;
    assert_eq!(node.settled(job).await.state, JobState::Suspended);
    assert_eq!(asked(&origin), [], "nothing is wanted yet");
    node.handle.command(job, requested(&[(3 << 20, 100_000), (1 << 20, 1), (3 << 20, 5)])).await.unwrap();
    let view = node.settled(job).await;
    assert_eq!(view.state, JobState::Suspended, "{}", view.reason);
    let piece = 65_536;
    assert_eq!(asked(&origin), [(48 * piece, Some(50 * piece)), (16 * piece, Some(17 * piece))]);
    let filled = node.handle.file_ranges(job, 0).await.unwrap().unwrap().filled.unwrap();
    let part = node.handle.files(job).await.unwrap().unwrap().remove(0).temp_path;
    let there = std::fs::read(&part).unwrap();
    for range in &filled {
        let (start, end) = (range.offset, range.offset + range.len.unwrap().get());
        let at = |offset: u64| usize::try_from(offset).unwrap();
        assert!(there[at(start)..at(end)] == payload.bytes(start..end), "{range:?}");
    }
    assert_eq!(filled.iter().map(|range| range.offset).collect::<Vec<_>>(), [16 * piece, 48 * piece]);
    // The rest, and nothing of what is there.
    node.handle.command(job, requested(&[(0, 0)])).await.unwrap();
    let view = node.delivered(job).await;
    assert_eq!((view.bytes.origin, view.bytes.discarded), (payload.len, 0));
    assert!(std::fs::read(node.path("film")).unwrap() == payload.all());
    let mut all = asked(&origin);
    all.sort_unstable();
    let gapless = all.windows(2).all(|pair| pair[0].1.is_some_and(|end| end <= pair[1].0));
    assert!(gapless, "no byte twice: {all:?}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rng_15_and_rng_11_an_ordinary_job_fetches_first_what_somebody_waits_for() {
    let payload = Payload::new(63, 8 << 20);
    let origin = Scripted::serve(Site::new(payload)).await;
    origin.throttle(2_000_000);
    let node = LabNode::start(&[]).await;
    let job = node.submit(wish(origin.url("/payload.bin"), node.path("film"), Vec::new())).await;
    node.stored(job, 500_000).await;
    node.handle.command(job, requested(&[(7 << 20, 65_536)])).await.unwrap();
    node.until(|| asked(&origin).contains(&(7 << 20, Some((7 << 20) + 65_536))), "it is asked for").await;
    node.handle.command(job, JobCommand::SetPosition { file: 0, offset: 5 << 20 }).await.unwrap();
    node.until(|| asked(&origin).iter().any(|(start, _)| *start == 5 << 20), "from there on").await;
    origin.throttle(1 << 30);
    node.delivered(job).await;
    assert!(std::fs::read(node.path("film")).unwrap() == payload.all());
    let requests = asked(&origin);
    assert_eq!(requests[1].0, 7 << 20, "{requests:?}");
    node.shut_down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rng_13_without_ranges_nothing_comes_on_demand() {
    let origin = Scripted::serve(Site { accept_ranges: Some("none".into()), ..site() }).await;
    let node = LabNode::start(&[]).await;
    let spec = wish(origin.url("/payload.bin"), node.path("parts"), Vec::new());
    let spec = JobSpec { on_demand: true, ..spec };
    let words = refused(&node, spec, &origin, Code::RandomAccessNotSupported).await;
    assert!(words.contains("on demand"), "{words}");
    node.shut_down().await;
}
