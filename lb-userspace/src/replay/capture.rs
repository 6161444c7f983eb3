//! Captures: pcap and pcapng in, pcap out.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;
use pcap_file::{DataLink, TsResolution};

/// A packet of a capture.
pub struct Packet {
    /// Since the Unix epoch.
    pub at: Duration,
    /// From the Ethernet header on.
    pub bytes: Vec<u8>,
}

/// All packets of a capture, told by its first bytes, not by its name.
pub fn read(path: &Path) -> anyhow::Result<Vec<Packet>> {
    let name = path.display();
    let mut magic = [0u8; 4];
    let open = || File::open(path).with_context(|| format!("cannot read {name}"));
    open()?
        .read_exact(&mut magic)
        .with_context(|| format!("{name}: too short for a capture"))?;
    let file = BufReader::new(open()?);
    // Section header block: the same in both byte orders.
    let packets = if magic == [0x0a, 0x0d, 0x0d, 0x0a] {
        read_pcapng(file)
    } else {
        read_pcap(file)
    };
    packets.with_context(|| format!("{name}: not a capture that can be read"))
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
    while let Some(block) = reader.next_block() {
        match block? {
            Block::InterfaceDescription(interface) => ethernet(interface.linktype)?,
            Block::EnhancedPacket(packet) => {
                packets.push(Packet {
                    at: packet.timestamp,
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

/// A capture that is written, with timestamps in nanoseconds.
pub struct Writer {
    writer: PcapWriter<BufWriter<File>>,
    path: PathBuf,
}

impl Writer {
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let header = PcapHeader {
            datalink: DataLink::ETHERNET,
            ts_resolution: TsResolution::NanoSecond,
            ..PcapHeader::default()
        };
        let writer = PcapWriter::with_header(BufWriter::new(file), header)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            writer,
            path: path.into(),
        })
    }

    pub fn write(&mut self, at: Duration, bytes: &[u8]) -> anyhow::Result<()> {
        self.writer
            .write_packet(&PcapPacket::new(at, bytes.len() as u32, bytes))
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(())
    }

    /// Writes what is still in memory.
    pub fn finish(self) -> anyhow::Result<()> {
        use std::io::Write;
        self.writer
            .into_writer()
            .flush()
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
