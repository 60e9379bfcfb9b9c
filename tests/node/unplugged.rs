//! A machine whose cable is taken out and put back in, while a job runs.
//!
//! Knows: what the machine's user sees. Does not know: how links are watched.

use nearbits::control::api::Submit;
use nearbits::job::{Code, JobState};

use crate::lab::{assert_exact, blake3_of};
use crate::office::{Addresses, Office, eventually};
use crate::on_link::spec;
use crate::plain_origin::{Content, Manner, PlainOrigin};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_t18_and_job_t13_and_sched_10_a_job_waits_while_the_cable_is_out_and_goes_on_at_once_after_that()
{
    let Some(office) = Office::open(1, Addresses::Both) else { return };
    let content = Content::new(71, 24 << 20);
    let manner = Manner { bytes_per_s: Some(4 << 20), ..Manner::default() };
    let origin = PlainOrigin::start_on(office.origin_listener(), content, manner);
    let daemon = office.daemon(0, &["--no-mdns"]).await;
    let wish = spec(&office, "file", &origin, blake3_of(content));
    // Without the network's return it would wait for an hour.
    let wish = nearbits::job::JobSpec { retry_delay_s: 3_600, ..wish };
    let submit = Submit { spec: wish, adopt: false, start: true };
    let job = daemon.client.submit(&submit).await.expect("a good wish").id;
    let view = async || daemon.client.job(job).await.expect("it is there");
    let begun = async || Some(view().await).filter(|view| view.stored > 4 << 20);
    eventually("bytes", begun).await;
    office.plug(0, false);
    let waits = async || Some(view().await).filter(|view| view.state == JobState::TransientError);
    let waiting = eventually("the job waits", waits).await;
    let error = waiting.error.expect("it says why");
    assert_eq!((error.code, waiting.error_count), (Code::NetworkDisconnected, 0), "JOB-31: not counted");
    office.plug(0, true);
    let done = async || Some(view().await).filter(|view| view.state == JobState::Acknowledged);
    let done = eventually("the job ends", done).await;
    assert_exact(&office.path("file"), content);
    assert!(done.bytes.origin <= content.len + (5 << 20), "{:?}", done.bytes);
    daemon.kill().await;
}
