//! Plans that follow a previous one, layers asked for, a least size of layers, a base image: by flag, and in `build`.

use crate::support::{Place, synth};
use serde_json::{Value, json};

/// The store path of a name and a letter for its hash.
fn path(hash: char, name: &str) -> String {
    format!("/nix/store/{}-{name}", hash.to_string().repeat(32))
}

/// A closure of `HASH NAME SIZE` and the numbers of the entries that it refers to.
fn closure(entries: &[(char, &str, u64, &[usize])]) -> String {
    let path = |&(hash, name, _, _): &(char, &str, u64, &[usize])| path(hash, name);
    let info = |entry: &(char, &str, u64, &[usize])| {
        let references: Vec<String> = entry.3.iter().map(|&index| path(&entries[index])).collect();
        json!({"path": path(entry), "narSize": entry.2, "references": references})
    };
    Value::Array(entries.iter().map(info).collect()).to_string()
}

/// An application, two libraries and a C library, and the same after an update of one library that brought another in.
fn place() -> Place {
    let place = Place::new();
    let old = [
        ('a', "app-1.0", 500_000, &[1, 2][..]),
        ('a', "ssl-3.0.11", 6_000_000, &[3]),
        ('a', "zlib-1.3", 100_000, &[3]),
        ('a', "libc-2.36", 30_000_000, &[]),
    ];
    let new = [
        ('b', "app-1.0", 500_000, &[1, 2][..]),
        ('b', "ssl-3.0.13", 6_100_000, &[3, 4]),
        ('a', "zlib-1.3", 100_000, &[3]),
        ('a', "libc-2.36", 30_000_000, &[]),
        ('b', "brotli-1.1", 900_000, &[3]),
    ];
    place.write("old.closure.json", closure(&old));
    place.write("new.closure.json", closure(&new));
    place
}

/// The names in a plan's layers.
#[track_caller]
fn layers(place: &Place, flags: &str) -> Vec<String> {
    place.ok(&format!("layers {flags} -o plan.json"));
    let plan = place.json("plan.json");
    let name = |path: &Value| path.as_str().unwrap().split_once('-').unwrap().1.to_owned();
    let names = |layer: &Value| layer.as_array().unwrap().iter().map(name).collect::<Vec<_>>().join(" ");
    plan["layers"].as_array().unwrap().iter().map(names).collect()
}

/// Two closures that share libc and ssl, and what each has beside them.
fn images() -> Place {
    let place = Place::new();
    let web = [
        ('w', "web-1", 500_000, &[1, 2][..]),
        ('w', "nginx-1.2", 3_000_000, &[2, 3]),
        ('a', "ssl-3.0", 6_000_000, &[3]),
        ('a', "libc-2.36", 30_000_000, &[]),
    ];
    let jobs = [
        ('j', "jobs-7", 200_000, &[1, 2][..]),
        ('j', "redis-7.0", 4_000_000, &[3]),
        ('a', "ssl-3.0", 6_000_000, &[3]),
        ('a', "libc-2.36", 30_000_000, &[]),
    ];
    place.write("web.closure.json", closure(&web));
    place.write("jobs.json", closure(&jobs));
    place
}

#[test]
fn several_closures_share_layers() {
    let place = images();
    let plans = |flags: &str| {
        place.ok(&format!("layers {flags} --max-layers 3 -o plans"));
        [place.json("plans/web.layers.json"), place.json("plans/jobs.layers.json")]
    };
    let [web, jobs] = plans("web.closure.json jobs.json");
    let layers = |plan: &Value| plan["layers"].as_array().unwrap().clone();
    let shared: Vec<Value> = layers(&web).into_iter().filter(|layer| layers(&jobs).contains(layer)).collect();
    assert_eq!(shared, [json!([path('a', "libc-2.36")]), json!([path('a', "ssl-3.0")])]);
    assert_eq!((layers(&web).len(), layers(&jobs).len()), (3, 3));
    assert_eq!(plans("jobs.json web.closure.json"), [web, jobs], "in another order");
    for (plan, closure) in [("web", "web.closure.json"), ("jobs", "jobs.json")] {
        place.ok(&format!("layers --check plans/{plan}.layers.json {closure} --max-layers 3"));
    }
}

