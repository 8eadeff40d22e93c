//! A link in virtual time, and the controller over a grid of such links.
//!
//! A fluid model: connections share the link's rate fairly, each is held back by its own rate and
//! its growing window, and waits a round trip for each answer. Nothing here looks at a clock, so
//! the same seed gives the same run.

use super::*;

const MIB: f64 = 1048576.0;
const STEP_NS: u64 = 2 * MS;
const LOOK_NS: u64 = 100 * MS;
/// What the downloader waits before it opens another connection after a refusal.
const BACK_OFF_NS: u64 = 500 * MS;

#[derive(Clone, Copy, Debug)]
struct Link {
    rtt_ms: u64,
    /// Bytes per second.
    total: f64,
    each: f64,
    cap: usize,
    refusal: Sign,
    /// Bytes of an object; `None`: large ones, fetched in parts.
    object: Option<f64>,
    /// Round trips that the server spends on a request besides its own.
    trips: u64,
    /// The standard deviation of the total rate, from look to look, as a share.
    noise: f64,
    /// Connections start with ten packets a round trip and double.
    ramp: bool,
    requests_per_minute: Option<u32>,
    /// From this second on the total is another one.
    change: Option<(u64, f64)>,
    /// So many of the cap's connections are somebody else's until this second.
    others: Option<(u64, usize)>,
    /// Between these seconds every connection is refused and none brings bytes.
    outage: Option<(u64, u64)>,
}

const GBIT: f64 = 125e6;

const LINK: Link = Link {
    rtt_ms: 20,
    total: GBIT,
    each: f64::MAX,
    cap: usize::MAX,
    refusal: Sign::Refused,
    object: None,
    trips: 0,
    noise: 0.0,
    ramp: false,
    requests_per_minute: None,
    change: None,
    others: None,
    outage: None,
};

#[derive(Clone, Copy)]
enum State {
    /// Opening or waiting for an answer until then.
    Waiting(u64),
    Refused(u64),
    Moving(f64),
}

struct Connection {
    state: State,
    /// Bytes per round trip.
    window: f64,
    opened: bool,
}

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Roughly normal, deviation 1.
    fn normal(&mut self) -> f64 {
        ((0..12).map(|_| self.next()).sum::<f64>()) - 6.0
    }
}

/// What came of a run.
#[derive(Debug, Default)]
struct Outcome {
    /// Bytes of each second.
    seconds: Vec<f64>,
    /// When connections were refused.
    refused_ms: Vec<u64>,
    /// Settings at the end of each second.
    connections: Vec<usize>,
    part_bytes: u64,
    requests: u64,
}

impl Outcome {
    fn rate(&self, from: usize) -> f64 {
        let seconds = &self.seconds[from..];
        seconds.iter().sum::<f64>() / seconds.len() as f64
    }

    fn refused_from(&self, second: u64) -> usize {
        self.refused_ms
            .iter()
            .filter(|ms| **ms >= second * 1000)
            .count()
    }
}

