//! The house rules, as code.
//!
//! # Layout
//!
//! Each rule is a small function from what it looks at to findings, with its own tests:
//!
//! - [`source`]: a file of Rust, with its comments and literals blanked, and the paths it names
//! - [`layers`]: who may depend on whom
//! - [`hygiene`]: what does not land in code
//! - [`text`]: what does not land in any file
//! - [`links`]: links of the documents
//! - [`objects`]: what the compiled BPF programs must not hold

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;
use source::Source;

mod hygiene;
mod layers;
mod links;
pub mod objects;
mod source;
mod text;

/// Something that is against a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A file that is tracked, or would be.
pub struct TextFile {
    /// Relative to the root of the workspace.
    pub path: String,
    pub text: String,
}

/// What a look at the whole tree found.
pub struct Report {
    pub findings: Vec<Finding>,
    /// Worth a thought, but not wrong.
    pub questions: Vec<Finding>,
}

/// Looks at the whole tree.
pub fn look(root: &Path) -> Result<Report> {
    let files = tracked_files(root)?;
    let mut findings = Vec::new();
    for file in &files {
        findings.extend(text::registry_hosts(file));
        findings.extend(text::foreign_registries(file));
        findings.extend(text::paths_of_one_machine(file));
        findings.extend(text::long_decision(file));
        findings.extend(links::broken(file, &|target| root.join(target).exists()));
    }
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    let sources: Vec<Source> = rust.map(Source::new).collect();
    for source in &sources {
        findings.extend(layers::core_is_pure(source));
        findings.extend(layers::bpf_knows_no_userspace(source));
        findings.extend(layers::aya_in_its_place(source));
        findings.extend(hygiene::unfinished(source));
        findings.extend(hygiene::ignored_without_reason(source));
        findings.extend(hygiene::unsafe_without_reason(source));
    }
    findings.extend(hygiene::verdict_match(&sources));
    let questions = sources.iter().filter_map(hygiene::long_file).collect();
    Ok(Report { findings, questions })
}

/// Every text file that git tracks or would track.
fn tracked_files(root: &Path) -> Result<Vec<TextFile>> {
    let mut ls = Command::new("git");
    ls.args(["ls-files", "-z", "--cached", "--others"]);
    ls.arg("--exclude-standard").current_dir(root);
    let listed = shell::output(&mut ls).context("the house rules look at what git tracks")?;
    let mut files = Vec::new();
    for path in listed.split_terminator('\0') {
        // A file that was deleted but not yet committed is listed too; one that is not UTF-8 is not text.
        if let Ok(text) = std::fs::read_to_string(root.join(path)) {
            let path = path.to_owned();
            files.push(TextFile { path, text });
        }
    }
    Ok(files)
}
