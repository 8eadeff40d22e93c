//! What a network gives, from the parts that came through it: how fast one connection is, how
//! fast all of them are together, and whether more would bring more.
//!
//! The model is that of the simulator: connections that bring bytes at the same time have equal
//! shares of the bandwidth, and none more than it can have alone. What a part should have brought
//! follows from how many others came beside it at each moment, so the limit is found from which
//! the parts differ least, and it counts only if they differ clearly more from others.

/// Concurrencies that were seen for less than this share of the time say nothing.
const SEEN: f64 = 0.01;
/// How much better one model must fit than another: that much by chance is one in a hundred
/// thousand, but neighbouring parts differ alike, so it is less certain than that.
const CLEAR: f64 = 12.0;
/// Misfits beyond this count no more: three times the usual difference.
const FARTHEST: f64 = 9.0;
/// Differences of a fiftieth are usual anywhere.
const EXACT: f64 = 0.02;
/// Limits that are tried are so many times apart.
const STEP: f64 = 1.08;
/// The same where there are so many parts that each try takes its time.
const LARGE_STEP: f64 = 1.3;
const LARGE: usize = 200_000;
/// A limit at so much of the most connections is one that would have been seen.
const INSIDE: f64 = 0.75;

/// A request and its answer. Times are seconds on any clock.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The object's position.
    pub object: u32,
    /// When it was asked for.
    pub begun: f64,
    /// When the head of the answer was there.
    pub answered: Option<f64>,
    /// When the last byte had landed.
    pub ended: f64,
    /// Bytes that landed.
    pub bytes: u64,
}

/// How the rate went with the number of connections that brought bytes at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// In proportion up to the most that were seen: what more would bring was not seen.
    Proportional,
    /// Up to a number below that, and no further.
    Full,
    /// It cannot be told, because there were always about as many, or too few parts.
    Unknown,
}

/// A network as it was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// Bytes per second of all connections together; infinite if no end of it was seen.
    pub bandwidth: f64,
    /// Bytes per second of one connection.
    pub per_connection: f64,
    /// Seconds from a request to the head of its answer.
    pub latency: f64,
    /// Whether more connections brought more.
    pub growth: Growth,
    /// The most connections that brought bytes at the same time for long enough to count.
    pub most: usize,
}

impl Network {
    /// The network through which these parts came; `None` if no bytes did.
    pub fn of(parts: &[Part]) -> Option<Network> {
        let came: Vec<Part> = parts.iter().filter(|p| p.bytes > 0).copied().collect();
        if came.is_empty() {
            return None;
        }
        let moves = moves(&came);
        let seconds = seconds_at(&moves);
        let all: f64 = seconds.iter().sum();
        let most = seconds.iter().rposition(|at| *at >= SEEN * all);
        let most = most.unwrap_or(1).max(1);
        let (each, off) = differences(&came, &moves, f64::INFINITY);
        let weights = weights(&came);
        let scale = scale(&off);
        let free = Model {
            knee: f64::INFINITY,
            each,
            misfit: misfit(&off, &weights, scale),
        };
        let step = if came.len() > LARGE { LARGE_STEP } else { STEP };
        let mut best: Option<Model> = None;
        let mut knee = 1.0;
        while knee < most as f64 * INSIDE {
            let (each, off) = differences(&came, &moves, knee);
            let misfit = misfit(&off, &weights, scale);
            if best.is_none_or(|best| misfit < best.misfit) {
                best = Some(Model { knee, each, misfit });
            }
            knee *= step;
        }
        let (growth, model) = match best {
            Some(best) if free.misfit - best.misfit >= CLEAR => (Growth::Full, best),
            Some(best) if best.misfit - free.misfit >= CLEAR => (Growth::Proportional, free),
            _ => (Growth::Unknown, free),
        };
        let bytes: f64 = came.iter().map(|part| part.bytes as f64).sum();
        Some(Network {
            bandwidth: match growth {
                Growth::Proportional => f64::INFINITY,
                Growth::Full => model.each * model.knee,
                Growth::Unknown => bytes / all,
            },
            per_connection: model.each,
            latency: latency(&came),
            growth,
            most,
        })
    }
}

