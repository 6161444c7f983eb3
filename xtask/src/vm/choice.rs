//! Which tests run in a guest: all of the packet and net tests, but for what is listed here with the reason.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::shell::{self, cargo};
use crate::workspace::json_string;

/// Tests that do not run in a guest.
struct LeftOut {
    binary: &'static str,
    /// What their names begin with; all of the binary where it is empty.
    tests: &'static str,
    why: &'static str,
}

const SLOW: &str = "minutes under emulation, and what the kernel does in it is in other tests that run here";
const FULL_SPEED: &str = "two threads race within microseconds, which needs two CPUs at full speed";
const MANY_PACKETS: &str =
    "too many packets for an emulated machine, and the kernel treats each as it treats those of other tests";
const SAME_PATH: &str =
    "seconds for every kernel, and what becomes of its packets is in packet::modes, which runs here";
const IN_VLANS: &str = "its test in VLANs does the same and more, and runs here";
const OF_IPV6: &str =
    "seconds for every kernel, and what becomes of IPv6 packets in each mode is in packet::families, which runs here";
const OF_VERSIONS: &str =
    "what the kernel does for packets between IP versions is in packet::families, which runs here";
const OF_PACKETS: &str = "what packets of this kind become is in packet::modes and packet::reasons, which run here";
const OF_ICMP: &str = "what the kernel does for ICMP is in other tests of packet::icmp, which run here";
const OF_FULLNAT: &str = "what packets of `fullnat` become is in packet::modes and packet::flow_table, which run here";
const OF_TAGS: &str =
    "what the kernel does for tags is in packet::vlan::a_next_hop_changes_its_vlan and in net_modes, which run here";
const OF_FRAGMENTS: &str =
    "what the kernel does for fragments is in packet::fragments::a_datagram_gets_to_its_backend, which runs here";
const OF_TESTS: &str = "about a tool of the tests, which is the same on every kernel";
const BOOKKEEPING: &str =
    "about what the daemon makes of the maps, which is the same on every kernel; another test here does the same calls";
const OF_TRACE: &str = "seconds for every kernel; the same program runs packets in packet::replay, which runs here";
const NO_SUCH_PROGRAMS: &str =
    "its servers and clients are programs that no guest has, and what packets of this kind become is in packet::modes";
const OF_FILES: &str = "about files and arguments; the same program runs packets in other tests here";

