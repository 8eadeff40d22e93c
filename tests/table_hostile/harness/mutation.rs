//! Alterations of a table's bytes, at random or from a text.
//!
//! As a text: `<when> <place>+<byte> <change>`, for example `0 slots+8 set 0x1` or
//! `12 ready 0+0 fill 3 0xffffffffffffffff`. *when* is the number of operations that run before.

use std::fmt;
use std::ops::Range;

use super::arena::Arena;
use super::dice::Dice;

#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// The word becomes this.
    Set(u64),
    /// These bits are turned over.
    Xor(u64),
    /// The first half becomes this: a torn word.
    Low(u32),
    /// The second half becomes this: a torn word.
    High(u32),
    /// Grows by this, round the end.
    Add(u64),
    /// Becomes what stands so many words further.
    Copy(u64),
    /// Changes places with what stands so many words further.
    Swap(u64),
    /// So many words become this.
    Fill(u64, u64),
}

#[derive(Clone, Debug)]
pub struct Mutation {
    /// Operations that run before it.
    pub when: usize,
    place: String,
    /// Byte of the place, a multiple of 8.
    byte: u64,
    change: Change,
}

const NASTY: [u64; 14] = [
    0,
    1,
    2,
    63,
    64,
    1 << 31,
    (1 << 31) - 1,
    u32::MAX as u64,
    1 << 32,
    1 << 40,
    1 << 63,
    (1 << 63) - 1,
    u64::MAX - 1,
    u64::MAX,
];

impl Mutation {
    pub fn random(dice: &mut Dice, arena: &Arena, operations: usize) -> Mutation {
        let places = arena.places();
        let (place, range) = &places[dice.below(places.len() as u64) as usize];
        let words = (range.end - range.start) / 8;
        // Mostly where something stands; the header's words are few among many.
        let used = arena.used(place).min(words).max(1);
        let word = if dice.one_in(8) {
            dice.below(words)
        } else {
            dice.below(used)
        };
        let change = match dice.below(20) {
            0..=4 => Change::Xor(1 << dice.below(64)),
            5..=7 => Change::Set(dice.pick(&NASTY)),
            // Numbers that a table of this size could hold.
            8..=10 => Change::Set(dice.below(64) << 32 | dice.below(64)),
            11 => Change::Set(dice.below(128)),
            12 => Change::Low(dice.next() as u32 >> dice.below(32)),
            13 => Change::High(dice.next() as u32 >> dice.below(32)),
            14 => Change::Add(dice.pick(&[1, 8, u64::MAX, 1 << 32, u64::MAX << 32])),
            15..=16 => Change::Copy(dice.below(24)),
            17 => Change::Swap(dice.below(24)),
            18 => Change::Set(dice.next()),
            _ if dice.one_in(4) => Change::Fill(words - word, dice.pick(&NASTY)),
            _ => Change::Fill(1 + dice.below(8), dice.next() >> dice.below(64)),
        };
        Mutation {
            when: if dice.one_in(2) {
                0
            } else {
                dice.below(operations as u64) as usize
            },
            place: (*place).to_owned(),
            byte: word * 8,
            change,
        }
    }

    /// From sixteen bytes: when, place, change, word, and a value of eight bytes.
    pub fn from_bytes(piece: &[u8], arena: &Arena) -> Option<Mutation> {
        let &[when, place, change, _, _, _, low, high, ref value @ ..] = piece else {
            return None;
        };
        let value = u64::from_le_bytes(value.try_into().ok()?);
        let places = arena.places();
        let (place, range) = &places[usize::from(place) % places.len()];
        let words = (range.end - range.start) / 8;
        let change = match change % 8 {
            0 => Change::Set(value),
            1 => Change::Xor(value),
            2 => Change::Low(value as u32),
            3 => Change::High(value as u32),
            4 => Change::Add(value),
            5 => Change::Copy(value % 64),
            6 => Change::Swap(value % 64),
            _ => Change::Fill(1 + value % 64, value >> 8),
        };
        Some(Mutation {
            when: usize::from(when) % 56,
            place: (*place).to_owned(),
            byte: u64::from(u16::from_le_bytes([low, high])) % words * 8,
            change,
        })
    }

    /// From a line of a corpus file; `None` if it makes no sense.
    pub fn parse(line: &str) -> Option<Mutation> {
        let (when, rest) = line.split_once(' ')?;
        let (place, rest) = rest.split_once('+')?;
        let mut words = rest.split_ascii_whitespace();
        let byte = words.next()?.parse().ok()?;
        let what = words.next()?;
        let mut number = || {
            let text = words.next()?;
            match text.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            }
        };
        let change = match what {
            "set" => Change::Set(number()?),
            "xor" => Change::Xor(number()?),
            "low" => Change::Low(number()? as u32),
            "high" => Change::High(number()? as u32),
            "add" => Change::Add(number()?),
            "copy" => Change::Copy(number()?),
            "swap" => Change::Swap(number()?),
            "fill" => Change::Fill(number()?, number()?),
            _ => return None,
        };
        let when = when.parse().ok()?;
        Some(Mutation {
            when,
            place: place.to_owned(),
            byte,
            change,
        })
    }

    /// Alters the table.
    pub fn apply(&self, arena: &Arena) {
        let Some((_, range)) = arena.places().iter().find(|(name, _)| *name == self.place) else {
            return;
        };
        let at = range.start + self.byte;
        let other = |words: u64| (at + words * 8).min(range.end.saturating_sub(8));
        let now = arena.get(at);
        match self.change {
            Change::Set(value) => arena.set(at, value),
            Change::Xor(bits) => arena.set(at, now ^ bits),
            Change::Low(half) => arena.set(at, now >> 32 << 32 | u64::from(half)),
            Change::High(half) => arena.set(at, now & 0xffff_ffff | u64::from(half) << 32),
            Change::Add(value) => arena.set(at, now.wrapping_add(value)),
            Change::Copy(words) => arena.set(at, arena.get(other(words))),
            Change::Swap(words) => {
                arena.set(at, arena.get(other(words)));
                arena.set(other(words), now);
            }
            Change::Fill(words, value) => fill(arena, at..range.end, words, value),
        }
    }
}

fn fill(arena: &Arena, range: Range<u64>, words: u64, value: u64) {
    for at in range.step_by(8).take(words.min(1 << 20) as usize) {
        arena.set(at, value);
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}+{} ", self.when, self.place, self.byte)?;
        match self.change {
            Change::Set(v) => write!(f, "set {v:#x}"),
            Change::Xor(v) => write!(f, "xor {v:#x}"),
            Change::Low(v) => write!(f, "low {v:#x}"),
            Change::High(v) => write!(f, "high {v:#x}"),
            Change::Add(v) => write!(f, "add {v:#x}"),
            Change::Copy(n) => write!(f, "copy {n}"),
            Change::Swap(n) => write!(f, "swap {n}"),
            Change::Fill(n, v) => write!(f, "fill {n} {v:#x}"),
        }
    }
}
