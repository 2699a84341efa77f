//! The page of `report` in a browser: what it draws, what pointer and keys do, that it asks nobody, that axe-core passes it.

use super::{image, path, updated, write_pieces};
use crate::support::browser::{Browser, key};
use crate::support::pieces::{Entry, Pieces, tar_of};
use crate::support::{Place, skip, test_name};
use serde_json::{Value, json};

/// Nothing was asked for but the page, and nothing was complained about.
#[track_caller]
fn check_quiet(browser: &Browser) {
    assert_eq!(browser.console(), Vec::<Value>::new());
    let requests = browser.requests();
    let is_own = |url: &String| (url.starts_with("file://") && url.ends_with(".html")) || url.starts_with("data:");
    assert!(requests.iter().any(|url| url.starts_with("file://")) && requests.iter().all(is_own), "{requests:?}");
}

/// The first words of the table's rows.
fn rows(browser: &Browser) -> Vec<String> {
    let names = browser.run("return [...document.querySelectorAll('#table tbody th')].map((cell) => cell.innerText)");
    serde_json::from_value(names).unwrap()
}

/// The chain that the page tells.
fn chain(browser: &Browser) -> Vec<String> {
    let links = browser.run("return [...document.querySelectorAll('.links li')].map((link) => link.innerText)");
    serde_json::from_value(links).unwrap()
}

/// How many boxes the search has covered.
fn covered(browser: &Browser) -> Value {
    browser.run("return (document.querySelector('#veil path').getAttribute('d')?.match(/M/g) ?? []).length")
}

/// The box of a store path.
fn box_of(name: &str) -> String {
    format!(".box[aria-label^=\"{name} \"]")
}

#[test]
fn drawn_and_used() {
    let Some(browser) = Browser::start() else { return };
    let place = updated();
    place.ok("report 2.tar 1.tar -o page.html");
    browser.open(&place.join("page.html"));
    assert_eq!(browser.run("return document.title"), "web:2 – layerstone report");
    assert_eq!(browser.text("h1"), "web:2");
    let layers = browser.run("return [...document.querySelectorAll('#layers button')].map((it) => it.innerText)");
    let layers: Vec<String> = serde_json::from_value(layers).unwrap();
    assert_eq!(layers.len(), 4);
    // The uppermost first.
    assert!(layers[0].contains("customisation layer") && layers[3].contains("libc"), "{layers:?}");
    // Boxes lie inside the picture, as large as what they hold.
    let area = |name: &str| {
        let script =
            "const { width, height } = document.querySelector(SELECTOR).getBoundingClientRect(); return width * height";
        browser.run(&script.replace("SELECTOR", &json!(box_of(name)).to_string())).as_f64().unwrap()
    };
    let ratio = area("ssl") / area("tool");
    assert!((1.4..2.1).contains(&ratio), "{ratio}: 7000 and 4000 bytes");
    let inside = browser.run(
        "const [map, ...boxes] = [document.getElementById('map'), ...document.querySelectorAll('.box')]
            .map((it) => it.getBoundingClientRect());
        return boxes.every((box) => box.left >= map.left && box.right <= map.right + 1 && box.bottom <= map.bottom + 1)",
    );
    assert_eq!(inside, true);

    // The pointer tells what is under it and the chain that brings it in, as `closure --why` does.
    browser.hover(&box_of("libc"));
    assert_eq!(chain(&browser), ["app", "ssl", "libc"]);
    let infos = [("app", vec!["ssl", "tool"]), ("ssl", vec!["libc"]), ("tool", vec!["libc"]), ("libc", vec![])];
    let info = |(name, used): &(&str, Vec<&str>)| {
        let used: Vec<String> = used.iter().map(|name| path('2', name)).collect();
        json!({"path": path('2', name), "narSize": 1, "references": used})
    };
    place.write("graph.json", json!(infos.iter().map(info).collect::<Vec<_>>()).to_string());
    let told = place.ok(&format!("closure --why {} graph.json --json", path('2', "libc")));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["chains"][0], json!([path('2', "app"), path('2', "ssl"), path('2', "libc")]));
    assert!(browser.text("#detail").contains("there already"));
    browser.hover("h1");
    assert!(chain(&browser).is_empty());

    // The search leaves what has the text.
    browser.keys("#search", "SS");
    assert_eq!(rows(&browser), ["ssl"]);
    assert!(browser.text("#status").starts_with("1 of "), "{}", browser.text("#status"));
    let boxes = browser.run("return document.querySelectorAll('.box').length - 1");
    assert_eq!(covered(&browser), boxes);
    browser.press(key::ESCAPE);
    assert_eq!(covered(&browser), 0);

    // The table sorts by what is clicked, and the other way when it is clicked again.
    assert_eq!(rows(&browser)[..4], ["libc", "ssl", "tool", "app"]);
    browser.click("#table thead th[data-key=name] button");
    let by_name = rows(&browser);
    assert_eq!(browser.run("return document.querySelector('[aria-sort=ascending]').innerText"), "Name");
    browser.click("#table thead th[data-key=name] button");
    assert_eq!(rows(&browser), by_name.into_iter().rev().collect::<Vec<_>>());

    // A layer's bar leaves what is in it.
    browser.click("#layers li:last-child button");
    assert_eq!(rows(&browser), ["libc"]);
    browser.click("#layers li:last-child button");
    check_quiet(&browser);
    browser.click("input[value=update]");
    let colours = browser.run(
        "return ['there', 'new'].map((name) => getComputedStyle(document.querySelector(`.box.${name}`)).backgroundColor)",
    );
    assert_ne!(colours[0], colours[1]);
    assert_eq!(browser.console(), Vec::<Value>::new());
}

