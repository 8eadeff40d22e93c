//! What a network gives, from the parts that came through it: how fast one connection is, how
//! fast all of them are together, and whether more would bring more.

/// Concurrencies that were seen for less than this share of the time say nothing.
const SEEN: f64 = 0.01;
/// So much of the time says how fast a connection is among few.
const FEW: f64 = 0.03;
/// Each connection as fast as this share of what one among few had: the rate grew in proportion.
const PROPORTIONAL: f64 = 0.85;
/// So many times the rate of half the connections is no more than it.
const SAME: f64 = 1.15;

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
    /// It grew, but less than in proportion.
    Less,
    /// It no longer grew.
    Full,
    /// There was only one number of connections to be seen, or no part at all.
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

/// Time and bytes with a number of connections bringing bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    seconds: f64,
    bytes: f64,
}

impl Network {
    /// The network through which these parts came; `None` if no bytes did.
    pub fn of(parts: &[Part]) -> Option<Network> {
        let came: Vec<Part> = parts.iter().filter(|p| p.bytes > 0).copied().collect();
        if came.is_empty() {
            return None;
        }
        let levels = levels(&came);
        let all: f64 = levels.iter().map(|level| level.seconds).sum();
        let seen = |level: &Level| level.seconds >= SEEN * all && level.seconds > 0.0;
        let most = levels.iter().rposition(seen).unwrap_or(1).max(1);
        let bytes: f64 = came.iter().map(|part| part.bytes as f64).sum();
        let mean_each = bytes / came.iter().map(transfer).sum::<f64>();
        // The upper quarter of the concurrencies, what is next below it, and the lower half.
        let enough = |group: &(f64, f64, f64)| group.1 >= SEEN * all;
        let upper = (most * 3).div_ceil(4).max(1);
        let high = together(&levels, upper, levels.len());
        let low = together(&levels, 1, most / 2 + 1).filter(enough);
        let next = together(&levels, (most / 2).max(1), upper).filter(enough);
        let growth = match (high, low, next.or(low)) {
            (Some((high, _, many)), Some((low, _, few)), Some((next, ..))) if most > 1 => {
                match () {
                    () if high / many >= PROPORTIONAL * low / few => Growth::Proportional,
                    () if high <= SAME * next => Growth::Full,
                    () => Growth::Less,
                }
            }
            _ => Growth::Unknown,
        };
        let top = high.map_or(mean_each, |(rate, ..)| rate);
        Some(Network {
            bandwidth: match growth {
                Growth::Proportional => f64::INFINITY,
                _ => top,
            },
            per_connection: match growth {
                Growth::Full | Growth::Less => each_among_few(&levels, all).max(top / most as f64),
                Growth::Proportional | Growth::Unknown => mean_each,
            },
            latency: latency(&came),
            growth,
            most,
        })
    }
}

/// The most that one connection had, among however many there were.
fn each_among_few(levels: &[Level], all: f64) -> f64 {
    let groups = (1..levels.len()).filter_map(|most| together(levels, 1, most + 1));
    let each = groups
        .filter(|(_, seconds, _)| *seconds >= FEW * all)
        .map(|(rate, _, busy)| rate / busy);
    each.fold(0.0, f64::max)
}

/// Seconds in which a part's bytes came.
fn transfer(part: &Part) -> f64 {
    let from = part.answered.unwrap_or(part.begun).min(part.ended);
    (part.ended - from).max(1e-6)
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

/// Time and bytes of each concurrency; a part's bytes came evenly.
fn levels(parts: &[Part]) -> Vec<Level> {
    let mut moves: Vec<(f64, f64)> = Vec::with_capacity(parts.len() * 2);
    for part in parts {
        let seconds = transfer(part);
        let rate = part.bytes as f64 / seconds;
        moves.push((part.ended - seconds, rate));
        moves.push((part.ended, -rate));
    }
    moves.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut levels: Vec<Level> = Vec::new();
    let (mut now, mut rate, mut count) = (f64::NEG_INFINITY, 0.0_f64, 0_usize);
    for (at, change) in moves {
        if count > 0 && at > now {
            if levels.len() <= count {
                levels.resize(count + 1, Level::default());
            }
            levels[count].seconds += at - now;
            levels[count].bytes += (at - now) * rate.max(0.0);
        }
        now = at;
        match change > 0.0 {
            true => count += 1,
            false => count = count.saturating_sub(1),
        }
        // What is left of rounding is no rate.
        rate = if count == 0 { 0.0 } else { rate + change };
    }
    levels
}

/// Rate, seconds and mean concurrency of a range of levels.
fn together(levels: &[Level], from: usize, to: usize) -> Option<(f64, f64, f64)> {
    let (mut seconds, mut bytes, mut busy) = (0.0, 0.0, 0.0);
    for (count, level) in levels.iter().enumerate().take(to).skip(from) {
        seconds += level.seconds;
        bytes += level.bytes;
        busy += level.seconds * count as f64;
    }
    (seconds > 0.0).then(|| (bytes / seconds, seconds, busy / seconds))
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
        let mut parts = Vec::new();
        line(&mut parts, 0.0, 2, 10, 2e6);
        line(&mut parts, 20.0, 8, 10, 1e6);
        assert_eq!(Network::of(&parts).unwrap().growth, Growth::Less);
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
