//! What is asked of registries besides images: tags, digests, manifests; and what is deleted.

use super::place;
use crate::support::fake_registry::{FakeRegistry, layout, named};
use crate::support::http::{Answer, Server};
use crate::support::registry::{Registry, root};
use crate::support::{Place, answer};
use serde_json::{Value, json};

/// A registry with two images in one repository, each under two tags.
fn registry(place: &Place) -> Option<Registry> {
    let registry = Registry::start()?;
    for (tag, more) in [("1", ""), ("2", ""), ("arm", "--architecture arm64"), ("arm-2", "--architecture arm64")] {
        let line = format!("build image.json -o registry:{}/team/synth:{tag} {more} {}", registry.host(), root());
        place.ok(&line);
    }
    Some(registry)
}

#[test]
fn tags() {
    let place = place();
    let Some(registry) = registry(&place) else { return };
    let name = format!("{}/team/synth", registry.host());
    assert_eq!(place.ok(&format!("ls {name}")).text(), "1\n2\narm\narm-2\n");
    let listed = answer(&place.ok(&format!("ls docker://{name} --json")).stdout, "ls");
    assert_eq!(listed, json!({"name": name, "tags": ["1", "2", "arm", "arm-2"]}));
    let error = place.fail(&format!("ls {}/absent", registry.host()));
    let expected = format!("error: not in the registry: {}/absent: NAME_UNKNOWN", registry.host());
    assert!(error.starts_with(&expected), "{error}");
    for bad in [format!("{name}:1"), format!("{name}@sha256:{}", "0".repeat(64)), registry.host().to_owned()] {
        let error = place.fail(&format!("ls {bad}"));
        assert!(error.contains(", expected HOST/NAME"), "{bad}: {error}");
    }
}

#[test]
fn pages() {
    let place = Place::new();
    let server = Server::start(|request| {
        let page = |tags: Value| Answer::bytes(200, json!({"name": "a/b", "tags": tags}).to_string());
        match (request.path(), request.query("last").first().map(String::as_str)) {
            ("/v2/a/b/tags/list", None) => {
                page(json!(["x", "y"])).with("Link", "</v2/a/b/tags/list?last=y>; rel=\"next\"")
            }
            ("/v2/a/b/tags/list", Some("y")) => page(json!([])).with("Link", "<?last=z>; rel=next"),
            ("/v2/a/b/tags/list", Some("z")) => page(json!(["z"])),
            ("/v2/none/tags/list", _) => page(Value::Null),
            ("/v2/loop/tags/list", _) => page(json!(["x"])).with("Link", "</v2/loop/tags/list>; rel=\"next\""),
            ("/v2/away/tags/list", _) => page(json!(["x"])).with("Link", "<ftp://x/>; rel=\"next\""),
            ("/v2/other/tags/list", _) => page(json!(["x"])).with("Link", "<http://127.0.0.1:1/x>; rel=\"next\""),
            ("/v2/ever/tags/list", at) => {
                let next = at.map_or(1, |at| at.parse::<u64>().unwrap() + 1);
                page(json!([])).with("Link", format!("<?last={next}>; rel=next"))
            }
            ("/v2/text/tags/list", _) => Answer::bytes(200, "hello"),
            _ => Answer::new(404),
        }
    });
    let ls = |name: &str| place.run(&format!("ls {}/{name}", server.host()));
    for (name, expected) in [("a/b", "x\ny\nz\n"), ("none", ""), ("loop", "x\n")] {
        let run = ls(name);
        assert_eq!((run.code, run.text()), (Some(0), expected), "{name}: {}", run.stderr);
    }
    for (name, expected) in [
        ("away", "found a next page at no address"),
        ("other", "found a next page at http://127.0.0.1:1, expected one at http://127.0.0.1:"),
        ("ever --limit tag-pages=20", "found 21 pages of tags, expected at most 20 (limit tag-pages)"),
        ("text", "found no list of tags"),
    ] {
        let run = ls(name);
        assert!(run.code == Some(1) && run.stderr.contains(expected), "{name}: {}", run.stderr);
    }
}

