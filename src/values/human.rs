//! Numbers and texts as a person reads them.

/// A command's output may hold anything; what would move the cursor is left out.
pub fn printable(line: &str) -> String {
    line.chars()
        .filter(|c| !c.is_control() || *c == '\t')
        .collect()
}

/// A number with its noun.
pub fn count(n: u64, noun: &str) -> String {
    format!("{n} {}", plural(n, noun))
}

fn plural(n: u64, noun: &str) -> String {
    if n == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}

/// Bytes with a decimal unit, as networks and disks are sold.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            return if unit == "B" || value >= 99.95 {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} PB")
}

/// Seconds as a person says them.
pub fn duration(seconds: f64) -> String {
    if seconds < 0.9995 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 99.5 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (h, m, s) = (whole / 3600, whole / 60 % 60, whole % 60);
    if h > 0 {
        format!("{h} h {m:02} min")
    } else {
        format!("{m} min {s:02} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_well() {
        assert_eq!(
            [bytes(0), bytes(999), bytes(1000), bytes(123_456_789)],
            ["0 B", "999 B", "1.0 kB", "123 MB"]
        );
        assert_eq!(duration(1.25), "1.2 s");
        assert_eq!(
            (duration(125.0), duration(7300.0)),
            ("2 min 05 s".into(), "2 h 01 min".into())
        );
    }

    #[test]
    fn a_commands_output_cannot_move_the_cursor() {
        assert_eq!(printable("\u{1b}[2Jred\tx\r"), "[2Jred\tx");
    }
}