/// A network whose rate grows up to a number of connections.
#[derive(Clone, Copy, Debug)]
struct Model {
    /// That number.
    knee: f64,
    /// Bytes per second of a connection up to there.
    each: f64,
    /// How badly the parts fit it.
    misfit: f64,
}

/// Bytes per second of a connection if the rate grows up to `knee` of them, and the logarithm of
/// how much more than that each part brought.
fn differences(parts: &[Part], moves: &[Move], knee: f64) -> (f64, Vec<f64>) {
    // Seconds of a connection for itself that each part had.
    let mut had = vec![0.0; parts.len()];
    let (mut now, mut sum, mut count) = (0.0, 0.0, 0_usize);
    for step in moves {
        if count > 0 {
            sum += (step.at - now) * (knee / count as f64).min(1.0);
        }
        now = step.at;
        if step.begins {
            count += 1;
            had[step.part] = -sum;
        } else {
            count = count.saturating_sub(1);
            had[step.part] += sum;
        }
    }
    let bytes = parts.iter().map(|part| part.bytes as f64);
    let each = bytes.clone().sum::<f64>() / had.iter().sum::<f64>().max(1e-9);
    let off = bytes
        .zip(&had)
        .map(|(bytes, had)| (bytes / had.max(1e-9) / each).ln());
    (each, off.collect())
}

/// How much each part says, by its bytes: small ones are over before anything can be measured of
/// them. All together, as many as parts of the same size would say as much.
fn weights(parts: &[Part]) -> Vec<f64> {
    let bytes = parts.iter().map(|part| part.bytes as f64);
    let squares: f64 = bytes.clone().map(|bytes| bytes * bytes).sum();
    let all: f64 = bytes.clone().sum();
    bytes.map(|bytes| bytes * all / squares).collect()
}

