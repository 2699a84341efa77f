//! Writes SPDX 3.0.1 as JSON-LD: profiles core, software and, where licences are known, simpleLicensing.

use crate::format::{text, uuid_of};
use crate::{Base, Bill, Component, License, OsPackage, package_url};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The one creation info, a blank node.
const CREATION: &str = "_:creation";
/// What names begin with until the document's own name is known, which is made from the rest.
pub(crate) const PREFIX: &str = "https://spdx.org/spdxdocs/layerstone-";

/// The document.
pub(crate) fn document(bill: &Bill) -> Value {
    let graph =
        Graph { bill, prefix: PREFIX.to_owned() + &uuid_of(&text(&Graph { bill, prefix: String::new() }.document())) };
    graph.document()
}

/// The elements of a bill, whose names begin so.
struct Graph<'a> {
    bill: &'a Bill,
    prefix: String,
}

impl Graph<'_> {
    fn document(&self) -> Value {
        let base = self.bill.base.iter().flat_map(|base| {
            let packages = base.packages.iter().enumerate();
            [self.base_image(base)].into_iter().chain(packages.map(|(index, it)| self.os_package(index, it, base)))
        });
        let components = self.bill.components.iter().map(|component| self.component(component));
        let packages: Vec<Value> = [self.subject()].into_iter().chain(components).chain(base).collect();
        let relationships = self.relationships();
        let licenses = self.licenses();
        let elements: Vec<&Value> = [&packages, &relationships, &licenses]
            .into_iter()
            .flatten()
            .filter_map(|element| element.get("spdxId"))
            .collect();
        let mut profiles = vec!["core", "software"];
        if !licenses.is_empty() {
            profiles.push("simpleLicensing");
        }
        let head = json!([
            {
                "type": "CreationInfo",
                "@id": CREATION,
                "specVersion": "3.0.1",
                "created": self.bill.created,
                "createdBy": [self.id("agent")],
                "createdUsing": [self.id("tool")],
            },
            self.element("SoftwareAgent", "agent", &[("name", "layerstone".into())]),
            self.element("Tool", "tool", &[("name", format!("layerstone-{}", self.bill.tool_version).into())]),
            self.element("SpdxDocument", "document", &[
                ("name", self.bill.subject.name.as_str().into()),
                ("profileConformance", profiles.into()),
                ("rootElement", json!([self.id("sbom")])),
            ]),
            self.element("software_Sbom", "sbom", &[
                ("software_sbomType", json!(["build"])),
                ("rootElement", json!([self.id("subject")])),
                ("element", json!(elements)),
            ]),
        ]);
        let mut graph = match head {
            Value::Array(head) => head,
            other => vec![other],
        };
        graph.extend(self.suppliers());
        graph.extend(packages);
        graph.extend(licenses);
        graph.extend(relationships);
        json!({"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": graph})
    }

    fn id(&self, name: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
        format!("{}#{}", self.prefix, name.chars().map(plain).collect::<String>())
    }

    fn element(&self, kind: &str, name: &str, rest: &[(&str, Value)]) -> Value {
        let head = [("type", kind.into()), ("spdxId", self.id(name).into()), ("creationInfo", CREATION.into())];
        let pairs = head.into_iter().chain(rest.iter().cloned());
        Value::Object(Map::from_iter(pairs.map(|(key, value)| (key.to_owned(), value))))
    }

    fn package(&self, id: &str, name: &str, version: &str, purpose: &str) -> Value {
        let mut value = self.element("software_Package", id, &[("name", name.into())]);
        if !version.is_empty() {
            value["software_packageVersion"] = version.into();
        }
        value["software_primaryPurpose"] = purpose.into();
        value
    }

    fn subject(&self) -> Value {
        let subject = &self.bill.subject;
        let purpose = if subject.is_image { "container" } else { "application" };
        let mut value = self.package("subject", &subject.name, &subject.version().unwrap_or_default(), purpose);
        if let Some(url) = package_url::of_image(subject) {
            value["software_packageUrl"] = url.into();
        }
        if let Some(digest) = subject.identity() {
            value["verifiedUsing"] = json!([hash("sha256", &digest.hex())]);
        }
        value
    }

    fn component(&self, component: &Component) -> Value {
        let meta = component.meta.clone().unwrap_or_default();
        let mut value = self.package(component.path().base_name(), component.name(), component.version(), "library");
        value["software_packageUrl"] =
            meta.purl.clone().unwrap_or_else(|| package_url::of_store_path(component)).into();
        if let Some(homepage) = &meta.homepage {
            value["software_homePage"] = homepage.as_str().into();
        }
        if let Some(description) = &meta.description {
            value["description"] = description.as_str().into();
        }
        let sha256 = component.info.nar_hash.map(|it| hash("sha256", &it.digest().hex()));
        let sha512 = component.sha512.as_ref().map(|hex| hash("sha512", hex));
        let hashes: Vec<Value> = sha256.into_iter().chain(sha512).collect();
        if !hashes.is_empty() {
            value["verifiedUsing"] = hashes.into();
        }
        if !meta.cpes.is_empty() {
            let cpe = |cpe: &String| json!({"type": "ExternalIdentifier", "externalIdentifierType": "cpe23", "identifier": cpe});
            value["externalIdentifier"] = meta.cpes.iter().map(cpe).collect();
        }
        value["software_sourceInfo"] = component.path().as_str().into();
        if let Some(supplier) = self.bill.supplier_of(component) {
            value["suppliedBy"] = self.id(&supplier_id(supplier)).into();
        }
        let facts: Vec<String> = component.facts().iter().map(|(name, text)| format!("{name} {text}")).collect();
        if !facts.is_empty() {
            value["comment"] = facts.join("\n").into();
        }
        value
    }

    fn base_image(&self, base: &Base) -> Value {
        let mut value = self.package("base", base.told(), &base.version(), "container");
        if let Some(digest) = base.digest {
            value["verifiedUsing"] = json!([hash("sha256", &digest.hex())]);
        }
        value
    }

    fn os_package(&self, index: usize, package: &OsPackage, base: &Base) -> Value {
        let mut value = self.package(&os_id(index), &package.name, &package.version, "library");
        value["software_packageUrl"] = package_url::of_os_package(package, base.os.as_ref()).into();
        if let Some(source) = &package.source {
            value["software_sourceInfo"] = format!("built from source package {source}").into();
        }
        value
    }

    /// Of each package its references, in one relationship.
    fn relationships(&self) -> Vec<Value> {
        let mut list = Vec::new();
        let mut relate = |from: &str, kind: &str, to: Vec<String>| {
            if to.is_empty() {
                return;
            }
            list.push(self.element(
                "Relationship",
                &format!("{kind}-of-{from}"),
                &[
                    ("from", self.id(from).into()),
                    ("relationshipType", kind.into()),
                    ("to", to.into()),
                    ("completeness", "complete".into()),
                ],
            ));
        };
        let ids = |component: &Component| self.id(component.path().base_name());
        let base = self.bill.base.iter().map(|_| self.id("base"));
        relate("subject", "contains", self.bill.components.iter().map(ids).chain(base).collect());
        for component in &self.bill.components {
            let others = component.references().map(|path| self.id(path.base_name())).collect();
            relate(component.path().base_name(), "dependsOn", others);
        }
        for (license, paths) in self.licensed() {
            for path in paths {
                relate(path, "hasDeclaredLicense", vec![self.id(&license_id(&license))]);
            }
        }
        if let Some(base) = &self.bill.base {
            relate("subject", "descendantOf", vec![self.id("base")]);
            relate("base", "contains", (0..base.packages.len()).map(|index| self.id(&os_id(index))).collect());
        }
        list
    }

    /// Expressions of licences, and the paths that they hold for.
    fn licensed(&self) -> BTreeMap<String, Vec<&str>> {
        let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for component in &self.bill.components {
            let ids: Vec<String> =
                component.meta.iter().flat_map(|meta| &meta.licenses).map(License::expression).collect();
            if !ids.is_empty() {
                found.entry(ids.join(" AND ")).or_default().push(component.path().base_name());
            }
        }
        found
    }

    fn suppliers(&self) -> Vec<Value> {
        let of_paths = self.bill.components.iter().filter_map(|component| self.bill.supplier_of(component));
        let names: BTreeSet<&str> = of_paths.chain(self.bill.supplier.as_deref()).collect();
        let agent = |name: &str| self.element("Organization", &supplier_id(name), &[("name", name.into())]);
        names.into_iter().map(agent).collect()
    }

    fn licenses(&self) -> Vec<Value> {
        let expression = |text: &String| {
            self.element(
                "simplelicensing_LicenseExpression",
                &license_id(text),
                &[("simplelicensing_licenseExpression", text.as_str().into())],
            )
        };
        self.licensed().keys().map(expression).collect()
    }
}

fn supplier_id(name: &str) -> String {
    format!("supplier-{name}")
}

fn license_id(expression: &str) -> String {
    format!("license-{expression}")
}

fn os_id(index: usize) -> String {
    format!("os-{}", index + 1)
}

fn hash(algorithm: &str, hex: &str) -> Value {
    json!({"type": "Hash", "algorithm": algorithm, "hashValue": hex})
}