const LEFT_OUT: &[LeftOut] = &[
    left_out("net_cli", "", SLOW),
    left_out("net_crash", "", SLOW),
    left_out("net_dns", "", NO_SUCH_PROGRAMS),
    left_out("net_failover", "", SLOW),
    left_out("net_fragments", "", OF_FRAGMENTS),
    left_out("net_icmp", "", OF_ICMP),
    left_out("net_modes", "fullnat_from_", OF_IPV6),
    left_out("net_modes", "fullnat_over_ipv6", OF_IPV6),
    left_out("net_modes", "fullnat_with_one_arm", OF_FULLNAT),
    left_out("net_modes", "fullnat_with_two_arms", SAME_PATH),
    left_out("net_modes", "gue", SAME_PATH),
    left_out("net_modes", "ipip", IN_VLANS),
    left_out("net_modes", "ipv4_in_gue_in_ipv6", OF_IPV6),
    left_out("net_modes", "ipv4_in_ipv6", OF_IPV6),
    left_out("net_modes", "ipv6_in_ipv4", OF_IPV6),
    left_out("net_modes", "l2", SAME_PATH),
    left_out("net_modes", "nat", SAME_PATH),
    left_out("net_modes", "udp_", OF_PACKETS),
    left_out("net_modes", "vlans_fullnat", OF_FULLNAT),
    left_out("net_modes", "vlans_nat", SAME_PATH),
    left_out("net_modes", "what_is_for_the_balancer_itself", OF_PACKETS),
    left_out("net_protocols", "every_protocol", OF_PACKETS),
    left_out("net_protocols", "sctp_gue", SAME_PATH),
    left_out("net_protocols", "sctp_l2", SAME_PATH),
    left_out("net_refused", "", SLOW),
    left_out("net_routes", "", SLOW),
    left_out("net_trace", "", OF_TRACE),
    left_out("packet", "across::", OF_VERSIONS),
    left_out("packet", "adopt::account::a_backend_that_came_back", BOOKKEEPING),
    left_out("packet", "adopt::account::either_object", BOOKKEEPING),
    left_out("packet", "adopt::account::what_was_retired_rests_on", BOOKKEEPING),
    left_out("packet", "adopt::counters", BOOKKEEPING),
    left_out("packet", "adopt::pins::another_version", OF_FILES),
    left_out("packet", "adopt::pins::removal_leaves_nothing", OF_FILES),
    left_out("packet", "adopt::pins::a_start_that_was_cut_short", SLOW),
    left_out("packet", "differential::", MANY_PACKETS),
    left_out("packet", "failover::", SLOW),
    left_out("packet", "flow_table::collected::each_state_has_its_time", BOOKKEEPING),
    left_out("packet", "flow_table::collected::ports_come_back", MANY_PACKETS),
    left_out("packet", "flow_table::collected::the_queue_wraps", MANY_PACKETS),
    left_out("packet", "flow_table::full::a_full_table", MANY_PACKETS),
    left_out("packet", "flow_table::full::every_source_is_tried", MANY_PACKETS),
    left_out("packet", "flow_table::full::without_free_ports", MANY_PACKETS),
    left_out("packet", "flow_table::repaired::a_flow_that_came_again", BOOKKEEPING),
    left_out("packet", "flow_table::repaired::two_sweeps_repair", BOOKKEEPING),
    left_out("packet", "flow_table::side_by_side", FULL_SPEED),
    left_out(
        "packet",
        "flow_table::in_the_making::a_flow_that_is_finished",
        FULL_SPEED,
    ),
    left_out("packet", "decap::there_and_back_again", OF_PACKETS),
    left_out("packet", "families::headers", OF_PACKETS),
    left_out("packet", "fragments::a_datagram_gets_back", OF_FRAGMENTS),
    left_out("packet", "fragments::decap", OF_FRAGMENTS),
    left_out("packet", "fragments::fragments_of_all_sorts", OF_FRAGMENTS),
    left_out("packet", "fragments::not_followed", OF_FRAGMENTS),
    left_out("packet", "fragments::the_kernel_routes", OF_FRAGMENTS),
    left_out("packet", "icmp::about", OF_ICMP),
    left_out("packet", "icmp::answer::errors_are_limited", MANY_PACKETS),
    left_out("packet", "icmp::answer::the_sender_of_what_came_too_far", OF_ICMP),
    left_out("packet", "icmp::client", OF_ICMP),
    left_out("packet", "icmp::echo", OF_ICMP),
    left_out("packet", "loaded::", OF_TESTS),
    left_out("packet", "modes::spread", MANY_PACKETS),
    left_out("packet", "objects::each_choice", SLOW),
    left_out("packet", "random::", MANY_PACKETS),
    left_out("packet", "ranges::the_smallest", OF_PACKETS),
    left_out("packet", "reasons::a_driver_without_headroom", OF_PACKETS),
    left_out("packet", "reasons::each_packet_of_fullnat", OF_FULLNAT),
    left_out("packet", "replay::captures", OF_FILES),
    left_out("packet", "replay::modes::answers_in_each_mode", OF_PACKETS),
    left_out("packet", "replay::cells", OF_FILES),
    left_out("packet", "replay::host", OF_FILES),
    left_out("packet", "replay::modes::each_kind_in_each_mode", OF_PACKETS),
    left_out("packet", "replay::modes::the_contract_as_it_stands", OF_FILES),
    left_out("packet", "replay::modes::tshark_finds_no_bad_checksum", OF_FILES),
    left_out("packet", "replay::options::a_backend", OF_FILES),
    left_out("packet", "replay::options::macs", OF_FILES),
    left_out("packet", "replay::options::nobody", OF_FILES),
    left_out("packet", "replay::options::what_is_wrong_is_named", OF_FILES),
    left_out("packet", "replay::options::who_is_down", OF_FILES),
    left_out("packet", "replay::options::without_a_source", OF_FILES),
    left_out("packet", "replay::options::without_json", OF_FILES),
    left_out("packet", "replay::sequence", OF_FILES),
    left_out("packet", "roles::", BOOKKEEPING),
    left_out("packet", "shares::", MANY_PACKETS),
    left_out("packet", "vlan::answers", OF_TAGS),
    left_out("packet", "vlan::errors", OF_TAGS),
    left_out("packet", "vlan::packets", MANY_PACKETS),
    left_out("packet", "vlan::senders", OF_TAGS),
    left_out("packet", "vlan::tags_change", OF_TAGS),
    left_out("packet", "vlan::what_is", MANY_PACKETS),
    left_out("packet", "vlan::what_the", OF_TAGS),
];

