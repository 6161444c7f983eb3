//! What a guest is told to do, in this order: a step a line, its words between tabs.

use anyhow::{Context as _, Result, bail};

/// How many tests of this binary run at once. Those of the net tier mostly wait; those of the packet tier share a loaded program,
/// and each that runs beside another needs one more, which takes an emulated machine seconds.
pub fn threads(binary: &str) -> usize {
    if binary.starts_with("net_") { 4 } else { 1 }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Load the program for a service in this mode, and run no packet through it.
    Load { mode: String },
    /// Measure packets through `lb` and through IPVS, that many in a run, and so many runs of each.
    Forward { packets: u32, runs: u32 },
    /// Measure single packets with the packet benchmark, in so many rounds.
    Packet { rounds: u32 },
    /// Run tests of a binary, by their full names.
    Test { binary: String, names: Vec<String> },
}

/// The text of a plan.
pub fn to_text(steps: &[Step]) -> String {
    steps.iter().map(|step| step.line() + "\n").collect()
}

/// A plan from its text.
///
/// # Errors
///
/// A line that is no step.
pub fn from_text(text: &str) -> Result<Vec<Step>> {
    let step = |line: &str| Step::from_line(line).with_context(|| format!("in the plan: `{line}`"));
    text.lines().map(step).collect()
}

impl Step {
    fn line(&self) -> String {
        match self {
            Self::Load { mode } => ["load", mode].join("\t"),
            Self::Forward { packets, runs } => format!("forward\t{packets}\t{runs}"),
            Self::Packet { rounds } => format!("packet\t{rounds}"),
            Self::Test { binary, names } => ["test", binary, &names.join("\t")].join("\t"),
        }
    }

    fn from_line(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split('\t').collect();
        Ok(match words.as_slice() {
            ["load", mode] => Self::Load {
                mode: (*mode).to_owned(),
            },
            ["forward", packets, runs] => Self::Forward {
                packets: packets.parse()?,
                runs: runs.parse()?,
            },
            ["packet", rounds] => Self::Packet {
                rounds: rounds.parse()?,
            },
            ["test", binary, names @ ..] => Self::Test {
                binary: (*binary).to_owned(),
                names: names.iter().map(|name| (*name).to_owned()).collect(),
            },
            _ => bail!("no such step"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let plan = [
            Step::Load { mode: "nat".into() },
            Step::Forward { packets: 1000, runs: 2 },
            Step::Packet { rounds: 1 },
            Step::Test {
                binary: "net_modes".into(),
                names: vec!["nat".into(), "l2".into()],
            },
        ];
        assert_eq!(from_text(&to_text(&plan)).unwrap(), plan);
        assert!(from_text("boil\twater").is_err());
    }
}
