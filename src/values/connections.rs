//! How many connections the user wants.

use std::fmt;
use std::str::FromStr;

/// The most connections that can be asked for.
const MOST: usize = 1024;

/// Connections to a store at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connections {
    /// As many as bring the most, found while downloading.
    #[default]
    Auto,
    /// This number, from 1 to 1,024.
    Pinned(usize),
}

impl Connections {
    /// The number, where there is one.
    pub fn pinned(self) -> Option<usize> {
        match self {
            Connections::Auto => None,
            Connections::Pinned(number) => Some(number),
        }
    }

    /// This number of connections; `None` where there can be none such.
    pub fn of(number: u64) -> Option<Connections> {
        let number = usize::try_from(number).ok()?;
        (1..=MOST)
            .contains(&number)
            .then_some(Connections::Pinned(number))
    }
}

/// What is neither `auto` nor a number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoConnections;

impl fmt::Display for NoConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connections are \"auto\" or a number from 1 to {MOST}")
    }
}

impl std::error::Error for NoConnections {}

impl FromStr for Connections {
    type Err = NoConnections;

    fn from_str(text: &str) -> Result<Connections, NoConnections> {
        match text.parse() {
            Ok(number) => Connections::of(number).ok_or(NoConnections),
            Err(_) if text == "auto" => Ok(Connections::Auto),
            Err(_) => Err(NoConnections),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_or_a_number() {
        assert_eq!("auto".parse(), Ok(Connections::Auto));
        assert_eq!("64".parse(), Ok(Connections::Pinned(64)));
        for text in ["0", "1025", "-1", "", "Auto", "4.0"] {
            assert_eq!(text.parse::<Connections>(), Err(NoConnections), "{text}");
        }
    }
}
