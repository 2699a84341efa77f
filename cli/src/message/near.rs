//! The name that was meant by one that there is not.

/// The nearest of the names, if it is near enough to be meant; case does not count.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let most = ((word.chars().count() + 1) / 3).max(1);
    let near = names.into_iter().map(|name| (strsim::osa_distance(&word, &name.to_lowercase()), name));
    near.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The nearest of the names that a message lists, to the one in quotes before them: `"gizp": expected one of gzip, zstd`.
pub fn nearest_listed(message: &str) -> Option<&str> {
    let (before, names) = message.split_once(" expected one of ").or_else(|| message.split_once(" one of "))?;
    let found = before.rsplit('"').nth(1)?;
    let names = names.lines().next()?.split([',', ' ']).filter(|name| !name.is_empty());
    nearest(found, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far() {
        let names = ["closure", "build", "init", "inspect"];
        let cases = [("clouser", Some("closure")), ("Biuld", Some("build")), ("lint", None), ("graph", None)];
        for (word, expected) in cases {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
    }

    #[test]
    fn of_a_list() {
        assert_eq!(nearest_listed("unknown: \"sise\": expected one of least-churn, size"), Some("size"));
        assert_eq!(nearest_listed("found \"layres\", expected one of names, layers"), Some("layers"));
        assert_eq!(nearest_listed("found \"x\", expected y"), None);
    }
}
