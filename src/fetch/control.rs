//! How many connections and how large parts.

use crate::values::Limits;

/// Connections to a store of which nothing is known.
const DEFAULT_CONNECTIONS: usize = 16;

/// Hosts that allow fewer connections at a time to one user.
const POLITE: [(&str, usize); 2] = [
    ("eodata.dataspace.copernicus.eu", 4),
    ("eodata.ams.dataspace.copernicus.eu", 4),
];

/// The most bytes of one request; a multiple of a grain.
pub(super) const PART_BYTES: u64 = 8 << Limits::GRAIN_SHIFT;

/// How many connections to hold to an endpoint's host.
pub fn connections_for(host: &str) -> usize {
    POLITE
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(host))
        .map_or(DEFAULT_CONNECTIONS, |(_, n)| *n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copernicus_gets_the_four_that_it_allows() {
        assert_eq!(connections_for("EODATA.dataspace.copernicus.eu"), 4);
        assert_eq!(connections_for("127.0.0.1"), DEFAULT_CONNECTIONS);
    }
}
