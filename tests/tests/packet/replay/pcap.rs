//! Captures, read and written here anew, so that nothing of what is tested reads what is tested.
//!
//! The format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>.

use std::path::Path;

/// A packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Since the Unix epoch, in nanoseconds.
    pub at_ns: u64,
    pub bytes: Vec<u8>,
}

const HEADER: usize = 24;
const RECORD: usize = 16;
const ETHERNET: u32 = 1;
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

/// A number in the order of bytes that the capture's first four have.
type Word = fn([u8; 4]) -> u32;

fn word(bytes: &[u8], at: usize, order: Word) -> u32 {
    order(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The order of bytes and the unit of time of a capture.
fn kind(bytes: &[u8]) -> (Word, u64) {
    for order in [u32::from_le_bytes as Word, u32::from_be_bytes] {
        match word(bytes, 0, order) {
            MICROSECONDS => return (order, 1000),
            NANOSECONDS => return (order, 1),
            _ => {}
        }
    }
    panic!("{:02x?} begins no capture", &bytes[..4])
}

pub fn read(path: &Path) -> Vec<Packet> {
    let bytes = std::fs::read(path).expect("the capture is there");
    let (order, unit_ns) = kind(&bytes);
    assert_eq!(word(&bytes, 20, order), ETHERNET);
    let mut rest = &bytes[HEADER..];
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let number = |at| word(rest, at, order);
        let at_ns = u64::from(number(0)) * 1_000_000_000 + u64::from(number(4)) * unit_ns;
        assert_eq!(number(8), number(12), "no packet is cut by its capture");
        let (packet, after) = rest[RECORD..].split_at(number(8) as usize);
        let bytes = packet.to_vec();
        packets.push(Packet { at_ns, bytes });
        rest = after;
    }
    packets
}

/// A capture of these frames.
pub fn written(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [NANOSECONDS, 0x0004_0002, 0, 0, 0xffff, ETHERNET] {
        bytes.extend(number.to_le_bytes());
    }
    for (n, frame) in frames.iter().enumerate() {
        let length = frame.len() as u32;
        for number in [1_700_000_000, n as u32, length, length] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(frame);
    }
    bytes
}
