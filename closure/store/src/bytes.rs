//! Parses numbers of bytes as people write them: `5000000`, `5M` or `5Mi`.

/// Letters behind a number of bytes and how many bytes they stand for: `M` as in `5 MB`, `Mi` as in `5 MiB`.
const UNITS: [(&str, u64); 7] =
    [("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30)];

/// A text that is no number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of bytes, such as 5000000, 5M or 5Mi")]
pub struct InvalidBytes;

/// Reads a number of bytes.
///
/// # Errors
///
/// It is none, or more than 64 bits.
pub fn parse_bytes(text: &str) -> Result<u64, InvalidBytes> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = UNITS.iter().find(|(name, _)| unit.strip_suffix('B').unwrap_or(unit) == *name);
    let bytes = number.parse::<u64>().ok().zip(unit).and_then(|(number, (_, unit))| number.checked_mul(*unit));
    bytes.ok_or(InvalidBytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(parse_bytes(text).ok(), expected, "{text}");
    }

    #[test]
    fn numbers_of_bytes() {
        check("0", Some(0));
        check("5000B", Some(5_000));
        check("5k", Some(5_000));
        check("5MB", Some(5_000_000));
        check("7G", Some(7_000_000_000));
        check("1Ki", Some(1024));
        check("1MiB", Some(1 << 20));
        check("3Gi", Some(3 << 30));
        check("18446744073709551615", Some(u64::MAX));
    }

    #[test]
    fn what_is_no_number_of_bytes() {
        for text in ["", "M", "-1", "1.5M", "5m", "5 M", "18446744073709551616", "18446744073709551615k", "5MBB", "+5"]
        {
            check(text, None);
        }
    }
}
