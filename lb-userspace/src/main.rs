//! The one binary: the command line decides what it is.

use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::filter::LevelFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    start_log();
    ExitCode::from(lb_userspace::cli::main().await)
}

/// Logs to stderr, from the level in `LB_LOG` or `RUST_LOG` on. Under systemd the journal knows the time itself.
fn start_log() {
    let level = ["LB_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok()?.parse().ok());
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO));
    let to_journal = std::env::var_os("JOURNAL_STREAM").is_some() && !std::io::stderr().is_terminal();
    if to_journal {
        log.without_time().init()
    } else {
        log.init()
    }
}
