//! Every limit, by the flag that sets it: what is at the limit passes, and one less is an error that names it.

use super::*;
use crate::platforms;
use crate::root_script;
use crate::support::http::{Answer, Server};
use crate::support::pieces::{Files, Packing, oci};
use crate::support::{fake_registry, referrer_registry};
use layerstone_store::LIMITS;

/// Limits that another test meets, since no error of a command tells what was found, or it takes a machine.
const ELSEWHERE: [&str; 5] = [
    // bad_bases::limits::layers_that_inflate
    "unpacked",
    // limits::tests::what_may_be_unpacked_depends_on_what_is_compressed, of layerstone-store: nothing below 1 GiB meets it
    "ratio",
    // receive::tests, of layerstone-overlay; script_layer below
    "script-layer",
    "script-console",
    // machine::disk::tests, of layerstone-overlay
    "attributes",
];

/// The least number of a limit that a command runs with, by what the errors of lesser ones say was found.
#[track_caller]
fn needed(place: &Place, line: &str, name: &str) -> u64 {
    let mut most = 0;
    loop {
        let run = place.run(&format!("{line} --limit {name}={most}"));
        if run.code == Some(0) {
            return most;
        }
        let found = found(&run.stderr, name, most);
        assert!(found > most, "{line}: {}", run.stderr);
        most = found;
    }
}

/// What an error says was found of a limit.
#[track_caller]
fn found(told: &str, name: &str, most: u64) -> u64 {
    let expected = format!(", expected at most {most} (limit {name})");
    let (before, rest) = told.split_once(&expected).unwrap_or_else(|| panic!("no {expected:?} in {told:?}"));
    assert!(rest.ends_with(&format!("\nhint: --limit {name}=NUMBER allows more\n")), "{told}");
    let (_, found) = before.rsplit_once("found ").unwrap();
    found.split(' ').next().unwrap().parse().unwrap()
}

/// What is needed is more than this; with it the command runs, and with one less it does not.
#[track_caller]
fn check_limit(place: &Place, line: &str, name: &str, least: u64) {
    let most = needed(place, line, name);
    assert!(most >= least, "{name}: {most} is enough, expected at least {least}");
    let told = place.fail(&format!("{line} --limit {name}={}", most - 1));
    // Of what is counted on the way, the last one.
    assert_eq!(found(&told, name, most - 1), most, "{name}");
    place.check_no_leftovers();
}

/// An image whose layer has something of every limit on headers.
fn rich() -> Pieces {
    let folder = |name: &str| member(name, b'5', b"");
    let link = |name: &str, typeflag: u8, target: &str| {
        header(USTAR, name.as_bytes(), typeflag, 0, &[(157, target.as_bytes())])
    };
    let layer = ended(&[
        folder("etc/"),
        member("etc/passwd", b'0', b"root"),
        member("l", b'L', format!("{}file\0", "deep/".repeat(40)).as_bytes()),
        member("x", b'0', b"x"),
        link("link", b'2', "target"),
        link("hard", b'1', "link"),
    ]);
    Pieces::new(&[layer, image().layers[0].clone()])
}

/// A layout with an index of two images within so many indexes.
fn layout(depth: usize) -> Files {
    platforms::nested(&["amd64", "arm64"], depth)
}

