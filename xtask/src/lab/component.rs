//! Which packages become one store path: a store has no cycles, Debian's dependencies have.
//!
//! Packages are joined on purpose (an interpreter and its standard library) and where they need each other. Joining
//! on purpose may close new cycles, so the cycles are looked for twice. Interpreters of scripts, which Debian leaves
//! out of Depends for essential packages, become dependencies where that closes no cycle.

use super::apt::Package;
use super::deb::Facts;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Packages to join so that an interpreter finds its library below its own prefix; the first one names the group.
/// The names are those of Debian 12; on another release nothing is joined, and its interpreters may not start.
const GROUPS: [&[&str]; 2] = [
    &["python3.11", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"],
    &["perl", "perl-base", "perl-modules-5.36", "libperl5.36"],
];
/// Leads every cycle that it is in.
const LIBC: &str = "libc6";

pub type Packages = BTreeMap<String, (Package, Facts)>;

/// What becomes one store path.
pub struct Component<'a> {
    /// The package that it is named after.
    pub leader: &'a str,
    /// Its packages, sorted by name.
    pub members: Vec<&'a (Package, Facts)>,
    /// Positions of the components that it needs, in order of their leaders' names.
    pub depends: Vec<usize>,
    /// Whether the environment links its files: what was asked for, and whatever is no mere library.
    pub in_env: bool,
}

type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;
type Leaders<'a> = BTreeMap<&'a str, &'a str>;

/// The components, what a component needs before it.
pub fn components<'a>(packages: &'a Packages, requested: &[String]) -> Vec<Component<'a>> {
    let graph = dependencies(packages);
    let leaders = leaders(&graph);
    let mut joined = quotient(&graph, &leaders);
    for (name, depends) in &mut joined {
        depends.remove(name);
    }
    add_interpreters(packages, &leaders, &mut joined);
    // Without cycles every strongly connected component is one node.
    let order: Vec<&str> = cycles(&joined).into_iter().flatten().collect();
    let position: HashMap<&str, usize> = order.iter().enumerate().map(|(i, name)| (*name, i)).collect();
    let component = |leader: &'a str| {
        let members = packages.values().filter(|(package, _)| leaders[package.name.as_str()] == leader);
        let members: Vec<_> = members.collect();
        let in_env = members.iter().any(|(package, _)| requested.contains(&package.name)) || !is_library(leader);
        Component { leader, members, depends: joined[leader].iter().map(|name| position[name]).collect(), in_env }
    };
    order.iter().map(|leader| component(leader)).collect()
}

/// Perl's and JavaScript's modules are named as libraries too, but are looked for by their directories.
fn is_library(name: &str) -> bool {
    name.starts_with("lib") && !name.ends_with("-perl") && !name.starts_with("libjs-")
}

/// Of every clause the first alternative that is there, under its own name or one that it provides.
fn dependencies(packages: &Packages) -> Graph<'_> {
    let mut providers: HashMap<&str, &str> = HashMap::new();
    for (name, (_, facts)) in packages {
        for provided in &facts.provides {
            providers.entry(provided).or_insert(name);
        }
    }
    let find = |name: &String| match packages.get_key_value(name) {
        Some((found, _)) => Some(found.as_str()),
        None => providers.get(name.as_str()).copied(),
    };
    let first = |clause: &Vec<String>| clause.iter().find_map(find);
    let of = |name: &str, facts: &'_ Facts| facts.depends.iter().filter_map(first).filter(|d| *d != name).collect();
    packages.iter().map(|(name, (_, facts))| (name.as_str(), of(name, facts))).collect()
}

/// For every package the one that leads its component.
fn leaders<'a>(graph: &Graph<'a>) -> Leaders<'a> {
    let mut leaders: Leaders = graph.keys().map(|name| (*name, *name)).collect();
    for group in GROUPS {
        let members: Vec<&str> = group.iter().filter_map(|name| graph.get_key_value(name)).map(|(n, _)| *n).collect();
        for member in &members {
            leaders.insert(member, members[0]);
        }
    }
    for _ in 0..2 {
        for cycle in cycles(&quotient(graph, &leaders)).iter().filter(|cycle| cycle.len() > 1) {
            let head = if cycle.contains(&LIBC) { LIBC } else { cycle[0] };
            leaders.values_mut().filter(|leader| cycle.contains(leader)).for_each(|leader| *leader = head);
        }
    }
    leaders
}

/// The graph of the leaders.
fn quotient<'a>(graph: &Graph<'a>, leaders: &Leaders<'a>) -> Graph<'a> {
    let mut joined = Graph::new();
    for (name, depends) in graph {
        joined.entry(leaders[name]).or_default().extend(depends.iter().map(|depend| leaders[depend]));
    }
    joined
}

