//! `cargo xtask updates`: writes in which weeks Debian's source packages were updated, by the dates in their changelogs,
//! and the graphs over which `bench history` replays these weeks.
//!
//! The changelogs are those of the installed packages and of those that apt downloads, which need a machine with Debian's
//! sources and a network. What is written is in the project, so that nobody else needs them.

mod changelog;
mod changelogs;
mod source;

use crate::bench::layering::closure::Closure;
use crate::bench::layering::debian::Index;
use crate::{process, top};
use anyhow::{Context, Result, bail};
use changelogs::Changelogs;
use source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use xtask::stamp::PRESETS;

/// Day of the release from which updates count, in days since 1970: 2023-06-10.
const RELEASE: i64 = changelog::days(2023, 6, 10);
/// What stands before the suites that updates of that release go to, in changelogs.
const SUITES: [&str; 2] = ["bookworm", "stable"];
/// Packages whose closures are looked at besides the graphs: what images are often made of.
const OFTEN: &str = "apache2 bind9 caddy chromium containerd cups curl docker.io dovecot-core exim4-daemon-light ffmpeg \
                     firefox-esr ghostscript git golang-1.19-go haproxy imagemagick ldap-utils libvirt-daemon lighttpd \
                     mariadb-server memcached mosquitto nginx nodejs npm openjdk-17-jre openssh-server php-fpm podman \
                     postfix postgresql-15 python3-django python3-flask python3-numpy python3-requests qemu-system-x86 \
                     rabbitmq-server rails redis-server ruby rsync samba slapd squid sudo systemd tomcat10 varnish vim \
                     wget";
/// How many packages of a source are downloaded until one has a changelog.
const ATTEMPTS: usize = 4;
/// The desktop of `bench history`.
const DESKTOP: &str = "kde-full";
/// Where the graphs are.
pub const GRAPHS: &str = "xtask/history";
/// Where the weeks are.
pub const WEEKS: &str = "layering/data/debian-12.txt";

/// What to look at
#[derive(clap::Args)]
pub struct Options {
    /// Directory for the packages that apt downloads
    #[arg(long, value_name = "DIR", default_value = "target/updates")]
    work: PathBuf,
    /// Download nothing, and leave out what is neither installed nor there
    #[arg(long)]
    offline: bool,
    /// The day on which the table was made, which stands in it
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: String,
}

/// Writes the graphs and the weeks.
pub fn run(options: &Options) -> Result<()> {
    let index = Index::read()?;
    let packages = |names: &str| names.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let large = PRESETS.iter().find(|(name, _)| *name == "large").context("no preset large")?.1;
    let golden = |name: &str| Closure::read(&top().join("layering/golden").join(name).join("graph.json"));
    let graphs = [
        ("web", golden("web")?),
        ("ds", golden("ds")?),
        ("large", index.closure(&packages(large))?),
        ("desktop", index.closure(&packages(DESKTOP))?),
    ];
    let mut wanted: BTreeSet<String> = index.names(&packages(OFTEN))?;
    for (name, closure) in &graphs {
        closure.write_brief(&top().join(GRAPHS).join(format!("{name}.txt")))?;
        wanted.extend(closure.paths.iter().filter_map(|of| index.name_of(&of.path)));
    }
    let installed = process::output(Command::new("dpkg-query").args(["-W", "-f", "${Package}\n"]))?;
    wanted.extend(installed.lines().map(str::to_owned));
    let mut sources = source::of_packages(&wanted)?;
    fs::create_dir_all(&options.work).with_context(|| format!("cannot create: {}", options.work.display()))?;
    let changelogs = Changelogs::new(&options.work)?;
    for attempt in 0..if options.offline { 0 } else { ATTEMPTS } {
        changelogs.download(&sources, attempt)?;
    }
    let mut unread = Vec::new();
    for (name, source) in &mut sources {
        if !source.read(name, &changelogs)? {
            unread.push(name.clone());
        }
    }
    sources.retain(|name, _| !unread.contains(name));
    eprintln!("{} sources, and no changelog of these: {}", sources.len(), unread.join(" "));
    let file = top().join(WEEKS);
    fs::write(&file, text(&sources, &options.date)).with_context(|| format!("cannot write: {}", file.display()))
}

