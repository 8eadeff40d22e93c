//! How the bytes of a ready object were verified, small enough for the table.

/// What the bytes of an object in staging were compared with. The numbers are part of the table's
/// layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Verified {
    /// Nothing but their number, and the ETag of each answer.
    Length = 0,
    /// The checksum in the product's manifest.
    Manifest = 1,
    /// The store's CRC-64/NVME.
    Crc64Nvme = 2,
    /// The store's CRC-32C.
    Crc32c = 3,
    /// The store's CRC-32.
    Crc32 = 4,
    /// The store's SHA-256.
    Sha256 = 5,
    /// The store's SHA-1.
    Sha1 = 6,
    /// The ETag, which is the MD5 of the bytes.
    Md5 = 7,
    /// A sum over the sums of the parts in which the object was uploaded.
    Parts = 8,
}

impl Verified {
    /// All, the strongest statement about the product first.
    pub const ALL: [Verified; 9] = [
        Verified::Manifest,
        Verified::Crc64Nvme,
        Verified::Crc32c,
        Verified::Crc32,
        Verified::Sha256,
        Verified::Sha1,
        Verified::Md5,
        Verified::Parts,
        Verified::Length,
    ];

    /// From its number.
    pub fn from_bits(bits: u8) -> Option<Verified> {
        Verified::ALL.into_iter().find(|v| *v as u8 == bits)
    }

    /// A stable name for records and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Verified::Length => "length-and-etag",
            Verified::Manifest => "manifest",
            Verified::Crc64Nvme => "crc64nvme",
            Verified::Crc32c => "crc32c",
            Verified::Crc32 => "crc32",
            Verified::Sha256 => "sha256",
            Verified::Sha1 => "sha1",
            Verified::Md5 => "md5",
            Verified::Parts => "parts",
        }
    }

    /// From its stable name.
    pub fn from_name(name: &str) -> Option<Verified> {
        Verified::ALL.into_iter().find(|v| v.name() == name)
    }

    /// The words that follow "120 by …".
    pub fn words(self) -> &'static str {
        match self {
            Verified::Length => "length and ETag only",
            Verified::Manifest => "manifest",
            Verified::Crc64Nvme => "CRC64NVME",
            Verified::Crc32c => "CRC32C",
            Verified::Crc32 => "CRC32",
            Verified::Sha256 => "SHA-256",
            Verified::Sha1 => "SHA-1",
            Verified::Md5 => "MD5",
            Verified::Parts => "checksums of parts",
        }
    }
}

/// How many objects were verified how, in words: "120 by MD5, 3 by manifest; 5 by length and ETag
/// only". Empty if there are none.
pub fn in_words(counts: &[(Verified, u64)]) -> String {
    let of = |(verified, n): &(Verified, u64)| format!("{n} by {}", verified.words());
    let (little, more): (Vec<_>, Vec<_>) = counts.iter().partition(|(v, _)| *v == Verified::Length);
    let more: Vec<String> = more.into_iter().map(of).collect();
    let little: Vec<String> = little.into_iter().map(of).collect();
    let parts = [more.join(", "), little.join(", ")];
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|p| !p.is_empty())
        .collect();
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_go_and_come_back() {
        for verified in Verified::ALL {
            assert_eq!(Verified::from_bits(verified as u8), Some(verified));
            assert_eq!(Verified::from_name(verified.name()), Some(verified));
        }
        assert_eq!(Verified::from_bits(200), None);
    }

    #[test]
    fn in_words_the_weakest_comes_last() {
        use Verified::*;
        assert_eq!(in_words(&[]), "");
        assert_eq!(in_words(&[(Length, 5)]), "5 by length and ETag only");
        assert_eq!(
            in_words(&[(Manifest, 12), (Length, 5), (Md5, 120)]),
            "12 by manifest, 120 by MD5; 5 by length and ETag only"
        );
    }
}
