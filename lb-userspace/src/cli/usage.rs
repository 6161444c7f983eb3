//! What the command line's parser says, in one line.

use clap::error::ErrorKind;
use clap::{Command, Error};

/// A value that an argument cannot have; the text is the whole sentence. It is shown in one line, whatever it quotes.
#[derive(Debug, thiserror::Error)]
#[error("{}", without_controls(.0))]
pub struct BadValue(pub String);

/// A text with its control characters written out.
fn without_controls(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// Whether this is a page of help that was asked for, and not an error.
pub fn is_help(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// Whether nothing but a verb is missing, so that the error is the page that lists them.
pub fn is_help_for_want_of_a_verb(error: &Error) -> bool {
    error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// The error in one line, without `error: `. `words` are the arguments, to know which verb's help would tell more.
pub fn line(error: &Error, root: &Command, words: &[String]) -> String {
    let own = std::error::Error::source(error).and_then(|source| source.downcast_ref::<BadValue>());
    if let Some(bad) = own {
        return bad.to_string();
    }
    format!("{}; see '{} --help'", flattened(&error.to_string()), verb(root, words))
}

/// The parser's paragraphs before its usage, as one line.
fn flattened(text: &str) -> String {
    let mut line = String::new();
    for part in text.lines().map(str::trim).filter(|part| !part.is_empty()) {
        if part.starts_with("Usage:") || part.starts_with("For more information") {
            break;
        }
        if let Some(tip) = part.strip_prefix("tip: ") {
            line += &format!(" ({tip})");
        } else if line.is_empty() || line.ends_with(':') || part.starts_with('[') {
            line += &format!(" {part}");
        } else {
            line += &format!(", {part}");
        }
    }
    let line = line.trim_start();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The verb that the arguments name, as far as there is one: `lb backend add`.
fn verb(root: &Command, words: &[String]) -> String {
    let mut command = root;
    let mut verb = root.get_name().to_owned();
    for word in words.iter().skip(1) {
        if let Some(next) = command.find_subcommand(word) {
            command = next;
            verb += &format!(" {word}");
        }
    }
    verb
}