/// All of it without a pointer.
#[test]
fn by_keyboard() {
    let Some(browser) = Browser::start() else { return };
    let place = Place::new();
    let paths: [(&str, usize, &[&str]); 4] =
        [("app", 2000, &["ssl", "tool"]), ("ssl", 7000, &["libc"]), ("tool", 4000, &["libc"]), ("libc", 90_000, &[])];
    image(&place, '1', &paths);
    place.ok("report 1.tar -o page.html");
    browser.open(&place.join("page.html"));
    let active = || {
        let label = "return document.querySelector('.active')?.getAttribute('aria-label') ?? ''";
        browser.run(label).as_str().unwrap().split(' ').next().unwrap().to_owned()
    };
    browser.keys("#map", key::HOME);
    assert_eq!(active(), "libc");
    let named = "return document.getElementById(document.getElementById('map').getAttribute('aria-activedescendant'))
        === document.querySelector('.active')";
    assert_eq!(browser.run(named), true);
    let outline = "return getComputedStyle(document.getElementById('map')).outlineStyle";
    assert_eq!(browser.run(outline), "solid");
    // The largest is at the upper left, so that others are to the right of it; there and back.
    browser.press(key::RIGHT);
    let right = active();
    assert_ne!(right, "libc");
    browser.press(key::LEFT);
    assert_eq!(active(), "libc");
    browser.press(key::RIGHT);
    browser.press(key::DOWN);
    let below = active();
    assert!(!["libc", &right].contains(&below.as_str()), "{below}");
    browser.press(key::ENTER);
    browser.hover("#table tbody tr:first-child th button");
    browser.hover("h1");
    assert_eq!(active(), below, "it is kept");
    browser.press(key::ESCAPE);
    assert_eq!(active(), "");
    browser.press("/");
    assert_eq!(browser.run("return document.activeElement.id"), "search");
    // Each thing to press can be reached, and shows that it was.
    let mut reached = Vec::new();
    for _ in 0..40 {
        browser.press(key::TAB);
        let at = browser.run(
            "const it = document.activeElement; const { outlineStyle } = getComputedStyle(it);
            return [it.id || it.closest('[id]')?.id || it.tagName, outlineStyle !== 'none' || it.type === 'radio']",
        );
        let place = at[0].as_str().unwrap().to_owned();
        if place == "BODY" {
            break;
        }
        assert_eq!(at[1], true, "{at}");
        reached.push(place);
    }
    reached.dedup();
    assert_eq!(reached, ["colours", "layers", "map", "scroll", "table"]);
    check_quiet(&browser);
}

/// A closure of 2,000 paths in 100 layers: each has its box, the pointer tells its chain, and the search leaves what has the
/// text.
#[test]
fn two_thousand_paths() {
    const COUNT: usize = 2000;
    let Some(browser) = Browser::start() else { return };
    let place = Place::new();
    // Each refers to two others, so that one chain leads to it; those that are told last are the largest.
    let path = |index: usize| format!("nix/store/{index:032}-part-{index}");
    let used = |index: usize| [2 * index, 2 * index + 1].into_iter().filter(move |it| *it < COUNT && *it != index);
    let file = |index: usize| {
        let mentioned: String = used(index).map(|it| format!("/{}\n", path(it))).collect();
        (format!("{}/f", path(index)), Entry::File((mentioned + &"x".repeat(1000 + index)).into()))
    };
    let files: Vec<_> = (0..COUNT).map(file).collect();
    let layers = files.chunks(20).map(|files| tar_of(files.iter().map(|(name, it)| (name.as_bytes(), it.clone()))));
    write_pieces(&place, &Pieces::new(&layers.collect::<Vec<_>>()));
    place.ok("report x.tar -o page.html");
    browser.open(&place.join("page.html"));
    let count = |selector: &str| browser.run(&format!("return document.querySelectorAll('{selector}').length"));
    assert_eq!([count(".box"), count("#layers button"), count("#table tbody tr")], [COUNT, 100, 25]);
    let is_drawn =
        "return [...document.querySelectorAll('.box')].every((it) => it.offsetWidth > 0 && it.offsetHeight > 0)";
    assert_eq!(browser.run(is_drawn), true);
    browser.hover(&box_of("part-1999"));
    let expected = [0, 1, 3, 7, 15, 31, 62, 124, 249, 499, 999, 1999].map(|index| format!("part-{index}"));
    assert_eq!(chain(&browser), expected);
    browser.keys("#search", "part-19");
    assert!(browser.text("#status").starts_with("111 of "), "{}", browser.text("#status"));
    assert_eq!(covered(&browser), COUNT - 111);
    browser.keys("#search", "99");
    assert_eq!(rows(&browser), ["part-1999"]);
    browser.press(key::ESCAPE);
    assert_eq!(covered(&browser), 0);
    // Rows come as they come into sight, a hundred of them, or all. Paper has all of them at once.
    let scrolled_to = |rows: usize| {
        browser.run(&format!(
            "const rows = () => document.querySelectorAll('#table tbody tr').length;
            return new Promise((done) => {{
                const look = () => {{
                    document.getElementById('list').scrollIntoView(false);
                    if (rows() >= {rows}) {{ done(rows()); }} else {{ requestAnimationFrame(look); }}
                }};
                look();
            }})"
        ))
    };
    assert_eq!(scrolled_to(100), 100);
    browser.click("#more");
    assert!(scrolled_to(150).as_u64() >= Some(150));
    browser.run("window.dispatchEvent(new Event('beforeprint'))");
    assert_eq!(count("#table tbody tr"), COUNT);
    check_quiet(&browser);
}

