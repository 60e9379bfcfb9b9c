//! Every combination of the computer's flags, the job's, the administrator's policy and the kind of node: who takes from
//! peers then, and who is served.
//!
//! Knows: one table, and what a user could see of each of its cells. Does not know: flags that change (`sources`).

use std::time::Duration;

use peer_proto::content::ByteRange;
use peer_proto::peer::PeerId;
use peer_proto::session::Answer;

use super::world::*;
use crate::engine::io::{Input, ServeFrom};
use crate::engine::{Engine, EngineConfig};
use crate::job::{JobSpec, JobState, PeerFlags, Policy};
use crate::record::{Holding, RecordId, RecordSummary, Scope};

const LEN: u64 = 8 * MIB;
const RATE: u64 = 10_000_000;
const CLIENT: PeerFlags = PeerFlags { client: true, server: false };
const SERVER: PeerFlags = PeerFlags { client: false, server: true };
const EACH: [PeerFlags; 4] = [PeerFlags::NONE, CLIENT, SERVER, PeerFlags::BOTH];

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
struct Cell {
    computer: PeerFlags,
    job: PeerFlags,
    /// Peer caching, and which of its halves are taken away.
    policy: (Option<bool>, PeerFlags),
    embedded: bool,
    disable_branch_cache: bool,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Outcome {
    /// The computer's flags that hold, and those it prefers.
    flags: (PeerFlags, PeerFlags),
    /// Whether the holder was asked, and whether it gave the file or the origin did.
    asks: bool,
    takes: bool,
    /// Whether somebody who wants a piece is told and given it: while the file comes in, and once it is delivered.
    serves_part: bool,
    serves_record: bool,
}

fn cells() -> Vec<Cell> {
    let policies = [
        (None, PeerFlags::NONE),
        (None, PeerFlags::BOTH),
        (Some(false), PeerFlags::NONE),
        (Some(false), PeerFlags::BOTH),
        (Some(true), PeerFlags::NONE),
        (Some(true), CLIENT),
        (Some(true), SERVER),
        (Some(true), PeerFlags::BOTH),
    ];
    let mut cells = Vec::new();
    for computer in EACH {
        for job in EACH {
            for policy in policies {
                for (embedded, disable_branch_cache) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    cells.push(Cell { computer, job, policy, embedded, disable_branch_cache });
                }
            }
        }
    }
    cells
}

/// What the rules say of a cell.
fn promised(cell: Cell) -> Outcome {
    let half = |of: fn(PeerFlags) -> bool| match cell.policy {
        // PEER-3, POL-19: what takes halves away has no say unless peer caching is switched on.
        (None, _) => of(cell.computer),
        (Some(false), _) => false,
        (Some(true), taken_away) => !of(taken_away),
    };
    let holds = PeerFlags { client: half(|flags| flags.client), server: half(|flags| flags.server) };
    let takes = holds.client && cell.job.client;
    let serves = holds.server && cell.job.server;
    Outcome {
        flags: (holds, cell.computer),
        asks: takes,
        takes,
        // What comes from the origin alone is proved by nothing before it is whole.
        serves_part: takes && serves,
        serves_record: serves,
    }
}

/// Somebody on the link asks for the file, and wants its first piece whatever he is told: whether he is given it.
fn is_given(world: &mut World, asker: PeerId, key: u32) -> bool {
    let (truth, now, before) = (world.truth.clone(), world.now().monotonic, world.serves.len());
    world.model(asker).session.find(&[(key, root_digest(&truth))], now);
    world.pump_and_tell(asker);
    world.run_for(50);
    let is_told = matches!(world.model(asker).answers.last(), Some(Answer::Here { .. }));
    let (now, range) = (world.now().monotonic, ByteRange::new(0..65_536).expect("not empty"));
    world.model(asker).session.request(truth.content(), vec![range], now).expect("room for eight");
    world.pump_and_tell(asker);
    world.run_for(20);
    let is_given = world.serves.len() > before;
    assert_eq!(is_told, is_given, "who is told is given, and nobody else");
    is_given
}

/// What the cache tells of the file that it was left.
fn record(world: &World) -> Option<RecordSummary> {
    let scope = world.kept_scope?;
    Some(RecordSummary {
        id: RecordId([4; 16]),
        content: world.truth.content(),
        digests: vec![sha256()],
        holding: Holding::Whole,
        scope,
        served: scope == Scope::Shareable,
        last_used_unix_s: 1_800_000_000,
        vouched: Vec::new(),
    })
}

fn seen(cell: Cell) -> Outcome {
    let truth = file(LEN, 1);
    let mut world = World::new(&truth);
    let (enabled, taken_away) = cell.policy;
    let policy = Policy {
        enable_peer_caching: enabled,
        disable_peer_caching_client: Some(taken_away.client),
        disable_peer_caching_server: Some(taken_away.server),
        ..Policy::default()
    };
    let config = EngineConfig {
        embedded: cell.embedded,
        policy: policy.over(&Policy::default()),
        ..config(cell.computer)
    };
    world.engine = Engine::new(config, world.now());
    let holder = world.peer(2, &truth, root_digest(&truth), RATE);
    let asker = world.peer(3, &truth, root_digest(&truth), RATE);
    world.model(asker).digest = None;
    let disable_branch_cache = cell.disable_branch_cache;
    world.submit(JobSpec { flags: cell.job, disable_branch_cache, ..spec(&[root_digest(&truth)]) });
    world.run_for(500);
    assert_eq!(world.state(), JobState::Transferring, "the part grows");
    let serves_part = is_given(&mut world, asker, 901);
    world.run(Duration::from_secs(60));
    let view = world.view();
    assert_eq!((view.state, view.stored, view.failure), (JobState::Acknowledged, LEN, None));
    assert_eq!(view.bytes.peers + view.bytes.origin, LEN, "each byte once, from whoever may give it");
    if let Some(record) = record(&world) {
        world.tell(Input::RecordHeld(record));
    }
    // Whatever a job that is over shows for a while is gone then.
    world.run_for(10_000);
    let serves_record = is_given(&mut world, asker, 902);
    let from = world.serves.last().map(|(_, _, _, from)| matches!(from, ServeFrom::Record(_)));
    assert!(!serves_record || from == Some(true), "from the cache");
    assert!(view.bytes.peers == 0 || view.bytes.origin == 0, "{:?}", view.bytes);
    Outcome {
        flags: (world.engine.flags(), world.engine.preferred_flags()),
        asks: world.model(holder).asked > 0,
        takes: view.bytes.peers == LEN,
        serves_part,
        serves_record,
    }
}

/// All sixteen combinations of flags under every policy, for both kinds of node.
#[test]
fn peer_1_to_peer_5_and_pol_1_to_pol_3_who_takes_and_who_serves_in_every_cell_of_the_table() {
    let cells = cells();
    assert_eq!(cells.len(), 16 * 8 * 2 * 2);
    let other = |cell: &&Cell| seen(**cell) != promised(**cell);
    let wrong: Vec<_> = cells.iter().filter(other).map(|cell| (cell, seen(*cell), promised(*cell))).collect();
    assert!(wrong.is_empty(), "{} cells, such as {:#?}", wrong.len(), wrong[0]);
    let count = |is_so: fn(&Outcome) -> bool| cells.iter().filter(|cell| is_so(&promised(**cell))).count();
    // With nobody's policy a quarter of the combinations; with peer caching on, half of them where the half is left.
    assert_eq!((count(|outcome| outcome.takes), count(|outcome| outcome.serves_record)), (96, 96));
}
