//! Each mode between each two families, over each protocol, with and without tags: what goes in was made by scapy, and what comes out is what
//! tshark says of it, field by field.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use lb_tests::needs_flow_table;
use lb_tests::packet::places::TUNNEL_PORT;
use lb_userspace::core::model::{Mode, mode_name};
use serde_json::json;

use super::{Desk, FIRST_PORT, MODES, fixture, modes};

/// A service with one backend.
#[derive(Clone, Copy, Debug)]
struct Cell {
    number: u8,
    mode: Mode,
    /// Whether its address, and that of its backend, are IPv6.
    service: bool,
    backend: bool,
}

/// In the order of `make.py`.
fn cells() -> Vec<Cell> {
    let same = [(false, false), (true, true)];
    let any = [(false, false), (false, true), (true, false), (true, true)];
    let families = |mode| if mode == Mode::Nat { &same[..] } else { &any };
    let of_mode = |mode: Mode| families(mode).iter().map(move |families| (mode, *families));
    let all = MODES.into_iter().flat_map(of_mode);
    let cell = |(number, (mode, (service, backend)))| Cell {
        number,
        mode,
        service,
        backend,
    };
    (1..).zip(all).map(cell).collect()
}

impl Cell {
    /// The services that its packets are for, a packet after the other.
    fn packets(&self) -> &'static [&'static str] {
        const ALL: [&str; 10] = ["tcp", "tcp", "tcp", "udp", "udp", "udp", "udp", "sctp", "sctp", "any"];
        if self.mode.translates() { &ALL[..7] } else { &ALL }
    }

    fn protocols(&self) -> &'static [&'static str] {
        const ALL: [&str; 4] = ["tcp", "udp", "sctp", "any"];
        if self.mode.translates() { &ALL[..2] } else { &ALL }
    }

    fn vip(&self) -> IpAddr {
        let number = self.number;
        parsed(if self.service {
            format!("2001:db8:1::{number:x}")
        } else {
            format!("192.0.2.{number}")
        })
    }

    fn backend(&self) -> IpAddr {
        let number = self.number;
        parsed(if self.backend {
            format!("2001:db8:7::{number:x}")
        } else {
            format!("10.0.7.{number}")
        })
    }

    fn source(&self) -> IpAddr {
        parsed(if self.backend { "2001:db8:2::11" } else { "10.0.0.11" })
    }

    /// The port of the backend, where the mode can change it.
    fn port(&self) -> u16 {
        if self.mode.translates() { 8080 } else { 80 }
    }

    fn config(&self) -> String {
        let Self { number, mode, .. } = self;
        let (vip, backend, port) = (self.vip(), self.backend(), self.port());
        let mode = mode_name(*mode);
        self.protocols()
            .iter()
            .map(|protocol| {
                let door = if *protocol == "any" { "\"any\"" } else { "80" };
                format!(
                    r#"
[[service]]
name     = "cell-{number}-{protocol}"
address  = "{vip}"
port     = {door}
protocol = "{protocol}"
mode     = "{mode}"
check    = {{ type = "none" }}
backend  = [{{ name = "one", address = "{backend}", port = {port} }}]
"#
                )
            })
            .collect()
    }

    /// What tshark is to say of a packet that it said `came` of before.
    fn expected(&self, came: &Fields, is: &Fields) -> Fields {
        let mut fields = came.clone();
        fields.set("eth.dst", "02:00:00:00:00:01");
        fields.set("eth.src", "02:00:00:00:00:02");
        let hops = if self.service { "ipv6.hlim" } else { "ip.ttl" };
        fields.set(hops, "56");
        let transport = if came.first("tcp.dstport").is_some() {
            "tcp"
        } else {
            "udp"
        };
        match self.mode {
            Mode::L2 => {}
            Mode::Nat | Mode::Fullnat => {
                let ip = if self.backend { "ipv6" } else { "ip" };
                // Whether it is right is said of all of them, at the end.
                let checksum = format!("{transport}.checksum");
                if came.first(&checksum) != Some("0x0000") || self.backend {
                    fields.set(&checksum, is.first(&checksum).expect("a checksum"));
                }
                if self.service != self.backend {
                    self.set_across(&mut fields, came, transport);
                }
                fields.set(&format!("{ip}.dst"), &self.backend().to_string());
                fields.set(&format!("{transport}.dstport"), "8080");
                if self.mode == Mode::Fullnat {
                    fields.set(&format!("{ip}.src"), &self.source().to_string());
                    // One of its own: the others of its flow have it, too.
                    let port = is.first(&format!("{transport}.srcport")).expect("a port");
                    assert!(port.parse::<u16>().expect("a number") >= FIRST_PORT);
                    fields.set(&format!("{transport}.srcport"), port);
                }
            }
            Mode::Ipip => self.put_outer(&mut fields, (came, is), 0),
            Mode::Gue => {
                let length = self.total_length(came);
                let from = is.first("udp.srcport").expect("a port");
                assert!(from.parse::<u16>().expect("a number") >= 0xc000, "{from}");
                fields.put("udp.srcport", from);
                fields.put("udp.checksum", is.first("udp.checksum").expect("a checksum"));
                fields.put("udp.dstport", &TUNNEL_PORT.to_string());
                fields.put("udp.length", &(length + 8).to_string());
                self.put_outer(&mut fields, (came, is), 8);
            }
        }
        fields
    }

    /// Bytes from the IP header on.
    fn total_length(&self, came: &Fields) -> u32 {
        let number = |name| came.first(name).expect("it is IP").parse::<u32>().expect("a number");
        if self.service {
            number("ipv6.plen") + 40
        } else {
            number("ip.len")
        }
    }

    /// Type of service, or traffic class.
    fn class(&self, came: &Fields) -> u32 {
        let class = if self.service { "ipv6.tclass" } else { "ip.dsfield" };
        let class = came.first(class).expect("a class");
        u32::from_str_radix(class.trim_start_matches("0x"), 16).expect("a number")
    }

    /// The header of the other version, without options, in front of the same transport; its addresses are still to be said.
    fn set_across(&self, fields: &mut Fields, came: &Fields, transport: &str) {
        fields.0.retain(|name, _| !name.starts_with("ip"));
        let class = self.class(came);
        let (header, options) = match came.first("ip.hdr_len") {
            Some(bytes) => (bytes.parse().expect("a number"), 0),
            // Those that `make.py` has.
            None => (40, 8 * u32::from(came.first("ipv6.hopopts").is_some())),
        };
        let behind = self.total_length(came) - header - options;
        if self.backend {
            fields.set("ipv6.hlim", "56");
            fields.set("ipv6.tclass", &format!("0x{class:08x}"));
            fields.set("ipv6.flow", "0x000000");
            fields.set("ipv6.plen", &behind.to_string());
        } else {
            let is_small = behind + 20 <= 1260;
            let checksum = fields.first(&format!("{transport}.checksum")).expect("a checksum");
            let identification = if is_small { checksum } else { "0x0000" }.to_owned();
            fields.set("ip.ttl", "56");
            fields.set("ip.hdr_len", "20");
            fields.set("ip.dsfield", &format!("0x{class:02x}"));
            fields.set("ip.id", &identification);
            fields.set("ip.flags.df", if is_small { "0" } else { "1" });
            fields.set("ip.len", &(behind + 20).to_string());
        }
    }

    /// An outer header, with so many bytes between.
    fn put_outer(&self, fields: &mut Fields, (came, is): (&Fields, &Fields), between: u32) {
        let length = self.total_length(came) + between;
        let class = self.class(came);
        let (source, backend) = (self.source().to_string(), self.backend().to_string());
        if self.backend {
            fields.put("ipv6.src", &source);
            fields.put("ipv6.dst", &backend);
            fields.put("ipv6.hlim", "64");
            fields.put("ipv6.tclass", &format!("0x{class:08x}"));
            fields.put("ipv6.flow", is.first("ipv6.flow").expect("a label"));
            fields.put("ipv6.plen", &length.to_string());
        } else {
            fields.put("ip.src", &source);
            fields.put("ip.dst", &backend);
            fields.put("ip.ttl", "64");
            fields.put("ip.hdr_len", "20");
            fields.put("ip.dsfield", &format!("0x{class:02x}"));
            fields.put("ip.id", "0x0000");
            fields.put("ip.flags.df", "1");
            fields.put("ip.len", &(length + 20).to_string());
        }
    }
}

