//! Images of registries, and OCI layouts: pushed, pulled, copied, served, with docker-registry, docker, podman, skopeo and
//! umoci on the other side. What of OCI's distribution-spec 1.1 and image-spec 1.1 we implement, and where it is shown:
//!
//! | spec | clause | shown in |
//! |---|---|---|
//! | distribution | Pull: manifests by tag and by digest, `Accept`, `Docker-Content-Digest` | `pull`, `faults::manifests` |
//! | distribution | Pull: blobs, redirects, ranges when it broke off | `pull`, `faults::broken_blobs`, `faults::redirects` |
//! | distribution | Pull: `HEAD` of blobs and manifests | `push::nothing_is_sent_twice` |
//! | distribution | Push: `POST` then `PUT` for small blobs | `push::first`, `uploads::small_and_big` |
//! | distribution | Push: `POST`, `PATCH`, `PUT`, and `GET` where it broke off | `uploads` |
//! | distribution | Push: cancelling an upload | `uploads::given_up`, `uploads::interrupted` |
//! | distribution | Push: mounting blobs of other repositories, answered with 201 or 202 | `push::mounts`, `uploads::mounts_refused` |
//! | distribution | Push: manifests by tag and by digest, indexes after what they list | `index` |
//! | distribution | Content discovery: tags, `n` and `last`, `Link` | `serve::lists`, `verbs::pages` |
//! | distribution | Content management: deleting manifests | `verbs::deletions` |
//! | distribution | Error codes, in both directions | `faults::statuses`, `serve::what_is_not_there` |
//! | distribution | Determining support: `GET /v2/`, where the challenge may be alone | `serve::lists`, `probes`, `unusual::challenges` |
//! | distribution | Listing referrers, filtered by `artifactType`, as a server | `catalog::referrers`, `referrer_layouts::served` |
//! | distribution | Listing referrers, page by page, filtered by the registry or not | `referrers::pages_and_filters` |
//! | distribution | Pushing manifests with subject: `OCI-Subject` | `referrers::lists_of_the_registry` |
//! | distribution | Referrers tag schema: read, added to, written, at the same moment too | `referrer_lists` |
//! | image | image-index.md: an index with a subject | `unread::indexes_that_refer` |
//! | distribution | Deleting manifests that have a subject | `referrers::detached`, `referrer_lists::attached_and_detached` |
//! | distribution (docker) | token.md, oauth.md: tokens for anyone, for a password, for an identity token | `auth` |
//! | image | descriptor.md: digests, sizes, annotations, platforms | `layouts::descriptors` |
//! | image | image-layout.md: oci-layout, index.json, blobs, several images | `layouts` |
//! | image | manifest.md: config, layers, annotations, media types | `layouts::descriptors`, `layouts::compressions` |
//! | image | image-index.md: platforms, what is chosen of them | `index`, `pull::platforms` |
//! | image | config.md: diff IDs of what was compressed | `layouts::compressions`, `copies` |
//! | image | annotations.md: ref.name, what an image.json says | `layouts::names`, `layouts::descriptors` |
//!
//! Not implemented: chunked uploads of several `PATCH` on purpose (one takes up where another broke off), deleting
//! tags and blobs alone, and digests other than sha256.

mod audited;
mod auth;
mod breaks;
mod catalog;
mod companions;
mod copies;
mod engines;
mod faults;
mod index;
mod insecure;
mod known;
mod layer;
mod layouts;
mod lenient;
mod previous;
mod probes;
mod proxies;
mod pull;
mod push;
mod redirects;
mod referrer_clients;
mod referrer_layouts;
mod referrer_lists;
mod referrers;
mod retries;
mod serve;
mod signature_clients;
mod signatures;
mod signers;
mod trust;
mod unread;
mod unusual;
mod uploads;
mod verbs;

use crate::support::registry::{root, spec};
use crate::support::{Place, Run, digest};
use serde_json::{Value, json};

/// A place with the spec of an image of the synthetic store, `image.json`.
fn place() -> Place {
    let place = Place::new();
    spec(&place, json!({}));
    place
}

impl Place {
    /// Runs the binary on the synthetic store; it must succeed.
    #[track_caller]
    fn on_synth(&self, line: &str) -> Run {
        self.ok(&format!("{line} {}", root()))
    }
}

/// The manifest of the only image of a layout, or of the one that comes last.
#[track_caller]
fn manifest(place: &Place, layout: &str) -> Value {
    let index = place.json(&format!("{layout}/index.json"));
    let last = index["manifests"].as_array().unwrap().last().unwrap();
    blob_json(place, layout, &last["digest"])
}

/// A blob of a layout; its digest is that of its bytes.
#[track_caller]
fn blob(place: &Place, layout: &str, name: &Value) -> Vec<u8> {
    let hex = name.as_str().unwrap().strip_prefix("sha256:").unwrap();
    let bytes = place.read(&format!("{layout}/blobs/sha256/{hex}"));
    assert_eq!(digest(&bytes), hex);
    bytes
}

#[track_caller]
fn blob_json(place: &Place, layout: &str, name: &Value) -> Value {
    serde_json::from_slice(&blob(place, layout, name)).unwrap()
}

/// How many blobs a push says that it has sent, taken over and skipped.
#[track_caller]
fn told(run: &Run) -> [u64; 3] {
    let lines = run.stderr.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let line = lines.into_iter().find(|line| line.starts_with("sent ")).unwrap_or_else(|| panic!("{}", run.stderr));
    let after = |word: &str| {
        let rest = line.split_once(word).map_or("0", |(_, rest)| rest);
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    [after("sent "), after("took over "), after("skipped ")]
}

/// Whatever the table of clauses names is there.
#[test]
fn the_table_names_tests() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry");
    let rows = include_str!("registry.rs").lines().filter(|line| line.starts_with("//! | ") && line.contains('`'));
    let mut count = 0;
    for cell in rows.filter_map(|row| row.trim_end_matches(" |").rsplit_once(" | ")).map(|(_, cell)| cell) {
        for name in cell.split('`').skip(1).step_by(2) {
            let (module, test) = name.split_once("::").map_or((name, None), |(module, test)| (module, Some(test)));
            let source = std::fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap();
            assert!(test.is_none_or(|test| source.contains(&format!("fn {test}()"))), "{name}");
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}
