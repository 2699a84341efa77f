//! Connections that break: every request of the client against every way to break off. Each command ends within a bound,
//! and either the image is whole or the error is clear and the upload cancelled.

use crate::support::Place;
use crate::support::fake_registry::{Layout, layout};
use crate::support::faulty::{Fault, FaultyRegistry, How};
use crate::support::registry::Certificates;
use crate::support::{Run, require_tool};
use How::*;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Far more than any cell takes, also on a busy machine; what hangs would take for good.
const BOUND: Duration = Duration::from_secs(120);
/// Cells that run at a time: most of them wait for silence to end.
const THREADS: usize = 12;
const MIB: usize = 1 << 20;
const ALWAYS: usize = usize::MAX;

/// One run of the program.
#[derive(Clone, Debug)]
struct Cell {
    size: usize,
    is_tls: bool,
    /// The request that is tested, and one before it that leads there.
    faults: Vec<Fault>,
}

struct World {
    _place: Place,
    layouts: Vec<(usize, Layout)>,
    certificates: Certificates,
}

impl World {
    fn new() -> World {
        let place = Place::new();
        let sizes = [0, 1000, MIB, 3 * MIB, 20 * MIB];
        let layouts = sizes.map(|size| (size, layout(&place.join(format!("layout-{size}")), size))).into();
        let certificates = Certificates::make(&place.join(""), "IP:127.0.0.1");
        World { _place: place, layouts, certificates }
    }

    fn layout(&self, size: usize) -> &Layout {
        &self.layouts.iter().find(|it| it.0 == size).unwrap().1
    }

    fn start(&self, cell: &Cell) -> FaultyRegistry {
        let wants_token = cell.faults.iter().any(|fault| fault.part == "/token");
        let registry = FaultyRegistry::start(&cell.faults, cell.is_tls.then_some(&self.certificates), wants_token);
        if is_pull(cell) {
            registry.held.hold(self.layout(cell.size));
        } else if cell.faults[0].method == "GET" && cell.faults[0].part == "/manifests/" {
            // Something else is there under that name.
            registry.held.hold(self.layout(0));
        }
        registry
    }

    fn trust(&self, cell: &Cell) -> String {
        if cell.is_tls { format!("--ca {}", self.certificates.ca.display()) } else { String::new() }
    }

    /// The command that pushes or pulls the image of a cell.
    fn line(&self, cell: &Cell, registry: &FaultyRegistry) -> String {
        let (host, trust) = (registry.host(), self.trust(cell));
        if is_pull(cell) {
            return format!("pull {host}/a:1 -o oci:out --as m:1 {trust}");
        }
        format!("push {} {host}/a:1 {trust}", self.layout(cell.size).folder.display())
    }
}

fn is_pull(cell: &Cell) -> bool {
    cell.faults.iter().any(|fault| fault.method == "GET" && fault.part == "/blobs/sha256")
}

fn fault(method: &'static str, part: &'static str, how: How, times: usize) -> Fault {
    Fault { method, part, how, times }
}

/// Requests with a body: the way a blob of that size goes.
const WITH_BODY: [(usize, &str, &str); 5] = [
    (0, "PUT", "/uploads/"),
    (MIB, "PUT", "/uploads/"),
    (3 * MIB, "PATCH", "/uploads/"),
    (20 * MIB, "PATCH", "/uploads/"),
    (1000, "PUT", "/manifests/"),
];

/// Requests whose body is empty, or too small to break off within.
const WITHOUT_BODY: [(usize, &str, &str); 9] = [
    (1000, "HEAD", "/blobs/"),
    (1000, "POST", "/uploads/"),
    (3 * MIB, "PUT", "/uploads/"),
    (3 * MIB, "GET", "/uploads/"),
    (1000, "HEAD", "/manifests/"),
    (1000, "GET", "/manifests/"),
    (1000, "GET", "/token"),
    (1000, "POST", "/token"),
    (3 * MIB, "DELETE", "/uploads/"),
];

/// What leads to a request that is not made otherwise.
fn before(method: &str, part: &str) -> Option<Fault> {
    match (method, part) {
        ("GET", "/uploads/") => Some(fault("PATCH", "/uploads/", ResetWithin, 1)),
        ("DELETE", _) => Some(fault("PATCH", "/uploads/", Early(403), 1)),
        _ => None,
    }
}

