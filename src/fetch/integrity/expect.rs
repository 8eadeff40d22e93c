//! What to compare an object's bytes with.

use crate::store::{Algorithm, Sum};
use crate::values::Verified;

use super::said::{Of, Said, parts_in};

/// What the bytes of an object have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Nobody says.
    Nothing,
    /// They have this sum.
    Bytes(Sum, Verified),
    /// The sums of so many parts of them, one after the other, have this sum.
    Parts(Sum, u32),
}

/// What comparing them gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are right as far as this goes.
    Right(Verified),
    /// They are not.
    Wrong {
        /// The sum that they should have.
        expected: Sum,
        /// The sum that they have.
        found: Sum,
        /// Who says what they should have.
        by: Verified,
    },
}

impl Expectation {
    /// The best of what is known: the sum in the product's manifest, which reaches back to where
    /// the product was made; a sum that the store keeps; the ETag.
    pub fn of(etag: Option<&str>, said: &Said, manifest: Option<Sum>) -> Expectation {
        let stored = said.sum();
        if let Some(sum) = manifest {
            return Expectation::Bytes(sum, Verified::Manifest);
        }
        if let Some((sum, Of::Bytes)) = stored {
            return Expectation::Bytes(sum, by_store(sum.algorithm()));
        }
        let etag = etag.filter(|_| said.etag_may_be_md5()).unwrap_or_default();
        if let Some(sum) = Sum::from_hex(Algorithm::Md5, etag) {
            return Expectation::Bytes(sum, Verified::Md5);
        }
        if let Some((sum, Of::Parts(parts))) = stored {
            return Expectation::Parts(sum, parts);
        }
        let of_parts = etag
            .split_once('-')
            .and_then(|(sum, parts)| Some((Sum::from_hex(Algorithm::Md5, sum)?, parts_in(parts)?)));
        match of_parts {
            Some((sum, parts)) => Expectation::Parts(sum, parts),
            None => Expectation::Nothing,
        }
    }
}

fn by_store(algorithm: Algorithm) -> Verified {
    match algorithm {
        Algorithm::Crc64Nvme => Verified::Crc64Nvme,
        Algorithm::Crc32c => Verified::Crc32c,
        Algorithm::Crc32 => Verified::Crc32,
        Algorithm::Sha256 => Verified::Sha256,
        Algorithm::Sha1 => Verified::Sha1,
        Algorithm::Md5 => Verified::Md5,
        Algorithm::Sha3 => Verified::Manifest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::ByteRange;

    const MD5: &str = "25f9e794323b453885f5181f1b624d0b";

    #[test]
    fn an_etag_is_an_md5_only_if_it_looks_like_one_and_may_be_one() {
        let said = Said::new("bucket");
        let of = |etag: &str| Expectation::of(Some(etag), &said, None);
        assert!(matches!(of(MD5), Expectation::Bytes(_, Verified::Md5)));
        assert!(matches!(of(&format!("{MD5}-7")), Expectation::Parts(_, 7)));
        for etag in [
            "",
            "x",
            &MD5[1..],
            "-",
            "a-b-c",
            &format!("W/\"{MD5}\""),
            &format!("{MD5}-0"),
        ] {
            assert_eq!(of(etag), Expectation::Nothing, "{etag}");
        }
        assert_eq!(Expectation::of(None, &said, None), Expectation::Nothing);
        // A directory bucket's ETags are no MD5.
        let said = Said::new("name--usw2-az1--x-s3");
        assert_eq!(
            Expectation::of(Some(MD5), &said, None),
            Expectation::Nothing
        );
    }

    #[test]
    fn the_manifest_goes_before_the_store_and_the_store_before_the_etag() {
        let mut said = Said::new("bucket");
        said.hear(ByteRange::new(0, 9), 9, |name| {
            (name == "x-amz-checksum-crc32").then_some("y/Q5Jg==")
        });
        let of = |manifest| Expectation::of(Some(MD5), &said, manifest);
        assert!(matches!(of(None), Expectation::Bytes(_, Verified::Crc32)));
        let sum = Sum::from_hex(Algorithm::Md5, MD5);
        assert!(matches!(of(sum), Expectation::Bytes(_, Verified::Manifest)));
    }
}