const fn left_out(binary: &'static str, tests: &'static str, why: &'static str) -> LeftOut {
    LeftOut { binary, tests, why }
}

/// A binary of tests, as cargo built it.
pub struct Binary {
    pub name: String,
    pub file: PathBuf,
    /// The full names of those of its tests that run in a guest.
    pub tests: Vec<String>,
    /// Those that do not, and why.
    pub left_out: Vec<(String, &'static str)>,
}

/// The binaries of the packet and net tests, built as `cargo xtask test` builds them, with the tests whose names hold
/// `filter`.
pub fn binaries(filter: Option<&str>) -> Result<Vec<Binary>> {
    let mut build = cargo();
    build.args(["test", "--no-run", "--quiet", "--message-format=json"]);
    let messages = shell::output(&mut build)?;
    let built = messages.lines().filter_map(built);
    let mut binaries = built
        .map(|(name, file)| Binary::new(name, file))
        .collect::<Result<Vec<_>>>()?;
    binaries.sort_by(|a, b| a.name.cmp(&b.name));
    all_are_there(&binaries)?;
    if let Some(filter) = filter {
        for binary in &mut binaries {
            let whole = |test: &String| format!("{}::{test}", binary.name).contains(filter);
            binary.tests.retain(whole);
            binary.left_out.retain(|(test, _)| whole(test));
        }
    }
    Ok(binaries)
}

/// Name and place of a binary of packet or net tests, from a message of cargo's.
fn built(message: &str) -> Option<(&str, PathBuf)> {
    let file = json_string(message, "executable")?;
    let name = json_string(message, "name")?;
    let is_ours = name == "packet" || name.starts_with("net_");
    (is_ours && message.contains(r#""kind":["test"]"#)).then(|| (name, file.into()))
}

/// What is left out has to be there, lest the list tells of tests that are gone.
fn all_are_there(binaries: &[Binary]) -> Result<()> {
    for LeftOut { binary, tests, .. } in LEFT_OUT {
        let mut names = binaries
            .iter()
            .filter(|one| one.name == *binary)
            .flat_map(|one| &one.left_out);
        ensure!(
            names.any(|(test, _)| test.starts_with(tests)),
            "{binary}::{tests} is to be left out of the guests, but there is no such test; see xtask/src/vm/choice.rs"
        );
    }
    Ok(())
}

impl Binary {
    fn new(name: &str, file: PathBuf) -> Result<Self> {
        let listed = shell::output(Command::new(&file).args(["--list", "--format", "terse"]))?;
        let (mut tests, mut left_out) = (Vec::new(), Vec::new());
        for test in listed.lines().filter_map(|line| line.strip_suffix(": test")) {
            match why_left_out(name, test) {
                Some(why) => left_out.push((test.to_owned(), why)),
                None => tests.push(test.to_owned()),
            }
        }
        let name = name.to_owned();
        Ok(Self {
            name,
            file,
            tests,
            left_out,
        })
    }
}

fn why_left_out(binary: &str, test: &str) -> Option<&'static str> {
    let matches = |left: &&LeftOut| left.binary == binary && test.starts_with(left.tests);
    LEFT_OUT.iter().find(matches).map(|left| left.why)
}

/// The directory of the fixtures, which tests find by the path that they were built with.
pub fn fixtures() -> Result<PathBuf> {
    let dir = crate::workspace::root().join("tests/fixtures");
    dir.canonicalize().context("the tests' fixtures")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_cargo() {
        let message = |kind: &str, name: &str| {
            format!(
                r#"{{"target":{{"kind":["{kind}"],"crate_types":["bin"],"name":"{name}"}},"executable":"/t/{name}-1"}}"#
            )
        };
        let net = message("test", "net_modes");
        assert_eq!(built(&net), Some(("net_modes", "/t/net_modes-1".into())));
        assert_eq!(built(&message("bin", "net_modes")), None);
        assert_eq!(built(&message("test", "lab")), None);
        assert_eq!(built(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
