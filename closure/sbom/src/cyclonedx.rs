//! Writes CycloneDX 1.6 (ECMA-424): components, what they depend on, properties under the names that sbomnix uses.

use crate::{Base, Bill, Component, License, Meta, OsPackage, package_url};
use serde_json::{Map, Value, json};

/// The reference of the subject.
const SUBJECT: &str = "subject";
/// The reference of the base.
const BASE: &str = "base";

/// The document. Its serial number is to be made from the rest of it.
pub(crate) fn document(bill: &Bill) -> Value {
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": "",
        "version": 1,
        "metadata": {
            "timestamp": bill.created,
            "tools": {"components": [{"type": "application", "name": "layerstone", "version": bill.tool_version}]},
            "component": subject(bill),
        },
    });
    let base = bill.base.iter().flat_map(|base| {
        let packages = base.packages.iter().map(|package| os_package(package, base));
        [base_image(base)].into_iter().chain(packages)
    });
    document["components"] = bill.components.iter().map(|it| component(it, bill)).chain(base).collect();
    document["dependencies"] = dependencies(bill);
    document
}

fn subject(bill: &Bill) -> Value {
    let subject = &bill.subject;
    let mut value = json!({
        "type": if subject.is_image { "container" } else { "application" },
        "bom-ref": SUBJECT,
        "name": subject.name,
    });
    if let Some(version) = subject.version() {
        value["version"] = version.into();
    }
    if let Some(digest) = subject.identity() {
        value["hashes"] = json!([{"alg": "SHA-256", "content": digest.hex()}]);
    }
    if let Some(url) = package_url::of_image(subject) {
        value["purl"] = url.into();
    }
    if let Some(supplier) = &bill.supplier {
        value["supplier"] = json!({"name": supplier});
    }
    value
}

fn component(component: &Component, bill: &Bill) -> Value {
    let meta = component.meta.clone().unwrap_or_default();
    let mut value = json!({
        "type": "library",
        "bom-ref": component.path(),
        "name": component.name(),
    });
    if !component.version().is_empty() {
        value["version"] = component.version().into();
    }
    if let Some(supplier) = bill.supplier_of(component) {
        value["supplier"] = json!({"name": supplier});
    }
    if let Some(description) = &meta.description {
        value["description"] = description.as_str().into();
    }
    if let Some(hashes) = hashes(component) {
        value["hashes"] = hashes;
    }
    if !meta.licenses.is_empty() {
        value["licenses"] = meta.licenses.iter().map(license).collect();
    }
    if let Some(cpe) = meta.cpes.first() {
        value["cpe"] = cpe.as_str().into();
    }
    let own = package_url::of_store_path(component);
    value["purl"] = meta.purl.clone().unwrap_or_else(|| own.clone()).into();
    if !meta.patches.is_empty() {
        let patch = |patch: &String| json!({"type": "unofficial", "diff": {"url": patch}});
        value["pedigree"] = json!({"patches": meta.patches.iter().map(patch).collect::<Vec<_>>()});
    }
    if let Some(homepage) = &meta.homepage {
        value["externalReferences"] = json!([{"type": "website", "url": homepage}]);
    }
    value["properties"] = properties(component, &meta, &own);
    value
}

/// Of the path's NAR.
fn hashes(component: &Component) -> Option<Value> {
    let sha256 = component.info.nar_hash.map(|hash| json!({"alg": "SHA-256", "content": hash.digest().hex()}));
    let sha512 = component.sha512.as_ref().map(|hex| json!({"alg": "SHA-512", "content": hex}));
    let hashes: Vec<Value> = sha256.into_iter().chain(sha512).collect();
    (!hashes.is_empty()).then(|| hashes.into())
}

fn license(license: &License) -> Value {
    match license.id() {
        Some(id) => json!({"license": {"id": id}}),
        None => json!({"license": {"name": license.told()}}),
    }
}

fn properties(component: &Component, meta: &Meta, own_url: &str) -> Value {
    let mut list = vec![("nix:output_path", component.path().to_string())];
    list.extend(component.facts());
    list.extend(meta.cpes.iter().skip(1).map(|cpe| ("nix:cpe", cpe.clone())));
    list.extend(meta.purl.as_ref().map(|_| ("nix:purl", own_url.to_owned())));
    list.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

fn base_image(base: &Base) -> Value {
    let mut value = json!({
        "type": "container",
        "bom-ref": BASE,
        "name": base.told(),
    });
    let version = base.version();
    if !version.is_empty() {
        value["version"] = version.into();
    }
    if let Some(digest) = base.digest {
        value["hashes"] = json!([{"alg": "SHA-256", "content": digest.hex()}]);
    }
    if let Some(os) = base.os.as_ref().filter(|os| !os.name.is_empty()) {
        value["description"] = os.name.as_str().into();
    }
    value
}

fn os_package(package: &OsPackage, base: &Base) -> Value {
    let url = package_url::of_os_package(package, base.os.as_ref());
    let mut value = json!({
        "type": "library",
        "bom-ref": url,
        "name": package.name,
        "version": package.version,
        "purl": url,
    });
    if let Some(source) = &package.source {
        value["properties"] = json!([{"name": "os:source_package", "value": source}]);
    }
    value
}

fn dependencies(bill: &Bill) -> Value {
    let of = |reference: Value, others: Vec<Value>| {
        let mut entry = Map::from_iter([("ref".to_owned(), reference)]);
        if !others.is_empty() {
            entry.insert("dependsOn".to_owned(), others.into());
        }
        Value::Object(entry)
    };
    let roots = bill.subject.roots.iter().map(|path| json!(path));
    let subject = of(SUBJECT.into(), roots.chain(bill.base.iter().map(|_| BASE.into())).collect());
    let paths = bill
        .components
        .iter()
        .map(|component| of(json!(component.path()), component.references().map(|path| json!(path)).collect()));
    let base = bill.base.iter().map(|base| {
        let packages = base.packages.iter().map(|package| package_url::of_os_package(package, base.os.as_ref()).into());
        of(BASE.into(), packages.collect())
    });
    [subject].into_iter().chain(paths).chain(base).collect()
}
