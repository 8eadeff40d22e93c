//! What a store's answers say of an object's bytes.

use crate::store::{Algorithm, Sum};
use crate::values::ByteRange;

/// Whether a sum is that of all bytes, or of all parts that the object was uploaded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Bytes,
    Parts(u32),
}

/// What the answers to the requests for one object said.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// The ETag is no MD5, whatever it looks like.
    opaque_etag: bool,
    /// From an answer that held the whole object.
    whole: Option<(Sum, Of)>,
    /// From answers that held a range, for the whole object as they say: the sum, the first such
    /// range, and whether another range's answer said the same.
    ranged: Option<(Sum, ByteRange, bool)>,
    /// Two ranges' answers said different things: each spoke of its own range.
    differing: bool,
}

impl Said {
    /// Nothing yet, of an object in this bucket.
    pub fn new(bucket: &str) -> Said {
        Said {
            // The buckets of S3 Express have ETags that are no sums.
            opaque_etag: bucket.ends_with("--x-s3"),
            ..Said::default()
        }
    }

    /// Forgets what was said: all is asked for once more.
    pub fn forget(&mut self) {
        (self.whole, self.ranged, self.differing) = (None, None, false);
    }

    /// Takes in the headers of the answer for a range of an object of that size. `header` gives
    /// the text of a header, asked for by its name in small letters.
    ///
    /// A sum that comes with a part of the object may be that part's own, even where it is marked
    /// as the whole object's. It is believed when two different ranges come with the same.
    pub fn hear<'h>(
        &mut self,
        range: ByteRange,
        size: u64,
        header: impl Fn(&str) -> Option<&'h str>,
    ) {
        // Encrypted with such a key, 32 hexadecimal digits are not the MD5 of what is sent.
        let kms = header("x-amz-server-side-encryption")
            .is_some_and(|how| how.trim().starts_with("aws:"));
        let own_key = header("x-amz-server-side-encryption-customer-algorithm").is_some();
        self.opaque_etag |= kms || own_key;
        let Some((sum, of)) = Algorithm::IN_HEADERS
            .into_iter()
            .find_map(|algorithm| sum_in(algorithm, header(algorithm.header()?)?.trim()))
        else {
            return;
        };
        let kind = header("x-amz-checksum-type").map(str::trim);
        // A sum of parts that is not marked by their number says of how many it is to nobody.
        if kind == Some("COMPOSITE") && of == Of::Bytes {
            return;
        }
        if range.start == 0 && range.end >= size {
            self.whole = Some((sum, of));
        } else if kind == Some("FULL_OBJECT") && of == Of::Bytes {
            match &mut self.ranged {
                None => self.ranged = Some((sum, range, false)),
                Some((before, _, _)) if *before != sum => self.differing = true,
                Some((_, first, again)) => *again |= *first != range,
            }
        }
    }

    /// The sum to compare the object with, if one was sent.
    pub(super) fn sum(&self) -> Option<(Sum, Of)> {
        let ranged = self
            .ranged
            .filter(|(_, _, again)| *again && !self.differing);
        self.whole.or(ranged.map(|(sum, _, _)| (sum, Of::Bytes)))
    }

    /// Whether an ETag that looks like an MD5 may be taken for one.
    pub(super) fn etag_may_be_md5(&self) -> bool {
        !self.opaque_etag
    }
}

/// Of all bytes, or with the number of parts behind a dash.
fn sum_in(algorithm: Algorithm, text: &str) -> Option<(Sum, Of)> {
    let (sum, of) = match text.split_once('-') {
        None => (text, Of::Bytes),
        Some((sum, parts)) => (sum, Of::Parts(parts_in(parts)?)),
    };
    Some((Sum::from_base64(algorithm, sum)?, of))
}

/// A number of parts as S3 writes it: 1 to 10,000, nothing before or behind it.
pub(super) fn parts_in(text: &str) -> Option<u32> {
    let parts: u32 = text.parse().ok()?;
    ((1..=10_000).contains(&parts) && parts.to_string() == text).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRC: &str = "rosUhgp5mIg=";

    fn heard(answers: &[(ByteRange, &[(&str, &'static str)])]) -> Said {
        let mut said = Said::default();
        for (range, headers) in answers {
            said.hear(*range, 100, |name| {
                headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
            });
        }
        said
    }

    #[test]
    fn a_sum_of_the_whole_counts_and_that_of_a_range_only_if_another_agrees() {
        let crc = ("x-amz-checksum-crc64nvme", CRC);
        let full = ("x-amz-checksum-type", "FULL_OBJECT");
        let (all, one, two) = (
            ByteRange::new(0, 100),
            ByteRange::new(0, 50),
            ByteRange::new(50, 100),
        );
        assert!(heard(&[(all, &[crc])]).sum().is_some());
        assert!(heard(&[(one, &[crc, full])]).sum().is_none());
        assert!(heard(&[(one, &[crc]), (two, &[crc])]).sum().is_none());
        assert!(
            heard(&[(one, &[crc, full]), (one, &[crc, full])])
                .sum()
                .is_none()
        );
        assert!(
            heard(&[(one, &[crc, full]), (two, &[crc, full])])
                .sum()
                .is_some()
        );
        let other = ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=");
        assert!(
            heard(&[(one, &[crc, full]), (two, &[other, full])])
                .sum()
                .is_none()
        );
        let three = ByteRange::new(20, 30);
        let mixed = [
            (one, &[crc, full][..]),
            (two, &[crc, full]),
            (three, &[other, full]),
        ];
        assert!(heard(&mixed).sum().is_none());
    }

    #[test]
    fn composite_sums_have_a_number_of_parts_and_broken_ones_are_none() {
        let all = ByteRange::new(0, 100);
        let sum = |value| heard(&[(all, &[("x-amz-checksum-crc64nvme", value)])]).sum();
        assert_eq!(sum("rosUhgp5mIg=-3").unwrap().1, Of::Parts(3));
        assert_eq!(sum(" rosUhgp5mIg= ").unwrap().1, Of::Bytes);
        for broken in [
            "",
            "rosUhgp5mIg",
            "rosUhgp5mIg=-0",
            "rosUhgp5mIg=-03",
            "rosUhgp5mIg=-x",
            "AAAA",
        ] {
            assert!(sum(broken).is_none(), "{broken:?}");
        }
        let headers = [
            ("x-amz-checksum-crc64nvme", CRC),
            ("x-amz-checksum-type", "COMPOSITE"),
        ];
        assert!(heard(&[(all, &headers)]).sum().is_none());
    }

    #[test]
    fn encryption_with_a_key_of_ones_own_makes_an_etag_opaque() {
        let all = ByteRange::new(0, 100);
        let may = |name, value| heard(&[(all, &[(name, value)])]).etag_may_be_md5();
        assert!(may("x-amz-server-side-encryption", "AES256"));
        assert!(!may("x-amz-server-side-encryption", "aws:kms"));
        assert!(!may("x-amz-server-side-encryption", "aws:kms:dsse"));
        assert!(!may(
            "x-amz-server-side-encryption-customer-algorithm",
            "AES256"
        ));
    }
}
