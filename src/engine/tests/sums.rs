//! Jobs whose digests stand in a publisher's list of checksums.

use std::time::Duration;

use super::world::*;
use crate::job::{JobSpec, JobState};

fn listed() -> JobSpec {
    let mut spec = spec(&[]);
    spec.files[0].digest_from = Some("https://example.org/SHA256SUMS".into());
    spec
}

#[test]
fn trust_11_what_a_list_names_is_as_good_as_a_digest_of_the_job() {
    let truth = file(8 * MIB, 1);
    let mut world = World::new(&truth);
    world.peer(2, &truth, root_digest(&truth), 50_000_000);
    world.lists.push_back(Ok(vec![root_digest(&truth)]));
    world.submit(listed());
    world.run(Duration::from_secs(20));
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
    assert!(world.view().trust.starts_with("level 3 (digest): blake3"), "{}", world.view().trust);
    assert!(world.view().bytes.peers > 0);
}

#[test]
fn trust_11_a_list_that_cannot_be_had_now_is_asked_again_and_nothing_is_fetched_before() {
    let truth = file(MIB, 1);
    let mut world = World::new(&truth);
    world.lists.push_back(Err(transient("the checksums at https://example.org: no connection", None)));
    world.submit(listed());
    world.run_for(500);
    assert_eq!(world.state(), JobState::TransientError);
    assert!(world.view().reason.contains("checksums"), "{}", world.view().reason);
    world.run_for(30_000);
    assert_eq!((world.origin.probes, world.origin.leases), (0, 0), "not a byte of the file");
    world.lists.push_back(Ok(vec![sha256()]));
    world.lists.pop_front();
    world.run(Duration::from_secs(600));
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
}

#[test]
fn trust_11_a_list_that_names_nothing_ends_the_job_and_resume_asks_it_again() {
    let truth = file(MIB, 1);
    let mut world = World::new(&truth);
    world.lists.push_back(Err(fatal("the checksums have no digest of it")));
    world.lists.push_back(Ok(vec![sha256()]));
    world.submit(listed());
    world.run(Duration::from_secs(5));
    assert_eq!(
        (world.state(), world.view().reason.as_str()),
        (JobState::Error, "the checksums have no digest of it")
    );
    assert_eq!(world.origin.probes, 0);
    world.command(crate::engine::io::JobCommand::Resume);
    world.run(Duration::from_secs(20));
    assert_eq!(world.state(), JobState::Acknowledged, "{}", world.view().reason);
}
