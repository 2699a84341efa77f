//! Parses headers of RPM packages, as the table `Packages` of rpm's database holds them (rpm, docs/manual/format_v4.md,
//! "Header"): numbers are big-endian, the index has an entry for each tag, and the data follows it.
//!
//! ```text
//! header = entries:u32 bytes:u32 entry*entries data
//! entry  = tag:u32 type:u32 offset:u32 count:u32
//! ```

use super::{OsPackage, PackageSource};

/// Bytes of an entry.
const ENTRY: usize = 16;
/// Tags (rpm, include/rpm/rpmtag.h).
const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const ARCHITECTURE: u32 = 1022;
const SOURCE: u32 = 1044;
/// Types of values that these tags have.
const INT32: u32 = 4;
const STRING: u32 = 6;
/// Keys that were taken in, which the database lists as if they were packages.
const KEY: &str = "gpg-pubkey";

/// The package that a header describes; none if it is damaged, or of a key and no package. The version is
/// `[EPOCH:]VERSION-RELEASE`.
pub fn parse_rpm_header(bytes: &[u8]) -> Option<OsPackage> {
    let header = Header::of(bytes)?;
    let (name, version, release) = (header.text(NAME)?, header.text(VERSION)?, header.text(RELEASE)?);
    let epoch = header.number(EPOCH).filter(|epoch| *epoch != 0).map(|epoch| format!("{epoch}:")).unwrap_or_default();
    // `openssl-3.0.7-24.el9.src.rpm`: the name is what stands before the last two dashes.
    let source = header.text(SOURCE).and_then(|file| Some(file.rsplitn(3, '-').nth(2)?.to_owned()));
    let package = OsPackage {
        version: format!("{epoch}{version}-{release}"),
        architecture: header.text(ARCHITECTURE).unwrap_or_default().to_owned(),
        source: source.filter(|source| source != name),
        name: name.to_owned(),
        from: PackageSource::Rpm,
    };
    Some(package).filter(|package| package.name != KEY)
}

struct Header<'a> {
    entries: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn of(bytes: &'a [u8]) -> Option<Header<'a>> {
        let (entries, data) = (number(bytes, 0)?, number(bytes, 4)?);
        let end = 8 + usize::try_from(entries).ok()?.checked_mul(ENTRY)?;
        let data = bytes.get(end..end.checked_add(usize::try_from(data).ok()?)?)?;
        Some(Header { entries: &bytes[8..end], data })
    }

    /// Where the value of a tag stands.
    fn value(&self, tag: u32, kind: u32) -> Option<&'a [u8]> {
        let mut entries = self.entries.chunks_exact(ENTRY);
        let entry = entries.find(|entry| number(entry, 0) == Some(tag) && number(entry, 4) == Some(kind))?;
        self.data.get(usize::try_from(number(entry, 8)?).ok()?..)
    }

    fn text(&self, tag: u32) -> Option<&'a str> {
        let value = self.value(tag, STRING)?;
        std::str::from_utf8(value.split(|byte| *byte == 0).next()?).ok()
    }

    fn number(&self, tag: u32) -> Option<u32> {
        number(self.value(tag, INT32)?, 0)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of texts and numbers.
    fn header(texts: &[(u32, &str)], numbers: &[(u32, u32)]) -> Vec<u8> {
        let (mut entries, mut data) = (Vec::new(), Vec::new());
        let mut add = |tag: u32, kind: u32, value: &[u8]| {
            let offset = u32::try_from(data.len()).unwrap();
            entries.extend([tag, kind, offset, 1].map(u32::to_be_bytes).concat());
            data.extend(value);
        };
        numbers.iter().for_each(|(tag, value)| add(*tag, INT32, &value.to_be_bytes()));
        texts.iter().for_each(|(tag, text)| add(*tag, STRING, format!("{text}\0").as_bytes()));
        let head =
            [entries.len() / ENTRY, data.len()].map(|count| u32::try_from(count).unwrap().to_be_bytes()).concat();
        [head, entries, data].concat()
    }

    #[test]
    fn of_a_package() {
        let texts = [
            (NAME, "openssl-libs"),
            (VERSION, "3.0.7"),
            (RELEASE, "24.el9"),
            (ARCHITECTURE, "x86_64"),
            (SOURCE, "openssl-3.0.7-24.el9.src.rpm"),
        ];
        let bytes = header(&texts, &[(EPOCH, 1)]);
        let package = parse_rpm_header(&bytes).unwrap();
        let OsPackage { name, version, architecture, source, .. } = &package;
        assert_eq!((&**name, &**version, &**architecture), ("openssl-libs", "1:3.0.7-24.el9", "x86_64"));
        assert_eq!(source.as_deref(), Some("openssl"));
        for end in 0..bytes.len() {
            assert_eq!(parse_rpm_header(&bytes[..end]), None, "{end}");
        }
        let key = header(&[(NAME, KEY), (VERSION, "1"), (RELEASE, "2")], &[]);
        assert_eq!(parse_rpm_header(&key), None);
        let plain = parse_rpm_header(&header(&[(NAME, "a"), (VERSION, "1"), (RELEASE, "2")], &[(EPOCH, 0)])).unwrap();
        assert_eq!(plain.version, "1-2");
    }
}
