//! Counts how often packages change by themselves, over images that follow each other, and writes that as a file of rates.
//!
//! A path that replaces another, by name, has changed; but most have for no reason of their own: what they refer to was
//! renamed. Rates say how often a path changes by itself. So a path counts if its name is another one, which means
//! another version, or if it has its name, and nothing that it refers to has replaced anything. Where references are not
//! known, as in plans and images, another name alone counts.
//!
//! What never changed may do so yet, and a rate of nothing would let a plan cut it anyhow: everything begins at
//! [`NEVER`].

use crate::rates::{MAX, ONE};
use crate::{Pattern, Plan, Rates};
use layerstone_closure::{Closure, Item, difference};
use layerstone_store::{Error, Output, Result, StorePath, read_input, write_text};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

/// The rate of what never changed, beside that of one change, in millionths: about the shape (0.074) of the gamma
/// distribution of rates that fits the updates of Debian 12's source packages best (a negative binomial of their
/// counts; `Rates::builtin`).
pub(crate) const NEVER: u64 = ONE / 16;
/// The pattern of everything.
const ALL: &str = "*";

/// The store paths of an image, and what each refers to as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents(BTreeMap<StorePath, Option<Vec<StorePath>>>);

impl From<&Closure> for Contents {
    fn from(closure: &Closure) -> Contents {
        Contents(closure.graph.iter().map(|info| (info.path.clone(), Some(info.references.clone()))).collect())
    }
}

impl From<&Plan> for Contents {
    fn from(plan: &Plan) -> Contents {
        Contents(plan.layers.iter().flatten().map(|path| (path.clone(), None)).collect())
    }
}

impl Contents {
    /// The same without the paths that are not among these.
    #[must_use]
    pub fn only(mut self, paths: &BTreeSet<&StorePath>) -> Contents {
        self.0.retain(|path, _| paths.contains(path));
        self
    }

    /// The same without the references.
    fn items(&self) -> Vec<Item> {
        self.0.keys().map(Item::of).collect()
    }
}

/// How often packages have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeCount {
    /// By pattern, in millionths; that of everything is among them.
    rates: BTreeMap<String, u64>,
}

impl Default for ChangeCount {
    fn default() -> ChangeCount {
        ChangeCount { rates: BTreeMap::from([(ALL.to_owned(), NEVER)]) }
    }
}

impl ChangeCount {
    /// Reads a file of rates to go on from.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or see [`ChangeCount::parse`].
    pub fn read(path: &Path) -> Result<ChangeCount> {
        ChangeCount::parse(&read_input(path)?, &path.display().to_string())
    }

    /// A file of rates in memory; `name` stands in messages.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn parse(bytes: &[u8], name: &str) -> Result<ChangeCount> {
        Ok(ChangeCount::of(&Rates::parse(bytes, name)?))
    }

    /// What [`Rates::builtin`](crate::Rates::builtin) has counted.
    pub fn builtin() -> ChangeCount {
        ChangeCount::of(&Rates::builtin())
    }

    /// What never changed begins as usual, unless the rates say something else.
    fn of(rates: &Rates) -> ChangeCount {
        let mut count = ChangeCount::default();
        count.rates.extend(rates.by_pattern().map(|(pattern, rate)| (pattern.to_string(), rate)));
        count
    }

    /// Counts what changed by itself from one image to the next one: each package at most once. Gives how many did.
    pub fn count(&mut self, old: &Contents, new: &Contents) -> usize {
        let changed = changed_packages(old, new);
        let first = self.rates.get(ALL).copied().unwrap_or(NEVER);
        for package in &changed {
            let rate = self.rates.entry(Pattern::literal(package).to_string()).or_insert(first);
            *rate = rate.saturating_add(ONE).min(MAX * ONE);
        }
        changed.len()
    }

    /// How many packages have changed.
    pub fn packages(&self) -> usize {
        self.rates.len() - usize::from(self.rates.contains_key(ALL))
    }

    /// Writes the file of rates into an output.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn fill(&self, output: &mut Output) -> Result<()> {
        let destination = output.destination().to_owned();
        output.write_all(self.text().as_bytes()).map_err(Error::io("write", &destination))
    }

    /// Writes the file of rates, whole or not at all; `-` is standard output.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_text(path, &self.text())
    }

    /// A line for each pattern, that of everything first: of several patterns the last one counts.
    fn text(&self) -> String {
        let first = self.rates.iter().filter(|(pattern, _)| *pattern == ALL);
        let others = self.rates.iter().filter(|(pattern, _)| *pattern != ALL);
        let rates: Map<String, Value> =
            first.chain(others).map(|(pattern, rate)| (pattern.clone(), (*rate as f64 / ONE as f64).into())).collect();
        serde_json::to_string_pretty(&rates).expect("texts and numbers are JSON") + "\n"
    }
}

