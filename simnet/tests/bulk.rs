//! Bulk transfers, churn and origins in a simulated world, told by hosts that only write down what they are told.
//!
//! Knows: what a scripted host sees. Does not know: any protocol.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::collections::VecDeque;
use std::time::Duration;

use peer_proto::time::Instant;
use simnet::*;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Told {
    Started,
    Saw(HostId, u32),
    Connected(HostId),
    Lost(HostId),
    Heard(u32),
    Answer(Answer),
    Opened(u64),
    Served(u32),
    Moved(u64),
    Ended(u64, FlowEnd),
}

/// Does what it is given, once each, and writes down what it is told.
#[derive(Default)]
struct Scribe {
    at_start: Vec<HostOutput<u32>>,
    orders: VecDeque<HostOutput<u32>>,
    story: Vec<(Instant, Told)>,
}

impl Host for Scribe {
    type Message = u32;

    fn handle_start(&mut self, now: Instant) {
        self.story.push((now, Told::Started));
        self.orders.extend(self.at_start.clone());
    }

    fn handle_crash(&mut self, _crash: Crash, _now: Instant) {
        self.orders.clear();
    }

    fn handle_discovered(&mut self, neighbour: Neighbour, now: Instant) {
        self.story.push((now, Told::Saw(neighbour.id, neighbour.address)));
    }

    fn handle_connected(&mut self, peer: Neighbour, now: Instant) {
        self.story.push((now, Told::Connected(peer.id)));
    }

    fn handle_message(&mut self, _from: HostId, message: u32, now: Instant) {
        self.story.push((now, Told::Heard(message)));
    }

    fn handle_lost(&mut self, peer: HostId, now: Instant) {
        self.story.push((now, Told::Lost(peer)));
    }

    fn handle_answer(&mut self, _number: u64, answer: Answer, now: Instant) {
        self.story.push((now, Told::Answer(answer)));
    }

