//! What a guest says, a line each, among the lines of the tests that it runs.

use std::fmt;

/// No line of libtest begins with this.
const MARK: &str = "@guest";

/// A line of the guest's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// The kernel's release, and after how many seconds the guest began.
    Booted { release: String, after_s: f64 },
    /// The kernel took the program for this mode.
    Loads { mode: String },
    /// It did not; what `lb` said.
    Refuses { mode: String, why: String },
    /// The lines that follow are of this binary.
    Tests { binary: String },
    /// A test said that it was skipped: its name and why, as the file of the skipped has it.
    Skipped { line: String },
    /// Something measured, per packet: nanoseconds by the guest's clock.
    Figure { name: String, value: f64 },
    /// The plan cannot be carried out.
    Broken { why: String },
}

impl Said {
    /// From a line; none where it is not the guest's own.
    pub fn from_line(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.strip_prefix(MARK)?.strip_prefix('\t')?.splitn(3, '\t').collect();
        let own = |text: &str| text.to_owned();
        Some(match words.as_slice() {
            ["booted", release, after] => Self::Booted {
                release: own(release),
                after_s: after.parse().ok()?,
            },
            ["loads", mode] => Self::Loads { mode: own(mode) },
            ["refuses", mode, why] => Self::Refuses {
                mode: own(mode),
                why: own(why),
            },
            ["tests", binary] => Self::Tests { binary: own(binary) },
            ["skipped", name, why] => Self::Skipped {
                line: format!("{name}\t{why}"),
            },
            ["figure", name, value] => Self::Figure {
                name: own(name),
                value: value.parse().ok()?,
            },
            ["broken", why] => Self::Broken { why: own(why) },
            _ => return None,
        })
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}\t")?;
        match self {
            Self::Booted { release, after_s } => write!(f, "booted\t{release}\t{after_s:.2}"),
            Self::Loads { mode } => write!(f, "loads\t{mode}"),
            Self::Refuses { mode, why } => write!(f, "refuses\t{mode}\t{}", one_line(why)),
            Self::Tests { binary } => write!(f, "tests\t{binary}"),
            Self::Skipped { line } => write!(f, "skipped\t{line}"),
            Self::Figure { name, value } => write!(f, "figure\t{name}\t{value}"),
            Self::Broken { why } => write!(f, "broken\t{}", one_line(why)),
        }
    }
}

fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ").replace('\t', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_read_as_it_was_said() {
        let all = [
            Said::Booted {
                release: "6.1.0-56-cloud-amd64".into(),
                after_s: 1.5,
            },
            Said::Loads { mode: "l2".into() },
            Said::Refuses {
                mode: "fullnat".into(),
                why: "7: (db) r1 = atomic64_cmpxchg; no".into(),
            },
            Said::Tests { binary: "net".into() },
            Said::Skipped {
                line: "a::b\tneeds that".into(),
            },
            Said::Figure {
                name: "forward/lb/l2".into(),
                value: 812.25,
            },
            Said::Broken { why: "no plan".into() },
        ];
        for said in all {
            assert_eq!(Said::from_line(&said.to_string()), Some(said));
        }
    }

    #[test]
    fn what_is_said_is_one_line() {
        let why = "first\n\n\tsecond".to_owned();
        let said = Said::Broken { why }.to_string();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(Said::from_line("test a ... ok"), None);
        assert_eq!(Said::from_line("@guest\tflies"), None);
    }
}
