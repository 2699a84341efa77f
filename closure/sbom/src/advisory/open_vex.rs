//! Reads OpenVEX documents (openvex/spec, 0.2.0): whether products are affected by vulnerabilities.

use super::{Advisory, Versions, name_of_url};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Document {
    statements: Vec<Statement>,
}

#[derive(Deserialize)]
struct Statement {
    vulnerability: Vulnerability,
    #[serde(default)]
    products: Vec<Product>,
    status: String,
}

/// An object since version 0.2.0, a text before.
#[derive(Deserialize)]
#[serde(untagged)]
enum Vulnerability {
    Name(String),
    Object {
        name: String,
        #[serde(default)]
        description: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Product {
    Name(String),
    Object {
        #[serde(rename = "@id")]
        id: String,
    },
}

/// All statements about products that package URLs name.
pub(super) fn read(value: Value) -> Result<Vec<Advisory>, String> {
    let document: Document = serde_json::from_value(value).map_err(|e| format!("an OpenVEX document: {e}"))?;
    Ok(document.statements.iter().flat_map(Statement::advisories).collect())
}

impl Statement {
    fn advisories(&self) -> Vec<Advisory> {
        let (id, summary) = match &self.vulnerability {
            Vulnerability::Name(name) => (name, ""),
            Vulnerability::Object { name, description } => (name, &**description),
        };
        let names = self.products.iter().filter_map(|product| match product {
            Product::Name(url) | Product::Object { id: url } => name_of_url(url),
        });
        let advisory = |(name, distribution, version): (String, Option<String>, Option<String>)| Advisory {
            id: id.clone(),
            summary: summary.to_owned(),
            name,
            distribution,
            versions: match version {
                Some(version) => Versions::Some { listed: vec![version], ranges: Vec::new() },
                None => Versions::All,
            },
            is_affected: !matches!(&*self.status, "not_affected" | "fixed"),
        };
        names.map(advisory).collect()
    }
}