/// The packages of paths that have replaced others for a reason of their own.
fn changed_packages<'a>(old: &Contents, new: &'a Contents) -> BTreeSet<&'a str> {
    let changes = difference(&old.items(), &new.items()).changed;
    let replacing: BTreeSet<&StorePath> = changes.iter().map(|change| &change.new.path).collect();
    let is_own = |old: &StorePath, new_path: &StorePath, references: &Option<Vec<StorePath>>| {
        old.name() != new_path.name()
            || references.as_ref().is_some_and(|references| {
                !references.iter().any(|other| other != new_path && replacing.contains(other))
            })
    };
    let own = changes.iter().filter_map(|change| {
        let (path, references) = new.0.get_key_value(&change.new.path)?;
        is_own(&change.old.path, path, references).then(|| path.package())
    });
    own.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    /// A closure of `NAME SIZE: REFERENCES`, in which `new_` marks what has another hash than before.
    fn contents(text: &str) -> Contents {
        let rename = |path: &StorePath| match path.name().strip_prefix("new_") {
            Some(name) => StorePath::parse(&format!("/nix/store/n-{name}")).unwrap(),
            None => path.clone(),
        };
        let mut closure = sample::closure(text);
        for info in &mut closure.graph {
            info.path = rename(&info.path);
            info.references = info.references.iter().map(rename).collect();
        }
        Contents::from(&closure)
    }

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        let (old, new) = (contents(old), contents(new));
        assert_eq!(changed_packages(&old, &new).into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_what_changed_by_itself_counts() {
        let old = "app 1: ssl-3.0; ssl-3.0 1: libc-2; libc-2 1:";
        check(old, old, &[]);
        check(old, "new_app 1: ssl-3.0; ssl-3.0 1: libc-2; libc-2 1:", &["app"]);
        check(old, "new_app 1: new_ssl-3.0; new_ssl-3.0 1: libc-2; libc-2 1:", &["ssl"]);
        check(old, "new_app 1: new_ssl-3.0; new_ssl-3.0 1: new_libc-2; new_libc-2 1:", &["libc"]);
        // Another version is a change of its own, whatever else there is.
        check(old, "new_app 1: new_ssl-3.1; new_ssl-3.1 1: new_libc-2.1; new_libc-2.1 1:", &["libc", "ssl"]);
        // What begins to use something has changed; what comes or goes has not.
        check(old, "new_app 1: ssl-3.0 more; ssl-3.0 1: libc-2; libc-2 1: ; more 1:", &["app"]);
        check(old, "new_app 1: libc-2; libc-2 1:", &["app"]);
    }

    #[test]
    fn without_references_versions_count() {
        let plan = |names: &[&str]| {
            let path = |name: &&str| StorePath::parse(&format!("/nix/store/{name}")).unwrap();
            Contents::from(&Plan::new(vec![names.iter().map(path).collect()]))
        };
        let (old, new) = (plan(&["a-app", "a-ssl-3.0", "a-libc-2"]), plan(&["b-app", "b-ssl-3.1", "a-libc-2"]));
        assert_eq!(changed_packages(&old, &new).into_iter().collect::<Vec<_>>(), ["ssl"]);
    }

    #[test]
    fn counts_go_on() {
        let (one, two) = (contents("a?b-1 1: ; libc-2 1:"), contents("a?b-2 1: ; libc-2 1:"));
        let mut count = ChangeCount::default();
        assert_eq!((count.count(&one, &two), count.count(&two, &one), count.count(&one, &one)), (1, 1, 0));
        let text = count.text();
        assert_eq!(text, "{\n  \"*\": 0.0625,\n  \"a[?]b\": 2.0625\n}\n");
        let mut again = ChangeCount::parse(text.as_bytes(), "r").unwrap();
        assert_eq!((again.packages(), &again), (1, &count));
        again.count(&one, &two);
        assert_eq!(again.rates["a[?]b"], 3 * ONE + NEVER);
        // What people wrote stays, and what is new begins where they say everything does.
        let mut own = ChangeCount::parse(br#"{"*": 2, "libc": 0.5}"#, "r").unwrap();
        own.count(&one, &two);
        assert_eq!(
            own.rates,
            BTreeMap::from([("*".into(), 2 * ONE), ("a[?]b".into(), 3 * ONE), ("libc".into(), ONE / 2)])
        );
    }
}
