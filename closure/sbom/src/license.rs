//! Licences, by the identifiers of SPDX' list or by name.

use serde::Deserialize;

/// The identifiers of SPDX' list of licences 3.29, deprecated ones too; exceptions are none, as they stand behind `WITH`.
/// CycloneDX takes no other ones as identifiers.
const IDS: &str = include_str!("license_ids.txt");

/// A licence.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct License {
    /// Its identifier in SPDX' list.
    pub spdx_id: Option<String>,
    /// What it is called; needed if it has no identifier.
    pub name: Option<String>,
}

impl License {
    /// The identifier as SPDX' list has it, in whatever case it is written (SPDX 2.3, annex D). None where the list has
    /// none: bills then have it as a name.
    pub fn id(&self) -> Option<&str> {
        let id = self.spdx_id.as_deref()?;
        IDS.lines().find(|known| known.eq_ignore_ascii_case(id))
    }

    /// What an SPDX expression calls it: the identifier of SPDX' list, or one of the document's own made of its name (SPDX
    /// 2.3, annex D).
    pub(crate) fn expression(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let own = || self.told().chars().map(plain).collect::<String>();
        self.id().map_or_else(|| format!("LicenseRef-{}", own()), str::to_owned)
    }

    /// What people call it.
    pub(crate) fn told(&self) -> &str {
        self.name.as_deref().or(self.spdx_id.as_deref()).unwrap_or("unknown")
    }

    /// Says what makes it no licence.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let is_empty = |text: &Option<String>| text.as_deref().is_some_and(|text| text.trim().is_empty());
        match self {
            License { spdx_id: None, name: None } => Err("found neither spdxId nor name, expected one".to_owned()),
            License { spdx_id, .. } if is_empty(spdx_id) => {
                Err("spdxId: found an empty string, expected an identifier of SPDX' list".to_owned())
            }
            License { name, .. } if is_empty(name) => Err("name: found an empty string, expected a name".to_owned()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the list has not is a name in every format: no expression, no exception, no word that looks like an identifier.
    #[test]
    fn identifiers() {
        for (spdx_id, id, expression) in [
            ("MIT", Some("MIT"), "MIT"),
            ("apache-2.0", Some("Apache-2.0"), "Apache-2.0"),
            ("GPL-2.0+", Some("GPL-2.0+"), "GPL-2.0+"),
            ("GPLv3", None, "LicenseRef-GPLv3"),
            ("LLVM-exception", None, "LicenseRef-LLVM-exception"),
            ("MIT OR (", None, "LicenseRef-MIT-OR--"),
            ("", None, "LicenseRef-"),
        ] {
            let license = License { spdx_id: Some(spdx_id.to_owned()), name: None };
            assert_eq!((license.id(), &*license.expression()), (id, expression), "{spdx_id}");
        }
    }
}