/// A registry that lists one tag a page, and so many of them.
fn pages_of_tags(most: usize) -> Server {
    Server::start(move |request| {
        let page: usize = request.query("page").first().map_or(1, |page| page.parse().unwrap());
        let answer = Answer::bytes(200, format!(r#"{{"name": "a", "tags": ["t{page}"]}}"#));
        if page < most { answer.with("Link", format!("<?page={}>; rel=\"next\"", page + 1)) } else { answer }
    })
}

/// A registry with an image `a:1` that lists one referrer a page, and so many of them.
fn pages_of_referrers(place: &Place, most: usize) -> (Server, std::sync::Arc<fake_registry::FakeRegistry>) {
    let behaviour = referrer_registry::Behaviour { page: 1, ..referrer_registry::USUAL };
    let (server, registry) = referrer_registry::start(behaviour);
    let image = fake_registry::layout(&place.join("image-with-referrers"), 1000);
    registry.hold(&image);
    for number in 0..most {
        let bytes = referrer_registry::artifact(&format!("x/{number}"), &image.manifest);
        let kind = fake_registry::MANIFEST.to_owned();
        registry.manifests.lock().unwrap().insert(fake_registry::named(&bytes), (bytes, kind));
    }
    (server, registry)
}

#[test]
fn every_limit() {
    let place = place();
    let global = [records(b'g', &[("comment", b"of all members")]), tar(&plain_docker(&[rich()]))].concat();
    write_image(&place, "rich.tar", &global);
    place.write("oci.tar", tar(&oci(&[rich()], &Packing::plain())));
    place.write("indexes.tar", tar(&layout(3)));
    let registry = platforms::registry(&platforms::nested(&["[amd64]", "[arm64]"], 3));
    let remote = format!("copy registry:{}/m:1 oci-archive:x.tar --as m:1 --arch arm64", registry.host());
    let remote_all = format!("copy registry:{}/m:1 oci-archive:x.tar --as m:1 --all", registry.host());
    let export = "overlay export rich.tar -o x.tar";
    let stream = format!("stream rich.tar.conf -o x.tar --root {}", synth().root.display());
    place.ok("build s.json -o oci:chunked --compression zstd:chunked");
    let tags = pages_of_tags(3);
    let list = format!("ls {}/a", tags.host());
    let (referrers, _) = pages_of_referrers(&place, 3);
    let discover = format!("discover {}/a:1", referrers.host());
    let cases: [(&str, &str, u64); 30] = [
        ("members", export, 6),
        ("headers", export, 40 * 144),
        ("archive-members", export, 4),
        ("archive-members", &stream, 4),
        ("archive-headers", export, 64),
        ("archive-headers", &stream, 64),
        ("extended-header", export, 200),
        ("name", export, 204),
        ("depth", export, 40),
        ("implied-directories", export, 40),
        ("link-targets", export, 6),
        ("layers", export, 2),
        ("descriptions", export, 100),
        ("manifests", "inspect indexes.tar", 5),
        ("manifests", &remote_all, 5),
        ("descriptions", "inspect indexes.tar", 100),
        ("descriptions", &remote_all, 100),
        ("index-depth", "inspect indexes.tar", 3),
        ("index-depth", &remote, 2),
        ("index-depth", &remote_all, 2),
        ("fetched", &remote, 4),
        ("referrer-pages", &discover, 3),
        ("tag-pages", &list, 3),
        ("json", "inspect oci.tar", 100),
        ("json", &remote, 100),
        ("json-values", "inspect oci.tar", 10),
        ("json-depth", "inspect oci.tar", 4),
        ("global-records", &stream, 22),
        ("copied-headers", &stream, 1024),
        ("chunk-table", "diff oci:chunked oci:chunked", 100),
    ];
    for (name, line, least) in cases {
        check_limit(&place, line, name, least);
    }
    let named = |name: &str| cases.iter().any(|case| case.0 == name) || OF_SCRIPTS.contains(&name);
    for row in LIMITS {
        assert!(named(row.name) != ELSEWHERE.contains(&row.name), "{}: expected in one of the tables", row.name);
    }
}

/// Those of what the guest of a root script sends.
const OF_SCRIPTS: [&str; 2] = ["script-frame", "script-phases"];

#[test]
fn of_root_scripts() {
    let Some(place) = root_script::place(&[], "echo a > /a") else { return };
    let line = "overlay run --backend userns --base base.tar --script script.sh -o x.layer.json --blob x.tar";
    for name in OF_SCRIPTS {
        check_limit(&place, line, name, 3);
    }
    // Its layer is read as those of others are.
    check_limit(&place, line, "headers", 144);
    place.write("script.sh", "true");
    let told = place.fail(&format!("{line} --limit script-layer=0"));
    let hint = "hint: --limit script-layer=NUMBER allows more";
    let expected = "layer of the root script: found more than 0 bytes, which its disk cannot hold (limit script-layer)";
    assert!(told.ends_with(&format!("{expected}\n{hint}\n")), "{told}");
    // The files of a layer may have half as much: a hole of 96 MiB does not fit into once a disk of 128 MiB.
    place.write("script.sh", "dd if=/dev/zero of=/hole bs=1 count=1 seek=100000000 2> /dev/null");
    let hole = format!("{line} --disk-size 128 --limit script-layer");
    let told = place.fail(&format!("{hole}=1"));
    assert!(told.contains("cannot pack ./hole: found files with holes of 95 MiB together"), "{told}");
    assert!(told.ends_with(&format!("a layer would hold all of their zeros (limit script-layer)\n{hint}\n")), "{told}");
    place.ok(&format!("{hole}=2"));
}

/// What is added to a layout is added within the limits, and what is there already is read within them.
#[test]
fn of_an_index_that_is_added_to() {
    let place = place();
    place.ok("build s.json -o oci:layout");
    for (name, least) in [("json", 100), ("json-values", 10), ("json-depth", 4)] {
        check_limit(&place, "build s.json -o oci:layout", name, least);
    }
    // Large enough to be no index by default.
    let mut index = place.read("layout/index.json");
    index.extend(std::iter::repeat_n(b' ', 8 << 20));
    place.write("layout/index.json", &index);
    let told = place.fail("build s.json -o oci:layout");
    assert!(told.contains("index.json: found ") && told.contains("expected at most 8388608 (limit json)"), "{told}");
    place.ok("build s.json -o oci:layout --limit json=9M");
}
