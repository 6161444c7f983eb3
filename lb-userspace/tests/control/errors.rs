//! Each error is one clear line, with its exit code.

use crate::cli::run;
use crate::fake::{self, Daemon};

async fn says(words: &str, code: u8, lines: &[&str]) {
    let mut daemon = Daemon::start();
    let words: Vec<&str> = words.split_whitespace().collect();
    let ran = run(&daemon.socket, &words).await;
    let expected: String = lines.iter().map(|line| format!("error: {line}\n")).collect();
    assert_eq!(
        (ran.code, ran.err.as_str(), ran.out.as_str()),
        (code, expected.as_str(), ""),
        "{words:?}"
    );
    if code == 2 {
        assert!(daemon.asked.try_recv().is_err(), "{words:?} reached the daemon");
    }
}

#[tokio::test]
async fn wrong_values() {
    for (words, line) in [
        (
            "backend add web 10.0.0.300:80",
            r#"backend address "10.0.0.300:80": 10.0.0.300 is not an IPv4 address (300 is over 255); give ADDR[:PORT]"#,
        ),
        (
            "backend add web 10.0.0.3:0",
            r#"backend address "10.0.0.3:0": port 0 is not one from 1 to 65535; give ADDR[:PORT]"#,
        ),
        (
            "backend add web 10.0.0.3 --weight -5",
            r#"weight "-5" is negative; give 0 (no new flows) or more, 100 is usual"#,
        ),
        (
            "weight web/web-1 -5",
            r#"weight "-5" is negative; give 0 (no new flows) or more, 100 is usual"#,
        ),
        (
            "service add web --vip 192.0.2.10:0",
            r#"VIP "192.0.2.10:0": port 0 is not one from 1 to 65535; give ADDR[/LEN][:PORT|:FROM-TO][/tcp|udp|sctp|any]"#,
        ),
        ("maint web", r#""web" names a service; give SERVICE/BACKEND"#),
        (
            "list --watch=1",
            r#""1" is not a duration; give a number with its unit, as 500ms, 2s, 5m or 1h"#,
        ),
        (
            "list --watch=0s",
            r#""0s" is no time between two looks; give 1s or the like"#,
        ),
        (
            "service add web --vip 192.0.2.1:80 --table-size -7",
            r#"table size "-7" is not a whole number from 1"#,
        ),
        (
            "service set web",
            "service web: nothing to set; give --vip, --mode, --check, --table-size or --when-all-down",
        ),
        (
            "trace 10.1.0.2 10.9.0.1:80",
            r#""10.1.0.2": it has no port; give ADDR:PORT, as 198.51.100.7:40000 or [2001:db8::7]:40000"#,
        ),
        (
            "trace 10.1.0.2:1 10.9.0.1:80/icmp",
            r#""10.9.0.1:80/icmp": icmp is not tcp, udp or sctp"#,
        ),
        (
            "trace 10.1.0.2:1 [2001:db8::1]:80/udp",
            "10.1.0.2:1 and [2001:db8::1]:80 are of two families; give two IPv4 addresses, or two IPv6 addresses",
        ),
        (
            "trace 10.1.0.2:1 10.9.0.1:80 --length 39",
            "--length 39: such a packet has 40 to 3498 bytes",
        ),
        (
            "trace [2001:db8::2]:1 [2001:db8::1]:80/udp --length 47",
            "--length 47: such a packet has 48 to 3498 bytes",
        ),
        (
            "trace 10.1.0.2:1 10.9.0.1:80/udp --flags syn",
            "--flags are of TCP; leave them out with /udp and /sctp",
        ),
        (
            "replay a.txt",
            r#""a.txt": give files that end in .toml, .pcap or .pcapng"#,
        ),
    ] {
        says(words, 2, &[line]).await;
    }
}

#[tokio::test]
async fn wrong_usage() {
    for (words, line) in [
        (
            "lst",
            "unrecognized subcommand 'lst' (a similar subcommand exists: 'list'); see 'lb --help'",
        ),
        (
            "backend add",
            "the following required arguments were not provided: <SERVICE[/NAME]>, <ADDR[:PORT]>; \
             see 'lb backend add --help'",
        ),
        (
            "list --wtch",
            "unexpected argument '--wtch' found (a similar argument exists: '--watch'); see 'lb list --help'",
        ),
        (
            "service add web --vip 192.0.2.1:80 --mode dsr",
            "invalid value 'dsr' for '--mode <MODE>' [possible values: fullnat, nat, l2, ipip, gue]; see 'lb service add --help'",
        ),
        (
            "detach",
            "the following required arguments were not provided: <IFACE>; see 'lb detach --help'",
        ),
        (
            "detach eth0 --all",
            "the argument '[IFACE]' cannot be used with '--all'; see 'lb detach --help'",
        ),
    ] {
        says(words, 2, &[line]).await;
    }
}

#[tokio::test]
async fn what_the_daemon_refuses() {
    says("service remove gone", 1, &["there is no service gone; see lb list"]).await;
    says("show gone", 1, &["there is no service gone; see lb list"]).await;
    says(
        "show web/gone",
        1,
        &["service web has no backend gone; see lb show web"],
    )
    .await;
    let mismatch = "the change was made for revision 40, but the desired state is at revision 41; look at what changed \
                    and try again with revision 41";
    says("service remove web --if-revision 40", 1, &[mismatch]).await;
    says(
        "service remove stuck --wait=20ms",
        4,
        &["the change was not confirmed within 20.0ms; it may still be made, see lb status"],
    )
    .await;
    let empty = "/dev/null is empty, nothing was changed; to remove every service, apply: version = 1";
    says("apply /dev/null", 1, &[empty]).await;
    says(
        "apply /nonexistent.toml",
        1,
        &["cannot read /nonexistent.toml: No such file or directory (os error 2)"],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_document_is_shown_at_its_place() {
    let daemon = Daemon::start();
    let file = daemon.socket.with_file_name("bad.toml");
    std::fs::write(&file, "version = 1\nbad = 1\n").unwrap();
    let file = file.to_str().unwrap();
    for words in [["config", "check", file].as_slice(), &["apply", file]] {
        let ran = run(&daemon.socket, words).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{words:?}");
        assert!(
            ran.err.starts_with(&format!("{file}:2:1: error: ")),
            "{words:?}: {}",
            ran.err
        );
        assert!(
            ran.err.contains("    2 | bad = 1\n      | ^^^\n"),
            "{words:?}: {}",
            ran.err
        );
    }
    let ran = run(&daemon.socket, &["config", "check", file, "-o", "json"]).await;
    let findings: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, findings[0]["severity"].as_str()), (1, Some("error")));
}

#[tokio::test]
async fn a_refusal_the_file_does_not_explain_is_said_as_it_came() {
    let daemon = Daemon::start();
    let file = daemon.socket.with_file_name("fine.toml");
    std::fs::write(&file, "version = 1 # bad\n").unwrap();
    let ran = run(&daemon.socket, &["apply", file.to_str().unwrap()]).await;
    let lines = "error: <document>:1:1: unknown key \"bad\"\nerror: <document>:2:1: port 0\n";
    assert_eq!((ran.code, ran.err.as_str(), ran.out.as_str()), (1, lines, ""));
}

#[tokio::test]
async fn no_daemon() {
    let socket = fake::place();
    let ran = run(&socket, &["list"]).await;
    let line = format!(
        "error: lb daemon is not reachable at {} (No such file or directory); start it with: \
         lb daemon --config /etc/lb/lb.toml, or name another socket with --socket\n",
        socket.display()
    );
    assert_eq!((ran.code, ran.err, ran.out.as_str()), (3, line, ""));
}

#[tokio::test]
async fn a_verb_that_needs_another_lists_them() {
    let ran = run(&fake::place(), &["service"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("Usage: lb service [OPTIONS] <COMMAND>"), "{}", ran.err);
}
