//! The flag that says how often paths change.

use anyhow::Result;
use clap::Args;
use layerstone_layering::Rates;
use std::path::{Path, PathBuf};

/// How often paths change.
#[derive(Args, Default)]
pub struct RatesArgs {
    /// How often paths change, for least-churn: a JSON object of name patterns and numbers, or builtin for those of Debian's
    /// packages [default: 1 each]
    #[arg(long, value_name = "RATES.JSON|builtin")]
    rates: Option<PathBuf>,
}

impl RatesArgs {
    /// What the flag says.
    pub fn rates(&self) -> Result<Option<Rates>> {
        Ok(self.rates.as_deref().map(Rates::read).transpose()?)
    }

    /// The file that is read.
    pub fn file(&self) -> Option<&Path> {
        self.rates.as_deref().filter(|path| path.as_os_str() != Rates::BUILTIN)
    }

    /// Whether it is given.
    pub fn is_given(&self) -> bool {
        self.rates.is_some()
    }
}
