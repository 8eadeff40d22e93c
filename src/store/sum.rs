//! Checksums that stores, ETags and product manifests use.

use crc_fast::CrcAlgorithm;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use sha3::Sha3_256;

/// A way to sum up bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MD5: ETags and manifests.
    Md5,
    /// CRC-32 as zlib computes it.
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA3-256: manifests.
    Sha3,
}

impl Algorithm {
    /// Those that a store sends in headers of their own, the quickest first.
    pub const IN_HEADERS: [Algorithm; 5] = [
        Algorithm::Crc64Nvme,
        Algorithm::Crc32c,
        Algorithm::Crc32,
        Algorithm::Sha256,
        Algorithm::Sha1,
    ];

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA-1",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha3 => "SHA3-256",
        }
    }

    /// The header in which a store sends it, in base64.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Algorithm::Md5 | Algorithm::Sha3 => None,
            Algorithm::Crc32 => Some("x-amz-checksum-crc32"),
            Algorithm::Crc32c => Some("x-amz-checksum-crc32c"),
            Algorithm::Crc64Nvme => Some("x-amz-checksum-crc64nvme"),
            Algorithm::Sha1 => Some("x-amz-checksum-sha1"),
            Algorithm::Sha256 => Some("x-amz-checksum-sha256"),
        }
    }

    /// Bytes of a sum.
    pub fn width(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Md5 => 16,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 | Algorithm::Sha3 => 32,
        }
    }
}

/// A sum: what some bytes should have, or have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    algorithm: Algorithm,
    /// The first bytes are the sum, in the order in which it is written; the rest is 0.
    bytes: [u8; 32],
}

impl Sum {
    /// A sum from its bytes; `None` if they are too few or too many.
    pub fn new(algorithm: Algorithm, sum: &[u8]) -> Option<Sum> {
        let mut bytes = [0; 32];
        (sum.len() == algorithm.width()).then(|| {
            bytes[..sum.len()].copy_from_slice(sum);
            Sum { algorithm, bytes }
        })
    }

    /// A sum in hexadecimal digits, of either case; `None` if it is not exactly that.
    pub fn from_hex(algorithm: Algorithm, text: &str) -> Option<Sum> {
        if text.len() != 2 * algorithm.width() {
            return None;
        }
        let digit = |b: u8| {
            char::from(b)
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
        };
        let pairs = text.as_bytes().chunks_exact(2);
        let bytes: Option<Vec<u8>> = pairs
            .map(|p| Some(digit(p[0])? << 4 | digit(p[1])?))
            .collect();
        Sum::new(algorithm, &bytes?)
    }

    /// A sum in base64 with its padding; `None` if it is not exactly that.
    pub fn from_base64(algorithm: Algorithm, text: &str) -> Option<Sum> {
        Sum::new(algorithm, &decoded(text)?)
    }

    /// How it was computed.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.width()]
    }

    /// In base64, as headers have it.
    pub fn to_base64(&self) -> String {
        encoded(self.bytes())
    }
}

/// The name and the hexadecimal digits.
impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.algorithm.name())?;
        self.bytes().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl std::fmt::Debug for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Sums up bytes piece by piece.
pub struct Summer {
    algorithm: Algorithm,
    state: State,
}

enum State {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha3(Sha3_256),
    Crc(Box<crc_fast::Digest>),
}

impl Summer {
    /// The sum of no bytes yet.
    pub fn new(algorithm: Algorithm) -> Summer {
        let crc = |kind| State::Crc(Box::new(crc_fast::Digest::new(kind)));
        let state = match algorithm {
            Algorithm::Md5 => State::Md5(Md5::new()),
            Algorithm::Sha1 => State::Sha1(Sha1::new()),
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha3 => State::Sha3(Sha3_256::new()),
            Algorithm::Crc32 => crc(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
        };
        Summer { algorithm, state }
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Md5(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha3(state) => state.update(bytes),
            State::Crc(state) => state.update(bytes),
        }
    }

    /// The sum of all bytes so far; it begins anew.
    pub fn take(&mut self) -> Sum {
        let mut bytes = [0; 32];
        let len = self.algorithm.width();
        let target = &mut bytes[..len];
        match &mut self.state {
            State::Md5(state) => target.copy_from_slice(&state.finalize_reset()),
            State::Sha1(state) => target.copy_from_slice(&state.finalize_reset()),
            State::Sha256(state) => target.copy_from_slice(&state.finalize_reset()),
            State::Sha3(state) => target.copy_from_slice(&state.finalize_reset()),
            State::Crc(state) => {
                let sum = state.finalize_reset().to_be_bytes();
                target.copy_from_slice(&sum[8 - len..]);
            }
        }
        Sum {
            algorithm: self.algorithm,
            bytes,
        }
    }

    /// The sum of these bytes alone.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Sum {
        let mut summer = Summer::new(algorithm);
        summer.add(bytes);
        summer.take()
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, at| {
            word << 8 | u32::from(three.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

/// Strict: no blanks, all padding there, no bits that would be lost.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0u32, 0);
    for byte in digits.bytes() {
        let digit = DIGITS.iter().position(|d| *d == byte)?;
        word = word << 6 | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits & 0xff) as u8);
        }
    }
    let lost = word & ((1 << bits) - 1);
    (lost == 0 && bits < 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_sums_of_nine_digits() {
        for (algorithm, sum) in [
            (Algorithm::Md5, "25f9e794323b453885f5181f1b624d0b"),
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                Algorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
            (
                Algorithm::Sha3,
                "87cd084d190e436f147322b90e7384f6a8e0676c99d21ef519ea718e51d45f9c",
            ),
        ] {
            let known = Sum::from_hex(algorithm, sum).unwrap();
            let mut summer = Summer::new(algorithm);
            for _ in 0..2 {
                summer.add(b"1234");
                summer.add(b"56789");
                assert_eq!(summer.take(), known);
            }
            assert_eq!(known.to_string(), format!("{} {sum}", algorithm.name()));
            let upper = sum.to_uppercase();
            assert_eq!(Sum::from_hex(algorithm, &upper), Some(known));
            assert_eq!(Sum::from_base64(algorithm, &known.to_base64()), Some(known));
            assert!(Sum::from_hex(algorithm, &sum[2..]).is_none());
        }
    }

    #[test]
    fn base64_is_strict() {
        for text in ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "+/+/"] {
            assert_eq!(encoded(&decoded(text).unwrap()), text);
        }
        for text in [
            "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z", "Zm9v\n", " Zm9v", "Zm-v", "====", "=Zg=",
            "Zg==Zg==",
        ] {
            assert_eq!(decoded(text), None, "{text:?}");
        }
        // The sum of another algorithm is none of this one.
        assert!(Sum::from_base64(Algorithm::Crc32, "rosUhgp5mIg=").is_none());
        assert!(Sum::from_base64(Algorithm::Crc64Nvme, "rosUhgp5mIg=").is_some());
    }
}
