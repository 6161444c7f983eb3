//! What the figures depend on besides the programs.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// A machine as it was before the benchmarks ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Its model.
    pub cpu: String,
    /// How many of them run.
    pub cpus: usize,
    pub is_virtual: bool,
    /// Those of the first CPU: `L2 1024K`.
    pub caches: Vec<String>,
    /// Who decides the clock's frequency, where Linux does.
    pub governor: Option<String>,
    pub memory_bytes: u64,
    /// Its release.
    pub kernel: String,
    /// What it does against each vulnerability that the CPU has, in short: `spectre_v2: Retpolines`.
    pub mitigations: Vec<String>,
    /// Settings of the BPF JIT: `bpf_jit_enable = 1`.
    pub bpf_jit: Vec<String>,
    /// Load averages over 1, 5 and 15 minutes; a build just before counts in the first.
    pub load: [f64; 3],
    /// The compiler that built the benchmark.
    pub rustc: String,
    /// Cargo's profile that it was built with: `release`, `debug`.
    pub profile: String,
}

impl Machine {
    /// Looks at this one. What cannot be read is left empty.
    pub fn look() -> Self {
        Self::below(Path::new("/"))
    }

    /// The same, with `proc` and `sys` below this directory.
    fn below(root: &Path) -> Self {
        let cpuinfo = read(root, "proc/cpuinfo");
        let field = |name| fields(&cpuinfo, name).next().unwrap_or_default().to_owned();
        let flags = field("flags");
        let memory = read(root, "proc/meminfo");
        let memory_kib: u64 = fields(&memory, "MemTotal")
            .find_map(|size| size.trim_end_matches(" kB").parse().ok())
            .unwrap_or(0);
        let governor = read(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
        Self {
            cpu: field("model name"),
            cpus: fields(&cpuinfo, "processor").count(),
            is_virtual: flags.split(' ').any(|flag| flag == "hypervisor"),
            caches: caches(root),
            governor: Some(governor).filter(|governor| !governor.is_empty()),
            memory_bytes: memory_kib * 1024,
            kernel: read(root, "proc/sys/kernel/osrelease"),
            mitigations: mitigations(root),
            bpf_jit: bpf_jit(root),
            load: load(&read(root, "proc/loadavg")),
            rustc: env!("LB_BENCH_RUSTC").into(),
            profile: env!("LB_BENCH_PROFILE").into(),
        }
    }

    /// In what it differs from another, as far as figures of the one cannot be compared with those of the other.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        self.lines()
            .into_iter()
            .zip(other.lines())
            .filter(|(one, other)| one != other)
            .map(|((what, one), (_, other))| format!("{what}: {one}, then {other}"))
            .collect()
    }

    /// Name and value of each thing that does not change from run to run.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let or_unknown = |text: &str| if text.is_empty() { "unknown" } else { text }.to_owned();
        let listed = |list: &[String], none: &str| if list.is_empty() { none.into() } else { list.join(", ") };
        let kind = if self.is_virtual { ", in a virtual machine" } else { "" };
        let gib = self.memory_bytes as f64 / (1u64 << 30) as f64;
        let governor = self.governor.as_deref().unwrap_or("none");
        vec![
            ("CPU", format!("{}{kind}", or_unknown(&self.cpu))),
            ("CPUs", self.cpus.to_string()),
            ("caches", listed(&self.caches, "unknown")),
            ("frequency governor", governor.to_owned()),
            ("memory", format!("{gib:.1} GiB")),
            ("kernel", or_unknown(&self.kernel)),
            ("mitigations", listed(&self.mitigations, "none")),
            ("BPF JIT", listed(&self.bpf_jit, "unknown")),
            ("compiler", format!("{}, profile {}", self.rustc, self.profile)),
        ]
    }
}

/// A file's text, trimmed; empty where there is none or we may not read it.
fn read(root: &Path, path: &str) -> String {
    let text = std::fs::read_to_string(root.join(path)).unwrap_or_default();
    text.trim().to_owned()
}

/// Values of the fields of that name in `name : value` lines.
fn fields<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (field, value) = line.split_once(':')?;
        (field.trim() == name).then(|| value.trim())
    })
}

/// Names in a directory, sorted.
fn names(root: &Path, path: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root.join(path)).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn caches(root: &Path) -> Vec<String> {
    let dir = "sys/devices/system/cpu/cpu0/cache";
    let indexes = names(root, dir).into_iter().filter(|name| name.starts_with("index"));
    let cache = |index: String| {
        let of = |what| read(root, &format!("{dir}/{index}/{what}"));
        let letter = match of("type").as_str() {
            "Data" => "d",
            "Instruction" => "i",
            _ => "",
        };
        format!("L{}{letter} {}", of("level"), of("size"))
    };
    indexes.map(cache).collect()
}

