//! `cargo xtask bench history`: three years of Debian's updates replayed over graphs of its packages, week by week, for
//! every strategy: what is pushed, what machines pull, and how a registry grows.
//!
//! The weeks are those of the table that `cargo xtask updates` makes. In each the paths of the packages that were updated
//! change, and with them all that use them; the binary plans the image anew; and what the layers weigh is computed here.
//! What is random comes from fixed seeds, so that two runs print the same.

mod fleet;
mod machine;
mod replay;
mod table;
mod timeline;
mod way;

use crate::bench::Place;
use crate::updates::Weeks;
use anyhow::{Result, ensure};
use rayon::prelude::*;
use replay::Totals;
use std::path::Path;
use timeline::Timeline;
use way::Way;

/// The graphs, as `xtask/history` has them.
const GRAPHS: [&str; 4] = ["web", "ds", "large", "desktop"];

/// Layers that images of the fleet may have.
const FLEET_LIMIT: usize = 40;

/// Replay three years of Debian's updates: bytes pushed and pulled by every strategy; tables in Markdown
#[derive(clap::Args)]
pub struct Options {
    /// How many layers there may be; may be given more than once
    #[arg(long, value_name = "N", default_values_t = [20, 40, 99])]
    limit: Vec<usize>,
    /// Only this graph; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = GRAPHS)]
    graph: Vec<String>,
    /// Weeks to replay, the last ones; rates are counted in those before
    #[arg(long, value_name = "N", default_value_t = 156)]
    weeks: usize,
    /// Images of the fleet, which are of the desktop's packages; 0 for none
    #[arg(long, value_name = "N", default_value_t = 50)]
    fleet: usize,
    #[command(flatten)]
    place: Place,
}

/// Replays the histories and prints the tables.
pub fn run(options: &Options) -> Result<()> {
    ensure!(options.limit.iter().all(|limit| *limit > 0), "--limit: found 0, expected 1 or more");
    options.place.run(|binary, work| run_in(options, binary, work))
}

fn run_in(options: &Options, binary: &Path, work: &Path) -> Result<()> {
    let weeks = Weeks::read()?;
    for name in GRAPHS.iter().filter(|name| options.graph.is_empty() || options.graph.iter().any(|only| only == *name))
    {
        eprintln!("{name}");
        let timeline = Timeline::new(crate::updates::graph(name)?, &weeks, options.weeks)?;
        let folder = work.join(name);
        timeline.write(binary, &folder)?;
        println!("{}", table::head(name, &timeline));
        println!("{}", table::of_lines(&lines(options, &timeline, binary, &folder)?));
    }
    if options.fleet > 0 {
        eprintln!("fleet");
        let fleet = fleet::Fleet::new(options.fleet, &weeks, options.weeks)?;
        println!("{}", fleet::table(&fleet, FLEET_LIMIT, binary, work)?);
    }
    print!("{}", table::legend(options.weeks));
    Ok(())
}

/// A way to plan at a limit, and what it came to; without a way a layer for each path.
struct Line {
    way: &'static str,
    limit: Option<usize>,
    totals: Totals,
}

fn lines(options: &Options, timeline: &Timeline, binary: &Path, folder: &Path) -> Result<Vec<Line>> {
    let jobs: Vec<(usize, &'static Way)> =
        options.limit.iter().flat_map(|&limit| way::ALL.iter().map(move |way| (limit, way))).collect();
    let run = |(number, (limit, way)): (usize, (usize, &'static Way))| {
        let order = way::Order { binary, limit, folder, own: &folder.join(number.to_string()) };
        let images = replay::images(timeline, |week, previous| way.plan(&order, week, previous))?;
        Ok(Line { way: way.name, limit: Some(limit), totals: replay::totals(timeline, &images) })
    };
    let mut lines = jobs.into_par_iter().enumerate().map(run).collect::<Result<Vec<_>>>()?;
    let images = replay::images(timeline, |week, _| Ok(timeline.one_path_a_layer(week)))?;
    lines.push(Line { way: "a layer for each path", limit: None, totals: replay::totals(timeline, &images) });
    Ok(lines)
}
