//! Where a verb writes: answers on stdout in the format that was asked for, everything else on stderr.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::edge::client::{Client, Fetched};

/// How an answer is written: `wide` is a table with more columns, `jsonl` a JSON object a line, `name` a name a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Jsonl,
    Name,
}

/// Options of every verb that only looks.
#[derive(Clone, Debug, clap::Args)]
pub struct ReadArgs {
    /// Look again and again, each second or as often as said
    #[arg(long, value_name = "PERIOD", num_args = 0..=1, require_equals = true, default_missing_value = "1s",
          value_parser = super::parse::pause)]
    pub watch: Option<Duration>,
}

/// The two outputs, and what they can show.
pub struct Screen<'a> {
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    /// Colours may be used on `out`.
    pub colour: bool,
    /// `out` can be cleared between two looks.
    pub clear: bool,
    /// Unix time, seconds.
    pub clock: fn() -> u64,
}

/// How something is to be shown.
pub struct Look<'a, T> {
    pub wide: bool,
    pub colour: bool,
    /// Unix time, seconds.
    pub now: u64,
    /// Revision of the desired state that is shown.
    pub revision: Option<u64>,
    /// The look before this one, and how long ago that was; rates come of it.
    pub before: Option<(&'a T, Duration)>,
}

/// What can be shown in every format.
pub trait Shown: Serialize + DeserializeOwned {
    fn table(&self, look: &Look<'_, Self>) -> String;
    fn names(&self) -> Vec<String>;
}

impl Screen<'_> {
    /// Writes to stdout as it is.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
    /// Says something beside the answer.
    pub fn warn(&mut self, warning: &str) -> io::Result<()> {
        writeln!(self.err, "warning: {warning}")
    }
    /// Writes a value in one of the formats that do not need to know what it is.
    pub fn print_json(&mut self, value: &impl Serialize, format: Format) -> anyhow::Result<()> {
        let value = serde_json::to_value(value)?;
        let text = match (format, &value) {
            (Format::Jsonl, serde_json::Value::Array(values)) => {
                values.iter().map(|value| format!("{value}\n")).collect()
            }
            (Format::Jsonl, value) => format!("{value}\n"),
            (_, value) => format!("{value:#}\n"),
        };
        Ok(self.print(&text)?)
    }
}

/// Whether stdout is a terminal, and whether that may be coloured.
pub fn terminal() -> (bool, bool) {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let terminal = io::stdout().is_terminal();
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    (terminal, terminal && !dumb && !set("NO_COLOR"))
}

/// Unix time, seconds.
pub fn unix_time() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Fetches something and shows it, once or again and again.
pub async fn read<T: Shown>(
    screen: &mut Screen<'_>,
    client: &Client,
    format: Format,
    args: &ReadArgs,
    path: &str,
) -> anyhow::Result<()> {
    let mut before: Option<(T, Instant)> = None;
    loop {
        let fetched: Fetched<T> = client.get(path).await?;
        let at = Instant::now();
        if args.watch.is_some() && screen.clear {
            screen.print("\x1b[H\x1b[2J")?;
        }
        show(
            screen,
            format,
            &fetched,
            before.as_ref().map(|(value, then)| (value, at - *then)),
        )?;
        let Some(period) = args.watch else {
            return Ok(());
        };
        before = Some((fetched.value, at));
        tokio::time::sleep(period).await;
    }
}

fn show<T: Shown>(
    screen: &mut Screen<'_>,
    format: Format,
    fetched: &Fetched<T>,
    before: Option<(&T, Duration)>,
) -> anyhow::Result<()> {
    let Fetched { revision, value } = fetched;
    match format {
        Format::Table | Format::Wide => {
            let wide = format == Format::Wide;
            let now = (screen.clock)();
            let text = value.table(&Look {
                wide,
                colour: screen.colour,
                now,
                revision: *revision,
                before,
            });
            Ok(screen.print(&text)?)
        }
        Format::Json | Format::Jsonl => screen.print_json(value, format),
        Format::Name => {
            let text: String = value.names().into_iter().map(|name| name + "\n").collect();
            Ok(screen.print(&text)?)
        }
    }
}