fn cells() -> VecDeque<Cell> {
    let mut cells = VecDeque::new();
    let mut add = |size, is_tls, method, part, how, times| {
        let faults = [Some(fault(method, part, how, times)), before(method, part)];
        cells.push_back(Cell { size, is_tls, faults: faults.into_iter().flatten().collect() });
    };
    let breaks =
        [ResetBefore, ResetWithin, ResetAfter, HalfAnswer, SilentBefore, SilentWithin, SilentAfter, SilentAnswer];
    let early = [401, 403, 413, 429, 500].map(Early);
    for (size, method, part) in WITH_BODY {
        for how in breaks.into_iter().chain(early).chain([EarlyOpen(413), EarlyOpen(500)]) {
            add(size, false, method, part, how, 1);
        }
        for how in [ResetBefore, ResetWithin, HalfAnswer, SilentWithin, Early(500), Early(429)] {
            add(size, false, method, part, how, ALWAYS);
        }
    }
    // Success before the body was sent is none.
    add(20 * MIB, false, "PATCH", "/uploads/", Early(202), 1);
    for (size, method, part) in [WITH_BODY[1], WITH_BODY[3]] {
        for how in
            [ResetBefore, ResetWithin, HalfAnswer, SilentWithin, SilentAfter, Early(403), Early(500), EarlyOpen(413)]
        {
            add(size, true, method, part, how, 1);
        }
    }
    for (size, method, part) in WITHOUT_BODY {
        for how in [ResetBefore, ResetAfter, HalfAnswer, SilentBefore, SilentAnswer, Early(503)] {
            add(size, false, method, part, how, 1);
        }
        for how in [ResetAfter, SilentBefore, Early(500)] {
            add(size, false, method, part, how, ALWAYS);
        }
        for how in [ResetAfter, HalfAnswer, SilentBefore] {
            add(size, true, method, part, how, 1);
        }
    }
    for size in [0, MIB, 3 * MIB, 20 * MIB] {
        for how in [ResetBefore, HalfAnswer, SilentBefore, SilentAnswer, Early(503)] {
            add(size, false, "GET", "/blobs/sha256", how, 1);
            add(size, size > MIB, "GET", "/blobs/sha256", how, ALWAYS);
        }
    }
    cells
}

/// What must come of a cell: nothing said is success.
fn expected(cell: &Cell) -> Option<String> {
    let fault = cell.faults[0];
    // A refusal is not tried again. An upload that was refused is one, whether its end is heard or not.
    if fault.method == "DELETE" {
        return Some("found status 403".to_owned());
    }
    // What was done is found, though its answer never comes.
    let is_done = matches!(fault.how, ResetAfter | HalfAnswer | SilentAfter | SilentAnswer);
    let is_found = is_done && matches!(fault.method, "PATCH" | "PUT");
    match fault.how {
        Early(401) => Some("found no challenge that is understood".to_owned()),
        Early(status @ (403 | 413)) | EarlyOpen(status @ 413) => Some(format!("found status {status}")),
        _ if fault.times == 1 || is_found => None,
        Early(status) | EarlyOpen(status) => Some(format!("found status {status}")),
        SilentBefore | SilentWithin | SilentAfter | SilentAnswer => Some("timeout: nothing ".to_owned()),
        _ => Some("cannot reach: ".to_owned()),
    }
}

/// Waits for a program, but not for good.
#[track_caller]
fn wait(child: Child, cell: &Cell) -> (std::process::ExitStatus, Run) {
    let pid = Pid::from_child(&child);
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    let Ok(output) = receiver.recv_timeout(BOUND) else {
        let _ = kill_process(pid, Signal::KILL);
        panic!("hangs: {cell:?}");
    };
    (output.status, output.into())
}

fn check(world: &World, cell: &Cell) {
    let registry = world.start(cell);
    let image = world.layout(cell.size);
    let place = Place::new();
    let mut line = format!("{} --retries 3 --io-timeout 1", world.line(cell, &registry));
    if cell.faults.iter().any(|fault| fault.part == "/token" && fault.method == "POST") {
        let auths = json!({"auths": {registry.host(): {"auth": "dTpw", "identitytoken": "i"}}});
        line += &format!(" --authfile {}", place.write("auth.json", auths.to_string()).display());
    }
    let begin = Instant::now();
    let (status, run) = wait(place.command(&line).spawn().unwrap(), cell);
    let said = format!("{cell:?} after {:?}: {status}: {}", begin.elapsed(), run.stderr);
    match expected(cell) {
        None => {
            assert_eq!(status.code(), Some(0), "{said}");
            assert!(is_pull(cell) || registry.held.has(image), "{said}");
        }
        Some(expected) => {
            assert_eq!(status.code(), Some(1), "{said}");
            assert!(run.stderr.contains(&expected), "expected {expected:?}: {said}");
            assert!(is_pull(cell) || !registry.held.has(image), "{said}");
        }
    }
    check_uploads(cell, &registry, &said);
    place.check_no_leftovers();
}

