//! Prints the matrix.

use crate::judge::Line;

/// Longer sentences are cut.
const WIDTH: usize = 150;

pub fn print(lines: &[Line]) {
    let name = lines.iter().map(|line| line.name.chars().count()).max();
    let name = name.unwrap_or_default();
    println!();
    println!(
        "{:name$}  command  requests       s  exit code and message",
        "fault"
    );
    for line in lines {
        let happened: String = line.happened.chars().take(WIDTH).collect();
        println!(
            "{:name$}  {:7}  {:8}  {:6.2}  {happened}{}",
            line.name,
            line.command,
            line.requests,
            line.seconds,
            if line.wrong.is_empty() {
                ""
            } else {
                "  <-- WRONG"
            },
        );
    }
    println!();
}
