//! Entries of an index.json that are no images and cannot be read. They are skipped, so that what somebody else listed
//! keeps nobody from reading the images beside it.

use crate::blobs::Blobs;
use crate::{Error, Result};
use layerstone_oci::{Descriptor, Referrer, media_type, names_in, referrers_tag};
use layerstone_store::{Digest, Error as StageError};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::ErrorKind;

/// An entry of an index.json that is no image and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadEntry {
    /// Its digest as it is listed, by whatever algorithm.
    pub digest: String,
    /// What kind of artifact it is, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What it is called.
    #[serde(skip)]
    pub names: Vec<String>,
    /// What it refers to, if that could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// What was found and what was expected.
    pub cause: String,
    /// The entry as it is listed.
    #[serde(skip)]
    pub entry: Value,
}

impl UnreadEntry {
    /// Whether it refers to a manifest, or may: nobody can tell, and it is no artifact with a name of its own.
    pub fn may_refer_to(&self, subject: &Digest) -> bool {
        self.subject.map_or(self.names.is_empty(), |found| found == *subject)
    }

    /// The entry that gave this error when it was read.
    ///
    /// # Errors
    ///
    /// The error itself, if the entry may be that of an image, or if something else than the entry is damaged.
    pub(crate) fn of(blobs: &Blobs, entry: &Value, error: Error) -> Result<UnreadEntry> {
        let cause = match &error {
            _ if blobs.is_flat() => return Err(error),
            Error::NotAnImage { cause, .. } => cause.clone(),
            Error::Digest { .. } => error.to_string(),
            Error::Stage(StageError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => error.to_string(),
            _ => return Err(error),
        };
        let digest = entry["digest"].as_str().unwrap_or_default().to_owned();
        let mut artifact_type = entry["artifactType"].as_str().filter(|kind| !kind.is_empty()).map(str::to_owned);
        let mut subject = None;
        if let Ok(known) = digest.parse::<Digest>() {
            let name = blobs.manifest_name(&known);
            blobs.is_elsewhere(&name)?;
            // The size in the entry may be all that is wrong.
            if let Some(bytes) = blobs.bytes(&name).ok().filter(|bytes| Digest::of(bytes) == known) {
                let media_type = entry["mediaType"].as_str().unwrap_or_default();
                subject = Referrer::of(&Descriptor::of(media_type, &bytes), &bytes).map(|it| it.subject);
                artifact_type = artifact_type.or_else(|| stated_kind(&bytes));
            }
        }
        let annotations: BTreeMap<String, String> =
            serde_json::from_value(entry["annotations"].clone()).unwrap_or_default();
        let names = names_in(&annotations);
        let is_tag_of_another = !names.is_empty() && names.iter().all(|name| names_another(name));
        match artifact_type.is_some() || is_tag_of_another {
            true => Ok(UnreadEntry { digest, artifact_type, names, subject, cause, entry: entry.clone() }),
            false => Err(error),
        }
    }
}

/// What kind of artifact a manifest says that it is, though it need not be one otherwise: digests in it may be of any
/// algorithm.
pub(crate) fn stated_kind(manifest: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(manifest).ok()?;
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let config = || text(&value["config"]["mediaType"]).filter(|config| !media_type::is_config(config));
    text(&value["artifactType"]).or_else(config)
}

/// Whether a name is a tag that tools make of the digest of an image for what is about it: `sha256-HEX`, or that and an ending
/// such as `.sig` (cosign, pkg/oci/remote).
fn names_another(name: &str) -> bool {
    let tag = name.rsplit(':').next().unwrap_or_default();
    let bare = tag.split('.').next().unwrap_or_default();
    let digest = bare.replacen('-', ":", 1).parse::<Digest>();
    digest.is_ok_and(|digest| referrers_tag(&digest) == bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageFile;
    use layerstone_oci::{INDEX_NAME, Location, Manifest, Wanted};
    use serde_json::json;
    use std::fs;
    use std::path::Path;

    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

    /// Writes a blob; its entry.
    fn blob(directory: &Path, media_type: &str, value: &Value) -> Value {
        let bytes = value.to_string();
        let digest = Digest::of(bytes.as_bytes());
        fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
        fs::write(directory.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    }

    fn image(directory: &Path, text: &str) -> Value {
        let config = json!({"architecture": "amd64", "os": text, "rootfs": {"type": "layers", "diff_ids": []}});
        let config = blob(directory, media_type::CONFIG, &config);
        blob(directory, media_type::MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": []}))
    }

    fn write_index(directory: &Path, manifests: &[&Value]) {
        fs::write(directory.join(INDEX_NAME), json!({"manifests": manifests}).to_string()).unwrap();
    }

    fn artifact(directory: &Path, kind: &str, subject: &Value) -> Value {
        let config = blob(directory, media_type::EMPTY, &json!({}));
        let manifest =
            json!({"schemaVersion": 2, "artifactType": kind, "config": config, "layers": [], "subject": subject});
        let mut entry = blob(directory, media_type::MANIFEST, &manifest);
        entry["artifactType"] = kind.into();
        entry
    }

    fn digest(entry: &Value) -> Digest {
        entry["digest"].as_str().unwrap().parse().unwrap()
    }

    /// Beside a bad entry of an artifact the image is read; what is wrong is told, and what it refers to if that is known.
    #[test]
    fn bad_entries_beside_an_image() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let image = image(directory, "linux");
        let subject = digest(&image);
        let whole = artifact(directory, "x/whole", &image);
        let with = |key: &str, value: Value| {
            let mut entry = artifact(directory, "x/y", &image);
            entry[key] = value;
            entry
        };
        let gone = with("digest", Digest::of(b"gone").to_string().into());
        let untyped = {
            let mut entry = with("size", 7.into());
            entry.as_object_mut().unwrap().remove("artifactType");
            entry
        };
        let called = |tag: &str| {
            let mut entry = with("digest", Digest::of(b"gone").to_string().into());
            entry.as_object_mut().unwrap().remove("artifactType");
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
            entry
        };
        let index = json!({"mediaType": media_type::INDEX, "digest": Digest::of(b"gone").to_string(), "size": 4,
            "artifactType": "x/y"});
        let tag = format!("sha256-{}.sig", subject.hex());
        for (bad, cause, refers) in [
            (with("size", 7.into()), "bytes, expected 7", Some(subject)),
            (untyped, "bytes, expected 7", Some(subject)),
            (with("size", "x".into()), "index.json: invalid type: string", Some(subject)),
            (with("digest", "sha512:00".into()), "index.json: not a sha256 digest: \"sha512:00\"", None),
            (with("digest", Value::Null), "index.json: ", None),
            (gone, "found no blobs/sha256/", None),
            (index, "No such file", None),
            (called(&tag), "No such file", None),
        ] {
            write_index(directory, &[&bad, &image, &whole]);
            let file = ImageFile::open(directory, Default::default()).unwrap();
            assert_eq!(file.listed(&Location::of(directory)).unwrap().0.digest, subject, "{bad}");
            assert!(file.image(&Location::of(directory), &Wanted::any()).is_ok());
            let referrers: Vec<Digest> = file.referrers(&subject).unwrap().iter().map(|it| it.digest).collect();
            assert_eq!(referrers, [digest(&whole)]);
            let [unread] = file.unread().unwrap() else { panic!("{bad}: {:?}", file.unread()) };
            assert!(unread.cause.contains(cause), "{bad}: {}", unread.cause);
            assert_eq!((unread.subject, &unread.entry), (refers, &bad));
            assert_eq!(unread.may_refer_to(&subject), bad.get("annotations").is_none(), "{bad}");
            assert_eq!(unread.may_refer_to(&Digest::of(b"other")), refers.is_none() && unread.names.is_empty());
            // Without an image beside it, it is the error.
            write_index(directory, &[&bad]);
            let told = ImageFile::open(directory, Default::default()).unwrap_err().to_string();
            assert!(told.contains("index.json: found no image, ") && told.contains(cause), "{told}");
        }
        // What may be an image is an error, whatever is beside it.
        for bad in [called("web:1"), {
            let mut entry = image.clone();
            entry["size"] = 7.into();
            entry
        }] {
            write_index(directory, &[&bad, &image]);
            assert!(ImageFile::open(directory, Default::default()).is_err(), "{bad}");
        }
    }

    /// Other tools read an artifact whose layers have digests of another algorithm: it is listed.
    #[test]
    fn digests_of_another_algorithm() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let image = image(directory, "linux");
        let layer = json!({"mediaType": LAYER, "digest": format!("sha512:{}", "0a".repeat(64)), "size": 1});
        let config = blob(directory, "x/config", &json!({}));
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer], "subject": image});
        let entry = blob(directory, media_type::MANIFEST, &manifest);
        write_index(directory, &[&image, &entry]);
        let file = ImageFile::open(directory, Default::default()).unwrap();
        let found = file.referrers(&digest(&image)).unwrap();
        assert_eq!((found.len(), found[0].digest, found[0].artifact_type()), (1, digest(&entry), Some("x/config")));
        assert_eq!(file.listed(&Location::of(directory)).unwrap().0.digest, digest(&image));
        assert_eq!(file.unread().unwrap(), []);
    }

    /// An index that refers to an image is one of its referrers, and what it lists are no images of the layout.
    #[test]
    fn indexes_that_refer() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let (image, other) = (image(directory, "linux"), image(directory, "plan9"));
        let index = json!({"schemaVersion": 2, "artifactType": "x/set", "manifests": [other], "subject": image});
        let entry = blob(directory, media_type::INDEX, &index);
        let plain = blob(directory, media_type::INDEX, &json!({"schemaVersion": 2, "manifests": [], "subject": image}));
        write_index(directory, &[&image, &entry, &plain]);
        let file = ImageFile::open(directory, Default::default()).unwrap();
        let found = file.referrers(&digest(&image)).unwrap();
        let kinds: Vec<_> = found.iter().map(|it| (it.digest, it.artifact_type())).collect();
        assert_eq!(kinds, [(digest(&entry), Some("x/set")), (digest(&plain), None)]);
        assert_eq!(file.images().unwrap().len(), 1);
        let bytes = file.manifest(&digest(&image)).unwrap();
        assert!(Manifest::parse(&bytes, "x", &Default::default()).is_ok());
    }

    #[test]
    fn tags_of_others() {
        let hex = "0a".repeat(32);
        for (name, expected) in [
            (format!("sha256-{hex}"), true),
            (format!("sha256-{hex}.sig"), true),
            (format!("registry.example:5000/team/web:sha256-{hex}.att"), true),
            (format!("sha256:{hex}"), false),
            (format!("sha256-{}", &hex[1..]), false),
            ("web:1".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(names_another(&name), expected, "{name}");
        }
    }
}
