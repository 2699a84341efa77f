//! The flags for whoever reads what others made: how much of it is read.

use clap::Args;
use layerstone_store::{LIMITS, Limit, Limits, parse_bytes};

/// How much is read.
#[derive(Args, Default)]
pub struct LimitArgs {
    /// Bytes that the image or a layer of it, and all layers together, may have when unpacked; files' holes may have as
    /// many [default: 100 times what is compressed, at least 1Gi]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_unpacked: Option<u64>,
    /// Raise a limit on input, such as members=5000000; errors name the limit
    #[arg(long, value_name = "NAME=NUMBER", value_parser = parse_limit)]
    limit: Vec<(Limit, u64)>,
    /// Those that the configuration sets, over which the flag's go
    #[arg(long, hide = true, value_name = "NAME=NUMBER", value_parser = parse_limit)]
    set_limit: Vec<(Limit, u64)>,
}

/// Reads the name of a limit and a number, which may be one of bytes.
fn parse_limit(text: &str) -> Result<(Limit, u64), String> {
    let names = || LIMITS.map(|row| row.name).join(", ");
    let (name, number) =
        text.split_once('=').ok_or_else(|| format!("expected NAME=NUMBER, NAME one of {}", names()))?;
    let limit = Limit::of_name(name).ok_or_else(|| format!("found {name:?}, expected one of {}", names()))?;
    Ok((limit, parse_bytes(number).map_err(|e| e.to_string())?))
}

impl LimitArgs {
    /// The limits that the flags set.
    pub fn limits(&self) -> Limits {
        let unpacked = self.max_unpacked.map(|bytes| (Limit::Unpacked, bytes));
        let given = self.set_limit.iter().copied().chain(unpacked).chain(self.limit.iter().copied());
        given.fold(Limits::default(), |limits, (limit, most)| limits.with(limit, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_name() {
        assert_eq!(parse_limit("members=5M"), Ok((Limit::Members, 5_000_000)));
        assert!(
            parse_limit("member=5").unwrap_err().starts_with("found \"member\", expected one of unpacked, ratio, ")
        );
        assert!(parse_limit("members").unwrap_err().starts_with("expected NAME=NUMBER, "));
        assert_eq!(parse_limit("members=x").unwrap_err(), "expected a number of bytes, such as 5000000, 5M or 5Mi");
    }

    #[test]
    fn the_last_one_counts() {
        let args = LimitArgs {
            max_unpacked: Some(5),
            limit: vec![(Limit::Name, 1), (Limit::Name, 2)],
            set_limit: vec![(Limit::Name, 3)],
        };
        let limits = args.limits();
        assert_eq!((limits.unpacked(Some(1)), limits.most(Limit::Name)), (5, 2));
    }
}
