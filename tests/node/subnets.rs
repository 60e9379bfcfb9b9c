//! An office of two subnets with a router between them: one of its machines is a rendezvous, and it is one site.
//!
//! Knows: eight daemons, an origin behind a narrow line, the configuration that people write. Does not know: how an office
//! is made (`office`). What crosses a line is counted on the line: an origin's sockets take bytes that nobody gets.

use std::fmt::Write as _;

use futures::future::join_all;

use crate::lab::sha256_of;
use crate::office::{Addresses, Daemon, Office, eventually};
use crate::on_link::fetch_by;
use crate::plain_origin::{Content, Manner, PlainOrigin};

const MIB: u64 = 1 << 20;
const MACHINES: u8 = 8;
/// Bytes a second that the origin gives, to all of them together.
const LINE: u64 = 4_000_000;
const PORT: u16 = 7_411;

/// Whether the office has a rendezvous.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rendezvous {
    OnFirstMachine,
    Nowhere,
}

/// The daemons of all machines.
async fn daemons(office: &Office, rendezvous: Rendezvous) -> Vec<Daemon> {
    let mut daemons = Vec::new();
    for machine in 0..MACHINES {
        let mut text = format!("[peers]\nlisten = [\"0.0.0.0:{PORT}\"]\n");
        if rendezvous == Rendezvous::OnFirstMachine {
            let line = match machine {
                0 => "roles = [\"rendezvous\"]\n".to_owned(),
                _ => format!("rendezvous = [\"/ip4/{}/tcp/{PORT}\"]\n", office.address(0)),
            };
            text.push_str(&line);
        }
        let path = office.path(&format!("config{machine}"));
        std::fs::write(&path, text).expect("written");
        let path = path.to_str().expect("text").to_owned();
        daemons.push(office.daemon(machine, &["--config", &path]).await);
    }
    daemons
}

/// Waits until every machine has a session with so many others, all of them near.
async fn know_each_other(daemons: &[Daemon], count: usize) {
    for daemon in daemons {
        eventually("its neighbours", async || {
            let peers = daemon.client.peers().await.expect("the daemon answers");
            (peers.iter().filter(|peer| peer.connected && peer.near).count() == count).then_some(())
        })
        .await;
    }
}

/// What came of a file that all of them fetched at once.
struct Fetched {
    /// Bytes that the origin wrote.
    sent: u64,
    /// Bytes of the origin's that reached the jobs.
    kept: u64,
    /// Who took what.
    said: String,
}

/// All of them fetch the same file at once, from an origin that gives so many bytes a second.
async fn fetched_by_all(
    office: &Office,
    daemons: &[Daemon],
    content: Content,
    bytes_per_s: Option<u64>,
) -> Fetched {
    let manner = Manner { bytes_per_s, ..Manner::default() };
    let origin = PlainOrigin::start_on(office.origin_listener(), content, manner);
    let names: Vec<String> =
        (0..daemons.len()).map(|number| format!("copy{number} of {}", content.seed)).collect();
    let jobs = daemons
        .iter()
        .zip(&names)
        .map(|(daemon, name)| fetch_by(office, daemon, name, &origin, content, sha256_of(content)));
    let views = join_all(jobs).await;
    let mut said = String::new();
    for view in &views {
        writeln!(said, "{:?}", view.bytes).expect("memory");
    }
    Fetched { sent: origin.sent(), kept: views.iter().map(|view| view.bytes.origin).sum(), said }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_machines_on_two_subnets_are_one_site_where_there_is_a_rendezvous() {
    let Some(office) = Office::open(MACHINES, Addresses::TwoSubnets) else { return };
    let daemons = daemons(&office, Rendezvous::OnFirstMachine).await;
    know_each_other(&daemons, usize::from(MACHINES) - 1).await;
    let content = Content::new(81, 48 * MIB);
    let Fetched { sent, said, .. } = fetched_by_all(&office, &daemons, content, Some(LINE)).await;
    assert!(sent * 100 <= content.len * 108, "{sent} bytes of {}:\n{said}", content.len);
}

/// All that crosses the line counts, both ways and with its headers: 1.08 times the file and 1.046 of that are promised, which
/// is 1.13; one run on a busy machine may take a little more. Without one site it is twice the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "whoever measures wants to see it")]
async fn behind_a_token_bucket_two_subnets_with_a_rendezvous_are_one_site_on_the_line_too() {
    let Some(office) = Office::open(MACHINES, Addresses::TwoSubnets) else { return };
    let daemons = daemons(&office, Rendezvous::OnFirstMachine).await;
    know_each_other(&daemons, usize::from(MACHINES) - 1).await;
    office.narrow_wan("20mbit");
    let content = Content::new(82, 40 * MIB);
    let before = office.wan_bytes();
    let Fetched { sent, kept, said } = fetched_by_all(&office, &daemons, content, None).await;
    let carried = office.wan_bytes() - before;
    let of_file = |bytes: u64| bytes * 1_000 / content.len;
    let (sent, kept, carried) = (of_file(sent), of_file(kept), of_file(carried));
    let figures =
        format!("of 1000: the origin wrote {sent}, the jobs had {kept}, the line carried {carried}");
    println!("{figures}");
    assert!(carried <= 1_200, "{figures}:\n{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_rendezvous_each_subnet_fetches_for_itself() {
    let Some(office) = Office::open(MACHINES, Addresses::TwoSubnets) else { return };
    let daemons = daemons(&office, Rendezvous::Nowhere).await;
    know_each_other(&daemons, usize::from(MACHINES) / 2 - 1).await;
    let content = Content::new(91, 12 * MIB);
    let Fetched { sent, said, .. } = fetched_by_all(&office, &daemons, content, Some(LINE)).await;
    assert!(sent * 100 >= content.len * 190, "{sent} bytes of {}:\n{said}", content.len);
}
