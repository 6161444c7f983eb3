//! Exit codes, in one place, and the lines that an error becomes.

use std::io;

use crate::edge::client::ClientError;

/// Done as asked.
pub const DONE: u8 = 0;
/// Refused, or failed.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// No daemon at the socket.
pub const NOT_REACHABLE: u8 = 3;
/// A wait or a deadline ran out.
pub const DEADLINE: u8 = 4;

/// HTTP status of an answer that did not come in the time that was given.
const GATEWAY_TIMEOUT: u16 = 504;

/// The command line is wrong in a way that its parser does not see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// A document is wrong; the text shows each finding at its place, and is printed as it is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongDocument(pub String);

/// The code that an error ends the process with.
pub fn code(error: &anyhow::Error) -> u8 {
    if error.is::<UsageError>() {
        return USAGE;
    }
    if output_is_gone(error) {
        return DONE;
    }
    match error.downcast_ref() {
        Some(ClientError::NotReachable { .. }) => NOT_REACHABLE,
        Some(ClientError::Silent { .. }) => DEADLINE,
        Some(ClientError::Refused(problem)) if problem.status == GATEWAY_TIMEOUT => DEADLINE,
        _ => FAILED,
    }
}

/// What to print of an error: a line, or a line for each finding.
pub fn text(error: &anyhow::Error) -> String {
    if output_is_gone(error) {
        return String::new();
    }
    if let Some(WrongDocument(text)) = error.downcast_ref() {
        return text.clone();
    }
    match error.downcast_ref() {
        Some(ClientError::Refused(problem)) if !problem.findings.is_empty() => problem
            .findings
            .iter()
            .map(|finding| format!("error: {finding}\n"))
            .collect(),
        _ => format!("error: {error:#}\n"),
    }
}

/// Whoever read the output has closed it, as `head` does: nobody is left to tell, and nothing is wrong.
fn output_is_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::view::Problem;

    #[test]
    fn each_kind_of_error_has_its_code() {
        let refused = |problem| anyhow::Error::from(ClientError::Refused(problem));
        assert_eq!(code(&anyhow::anyhow!("no such file")), FAILED);
        assert_eq!(code(&UsageError("nothing to set".to_owned()).into()), USAGE);
        assert_eq!(code(&refused(Problem::invalid("port 0"))), FAILED);
        assert_eq!(code(&refused(Problem::deadline("too late"))), DEADLINE);
        assert_eq!(code(&io::Error::from(io::ErrorKind::BrokenPipe).into()), DONE);
        let cause = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(
            code(
                &ClientError::NotReachable {
                    socket: "/run/lb.sock".into(),
                    cause
                }
                .into()
            ),
            NOT_REACHABLE
        );
    }

    #[test]
    fn all_findings_are_said() {
        let problem = |findings: &[&str]| {
            let findings = findings.iter().map(|finding| (*finding).to_owned()).collect();
            text(&ClientError::Refused(Problem::invalid("port 0 (and more)").with_findings(findings)).into())
        };
        assert_eq!(problem(&[]), "error: port 0 (and more)\n");
        assert_eq!(problem(&["port 0", "no name"]), "error: port 0\nerror: no name\n");
    }
}
