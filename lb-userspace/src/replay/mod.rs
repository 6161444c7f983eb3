//! `lb replay`: configurations and captures through the real program, offline.
//!
//! The program is loaded privately: nothing is attached, nothing is pinned, no daemon is asked. The maps are filled by the same
//! plan that the daemon uses, with every next hop known and every backend healthy unless said otherwise.
//!
//! # Layout
//!
//! - `world`: the configuration, in the maps
//! - [`capture`]: reading and writing captures
//! - `line`: what is said of a packet

pub mod capture;
mod line;
mod world;

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::cli::output::Format;
use crate::cli::replay::ReplayArgs;
use crate::edge::dataplane::run::{MAX_FRAME, MIN_FRAME};
use crate::fate::Fate;
use line::Line;
use world::World;

/// Replays the items in their order, a line a packet on stdout.
///
/// # Errors
///
/// A file that cannot be read or is not right, no permission to load the program.
pub fn run(args: ReplayArgs) -> anyhow::Result<()> {
    let mut world = World::new(&args)?;
    let mut writer = args.write.as_deref().map(capture::Writer::create).transpose()?;
    let stdout = io::stdout().lock();
    let mut out = BufWriter::new(stdout);
    let json = matches!(args.output, Format::Json | Format::Jsonl);
    if !json {
        writeln!(out, "{}", Line::header())?;
    }
    for item in &args.items {
        if is_configuration(item) {
            world.apply(item)?;
        } else {
            packets(&mut world, item, json, &mut out, writer.as_mut())?;
        }
    }
    if let Some(writer) = writer {
        writer.finish()?;
    }
    out.flush()?;
    Ok(())
}

/// Whether an item is a configuration; the others are captures.
fn is_configuration(item: &Path) -> bool {
    item.extension().is_some_and(|extension| extension == "toml")
}

fn packets(
    world: &mut World,
    file: &Path,
    json: bool,
    out: &mut impl Write,
    mut writer: Option<&mut capture::Writer<impl Write>>,
) -> anyhow::Result<()> {
    let name = file.to_string_lossy().into_owned();
    for (index, packet) in capture::read(file)?.into_iter().enumerate() {
        let (fate, outcome) = if (MIN_FRAME..=MAX_FRAME).contains(&packet.bytes.len()) {
            let outcome = world.run(&packet.bytes)?;
            (world.fate(packet.bytes.len(), &outcome), Some(outcome))
        } else {
            (Fate::not_run(packet.bytes.len()), None)
        };
        let file = name.clone();
        let line = Line { index, file, fate };
        if json {
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{line}")?;
        }
        if let (Some(writer), Some(outcome)) = (writer.as_deref_mut(), outcome)
            && line.fate.is_left()
        {
            writer.write(packet.at, &outcome.packet)?;
        }
    }
    Ok(())
}
