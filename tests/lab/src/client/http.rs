//! One request.

use std::time::Duration;

use crate::amount;

/// The header in which a server of the lab says its name, as it does in the body of `/`.
pub const SERVER_HEADER: &str = "X-Server";

/// How long a request may take, if nobody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The same of one of many at once, where an emulated machine may be at something else for as long.
pub fn patience_under_load() -> Duration {
    amount(PATIENCE, 6 * PATIENCE)
}

/// Asks for `url`, which a server of the lab answers with its name, on a connection of its own.
///
/// What went wrong is a text to be shown and counted.
pub fn get(url: &str, patience: Duration) -> Result<String, String> {
    let mut response = agent(patience).get(url).call().map_err(|error| error.to_string())?;
    let status = response.status();
    if status != 200 {
        return Err(format!("HTTP status {status}"));
    }
    let server = response.headers().get(SERVER_HEADER);
    let server = server
        .and_then(|name| name.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let body = response
        .body_mut()
        .read_to_string()
        .map_err(|error| error.to_string())?;
    if server.is_empty() || body.trim_end() != server {
        return Err(format!("a strange answer: `{}` from `{server}`", body.trim_end()));
    }
    Ok(server)
}

/// Who sends a request over a connection of its own, and waits so long for the end of the answer.
pub(super) fn agent(patience: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(patience))
        .http_status_as_error(false)
        .max_idle_connections(0)
        .proxy(None)
        .build()
        .into()
}