    fn handle_flow(&mut self, event: FlowEvent<u32>, now: Instant) {
        let told = match event {
            FlowEvent::Opened { len, .. } => Told::Opened(len),
            FlowEvent::Answered { serves, .. } => Told::Served(serves),
            FlowEvent::Moved { total, .. } => Told::Moved(total),
            FlowEvent::Ended { total, end, .. } => Told::Ended(total, end),
        };
        self.story.push((now, told));
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_output(&mut self) -> HostOutput<u32> {
        self.orders.pop_front().unwrap_or(HostOutput::WaitUntil(Instant::NEVER))
    }
}

const MB: u64 = 1_000_000;

fn ms(count: u64) -> Instant {
    Instant::from_micros(count * 1_000)
}

fn pull(len: u64) -> HostOutput<u32> {
    HostOutput::Pull { origin: OriginId(0), number: 1, spec: FlowSpec::of(len) }
}

fn push(to: u32, number: u64, len: u64) -> HostOutput<u32> {
    HostOutput::Push { to: HostId(to), number, label: 7, spec: FlowSpec::of(len) }
}

/// Machines that all pull so much when they start.
fn pulling(scenario: Scenario, seed: u64, len: u64) -> Stage<Scribe> {
    scenario.build(seed, |_, _| Scribe { at_start: vec![pull(len)], ..Scribe::default() })
}

/// Two machines of a LAN with a stream between them, at 100 ms.
fn pair() -> World<Scribe> {
    let mut stage = Scenario::lan(2).build(1, |_, _| Scribe::default());
    stage.world.run_until(ms(90)).unwrap();
    order(&mut stage.world, 0, HostOutput::Connect(HostId(1)));
    stage.world.run_until(ms(100)).unwrap();
    stage.world
}

fn order(world: &mut World<Scribe>, host: u32, order: HostOutput<u32>) {
    world.act(HostId(host), |scribe, _| scribe.orders.push_back(order)).unwrap();
}

fn end_of(world: &World<Scribe>, host: u32) -> (Instant, u64, FlowEnd) {
    let story = &world.host(HostId(host)).unwrap().story;
    let end = story.iter().rev().find_map(|(at, told)| match told {
        Told::Ended(total, end) => Some((*at, *total, *end)),
        _ => None,
    });
    end.unwrap_or_else(|| panic!("no flow ended: {story:?}"))
}

fn times_of(world: &World<Scribe>, host: u32, what: &Told) -> Vec<Instant> {
    let story = &world.host(HostId(host)).unwrap().story;
    story.iter().filter(|(_, told)| told == what).map(|(at, _)| *at).collect()
}

#[test]
fn a_line_is_shared_by_all_who_pull_over_it() {
    let mut stage = pulling(Scenario::branch_office(4, Wan::mbit(100)), 1, 10 * MB);
    stage.world.run_until(ms(60_000)).unwrap();
    for host in 0..4 {
        // 40 MB at 12.5 MB/s; there and back are 40.4 ms.
        assert_eq!(end_of(&stage.world, host), (Instant::from_micros(3_240_400), 10 * MB, FlowEnd::Complete));
    }
    assert_eq!(stage.world.wan_bytes(stage.sites[0]), (40 * MB, 0));
    assert_eq!(stage.world.origin_counts(stage.origin).bytes, 40 * MB);
    let moved =
        stage.world.host(HostId(0)).unwrap().story.iter().filter(|(_, told)| matches!(told, Told::Moved(_)));
    assert!((38..=70).contains(&moved.count()), "each 256 KiB or 100 ms");
}

#[test]
fn hosts_pass_bulk_on_at_the_rate_of_their_ports() {
    let mut world = pair();
    order(&mut world, 0, push(1, 5, 125 * MB));
    world.run_until(ms(3_000)).unwrap();
    assert_eq!(end_of(&world, 1), (Instant::from_micros(1_100_200), 125 * MB, FlowEnd::Complete));
    assert_eq!(end_of(&world, 0).1, 125 * MB);
    assert_eq!(world.traffic(HostId(0)), Traffic { sent: 125 * MB, ..Traffic::default() });
    assert_eq!(world.traffic(HostId(1)).from_hosts, 125 * MB);
    order(&mut world, 0, push(9, 6, MB));
    assert_eq!(end_of(&world, 0), (ms(3_000), 0, FlowEnd::Refused), "nobody is there");
}

#[test]
fn a_flow_can_be_marked_trimmed_and_cancelled() {
    let mut world = pair();
    let flow = |number| FlowId { starter: HostId(0), number };
    order(&mut world, 0, push(1, 1, 100 * MB));
    order(&mut world, 1, HostOutput::Mark { flow: flow(1), at: 1_234_567 });
    world.run_until(ms(200)).unwrap();
    let at_mark = |told: &Told| matches!(told, Told::Moved(total) if (1_234_567..1_234_692).contains(total));
    let story = &world.host(HostId(1)).unwrap().story;
    assert_eq!(
        story.iter().filter(|(_, told)| at_mark(told)).count(),
        1,
        "at the microsecond it was reached"
    );
    order(&mut world, 1, HostOutput::Trim { flow: flow(1), len: 50 * MB });
    world.run_until(ms(3_000)).unwrap();
    assert_eq!(end_of(&world, 1), (Instant::from_micros(500_200), 50 * MB, FlowEnd::Complete));
    order(&mut world, 0, push(1, 2, 100 * MB));
    world.run_until(ms(3_100)).unwrap();
    order(&mut world, 1, HostOutput::Cancel(flow(2)));
    for host in [0, 1] {
        assert_eq!(end_of(&world, host), (ms(3_100), 12_475_000, FlowEnd::Cancelled));
    }
}

#[test]
fn a_cut_lets_bulk_stand_still_and_a_long_one_breaks_it() {
    for one_way in [false, true] {
        let mut world = pair();
        let cut =
            if one_way { Fault::CutOneWay(HostId(1), HostId(0)) } else { Fault::Cut(HostId(0), HostId(1)) };
        order(&mut world, 0, push(1, 1, 125 * MB));
        world.schedule(ms(200), cut);
        world.schedule(ms(5_200), Fault::Heal(HostId(0), HostId(1)));
        world.run_until(ms(10_000)).unwrap();
        assert_eq!(end_of(&world, 1), (Instant::from_micros(6_100_200), 125 * MB, FlowEnd::Complete));
        order(&mut world, 0, push(1, 2, 125 * MB));
        world.schedule(ms(10_500), cut);
        world.run_until(ms(40_000)).unwrap();
        for host in [0, 1] {
            let (at, total, end) = end_of(&world, host);
            assert_eq!((at, end), (ms(30_500), FlowEnd::Broken), "after 20 s of patience");
            assert_eq!(total, 62_475_000);
        }
        assert_eq!(times_of(&world, 0, &Told::Lost(HostId(1))), [ms(30_500)]);
    }
}

#[test]
fn loss_leaves_less_of_a_connection_and_makes_messages_late() {
    let lossy = Wan { loss_per_million: 10_000, ..Wan::mbit(100) };
    let mut stage = pulling(Scenario::branch_office(1, lossy), 1, 10 * MB);
    stage.world.run_until(ms(60_000)).unwrap();
    let (at, ..) = end_of(&stage.world, 0);
    // About 439 kB/s over 40.4 ms there and back.
    assert!((ms(22_000)..ms(24_000)).contains(&at), "{at:?}");
}

#[test]
fn origins_refuse_are_busy_fall_silent_cut_and_change() {
    let spec = OriginSpec::default();
    let run = |spec: OriginSpec, later: Option<(u64, OriginSpec)>| {
        let mut stage = pulling(Scenario::branch_office(2, Wan::mbit(100)).origin(spec), 1, 10 * MB);
        if let Some((at, spec)) = later {
            stage.world.schedule(ms(at), Fault::Origin(stage.origin, spec));
        }
        order(&mut stage.world, 0, HostOutput::Ask { origin: OriginId(0), number: 3 });
        stage.world.run_until(ms(100_000)).unwrap();
        stage.world
    };
    let world = run(OriginSpec { reach: Reach::Refuses, ..spec }, None);
    assert_eq!(end_of(&world, 0), (Instant::from_micros(40_400), 0, FlowEnd::Refused));
    let world = run(OriginSpec { flows_max: 1, ..spec }, None);
    let ends = [0, 1].map(|host| end_of(&world, host).2);
    assert_eq!(ends, [FlowEnd::Complete, FlowEnd::Busy]);
    let world = run(OriginSpec { cuts_after: Some(MB), ..spec }, None);
    assert_eq!((end_of(&world, 0).1, end_of(&world, 0).2), (MB, FlowEnd::Broken));
    let gone = run(spec, Some((500, OriginSpec { reach: Reach::Refuses, ..spec })));
    assert_eq!((end_of(&gone, 0).0, end_of(&gone, 0).2), (ms(500), FlowEnd::Broken));
    let silent = run(spec, Some((500, OriginSpec { reach: Reach::Silent, ..spec })));
    assert_eq!((end_of(&silent, 0).0, end_of(&silent, 0).2), (ms(20_500), FlowEnd::Broken));
    let changed = run(spec, Some((10, OriginSpec { says: 1, serves: 2, ..spec })));
    assert_eq!(times_of(&changed, 0, &Told::Served(2)).len(), 1, "it serves what it has when it begins");
    let slow = run(OriginSpec { flow_rate_bytes_per_s: MB, ..spec }, None);
    assert_eq!(end_of(&slow, 0).0, Instant::from_micros(10_040_400));
}

#[test]
fn a_dark_line_stops_questions_and_bulk_until_it_is_back() {
    let mut stage = pulling(Scenario::branch_office(1, Wan::mbit(100)), 1, 10 * MB);
    stage.world.schedule(ms(400), Fault::LineDown(SiteId(0)));
    stage.world.schedule(ms(5_400), Fault::LineUp(SiteId(0)));
    stage.world.run_until(ms(500)).unwrap();
    order(&mut stage.world, 0, HostOutput::Ask { origin: OriginId(0), number: 3 });
    stage.world.run_until(ms(30_000)).unwrap();
    assert_eq!(end_of(&stage.world, 0).0, Instant::from_micros(5_840_400));
    let round_trip = Duration::from_micros(40_400);
    let answered = times_of(&stage.world, 0, &Told::Answer(Answer::Says { version: 0, round_trip }));
    assert!(answered.len() == 1 && answered[0] > ms(5_400), "{answered:?}");
}

#[test]
fn a_line_can_become_another_one() {
    let mut stage = pulling(Scenario::branch_office(1, Wan::mbit(100)), 1, 10 * MB);
    stage.world.schedule(Instant::from_micros(440_400), Fault::Line(SiteId(0), Wan::mbit(10)));
    stage.world.run_until(ms(30_000)).unwrap();
    assert_eq!(end_of(&stage.world, 0).0, Instant::from_micros(440_400 + 4_000_000));
}

#[test]
fn machines_crash_sleep_move_and_are_found_again() {
    let mut world = pair();
    order(&mut world, 0, push(1, 1, 10_000 * MB));
    world.schedule(ms(1_000), Fault::Sleep(HostId(1)));
    world.schedule(ms(3_000), Fault::Wake(HostId(1)));
    world.schedule(ms(4_000), Fault::Crash(HostId(1), Crash::Program));
    world.schedule(ms(5_000), Fault::Start(HostId(1)));
    world.run_until(ms(6_000)).unwrap();
    let (at, total, end) = end_of(&world, 0);
    // It moved for 0.9 s and 1 s of the 3.9 s.
    assert_eq!((at, total, end), (ms(4_000), 237_475_000, FlowEnd::Broken));
    assert_eq!(times_of(&world, 0, &Told::Lost(HostId(1))), [ms(4_000)]);
    assert_eq!(times_of(&world, 1, &Told::Lost(HostId(0))), [], "it was not there to be told");
    assert_eq!(times_of(&world, 1, &Told::Started).len(), 2);
    order(&mut world, 1, HostOutput::Connect(HostId(0)));
    world.schedule(ms(6_500), Fault::Move(HostId(1)));
    world.run_until(ms(7_200)).unwrap();
    assert_eq!(times_of(&world, 0, &Told::Lost(HostId(1))), [ms(4_000), ms(6_500)]);
    let seen_anew = times_of(&world, 0, &Told::Saw(HostId(1), 3));
    assert!(seen_anew.len() == 1 && seen_anew[0] <= ms(7_000), "under its new address: {seen_anew:?}");
    order(&mut world, 1, HostOutput::Connect(HostId(0)));
    world.schedule(ms(8_000), Fault::Crash(HostId(1), Crash::Power));
    world.run_until(ms(40_000)).unwrap();
    assert_eq!(times_of(&world, 0, &Told::Lost(HostId(1))).last(), Some(&ms(28_000)), "nobody says goodbye");
    assert!(!world.is_on(HostId(1)));
}

#[test]
fn a_newcomer_and_a_bounded_number_of_others_learn_of_each_other() {
    let discovery = Discovery { told_max: 5, ..Discovery::default() };
    let mut stage =
        Scenario::offices(2, 20, Wan::mbit(10)).discovery(discovery).build(3, |_, _| Scribe::default());
    stage.world.run_until(ms(1_000)).unwrap();
    for (id, scribe) in stage.world.hosts() {
        let saw = scribe.story.iter().filter_map(|(at, told)| match told {
            Told::Saw(other, _) => Some((*at, *other)),
            _ => None,
        });
        let saw: Vec<(Instant, HostId)> = saw.collect();
        assert!(saw.len() >= 5, "{id:?} saw {saw:?}");
        assert!(
            saw.iter().all(|(at, other)| *at <= ms(500) && (other.0 < 20) == (id.0 < 20)),
            "its own site"
        );
    }
    let all: usize = stage.world.hosts().map(|(_, scribe)| scribe.story.len() - 1).sum();
    assert_eq!(all, 2 * 2 * (1 + 2 + 3 + 4 + 15 * 5));
}

#[test]
fn two_of_a_radio_cell_use_its_time_twice() {
    let mut stage = Scenario::lan(2).wireless(1_000_000, 50 * MB).build(1, |_, _| Scribe::default());
    stage.world.run_until(ms(90)).unwrap();
    order(&mut stage.world, 0, HostOutput::Connect(HostId(1)));
    stage.world.run_until(ms(100)).unwrap();
    order(&mut stage.world, 0, push(1, 1, 25 * MB));
    stage.world.run_until(ms(5_000)).unwrap();
    assert_eq!(end_of(&stage.world, 1).0, Instant::from_micros(1_100_200));
}

#[test]
fn the_same_seed_gives_the_same_trace_with_churn_and_bulk() {
    let churn = || Churn {
        per_million: 300_000,
        crash: Crash::Power,
        during: ms(100)..ms(4_000),
        back_after: Some(Duration::from_millis(700)),
    };
    let run = |seed: u64| {
        let scenario =
            Scenario::offices(2, 12, Wan::mbit(50)).staggered(Duration::from_millis(90)).churn(churn());
        let mut stage = pulling(scenario, seed, 2 * MB);
        stage.world.run_until(ms(20_000)).unwrap();
        (stage.world.fingerprint(), stage.world.steps())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
    // The same on every machine: whole numbers only.
    assert_eq!(run(1).0, FINGERPRINT_OF_SEED_1);
}

const FINGERPRINT_OF_SEED_1: u64 = 15_348_124_006_111_133_151;

#[test]
fn a_thousand_flows_over_one_line_cost_little_and_share_it() {
    let mut stage = pulling(Scenario::branch_office(1_000, Wan::mbit(1_000)), 1, MB);
    stage.world.run_until(ms(60_000)).unwrap();
    let ends: Vec<Instant> = (0..1_000).map(|host| end_of(&stage.world, host).0).collect();
    let last = ends.iter().max().copied().unwrap();
    assert!((ms(8_040)..ms(8_300)).contains(&last), "1 GB at 125 MB/s: {last:?}");
    assert!(stage.world.steps() < 250_000, "{}", stage.world.steps());
}
