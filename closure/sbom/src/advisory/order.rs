//! Orders versions as Nix does, or as dpkg does.

use layerstone_closure::compare_versions;
use std::cmp::Ordering;

/// Whose order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// That of `nix-env --upgrade`.
    Nix,
    /// That of deb-version(7); apk's differs in suffixes such as `_rc1`, rpm's in `^`.
    Dpkg,
}

/// Which of two versions comes first.
pub(super) fn compare(version: &str, other: &str, order: Order) -> Ordering {
    match order {
        Order::Nix => compare_versions(version, other),
        Order::Dpkg => compare_dpkg(version, other),
    }
}

/// Whether a version comes before another.
pub(super) fn is_before(version: &str, other: &str, order: Order) -> bool {
    compare(version, other, order) == Ordering::Less
}

/// Epoch, then upstream's version, then Debian's revision.
fn compare_dpkg(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| {
        let (epoch, rest) = text.split_once(':').map_or((0, text), |(epoch, rest)| (epoch.parse().unwrap_or(0), rest));
        let (version, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, version.to_owned(), revision.to_owned())
    };
    let ((epoch_a, version_a, revision_a), (epoch_b, version_b, revision_b)): ((u64, _, _), (u64, _, _)) =
        (parts(a), parts(b));
    epoch_a
        .cmp(&epoch_b)
        .then_with(|| compare_part(&version_a, &version_b))
        .then_with(|| compare_part(&revision_a, &revision_b))
}

/// In turn what is no digit, letter by letter, and digits as a number.
fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        let (text_a, text_b) = (take(&mut a, false), take(&mut b, false));
        // An end ranks as a rank of its own, between a tilde and letters.
        let ranks = |text: &[u8]| text.iter().map(|&byte| rank(byte)).chain([0]).collect::<Vec<i32>>();
        let number = |digits: &[u8]| {
            let digits: Vec<u8> = digits.iter().copied().skip_while(|&digit| digit == b'0').collect();
            (digits.len(), digits)
        };
        let (digits_a, digits_b) = (take(&mut a, true), take(&mut b, true));
        let ordering = ranks(text_a).cmp(&ranks(text_b)).then_with(|| number(digits_a).cmp(&number(digits_b)));
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}

/// Letters come before all that is no letter, a tilde before everything, even the end.
fn rank(byte: u8) -> i32 {
    match byte {
        b'~' => -1,
        byte if byte.is_ascii_alphabetic() => i32::from(byte),
        byte => i32::from(byte) + 256,
    }
}

fn take<'a>(text: &mut &'a [u8], digits: bool) -> &'a [u8] {
    let end = text.iter().position(|byte| byte.is_ascii_digit() != digits).unwrap_or(text.len());
    let (part, rest) = text.split_at(end);
    *text = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `dpkg --compare-versions A lt B` says.
    #[test]
    fn order_of_dpkg() {
        let ordered = [
            "1.0~rc1",
            "1.0~rc1-1",
            "1.0",
            "1.0-1~deb12u1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-2",
            "1.0a",
            "1.0+dfsg",
            "1.0.1",
            "1.9",
            "1.10",
            "1:0.1",
        ];
        for pair in ordered.windows(2) {
            assert!(is_before(pair[0], pair[1], Order::Dpkg), "{pair:?}");
            assert!(!is_before(pair[1], pair[0], Order::Dpkg), "{pair:?}");
        }
        assert_eq!(compare_dpkg("0:1.01-0", "1.1"), Ordering::Equal);
    }
}
