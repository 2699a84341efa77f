//! Times on the command line: what image.json takes, and plain seconds.

use layerstone_oci::Time;

/// Reads a time; digits are seconds unless they are a date such as 20240501.
pub fn parse_time(text: &str) -> Result<Time, String> {
    let is_date = matches!(text.len(), 8 | 14) && text.bytes().all(|byte| byte.is_ascii_digit());
    let time = match text.parse::<i64>() {
        Ok(seconds) if !is_date => Time::from_seconds(seconds),
        _ => text.parse(),
    };
    time.map_err(|error| error.to_string())
}
