//! The flags that say which time and owner the entries of a layer get.

use crate::args::time::parse_time;
use anyhow::Result;
use clap::Args;
use layerstone_oci::Time;
use layerstone_spec::Spec;
use layerstone_tar::Owner;
use std::path::PathBuf;

/// Time and owner of a layer's entries.
#[derive(Args, Clone)]
#[command(next_help_heading = "Time and owner of the files")]
pub struct StampArgs {
    /// Image spec to take them from
    #[arg(long, value_name = "IMAGE.JSON")]
    pub spec: Option<PathBuf>,
    /// Modification time: a date with a time and a zone or without, @SECONDS, or now [default: 1970-01-01T00:00:01Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    mtime: Option<Time>,
    #[command(flatten)]
    pub owner: OwnerArgs,
}

/// Owner of a store layer's entries.
#[derive(Args, Clone)]
pub struct OwnerArgs {
    /// User id [default: 0]
    #[arg(long, value_name = "N")]
    uid: Option<u32>,
    /// Group id [default: 0]
    #[arg(long, value_name = "N")]
    gid: Option<u32>,
    /// User name [default: root]
    #[arg(long, value_name = "NAME")]
    uname: Option<String>,
    /// Group name [default: root]
    #[arg(long, value_name = "NAME")]
    gname: Option<String>,
}

impl StampArgs {
    /// Modification time and owner: flags first, then the spec, then the defaults.
    pub fn resolve(&self, spec: Option<&Spec>) -> Result<(i64, Owner)> {
        let mtime = self.mtime.or(spec.map(|spec| spec.mtime)).unwrap_or(Time::one_second()).seconds()?;
        Ok((mtime, self.owner.over(spec.map_or_else(Owner::root, |spec| spec.owner.clone()))))
    }

    /// The spec, if one is given.
    pub fn read_spec(&self) -> Result<Option<Spec>> {
        Ok(self.spec.as_deref().map(Spec::read).transpose()?)
    }
}

impl OwnerArgs {
    /// Whether a name is given, not a number alone.
    pub fn has_names(&self) -> bool {
        self.uname.is_some() || self.gname.is_some()
    }

    /// What the flags say, the rest from `default`.
    pub fn over(&self, default: Owner) -> Owner {
        Owner {
            uid: self.uid.unwrap_or(default.uid),
            gid: self.gid.unwrap_or(default.gid),
            uname: self.uname.clone().unwrap_or(default.uname),
            gname: self.gname.clone().unwrap_or(default.gname),
        }
    }
}
