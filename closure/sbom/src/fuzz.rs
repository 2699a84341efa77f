//! What a fuzzer drives of this crate, and what must hold whatever it finds: databases of packages, files of what evaluation
//! knows, and advisories are read without a panic, and a bill of what was read is the same text each time.

use crate::{
    Advisories, Base, Bill, Format, MetaFile, OsPackage, OsRelease, Subject, parse_apk, parse_dpkg, parse_rpm_header,
};
use layerstone_closure::Closure;
use layerstone_store::Digest;

/// A database of packages, a meta file or advisories: which of them it is, any may be.
pub fn bill_sources(bytes: &[u8]) {
    let header = parse_rpm_header(bytes);
    let packages: Vec<OsPackage> = [parse_dpkg(bytes), parse_apk(bytes)].concat().into_iter().chain(header).collect();
    for package in &packages {
        assert!(!package.name.contains('\n') && !package.version.contains('\n'), "{package:?}");
    }
    let os = OsRelease::parse(bytes);
    let base = Base { os, packages, ..Base::default() };
    let subject = Subject::image("x", Some("1"), Some(Digest::of(b"m")), Digest::of(b"c"));
    let mut bill = Bill::of(subject, &Closure::default(), "1970-01-01T00:00:01Z");
    bill.base = Some(base);
    if let Ok(meta) = MetaFile::parse(bytes, "meta") {
        bill.set_meta(&meta);
    }
    for format in Format::ALL {
        let text = bill.write(format);
        assert_eq!(text, bill.write(format));
        serde_json::from_str::<serde_json::Value>(&text).expect("a bill is JSON");
    }
    if let Ok(advisories) = Advisories::parse(bytes, "advisories") {
        let found = advisories.find(&bill);
        assert!(found.is_sorted() && found == advisories.find(&bill));
    }
    // Of a header nothing can be missing.
    if parse_rpm_header(bytes).is_some() && bytes.len() < 4096 {
        let whole = (0..=bytes.len()).find(|&end| parse_rpm_header(&bytes[..end]).is_some());
        assert!(whole.is_some_and(|end| parse_rpm_header(&bytes[..end]) == parse_rpm_header(bytes)));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("bill_sources", super::bill_sources);
    }
}