fn run(link: Link, bounds: Bounds, seconds: u64, seed: u64) -> Outcome {
    let mut control = Control::new(bounds);
    let mut dice = Dice(seed);
    let rtt = link.rtt_ms * MS;
    // Connections that all wait at the same time would leave the link idle; real ones do not.
    let trip = |dice: &mut Dice| (rtt as f64 * (0.9 + 0.2 * dice.next())) as u64;
    let mut outcome = Outcome::default();
    let mut connections: Vec<Connection> = Vec::new();
    let (mut bytes, mut answered, mut moved, mut noise) = (0.0, 0u64, 0.0, 1.0);
    let (mut back_off, mut budget) = (0, f64::from(link.requests_per_minute.unwrap_or(0)) / 60.0);
    for step in 0..seconds * 1_000_000_000 / STEP_NS {
        let now = step * STEP_NS;
        let down = link
            .outage
            .is_some_and(|(from, to)| (from..to).contains(&(now / 1_000_000_000)));
        if let Some(requests) = link.requests_per_minute {
            let rate = f64::from(requests) / 60.0;
            budget = (budget + rate * STEP_NS as f64 / 1e9).min(rate);
        }
        let others = link
            .others
            .filter(|(until, _)| now / 1_000_000_000 < *until);
        let cap = link
            .cap
            .saturating_sub(others.map_or(0, |(_, count)| count));
        // Connections come and go.
        while connections.len() < control.setting().connections && now >= back_off {
            let alive = connections
                .iter()
                .filter(|c| !matches!(c.state, State::Refused(_)));
            let state = match alive.count() >= cap || down {
                true => State::Refused(now + rtt),
                false => State::Waiting(now + rtt),
            };
            connections.push(Connection {
                state,
                window: 14600.0,
                opened: false,
            });
        }
        let mut open = connections.len();
        let mut refused = 0;
        connections.retain_mut(|connection| {
            match connection.state {
                State::Refused(at) if now >= at => {
                    refused += 1;
                    open -= 1;
                    return false;
                }
                State::Waiting(at) if now >= at && !connection.opened => {
                    connection.opened = true;
                    connection.state = State::Waiting(at + trip(&mut dice) * (1 + link.trips));
                }
                State::Waiting(at) if now >= at && down => {}
                State::Waiting(at) if now >= at => {
                    if link.requests_per_minute.is_some() {
                        if budget < 1.0 {
                            return true;
                        }
                        budget -= 1.0;
                    }
                    answered += 1;
                    let part = control.setting().part_bytes as f64;
                    let object = link.object.map(|bytes| bytes * (0.5 + dice.next()));
                    connection.state = State::Moving(object.unwrap_or(part));
                }
                State::Moving(left) if left <= 0.0 => {
                    if open > control.setting().connections {
                        open -= 1;
                        return false;
                    }
                    connection.state = State::Waiting(now + trip(&mut dice) * (1 + link.trips));
                }
                _ => {}
            }
            true
        });
        for _ in 0..refused {
            back_off = now + BACK_OFF_NS;
            outcome.refused_ms.push(now / MS);
            control.sign(now, link.refusal, connections.len() + 1);
        }
        // The link's bytes, shared fairly.
        let total = match link.change {
            Some((from, total)) if now / 1_000_000_000 >= from => total,
            _ => link.total,
        };
        let mut left = if down {
            0.0
        } else {
            total * noise * STEP_NS as f64 / 1e9
        };
        let mut limits: Vec<(f64, usize)> = Vec::new();
        for (i, connection) in connections.iter().enumerate() {
            if let State::Moving(wanted) = connection.state {
                let window = match link.ramp {
                    true => connection.window / (link.rtt_ms as f64 / 1e3),
                    false => f64::MAX,
                };
                let rate = link.each.min(window);
                limits.push((wanted.min(rate * STEP_NS as f64 / 1e9), i));
            }
        }
        limits.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = limits.len();
        for (n, (limit, i)) in limits.into_iter().enumerate() {
            let got = limit.min(left / (count - n) as f64);
            left -= got;
            moved += got;
            bytes += got;
            connections[i].window = (connections[i].window + got).min(16.0 * MIB);
            if let State::Moving(wanted) = connections[i].state {
                connections[i].state = State::Moving(wanted - got.max(1e-3));
            }
        }
        if (now + STEP_NS).is_multiple_of(LOOK_NS) {
            noise = (1.0 + link.noise * dice.normal()).max(0.1);
            control.observe(Seen {
                at_ns: now + STEP_NS,
                bytes: bytes as u64,
                answered,
                open,
                busy: connections.len(),
                starved: false,
            });
        }
        if (now + STEP_NS).is_multiple_of(1_000_000_000) {
            outcome.seconds.push(moved);
            outcome.connections.push(control.setting().connections);
            moved = 0.0;
        }
    }
    outcome.part_bytes = control.setting().part_bytes;
    outcome.requests = answered;
    outcome
}

