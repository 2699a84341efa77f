//! A machine with a /nix of its own: a mount namespace, a store with the lab's small closure, and our binary in it.

use crate::support::lab::Lab;
use crate::support::{Place, Run, output, require_tool, shared, skip, test_name, with_default_signals};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What Nix is told: one user, no sandbox, nothing from elsewhere.
pub const CONFIG: &str = "sandbox = false\nsubstitute = false\nbuild-users-group =\nfilter-syscalls = false\n\
    experimental-features = nix-command flakes\nmax-jobs = 2\n";

/// What prints the value of an expression; the store can be written, for what is built meanwhile.
const EVALUATE: [&str; 5] = ["--eval", "--read-write-mode", "--strict", "--json", "-E"];

/// What stands before all that is said of one of several expressions.
const MARK: &str = "== expression";

/// A machine: its directory is the test's.
pub struct Machine {
    pub place: Place,
    lab: Lab,
    /// Our binary's store path.
    binary: String,
}

/// What was built, and what Nix said meanwhile.
#[derive(Debug)]
pub struct Built {
    /// Store paths, one for each derivation that was asked for.
    pub paths: Vec<String>,
    /// What Nix said.
    pub log: String,
}

impl Built {
    /// The only store path.
    #[track_caller]
    pub fn path(&self) -> &str {
        let [path] = &self.paths[..] else { panic!("{:?}", self.paths) };
        path
    }

    /// The names of the derivations that were built for it, sorted.
    pub fn names(&self) -> Vec<&str> {
        names(&self.log)
    }

    /// Those among them that are layers.
    pub fn layers(&self) -> Vec<&str> {
        self.names().into_iter().filter(|name| name.ends_with(".layer.json")).collect()
    }
}

/// What a layer tells of all files of a store path, a line each.
fn listing(path: &Path) -> BTreeSet<String> {
    let script = r#"cd "$0" && find . -printf '%p %y %m %s %l\n' && find . -type f -exec sha256sum {} +"#;
    output(Command::new("sh").args(["-c", script]).arg(path)).lines().map(str::to_owned).collect()
}

/// The names of the derivations that are built here, or elsewhere, according to what Nix says.
pub fn names(log: &str) -> Vec<&str> {
    let built = log.lines().filter_map(|line| line.strip_prefix("building '"));
    let mut names: Vec<&str> = built.map(|line| name(line.split_once(".drv'").unwrap().0)).collect();
    names.sort();
    names
}

/// A store path without directory and hash.
pub fn name(path: &str) -> &str {
    path.rsplit_once('/').unwrap().1.split_once('-').unwrap().1
}

impl Machine {
    /// A new machine with the lab's small closure, or the running test is skipped.
    #[track_caller]
    pub fn find() -> Option<Machine> {
        let machine = Machine::bare()?;
        machine.add_lab();
        Some(machine)
    }

    /// One that has only our binary.
    #[track_caller]
    pub fn bare() -> Option<Machine> {
        let mut machine = Machine::empty()?;
        machine.add_binary();
        Some(machine)
    }

    /// The same, made once for all tests, with what `build` makes in it from these files besides; or the running test is
    /// skipped.
    #[track_caller]
    pub fn shared(name: &str, from: &[&Path], build: impl FnOnce(&Machine)) -> Option<Machine> {
        let lab = Machine::empty()?.lab;
        let tools = format!("{:?}", std::env::var_os("PATH"));
        let folder = shared(name, &[&[&*lab.graph()], from].concat(), &tools, |folder| {
            let mut machine = Machine::within(Place::at(folder)).unwrap();
            machine.add_binary();
            machine.add_lab();
            build(&machine);
            machine.place.write("binary", &machine.binary);
        });
        let place = Place::at(&folder);
        let binary = String::from_utf8(place.read("binary")).unwrap();
        Some(Machine { place, lab, binary })
    }

    /// One whose store is empty.
    #[track_caller]
    pub fn empty() -> Option<Machine> {
        let place = Place::within(&Path::new(env!("CARGO_TARGET_TMPDIR")).canonicalize().unwrap());
        Machine::within(place)
    }

    #[track_caller]
    fn within(place: Place) -> Option<Machine> {
        let lab = Lab::find("small")?;
        if !["nix-build", "nix-store", "nix-instantiate", "unshare", "strip"].into_iter().all(require_tool) {
            return None;
        }
        std::fs::create_dir_all(place.join("nix/store")).unwrap();
        let machine = Machine { place, lab, binary: String::new() };
        if !machine.command("true").status().unwrap().success() {
            skip(&test_name(), "no mount namespace with another /nix can be made");
            return None;
        }
        Some(machine)
    }

    /// Puts the lab's closure into the store.
    fn add_lab(&self) {
        let store = self.place.join("nix/store");
        for info in self.lab.infos() {
            let path = info["path"].as_str().unwrap();
            let copy = |link: &[&str]| {
                Command::new("cp").arg("--archive").args(link).arg(path).arg(&store).stderr(Stdio::null()).status()
            };
            // By hard links, or where that does not go, by copies.
            assert!(copy(&["--link"]).unwrap().success() || copy(&[]).unwrap().success(), "{path}");
        }
        let registration = self.lab.graph().with_file_name("registration");
        let mut load = self.command("nix-store");
        load.arg("--load-db").stdin(std::fs::File::open(registration).unwrap());
        assert!(load.status().unwrap().success());
    }

    /// Where the lab's closure is not in this store as it is in the lab's.
    fn changed(&self) -> Vec<String> {
        let mut changed = Vec::new();
        for info in self.lab.infos() {
            let path = info["path"].as_str().unwrap();
            let here = self.place.join(path.strip_prefix('/').unwrap());
            let [lab, here] = [Path::new(path), &here].map(listing);
            changed.extend(lab.iter().filter(|it| !here.contains(*it)).map(|it| format!("the lab's: {it}")));
            changed.extend(here.iter().filter(|it| !lab.contains(*it)).map(|it| format!("here: {it}")));
        }
        changed
    }