/// Of an index, of an image in it, and the same in files.
#[test]
fn digests_and_manifests() {
    let place = place();
    let Some(registry) = registry(&place) else { return };
    let name = format!("{}/team/synth", registry.host());
    let index = format!("{}/team/index:1", registry.host());
    place.ok(&format!("index registry:{name}:1 registry:{name}:arm -o registry:{index}"));
    for (target, line) in [("lay", "oci:lay"), ("lay.tar", "oci-archive:lay.tar")] {
        place.ok(&format!("copy --all registry:{index} {line}"));
        assert!(place.join(target).exists());
    }
    let digest_of = |name: &str, tag: &str| registry.descriptor(name, tag)["digest"].as_str().unwrap().to_owned();
    let (one, arm) = (digest_of("team/synth", "1"), digest_of("team/synth", "arm"));
    let whole = digest_of("team/index", "1");
    for (reference, flags, expected) in [
        (format!("{name}:1"), "", &one),
        (format!("registry:{name}:arm"), "", &arm),
        (format!("{name}:arm"), "--platform linux/arm64", &arm),
        (format!("{name}@{arm}"), "", &arm),
        (index.clone(), "", &whole),
        (index.clone(), "--platform linux/arm64", &arm),
        (format!("docker://{index}"), "--arch amd64", &one),
        ("oci:lay".to_owned(), "", &whole),
        ("lay".to_owned(), "--platform linux/arm64", &arm),
        ("lay.tar".to_owned(), "", &whole),
        ("lay.tar".to_owned(), "--arch amd64", &one),
    ] {
        assert_eq!(
            place.ok(&format!("digest {reference} {flags}")).text(),
            format!("{expected}\n"),
            "{reference} {flags}"
        );
        let bytes = place.ok(&format!("manifest {reference} {flags}")).stdout;
        assert!(registry.blob(expected).as_ref() == Some(&bytes), "{reference} {flags}");
    }
    place.ok(&format!("pull {name}:1 -o docker.tar"));
    for (reference, expected) in [
        (format!("{name}:absent"), "` lists the tags that are there\n"),
        (format!("{name}:1 --platform linux/riscv64"), "no image for linux/riscv64"),
        (format!("{index} --platform linux/riscv64"), "no image for linux/riscv64"),
        ("docker.tar".to_owned(), "found a docker archive, expected an OCI layout or a registry\nhint: "),
        ("docker.tar --arch amd64".to_owned(), "found a docker archive, expected an OCI layout or a registry"),
        ("image.json".to_owned(), "not an image: image.json: "),
        ("oci:absent".to_owned(), "absent"),
        ("Absent.tar".to_owned(), "not an image in a registry: \"Absent.tar\""),
    ] {
        for command in ["digest", "manifest"] {
            let run = place.run(&format!("{command} {reference}"));
            assert!(run.code == Some(1) && run.stderr.contains(expected), "{reference}: {}", run.stderr);
            assert!(run.stdout.is_empty(), "{reference}");
        }
    }
}

/// By their digests, into a file or a pipe; what has another digest is in no file.
#[test]
fn blobs() {
    let place = place();
    let Some(registry) = registry(&place) else { return };
    let digest = registry.descriptor("team/synth", "1")["digest"].as_str().unwrap().to_owned();
    let manifest: Value = serde_json::from_slice(&registry.blob(&digest).unwrap()).unwrap();
    let name = format!("{}/team/synth", registry.host());
    for descriptor in [&manifest["config"], &manifest["layers"][0]] {
        let digest = descriptor["digest"].as_str().unwrap();
        let expected = registry.blob(digest).unwrap();
        assert!(place.ok(&format!("blob {name}@{digest}")).stdout == expected, "{digest}");
        place.ok(&format!("blob registry:{name}@{digest} -o blob"));
        assert!(place.read("blob") == expected, "{digest}");
    }
    let absent = format!("{name}@sha256:{}", "0".repeat(64));
    let error = place.fail(&format!("blob {absent} -o absent"));
    assert!(error.starts_with(&format!("error: not in the registry: {absent}")), "{error}");
    let error = place.fail(&format!("blob {name}:1"));
    let expected =
        format!("error: no blob: {name}:1: found no digest, expected HOST/NAME@sha256:HEX\nhint: `layerstone manifest");
    assert!(error.starts_with(&expected), "{error}");
    let config = manifest["config"]["digest"].as_str().unwrap();
    let hex = config.strip_prefix("sha256:").unwrap();
    let file = registry.data().join(format!("blobs/sha256/{}/{hex}/data", &hex[..2]));
    std::fs::write(&file, vec![b' '; std::fs::metadata(&file).unwrap().len() as usize]).unwrap();
    let error = place.fail(&format!("blob {name}@{config} -o other"));
    assert!(error.contains(&format!("wrong digest: {name}@{config}: found sha256:")), "{error}");
    assert!(!place.join("absent").exists() && !place.join("other").exists());
}

