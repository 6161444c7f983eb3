//! A file of Rust, as far as the rules need to understand it.

use super::TextFile;

/// A file of Rust.
pub struct Source<'a> {
    pub path: &'a str,
    pub text: &'a str,
    /// The text with comments and the insides of literals blanked, line for line.
    pub code: String,
}

/// A path such as `std::fs::read`, groups of a `use` written out.
#[derive(Debug, PartialEq, Eq)]
pub struct RustPath {
    pub line: usize,
    pub segments: Vec<String>,
}

impl<'a> Source<'a> {
    pub fn new(file: &'a TextFile) -> Self {
        Self {
            path: &file.path,
            text: &file.text,
            code: code_only(&file.text),
        }
    }

    /// Every path that the code names; a lone name is a path of one segment.
    pub fn paths(&self) -> Vec<RustPath> {
        let tokens = tokens(&self.code);
        let mut paths = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            at = read_path(&tokens, at, &[], &mut paths).max(at + 1);
        }
        paths
    }

    /// Whether the code holds this sequence of tokens, and where.
    pub fn find_tokens(&self, wanted: &[&str]) -> Vec<usize> {
        let tokens = tokens(&self.code);
        tokens
            .windows(wanted.len())
            .filter(|window| window.iter().zip(wanted).all(|(have, want)| have.text == *want))
            .map(|window| window[0].line)
            .collect()
    }
}

struct Token {
    line: usize,
    text: String,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Names, `::`, `=>`, and every other character that is not white.
fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                let end = |c: char| !(c.is_alphanumeric() || c == '_');
                rest.find(end).unwrap_or(rest.len())
            } else if rest.starts_with("::") || rest.starts_with("=>") {
                2
            } else {
                first.len_utf8()
            };
            let (text, after) = rest.split_at(length);
            let text = text.to_owned();
            tokens.push(Token { line: number + 1, text });
            rest = after.trim_start();
        }
    }
    tokens
}

/// Reads a path that starts at token `at`, under the segments of the group it stands in, and returns what follows it.
fn read_path(tokens: &[Token], at: usize, under: &[String], paths: &mut Vec<RustPath>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut at = if text(at) == "::" { at + 1 } else { at };
    let Some(first) = tokens.get(at).filter(|token| token.is_name()) else {
        return at;
    };
    let mut segments = under.to_vec();
    segments.push(first.text.clone());
    at += 1;
    while text(at) == "::" {
        match tokens.get(at + 1) {
            Some(next) if next.is_name() || next.text == "*" => segments.push(next.text.clone()),
            Some(next) if next.text == "{" => return read_group(tokens, at + 2, &segments, paths),
            _ => break,
        }
        at += 2;
    }
    let line = first.line;
    paths.push(RustPath { line, segments });
    at
}

/// Reads `a, b::c as d, e}` of a use.
fn read_group(tokens: &[Token], at: usize, under: &[String], paths: &mut Vec<RustPath>) -> usize {
    let mut at = at;
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "}" => return at + 1,
            "as" => at += 2,
            _ => at = read_path(tokens, at, under, paths).max(at + 1),
        }
    }
    at
}

/// Blanks comments and the insides of literals, and keeps the lines.
pub fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let previous = code.chars().next_back();
        let (length, keep) = match literal_or_comment(rest, previous) {
            Some(length) => (length, false),
            None => (first.len_utf8(), true),
        };
        let (taken, after) = rest.split_at(length);
        if keep {
            code.push_str(taken);
        } else if taken.starts_with('/') {
            code.extend(taken.chars().filter(|c| *c == '\n'));
            code.push(' ');
        } else {
            code.push('"');
            code.extend(taken.chars().filter(|c| *c == '\n'));
            code.push('"');
        }
        rest = after;
    }
    code
}

/// The length of the comment or literal that `rest` starts with.
fn literal_or_comment(rest: &str, previous: Option<char>) -> Option<usize> {
    let inside_name = previous.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    if rest.starts_with('"') {
        return Some(quoted(rest));
    }
    if inside_name {
        return None;
    }
    let prefix = ["br", "cr", "r", "b", "c"]
        .into_iter()
        .find(|prefix| rest.starts_with(prefix))?;
    let after = &rest[prefix.len()..];
    let length = match after.trim_start_matches('#').starts_with('"') {
        true if prefix.ends_with('r') => raw(after),
        true if after.starts_with('"') => quoted(after),
        _ => return None,
    };
    Some(prefix.len() + length)
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// A character literal, as against a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut inside = rest[1..].chars();
    let first = inside.next()?;
    if first == '\\' {
        let escaped = 3; // the quote, the backslash, and what it escapes, which may be a quote
        return rest[escaped..].find('\'').map(|end| escaped + end + 1);
    }
    (inside.next()? == '\'').then(|| 2 + first.len_utf8())
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

fn raw(rest: &str) -> usize {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(hashes));
    let open = hashes + 1;
    rest[open..].find(&end).map_or(rest.len(), |at| open + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let path = "a.rs".to_owned();
        let text = text.to_owned();
        let file = TextFile { path, text };
        let paths = Source::new(&file).paths();
        paths.iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        let text = "a // b\n\"c \\\" // d\" e /* f /* g */\n h */ i 'j' '\\'' 'k r#\"l\"m\"# br\"n\"";
        let code = code_only(text);
        assert_eq!(code.lines().count(), text.lines().count());
        let words: String = code.chars().filter(|c| c.is_alphabetic()).collect();
        assert_eq!(words, "aeik");
    }

    #[test]
    fn a_name_that_ends_as_a_prefix_does_is_no_literal() {
        assert_eq!(code_only("for\"a\""), "for\"\"");
        assert_eq!(code_only("r#type"), "r#type");
    }

    #[test]
    fn groups_are_written_out() {
        let found = paths("use std::{fs, net::{TcpStream as T, IpAddr}, io::*};");
        let wanted = [
            "use",
            "std::fs",
            "std::net::TcpStream",
            "std::net::IpAddr",
            "std::io::*",
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn paths_in_expressions() {
        let found = paths("let x = ::std::time::Instant::now() + Vec::<u8>::new();");
        assert_eq!(found[2], "std::time::Instant::now");
        assert!(found.contains(&"Vec".to_owned()));
    }
}
