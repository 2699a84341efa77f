//! A store that Nix itself makes here: what Nix recorded is what its database says and what scanning finds.

use crate::support::{Place, require_tool};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};

/// A Nix of one's own in a directory: its store, its database, nothing of the machine's.
struct Nix {
    place: Place,
    store: String,
}

impl Nix {
    fn new() -> Nix {
        // Links on the way to the store are refused by Nix.
        let place = Place::within(&Path::new(env!("CARGO_TARGET_TMPDIR")).canonicalize().unwrap());
        let store = place.join("nix/store").to_str().unwrap().to_owned();
        Nix { place, store }
    }

    /// What a command of Nix prints.
    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let state = self.place.join("nix/var/nix");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.place.path()).stdin(Stdio::null());
        command.env("NIX_STORE_DIR", &self.store).env("NIX_STATE_DIR", &state).env("NIX_LOG_DIR", state.join("log"));
        command.env("NIX_CONF_DIR", state.join("conf")).env("HOME", self.place.path()).env_remove("NIX_REMOTE");
        command.env("NIX_CONFIG", "sandbox = false\nsubstitute = false\nbuild-users-group =\nfilter-syscalls = false");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Builds what references can be made of: in contents (at every edge of a block that anyone may read), in the name
    /// of a file, in the target of a link, by the hash alone, to itself; and what looks like one and is none.
    #[track_caller]
    fn build(&self) -> String {
        let expression = r#"
            let
              make = name: script: inputs: derivation (inputs // {
                inherit name;
                system = builtins.currentSystem;
                builder = "/bin/sh";
                args = [ "-ec" ("PATH=/usr/bin:/bin; hash() { p=\${1##*/}; printf %.32s \"$p\"; };" + script) ];
              });
              lib = make "lib" "mkdir $out; echo lib > $out/lib" { };
              data = make "data" "echo data > $out" { };
              tool = make "tool" "ln -s $data/x $out" { inherit data; };
              alone = make "alone" "mkdir $out; hash $lib > $out/hash; echo $out > $out/self" { inherit lib; };
              unused = make "unused" "echo $lib | tr a-z A-Z > $out; hash $lib | cut -c2- >> $out" { inherit lib; };
              split = make "split" "mkdir $out; hash $lib | head -c 16 > $out/a; hash $lib | tail -c 16 > $out/b" { inherit lib; };
            in make "app" ''
              mkdir $out
              for size in 4096 32768 65536 131072 262144; do
                for less in 1 16 31; do
                  head -c $((size - less)) /dev/zero > $out/$size-$less
                  hash $alone >> $out/$size-$less
                  head -c $((2 * size)) /dev/zero >> $out/$size-$less
                done
              done
              touch $out/$(hash $tool)
              ln -s $lib/lib $out/link
              printf 'x%sx' $(hash $unused) > $out/unused
              cp $split/a $out/a
            '' { inherit lib tool alone unused split; }
        "#;
        self.run("nix-build", &["--no-out-link", "-E", expression])
    }
}

/// What Nix recorded when it built is what the database says, and what is found by scanning.
#[test]
fn what_nix_recorded() {
    if !require_tool("nix-store") || !require_tool("nix-build") {
        return;
    }
    let nix = Nix::new();
    let app = nix.build();
    let flags = format!("--store {} {app}", nix.store);
    nix.place.ok(&format!("closure {flags} --db nix/var/nix/db/db.sqlite -o db.closure.json"));
    nix.place.ok(&format!("closure {flags} -o default.closure.json"));
    nix.place.ok(&format!("closure {flags} --scan --nar-hash -o scan.closure.json"));
    let bytes = nix.place.read("db.closure.json");
    assert!(bytes == nix.place.read("default.closure.json") && bytes == nix.place.read("scan.closure.json"));
    let closure = nix.place.json("db.closure.json");
    let graph = closure["graph"].as_array().unwrap();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        json!(lines)
    };
    let paths: Vec<_> = graph.iter().map(|info| info["path"].clone()).collect();
    assert_eq!(json!(paths), sorted(&nix.run("nix-store", &["-qR", &app])));
    let names = |name: &str| paths.iter().any(|path| path.as_str().unwrap().ends_with(name));
    assert!(["-lib", "-data", "-tool", "-alone", "-unused", "-app"].iter().all(|name| names(name)) && !names("-split"));
    for info in graph {
        let ask = |what: &str| nix.run("nix-store", &["-q", what, info["path"].as_str().unwrap()]);
        assert_eq!(info["references"], sorted(&ask("--references")));
        assert_eq!(info["narHash"], ask("--hash"));
        assert_eq!(info["narSize"].to_string(), ask("--size"));
    }
}