fn parsed(text: impl AsRef<str>) -> IpAddr {
    text.as_ref().parse().expect("an address")
}

/// What tshark is asked for.
const FIELDS: [&str; 38] = [
    "eth.dst",
    "eth.src",
    "vlan.id",
    "vlan.priority",
    "ieee8021ad.id",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.dsfield",
    "ip.id",
    "ip.flags.df",
    "ip.len",
    "ip.hdr_len",
    "ip.opt.type",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.hlim",
    "ipv6.tclass",
    "ipv6.flow",
    "ipv6.plen",
    "ipv6.hopopts",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.flags",
    "tcp.checksum",
    "tcp.options.mss_val",
    "tcp.payload",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "udp.checksum",
    "sctp.srcport",
    "sctp.dstport",
    "sctp.checksum",
    "sctp.chunk_type",
    "gre.proto",
    "data.data",
];

/// What a packet has of each, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fields(BTreeMap<String, Vec<String>>);

impl Fields {
    fn first(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.first().map(String::as_str)
    }

    /// Instead of what is there.
    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), vec![value.to_owned()]);
    }

    /// In front of what is there.
    fn put(&mut self, name: &str, value: &str) {
        self.0.entry(name.to_owned()).or_default().insert(0, value.to_owned());
    }
}

/// What tshark says of each packet.
fn dissected(capture: &Path) -> Vec<Fields> {
    let mut tshark = Command::new("tshark");
    tshark
        .arg("-r")
        .arg(capture)
        .args(["-T", "fields", "-E", "separator=|", "-E", "occurrence=a"]);
    tshark.args(["-E", "aggregator=;", "-d", &format!("udp.port=={TUNNEL_PORT},ip")]);
    for field in FIELDS {
        tshark.args(["-e", field]);
    }
    let output = lb_lab::program::output(&mut tshark).expect("tshark reads it");
    let fields = |line: &str| {
        let values = line
            .split('|')
            .map(|values| values.split(';').map(str::to_owned).collect::<Vec<_>>());
        let named = FIELDS.iter().map(|name| (*name).to_owned()).zip(values);
        Fields(
            named
                .filter(|(_, values)| values.iter().any(|value| !value.is_empty()))
                .collect(),
        )
    };
    output.lines().map(fields).collect()
}