#[test]
fn several_closures_that_cannot_be_planned() {
    let place = images();
    let usage = |flags: &str, expected: &str| {
        let run = place.run(&format!("layers {flags}"));
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    };
    usage("web.closure.json jobs.json --max-layers 3", "--output <FOLDER>, for the plans of several closures");
    place.write("copy/web.json", closure(&[]));
    usage(
        "web.closure.json copy/web.json --max-layers 3 -o plans",
        "two closures for one plan plans/web.layers.json: web.closure.json and copy/web.json",
    );
    usage("web.closure.json jobs.json -o plans", "--max-layers <N>");
    let fails = |flags: &str, expected: &str| assert_eq!(place.fail(flags), format!("error: {expected}\n"));
    fails(
        "layers web.closure.json jobs.json --strategy popularity --max-layers 3 -o plans",
        "several closures at once: found the strategy popularity, expected least-churn without a previous plan",
    );
    place.write("old.json", r#"[["/nix/store/a-b"]]"#);
    fails(
        "layers web.closure.json jobs.json --previous old.json --max-layers 3 -o plans",
        "several closures at once: found a previous plan, expected least-churn without a previous plan",
    );
    place.write("other.json", closure(&[('a', "libc-2.36", 1, &[])]));
    fails(
        "layers web.closure.json other.json --max-layers 3 -o plans",
        &format!("closures that do not belong together: {}: found two different sizes", path('a', "libc-2.36")),
    );
    assert!(!place.join("plans").exists());
}

#[test]
fn a_plan_follows_the_previous_one() {
    let place = place();
    let old = layers(&place, "old.closure.json --max-layers 3");
    assert_eq!(old, ["libc-2.36", "ssl-3.0.11", "app-1.0 zlib-1.3"]);
    std::fs::rename(place.join("plan.json"), place.join("old.layers.json")).unwrap();
    let kept = |flags: &str| layers(&place, &format!("new.closure.json --previous old.layers.json {flags}"));
    assert_eq!(kept("--max-layers 9"), ["libc-2.36", "ssl-3.0.13", "app-1.0 zlib-1.3", "brotli-1.1"]);
    assert_eq!(kept("--max-layers 3"), ["libc-2.36", "ssl-3.0.13 brotli-1.1", "app-1.0 zlib-1.3"]);
    assert_eq!(kept("--max-layers 2"), ["libc-2.36", "ssl-3.0.13 brotli-1.1 app-1.0 zlib-1.3"]);
    assert_eq!(kept("--max-layers 9 --strategy popularity"), kept("--max-layers 9"));
    assert_eq!(kept("--max-layers 9 --min-layer-size 2M"), ["libc-2.36", "ssl-3.0.13 brotli-1.1 app-1.0 zlib-1.3"]);
    let again = layers(&place, "old.closure.json --previous old.layers.json --max-layers 3");
    assert_eq!(again, old);
    assert_eq!(place.read("plan.json"), place.read("old.layers.json"));
}

#[test]
fn layers_asked_for() {
    let place = place();
    let asked = |flags: &str| layers(&place, &format!("old.closure.json --max-layers 3 {flags}"));
    assert_eq!(asked("--layer app,libc"), ["ssl-3.0.11", "zlib-1.3", "app-1.0 libc-2.36"]);
    assert_eq!(asked("--layer zlib --layer ssl*,z*"), ["ssl-3.0.11", "zlib-1.3", "app-1.0 libc-2.36"]);
    assert_eq!(asked("--layer zlib --min-layer-size 1G"), ["zlib-1.3", "app-1.0 libc-2.36 ssl-3.0.11"]);
    let told = place.error_of("layers old.closure.json --max-layers 3 --layer musl");
    assert_eq!(told, "error: useless pattern: musl: it matches no path that needs a layer\n");
    let told = place.error_of("layers old.closure.json --max-layers 1 --layer libc");
    let expected = "error: too few layers: found a limit of 1, expected 2 or more: 0 lie below, 1 are asked \
                    for by pattern\n";
    assert_eq!(told, expected);
}

#[test]
fn previous_plans_that_cannot_be_followed() {
    let place = place();
    place.write("guix.json", r#"[["/gnu/store/x-libc"]]"#);
    let told = place.fail("layers old.closure.json --max-layers 3 --previous guix.json");
    let expected = "error: previous plan of another store: guix.json: found paths in /gnu/store, expected \
                    /nix/store\n";
    assert_eq!(told, expected);
    place.write("other.json", r#"[["/nix/store/x-perl"]]"#);
    let told = place.fail("layers old.closure.json --max-layers 3 --previous other.json");
    let expected = "error: previous plan of something else: other.json: neither a path nor a name in it is one of \
                    the closure's\n";
    assert_eq!(told, expected);
    let told = place.error_of("layers old.closure.json --max-layers 3 --previous absent.json");
    assert_eq!(told, "error: cannot read: absent.json: No such file or directory (os error 2)\n");
}

#[test]
fn sizes_that_are_none() {
    let run = place().run("layers old.closure.json --max-layers 3 --min-layer-size 5m");
    assert_eq!(run.code, Some(2));
    assert!(
        run.stderr.contains("'5m' for '--min-layer-size <BYTES>': expected a number of bytes, such as 5000000"),
        "{}",
        run.stderr
    );
}

/// What an image holds is in no layer above it, and its layers count.
#[test]
fn a_base_image() {
    let (place, synth) = (Place::new(), synth());
    let store = format!("--root {} --graph {}", synth.root.display(), synth.graph.display());
    place.ok(&format!("build --name base --contents {} {store} -o base.tar", synth.path("libc-2.36")));
    place.ok(&format!("closure --graph {} {} -o c.json", synth.graph.display(), synth.path("curl-8.0")));
    assert_eq!(layers(&place, "c.json --max-layers 9 --base base.tar"), ["zlib-1.3", "ssl-3.0", "curl-8.0"]);
    assert_eq!(layers(&place, "c.json --max-layers 3 --base base.tar"), ["curl-8.0 ssl-3.0 zlib-1.3"]);
    place.ok("layers c.json --max-layers 3 --base base.tar --check plan.json");
    let told = place.fail("layers c.json --max-layers 2 --base base.tar --check plan.json");
    assert_eq!(told, "error: --max-layers: found 2, expected more than the 2 that lie below\n");
    let missing = format!("{} is in no layer", synth.path("libc-2.36"));
    assert!(place.run("layers c.json --check plan.json").text().contains(&missing));
    let told = place.fail("layers c.json --max-layers 2 --base base.tar");
    let expected = "error: too few layers: found a limit of 2, expected 3 or more: 2 lie below, 0 are asked \
                    for by pattern\n";
    assert_eq!(told, expected);
    place.ok(&format!("closure --graph {} {} -o libc.json", synth.graph.display(), synth.path("libc-2.36")));
    assert_eq!(layers(&place, "libc.json --max-layers 1 --base base.tar"), [""; 0]);
}

/// By flag, and by key of image.json; the layers of `build` are those of `layers`.
#[test]
fn in_build() {
    let (place, synth) = (Place::new(), synth());
    let shown = |spec: &Value, flags: &str| {
        place.write("image.json", spec.to_string());
        place.ok(&format!("build image.json --root {} --dry-run {flags}", synth.root.display())).text().to_owned()
    };
    let spec = json!({"name": "t", "contents": synth.path("curl-8.0"), "graph": synth.graph});
    let mut sized = spec.clone();
    sized["minLayerSize"] = 1_000_000_000.into();
    let joined = shown(&sized, "");
    assert!(joined.lines().count() == 6, "{joined}");
    assert_eq!(shown(&spec, "--min-layer-size 1G"), joined);
    assert_ne!(shown(&sized, "--min-layer-size 0"), joined);
    assert!(shown(&sized, "--layer zlib").lines().count() == 7);
    let old = [[synth.path("curl-8.0")], [synth.path("ssl-3.0")]];
    place.write("old.json", json!(old).to_string());
    let kept = shown(&spec, "--previous old.json");
    assert_eq!(kept.lines().nth(3).unwrap().split_whitespace().last().unwrap(), "curl-8.0", "{kept}");
}
