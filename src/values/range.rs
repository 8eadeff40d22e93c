//! Some bytes of an object.

use std::fmt;

/// The bytes `start..end` of an object; `end` is exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// The range `start..end`; an end before the start gives an empty range.
    pub fn new(start: u64, end: u64) -> ByteRange {
        ByteRange {
            start,
            end: end.max(start),
        }
    }

    /// Number of bytes.
    pub fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether the range holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The part of this range that lies inside an object of `size` bytes.
    pub fn clamp(self, size: u64) -> ByteRange {
        ByteRange::new(self.start.min(size), self.end.min(size))
    }

    /// The value of an HTTP `Range` header; `None` for an empty range, which HTTP cannot say.
    pub fn http(self) -> Option<String> {
        (!self.is_empty()).then(|| format!("bytes={}-{}", self.start, self.end - 1))
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_header_is_inclusive_and_empty_has_none() {
        assert_eq!(ByteRange::new(0, 1).http().as_deref(), Some("bytes=0-0"));
        assert_eq!(ByteRange::new(5, 5).http(), None);
        assert_eq!(ByteRange::new(9, 3).len(), 0);
        assert_eq!(ByteRange::new(5, 20).clamp(8), ByteRange::new(5, 8));
    }
}
