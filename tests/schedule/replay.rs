//! What a replay finds out about a run whose truth is known: one of the simulator's own.

use cotec::schedule::network::Growth;
use cotec::schedule::replay::{Change, Observed, Replay};
use cotec::schedule::simulate::{Job, Setup, Workload, record, simulate};
use cotec::values::order::Order;

fn workload() -> Workload {
    let job = |n: u32| Job {
        task: 0,
        inputs: vec![2 * n, 2 * n + 1],
        seconds: 1.0 + f64::from(n % 7) / 5.0,
        registered: 3.0 + f64::from(n) * 0.01,
    };
    Workload {
        objects: (0..80)
            .map(|n| 20_000_000 + n * 7919 % 90 * 1_000_000)
            .collect(),
        jobs: (0..40).map(job).collect(),
    }
}

fn setup(bandwidth: f64, connections: usize, workers: usize) -> Setup {
    Setup {
        bandwidth,
        per_connection: 10e6,
        connections,
        later: Vec::new(),
        latency: 0.08,
        part_bytes: 8 << 20,
        workers,
        order: Order::Johnson,
    }
}

/// What would be seen of a run.
fn observed(workload: &Workload, setup: &Setup, pinned: bool) -> Observed {
    let (outcome, record) = record(workload, setup);
    let first = [(0.0, setup.connections)];
    Observed {
        objects: workload.objects.clone(),
        parts: record.parts,
        downloading: outcome.downloaded,
        jobs: workload.jobs.clone(),
        ended: outcome.makespan,
        settings: first
            .into_iter()
            .chain(setup.later.iter().copied())
            .collect(),
        connections: pinned.then_some(setup.connections),
        most_connections: None,
        workers: setup.workers,
        order: setup.order,
    }
}

fn asked(replay: &Replay, change: Change) -> f64 {
    let found = replay
        .what_ifs
        .iter()
        .find(|what_if| what_if.change == change);
    found
        .unwrap_or_else(|| panic!("{change:?} was not asked"))
        .seconds
}

/// What the simulator says of the true setup, from the first job on.
fn truth(workload: &Workload, setup: &Setup) -> f64 {
    simulate(workload, setup).makespan - workload.jobs[0].registered
}

fn within(found: f64, truth: f64, share: f64) {
    assert!(
        (found / truth - 1.0).abs() < share,
        "{found} instead of {truth}"
    );
}

#[test]
fn connections_below_the_plateau() {
    let workload = workload();
    let four = setup(1e12, 4, 4);
    let replay = Replay::of(&observed(&workload, &four, true)).unwrap();
    let network = replay.network.unwrap();
    assert_eq!((network.growth, network.most), (Growth::Proportional, 4));
    within(network.per_connection, 10e6, 0.02);
    within(network.latency, 0.08, 0.02);
    assert!(replay.off().abs() < 0.02, "{}", replay.off());
    for connections in [8, 12, 16] {
        let truth = truth(&workload, &setup(1e12, connections, 4));
        within(
            asked(&replay, Change::Connections(connections)),
            truth,
            0.03,
        );
        let assumed = replay
            .what_ifs
            .iter()
            .find(|w| w.change == Change::Connections(connections));
        assert!(assumed.unwrap().assumed);
    }
    within(
        asked(&replay, Change::Connections(2)),
        truth(&workload, &setup(1e12, 2, 4)),
        0.03,
    );
    within(
        asked(&replay, Change::Workers(8)),
        truth(&workload, &setup(1e12, 4, 8)),
        0.03,
    );
    assert_eq!(
        replay.saved(&replay.what_ifs[0]).map(f64::is_sign_negative),
        Some(true)
    );
}

#[test]
fn connections_on_the_plateau() {
    let workload = workload();
    // What six connections can have; there are 16 from the fourth second on.
    let mut sixteen = setup(60e6, 4, 2);
    sixteen.later = vec![(6.0, 8), (10.0, 16)];
    let replay = Replay::of(&observed(&workload, &sixteen, false)).unwrap();
    let network = replay.network.unwrap();
    assert_eq!(network.growth, Growth::Full, "{network:?}");
    within(network.bandwidth, 60e6, 0.05);
    within(network.per_connection, 10e6, 0.1);
    assert!(replay.off().abs() < 0.03, "{}", replay.off());
    let more = replay.what_ifs.iter();
    for what_if in more.filter(|w| matches!(w.change, Change::Connections(n) if n > 16)) {
        assert_eq!(replay.saved(what_if), None, "{what_if:?}");
        assert!(!what_if.assumed);
    }
    let mut twice = setup(120e6, 4, 2);
    twice.per_connection = 20e6;
    twice.later = sixteen.later.clone();
    within(
        asked(&replay, Change::Network(2.0)),
        truth(&workload, &twice),
        0.03,
    );
}

#[test]
fn workers_that_are_too_few() {
    let workload = workload();
    let replay = Replay::of(&observed(&workload, &setup(400e6, 64, 1), true)).unwrap();
    assert!(replay.off().abs() < 0.02, "{}", replay.off());
    within(
        asked(&replay, Change::Workers(2)),
        truth(&workload, &setup(400e6, 64, 2)),
        0.02,
    );
    let work: f64 = workload.jobs.iter().map(|job| job.seconds).sum();
    within(asked(&replay, Change::Staged), work, 0.02);
    assert!(asked(&replay, Change::Instant) < work / 3.0);
}

#[test]
fn what_was_in_staging_costs_nothing() {
    let workload = workload();
    let mut seen = observed(&workload, &setup(1e12, 4, 4), true);
    seen.objects.iter_mut().for_each(|bytes| *bytes = 0);
    seen.parts.clear();
    let replay = Replay::of(&seen).unwrap();
    assert_eq!(replay.network, None);
    let changes: Vec<Change> = replay.what_ifs.iter().map(|w| w.change).collect();
    let expected = [Change::Workers(5), Change::Workers(8), Change::Instant];
    assert_eq!(changes, expected, "the network changes nothing");
    assert!(Replay::of(&Observed::default()).is_none());
}
