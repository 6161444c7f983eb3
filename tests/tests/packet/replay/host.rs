//! A replay happens in private: nothing of it appears on the host.

use std::process::Command;

use lb_tests::needs_bpf;
use lb_tests::packet::objects::possible;
use lb_userspace::core::model::Mode;

use super::{Desk, contract_in, fixture};

/// Run in namespaces of its own, so that nobody else's doings are taken for the replay's.
const SCRIPT: &str = r#"
set -e
mount -t bpf bpf /sys/fs/bpf
look() { ip -o link; ip -o addr; ip route show table all; ip neigh; find /sys/fs/bpf; find "$RUN"; }
look > "$DESK/before"
"$LB" replay "$DESK/lb.toml" "$KINDS" -o json -w "$DESK/out.pcap" > "$DESK/lines"
look > "$DESK/after"
"#;

#[test]
fn nothing_appears_on_the_host() {
    needs_bpf!();
    lb_lab::needs_root!();
    lb_lab::needs!(lb_lab::program::find("unshare").is_some(), "there is no unshare here");
    for mode in possible(&super::MODES) {
        // Make, set up.
        let desk = Desk::new();
        desk.put("lb.toml", contract_in(mode));
        let run = desk.path("run");
        std::fs::create_dir(&run).expect("a directory");
        let mut script = Command::new("unshare");
        script.args(["--net", "--mount", "sh", "-c", SCRIPT]);
        script
            .env("DESK", desk.path(""))
            .env("RUN", &run)
            .env("KINDS", fixture("kinds.pcap"));
        script.env("LB", lb_lab::program::lb().expect("lb is built"));
        // Where a daemon would put things.
        for place in ["LB_STATE_DIR", "LB_SOCKET", "LB_PIN_DIR"] {
            script.env(place, run.join("lb"));
        }
        lb_lab::program::output(&mut script).expect("it runs without a daemon, and without a network");
        // Check.
        let read = |name| std::fs::read_to_string(desk.path(name)).expect("it was written");
        assert_eq!(read("after"), read("before"), "{mode:?}");
        assert!(read("before").contains("/sys/fs/bpf"), "{mode:?}");
        assert_eq!(read("lines").lines().count(), 24, "{mode:?}");
    }
}

/// No socket of a daemon is needed, and none is asked for.
#[test]
fn no_daemon_is_needed() {
    needs_bpf!();
    // Make, set up.
    let desk = Desk::new();
    let config = desk.put("lb.toml", contract_in(Mode::Nat));
    let mut lb = super::lb();
    lb.env("LB_SOCKET", desk.path("nobody.sock"))
        .args(["replay", &config, &fixture("kinds.pcap")]);
    // Check.
    let output = lb.output().expect("lb runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
