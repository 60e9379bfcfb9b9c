//! Order, rest, and what the oracles find.

use std::time::Duration;

use super::*;

/// Says "ping" back as often as it is told, or never stops talking.
struct Echo {
    left: u32,
    out: Vec<HostId>,
    wake: Instant,
    heard: Vec<Instant>,
}

fn echo(left: u32) -> Echo {
    Echo { left, out: Vec::new(), wake: Instant::NEVER, heard: Vec::new() }
}

impl Host for Echo {
    type Message = ();

    fn handle_connected(&mut self, peer: Neighbour, _now: Instant) {
        if self.left > 0 {
            self.out.push(peer.id);
        }
    }

    fn handle_message(&mut self, from: HostId, (): (), now: Instant) {
        self.heard.push(now);
        if self.left > 0 {
            self.left -= 1;
            self.out.push(from);
        }
    }

    fn handle_lost(&mut self, _peer: HostId, _now: Instant) {}

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_output(&mut self) -> HostOutput<()> {
        match self.out.pop() {
            Some(to) => HostOutput::Send { to, message: (), len: 100 },
            None => HostOutput::WaitUntil(self.wake),
        }
    }
}

fn no_limit() -> LinkSpec {
    LinkSpec { rate_bytes_per_s: 0, delay: Duration::from_millis(1), ..LinkSpec::default() }
}

#[test]
fn messages_take_the_time_of_their_line() {
    let mut world = World::new(1);
    let one = world.add(echo(3)).unwrap();
    let other = world.add(echo(0)).unwrap();
    world.connect(one, other, no_limit()).unwrap();
    world.run_until(Instant::from_micros(10_000)).unwrap();
    assert_eq!(world.host(other).unwrap().heard, [Instant::from_micros(1_000)]);
    assert_eq!(world.counts(one, other).arrived, 1);
    assert_eq!(world.now(), Instant::from_micros(10_000));
    assert_eq!(world.act(one, |host, _| host.heard.len()), Ok(Some(0)));
}

#[test]
fn a_host_that_never_rests_is_found() {
    let mut world = World::new(1);
    let mut busy = echo(0);
    busy.wake = Instant::ZERO;
    assert!(world.add(busy).is_ok());
    let spinning = world.run_until(Instant::from_micros(1));
    assert_eq!(spinning, Err(Trouble::Spinning { host: HostId(0), at: Instant::ZERO }));
}

#[test]
fn what_is_sent_where_no_stream_is_gets_lost() {
    let mut world = World::new(1);
    let one = world.add(echo(9)).unwrap();
    let other = world.add(echo(9)).unwrap();
    world.schedule(Instant::ZERO, Fault::Break(one, other));
    world.connect(one, other, no_limit()).unwrap();
    world.act(one, |host, _| host.out.push(HostId(7))).unwrap();
    world.run_until(Instant::from_micros(5_000)).unwrap();
    assert_eq!(world.host(other).unwrap().heard, []);
    assert_eq!((world.under_way(one, other), world.counts(one, other).dropped), (0, 1));
    assert!(world.host(HostId(7)).is_none());
}

/// Two machines, the second of which pulls 100 MB: after 200 ms the flow is under way.
fn pulling() -> World<Echo> {
    let mut stage = crate::Scenario::lan(2).build(1, |_, _| echo(0));
    stage.world.run_until(Instant::from_micros(100_000)).unwrap();
    let world = &mut stage.world;
    world.pull(HostId(1), OriginId(0), 1, crate::FlowSpec::of(100_000_000));
    world.run_until(Instant::from_micros(200_000)).unwrap();
    assert_eq!((world.check(), world.flows.len()), (Ok(()), 1));
    stage.world
}

fn oracle_of(world: &mut World<Echo>) -> &'static str {
    match world.check() {
        Err(Trouble::Broken { oracle, .. }) => oracle,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_that_nobody_sent_are_found() {
    let mut world = pulling();
    world.place_mut(HostId(1)).unwrap().traffic.from_hosts += 1;
    assert_eq!(oracle_of(&mut world), "conservation");
    let mut world = pulling();
    world.flows.get_mut(0).unwrap().told += 1_000_000_000;
    assert_eq!(oracle_of(&mut world), "conservation");
}

#[test]
fn a_flow_faster_than_its_line_is_found() {
    let mut world = pulling();
    world.pipes.force_rate(0, 125_000_001, Instant::from_micros(200_000));
    assert_eq!(oracle_of(&mut world), "bottlenecks");
}

#[test]
fn a_flow_or_a_host_that_is_forgotten_is_found() {
    let mut world = pulling();
    world.flows.get_mut(0).unwrap().event_at = Instant::NEVER;
    assert_eq!(oracle_of(&mut world), "liveness");
    let mut world = pulling();
    world.place_mut(HostId(0)).unwrap().wake = Instant::from_micros(300_000);
    assert_eq!(oracle_of(&mut world), "liveness");
}

#[test]
fn a_host_that_opens_streams_without_end_is_found() {
    let mut world = pulling();
    world.place_mut(HostId(0)).unwrap().streams = (0..2_000).map(HostId).collect();
    assert_eq!(oracle_of(&mut world), "bounds");
}

#[test]
fn an_oracle_of_the_hosts_stops_the_run_and_says_what_it_found() {
    let mut world = pulling();
    let check = |world: &World<Echo>| match world.now() {
        now if now > Instant::from_micros(300_000) => Err("too late".to_owned()),
        _ => Ok(()),
    };
    world.add_oracle(Oracle { name: "hurry", check: Box::new(check) });
    let outcome = world.run_until(Instant::from_micros(900_000)).unwrap_err();
    assert!(outcome.to_string().starts_with("oracle hurry at 0.30"), "{outcome}");
}
