//! Random trees and random edits: the layer over the base is what the script left.

use super::{File, archive, backends, busybox, layer_of, printed};
use crate::support::Place;
use std::fmt::Write;

/// Cases that are tried.
const CASES: u64 = 40;
/// Of these, those that every backend is given.
const EVERYWHERE: u64 = 3;
/// Edits of a case.
const EDITS: usize = 25;

/// Numbers that are the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.next(all.len() as u64)).unwrap()]
    }

    /// One of few names, at most three deep, so that edits meet.
    fn path(&mut self) -> String {
        let depth = 1 + self.next(3);
        (0..depth).map(|_| self.of(&["a", "b", "c d", "+e"])).collect::<Vec<_>>().join("/")
    }
}

/// What is told of every file below the directory: kind, mode, owner, size, link, contents, how many names.
const SHOW: &str = r#"cd /t; find . -mindepth 1 | sort | while read -r f; do
  if test -L "$f"; then echo "$f -> $(readlink "$f")"
  elif test -d "$f"; then echo "$f/ $(stat -c '%a %u:%g' "$f")"
  elif test -f "$f"; then echo "$f $(stat -c '%a %u:%g %h' "$f") $(cat "$f")"
  else echo "$f $(stat -c '%F %a %u:%g' "$f")"; fi
done
"#;

fn edit(numbers: &mut Numbers, script: &mut String) {
    let (a, b) = (numbers.path(), numbers.path());
    let line = match numbers.next(14) {
        0 | 1 => format!("rm -rf '{a}'"),
        2 => format!("rm -rf '{a}'; mkdir -p '{a}'"),
        3 | 4 => format!("mkdir -p '{a}'"),
        // A pipe would wait for a reader.
        5 | 6 => format!("test -p '{a}' || echo {} > '{a}'", numbers.next(100)),
        7 => format!("test -p '{a}' || echo {} >> '{a}'", numbers.next(100)),
        8 => format!("ln '{a}' '{b}'"),
        9 => format!("ln -s '{a}' '{b}'"),
        10 => format!("mv '{a}' '{b}'"),
        11 => format!("chmod {} '{a}'", numbers.of(&["700", "755", "4711", "2770", "0644"])),
        12 => format!("chown -h {} '{a}'", numbers.of(&["1:2", "7", "65533:65533"])),
        _ => format!("rm -rf '{a}'; mkfifo '{a}'"),
    };
    writeln!(script, "{{ {line}; }} 2> /dev/null || true").unwrap();
}

/// Layers of a base in which few names meet.
fn layers(numbers: &mut Numbers) -> Vec<Vec<u8>> {
    let layer = |numbers: &mut Numbers| {
        let mut names: Vec<String> = (0..8).map(|_| format!("t/{}", numbers.path())).collect();
        names.sort();
        names.dedup();
        let is_folder = |name: &String| names.iter().any(|other| other.starts_with(&format!("{name}/")));
        let mut files = vec![File::folder("t/")];
        for name in &names {
            files.push(match numbers.next(4) {
                _ if is_folder(name) => File::folder(name).of(numbers.next(3)),
                0 => File::link(name, "a"),
                1 => File::folder(name),
                _ => File::new(name, 0o640, "base\n").of(numbers.next(3)),
            });
        }
        layer_of(&files)
    };
    (0..1 + numbers.next(3)).map(|_| layer(numbers)).collect()
}

#[test]
fn the_layer_is_what_was_left() {
    let Some(busybox) = busybox() else { return };
    for case in 1..=CASES {
        let mut numbers = Numbers(case.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let base = [&[busybox.clone()][..], &layers(&mut numbers)].concat();
        let place = Place::new();
        place.write("base.tar", archive(&base));
        let mut script = "cd /t\n".to_owned();
        (0..EDITS).for_each(|_| edit(&mut numbers, &mut script));
        script += SHOW;
        place.write("script.sh", &script);
        let left = printed(&place, "userns", "--timeout 60");
        let layer = place.read("run.tar");
        for backend in backends().into_iter().filter(|_| case <= EVERYWHERE) {
            assert_eq!(printed(&place, backend, ""), left, "{backend}, case {case}");
            assert!(place.read("run.tar") == layer, "{backend}, case {case}:\n{script}");
        }
        // The same over the image that the layer makes of the base, by a script that changes nothing.
        place.write("x.json", r#"{"name": "base", "tag": "1", "fromImage": "base.tar"}"#);
        place.ok("image --spec x.json run.layer.json -o next.tar");
        std::fs::rename(place.join("next.tar"), place.join("base.tar")).unwrap();
        place.write("script.sh", SHOW);
        assert_eq!(printed(&place, "userns", ""), left, "case {case}:\n{script}");
    }
}