/// Names of files, of the image and of layers are texts and nothing else.
#[test]
fn hostile_names() {
    let Some(browser) = Browser::start() else { return };
    let place = Place::new();
    let names: [&[u8]; 4] = [
        b"</script><script>document.title='x'<!--/f",
        b"\"><img src=x onerror=alert(1)>/\n/f",
        b"\xff\xfe/x'y\"z/f",
        b"nix/store/0123456789abcdfghijklmnpqrsvwxyz-<b>\"'&amp;</f",
    ];
    let layer = tar_of(names.map(|name| (name, Entry::File(b"some text".to_vec()))));
    let mut pieces = Pieces::new(&[layer]).called(&["</title><b>:1"]);
    pieces.config["history"] = json!([{"comment": "</script><img src=x onerror=alert(2)>\u{202e}"}]);
    pieces.config["config"] = json!({"Cmd": ["<i>run</i>", "{{PROGRAM}}"]});
    write_pieces(&place, &pieces);
    place.ok("report x.tar -o page.html");
    let page = String::from_utf8(place.read("page.html")).unwrap();
    // Those of the data and of the program.
    assert_eq!(page.matches("</script").count(), 2);
    browser.open(&place.join("page.html"));
    assert_eq!(browser.run("return document.title"), "</title><b>:1 – layerstone report");
    assert_eq!(browser.text("h1"), "</title><b>:1");
    assert_eq!(browser.run("return document.querySelectorAll('img, i:not(.bar), b:not(.box > b)').length"), 0);
    let mut shown = rows(&browser);
    shown.sort();
    let expected = [
        "/\"><img src=x onerror=alert(1)>/\\u{a}",
        "/</script><script>document.title='x'<!--",
        "/\\xff\\xfe/x\\'y\\\"z",
        "<b>\"'&amp;<",
    ];
    assert_eq!(shown, expected);
    assert_eq!(browser.text("#command code"), "<i>run</i> {{PROGRAM}}");
    assert!(browser.text("#layers").contains("<b>\"'&amp;<"));
    check_quiet(&browser);
    // What is not ours does not run, even if it were there.
    browser
        .run("const it = document.createElement('script'); it.text = 'document.title = 1'; document.body.append(it)");
    assert_ne!(browser.run("return document.title"), "1");
}

/// axe-core finds nothing to complain about, light and dark, wide and narrow.
#[test]
fn accessible() {
    let Some(browser) = Browser::start() else { return };
    let Some(axe) = std::env::var_os("LAYERSTONE_AXE") else {
        return skip(&test_name(), "no LAYERSTONE_AXE, the axe.min.js of npm's axe-core");
    };
    let axe = std::fs::read_to_string(axe).unwrap();
    let place = updated();
    place.ok("report 2.tar 1.tar -o page.html");
    for (width, scheme) in [(1400, "light"), (1400, "dark"), (400, "light"), (400, "dark")] {
        browser.emulate(width, scheme);
        browser.open(&place.join("page.html"));
        let wide = browser.run("return document.documentElement.scrollWidth > document.documentElement.clientWidth");
        assert_eq!(wide, false, "{width}: it does not fit");
        browser.run(&format!("{axe}; window.axe = axe;"));
        for state in
            ["", "document.querySelector('[value=update]').click()", "document.querySelector('#layers button').click()"]
        {
            browser.run(state);
            let found = browser.wait_for(
                "axe.run({resultTypes: ['violations']}).then((it) => it.violations.map(({ id, nodes }) => [id, nodes[0].html]))",
            );
            assert_eq!(found, json!([]), "{width} {scheme} {state}");
        }
    }
}
