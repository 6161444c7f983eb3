//! What is refused: said in one line that names the remedy, with the code of its kind, and nothing changes.

use anyhow::{Context as _, Result, ensure};
use lb_lab::{Balancer, CliOutput};

use super::look;

/// A command that has to be refused.
pub struct Refused<'a> {
    /// Without the leading `lb`.
    pub words: &'a [&'a str],
    pub code: i32,
    /// What the line has to say: what is wrong, and what to do about it.
    pub says: &'a [&'a str],
}

impl Refused<'_> {
    /// Runs it against a daemon, whose desired state has to be as before.
    pub fn check(&self, balancer: &Balancer) -> Result<()> {
        let before = state(balancer)?;
        let output = balancer.lb(self.words)?;
        self.check_output(&output)?;
        let after = state(balancer)?;
        ensure!(before == after, "{}: changed\n{before:?}\nto\n{after:?}", self.shown());
        Ok(())
    }

    /// Whether what it said is what it has to say.
    pub fn check_output(&self, output: &CliOutput) -> Result<()> {
        let is = || -> Result<()> {
            ensure!(
                output.code == Some(self.code),
                "code {:?}, not {}",
                output.code,
                self.code
            );
            ensure!(output.stdout.is_empty(), "wrote to standard output: {}", output.stdout);
            one_line(&output.stderr, self.says)
        };
        is().with_context(|| format!("{}: stderr: {}", self.shown(), output.stderr))
    }

    fn shown(&self) -> String {
        format!("lb {}", self.words.join(" "))
    }
}

/// That a text is one line of an error that says all of `says`.
pub fn one_line(text: &str, says: &[&str]) -> Result<()> {
    let lines: Vec<&str> = text.lines().collect();
    ensure!(lines.len() == 1, "{} lines instead of one", lines.len());
    let rest = lines[0]
        .strip_prefix("error: ")
        .context("it does not begin with `error: `")?;
    ensure!(!rest.starts_with("error"), "`error` is said twice");
    for word in says {
        ensure!(rest.contains(word), "it does not say `{word}`");
    }
    Ok(())
}

/// The desired state, and its number.
pub fn state(balancer: &Balancer) -> Result<(String, u64)> {
    let revision = look::number(balancer, &["status"], "/revision")?;
    Ok((balancer.lb_ok(&["save"])?, revision))
}
