//! Captures: what is read can be written, and is read again as it was.

use lb_userspace::replay::capture::{Packet, Writer, packets};

/// What a capture that is written can hold of a packet: a number of seconds, and a length.
const LAST_SECOND: u64 = u32::MAX as u64;
const LONGEST: usize = 65535;

pub fn any(bytes: &[u8]) {
    let Ok(read) = packets(bytes) else { return };
    let total: usize = read.iter().map(|packet| packet.bytes.len()).sum();
    assert!(total <= bytes.len(), "{total} bytes of packets");
    let fits = |packet: &Packet| packet.at.as_secs() <= LAST_SECOND && packet.bytes.len() <= LONGEST;
    let fitting: Vec<Packet> = read.into_iter().filter(fits).collect();
    assert_eq!(packets(&written(&fitting)[..]).expect("it was written"), fitting);
}

fn written(packets: &[Packet]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), "memory".to_owned()).expect("a header");
    for Packet { at, bytes } in packets {
        writer.write(*at, bytes).expect("a packet that fits");
    }
    writer.finish().expect("nothing is left to write")
}
