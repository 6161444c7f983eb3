//! Debian's packages as files, by lists of our own, so that the system's apt configuration stays as it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::shell;

/// Lists of packages that no other apt knows of.
pub struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// Begins with empty lists of these suites, in a directory that is emptied first.
    pub fn new(dir: &Path, suites: &[&str]) -> Result<Self> {
        ensure!(
            shell::has_program("apt-get") && shell::has_program("dpkg-deb"),
            "no apt here"
        );
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        for part in ["sources.d", "lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(dir.join(part))?;
        }
        let mirrors = Mirrors::of_the_system()?;
        let stanzas: Vec<String> = suites.iter().map(|suite| mirrors.stanza(suite)).collect();
        std::fs::write(dir.join("sources.d/lb.sources"), stanzas.join("\n"))?;
        let dir = dir.to_owned();
        Ok(Self { dir })
    }

    /// Fetches the lists. Of several suites, those that are there are there after an error too.
    pub fn update(&self) -> Result<()> {
        shell::output(self.command("apt-get").args(["-qq", "update"])).map(drop)
    }

    /// The names of the packages that the regular expression matches.
    pub fn names(&self, expression: &str) -> Result<Vec<String>> {
        let search = ["search", "--names-only", expression];
        let found = shell::output(self.command("apt-cache").args(search))?;
        let names = found.lines().filter_map(|line| line.split(' ').next());
        Ok(names.map(str::to_owned).collect())
    }

    /// The versions of a package, as `apt-cache madison` lists them.
    pub fn madison(&self, package: &str) -> Result<String> {
        shell::output(self.command("apt-cache").args(["madison", package]))
    }

    /// Downloads a package, given by its name or by `name=version`; where it is.
    pub fn download(&self, package: &str) -> Result<PathBuf> {
        let into = self.dir.join("downloaded");
        if into.exists() {
            std::fs::remove_dir_all(&into)?;
        }
        std::fs::create_dir(&into)?;
        let mut download = self.command("apt-get");
        download.args(["-qq", "download", package]).current_dir(&into);
        shell::output(&mut download)?;
        let mut entries = std::fs::read_dir(&into)?;
        let first = entries.next().context("apt-get downloaded nothing")?;
        Ok(first?.path())
    }

    /// An apt program that knows of nothing but our directory.
    fn command(&self, name: &str) -> Command {
        let dir = self.dir.display();
        let mut command = Command::new(name);
        for option in [
            "Dir::Etc::sourcelist=/dev/null".to_owned(),
            format!("Dir::Etc::sourceparts={dir}/sources.d"),
            format!("Dir::State::lists={dir}/lists"),
            format!("Dir::Cache={dir}/cache"),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// Where the system gets its packages.
struct Mirrors {
    main: String,
    security: String,
}

impl Mirrors {
    fn of_the_system() -> Result<Self> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let texts = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"].map(read);
        let addresses: Vec<&str> = texts.iter().flat_map(|text| addresses(text)).collect();
        Self::among(&addresses).context("apt has no Debian mirror configured")
    }

    /// A mirror has the security suites beside the others, under a name that says so.
    fn among(addresses: &[&str]) -> Option<Self> {
        let is_security = |address: &&&str| address.contains("security");
        let main = *addresses.iter().find(|address| !is_security(address))?;
        let security = addresses.iter().find(is_security).map(|address| (*address).to_owned());
        Some(Self {
            main: main.to_owned(),
            security: security.unwrap_or_else(|| format!("{}-security", main.trim_end_matches('/'))),
        })
    }

    fn stanza(&self, suite: &str) -> String {
        let mirror = match suite.ends_with("-security") {
            true => &self.security,
            false => &self.main,
        };
        format!(
            "Types: deb\nURIs: {mirror}\nSuites: {suite}\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        )
    }
}

/// The addresses in apt's configuration, of either format.
fn addresses(text: &str) -> Vec<&str> {
    let lines = text
        .lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb ") && line.contains("debian"));
    lines
        .filter_map(|line| line.split_whitespace().find(|word| word.contains("://")))
        .collect()
}

/// Unpacks a package, or what `arguments` for tar leave of it.
pub fn unpack(package: &Path, into: &Path, arguments: &[&str]) -> Result<()> {
    let mut stream = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run dpkg-deb")?;
    let tar = stream.stdout.take().context("dpkg-deb has no output")?;
    let mut unpack = Command::new("tar");
    unpack.args(["-x", "--no-same-owner", "-C"]).arg(into);
    let unpacked = shell::run(unpack.args(arguments).stdin(tar));
    let status = stream.wait()?;
    unpacked?;
    ensure!(status.success(), "dpkg-deb failed: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCES: &str = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n\n\
                           Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\n";

    #[test]
    fn mirrors_of_either_format() {
        let list = "deb http://other.example/debian bookworm main\n# deb http://no.example/debian x\n\
                    deb https://packages.example/tool stable main\n";
        assert_eq!(addresses(list), ["http://other.example/debian"]);
        let mirrors = Mirrors::among(&addresses(SOURCES)).unwrap();
        assert_eq!(mirrors.main, "http://mirror.example/debian");
        assert_eq!(mirrors.security, "http://mirror.example/debian-security");
        let mirrors = Mirrors::among(&addresses(list)).unwrap();
        assert_eq!(mirrors.security, "http://other.example/debian-security");
        assert!(Mirrors::among(&[]).is_none());
    }

    #[test]
    fn a_security_suite_is_on_its_own_mirror() {
        let mirrors = Mirrors::among(&addresses(SOURCES)).unwrap();
        let stanza = mirrors.stanza("bullseye-security");
        assert!(stanza.contains("URIs: http://mirror.example/debian-security\nSuites: bullseye-security\n"));
        assert!(
            mirrors
                .stanza("trixie-backports")
                .contains("URIs: http://mirror.example/debian\n")
        );
    }
}
