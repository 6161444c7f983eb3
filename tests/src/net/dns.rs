//! Name servers of which each knows its own name, and a client that asks for it: unbound and dig.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lb_lab::process::Process;
use lb_lab::{Netns, program};

/// Whose TXT record is the name of the server that answers.
const WHO: &str = "whoami.lb.test";

/// Whose TXT record fits into no datagram that a client takes, and is the same everywhere.
const HUGE: &str = "huge.lb.test";

/// Of how many texts the huge record is made, each as long as one can be.
const HUGE_TEXTS: usize = 15;
const TEXT_BYTES: usize = 255;

/// Skips the test it stands in where there is no server or no client.
#[macro_export]
macro_rules! needs_dns {
    () => {
        lb_lab::needs!(lb_lab::program::find("unbound").is_some(), "needs unbound");
        lb_lab::needs!(
            lb_lab::program::find("dig").is_some(),
            "needs dig (bind9-dnsutils)"
        );
    };
}

/// Starts a server in a namespace that answers at these addresses with `name`, over UDP and TCP. Its files go to `dir`.
pub fn serve(netns: &Netns, name: &str, addresses: &[SocketAddr], dir: &Path) -> Result<Process> {
    let unbound = program::find("unbound").context("unbound is not installed")?;
    // Where AppArmor is at work it lets the program at its usual place read its usual files and no others.
    let own = dir.join("unbound");
    // By another process: a file that is open for writing here is so, for an instant, in whatever another test starts meanwhile, and nobody may run it.
    program::output(Command::new("cp").args([&unbound, &own]))?;
    let config = dir.join("unbound.conf");
    std::fs::write(&config, configuration(name, addresses))?;
    let mut command = netns.command(own)?;
    command.arg("-d").arg("-c").arg(config).current_dir(dir);
    Process::spawn_listening(netns, command, addresses, &dir.join("unbound.log"), false)
        .with_context(|| format!("starting unbound on {name}"))
}

/// A zone of its own, and nothing that would have it ask others.
fn configuration(name: &str, addresses: &[SocketAddr]) -> String {
    let interfaces: String = addresses.iter().map(interface).collect();
    let huge = huge();
    format!(
        "server:
    do-daemonize: no
    username: \"\"
    chroot: \"\"
    directory: \"\"
    pidfile: \"\"
    use-syslog: no
    logfile: \"\"
{interfaces}    access-control: 0.0.0.0/0 allow
    access-control: ::/0 allow
    module-config: \"iterator\"
    local-zone: \"lb.test.\" static
    local-data: '{WHO}. TXT \"{name}\"'
    local-data: '{HUGE}. TXT {huge}'
remote-control:
    control-enable: no
"
    )
}

fn interface(address: &SocketAddr) -> String {
    format!("    interface: {}@{}\n", address.ip(), address.port())
}

/// The texts of the huge record, as a zone and dig write them.
fn huge() -> String {
    let text = |number: usize| format!("\"{}\"", format!("{number:05}").repeat(TEXT_BYTES / 5));
    (0..HUGE_TEXTS).map(text).collect::<Vec<_>>().join(" ")
}

/// Asks the server at an address, port 53, from a namespace. dig takes no answer from anybody else, and asks once.
pub struct Dig<'a> {
    pub netns: &'a Netns,
    pub server: IpAddr,
}

impl Dig<'_> {
    fn command(&self, words: &[&str]) -> Result<Command> {
        let dig = program::find("dig").context("dig is not installed")?;
        let mut command = self.netns.command(dig)?;
        // `-r`: whatever the user has set.
        command.args(["-r", "+tries=1", "+timeout=5"]);
        command.arg(format!("@{}", self.server)).args(words);
        Ok(command)
    }

    /// Asks who answers; the name.
    pub fn who(&self) -> Result<String> {
        let said = program::output(&mut self.command(&["+short", WHO, "TXT"])?)?;
        unquoted(said.trim()).with_context(|| format!("dig said: {said}"))
    }

    /// Asks who answers so many times, each time from another port, over UDP or with `+tcp`; the names, of which none is missing.
    /// `dir` is for the questions.
    pub fn who_many(&self, times: usize, words: &[&str], dir: &Path) -> Result<BTreeSet<String>> {
        let questions = dir.join("questions");
        std::fs::write(&questions, format!("{WHO} TXT\n").repeat(times))?;
        let mut command = self.command(&[words, &["+short", "-f"]].concat())?;
        let said = program::output(command.arg(&questions))?;
        let names = said.lines().map(|line| {
            let name = unquoted(line);
            name.with_context(|| format!("dig said: {line}"))
        });
        let names = names.collect::<Result<Vec<_>>>()?;
        ensure!(names.len() == times, "{} answers to {times} questions", names.len());
        Ok(names.into_iter().collect())
    }

    /// Asks over UDP for what fits into no datagram: the answer says so, and dig asks again over TCP.
    pub fn huge(&self) -> Result<()> {
        let said = program::output(&mut self.command(&["+noall", "+answer", "+stats", HUGE, "TXT"])?)?;
        ensure!(said.contains(&huge()), "the record came other than it is: {said}");
        let by = format!("SERVER: {server}#53({server}) (TCP)", server = self.server);
        ensure!(said.contains(&by), "not by `{by}`: {said}");
        Ok(())
    }
}

fn unquoted(line: &str) -> Option<String> {
    Some(line.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_what_is_served() {
        let addresses = ["10.2.0.11:5353", "[fd00::1]:53"].map(|address| address.parse().unwrap());
        let text = configuration("server-1", &addresses);
        assert!(text.contains("    interface: 10.2.0.11@5353\n    interface: fd00::1@53\n"));
        assert!(text.contains("local-data: 'whoami.lb.test. TXT \"server-1\"'\n"));
        assert!(huge().len() > 3000);
    }

    #[test]
    fn what_dig_says() {
        assert_eq!(unquoted("\"server-1\"").as_deref(), Some("server-1"));
        assert_eq!(unquoted(";; no servers could be reached"), None);
        assert_eq!(unquoted(""), None);
    }
}
