//! What a fuzzer drives of this crate, and what must hold whatever it finds: what is read of a text is written as one that is
//! read the same.

use crate::{Location, Reference, Time, Wanted, go_architecture};
use layerstone_layer::Platform;
use layerstone_store::Digest;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The name of an image.
pub fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let unchecked = Reference::unchecked(text);
    assert_eq!(unchecked.to_string(), text);
    let Ok(reference) = text.parse::<Reference>() else { return };
    assert_eq!(reference.to_string(), text);
    assert_eq!(reference, unchecked);
    let full = reference.full();
    assert_eq!(full.full(), full);
    assert_eq!(reference.familiar().full(), full);
    assert_eq!((full.host(), full.repository()), (reference.host(), reference.repository()));
    for made in [&full, &reference.familiar(), &reference.tagged(), &reference.for_image(&Digest::of(b""))] {
        // The host and the directory that docker adds may make a name too long.
        let parsed = made.to_string().parse::<Reference>();
        assert!(parsed.as_ref() == Ok(made) || made.name().len() > 255, "{made}: {parsed:?}");
    }
}

/// A file of images, and what one is called there.
pub fn location(bytes: &[u8]) {
    if bytes.contains(&0) {
        return;
    }
    let location = Location::parse(OsStr::from_bytes(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let shown = location.to_string();
    // An empty name or tag says nothing, and is not shown.
    assert!(shown.len() <= text.len(), "{shown:?} of {text:?}");
    let name = location.reference();
    if let Some(name) = &name {
        assert!(location.matches(name), "{location:?} is called {name}");
        assert!(location.means(std::slice::from_ref(name)));
    }
    let is_name = |name: &String| Reference::new(name, location.tag.as_deref()).is_ok();
    if location.name.as_ref().is_some_and(is_name) {
        assert_eq!(Location::parse(OsStr::new(&shown)), location);
    }
}

/// A point in time, or a platform.
pub fn time(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(time @ Time::At(_)) = text.parse::<Time>() {
        let written = time.rfc3339().expect("an instant");
        assert_eq!(written.parse::<Time>().expect("RFC 3339"), time, "{text:?} is {written}");
        let seconds = time.seconds().expect("an instant");
        assert_eq!(Time::from_seconds(seconds).expect("of these years").seconds().expect("an instant"), seconds);
    }
    let mut words = text.split('/');
    let wanted = Wanted::new(words.next(), words.next(), words.next());
    let (architecture, variant) = go_architecture(text).unwrap_or((text, None));
    let platform = Platform {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.map(str::to_owned),
        ..Platform::default()
    };
    let _ = wanted.rank(&platform);
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("reference", super::reference);
        xtask::replay("location", super::location);
        xtask::replay("time", super::time);
    }
}
