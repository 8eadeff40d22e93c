//! Holding a body to what was asked for.

use crate::values::ByteRange;

use super::error::FetchError;

/// Counts the bytes of a part as they come.
#[derive(Debug)]
pub(super) struct Expected {
    range: ByteRange,
    at: u64,
}

impl Expected {
    pub fn new(range: ByteRange) -> Expected {
        Expected {
            range,
            at: range.start,
        }
    }

    /// Where the next `len` bytes belong; an error if they are too many.
    pub fn take(&mut self, len: usize) -> Result<u64, FetchError> {
        let at = self.at;
        let end = at.saturating_add(len as u64);
        if end > self.range.end {
            return Err(FetchError::Long { range: self.range });
        }
        self.at = end;
        Ok(at)
    }

    /// How far the bytes have come.
    pub fn reached(&self) -> u64 {
        self.at
    }

    /// An error unless all bytes came.
    pub fn complete(&self) -> Result<(), FetchError> {
        match self.range.end - self.at {
            0 => Ok(()),
            missing => Err(FetchError::Short {
                range: self.range,
                missing,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_too_few_or_too_many_is_an_error() {
        let mut body = Expected::new(ByteRange::new(10, 20));
        assert_eq!(body.take(4).unwrap(), 10);
        assert!(matches!(
            body.complete(),
            Err(FetchError::Short { missing: 6, .. })
        ));
        assert_eq!(body.take(6).unwrap(), 14);
        assert!(body.complete().is_ok());
        assert!(matches!(body.take(1), Err(FetchError::Long { .. })));
    }
}
