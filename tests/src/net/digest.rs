//! Digests of downloads, by other programs than ours: curl downloads, sha256sum of coreutils adds up.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use lb_lab::client::Client;
use lb_lab::pattern::Pattern;
use lb_lab::program;

/// SHA-256 of all that there is to read.
pub fn sha256(content: &mut impl Read) -> Result<String> {
    let mut command = Command::new("sha256sum");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run sha256sum")?;
    let mut input = child.stdin.take().context("sha256sum has no input")?;
    std::io::copy(content, &mut input).context("feeding sha256sum")?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "sha256sum: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let digest = text.split(' ').next().unwrap_or_default();
    ensure!(digest.len() == 64, "sha256sum wrote: {text}");
    Ok(digest.to_owned())
}

/// SHA-256 of what a server's `/big` holds when it is `bytes` long; the same `bytes` in all of a process.
pub fn of_pattern(bytes: u64) -> Result<&'static str> {
    static DIGEST: OnceLock<(u64, String)> = OnceLock::new();
    if DIGEST.get().is_none() {
        // Another test may have been faster; it came to the same.
        let _ = DIGEST.set((bytes, sha256(&mut Pattern::new(bytes))?));
    }
    let (of, digest) = DIGEST.get().context("it was just set")?;
    ensure!(*of == bytes, "digests of {of} and of {bytes} bytes in one process");
    Ok(digest)
}

/// Downloads with curl, at the client; SHA-256 of what arrived.
pub fn of_download(client: &Client, url: &str) -> Result<String> {
    let curl = program::find("curl").context("curl is not installed")?;
    let mut command = client.netns().command(curl)?;
    command.args(["--silent", "--show-error", "--fail", "--max-time", "120", url]);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run curl")?;
    let mut arriving = child.stdout.take().context("curl has no output")?;
    let digest = sha256(&mut arriving);
    let status = child.wait()?;
    ensure!(status.success(), "curl {url}: {status}");
    digest
}