/// How far parts usually differ from each other: half of them less than two thirds of this.
fn scale(off: &[f64]) -> f64 {
    let median = |mut values: Vec<f64>| {
        let middle = values.len() / 2;
        let (_, median, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
        *median
    };
    let middle = median(off.to_vec());
    let far = median(off.iter().map(|off| (off - middle).abs()).collect());
    (far * 1.5).max(EXACT)
}

/// How badly parts fit: squares of their differences from the mean, in that scale. What differs
/// very much, because it stood still or is no part, counts no more than what differs much.
fn misfit(off: &[f64], weights: &[f64], scale: f64) -> f64 {
    let mean = |counts: &dyn Fn(f64) -> bool| {
        let counted = off.iter().zip(weights).filter(|(off, _)| counts(**off));
        let (sum, all) = counted.fold((0.0, 0.0), |(sum, all), (off, weight)| {
            (sum + off * weight, all + weight)
        });
        if all > 0.0 { sum / all } else { 0.0 }
    };
    let first = mean(&|_| true);
    let mean = mean(&|off| (off - first).abs() < 3.0 * scale);
    let misfits = off.iter().zip(weights);
    let misfits =
        misfits.map(|(off, weight)| weight * ((off - mean) / scale).powi(2).min(FARTHEST) / 2.0);
    misfits.sum()
}

/// A part that begins to come, or has come.
#[derive(Clone, Copy, Debug)]
struct Move {
    at: f64,
    begins: bool,
    part: usize,
}

/// All of them in the order of time; a part begins before it ends.
fn moves(parts: &[Part]) -> Vec<Move> {
    let mut moves = Vec::with_capacity(parts.len() * 2);
    for (part, came) in parts.iter().enumerate() {
        let from = came.answered.unwrap_or(came.begun);
        let from = from.min(came.ended - 1e-6);
        let step = |at, begins| Move { at, begins, part };
        moves.extend([step(from, true), step(came.ended, false)]);
    }
    moves.sort_by(|a, b| a.at.total_cmp(&b.at).then(a.begins.cmp(&b.begins)));
    moves
}

/// Seconds with each number of parts coming.
fn seconds_at(moves: &[Move]) -> Vec<f64> {
    let mut seconds = vec![0.0; 2];
    let (mut now, mut count) = (0.0, 0_usize);
    for step in moves {
        if count > 0 {
            if seconds.len() <= count {
                seconds.resize(count + 1, 0.0);
            }
            seconds[count] += step.at - now;
        }
        now = step.at;
        match step.begins {
            true => count += 1,
            false => count = count.saturating_sub(1),
        }
    }
    seconds
}

/// The mean seconds to the head of an answer; the slowest hundredth counts as the next does.
fn latency(parts: &[Part]) -> f64 {
    let waited = |part: &Part| Some((part.answered?.min(part.ended) - part.begun).max(0.0));
    let mut waited: Vec<f64> = parts.iter().filter_map(waited).collect();
    if waited.is_empty() {
        return 0.0;
    }
    waited.sort_by(f64::total_cmp);
    let place = (waited.len() * 99 / 100).min(waited.len() - 1);
    let most = waited[place];
    waited.iter().map(|w| w.min(most)).sum::<f64>() / waited.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts on so many connections, each one after the other, all at this rate.
    fn line(parts: &mut Vec<Part>, from: f64, lines: usize, count: usize, rate: f64) {
        for n in 0..lines * count {
            // Lines do not begin at the same time.
            let begun = from + (n / lines) as f64 + (n % lines) as f64 / lines as f64;
            parts.push(Part {
                object: n as u32,
                begun,
                answered: Some(begun + 0.1),
                ended: begun + 1.0,
                bytes: (rate * 0.9) as u64,
            });
        }
    }

    #[test]
    fn connections_that_are_as_fast_among_many() {
        let mut parts = Vec::new();
        line(&mut parts, 0.0, 2, 10, 1e6);
        line(&mut parts, 20.0, 8, 10, 1e6);
        let network = Network::of(&parts).unwrap();
        assert_eq!(network.growth, Growth::Proportional, "{network:?}");
        assert!((network.per_connection / 1e6 - 1.0).abs() < 0.01);
        assert!((network.latency - 0.1).abs() < 1e-9);
        assert_eq!(network.bandwidth, f64::INFINITY);
        assert_eq!(network.most, 8);
    }

    #[test]
    fn connections_that_share_what_there_is() {
        let mut parts = Vec::new();
        line(&mut parts, 0.0, 2, 10, 4e6);
        line(&mut parts, 20.0, 8, 10, 1e6);
        let network = Network::of(&parts).unwrap();
        assert_eq!(network.growth, Growth::Full, "{network:?}");
        assert!((network.bandwidth / 7.3e6 - 1.0).abs() < 0.1, "{network:?}");
        assert!(network.per_connection > 3.5e6);
    }

    #[test]
    fn tiny_parts_say_nothing() {
        let mut parts = Vec::new();
        line(&mut parts, 0.0, 2, 10, 1e6);
        line(&mut parts, 20.0, 8, 10, 1e6);
        for n in 0..60 {
            let begun = f64::from(n) / 2.0;
            parts.push(Part {
                object: 1000 + n,
                begun,
                answered: Some(begun),
                ended: begun + 0.000_1 * f64::from(n % 7),
                bytes: u64::from(n * n) + 1,
            });
        }
        let network = Network::of(&parts).unwrap();
        assert_eq!(network.growth, Growth::Proportional, "{network:?}");
        assert!((network.per_connection / 1e6 - 1.0).abs() < 0.02);
    }

    #[test]
    fn one_connection_says_nothing_of_two() {
        let mut parts = Vec::new();
        line(&mut parts, 0.0, 1, 10, 4e6);
        let network = Network::of(&parts).unwrap();
        assert_eq!(network.growth, Growth::Unknown);
        assert!((network.bandwidth / 4e6 - 1.0).abs() < 0.01);
        assert_eq!(Network::of(&[]), None);
    }
}
