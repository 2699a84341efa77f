//! Writes package URLs, by which databases of vulnerabilities find packages (package-url/purl-spec).

use crate::{Component, OsPackage, OsRelease, PackageSource, Subject};
use layerstone_closure::Package;
use std::fmt::Write as _;

/// That of a store path, in the form of syft: `pkg:nix/NAME@VERSION?drvpath=…&output=…&outputhash=…`. The type `nix` is not
/// settled (package-url/purl-spec#877).
pub(crate) fn of_store_path(component: &Component) -> String {
    let package = Package::of(component.path());
    let deriver = component.deriver.as_ref().map(|path| path.base_name());
    let qualifiers = [
        ("drvpath", deriver),
        ("output", Some(package.output).filter(|output| !output.is_empty())),
        ("outputhash", component.path().hash_part()),
    ];
    url("nix", &[package.name], package.version, &qualifiers)
}

/// That of an image: `pkg:oci/NAME@sha256:…?repository_url=…&tag=…`; none without a manifest, whose digest it has.
pub(crate) fn of_image(subject: &Subject) -> Option<String> {
    let version = subject.digest?.to_string();
    let name = subject.name.rsplit('/').next().unwrap_or_default().to_lowercase();
    let is_host = |host: &str| host.contains(['.', ':']) || host == "localhost";
    let has_host = subject.name.split_once('/').is_some_and(|(host, _)| is_host(host));
    let repository = Some(&*subject.name).filter(|_| has_host);
    Some(url("oci", &[&name], &version, &[("repository_url", repository), ("tag", subject.tag.as_deref())]))
}

/// That of a package of a distribution: `pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12`. The epoch of an RPM is a
/// qualifier (purl-spec, types/rpm).
pub(crate) fn of_os_package(package: &OsPackage, os: Option<&OsRelease>) -> String {
    let kind = match package.from {
        PackageSource::Dpkg => "deb",
        PackageSource::Apk => "apk",
        PackageSource::Rpm => "rpm",
    };
    let (epoch, version) = match package.version.split_once(':').filter(|_| package.from == PackageSource::Rpm) {
        Some((epoch, version)) => (Some(epoch), version),
        None => (None, &*package.version),
    };
    let namespace = match os.map_or(package.from.usual_system(), |os| &os.id) {
        "rhel" => "redhat",
        id => id,
    };
    let distribution = os.map(|os| format!("{}-{}", os.id, os.version)).filter(|text| !text.ends_with('-'));
    let architecture = Some(&*package.architecture).filter(|it| !it.is_empty());
    let qualifiers = [("arch", architecture), ("distro", distribution.as_deref()), ("epoch", epoch)];
    url(kind, &[namespace, &package.name], version, &qualifiers)
}

fn url(kind: &str, names: &[&str], version: &str, qualifiers: &[(&str, Option<&str>)]) -> String {
    let mut url = format!("pkg:{kind}");
    for name in names {
        url += "/";
        escape(&mut url, name);
    }
    if !version.is_empty() {
        url += "@";
        escape(&mut url, version);
    }
    let mut mark = '?';
    for (key, value) in qualifiers {
        if let Some(value) = value {
            let _ = write!(url, "{mark}{key}=");
            escape(&mut url, value);
            mark = '&';
        }
    }
    url
}

/// Everything is escaped but letters, digits, `.-_~` and the colon (purl-spec, "Character encoding").
fn escape(url: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => url.push(char::from(byte)),
            _ => {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_store::Digest;

    #[test]
    fn of_packages() {
        let os = OsRelease { id: "debian".to_owned(), version: "12".to_owned(), name: String::new() };
        let package = OsPackage {
            name: "libstdc++6".to_owned(),
            version: "1:12.2.0-14+deb12u1".to_owned(),
            architecture: "amd64".to_owned(),
            source: None,
            from: PackageSource::Dpkg,
        };
        assert_eq!(
            of_os_package(&package, Some(&os)),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12"
        );
        assert_eq!(
            of_os_package(&OsPackage { from: PackageSource::Apk, ..package.clone() }, None),
            "pkg:apk/alpine/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64"
        );
        let os = OsRelease { id: "rhel".to_owned(), version: "9.4".to_owned(), name: String::new() };
        assert_eq!(
            of_os_package(&OsPackage { from: PackageSource::Rpm, ..package }, Some(&os)),
            "pkg:rpm/redhat/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=rhel-9.4&epoch=1"
        );
    }

    #[test]
    fn of_images() {
        let digest = Digest::of(b"");
        let url = |name: &str, tag| of_image(&Subject::image(name, tag, Some(digest), digest)).unwrap();
        assert_eq!(of_image(&Subject::image("web", None, None, digest)), None);
        assert_eq!(
            url("registry.example:5000/team/Web", Some("1")),
            format!("pkg:oci/web@{digest}?repository_url=registry.example:5000%2Fteam%2FWeb&tag=1")
        );
        assert_eq!(url("web", None), format!("pkg:oci/web@{digest}"));
    }
}
