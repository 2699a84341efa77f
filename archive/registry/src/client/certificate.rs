//! Reads the certificates of authorities that are trusted: the system's, nixpkgs', and those of a file that is named.

use crate::{Error, Options, Result};
use std::env;
use std::fs;
use std::path::Path;
use ureq::tls::{Certificate, PemItem, parse_pem};

/// The certificates of authorities that are trusted.
pub(crate) fn roots(options: &Options) -> Result<Vec<Certificate<'static>>> {
    // What cannot be read of the system's is passed over, as by others: a server that needs it is not trusted then.
    let mut system = rustls_native_certs::load_native_certs().certs;
    // What nixpkgs' programs read, and what Nix tells the builders of downloads.
    if let Some(file) = env::var_os("NIX_SSL_CERT_FILE") {
        system.extend(rustls_native_certs::load_certs_from_paths(Some(Path::new(&file)), None).certs);
    }
    let mut roots: Vec<Certificate<'static>> =
        system.iter().map(|certificate| Certificate::from_der(certificate.as_ref()).to_owned()).collect();
    let Some(path) = &options.ca else { return Ok(roots) };
    let wrong =
        |cause: String| Error::Setup { what: "cannot read certificates", name: path.display().to_string(), cause };
    let text = fs::read(path).map_err(|e| wrong(e.to_string()))?;
    let before = roots.len();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.map_err(|e| wrong(e.to_string()))? {
            roots.push(certificate);
        }
    }
    if roots.len() == before {
        return Err(wrong("found no certificate in PEM".to_owned()));
    }
    Ok(roots)
}