/// The table: a line for each source that was updated.
fn text(sources: &BTreeMap<String, Source>, date: &str) -> String {
    let mut text = format!(
        "# In which weeks since its release, 2023-06-10, Debian 12's source packages were updated, by the dates in their\n\
         # changelogs. Made on {date} by `cargo xtask updates` of {} source packages; those that are not here had no update.\n\
         # SOURCE [BINARY…]: WEEK…\n",
        sources.len()
    );
    for (name, source) in sources.iter().filter(|(_, source)| !source.weeks.is_empty()) {
        let words = std::iter::once(name).chain(source.packages.iter().filter(|package| *package != name));
        let weeks = source.weeks.iter().map(u32::to_string).collect::<Vec<_>>();
        text += &format!("{}: {}\n", words.cloned().collect::<Vec<_>>().join(" "), weeks.join(" "));
    }
    text
}

/// The weeks of updates, by binary package.
pub struct Weeks(BTreeMap<String, (String, Vec<u32>)>);

impl Weeks {
    /// Reads the table of the project.
    pub fn read() -> Result<Weeks> {
        let file = top().join(WEEKS);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read: {}", file.display()))?;
        Weeks::parse(&text).with_context(|| format!("no table of weeks: {}", file.display()))
    }

    pub fn parse(text: &str) -> Result<Weeks> {
        let mut weeks = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((names, numbers)) = line.split_once(": ") else { bail!("found {line:?}, expected NAMES: WEEKS") };
            let numbers: Vec<u32> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>()?;
            let source = names.split(' ').next().unwrap_or_default();
            for name in names.split(' ') {
                weeks.insert(name.to_owned(), (source.to_owned(), numbers.clone()));
            }
        }
        Ok(Weeks(weeks))
    }

    /// The last week with an update.
    pub fn end(&self) -> u32 {
        self.0.values().flat_map(|(_, weeks)| weeks).copied().max().unwrap_or(0)
    }

    /// The source of the package that a store path's name begins with, and its weeks: the longest name that does.
    pub fn of(&self, name: &str) -> Option<(&str, &[u32])> {
        let ends = name.char_indices().filter(|&(_, letter)| letter == '-').map(|(at, _)| at);
        let prefixes = ends.chain([name.len()]).collect::<Vec<_>>().into_iter().rev().map(|end| &name[..end]);
        let found = prefixes.filter_map(|prefix| self.0.get(prefix)).next()?;
        Some((&found.0, &found.1))
    }
}

/// The graph of this name.
pub fn graph(name: &str) -> Result<Closure> {
    Closure::read_brief(&top().join(GRAPHS).join(format!("{name}.txt")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_by_the_longest_name() {
        let weeks =
            Weeks::parse("# head\nopenssl libssl3: 1 20\npostgresql-15 postgresql-client-15 libpq5: 3\n").unwrap();
        assert_eq!(weeks.of("libssl3-3.0.11-1"), Some(("openssl", &[1, 20][..])));
        assert_eq!(weeks.of("postgresql-client-15-15.20-0").unwrap().0, "postgresql-15");
        assert_eq!((weeks.of("postgresql-client-common-248"), weeks.of("libssl-3")), (None, None));
        assert!(Weeks::parse("openssl 1 2").is_err() && Weeks::parse("openssl: x").is_err());
    }

    #[test]
    fn a_line_for_each_that_was_updated() {
        let source = |weeks: &[u32]| Source {
            packages: vec!["a".into(), "b".into()],
            weeks: weeks.to_vec(),
            ..Source::default()
        };
        let sources = BTreeMap::from([("a".to_owned(), source(&[2, 5])), ("c".to_owned(), source(&[]))]);
        let text = text(&sources, "2026-01-02");
        assert_eq!(text.lines().last(), Some("a b: 2 5"));
        assert!(text.contains("2026-01-02") && text.contains(" 2 source packages"));
    }

    /// The project's own table says something of every graph.
    #[test]
    fn the_table_of_the_project() {
        let weeks = Weeks::read().unwrap();
        for (name, least) in [("web", 20), ("ds", 40), ("large", 80), ("desktop", 200)] {
            let graph = graph(name).unwrap();
            let updated = graph.paths.iter().filter(|of| weeks.of(of.name()).is_some()).count();
            assert!(updated >= least, "{name}: {updated} of {}", graph.paths.len());
        }
    }
}
