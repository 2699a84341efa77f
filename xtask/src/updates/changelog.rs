//! Reads Debian's changelogs: on which days a source package was uploaded, and to which suites (deb-changelog(5)).

/// An upload.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub source: &'a str,
    /// The suites that it went to, separated by blanks.
    pub suites: &'a str,
    /// Days since 1970.
    pub day: i64,
}

/// The uploads in a changelog, the last one first; what is none is passed over.
pub fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut head = None;
    let mut entries = Vec::new();
    for line in text.lines() {
        if let Some(end) = line.strip_prefix(" -- ") {
            let day = end.rsplit_once(">  ").and_then(|(_, date)| parse_date(date));
            if let (Some((source, suites)), Some(day)) = (head.take(), day) {
                entries.push(Entry { source, suites, day });
            }
        } else if !line.starts_with([' ', '\t']) {
            head = parse_head(line).or(head);
        }
    }
    entries
}

/// `SOURCE (VERSION) SUITES; urgency=…`
fn parse_head(line: &str) -> Option<(&str, &str)> {
    let (source, rest) = line.split_once(" (")?;
    let (_, rest) = rest.split_once(") ")?;
    let (suites, _) = rest.split_once("; ")?;
    Some((source, suites))
}

/// The day of `Wed, 21 Oct 2026 16:54:24 +0700`, as it was there.
fn parse_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split_whitespace();
    let day = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = (1..).zip(MONTHS).find(|(_, name)| *name == month)?.0;
    Some(days(words.next()?.parse().ok()?, month, day))
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: years begin in March, so that a leap day ends one.
pub const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar() {
        for (date, expected) in [((1970, 1, 1), 0), ((2000, 2, 29), 11_016), ((2023, 6, 10), 19_518)] {
            assert_eq!(days(date.0, date.1, date.2), expected, "{date:?}");
        }
    }

    #[test]
    fn uploads() {
        let text = "openssl (3.0.22-1~deb12u2) bookworm-security; urgency=high\n\n  * head (1) x; y\n\n -- A B <a@b>  Thu, 01 \
                    Jan 1970 16:54:24 +0700\n\nother text\n\nopenssl (3.0) unstable; urgency=low\n\n -- C <c>  Fri, 2 Jan 1970 \
                    00:00:00 +0000\n -- no date <c>\n";
        let expected = [("bookworm-security", 0), ("unstable", 1)];
        let found = entries(text);
        assert_eq!(found.iter().map(|entry| (entry.suites, entry.day)).collect::<Vec<_>>(), expected);
        assert!(found.iter().all(|entry| entry.source == "openssl"));
    }
}
