//! Parts of remote files, seen through a real node: what is asked of the origin, and what its answers lead to.
//!
//! Knows: one node and one scripted origin. Does not know: peers.

use std::num::NonZeroU64;

use nearbits::job::{Code, Context, JobSpec, JobState, RemoteRange};

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