#[test]
fn tshark_sees_what_each_cell_is_to_make() {
    needs_flow_table!();
    lb_lab::needs!(
        lb_lab::program::find("tshark").is_some(),
        "there is no tshark here; install the package tshark"
    );
    // Make.
    let cells = cells();
    let desk = Desk::new();
    let node = "version = 1\n[node]\nsource = { ipv4 = \"10.0.0.11\", ipv6 = \"2001:db8:2::11\" }\n";
    let services: String = cells.iter().map(Cell::config).collect();
    let config = desk.put("lb.toml", format!("{node}{services}"));
    let capture = fixture("cells.pcap");
    // Set up.
    let replayed = desk.replay(&[&config, &capture]);
    let out = desk.path("out.pcap");
    let (came, left) = (dissected(Path::new(&capture)), dissected(&out));
    let packets = cells
        .iter()
        .flat_map(|cell| cell.packets().iter().map(move |protocol| (cell, protocol)));
    let packets: Vec<_> = packets.collect();
    assert_eq!((came.len(), left.len()), (packets.len(), packets.len()));
    for (number, (came, left)) in came.iter().zip(&left).enumerate() {
        let (cell, protocol) = packets[number];
        // Check.
        let line = &replayed.lines[number];
        let said = ["verdict", "service", "mode"].map(|key| &line[key]);
        let name = format!("cell-{}-{protocol}", cell.number);
        assert_eq!(
            said,
            [&json!("tx"), &json!(name), &json!(mode_name(cell.mode))],
            "{cell:?}"
        );
        assert_eq!(left, &cell.expected(came, left), "{cell:?}, packet {number}: {came:#?}");
    }
    assert_eq!(modes::complaints(&out), [] as [&str; 0]);
}