fn mitigations(root: &Path) -> Vec<String> {
    let dir = "sys/devices/system/cpu/vulnerabilities";
    let mitigation = |name: String| {
        let state = read(root, &format!("{dir}/{name}"));
        let state = state.trim_start_matches("Mitigation: ");
        let first = state.split(';').next().unwrap_or(state);
        (!first.is_empty() && first != "Not affected").then(|| format!("{name}: {first}"))
    };
    names(root, dir).into_iter().filter_map(mitigation).collect()
}

fn bpf_jit(root: &Path) -> Vec<String> {
    ["bpf_jit_enable", "bpf_jit_harden", "bpf_jit_kallsyms", "bpf_jit_limit"]
        .into_iter()
        .map(|name| (name, read(root, &format!("proc/sys/net/core/{name}"))))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name} = {value}"))
        .collect()
}

fn load(loadavg: &str) -> [f64; 3] {
    let mut averages = loadavg.split(' ').map(|average| average.parse().unwrap_or(0.0));
    [(); 3].map(|()| averages.next().unwrap_or(0.0))
}

/// Time that all CPUs have spent since the start, in the kernel's ticks.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    busy: u64,
    stolen: u64,
    all: u64,
}

impl CpuTime {
    /// Until now.
    pub fn now() -> Self {
        Self::parse(&read(Path::new("/"), "proc/stat"))
    }

    /// From the first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal; guests count as user.
    fn parse(stat: &str) -> Self {
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).flat_map(str::parse).collect();
        let at = |place: usize| ticks.get(place).copied().unwrap_or(0);
        let all = ticks.iter().sum();
        let idle = at(3) + at(4);
        Self {
            busy: all - idle,
            stolen: at(7),
            all,
        }
    }

    /// Share of the time since then in which CPUs did something, or were taken away.
    pub fn busy_since(self, then: Self) -> f64 {
        share(self.busy.saturating_sub(then.busy), self.all.saturating_sub(then.all))
    }

    /// Share of the time since then in which the host ran something else.
    pub fn stolen_since(self, then: Self) -> f64 {
        share(
            self.stolen.saturating_sub(then.stolen),
            self.all.saturating_sub(then.all),
        )
    }
}

fn share(part: u64, all: u64) -> f64 {
    part as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with these files.
    fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn what_the_kernel_says() {
        let vulnerabilities = "sys/devices/system/cpu/vulnerabilities";
        let cache = "sys/devices/system/cpu/cpu0/cache/index0";
        let root = files(&[
            (
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: A CPU: fast\nflags\t\t: fpu hypervisor\n\nprocessor\t: 1\nmodel name\t: B\n",
            ),
            ("proc/meminfo", "MemTotal:        4194304 kB\nMemFree: 1 kB\n"),
            ("proc/loadavg", "0.52 0.40 0.10 1/200 4242\n"),
            ("proc/sys/kernel/osrelease", "6.18.0\n"),
            ("proc/sys/net/core/bpf_jit_enable", "1\n"),
            (&format!("{cache}/level"), "1\n"),
            (&format!("{cache}/type"), "Data\n"),
            (&format!("{cache}/size"), "32K\n"),
            (
                &format!("{vulnerabilities}/spectre_v2"),
                "Mitigation: Retpolines; IBPB: conditional\n",
            ),
            (&format!("{vulnerabilities}/meltdown"), "Not affected\n"),
            (&format!("{vulnerabilities}/gds"), "Vulnerable\n"),
        ]);
        let machine = Machine::below(root.path());
        assert_eq!(
            (machine.cpu.as_str(), machine.cpus, machine.is_virtual),
            ("A CPU: fast", 2, true)
        );
        assert_eq!(machine.memory_bytes, 4 << 30);
        assert_eq!(machine.load, [0.52, 0.40, 0.10]);
        assert_eq!(machine.kernel, "6.18.0");
        assert_eq!(machine.bpf_jit, ["bpf_jit_enable = 1"]);
        assert_eq!(machine.caches, ["L1d 32K"]);
        assert_eq!(machine.mitigations, ["gds: Vulnerable", "spectre_v2: Retpolines"]);
        assert_eq!(machine.governor, None);
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        let root = files(&[]);
        let machine = Machine::below(root.path());
        assert_eq!(machine.cpus, 0);
        assert!(machine.lines().contains(&("CPU", "unknown".into())));
    }

    #[test]
    fn two_machines_differ_in_what_they_are_and_not_in_their_load() {
        let one = Machine {
            kernel: "6.18.0".into(),
            ..Machine::default()
        };
        let busy = Machine {
            load: [9.0; 3],
            ..one.clone()
        };
        assert!(one.differences(&busy).is_empty());
        let other = Machine {
            kernel: "6.1.0".into(),
            ..one.clone()
        };
        assert_eq!(one.differences(&other), ["kernel: 6.18.0, then 6.1.0"]);
    }

    #[test]
    fn time_of_cpus() {
        let then = CpuTime::parse("cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 1 1 1\n");
        let now = CpuTime::parse("cpu  40 0 20 110 20 0 0 10 0 0\n");
        assert_eq!((now.busy_since(then), now.stolen_since(then)), (0.5, 0.1));
    }
}
