//! Which names may become file names.

/// Whether a name can stand as one path component of a result: not empty, at most 200 bytes, no
/// slash, no control character, not `.` or `..`, and no leading dash, which commands would take
/// for an option.
pub fn is_result_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && name != "."
        && name != ".."
        && !name.starts_with('-')
        && !name.contains(|c: char| c == '/' || c.is_control())
}

/// What [`is_result_name`] asks for, as a sentence.
pub(super) const RESULT_NAME_RULE: &str = "it becomes a file name: one to 200 bytes, no slash, no control character, no leading dash, not . or ..";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for bad in ["", ".", "..", "a/b", "a\nb", "-rf", "a\0", &"x".repeat(201)] {
            assert!(!is_result_name(bad), "{bad:?}");
        }
        for good in ["ndvi", "a b", "..a", "é", "a..b"] {
            assert!(is_result_name(good), "{good:?}");
        }
    }
}
