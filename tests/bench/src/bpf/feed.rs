//! Packets for a program under test, by `BPF_PROG_TEST_RUN`: put back before each run, each of another flow.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use aya::maps::{Map, ProgramArray};
use aya::programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use lb_common::bench::{FRONT_WORDS, FRONT6_WORDS, Feed, LISTED_PER_VALUE, ListLine, Listed, feed_flags, maps};
use lb_userspace::edge::dataplane::testing::Mapped;

use crate::measure::thread_time;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("LB_BENCH_OBJECTS"), "/bench_feed"));

/// Word of [`Feed`] that counts the packets.
const COUNT_WORD: usize = FRONT6_WORDS;
/// Runs that are timed to know what a call costs besides.
const CALL_RUNS: u32 = 2;
/// Calls in which packets are timed. The shortest counts: whatever else the machine does only ever adds.
const CALLS: u32 = 4;

/// What comes to the program under test.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// The frame of flow 0: Ethernet, IPv4 without options, also behind a VLAN tag, or IPv6 without extension headers, TCP or UDP; of 56
    /// bytes or more, or 80 of IPv6.
    pub frame: Vec<u8>,
    pub flows: Flows,
}

impl Traffic {
    /// Whether it is IPv6.
    fn is_six(&self) -> bool {
        self.frame.get(12..14) == Some(&[0x86, 0xdd])
    }

    /// Whether it is IPv4 with a VLAN tag.
    fn is_tagged(&self) -> bool {
        self.frame.get(12..14) == Some(&[0x81, 0x00])
    }
}

/// Which flows the packets are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flows {
    /// That many flows of clients, a power of two, at random.
    Random(u32),
    /// Each packet of the next flow, from this one on.
    Next(u32),
    /// Each packet of a flow that this feeder has never had; needs a feeder that is fed nothing else.
    New,
    /// That many packets of the list, a power of two, in its order. Sources are counted from `backend` on, destinations from
    /// `source` on; of IPv6 these are the last four bytes.
    Listed { packets: u32, backend: u32, source: u32 },
}

/// A program under test, with its feeder.
pub struct Fed {
    ebpf: Ebpf,
    feed: Mapped<Feed>,
    /// Number of the next packet.
    count: u64,
}

/// Runs and the CPU time that they took, the call itself taken off.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    pub runs: u32,
    pub time: Duration,
}

impl Timed {
    pub fn nanoseconds_per_run(self) -> f64 {
        self.time.as_nanos() as f64 / self.runs as f64
    }
}

/// What became of a packet.
pub struct Outcome {
    /// The program's return value, an XDP code.
    pub code: u32,
    pub packet: Vec<u8>,
}

impl Fed {
    /// Puts a feeder in front of `program`, with room for a list of so many packets.
    pub fn new(program: &ProgramFd, listed: u32) -> Result<Self> {
        let lines = listed.div_ceil(LISTED_PER_VALUE as u32).max(1);
        let mut loader = EbpfLoader::new();
        loader.map_max_entries(maps::FEED_LIST, lines);
        let mut ebpf = loader.load(OBJECT).context("the object of the feeder")?;
        super::load(&mut ebpf, "feed")?;
        super::load(&mut ebpf, "feed_listed")?;
        super::load(&mut ebpf, "feed_six")?;
        super::load(&mut ebpf, "feed_six_listed")?;
        super::load(&mut ebpf, "feed_tagged")?;
        let next = ebpf.map_mut(maps::NEXT).ok_or_else(|| anyhow!("no map NEXT"))?;
        let mut next = ProgramArray::try_from(next)?;
        next.set(0, program, 0)
            .context("the feeder cannot call the program under test")?;
        let feed = mapped(&ebpf, maps::FEED, 1)?;
        Ok(Self { ebpf, feed, count: 0 })
    }

    /// The list of packets that [`Flows::Listed`] goes through.
    pub fn set_list(&mut self, packets: &[Listed]) -> Result<()> {
        let lines = packets.len().div_ceil(LISTED_PER_VALUE);
        let list: Mapped<ListLine> = mapped(&self.ebpf, maps::FEED_LIST, lines as u32)?;
        for (place, packets) in packets.chunks(LISTED_PER_VALUE).enumerate() {
            let mut line = ListLine([0; LISTED_PER_VALUE]);
            for (word, packet) in line.0.iter_mut().zip(packets) {
                *word = packet.0;
            }
            list.store(place, &line);
        }
        Ok(())
    }

    /// Runs that many packets.
    pub fn run(&mut self, traffic: &Traffic, packets: u32) -> Result<()> {
        self.set(traffic)?;
        self.call(traffic, packets).map(|_| ())
    }

