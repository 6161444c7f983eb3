//! Tests that cannot run here say so, so that they are not taken for passed.

use std::io::Write as _;

/// Says that the test `name` is skipped and why. The test returns after that.
///
/// `cargo xtask test` reads it from the file that `LB_SKIP_FILE` names; without that file it goes to standard error.
pub fn skip(name: &str, reason: &str) {
    let line = format!("{}\t{}\n", one_line(name), one_line(reason));
    let written = std::env::var_os("LB_SKIP_FILE").map(|path| {
        let file = std::fs::OpenOptions::new().append(true).open(path);
        // One write of one line: tests append side by side.
        file.and_then(|mut file| file.write_all(line.as_bytes()))
    });
    if !matches!(written, Some(Ok(()))) {
        eprintln!("skipped: {name}: {reason}");
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\t'], " ")
}

/// Whether we are root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether `cargo xtask test --full` runs: also what takes long.
pub fn is_full() -> bool {
    std::env::var_os("LB_TEST_FULL").is_some()
}

/// What a test returns when it is skipped.
pub trait Skipped {
    fn skipped() -> Self;
}

impl Skipped for () {
    fn skipped() -> Self {}
}

impl<E> Skipped for Result<(), E> {
    fn skipped() -> Self {
        Ok(())
    }
}

/// Skips the test it stands in, with a reason, unless a condition holds.
///
/// ```no_run
/// # use lb_lab::needs;
/// #[test]
/// fn native_xdp() {
///     needs!(lb_lab::is_root(), "needs root");
/// }
/// ```
#[macro_export]
macro_rules! needs {
    ($condition:expr, $reason:expr) => {
        if !$condition {
            fn here() {}
            let name = std::any::type_name_of_val(&here);
            $crate::skip(name.trim_end_matches("::here"), $reason);
            return $crate::Skipped::skipped();
        }
    };
}

/// Skips the test it stands in unless we are root.
#[macro_export]
macro_rules! needs_root {
    () => {
        $crate::needs!($crate::is_root(), "needs root")
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn root_is_named_when_it_is_missing() {
        needs_root!();
        assert!(crate::is_root());
    }

    #[test]
    fn a_skip_is_one_line() {
        assert_eq!(super::one_line("a\tb\nc"), "a b c");
    }
}
