//! What does not land in any file.

use super::{Finding, TextFile};

/// The hosts of package registries, written so that this file does not name them.
///
/// A project builds from whatever registry or mirror its user has configured.
const REGISTRIES: &[&[&str]] = &[
    &["crates", "io"],
    &["deb", "debian", "org"],
    &["archive", "ubuntu", "com"],
    &["pypi", "org"],
    &["pythonhosted", "org"],
    &["npmjs", "org"],
    &["proxy", "golang", "org"],
    &["docker", "io"],
    &["ghcr", "io"],
];

/// Directories that lead to somebody's own files.
const ONE_MACHINES: &[&str] = &["work", "root", "tmp", "home", "Users"];

/// A decision record is about a page.
const DECISION_LINES: usize = 80;

/// No file names a registry's host; the lock file does so by its format.
pub fn registry_hosts(file: &TextFile) -> Vec<Finding> {
    if file.path == "Cargo.lock" {
        return Vec::new();
    }
    let hosts: Vec<String> = REGISTRIES.iter().map(|parts| parts.join(".")).collect();
    each_line(file, |line| {
        let host = hosts.iter().find(|host| line.contains(host.as_str()))?;
        Some(format!("names a registry's host, {host}"))
    })
}

/// The lock file and cargo's configuration know no registry but cargo's own.
pub fn foreign_registries(file: &TextFile) -> Vec<Finding> {
    let host = REGISTRIES[0].join(".");
    let cargos_own = format!("\"registry+https://github.com/rust-lang/{host}-index\"");
    let foreign: fn(&str, &str) -> bool = match file.path.as_str() {
        "Cargo.lock" => |line, own| {
            let source = line.strip_prefix("source = ");
            source.is_some_and(|source| source != own)
        },
        ".cargo/config.toml" => |line, _| line.starts_with("[source") || line.contains("registry"),
        _ => return Vec::new(),
    };
    each_line(file, |line| {
        foreign(line, &cargos_own).then(|| "names a registry that is not cargo's own".to_owned())
    })
}

/// No file holds a path of one machine.
pub fn paths_of_one_machine(file: &TextFile) -> Vec<Finding> {
    each_line(file, |line| {
        let path = ONE_MACHINES.iter().find_map(|dir| path_below(line, dir))?;
        Some(format!("holds a path of one machine, {path}"))
    })
}

/// A path in `line` that leads through a directory of somebody's below `/dir/`.
fn path_below<'a>(line: &'a str, dir: &str) -> Option<&'a str> {
    let below = format!("/{dir}/");
    line.match_indices(&below).find_map(|(at, _)| {
        let before = line[..at].chars().next_back();
        let is_part_of_name = before.is_some_and(|c| c.is_alphanumeric() || "._-".contains(c));
        let rest = &line[at + below.len()..];
        let name = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
        let name = name.unwrap_or(rest.len());
        let is_directory = name > 0 && rest[name..].starts_with('/');
        let end = at + below.len() + name;
        (!is_part_of_name && is_directory).then(|| &line[at..end])
    })
}

/// A decision record is about a page.
pub fn long_decision(file: &TextFile) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if !file.path.starts_with("docs/decisions/") || lines <= DECISION_LINES {
        return Vec::new();
    }
    let message = format!("{lines} lines: a decision record is a page, {DECISION_LINES} at most");
    vec![Finding::new(&file.path, lines, message)]
}

fn each_line(file: &TextFile, rule: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let lines = file.text.lines().enumerate();
    lines
        .filter_map(|(n, line)| Some(Finding::new(&file.path, n + 1, rule(line)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rule: fn(&TextFile) -> Vec<Finding>, path: &str, text: &str) -> usize {
        rule(&TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        })
        .len()
    }

    #[test]
    fn hosts_of_registries() {
        let text = format!("see https://{}.{}/aya", "crates", "io");
        assert_eq!(count(registry_hosts, "README.md", &text), 1);
        assert_eq!(count(registry_hosts, "Cargo.lock", &text), 0);
        assert_eq!(count(registry_hosts, "README.md", "crates in a box"), 0);
    }

    #[test]
    fn registries_in_the_lock_file() {
        let host = REGISTRIES[0].join(".");
        let own = format!("source = \"registry+https://github.com/rust-lang/{host}-index\"");
        assert_eq!(count(foreign_registries, "Cargo.lock", &own), 0);
        let other = "source = \"registry+https://example.com/index\"";
        assert_eq!(count(foreign_registries, "Cargo.lock", other), 1);
        let config = "[source.mirror]\nregistry = \"https://example.com/index\"";
        assert_eq!(count(foreign_registries, ".cargo/config.toml", config), 2);
    }

    #[test]
    fn somebodys_paths() {
        let rule = paths_of_one_machine;
        for dir in ONE_MACHINES {
            let text = format!("cd /{dir}/someone/lb");
            assert_eq!(count(rule, "a.md", &text), 1, "{text}");
        }
        for fine in ["net/work/x/", "the /tmp/ directory", "/usr/local/bin/x", "/root/x"] {
            assert_eq!(count(rule, "a.md", fine), 0, "{fine}");
        }
    }

    #[test]
    fn decisions_are_a_page() {
        let long = "line\n".repeat(DECISION_LINES + 1);
        assert_eq!(count(long_decision, "docs/decisions/0001-a.md", &long), 1);
        assert_eq!(count(long_decision, "docs/operations.md", &long), 0);
        let page = "line\n".repeat(DECISION_LINES);
        assert_eq!(count(long_decision, "docs/decisions/0001-a.md", &page), 0);
    }
}
