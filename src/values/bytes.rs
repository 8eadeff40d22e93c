//! Numbers of bytes as people write them.

/// Reads `20GiB`, `500 MB`, `1048576` or `1.5TiB`: binary units with an `i`, decimal ones without.
/// `None` for anything else, and for what 64 bits cannot hold.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let (power, base) = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => (0, 1000),
        "kb" | "k" => (1, 1000),
        "mb" | "m" => (2, 1000),
        "gb" | "g" => (3, 1000),
        "tb" | "t" => (4, 1000),
        "kib" => (1, 1024),
        "mib" => (2, 1024),
        "gib" => (3, 1024),
        "tib" => (4, 1024),
        _ => return None,
    };
    let unit = u64::pow(base, power);
    let number = number.trim();
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let value = number.parse::<f64>().ok()? * unit as f64;
    (value.is_finite() && value >= 0.0 && value < u64::MAX as f64).then_some(value as u64)
}

/// A number of bytes in binary units, as [`parse`] reads it; rounded up, so that what is meant has
/// room in what is written.
pub fn text(bytes: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >> shift > 0 {
            let hundredths = (u128::from(bytes) * 100).div_ceil(1 << shift);
            let (whole, rest) = (hundredths / 100, hundredths % 100);
            return match rest {
                0 => format!("{whole}{unit}"),
                _ => format!("{whole}.{rest:02}{unit}"),
            };
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::{parse, text};

    #[test]
    fn what_is_written_is_read_as_at_least_as_much() {
        for (bytes, written) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (20 << 30, "20GiB"),
            ((3 << 20) + 1, "3.01MiB"),
            (u64::MAX >> 1, "8388608TiB"),
        ] {
            assert_eq!(text(bytes), written);
            assert!(parse(written).unwrap() >= bytes);
        }
    }

    #[test]
    fn units_are_what_they_say() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("20GiB", 20 << 30),
            ("20 gib", 20 << 30),
            ("500MB", 500_000_000),
            ("1.5TiB", 3 << 39),
            ("2k", 2000),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "GiB",
            "-1",
            "1.2.3GB",
            "5 apples",
            "nan",
            "inf",
            "99999999TiB",
            "1e40",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
