//! `cargo xtask vm bench`: packets through `lb` and through IPVS in a guest.
//!
//! Emulated, it counts instructions: the guest's clock advances by a nanosecond with each, so what the guest takes for time
//! is a number of instructions, the same in every run. Those can be compared to a few per cent; of the time that a packet
//! takes they say little. With KVM it is time.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use lb_guest::plan::{self, Step};
use lb_guest::said::Said;
use lb_guest::verdict::Verdict;

use super::figures::Figures;
use super::guests::Guests;
use super::kernels::Kernel;
use super::machine::{End, Processor};
use super::root::{self, Root};
use crate::shell;

const MODULES: &[&str] = &["veth", "pktgen", "ip_vs", "ip_vs_mh", "ipip"];

/// Packets of a run on the cable.
const PACKETS: u32 = 50_000;

/// So many more instructions than before are more than two boots differ by.
const WORSE: f64 = 1.03;

/// What the caller asks for.
#[derive(Default)]
pub struct Wanted<'a> {
    /// The series of the kernel; the newest where none is named.
    pub series: Option<&'a str>,
    /// Where to write the figures.
    pub json: Option<&'a Path>,
    /// Figures to compare with.
    pub against: Option<&'a Path>,
}

impl<'a> Wanted<'a> {
    /// From the arguments of the verb.
    pub fn parse(arguments: &[&'a str]) -> Option<Self> {
        let mut wanted = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let value = *arguments.next()?;
            match *argument {
                "--kernel" => wanted.series = Some(value),
                "--json" => wanted.json = Some(Path::new(value)),
                "--against" => wanted.against = Some(Path::new(value)),
                _ => return None,
            }
        }
        Some(wanted)
    }
}

/// Measures on a kernel; false when something got worse than it was.
pub fn run(kernel: &Kernel, lb: &Path, wanted: &Wanted) -> Result<bool> {
    let before = wanted.against.map(Figures::read).transpose()?;
    let guests = shell::step("the guest's file system", || Guests::new(&root_of(lb)?))?;
    let processor = match guests.can_use_kvm(kernel)? {
        true => Processor::Kvm,
        false => Processor::Counting,
    };
    let what = format!("measuring on {}", kernel.release);
    let figures = shell::step(&what, || measure(kernel, &guests, processor))?;
    println!("{figures}");
    if let Some(path) = wanted.json {
        figures.write(path)?;
    }
    match before {
        Some(before) => compare(&before, &figures),
        None => Ok(true),
    }
}

fn root_of(lb: &Path) -> Result<Root> {
    let mut root = Root::with_lb(lb)?;
    root.own_program("lb-bench", &lb.with_file_name("lb-bench"))?;
    root.host_program("ipvsadm")?;
    Ok(root)
}

fn measure(kernel: &Kernel, guests: &Guests, processor: Processor) -> Result<Figures> {
    // Instructions are the same every time.
    let runs = if processor == Processor::Counting { 1 } else { 5 };
    let plan = [Step::Forward { packets: PACKETS, runs }, Step::Packet { rounds: runs }];
    let own = root::of_kernel(kernel, MODULES, &plan::to_text(&plan))?;
    let machine = guests.machine(kernel, processor, &own)?;
    let mut figures = Figures::new(&kernel.release, processor);
    let mut broken = None;
    let end = machine.run(|line| match Said::from_line(line) {
        Some(Said::Figure { name, value }) => figures.add(name, value),
        Some(Said::Broken { why }) => broken = Some(why),
        Some(_) | None => {}
    })?;
    match (end, broken) {
        (End::Verdict(Verdict::Good), None) => Ok(figures),
        (_, Some(why)) => bail!("the guest gave up: {why}\n{}", machine.last_words(10)),
        (End::Silent, None) => bail!("the machine fell silent and was ended\n{}", machine.last_words(30)),
        (_, None) => bail!("the machine went down without a verdict\n{}", machine.last_words(30)),
    }
}

/// Says what changed by more than two boots differ by; false when something got worse.
fn compare(before: &Figures, now: &Figures) -> Result<bool> {
    ensure!(
        before.are_instructions() && now.are_instructions(),
        "times of two runs cannot be compared to a few per cent, only numbers of instructions can"
    );
    ensure!(
        before.kernel == now.kernel,
        "figures of kernel {} and of kernel {} cannot be compared; choose a kernel with --kernel, or measure what was before anew",
        before.kernel,
        now.kernel
    );
    let mut is_good = true;
    for (name, now) in &now.figures {
        let Some(before) = before.figures.get(name) else {
            println!("new: {name}");
            continue;
        };
        let change = (now / before - 1.0) * 100.0;
        let word = match now / before {
            ratio if ratio > WORSE => "worse",
            ratio if ratio < 1.0 / WORSE => "better",
            _ => continue,
        };
        is_good &= word != "worse";
        println!("{word}: {name}: {before:.0} -> {now:.0} instructions per packet ({change:+.1} %)");
    }
    for name in before.figures.keys().filter(|name| !now.figures.contains_key(*name)) {
        println!("gone: {name}");
    }
    let limit = (WORSE - 1.0) * 100.0;
    match is_good {
        true => println!("vm bench: nothing got more than {limit:.0} % worse"),
        false => println!("vm bench: WORSE by more than {limit:.0} %, see above"),
    }
    Ok(is_good)
}
