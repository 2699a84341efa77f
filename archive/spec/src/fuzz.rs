//! What a fuzzer drives of this crate, and what must hold whatever it finds: a spec that is read has a name that docker takes
//! and numbers within their bounds.

use crate::Spec;
use std::path::Path;

/// An image.json.
pub fn image_spec(bytes: &[u8]) {
    let directory = Path::new("/specs");
    let Ok(spec) = Spec::parse(bytes, "image.json", directory) else { return };
    assert_eq!(Spec::parse(bytes, "image.json", directory).ok().as_ref(), Some(&spec));
    let reference = spec.reference().expect("it was checked");
    assert_eq!(reference.to_string().parse().as_ref(), Ok(&reference));
    // A part of it is none, but for blanks at its end.
    let text = bytes.trim_ascii_end();
    for end in (0..text.len()).step_by(13) {
        assert!(Spec::parse(&text[..end], "prefix", directory).is_err(), "{}", text[..end].escape_ascii());
    }
    let others = 3 + spec.copy_layers().len() + spec.tar_layers.len();
    assert!(spec.store_layers(0, 0).is_ok_and(|layers| layers > 0) || spec.max_layers < others, "{spec:?}");
    assert!(spec.files().iter().all(|file| file.is_absolute()), "{:?}", spec.files());
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("image_spec", super::image_spec);
    }
}