fn add_interpreters<'a>(packages: &'a Packages, leaders: &Leaders<'a>, joined: &mut Graph<'a>) {
    let mut programs: HashMap<&str, &str> = HashMap::new();
    for (name, (_, facts)) in packages {
        for path in &facts.programs {
            programs.entry(path).or_insert(leaders[name.as_str()]);
        }
    }
    for (name, (_, facts)) in packages {
        let from = leaders[name.as_str()];
        for to in facts.interpreters.iter().filter_map(|path| programs.get(path.as_str()).copied()) {
            if !reaches(joined, to, from) {
                joined.entry(from).or_default().insert(to);
            }
        }
    }
}

fn reaches<'a>(graph: &Graph<'a>, from: &'a str, to: &str) -> bool {
    let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
    while let Some(name) = todo.pop() {
        if seen.insert(name) {
            todo.extend(&graph[name]);
        }
    }
    seen.contains(to)
}

/// Strongly connected components, each sorted, those that are needed first (Tarjan 1972).
fn cycles<'a>(graph: &Graph<'a>) -> Vec<Vec<&'a str>> {
    let mut search = Search { graph, low: HashMap::new(), open: Vec::new(), found: Vec::new() };
    for name in graph.keys() {
        search.visit(name);
    }
    search.found
}

struct Search<'a, 'g> {
    graph: &'g Graph<'a>,
    /// For every name that was met the first met name that it is known to lead back to, as a number in order of
    /// meeting; above all numbers once its component is known.
    low: HashMap<&'a str, usize>,
    /// Names whose component is not known yet.
    open: Vec<&'a str>,
    found: Vec<Vec<&'a str>>,
}

impl<'a> Search<'a, '_> {
    fn visit(&mut self, name: &'a str) -> usize {
        if let Some(low) = self.low.get(name) {
            return *low;
        }
        let (met, graph, start) = (self.low.len(), self.graph, self.open.len());
        self.low.insert(name, met);
        self.open.push(name);
        let low = graph[name].iter().map(|next| self.visit(next)).fold(met, usize::min);
        self.low.insert(name, low);
        if low == met {
            let mut component = self.open.split_off(start);
            component.sort_unstable();
            self.low.extend(component.iter().map(|name| (*name, usize::MAX)));
            self.found.push(component);
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packages from lines of `name: dependency|alternative, … ; provided … ; interpreter … ; program …`.
    fn packages(text: &str) -> Packages {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let parse = |line: &str| {
            let (name, rest) = line.trim().split_once(':')?;
            let parts: Vec<&str> = rest.split(';').chain([""; 3]).collect();
            let facts = Facts {
                depends: words(parts[0]).iter().map(|c| c.split('|').map(str::to_owned).collect()).collect(),
                provides: words(parts[1]),
                interpreters: words(parts[2]).into_iter().collect(),
                programs: words(parts[3]).into_iter().collect(),
                ..Facts::default()
            };
            let package = Package { name: name.to_owned(), version: String::new(), file: String::new() };
            Some((name.to_owned(), (package, facts)))
        };
        text.lines().filter_map(parse).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let packages = packages(text);
        let found = components(&packages, &["libasked".to_owned()]);
        let describe = |component: &Component| {
            let members: Vec<_> = component.members.iter().map(|(package, _)| package.name.as_str()).collect();
            let depends: Vec<_> = component.depends.iter().map(|i| found[*i].leader).collect();
            let mark = if component.in_env { "+" } else { "" };
            format!("{mark}{}={} > {}", component.leader, members.join(" "), depends.join(" "))
        };
        assert_eq!(found.iter().map(describe).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_needed_comes_first() {
        check("b: a\na: libc6\nlibc6:", &["libc6=libc6 > ", "+a=a > libc6", "+b=b > a"]);
        check("libasked:\nlibx:\nlibx-perl:", &["+libasked=libasked > ", "libx=libx > ", "+libx-perl=libx-perl > "]);
    }

    #[test]
    fn alternatives_and_provided_names() {
        check("a: none|awk\nmawk: ; awk\nb: none", &["+mawk=mawk > ", "+a=a > mawk", "+b=b > "]);
    }

    #[test]
    fn cycles_are_joined() {
        check("a: b\nb: c\nc: a d\nd:", &["+d=d > ", "+a=a b c > d"]);
        check("libgcc: libc6\nlibc6: libgcc", &["libc6=libc6 libgcc > "]);
    }

    #[test]
    fn a_group_may_close_a_cycle() {
        check("perl: x\nx: perl-base\nperl-base:", &["+perl=perl perl-base x > "]);
    }

    #[test]
    fn interpreters_are_needed_unless_that_closes_a_cycle() {
        check("dash: ;;; bin/sh\nscript: ;; bin/sh", &["+dash=dash > ", "+script=script > dash"]);
        check("dash: script ;;; bin/sh\nscript: ;; bin/sh", &["+script=script > ", "+dash=dash > script"]);
    }
}
