//! Links of the documents.

use std::path::{Component, Path, PathBuf};

use super::{Finding, TextFile};

/// Every relative link of a Markdown file leads to something.
pub fn broken(file: &TextFile, exists: &dyn Fn(&Path) -> bool) -> Vec<Finding> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let dir = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let found = links(&file.text).into_iter().filter_map(|(line, link)| {
        let target = link.split('#').next().unwrap_or_default();
        let is_elsewhere = link.contains("://") || link.starts_with("mailto:");
        if target.is_empty() || is_elsewhere || exists(&normal(&dir.join(target))) {
            return None;
        }
        let message = format!("the link to {link} leads nowhere");
        Some(Finding::new(&file.path, line, message))
    });
    found.collect()
}

/// The targets of `[text](target)` and `[name]: target`, outside of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code || line.starts_with("    ") {
            continue;
        }
        // What stands between backticks is every second part.
        let prose: String = line.split('`').step_by(2).collect();
        let inline = prose.split("](").skip(1);
        let inline = inline.filter_map(|rest| rest.split([')', ' ']).next());
        let defined = prose
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
            .map(|(_, target)| target.trim());
        let targets = inline.chain(defined);
        links.extend(targets.map(|target| (number + 1, target.to_owned())));
    }
    links
}

/// The path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(path: &str, text: &str) -> Vec<String> {
        let file = TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let exists = |target: &Path| ["README.md", "docs/a.md"].contains(&target.to_string_lossy().as_ref());
        let findings = broken(&file, &exists);
        findings.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn links_resolve_from_where_they_stand() {
        assert!(targets("README.md", "[a](docs/a.md), [b](docs/a.md#part), [c](#d)").is_empty());
        assert!(targets("docs/a.md", "[up](../README.md) [on](https://example.com/x)").is_empty());
        assert_eq!(targets("README.md", "[a](docs/b.md)").len(), 1);
        assert_eq!(targets("docs/a.md", "[a](docs/a.md)").len(), 1);
        assert_eq!(targets("README.md", "[a]: docs/b.md").len(), 1);
    }

    #[test]
    fn code_has_no_links() {
        let text = "```\n[a](b)\n```\n    [c](d)\nand `[e](f)`";
        assert!(targets("README.md", text).is_empty());
    }
}
