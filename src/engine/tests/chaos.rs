//! Whatever is told, in whatever order: no panic, no circle, one answer for each effect, and the job ends.

use std::collections::BTreeSet;
use std::time::Duration;

use peer_proto::content::{Hash, PieceIndex};
use peer_proto::standing::PieceRun;

use super::world::*;
use crate::engine::chance::Chance;
use crate::engine::io::*;
use crate::engine::piece_set::PieceSet;
use crate::job::{JobState, PeerFlags};

const FAST: u64 = 40_000_000;

/// A fact nobody asked for: an old id, a wrong lease, a piece out of bounds.
fn noise(chance: &mut Chance) -> Input {
    let id = EffectId(u64::from(chance.below(60)));
    let lease = LeaseId(u64::from(chance.below(60)));
    let io = LocalFault { kind: LocalFaultKind::Io, message: "noise".into() };
    let first = PieceIndex(chance.below(3) * 2_000_000_000);
    match chance.below(12) {
        0 => Input::JobPersisted { id: EffectId(id.0 + 1_000_000), outcome: Ok(()) },
        1 => Input::PartDropped { id: EffectId(id.0 + 1_000_000), outcome: Ok(()) },
        2 => Input::Delivered { id: EffectId(id.0 + 1_000_000), outcome: Err(io) },
        3 => Input::Progress { lease, received: u64::from(chance.below(5)) },
        4 => Input::ListRead { id: EffectId(id.0 + 1_000_000), values: None },
        5 => Input::ServeEnded { id: ServeId(id.0), sent: 7, outcome: ServeOutcome::Sent },
        6 => {
            let run = PieceRun { first, values: vec![Hash([9; 32]); 3], standing: Standing::Suspect };
            Input::PiecesStored { lease: LeaseId(lease.0 + 1_000_000), run }
        }
        7 => Input::PeerLost { peer: peer_id(99) },
        8 => Input::BadFrame { peer: peer_id(98), message: "noise".into() },
        9 => Input::RecordGone(crate::record::RecordId([1; 16])),
        10 => {
            Input::LeaseEnded { lease: LeaseId(lease.0 + 1_000_000), received: 1, len: None, outcome: Ok(()) }
        }
        _ => Input::PartReset { id: EffectId(id.0 + 1_000_000), outcome: Err(io) },
    }
}

/// One life among lies, losses and noise; the owner suspends, resumes and toggles.
fn live(seed: u64) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut chance = Chance::new(bytes);
    let len = u64::from(chance.below(24)) * MIB + u64::from(chance.below(100_000));
    let truth = file(len, 1);
    let count = truth.geometry().piece_count();
    let digest = if chance.below(2) == 0 { root_digest(&truth) } else { sha256() };
    let mut world = World::new(&truth);
    world.origin.ranges = chance.below(4) > 0;
    for number in 2..2 + u8::try_from(chance.below(5)).expect("small") {
        let lies = chance.below(3) == 0;
        let list = if lies && chance.below(2) == 0 {
            altered(len, 1, &[chance.below(count)])
        } else {
            truth.clone()
        };
        let peer = world.peer(number, &list, digest.clone(), FAST / u64::from(1 + chance.below(100)));
        if lies && count > 0 {
            world.model(peer).sends = altered(len, 1, &[chance.below(count)]);
        }
        if chance.below(2) == 0 {
            let start = chance.below(count + 1);
            world.model(peer).have = PieceSet::of(start..count);
        }
        if chance.below(3) == 0 {
            world.model(peer).pace.then =
                Some((u64::from(chance.below(9)) * MIB, u64::from(chance.below(2)) * 200_000));
        }
    }
    world.submit(spec(&[digest]));
    for _ in 0..30 {
        world.run_for(u64::from(chance.below(200)));
        let told = noise(&mut chance);
        world.tell(told);
        match chance.below(16) {
            0 => world.command(JobCommand::Suspend),
            1 => world.tell(Input::FlagsChanged(PeerFlags::NONE)),
            2 => world.tell(Input::FlagsChanged(PeerFlags::BOTH)),
            3 => world.lose(peer_id(2)),
            4 => world.origin.fault = Some(transient("away", None)),
            5 => world.origin.cuts_after = Some(u64::from(chance.below(2_000_000))),
            _ => world.origin.fault = None,
        }
        if world.state() == JobState::Suspended {
            world.command(JobCommand::Resume);
        }
    }
    (world.origin.fault, world.origin.cuts_after) = (None, None);
    world.command(JobCommand::Resume);
    world.run(Duration::from_secs(600));
    let view = world.view();
    assert_eq!(
        view.state,
        JobState::Acknowledged,
        "seed {seed}: {}\n{:#?}",
        view.reason,
        world.engine.decisions(JOB)
    );
    assert_eq!(view.blake3, Some(truth.content().root.to_string()), "seed {seed}: exact");
}

#[test]
fn whatever_happens_the_file_is_exact_and_the_job_ends() {
    (0..60).for_each(live);
}

#[test]
fn every_effect_id_is_used_once() {
    let truth = file(8 * MIB, 1);
    let mut engine = crate::engine::Engine::new(
        config(PeerFlags::BOTH),
        Now { monotonic: peer_proto::time::Instant::ZERO, wall_unix_ms: 0 },
    );
    let mut seen = BTreeSet::new();
    for number in 0..50_u8 {
        let job = crate::job::JobId([number; 16]);
        let now =
            Now { monotonic: peer_proto::time::Instant::from_micros(u64::from(number)), wall_unix_ms: 0 };
        let mut wish = Box::new(spec(&[root_digest(&truth)]));
        wish.files[0].destination.set_extension(number.to_string());
        engine.handle_input(Input::Submit { job, spec: wish, by: ME, start: true }, now);
        while let Output::Effect(effect) = engine.poll_output() {
            if let Effect::PersistJob { id, .. } = *effect {
                assert!(seen.insert(id), "{id:?} twice");
            }
        }
    }
    assert_eq!(seen.len(), 50);
}