/// Uploads are finished or cancelled, but for those of which the client never heard, and those that cannot be cancelled.
fn check_uploads(cell: &Cell, registry: &FaultyRegistry, said: &str) {
    let is_unheard = cell.faults.iter().any(|fault| matches!(fault.method, "POST" | "DELETE"));
    let left = registry.held.uploads.lock().unwrap().len();
    assert!(is_unheard || left == 0, "{left} uploads are left: {said}");
    if cell.faults[0].method == "DELETE" {
        assert!(registry.count("DELETE", "/uploads/") > 0, "{said}");
    }
}

/// Runs cells, several at a time; all failures are told.
fn run(world: &World, cells: VecDeque<Cell>, check: fn(&World, &Cell)) {
    let (cells, failures) = (Mutex::new(cells), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(cell) = cells.lock().unwrap().pop_front() else { break };
                    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(world, &cell)));
                    if let Err(panic) = checked {
                        let said = panic.downcast_ref::<String>().cloned();
                        failures.lock().unwrap().push(said.unwrap_or_else(|| format!("{cell:?}")));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// Bodies of 0 B, 1 MiB, 3 MiB and 20 MiB meet every way to break off, once and without end where that differs; requests
/// without a body meet those that there are without one. TLS changes how bytes travel, not what is done about them: one
/// small and one big body and every request without a body go over it.
#[test]
fn requests_that_break_off() {
    if !require_tool("openssl") {
        return;
    }
    let cells = cells();
    assert!(cells.len() > 200, "{}", cells.len());
    run(&World::new(), cells, check);
}

/// Silence has a bound also before a request is sent: in the handshake of TLS, and where nobody takes a connection's bytes.
#[test]
fn silent_handshake() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::new();
    let line = format!("pull {}/a:1 -o x.tar --retries 1 --io-timeout 1", listener.local_addr().unwrap());
    let begin = Instant::now();
    let error = place.fail(&line);
    assert!(error.contains("timeout: no connection within 1 s"), "{error}");
    assert!(begin.elapsed() >= Duration::from_secs(2) && begin.elapsed() < BOUND);
    for bad in ["0", "-1", "x"] {
        let run = place.run(&format!("pull 127.0.0.1:1/a:1 -o x.tar --io-timeout={bad}"));
        assert_eq!(run.code, Some(2), "{}", run.stderr);
    }
}

/// A signal ends a push at once, whatever it waits for, and the upload is cancelled.
fn check_signals(world: &World, cell: &Cell) {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let registry = world.start(cell);
        let place = Place::new();
        let child = place.command(&format!("{} --retries 9", world.line(cell, &registry))).spawn().unwrap();
        registry.wait_for_fault(BOUND);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let (status, run) = wait(child, cell);
        let said = format!("{signal:?} {cell:?}: {status}: {}", run.stderr);
        assert_eq!(status.signal(), Some(signal.as_raw()), "{said}");
        check_uploads(cell, &registry, &said);
        place.check_no_leftovers();
    }
}

#[test]
fn signals() {
    if !require_tool("openssl") {
        return;
    }
    let mut cells = VecDeque::new();
    for (size, method, part, how) in [
        (20 * MIB, "PATCH", "/uploads/", SilentBefore),
        (20 * MIB, "PATCH", "/uploads/", SilentWithin),
        (3 * MIB, "PATCH", "/uploads/", SilentAfter),
        (3 * MIB, "PATCH", "/uploads/", SilentAnswer),
        (3 * MIB, "PATCH", "/uploads/", Early(503)),
        (3 * MIB, "PUT", "/uploads/", SilentAfter),
        (MIB, "PUT", "/uploads/", SilentWithin),
        (MIB, "POST", "/uploads/", SilentAfter),
        (1000, "PUT", "/manifests/", SilentAfter),
        (1000, "HEAD", "/blobs/", SilentBefore),
        (1000, "GET", "/token", SilentBefore),
        (20 * MIB, "GET", "/blobs/sha256", SilentAnswer),
    ] {
        for is_tls in [false, true] {
            cells.push_back(Cell { size, is_tls, faults: vec![fault(method, part, how, ALWAYS)] });
        }
    }
    run(&World::new(), cells, check_signals);
}
