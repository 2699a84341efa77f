//! Makes errors of refusals: answers with an error status (distribution-spec, "Error Codes").

use crate::Error;
use crate::client::answer::{Answer, body, header, read_within};
use crate::client::retry::parse_retry_after;
use crate::url::Url;
use serde::Deserialize;
use std::io::Read;
use std::time::{Duration, SystemTime};

/// Bytes of a refusal that are read.
const MAX_BODY: u64 = 16 << 10;
/// How long they may take.
const MAX_TIME: Duration = Duration::from_secs(5);
/// Characters of them that are shown.
const MAX_SHOWN: usize = 300;

/// The error for a refusal.
pub(crate) fn refused(what: &'static str, url: &Url, answer: Answer) -> Error {
    let (status, url) = (answer.status().as_u16(), url.to_string());
    let retry_after = header(&answer, "retry-after").and_then(|text| parse_retry_after(text, SystemTime::now()));
    let explanation = explanation(answer);
    match status {
        401 | 403 => Error::Unauthorized { url, cause: format!("found status {status}{explanation}") },
        status => Error::Status { what, url, status, explanation, retry_after },
    }
}

#[derive(Deserialize)]
struct Refusals {
    errors: Vec<Refusal>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Refusal {
    code: String,
    message: String,
}

/// The explanation of a registry (distribution-spec, "Error Codes"), with a colon before it.
pub(crate) fn explanation(answer: Answer) -> String {
    let Ok(reader) = body(answer, None) else { return String::new() };
    let Ok(bytes) = read_within(reader.take(MAX_BODY), MAX_BODY, MAX_TIME) else { return String::new() };
    let texts = match serde_json::from_slice::<Refusals>(&bytes) {
        Ok(refusals) => refusals.errors.into_iter().map(|it| format!("{} {}", it.code, it.message)).collect(),
        Err(_) => vec![String::from_utf8_lossy(&bytes).into_owned()],
    };
    let text = texts.join("; ");
    let text: String = text.trim().chars().take(MAX_SHOWN).collect();
    if text.is_empty() || text.starts_with('<') { String::new() } else { format!(": {}", text.escape_debug()) }
}
