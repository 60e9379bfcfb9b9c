//! What must hold of every world: its oracles, that all get the file, that nobody is worse off than without others.
//!
//! Knows: the run, the same world with every byte from the origin, what is promised beside that and where it falls
//! short today. Does not know: how worlds are made (`matrix`).

use std::time::Duration;

use nearbits::sim::{Limit, Outcome, Swarm, Worse};
use peer_proto::time::Instant;
use simnet::Fault;

use crate::matrix::Trouble;

/// Lives a world through; what must not be, in words.
pub(crate) fn judge(swarm: &Swarm, trouble: Trouble, seed: u64) -> Result<(), String> {
    let outcome = swarm.run(seed).map_err(|trouble| trouble.to_string())?;
    if let Some(share) = outcome.shares.iter().find(|share| share.done.is_none()) {
        return Err(format!("machine {} never got the file: {}", share.host.0, share.why));
    }
    nobody_is_worse_off(swarm, seed, &outcome, limit(swarm, trouble))
}

/// How much worse than with the origin alone a machine may be: what is promised, and where that falls short today what
/// was measured of thousands of small worlds and hundreds of larger ones, so that it gets no worse. `DESIGN.md` lists what
/// falls short.
fn limit(swarm: &Swarm, trouble: Trouble) -> Limit {
    let seconds = |count| Limit { plus: Duration::from_secs(count), ..Limit::NEVER_WORSE };
    match trouble {
        // A byte between two machines of one cell takes the air twice.
        Trouble::Wireless => Limit { percent: 250, ..seconds(60) },
        Trouble::FalseBytes => seconds(7),
        Trouble::Sleep | Trouble::Moves => seconds(3),
        Trouble::Silent | Trouble::Drips => seconds(4),
        Trouble::OriginGone | Trouble::OriginSilent | Trouble::Partition => seconds(6),
        _ => swarm.promise(),
    }
}

/// Whoever the origin alone serves in so much time has the file within what is allowed beside that.
fn nobody_is_worse_off(swarm: &Swarm, seed: u64, outcome: &Outcome, limit: Limit) -> Result<(), String> {
    // Who has not got it from the origin by the end of the run is no worse off.
    let end = outcome.ended.since(Instant::ZERO).max(Duration::from_secs(1));
    let plain =
        swarm.origin_only().limit(end).run(seed).map_err(|trouble| format!("origin only: {trouble}"))?;
    let worse = outcome.worse_than(&plain, limit);
    let worse: Vec<&Worse> =
        worse.iter().filter(|worse| !is_overtaken(swarm, outcome, &plain, worse, limit)).collect();
    let loss = |worse: &Worse| worse.took.unwrap_or(Duration::MAX).saturating_sub(worse.other);
    match worse.iter().max_by_key(|worse| loss(worse)) {
        None => Ok(()),
        Some(Worse { host, took, other }) => {
            let took = took.unwrap_or_default();
            let count = worse.len();
            Err(format!(
                "{count} are worse off: machine {} waited {took:?}, from the origin alone {other:?}",
                host.0
            ))
        }
    }
}

/// Whether something befell the machine, or the origin, after the origin alone had served it, and before the time was
/// over that it may take: the other run did not have to bear that.
fn is_overtaken(swarm: &Swarm, outcome: &Outcome, plain: &Outcome, worse: &Worse, limit: Limit) -> bool {
    let (Some(share), Some(done)) =
        (outcome.share(worse.host), plain.share(worse.host).and_then(|share| share.done))
    else {
        return false;
    };
    let span = done..share.began.after(limit.beside(worse.other));
    swarm.faults().iter().filter(|(at, _)| span.contains(at)).any(|(_, fault)| match fault {
        Fault::Sleep(host) | Fault::Crash(host, _) | Fault::Move(host) => *host == worse.host,
        Fault::Origin(..) | Fault::LineDown(_) | Fault::Line(..) => true,
        _ => false,
    })
}