    /// Runs that many packets, in a few calls, and takes the time of the shortest.
    pub fn time(&mut self, traffic: &Traffic, packets: u32) -> Result<Timed> {
        self.set(traffic)?;
        let runs = packets.div_ceil(CALLS);
        let (mut call, mut whole) = (Duration::MAX, Duration::MAX);
        for _ in 0..CALLS {
            call = call.min(self.call(traffic, CALL_RUNS)?);
            whole = whole.min(self.call(traffic, runs + CALL_RUNS)?);
        }
        Ok(Timed {
            runs,
            time: whole.saturating_sub(call),
        })
    }

    /// Runs one packet and shows it.
    pub fn once(&mut self, traffic: &Traffic) -> Result<Outcome> {
        self.set(traffic)?;
        let mut packet = vec![0u8; 2048];
        let program = self.program(traffic)?;
        let options = TestRunOptions {
            data_in: Some(&traffic.frame),
            data_out: Some(&mut packet),
            ..TestRunOptions::new()
        };
        let result = program.test_run(options).context("BPF_PROG_TEST_RUN")?;
        packet.truncate(result.data_size_out as usize);
        self.count += 1;
        Ok(Outcome {
            code: result.return_value,
            packet,
        })
    }

    fn program(&self, traffic: &Traffic) -> Result<&Xdp> {
        let name = match traffic.flows {
            Flows::Random(_) | Flows::Next(_) | Flows::New if traffic.is_six() => "feed_six",
            Flows::Random(_) | Flows::Next(_) | Flows::New if traffic.is_tagged() => "feed_tagged",
            Flows::Random(_) | Flows::Next(_) | Flows::New => "feed",
            Flows::Listed { .. } if traffic.is_six() => "feed_six_listed",
            Flows::Listed { .. } => "feed_listed",
        };
        let program = self.ebpf.program(name).ok_or_else(|| anyhow!("no program {name}"))?;
        Ok(program.try_into()?)
    }

    /// One call of the kernel: its CPU time.
    fn call(&mut self, traffic: &Traffic, packets: u32) -> Result<Duration> {
        let program = self.program(traffic)?;
        let options = TestRunOptions {
            data_in: Some(&traffic.frame),
            repeat: packets,
            ..TestRunOptions::new()
        };
        let before = thread_time();
        let result = program.test_run(options);
        let time = thread_time() - before;
        result.context("BPF_PROG_TEST_RUN")?;
        self.count += packets as u64;
        Ok(time)
    }

    fn set(&mut self, traffic: &Traffic) -> Result<()> {
        let words = if traffic.is_six() { FRONT6_WORDS } else { FRONT_WORDS };
        ensure!(
            traffic.frame.len() >= words * 8,
            "a frame of less than {} bytes",
            words * 8
        );
        let mut front = [0u64; FRONT6_WORDS];
        for (word, bytes) in front.iter_mut().zip(traffic.frame.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into()?);
        }
        let (client, protocol) = match traffic.is_six() {
            true => (34, 20),
            false if traffic.is_tagged() => (30, 27),
            false => (26, 23),
        };
        let client = u32::from_be_bytes(traffic.frame[client..client + 4].try_into()?);
        let udp = if traffic.frame[protocol] == lb_common::abi::protocol::UDP {
            feed_flags::UDP
        } else {
            0
        };
        let mut feed = Feed {
            front,
            count: self.count,
            client,
            mask: 0,
            length: traffic.frame.len() as u32,
            flags: udp,
            first: 0,
            reserved_word: 0,
            backend: 0,
            source: 0,
            reserved: 0,
        };
        match traffic.flows {
            Flows::Random(flows) => feed.mask = mask(flows)?,
            Flows::Next(first) => {
                feed.flags |= feed_flags::IN_ORDER;
                feed.mask = u32::MAX;
                // The packets' number goes on where it was.
                feed.first = first.wrapping_sub(self.count as u32);
            }
            Flows::New => {
                feed.flags |= feed_flags::IN_ORDER;
                feed.mask = u32::MAX;
            }
            Flows::Listed {
                packets,
                backend,
                source,
            } => {
                feed.mask = mask(packets)?;
                feed.backend = backend;
                feed.source = source;
            }
        }
        self.feed.store(0, &feed);
        self.feed.word(0, COUNT_WORD).store(self.count, Ordering::Release);
        Ok(())
    }
}

fn mask(count: u32) -> Result<u32> {
    ensure!(count.is_power_of_two(), "{count} flows: only powers of two");
    Ok(count - 1)
}

/// The array of that name, in this process's memory.
pub(super) fn mapped<T: aya::Pod>(ebpf: &Ebpf, name: &str, len: u32) -> Result<Mapped<T>> {
    let Some(Map::Array(data)) = ebpf.map(name) else {
        return Err(anyhow!("no array {name}"));
    };
    Mapped::new(data.fd(), len).with_context(|| format!("cannot map {name}"))
}
