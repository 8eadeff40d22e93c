//! The scheduling code in virtual time: what it comes to on published workloads, and that the
//! simulator and the bounds are right where that can be told by hand.

#[path = "../../tools/schedule/recorded.rs"]
mod recorded;
mod replay;
#[path = "../../tools/schedule/workloads.rs"]
mod workloads;

use cotec::schedule::bounds::{Bounds, Reach};
use cotec::schedule::simulate::{Job, Outcome, Setup, Workload, simulate};
use cotec::values::order::Order;

/// A network of 10 bytes a second in parts of 10 bytes.
fn setup(workers: usize, order: Order) -> Setup {
    Setup {
        bandwidth: 10.0,
        per_connection: f64::INFINITY,
        connections: 1,
        later: Vec::new(),
        latency: 0.0,
        part_bytes: 10,
        workers,
        order,
    }
}

/// Jobs of one object each: bytes and seconds.
fn jobs(of: &[(u64, f64)]) -> Workload {
    let job = |(slot, (_, seconds)): (usize, &(u64, f64))| Job {
        task: 0,
        inputs: vec![slot as u32],
        seconds: *seconds,
        registered: 0.0,
    };
    Workload {
        objects: of.iter().map(|(bytes, _)| *bytes).collect(),
        jobs: of.iter().enumerate().map(job).collect(),
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn what_can_be_told_by_hand() {
    let workload = jobs(&[(40, 3.0), (10, 5.0), (20, 1.0)]);
    let as_given = simulate(&workload, &setup(1, Order::AsGiven));
    // Downloads end at 4, 5 and 7 seconds.
    assert!(near(as_given.makespan, 13.0), "{as_given:?}");
    assert_eq!(as_given.done, [0, 1, 2]);
    assert!(near(as_given.downloaded, 7.0) && near(as_given.first, 7.0));
    assert!(near(as_given.busy, 9.0 / 13.0));
    let smallest = simulate(&workload, &setup(1, Order::SmallestFirst));
    // They end at 1, 3 and 7 seconds, and so do the jobs 1, 2 and 0 at 6, 7 and 10.
    assert!(near(smallest.makespan, 10.0), "{smallest:?}");
    let bounds = Bounds::of(&workload, &setup(1, Order::AsGiven));
    let expected = (7.0, 9.0, 2.0);
    let found = (bounds.network, bounds.workers, bounds.ends);
    assert!(near(found.0, expected.0) && near(found.1, expected.1) && near(found.2, expected.2));
    assert!(near(bounds.closest(), 10.0), "nothing begins before 1 s");
    assert!(matches!(bounds.reach(), Reach::Impossible(_)));
}

#[test]
fn connections_share_the_bandwidth() {
    let workload = jobs(&[(10, 0.0), (30, 0.0)]);
    let mut two = setup(2, Order::AsGiven);
    two.connections = 2;
    // Both at 5 bytes a second until the first has come; then 20 bytes are left, in two parts.
    let outcome = simulate(&workload, &two);
    assert!(near(outcome.makespan, 4.0), "{outcome:?}");
    assert_eq!(outcome.done, [0, 1]);
    two.per_connection = 5.0;
    two.connections = 1;
    assert!(near(simulate(&workload, &two).makespan, 8.0));
    two.latency = 0.5;
    assert!(near(simulate(&workload, &two).makespan, 10.0));
    let shared = Workload {
        jobs: vec![
            Job {
                task: 0,
                inputs: vec![0, 1, 0],
                seconds: 1.0,
                registered: 0.0,
            },
            Job {
                task: 0,
                inputs: vec![0, 1],
                seconds: 1.0,
                registered: 9.0,
            },
        ],
        ..workload
    };
    let outcome = simulate(&shared, &setup(1, Order::SmallestFirst));
    assert!(near(outcome.makespan, 10.0), "one object is one download");
}

#[test]
fn nothing_beats_the_bounds_and_everything_is_done() {
    for (class, _) in workloads::CLASSES {
        for number in 0..6 {
            let (workload, setup) = workloads::one(class, number);
            let bounds = Bounds::of(&workload, &setup);
            assert!(bounds.closest() >= bounds.plain());
            for order in Order::ALL {
                let setup = Setup {
                    order,
                    ..setup.clone()
                };
                let outcome: Outcome = simulate(&workload, &setup);
                assert_eq!(outcome.done.len(), workload.jobs.len());
                assert!(
                    outcome.makespan >= bounds.closest() * 0.999_999,
                    "{class} {number} {order:?}: {} s, at best {}",
                    outcome.makespan,
                    bounds.closest()
                );
                assert_eq!(outcome, simulate(&workload, &setup), "the same every time");
            }
        }
    }
}

#[test]
fn the_default_order_is_near_what_is_possible() {
    let mut ratios = Vec::new();
    for (class, _) in workloads::CLASSES {
        for number in 0..workloads::OF_A_CLASS {
            let (workload, mut setup) = workloads::one(class, number);
            setup.order = Order::default();
            let bounds = Bounds::of(&workload, &setup);
            if bounds.reach() == Reach::Possible {
                ratios.push(simulate(&workload, &setup).makespan / bounds.plain());
            }
        }
    }
    assert!(ratios.len() >= 150, "{} workloads", ratios.len());
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    assert!(mean <= 1.05 && worst <= 1.25, "mean {mean}, worst {worst}");
}

#[test]
fn a_recorded_run_is_read() {
    let text = r#"{"t":0.0,"event":"run-started","workers":3}
{"t":0.1,"event":"object-wanted","key":"a","size":1000}
{"t":0.1,"event":"object-wanted","key":"b","size":500}
{"t":0.2,"event":"job-waiting","job":"x/p","inputs":["a","b"]}
{"t":0.2,"event":"object-fetching","key":"a","size":1000}
{"t":0.3,"event":"job-waiting","job":"y/p","inputs":["b"]}
{"t":0.4,"event":"job-waiting","job":"y/q","inputs":["b"]}
{"t":1.7,"event":"object-ready","key":"a","size":1000,"fetched":1000}
{"t":1.7,"event":"object-ready","key":"b","size":500,"fetched":500}
{"t":2.0,"event":"job-running","job":"x/p"}
{"t":2.0,"event":"job-running","job":"y/p"}
{"t":2.5,"event":"job-failed","job":"y/q"}
{"t":2.25,"event":"job-done","job":"y/p"}
{"t":3.0,"event":"job-done","job":"x/p"}
cut"#;
    let recorded = recorded::read(text, 4).unwrap();
    assert_eq!(recorded.workload.objects, [1000, 500]);
    let jobs = &recorded.workload.jobs;
    assert_eq!((jobs.len(), recorded.left_out), (2, 1));
    assert_eq!((jobs[0].task, jobs[1].task), (0, 1));
    assert_eq!(jobs[0].inputs, [0, 1]);
    assert!(near(jobs[0].seconds, 1.0) && near(jobs[1].registered, 0.1));
    assert_eq!((recorded.setup.workers, recorded.setup.connections), (3, 4));
    assert!(near(recorded.setup.bandwidth, 1000.0) && near(recorded.makespan, 2.8));
    assert!(recorded::read("{}", 4).is_none());
}
