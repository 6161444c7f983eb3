//! What does not land in code.

use super::Finding;
use super::source::Source;

/// The file that turns an exit into an XDP verdict.
const VERDICT: &str = "lb-ebpf/src/exit.rs";

/// A file of more lines than this is a question.
const LONG_FILE: usize = 400;

/// Macros that say that something is not done, or was looked at and forgotten.
pub fn unfinished(source: &Source) -> Vec<Finding> {
    let macros = ["todo", "unimplemented", "dbg"];
    let found = macros.iter().flat_map(|name| {
        let lines = source.find_tokens(&[name, "!"]).into_iter();
        lines.map(move |line| Finding::new(source.path, line, format!("`{name}!` does not land")))
    });
    found.collect()
}

/// A test that is ignored says why.
pub fn ignored_without_reason(source: &Source) -> Vec<Finding> {
    let message = "an ignored test needs a reason: `#[ignore = \"…\"]`";
    let lines = source.find_tokens(&["#", "[", "ignore", "]"]).into_iter();
    lines.map(|line| Finding::new(source.path, line, message)).collect()
}

/// Over an `unsafe` block stands a `// SAFETY:`.
pub fn unsafe_without_reason(source: &Source) -> Vec<Finding> {
    let text: Vec<&str> = source.text.lines().collect();
    let code: Vec<&str> = source.code.lines().collect();
    let message = "an `unsafe` block needs a `// SAFETY:` over it";
    let lines = source.find_tokens(&["unsafe", "{"]).into_iter();
    lines
        .filter(|line| !has_safety_comment(&text, &code, *line))
        .map(|line| Finding::new(source.path, line, message))
        .collect()
}

/// Looks at the line, and up through the statement it belongs to and the comment over that.
fn has_safety_comment(text: &[&str], code: &[&str], line: usize) -> bool {
    if text[line - 1].contains("// SAFETY:") {
        return true;
    }
    for at in (0..line - 1).rev() {
        let above = code[at].trim();
        if text[at].contains("// SAFETY:") {
            return true;
        }
        let is_comment = above.is_empty() && text[at].trim_start().starts_with("//");
        if !is_comment && (above.is_empty() || above.ends_with([';', '{', '}'])) {
            return false;
        }
    }
    false
}

/// The one match that turns an exit into a verdict has no `_` arm, so that a new exit cannot be forgotten there.
pub fn verdict_match(sources: &[Source]) -> Vec<Finding> {
    let Some(source) = sources.iter().find(|source| source.path == VERDICT) else {
        let message = "is missing; the match that turns an exit into a verdict belongs there";
        return vec![Finding::new(VERDICT, 1, message)];
    };
    let message = "the match that turns an exit into a verdict has no `_` arm";
    let lines = source.find_tokens(&["_", "=>"]).into_iter();
    lines.map(|line| Finding::new(VERDICT, line, message)).collect()
}

/// A long file: what are the two things in it?
pub fn long_file(source: &Source) -> Option<Finding> {
    let lines = source.text.lines().count();
    let message = format!("{lines} lines: what are the two things in it?");
    (lines > LONG_FILE).then(|| Finding::new(source.path, lines, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::TextFile;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn lines(rule: fn(&Source) -> Vec<Finding>, text: &str) -> Vec<usize> {
        let file = file("a.rs", text);
        let findings = rule(&Source::new(&file));
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unfinished_code() {
        let text = "fn f() {\n    todo!()\n}\nfn g() { dbg! (1); }\n// todo!()\nlet s = \"dbg!()\";";
        assert_eq!(lines(unfinished, text), [2, 4]);
        assert!(lines(unfinished, "my_todo!(); todo();").is_empty());
    }

    #[test]
    fn ignored_tests() {
        let text = "#[ignore]\nfn a() {}\n#[ignore = \"needs a NIC\"]\nfn b() {}";
        assert_eq!(lines(ignored_without_reason, text), [1]);
    }

    #[test]
    fn unsafe_blocks() {
        let rule = unsafe_without_reason;
        assert_eq!(lines(rule, "let a = unsafe { f() };"), [1]);
        assert_eq!(lines(rule, "// SAFETY: of g\ng();\nunsafe { f() };"), [3]);
        assert_eq!(lines(rule, "// SAFETY: far\n\nunsafe { f() };"), [3]);
        for fine in [
            "// SAFETY: f reads nothing.\nlet a = unsafe { f() };",
            "// SAFETY: f reads nothing,\n// nor does it write.\nlet a =\n    unsafe { f() };",
            "match a {\n    // SAFETY: checked\n    1 => unsafe { f() },\n}",
            "unsafe fn f() {}\nunsafe impl Pod for A {}",
        ] {
            assert!(lines(rule, fine).is_empty(), "{fine}");
        }
    }

    #[test]
    fn the_verdict_match() {
        let count = |text: &str| {
            let file = file(VERDICT, text);
            verdict_match(&[Source::new(&file)]).len()
        };
        assert_eq!(count("match exit { Exit::Pass => 2, _ => 1 }"), 1);
        assert_eq!(count("match exit { Exit::Pass => 2, Exit::Drop(_) => 1 }"), 0);
        assert_eq!(verdict_match(&[]).len(), 1);
    }

    #[test]
    fn long_files() {
        let text = "\n".repeat(LONG_FILE);
        assert!(long_file(&Source::new(&file("a.rs", &text))).is_none());
        let text = "\n".repeat(LONG_FILE + 1);
        assert!(long_file(&Source::new(&file("a.rs", &text))).is_some());
    }
}
