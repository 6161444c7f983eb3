//! Packets that are sent through a balancer, and what arrives behind it.

use anyhow::{Context as _, Result, anyhow, ensure};
use aya::maps::{DevMap, PerCpuArray};
use aya::programs::tc::{self, TcAttachType, TcError};
use aya::programs::{SchedClassifier, TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use lb_common::bench::FRONT_WORDS;
use lb_common::bench::traffic::{Generator, HEADER_BYTES, LABEL_BYTES, Sunk, flags, maps};
use lb_userspace::edge::dataplane::testing::Mapped;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("LB_BENCH_OBJECTS"), "/bench_traffic"));

/// Frames that the kernel sends at once: what a driver's poll takes.
const BATCH: u32 = 64;

/// What is sent.
#[derive(Clone, Debug)]
pub struct Packets {
    /// The frame of flow 0: Ethernet, IPv4 without options, UDP, and a label of zeroes with its magic number.
    pub frame: Vec<u8>,
    /// A power of two.
    pub flows: u32,
    /// One flow after the other, instead of at random.
    pub is_in_order: bool,
    /// Interface that they leave by.
    pub exit: u32,
}

/// How many packets are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    warm_up: u32,
    timed: u32,
}

/// Packets that were sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub packets: u64,
    /// Of one.
    pub nanoseconds: f64,
}

impl Count {
    /// Packets in whole batches: so both times are taken at the same place of one.
    pub fn new(warm_up: u32, timed: u32) -> Self {
        let [warm_up, timed] = [warm_up, timed].map(|count| count.next_multiple_of(BATCH));
        Self { warm_up, timed }
    }

    /// With the one after the last that is timed.
    fn all(self) -> u32 {
        self.warm_up + self.timed + 1
    }
}

/// What has arrived so far, everywhere together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Ours.
    pub packets: u64,
    /// Of ours, those behind a later packet of their flow group, or a second time.
    pub late: u64,
    /// Everybody else's.
    pub others: u64,
}

/// The generator and its sinks.
pub struct Traffic {
    ebpf: Ebpf,
    generator: Mapped<Generator>,
    /// Packets sent so far.
    count: u64,
}

impl Traffic {
    /// Loads them; attached to nothing.
    pub fn new() -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .load(OBJECT)
            .context("the object of the generator and the sinks")?;
        super::load(&mut ebpf, "generate")?;
        super::load(&mut ebpf, "sink")?;
        sink_of_stack(&mut ebpf)?
            .load()
            .context("the kernel refuses sink_skb")?;
        let generator = super::feed::mapped(&ebpf, maps::GENERATOR, 1)?;
        Ok(Self {
            ebpf,
            generator,
            count: 0,
        })
    }

    /// Makes interface `device` of this thread's namespace the exit of that number.
    pub fn add_exit(&mut self, exit: u32, device: &str) -> Result<()> {
        let name = std::ffi::CString::new(device)?;
        // SAFETY: the name ends with a zero and outlives the call.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        ensure!(index != 0, "{device}: {}", std::io::Error::last_os_error());
        let map = self.ebpf.map_mut(maps::EXITS).ok_or_else(|| anyhow!("no map"))?;
        let mut exits = DevMap::try_from(map)?;
        let set = exits.set(exit, index, None, 0);
        set.with_context(|| format!("{device}: the devmap does not take it"))
    }

    /// Ends in the driver what arrives at interface `device` of this thread's namespace.
    pub fn attach_sink(&mut self, device: &str) -> Result<()> {
        let sink = super::load(&mut self.ebpf, "sink")?;
        let attached = sink.attach(device, XdpMode::Driver).map(drop);
        attached.with_context(|| format!("{device}: cannot attach the sink"))
    }

    /// Ends in the stack, before anything is done with it, what arrives at interface `device` of this thread's namespace.
    pub fn attach_sink_of_stack(&mut self, device: &str) -> Result<()> {
        match tc::qdisc_add_clsact(device) {
            // Where programs are attached without it, it does no harm.
            Ok(()) | Err(TcError::AlreadyAttached) => {}
            Err(error) => return Err(error).with_context(|| format!("{device}: cannot add clsact")),
        }
        let sink = sink_of_stack(&mut self.ebpf)?;
        let attached = sink.attach(device, TcAttachType::Ingress).map(drop);
        attached.with_context(|| format!("{device}: cannot attach the sink"))
    }

    /// Sends packets, and returns what one took: some to warm up, those that are timed, and one more.
    ///
    /// With everything on one CPU that is all that happens to a packet, to its end: each batch is worked off before the next.
    pub fn send(&mut self, packets: &Packets, count: Count) -> Result<Sent> {
        let marks = [count.warm_up, count.warm_up + count.timed].map(|before| self.count + before as u64 + 1);
        self.set(packets, marks)?;
        let program: &Xdp = self.ebpf.program("generate").context("no generator")?.try_into()?;
        let options = TestRunOptions {
            data_in: Some(&packets.frame),
            repeat: count.all(),
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        let result = program.test_run(options);
        self.count += count.all() as u64;
        result.context("BPF_PROG_TEST_RUN with live frames, which Linux has since 5.18")?;
        let [begin, end] = self.generator.load(0).times;
        ensure!(begin != 0 && end > begin, "the generator has not noted its times");
        Ok(Sent {
            packets: count.all() as u64,
            nanoseconds: (end - begin) as f64 / count.timed as f64,
        })
    }

    pub fn arrived(&self) -> Result<Arrived> {
        let sunk = self.sunk()?;
        let sum = |field: fn(&Sunk) -> u64| sunk.iter().map(field).sum();
        Ok(Arrived {
            packets: sum(|cpu| cpu.packets),
            late: sum(|cpu| cpu.late),
            others: sum(|cpu| cpu.others),
        })
    }

    /// Packets that arrived on each CPU, and the start of the one that was kept there last.
    pub fn kept(&self) -> Result<Vec<(u64, Vec<u8>)>> {
        let kept = |cpu: &Sunk| {
            let bytes: Vec<u8> = cpu.kept.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let length = bytes.len().min(cpu.kept_bytes as usize);
            (cpu.packets, bytes[..length].to_vec())
        };
        Ok(self.sunk()?.iter().map(kept).collect())
    }

    fn sunk(&self) -> Result<Vec<Sunk>> {
        let map = self.ebpf.map(maps::SUNK).context("no map SUNK")?;
        let sunk: PerCpuArray<_, Sunk> = PerCpuArray::try_from(map)?;
        Ok(sunk.get(&0, 0)?.to_vec())
    }

    fn set(&mut self, packets: &Packets, marks: [u64; 2]) -> Result<()> {
        let frame = &packets.frame;
        ensure!(
            frame.len() >= HEADER_BYTES + LABEL_BYTES,
            "a frame of {} bytes is too short for the label",
            frame.len()
        );
        ensure!(
            packets.flows.is_power_of_two(),
            "{} flows: only powers of two",
            packets.flows
        );
        let mut front = [0u64; FRONT_WORDS];
        for (word, bytes) in front.iter_mut().zip(frame.chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into()?);
        }
        let generator = Generator {
            front,
            count: self.count,
            client: u32::from_be_bytes(frame[26..30].try_into()?),
            mask: packets.flows - 1,
            flags: if packets.is_in_order { flags::IN_ORDER } else { 0 },
            exit: packets.exit,
            marks,
            times: [0; 2],
            reserved: [0; 2],
        };
        self.generator.store(0, &generator);
        Ok(())
    }
}

fn sink_of_stack(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier> {
    let program = ebpf.program_mut("sink_skb").context("no program sink_skb")?;
    Ok(program.try_into()?)
}
