//! What an image is called: `NAME:TAG`, by the grammar of docker's distribution/reference.

use crate::name::{A_TAG, check, is_tag};
use crate::{Error, Result};
use layerstone_store::Digest;

/// How many digits of the image ID stand in for a tag: as many as a store path's hash has, which dockerTools uses.
const TAG_DIGITS: usize = 32;
/// A name, and a tag unless the image ID is to stand in for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    name: String,
    tag: Option<String>,
}

impl Reference {
    /// Lower-cases the name, as dockerTools does, and checks it and the tag, which is kept as it is.
    pub fn new(name: &str, tag: Option<&str>) -> Result<Reference> {
        let name = name.to_ascii_lowercase();
        check(&name).map_err(|cause| Error::Reference { text: name.clone(), cause })?;
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(Error::Reference { text: tag.to_owned(), cause: A_TAG.to_owned() });
        }
        Ok(Reference { name, tag: tag.map(str::to_owned) })
    }

    /// The name, lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `NAME:TAG`; without a tag, the first 32 hexadecimal digits of the image ID.
    pub fn for_image(&self, image_id: &Digest) -> String {
        match &self.tag {
            Some(tag) => format!("{}:{tag}", self.name),
            None => format!("{}:{}", self.name, &image_id.hex()[..TAG_DIGITS]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name;

    #[test]
    fn names_that_docker_takes() {
        let long = "a".repeat(255);
        for good in [
            "a",
            "synth",
            "a/b/c",
            "a.b_c__d-e---f",
            "localhost/a",
            "localhost:5000/a",
            "Registry.Example.com/Team/Tool",
            "127.0.0.1:80/x",
            "[2001:db8::1]:5000/x",
            "[::1]/x",
            "xn--n3h.com/myimage",
            "0",
            "my.host.com/a_b",
            &long,
        ] {
            assert!(Reference::new(good, None).is_ok(), "{good}");
        }
    }

    #[test]
    fn names_that_docker_refuses() {
        let (long, hex) = ("a".repeat(256), "ab".repeat(32));
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "a:b",
            "a@b",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a._b",
            "_a",
            "a b",
            "é",
            "host:/a",
            "host:5000",
            "[::1]",
            "a/b:c",
            "a/-b/c",
            "-host.com/a",
            &long,
            &hex,
        ] {
            assert!(Reference::new(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_with_tags() {
        for good in ["a:1", "docker.io/library/a:1", "host:5000/x/y:V1", "Registry.Example.com/team/tool:latest"] {
            assert_eq!(name::check_with_tag(good), Ok(()));
        }
        for (bad, cause) in [
            ("", "expected NAME:TAG"),
            ("latest", "expected NAME:TAG"),
            ("host:5000/x", "expected NAME:TAG"),
            ("Tool:1", "expected a name such as"),
            ("a@sha256:e3b0c442", "expected a name such as"),
            (":1", "expected a name such as"),
            ("a:", "expected a tag of"),
        ] {
            let found = name::check_with_tag(bad).unwrap_err();
            assert!(found.starts_with(cause), "{bad}: {found}");
        }
    }

    #[test]
    fn short_names_in_full() {
        for (short, full) in [
            ("a:1", "docker.io/library/a:1"),
            ("a/b:1", "docker.io/a/b:1"),
            ("library/a:1", "docker.io/library/a:1"),
            ("docker.io/a:1", "docker.io/library/a:1"),
            ("index.docker.io/library/a:1", "docker.io/library/a:1"),
            ("localhost/a:1", "localhost/a:1"),
            ("host:5000/a:1", "host:5000/a:1"),
            ("registry.example/a:1", "registry.example/a:1"),
        ] {
            assert_eq!(name::full(short), full);
            assert_eq!(name::full(full), full);
        }
    }

    #[test]
    fn tags() {
        let id = Digest::of(b"");
        let reference = |tag| Reference::new("Synth", tag).unwrap().for_image(&id);
        assert_eq!(reference(Some("V1.0-rc_1")), "synth:V1.0-rc_1");
        assert_eq!(reference(None), "synth:e3b0c44298fc1c149afbf4c8996fb924");
        for bad in ["", ".a", "-a", "a b", "a/b", "ä", &"a".repeat(129)] {
            assert!(Reference::new("a", Some(bad)).is_err(), "{bad}");
        }
        let error = Reference::new("tool:1", None).unwrap_err().to_string();
        assert!(error.starts_with("not an image reference: \"tool:1\": expected a name such as"), "{error}");
        assert!(error.ends_with("a tag only in its own place"), "{error}");
    }
}
