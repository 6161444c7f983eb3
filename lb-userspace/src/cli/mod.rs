//! The command line: a client of the daemon's API, a file per verb.
//!
//! # Layout
//!
//! - a file per verb, or per family of verbs: its arguments, what it asks for, how the answer is shown
//! - [`parse`], [`vip`], [`pins`]: arguments from text; [`usage`]: what is said of wrong ones
//! - [`output`], [`table`], [`people`]: how answers are written
//! - [`write`](mod@write): what every verb that changes something has in common
//! - [`exit`]: exit codes

mod apply;
mod attach;
mod backend;
mod config;
pub mod daemon;
pub mod decap;
mod drops;
pub mod exit;
mod interfaces;
mod list;
pub mod output;
pub mod parse;
pub mod pass;
mod people;
mod pins;
pub mod replay;
mod save;
mod service;
mod shell;
mod show;
mod state;
mod status;
mod table;
pub mod trace;
mod usage;
pub mod vip;
mod write;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::core::view;
use crate::edge::client::Client;
use output::{Format, ReadArgs, Screen};
use write::WriteArgs;

/// Where the daemon listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/lb/lb.sock";

/// An XDP layer-4 load balancer.
#[derive(Debug, Parser)]
#[command(name = "lb", version, disable_help_subcommand = true)]
struct Lb {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Options of every verb.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Socket of the daemon [default: /run/lb/lb.sock]
    #[arg(long, global = true, env = "LB_SOCKET", hide_env_values = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// How answers are written
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon in the foreground
    Daemon(daemon::Options),
    /// Attach to an interface
    Attach(attach::AttachArgs),
    /// Detach from an interface, or from all
    Detach(attach::DetachArgs),
    /// Network interfaces, and where the program is attached
    Interfaces(ReadArgs),
    /// Daemon, data plane, interfaces, health in short
    Status(ReadArgs),
    /// Services, a line each
    List(ReadArgs),
    /// One service and its backends, or one backend
    Show(show::ShowArgs),
    /// Add, change or remove a service
    #[command(subcommand)]
    Service(service::ServiceVerb),
    /// Add, change or remove a backend
    #[command(subcommand)]
    Backend(backend::BackendVerb),
    /// Put a backend back in
    Ready(state::StateArgs),
    /// Take a backend out at once; it is not checked
    Maint(state::StateArgs),
    /// Set a backend's weight by hand; 100% clears it
    Weight(state::WeightArgs),
    /// Make a file the base state: all of it or nothing
    Apply(apply::ApplyArgs),
    /// The base state as TOML
    Save,
    /// Packets that were dropped or passed, by reason
    Drops(ReadArgs),
    /// Check a configuration file, or print an example of one
    #[command(subcommand)]
    Config(config::ConfigVerb),
    /// One packet through what is loaded, step by step; nothing changes
    Trace(trace::TraceArgs),
    /// Send captured packets through the programs, offline
    Replay(replay::ReplayArgs),
    /// Unwrap the packets of ipip services, on a backend
    #[command(subcommand)]
    Decap(decap::DecapVerb),
    /// Let a veth peer receive what XDP sends, in a lab
    #[command(subcommand)]
    Pass(pass::PassVerb),
    /// Version of this program
    Version,
    /// Completions for a shell
    Completion(shell::CompletionArgs),
    /// The manual page
    Man,
}

/// What every verb has at hand.
pub(crate) struct Context<'a, 'b> {
    pub screen: &'a mut Screen<'b>,
    pub format: Format,
    /// As given by the command line or the environment.
    pub socket: Option<PathBuf>,
    pub client: Client,
}

/// Runs the command line of this process.
pub async fn main() -> u8 {
    let (terminal, colour) = output::terminal();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut screen = Screen {
        out: &mut out,
        err: &mut err,
        colour,
        clear: terminal,
        clock: output::unix_time,
    };
    run(std::env::args_os(), &mut screen).await
}

/// Runs one command line, the program's name included. Returns the exit code.
pub async fn run(arguments: impl IntoIterator<Item = OsString>, screen: &mut Screen<'_>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = Lb::command()
        .try_get_matches_from(&arguments)
        .and_then(|mut matches| Lb::from_arg_matches_mut(&mut matches));
    let lb = match parsed {
        Ok(lb) => lb,
        Err(error) => return refuse(&error, &arguments, screen),
    };
    let socket = lb.global.socket;
    let client = Client::new(socket.as_deref().unwrap_or(Path::new(DEFAULT_SOCKET)));
    let context = Context {
        screen: &mut *screen,
        format: lb.global.output,
        socket,
        client,
    };
    match dispatch(lb.verb, context).await {
        Ok(()) => exit::DONE,
        Err(error) => {
            // There is nowhere to say that stderr is gone.
            let _ = write!(screen.err, "{}", exit::text(&error));
            exit::code(&error)
        }
    }
}

async fn dispatch(verb: Verb, context: Context<'_, '_>) -> anyhow::Result<()> {
    match verb {
        Verb::Daemon(options) => daemon::run(context, options).await,
        Verb::Attach(args) => attach::attach(context, args).await,
        Verb::Detach(args) => attach::detach(context, args).await,
        Verb::Interfaces(args) => context.read::<Vec<view::Interface>>(&args, "/v1/interfaces").await,
        Verb::Status(args) => context.read::<view::Status>(&args, "/v1/status").await,
        Verb::List(args) => context.read::<Vec<view::Service>>(&args, "/v1/services").await,
        Verb::Show(args) => show::run(context, args).await,
        Verb::Service(verb) => service::run(context, verb).await,
        Verb::Backend(verb) => backend::run(context, verb).await,
        Verb::Ready(args) => state::ready(context, args).await,
        Verb::Maint(args) => state::maint(context, args).await,
        Verb::Weight(args) => state::weight(context, args).await,
        Verb::Apply(args) => apply::run(context, args).await,
        Verb::Save => save::run(context).await,
        Verb::Drops(args) => context.read::<Vec<view::ReasonCount>>(&args, "/v1/drops").await,
        Verb::Config(verb) => config::run(context, &verb),
        Verb::Trace(args) => trace::run(context, args).await,
        Verb::Replay(args) => replay::run(context, args),
        Verb::Decap(verb) => decap::run(context, verb).await,
        Verb::Pass(verb) => pass::run(context, &verb),
        Verb::Version => shell::version(context),
        Verb::Completion(args) => shell::completion(context, &args, Lb::command()),
        Verb::Man => shell::man(context, Lb::command()),
    }
}

impl Context<'_, '_> {
    /// Fetches something and shows it.
    async fn read<T: output::Shown>(self, args: &ReadArgs, path: &str) -> anyhow::Result<()> {
        output::read::<T>(self.screen, &self.client, self.format, args, path).await
    }
}

/// Says what is wrong with the command line, or prints the help that was asked for.
fn refuse(error: &clap::Error, arguments: &[OsString], screen: &mut Screen<'_>) -> u8 {
    if usage::is_help(error) {
        let help = error.render();
        let help = if screen.colour {
            help.ansi().to_string()
        } else {
            help.to_string()
        };
        return screen
            .print(&help)
            .map_or_else(|error| exit::code(&error.into()), |()| exit::DONE);
    }
    let words: Vec<String> = arguments
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    // There is nowhere to say that stderr is gone.
    let _ = if usage::is_help_for_want_of_a_verb(error) {
        write!(screen.err, "{error}")
    } else {
        writeln!(screen.err, "error: {}", usage::line(error, &Lb::command(), &words))
    };
    exit::USAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Lb::command().debug_assert();
    }
}