/// The best rate that any fixed number reaches.
fn best_fixed(link: Link, seed: u64) -> (f64, usize) {
    let fixed = [1, 2, 4, 8, 16, 32, 64, 96, 128].into_iter().map(|pinned| {
        let bounds = Bounds {
            pinned: Some(pinned),
            ..Bounds::default()
        };
        (run(link, bounds, 6, seed).rate(3), pinned)
    });
    fixed.fold(
        (0.0, 0),
        |best, one| if one.0 > best.0 * 1.001 { one } else { best },
    )
}

fn grid() -> Vec<Link> {
    let mut links = Vec::new();
    for object in [None, Some(256.0 * 1024.0)] {
        for rtt_ms in [1, 20, 80] {
            for total in [GBIT / 5.0, GBIT] {
                for each in [f64::MAX, 20e6] {
                    for cap in [usize::MAX, 4] {
                        links.push(Link {
                            object,
                            rtt_ms,
                            total,
                            each,
                            cap,
                            ..LINK
                        });
                    }
                }
            }
        }
    }
    links
}

/// `auto` against the best fixed number, after the first five seconds; what falls short.
fn short_of(goal: f64, links: &[Link], seeds: std::ops::Range<u64>) -> Vec<String> {
    let mut short = Vec::new();
    for link in links {
        let (best, fixed) = best_fixed(*link, 0);
        for seed in seeds.clone() {
            let outcome = run(*link, Bounds::default(), 15, seed);
            let ratio = outcome.rate(5) / best;
            if ratio < goal || outcome.refused_from(10) > 0 || outcome.refused_ms.len() > 12 {
                short.push(format!(
                    "{ratio:.3} of {fixed} connections, refused {:?}, {:?}, {:.1?} of {best:.0} over {link:?}",
                    outcome.refused_ms,
                    outcome.connections,
                    outcome.seconds.iter().map(|s| s / 1e6).collect::<Vec<_>>(),
                ));
            }
        }
    }
    short
}

fn assert_none(short: &[String]) {
    assert!(short.is_empty(), "{}", short.join("\n"));
}

#[test]
fn every_link_of_the_grid_is_filled_after_five_seconds() {
    assert_none(&short_of(0.95, &grid(), 0..1));
}

#[test]
fn noise_neither_stops_the_growth_nor_drives_it() {
    let links: Vec<Link> = grid()
        .into_iter()
        .map(|link| Link { noise: 0.1, ..link })
        .collect();
    assert_none(&short_of(0.93, &links, 1..4));
}

#[test]
fn connections_that_speed_up_slowly_are_waited_for() {
    let links: Vec<Link> = grid()
        .into_iter()
        .map(|link| Link { ramp: true, ..link })
        .collect();
    assert_none(&short_of(0.95, &links, 0..1));
}

#[test]
fn a_second_round_trip_on_the_server_doubles_the_requests_in_flight() {
    let small = Link {
        rtt_ms: 50,
        object: Some(256.0 * 1024.0),
        ..LINK
    };
    let one = run(small, Bounds::default(), 20, 0);
    let two = run(Link { trips: 1, ..small }, Bounds::default(), 20, 0);
    assert!(one.rate(5) > 0.95 * GBIT && two.rate(5) > 0.95 * GBIT);
    let (one, two) = (one.connections[19], two.connections[19]);
    assert!(
        (24..=80).contains(&one) && two > one * 5 / 4,
        "{one} and {two}"
    );
}

#[test]
fn large_objects_rest_near_sixteen() {
    for rtt_ms in [1, 50] {
        let outcome = run(Link { rtt_ms, ..LINK }, Bounds::default(), 20, 0);
        assert!(
            (16..=20).contains(&outcome.connections[19]),
            "{:?}",
            outcome.connections
        );
    }
}

