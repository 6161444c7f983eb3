//! The servers: nginx where it is installed, else a small one of our own that answers the same.
//!
//! `/` answers with the server's name, in the body and in a header; `/healthz` with `ok`, or with 503 while the server is
//! told to be sick; `/big` with the pattern.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::client::http::SERVER_HEADER;
use crate::netns::Netns;
use crate::pattern::Pattern;
use crate::process::Process;
use crate::program;

/// While a file of this name is in a server's directory, its `/healthz` answers with 503.
pub const SICK: &str = "sick";

/// Which program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// Debian's nginx.
    Nginx,
    /// `lab-httpd` of this crate.
    Embedded,
}

impl ServerKind {
    /// nginx where it is installed.
    pub fn best() -> Self {
        match program::find("nginx") {
            Some(_) => Self::Nginx,
            None => Self::Embedded,
        }
    }
}

/// What a server serves.
#[derive(Debug, Clone)]
pub struct Content {
    /// The ports it listens on.
    pub ports: Vec<u16>,
    /// How long `/big` is.
    pub big_bytes: u64,
    /// How fast `/big` is sent at most.
    pub bytes_per_s: Option<u64>,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            ports: vec![80, 8080],
            big_bytes: 16 << 20,
            bytes_per_s: None,
        }
    }
}

/// A host that serves HTTP.
pub struct Server {
    process: Option<Process>,
    name: String,
    address: Ipv4Addr,
    netns: Netns,
    kind: ServerKind,
    content: Content,
    dir: PathBuf,
    is_kept: bool,
}

impl Server {
    pub(crate) fn new(
        (name, address, netns): (&str, Ipv4Addr, Netns),
        kind: ServerKind,
        content: &Content,
        (lab, is_kept): (&Path, bool),
    ) -> Result<Self> {
        let dir = lab.join(name);
        std::fs::create_dir(&dir)?;
        let (process, name, content) = (None, name.to_owned(), content.clone());
        Ok(Self {
            process,
            name,
            address,
            netns,
            kind,
            content,
            dir,
            is_kept,
        })
    }

    /// `server-1`; also what it answers with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Starts it and waits until it answers on all its ports.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs already", self.name);
        let command = match self.kind {
            ServerKind::Nginx => self.nginx()?,
            ServerKind::Embedded => self.embedded()?,
        };
        let ports = self.content.ports.iter();
        let addresses: Vec<_> = ports
            .map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), *port))
            .collect();
        let started = Process::spawn_listening(&self.netns, command, &addresses, &self.log(), self.is_kept);
        self.process = Some(started.with_context(|| format!("starting {}", self.name))?);
        Ok(())
    }

    /// Its process id, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Kills it with SIGKILL.
    pub fn kill9(&mut self) -> Result<()> {
        let process = self.process.take();
        let mut process = process.with_context(|| format!("{} does not run", self.name))?;
        process.kill9()
    }

    /// From now on `/healthz` answers with 503, or again with 200. All else goes on.
    pub fn be_sick(&self, is_sick: bool) -> Result<()> {
        let file = self.dir.join(SICK);
        let done = match is_sick {
            true => std::fs::write(&file, ""),
            false => std::fs::remove_file(&file),
        };
        done.with_context(|| format!("cannot change {}", file.display()))
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn nginx(&self) -> Result<Command> {
        let nginx = program::find("nginx").context("nginx is not installed")?;
        let config = self.dir.join("nginx.conf");
        let big = big_file(&self.dir, self.content.big_bytes)?;
        let text = nginx_config(&self.name, &self.content, &self.dir, &big);
        std::fs::write(&config, text)?;
        let mut command = self.netns.command(nginx)?;
        command.arg("-e").arg(self.log());
        command.arg("-p").arg(&self.dir).arg("-c").arg(config);
        Ok(command)
    }

    fn embedded(&self) -> Result<Command> {
        let mut command = self.netns.command(program::built("lab-httpd")?)?;
        let rate = self.content.bytes_per_s.unwrap_or(0);
        command.current_dir(&self.dir).arg(&self.name);
        command.args([self.content.big_bytes, rate].map(|number| number.to_string()));
        command.args(self.content.ports.iter().map(u16::to_string));
        Ok(command)
    }
}

/// The content of `/big`, made once and shared by the servers of a lab.
fn big_file(server: &Path, bytes: u64) -> Result<PathBuf> {
    let lab = server.parent().context("a server has a lab")?;
    let big = lab.join("big");
    if !big.exists() {
        let mut file = File::create(&big)?;
        std::io::copy(&mut Pattern::new(bytes), &mut file).context("writing the content of /big")?;
    }
    Ok(big)
}

/// One process, so that a kill kills all of it, and connections that may stay open for as long as a test likes.
fn nginx_config(name: &str, content: &Content, dir: &Path, big: &Path) -> String {
    let listen: String = content
        .ports
        .iter()
        .map(|port| format!("listen 0.0.0.0:{port} backlog=4096; listen [::]:{port} backlog=4096; "))
        .collect();
    let rate = content
        .bytes_per_s
        .map(|rate| format!("limit_rate {rate};"))
        .unwrap_or_default();
    let (dir, big) = (dir.display(), big.display());
    format!(
        "daemon off;
master_process off;
pid {dir}/pid;
error_log {dir}/log warn;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    default_type text/plain;
    keepalive_timeout 3600;
    keepalive_requests 1000000000;
    reset_timedout_connection on;
    server {{
        {listen}
        add_header {SERVER_HEADER} {name} always;
        location = / {{ return 200 \"{name}\\n\"; }}
        location = /healthz {{
            if (-f {dir}/{SICK}) {{ return 503; }}
            return 200 \"ok\\n\";
        }}
        location = /big {{ alias {big}; {rate} }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_what_is_served() {
        let content = Content {
            ports: vec![80, 8080],
            bytes_per_s: Some(1000),
            ..Content::default()
        };
        let text = nginx_config("server-1", &content, Path::new("/d"), Path::new("/d/big"));
        assert!(text.contains("listen 0.0.0.0:80 backlog=4096; listen [::]:80 backlog=4096; listen 0.0.0.0:8080"));
        assert!(text.contains("add_header X-Server server-1 always;"));
        assert!(text.contains("limit_rate 1000;"));
        assert!(text.contains("return 200 \"server-1\\n\";"));
    }
}