    /// Puts the binary, without what only debuggers need, into the store.
    fn add_binary(&mut self) {
        let stripped = stripped().to_str().unwrap();
        self.binary = self.ok("nix-store", &["--add", stripped]).text().trim_end().to_owned();
    }

    /// A command that finds this machine's /nix, in an environment of its own.
    pub fn command(&self, program: &str) -> Command {
        let mut command = with_default_signals(Command::new("unshare"));
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-c", r#"mount --bind "$0" /nix && exec "$@""#]);
        command.arg(self.place.join("nix")).arg(program).current_dir(self.place.path()).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("NIX_CONFIG", CONFIG);
        command.env("HOME", self.place.path()).env("TMPDIR", self.place.temporary());
        command
    }

    /// Runs a command on this machine.
    pub fn run(&self, program: &str, words: &[&str]) -> Run {
        self.command(program).args(words).output().unwrap().into()
    }

    /// Runs a command on this machine, which must succeed.
    #[track_caller]
    pub fn ok(&self, program: &str, words: &[&str]) -> Run {
        let run = self.run(program, words);
        assert_eq!(run.code, Some(0), "{program} {words:?}\n{}", run.stderr);
        run
    }

    /// An expression with `layerstone`, our API, and packages of the lab in scope.
    pub fn expression(&self, text: &str) -> String {
        let graph = self.lab.graph();
        let lab = graph.parent().unwrap().join("default.nix");
        let api = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("nix");
        format!(
            r#"
            let
              lab = import {lab};
              find = name: builtins.head (builtins.filter (it: builtins.match "${{name}}-[0-9].*" it.name != null) lab.env.deps);
              hello = find "hello";
              bash = find "bash";
              coreutils = find "coreutils";
              api = import {api};
              arguments = {{
                layerstone = builtins.storePath {binary};
                # Most tests are about layers that are derivations.
                perLayer = true;
                packages = {{ inherit bash coreutils hello; }};
                inherit bash coreutils;
              }};
              layerstone = api arguments;
            in {text}
            "#,
            lab = lab.display(),
            api = api.display(),
            binary = self.binary,
        )
    }

    /// Builds what an expression says, with these flags of nix-build.
    #[track_caller]
    pub fn build_with(&self, flags: &[&str], text: &str) -> Built {
        let run = self.try_build(flags, text);
        if run.stderr.contains("wrong digest") {
            panic!("{text}\n{}\ndifferences from the lab's store: {:#?}", run.stderr, self.changed());
        }
        assert_eq!(run.code, Some(0), "{text}\n{}", run.stderr);
        Built { paths: run.text().lines().map(str::to_owned).collect(), log: run.stderr }
    }

    /// The same, which may fail.
    pub fn try_build(&self, flags: &[&str], text: &str) -> Run {
        let expression = self.expression(text);
        let mut words = vec!["--no-out-link", "-E", &expression];
        words.extend(flags);
        self.run("nix-build", &words)
    }

    /// Builds what an expression says.
    #[track_caller]
    pub fn build(&self, text: &str) -> Built {
        self.build_with(&[], text)
    }

    /// The value of an expression as JSON.
    #[track_caller]
    pub fn value(&self, text: &str) -> serde_json::Value {
        let expression = self.expression(text);
        let run = self.ok("nix-instantiate", &[&EVALUATE[..], &[&expression]].concat());
        serde_json::from_slice(&run.stdout).unwrap()
    }

    /// What the evaluation of an expression fails with.
    #[track_caller]
    pub fn refused(&self, text: &str) -> String {
        let expression = self.expression(text);
        let run = self.run("nix-instantiate", &[&EVALUATE[..], &[&expression]].concat());
        assert_eq!(run.code, Some(1), "{text}\n{}", run.text());
        run.stderr
    }

    /// What the evaluation of each of these expressions fails with, all in one process.
    #[track_caller]
    pub fn refusals(&self, texts: &[String]) -> Vec<String> {
        let names = "layerstone hello bash coreutils api arguments";
        self.place.write("scope.nix", self.expression(&format!("{{ inherit {names}; }}")));
        let scope = self.place.join("scope.nix");
        let line = |(at, text): (usize, &String)| {
            let text = text.replace('\n', " ");
            format!("builtins.trace \"{MARK} {at}\" null\nwith import {}; {text}\n", scope.display())
        };
        self.place.write("refused.txt", texts.iter().enumerate().map(line).collect::<String>());
        // An expression that fails ends no session of the evaluator that is talked to.
        let run = self.run("sh", &["-c", "nix repl <refused.txt"]);
        let said: Vec<&str> = run.stderr.split(MARK).skip(1).collect();
        assert_eq!(said.len(), texts.len(), "{}", run.stderr);
        said.into_iter().map(str::to_owned).collect()
    }

    /// Where a file of this machine is on the test's.
    pub fn locate(&self, path: &str) -> PathBuf {
        self.place.join(path.trim_start_matches('/'))
    }

    /// Reads a file of this machine.
    #[track_caller]
    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.locate(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// Our binary without what only debuggers need, made once for all tests.
pub fn stripped() -> &'static Path {
    static STRIPPED: OnceLock<PathBuf> = OnceLock::new();
    STRIPPED.get_or_init(|| {
        let folder = shared("stripped", &[], "", |folder| {
            output(Command::new("strip").args([env!("CARGO_BIN_EXE_layerstone"), "-o"]).arg(folder.join("layerstone")));
        });
        folder.join("layerstone")
    })
}