#[test]
fn a_remembered_cap_is_left_alone_for_longer_and_longer() {
    for refusal in [Sign::Refused, Sign::Throttled] {
        let link = Link {
            cap: 6,
            each: 5e6,
            refusal,
            ..LINK
        };
        let outcome = run(link, Bounds::default(), 300, 0);
        assert!(outcome.rate(10) > 0.97 * 30e6, "{}", outcome.rate(10));
        let times: Vec<u64> = outcome.refused_ms.iter().map(|ms| ms / 1000).collect();
        let late: Vec<u64> = times
            .iter()
            .copied()
            .filter(|second| *second >= 10)
            .collect();
        assert!(
            times.len() - late.len() <= 6 && late.len() <= 4,
            "{times:?}"
        );
        let gaps: Vec<u64> = late.windows(2).map(|w| w[1] - w[0]).collect();
        assert!(gaps.windows(2).all(|w| w[1] > w[0]), "{times:?}");
    }
}

#[test]
fn a_connection_that_somebody_else_had_for_a_moment_is_taken_later() {
    for refusal in [Sign::Refused, Sign::Throttled] {
        let others = Some((1, 1));
        let link = Link {
            cap: 4,
            each: 20e6,
            refusal,
            others,
            ..LINK
        };
        let outcome = run(link, Bounds::default(), 20, 0);
        assert_eq!(outcome.connections[5..], [4; 15], "{outcome:?}");
        assert!(outcome.refused_ms.len() <= 4, "{:?}", outcome.refused_ms);
    }
}

#[test]
fn parts_grow_until_the_request_budget_is_not_what_limits() {
    let link = Link {
        requests_per_minute: Some(60),
        ..LINK
    };
    let bounds = Bounds {
        requests_per_minute: Some(60),
        ..Bounds::default()
    };
    let outcome = run(link, bounds, 60, 0);
    assert!(
        outcome.rate(30) > 0.95 * GBIT,
        "{:.0} with {}",
        outcome.rate(30),
        outcome.part_bytes
    );
    assert!(outcome.part_bytes.is_multiple_of(1 << 20));
}

#[test]
fn a_link_that_gets_faster_is_noticed() {
    let small = Link {
        object: Some(256.0 * 1024.0),
        rtt_ms: 80,
        total: 25e6,
        ..LINK
    };
    let link = Link {
        change: Some((20, GBIT)),
        ..small
    };
    let outcome = run(link, Bounds::default(), 60, 0);
    assert!(outcome.rate(50) > 0.95 * GBIT, "{:?}", outcome.connections);
}

#[test]
fn an_outage_is_not_taken_for_a_cap() {
    let small = Link {
        object: Some(256.0 * 1024.0),
        rtt_ms: 80,
        ..LINK
    };
    let outcome = run(
        Link {
            outage: Some((10, 20)),
            ..small
        },
        Bounds::default(),
        40,
        0,
    );
    assert!(outcome.rate(28) > 0.95 * GBIT, "{:?}", outcome.connections);
}

#[test]
fn a_pinned_number_is_kept_whatever_happens() {
    let bounds = Bounds {
        pinned: Some(7),
        ..Bounds::default()
    };
    let outcome = run(Link { cap: 4, ..LINK }, bounds, 5, 0);
    assert!(outcome.connections.iter().all(|n| *n == 7));
}

#[test]
fn signs_cut_by_a_factor_once_for_each_burst() {
    let mut control = Control::new(Bounds {
        min: 1,
        max: 64,
        ..Bounds::default()
    });
    control.hold(0, 64);
    for _ in 0..64 {
        control.sign(1_000 * MS, Sign::Throttled, 64);
    }
    assert_eq!(control.setting().connections, 32);
    for _ in 0..32 {
        control.sign(9_000 * MS, Sign::Throttled, 32);
    }
    assert_eq!(control.setting().connections, 16);
    // One silent connection among many is no reason, a quarter of them is.
    control.sign(20_000 * MS, Sign::TimedOut, 16);
    assert_eq!(control.setting().connections, 16);
    for _ in 0..4 {
        control.sign(20_000 * MS, Sign::TimedOut, 16);
    }
    assert_eq!(control.setting().connections, 12);
}