#[test]
fn deletions() {
    let place = place();
    let Some(registry) = registry(&place) else { return };
    let name = format!("{}/team/synth", registry.host());
    let digest = registry.descriptor("team/synth", "1")["digest"].as_str().unwrap().to_owned();
    let error = place.fail(&format!("delete {name}:1"));
    let expected = format!("nothing is deleted: expected --yes to delete the image {name}@{digest} with all tags");
    assert!(error.contains(&expected), "{error}");
    assert_eq!(place.ok(&format!("ls {name}")).text(), "1\n2\narm\narm-2\n");
    let deleted = place.ok(&format!("delete {name}:1 --yes"));
    assert_eq!(deleted.text(), format!("deleted the image {name}@{digest}\n"));
    assert_eq!(place.ok(&format!("ls {name}")).text(), "arm\narm-2\n");
    assert!(place.fail(&format!("delete {name}:1 --yes")).contains(&format!("not in the registry: {name}:1: ")));
    let arm = registry.descriptor("team/synth", "arm")["digest"].as_str().unwrap().to_owned();
    assert_eq!(place.ok(&format!("delete {name}@{arm} --yes -q")).text(), "");
    assert!(place.fail(&format!("pull {name}:arm -o x.tar")).contains("not in the registry"));
}

/// A registry that deletes nothing says so in several ways.
#[test]
fn deletions_that_are_not_allowed() {
    let place = Place::new();
    let layout = layout(&place.join("lay"), 1000);
    let unsupported = json!({"errors": [{"code": "UNSUPPORTED", "message": "no"}]}).to_string();
    for (status, body, expected) in [
        (405, unsupported.clone(), "the registry allows no deletion: HOST: found status 405: UNSUPPORTED no\nhint: "),
        (405, String::new(), "the registry allows no deletion: HOST: found status 405\nhint: "),
        (400, unsupported, "the registry allows no deletion: HOST: found status 400: UNSUPPORTED no\nhint: "),
        (400, String::new(), "cannot delete the manifest: http://HOST/v2/a/manifests/DIGEST: found status 400\n"),
        (403, String::new(), "not allowed: http://HOST/v2/a/manifests/DIGEST: found status 403\nhint: "),
        (404, String::new(), "not in the registry: HOST/a@DIGEST\n"),
    ] {
        let (server, held) = FakeRegistry::start(move |_, request| {
            (request.method == "DELETE").then(|| Answer::bytes(status, body.clone()))
        });
        held.hold(&layout);
        let error = place.fail(&format!("delete {}/a:1 --yes", server.host()));
        let error = error.replace(&server.host(), "HOST").replace(&named(&layout.manifest), "DIGEST");
        assert!(error.starts_with(&format!("error: {expected}")), "{error}");
        assert_eq!(server.count("DELETE", "/manifests/sha256:"), 1);
    }
}

/// A token for a deletion is asked for as one.
#[test]
fn scope_of_deletions() {
    let place = Place::new();
    let layout = layout(&place.join("lay"), 1000);
    let (server, held) = FakeRegistry::start(|_, request| match request.path() {
        "/token" => Some(Answer::bytes(200, json!({"token": request.query("scope")[0]}).to_string())),
        _ => {
            let scope = if request.method == "DELETE" { "pull,delete" } else { "pull" };
            let is_allowed = request.header("authorization") == Some(&format!("Bearer repository:a:{scope}"));
            match is_allowed {
                true if request.method == "DELETE" => Some(Answer::new(202)),
                true => None,
                false => Some(Answer::new(401).with("WWW-Authenticate", "Bearer realm=\"/token\"")),
            }
        }
    });
    held.hold(&layout);
    place.ok(&format!("delete {}/a:1 --yes", server.host()));
    assert_eq!(server.count("DELETE", "/manifests/"), 1);
}
