//! One request.

use std::time::Duration;

/// The header in which a server of the lab says its name, as it does in the body of `/`.
pub const SERVER_HEADER: &str = "X-Server";

/// How long a request may take, if nobody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for `url`, which a server of the lab answers with its name, on a connection of its own.
///
/// What went wrong is a text to be shown and counted.
pub fn get(url: &str, patience: Duration) -> Result<String, String> {
    let request = minreq::get(url).with_timeout(patience.as_secs().max(1));
    let response = request.send().map_err(|error| error.to_string())?;
    if response.status_code != 200 {
        let (status, reason) = (response.status_code, &response.reason_phrase);
        return Err(format!("HTTP status {status} {reason}"));
    }
    let server = response.header(SERVER_HEADER).unwrap_or_default();
    let body = response.as_str().map_err(|error| error.to_string())?;
    if server.is_empty() || body.trim_end() != server {
        return Err(format!("a strange answer: `{}` from `{server}`", body.trim_end()));
    }
    Ok(server.to_owned())
}
