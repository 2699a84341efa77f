//! Reads the first block of a PEM text (RFC 7468). Does not know what is in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A block.
pub(crate) struct Pem {
    /// What it says it is: `PUBLIC KEY`.
    pub label: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many blocks the text has, this one included.
    pub blocks: usize,
}

impl Pem {
    /// The first block of a text; what stands before and behind it is ignored.
    pub fn parse(text: &[u8]) -> Result<Pem, String> {
        let text = std::str::from_utf8(text).map_err(|_| "found bytes that are no text, expected PEM".to_owned())?;
        let (_, rest) = text.split_once("-----BEGIN ").ok_or("found no -----BEGIN line, expected PEM")?;
        let (label, rest) = rest.split_once("-----").ok_or("found a -----BEGIN line without an end")?;
        if label.len() > 64 || !label.chars().all(|c| c.is_ascii_uppercase() || c == ' ' || c.is_ascii_digit()) {
            return Err(format!(
                "found the label {:?}, expected one of a key",
                label.chars().take(64).collect::<String>()
            ));
        }
        let end = format!("-----END {label}-----");
        let (body, after) = rest.split_once(&end).ok_or_else(|| format!("found no {end}"))?;
        let base64: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        // Its text may be a secret, and is not told.
        let bytes = STANDARD.decode(base64).map_err(|_| format!("{label}: found no base64"))?;
        Ok(Pem { label: label.to_owned(), bytes, blocks: 1 + after.matches("-----BEGIN ").count() })
    }

    /// What it is, for messages, with its article.
    pub fn what(&self) -> String {
        match &*self.label {
            "CERTIFICATE" => "a certificate".to_owned(),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => "a public key".to_owned(),
            label if label.ends_with("PRIVATE KEY") => format!("a private key ({label})"),
            label => label.to_owned(),
        }
    }
}
