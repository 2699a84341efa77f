//! Writes SPDX 2.3: packages, relationships, and annotations for what the format has no field for.

use crate::{Base, Bill, Component, License, Meta, OsPackage, package_url};
use serde_json::{Value, json};

/// What is not known, or not said (SPDX 2.3, for instance 7.7).
const NO_ASSERTION: &str = "NOASSERTION";
/// The subject's identifier.
const SUBJECT: &str = "SPDXRef-subject";
/// The base's identifier.
const BASE: &str = "SPDXRef-base";

/// The document. Its namespace, which must be another one for each document, is to be made from the rest of it.
pub(crate) fn document(bill: &Bill) -> Value {
    let base = bill.base.iter().flat_map(|base| {
        let packages = base.packages.iter().enumerate();
        [base_image(base)].into_iter().chain(packages.map(|(index, package)| os_package(index, package, base)))
    });
    let packages = [subject(bill)].into_iter().chain(bill.components.iter().map(|it| component(it, bill))).chain(base);
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.subject.name,
        "documentNamespace": "",
        "creationInfo": {"created": bill.created, "creators": [tool(bill)]},
        "packages": packages.collect::<Vec<_>>(),
        "relationships": relationships(bill),
    });
    let licenses = own_licenses(bill);
    if !licenses.is_empty() {
        document["hasExtractedLicensingInfos"] = licenses.into();
    }
    document
}

fn tool(bill: &Bill) -> String {
    format!("Tool: layerstone-{}", bill.tool_version)
}

/// Letters, digits, dots and dashes (SPDX 2.3, 7.2); all that a path's name has besides becomes a dash, and its hash keeps
/// it apart from others.
fn id_of(component: &Component) -> String {
    id(component.path().base_name())
}

fn id(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' };
    format!("SPDXRef-{}", text.chars().map(plain).collect::<String>())
}

fn package(id: &str, name: &str, version: Option<&str>) -> Value {
    let mut value = json!({"SPDXID": id, "name": name});
    if let Some(version) = version.filter(|version| !version.is_empty()) {
        value["versionInfo"] = version.into();
    }
    value["supplier"] = NO_ASSERTION.into();
    value["downloadLocation"] = NO_ASSERTION.into();
    value["filesAnalyzed"] = false.into();
    value["licenseConcluded"] = NO_ASSERTION.into();
    value["licenseDeclared"] = NO_ASSERTION.into();
    value["copyrightText"] = NO_ASSERTION.into();
    value
}

fn supplier(name: Option<&str>) -> Value {
    name.map_or_else(|| NO_ASSERTION.to_owned(), |name| format!("Organization: {name}")).into()
}

fn url_reference(url: &str) -> Value {
    json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url})
}

fn subject(bill: &Bill) -> Value {
    let subject = &bill.subject;
    let mut value = package(SUBJECT, &subject.name, subject.version().as_deref());
    value["supplier"] = supplier(bill.supplier.as_deref());
    if let Some(digest) = subject.identity() {
        value["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": digest.hex()}]);
    }
    if let Some(url) = package_url::of_image(subject) {
        value["externalRefs"] = json!([url_reference(&url)]);
    }
    value["primaryPackagePurpose"] = if subject.is_image { "CONTAINER" } else { "APPLICATION" }.into();
    value
}

fn component(component: &Component, bill: &Bill) -> Value {
    let meta = component.meta.clone().unwrap_or_default();
    let mut value = package(&id_of(component), component.name(), Some(component.version()));
    value["supplier"] = supplier(bill.supplier_of(component));
    let sha256 =
        component.info.nar_hash.map(|hash| json!({"algorithm": "SHA256", "checksumValue": hash.digest().hex()}));
    let sha512 = component.sha512.as_ref().map(|hex| json!({"algorithm": "SHA512", "checksumValue": hex}));
    let checksums: Vec<Value> = sha256.into_iter().chain(sha512).collect();
    if !checksums.is_empty() {
        value["checksums"] = checksums.into();
    }
    if !meta.licenses.is_empty() {
        let ids = meta.licenses.iter().map(License::expression);
        value["licenseDeclared"] = ids.collect::<Vec<_>>().join(" AND ").into();
    }
    if let Some(homepage) = &meta.homepage {
        value["homepage"] = homepage.as_str().into();
    }
    if let Some(description) = &meta.description {
        value["summary"] = description.as_str().into();
    }
    value["sourceInfo"] = component.path().as_str().into();
    value["externalRefs"] = external_references(component, &meta);
    let facts = component.facts().into_iter().map(|(name, text)| format!("{name} {text}"));
    let notes = facts.chain(meta.patches.iter().map(|patch| format!("nix:patch {patch}")));
    let note = |comment: String| json!({"annotationDate": bill.created, "annotationType": "OTHER", "annotator": tool(bill), "comment": comment});
    let notes: Vec<Value> = notes.map(note).collect();
    if !notes.is_empty() {
        value["annotations"] = notes.into();
    }
    value
}

fn external_references(component: &Component, meta: &Meta) -> Value {
    let cpe =
        |cpe: &String| json!({"referenceCategory": "SECURITY", "referenceType": "cpe23Type", "referenceLocator": cpe});
    let urls = meta.purl.iter().cloned().chain([package_url::of_store_path(component)]);
    urls.map(|url| url_reference(&url)).chain(meta.cpes.iter().map(cpe)).collect()
}

/// Licences that SPDX' list has not: their names stand for their texts.
fn own_licenses(bill: &Bill) -> Vec<Value> {
    let licenses =
        bill.components.iter().filter_map(|component| component.meta.as_ref()).flat_map(|meta| &meta.licenses);
    let own = licenses.filter(|license| license.id().is_none());
    let named: std::collections::BTreeMap<String, &str> =
        own.map(|license| (license.expression(), license.told())).collect();
    named.into_iter().map(|(id, name)| json!({"licenseId": id, "name": name, "extractedText": name})).collect()
}

fn base_image(base: &Base) -> Value {
    let mut value = package(BASE, base.told(), Some(&base.version()));
    if let Some(digest) = base.digest {
        value["checksums"] = json!([{"algorithm": "SHA256", "checksumValue": digest.hex()}]);
    }
    value["primaryPackagePurpose"] = "CONTAINER".into();
    value
}

fn os_package_id(index: usize, package: &OsPackage) -> String {
    id(&format!("os-{}-{}", index + 1, package.name))
}

fn os_package(index: usize, package: &OsPackage, base: &Base) -> Value {
    let mut value = self::package(&os_package_id(index, package), &package.name, Some(&package.version));
    value["externalRefs"] = json!([url_reference(&package_url::of_os_package(package, base.os.as_ref()))]);
    if let Some(source) = &package.source {
        value["sourceInfo"] = format!("built from source package {source}").into();
    }
    value
}

fn relationships(bill: &Bill) -> Value {
    let relation = |from: &str, kind: &str, to: &str| json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to});
    let mut list = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", SUBJECT)];
    for component in &bill.components {
        list.push(relation(SUBJECT, "CONTAINS", &id_of(component)));
    }
    for component in &bill.components {
        let from = id_of(component);
        list.extend(component.references().map(|path| relation(&from, "DEPENDS_ON", &id(path.base_name()))));
    }
    if let Some(base) = &bill.base {
        list.extend(["CONTAINS", "DESCENDANT_OF"].map(|kind| relation(SUBJECT, kind, BASE)));
        let packages = base.packages.iter().enumerate();
        list.extend(packages.map(|(index, package)| relation(BASE, "CONTAINS", &os_package_id(index, package))));
    }
    list.into()
}
