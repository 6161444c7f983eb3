//! Captures: pcap and pcapng in, pcap out.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::{DataLink, TsResolution};

/// A packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Since the Unix epoch.
    pub at: Duration,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

/// All packets of a capture in a file.
pub fn read(path: &Path) -> anyhow::Result<Vec<Packet>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    packets(BufReader::new(file)).with_context(|| format!("{name}: not a capture that can be read"))
}

/// All packets of a capture, whose kind is told by its first bytes.
pub fn packets(mut capture: impl Read) -> anyhow::Result<Vec<Packet>> {
    let mut magic = [0u8; 4];
    capture.read_exact(&mut magic).context("too short for a capture")?;
    let whole = (&magic[..]).chain(capture);
    // Section header block: the same in both byte orders.
    if magic == [0x0a, 0x0d, 0x0d, 0x0a] {
        read_pcapng(whole)
    } else {
        read_pcap(whole)
    }
}

fn ethernet(link: DataLink) -> anyhow::Result<()> {
    match link {
        DataLink::ETHERNET => Ok(()),
        other => bail!("its link type is {other:?}; only Ethernet can be replayed"),
    }
}

fn read_pcap(file: impl Read) -> anyhow::Result<Vec<Packet>> {
    let mut reader = PcapReader::new(file)?;
    ethernet(reader.header().datalink)?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet?;
        packets.push(Packet {
            at: packet.timestamp,
            bytes: packet.data.into_owned(),
        });
    }
    Ok(packets)
}

fn read_pcapng(file: impl Read) -> anyhow::Result<Vec<Packet>> {
    let mut reader = PcapNgReader::new(file)?;
    let mut packets = Vec::new();
    // Of each interface of the section.
    let mut resolutions = Vec::new();
    while let Some(block) = reader.next_block() {
        match block? {
            Block::SectionHeader(_) => resolutions.clear(),
            Block::InterfaceDescription(interface) => {
                ethernet(interface.linktype)?;
                resolutions.push(resolution(&interface));
            }
            Block::EnhancedPacket(packet) => {
                let resolution = resolutions.get(packet.interface_id as usize);
                packets.push(Packet {
                    // The reader takes the capture's units for nanoseconds, whatever they are.
                    at: since_epoch(packet.timestamp.as_nanos(), resolution.copied().unwrap_or(MICROSECONDS)),
                    bytes: packet.data.into_owned(),
                });
            }
            Block::SimplePacket(packet) => {
                packets.push(Packet {
                    at: Duration::ZERO,
                    bytes: packet.data.into_owned(),
                });
            }
            _ => {}
        }
    }
    Ok(packets)
}

/// The `if_tsresol` of interfaces that have none.
const MICROSECONDS: u8 = 6;

fn resolution(interface: &InterfaceDescriptionBlock) -> u8 {
    let given = interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
        _ => None,
    });
    given.unwrap_or(MICROSECONDS)
}

/// A timestamp in units of `if_tsresol`: the highest bit says whether the rest is a negative power of 2, else of 10.
fn since_epoch(units: u128, resolution: u8) -> Duration {
    let exponent = u32::from(resolution & 0x7f);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    // Units too small for the number are no time at all.
    let Some(per_second) = base.checked_pow(exponent) else {
        return Duration::ZERO;
    };
    let nanoseconds = (units % per_second)
        .checked_mul(1_000_000_000)
        .map_or(0, |parts| parts / per_second);
    Duration::new((units / per_second) as u64, nanoseconds as u32)
}

/// A capture that is written, with timestamps in nanoseconds.
pub struct Writer<W: Write> {
    writer: PcapWriter<W>,
    /// What it is called in errors.
    name: String,
}

impl Writer<BufWriter<File>> {
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path).with_context(|| format!("cannot write {name}"))?;
        Self::new(BufWriter::new(file), name)
    }
}

impl<W: Write> Writer<W> {
    /// Begins a capture.
    pub fn new(out: W, name: String) -> anyhow::Result<Self> {
        let header = PcapHeader {
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            ..PcapHeader::default()
        };
        let writer = PcapWriter::with_header(out, header).with_context(|| format!("cannot write {name}"))?;
        Ok(Self { writer, name })
    }

    pub fn write(&mut self, at: Duration, bytes: &[u8]) -> anyhow::Result<()> {
        self.writer
            .write_packet(&PcapPacket::new(at, bytes.len() as u32, bytes))
            .with_context(|| format!("cannot write {}", self.name))?;
        Ok(())
    }

    /// Writes what is still in memory.
    pub fn finish(self) -> anyhow::Result<W> {
        let mut out = self.writer.into_writer();
        out.flush().with_context(|| format!("cannot write {}", self.name))?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_in_the_units_of_their_interface() {
        let rows = [
            (1_700_000_000_000_001, 6, Duration::new(1_700_000_000, 1000)),
            (1_700_000_000_000_000_001, 9, Duration::new(1_700_000_000, 1)),
            (1_700_000_000, 0, Duration::from_secs(1_700_000_000)),
            (1024 * 5 + 512, 0x80 | 10, Duration::from_millis(5500)),
            (u128::from(u64::MAX), 0, Duration::from_secs(u64::MAX)),
            (u128::from(u64::MAX), 0x7f, Duration::ZERO),
            (u128::from(u64::MAX), 0xff, Duration::ZERO),
        ];
        for (units, resolution, wanted) in rows {
            assert_eq!(since_epoch(units, resolution), wanted, "{units} of {resolution:#x}");
        }
    }
}
