//! What the verbs print, and what they ask of the daemon.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use lb_userspace::cli::{self, output::Screen};
use lb_userspace::core::edit::{Edit, Format, WeightChange};
use lb_userspace::core::model::{AdminState, XdpMode};
use serde_json::{Value, json};

use crate::fake::{self, Daemon};
use crate::golden;
use crate::sample;

/// What a command line came to.
pub struct Ran {
    pub code: u8,
    pub out: String,
    pub err: String,
}

/// Runs `lb` with these words against the daemon at a socket.
pub async fn run(socket: &Path, words: &[&str]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut screen = Screen {
        out: &mut out,
        err: &mut err,
        colour: false,
        clear: false,
        clock: || sample::NOW,
    };
    let arguments = ["lb", "--socket"]
        .into_iter()
        .map(OsString::from)
        .chain([socket.into()]);
    let code = cli::run(arguments.chain(words.iter().map(OsString::from)), &mut screen).await;
    Ran {
        code,
        out: String::from_utf8(out).unwrap(),
        err: String::from_utf8(err).unwrap(),
    }
}

/// Runs and expects a clean answer.
async fn shown(daemon: &Daemon, words: &[&str]) -> String {
    let ran = run(&daemon.socket, words).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}");
    ran.out
}

#[tokio::test]
async fn tables() {
    let daemon = Daemon::start();
    assert_eq!(shown(&daemon, &["list"]).await, golden::LIST);
    assert_eq!(shown(&daemon, &["list", "-o", "wide"]).await, golden::LIST_WIDE);
    assert_eq!(shown(&daemon, &["show", "web"]).await, golden::SHOW);
    assert_eq!(shown(&daemon, &["show", "web", "-o", "wide"]).await, golden::SHOW_WIDE);
    assert_eq!(shown(&daemon, &["show", "192.0.2.10:80/tcp"]).await, golden::SHOW);
    assert_eq!(shown(&daemon, &["show", "web/web-1"]).await, golden::SHOW_BACKEND);
    assert_eq!(shown(&daemon, &["status"]).await, golden::STATUS);
    assert_eq!(shown(&daemon, &["interfaces"]).await, golden::INTERFACES);
    assert_eq!(shown(&daemon, &["drops"]).await, golden::DROPS);
    assert_eq!(shown(&daemon, &["drops", "-o", "wide"]).await, golden::DROPS_WIDE);
}

#[tokio::test]
async fn watching_shows_rates_from_the_second_look_on() {
    let daemon = Daemon::start();
    for (verb, header) in [
        ("list", "PPS  BPS   NEW/S"),
        ("show web", "PPS  NEW/S"),
        ("drops", "PPS  MEANING"),
    ] {
        let words: Vec<&str> = verb.split(' ').chain(["--watch=1ms"]).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut screen = Screen {
            out: &mut out,
            err: &mut err,
            colour: true,
            clear: true,
            clock: || sample::NOW,
        };
        let arguments = ["lb", "--socket"]
            .into_iter()
            .map(OsString::from)
            .chain([daemon.socket.clone().into()]);
        let watching = cli::run(arguments.chain(words.iter().map(OsString::from)), &mut screen);
        let ended = tokio::time::timeout(Duration::from_millis(200), watching).await;
        let out = String::from_utf8(out).unwrap();
        assert!(ended.is_err() && err.is_empty(), "{verb} goes on: {out}");
        let looks: Vec<&str> = out.split("\x1b[H\x1b[2J").skip(1).collect();
        assert!(looks.len() > 1 && !looks[0].contains("PPS"), "{out}");
        assert!(looks[1..].iter().all(|look| look.contains(header)), "{out}");
    }
}

#[tokio::test]
async fn names() {
    let daemon = Daemon::start();
    assert_eq!(shown(&daemon, &["list", "-o", "name"]).await, "web\n");
    assert_eq!(
        shown(&daemon, &["show", "web", "-o", "name"]).await,
        "web/web-1\nweb/web-2\n"
    );
    assert_eq!(shown(&daemon, &["interfaces", "-o", "name"]).await, "eth0\neth1\nlo\n");
    assert_eq!(
        shown(&daemon, &["drops", "-o", "name"]).await,
        "no_service\nbad_length\nno_backend\n"
    );
}

#[tokio::test]
async fn json_is_the_views() {
    let daemon = Daemon::start();
    let golden: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    for (words, key) in [
        (vec!["list"], "list"),
        (vec!["show", "web"], "show"),
        (vec!["show", "web/web-2"], "show_backend"),
        (vec!["status"], "status"),
        (vec!["interfaces"], "interfaces"),
        (vec!["drops"], "drops"),
    ] {
        let words: Vec<&str> = words.into_iter().chain(["-o", "json"]).collect();
        let value: Value = serde_json::from_str(&shown(&daemon, &words).await).unwrap();
        assert_eq!(value, golden[key], "{key} is:\n{value:#}");
    }
    let lines = shown(&daemon, &["drops", "-o", "jsonl"]).await;
    let values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(Value::from(values), golden["drops"]);
}

#[tokio::test]
async fn the_base_state_is_saved_as_it_is() {
    let daemon = Daemon::start();
    assert_eq!(shown(&daemon, &["save"]).await, sample::CONFIG);
    let json: Value = serde_json::from_str(&shown(&daemon, &["save", "-o", "json"]).await).unwrap();
    assert_eq!(json["service"][0]["name"], "web");
}

#[tokio::test]
async fn verbs_make_their_edits_and_say_so() {
    let mut daemon = Daemon::start();
    let web = || "web".to_owned();
    let (service, backend) = (web, || "web-2".to_owned());
    let add = "service add web --vip 192.0.2.10:80/udp --mode ipip --check tcp,interval=2s --table-size 251 \
               --when-all-down use-all";
    let added = json!({
        "name": "web", "address": "192.0.2.10", "port": 80, "protocol": "udp", "mode": "ipip", "table_size": 251,
        "check": { "type": "tcp", "interval": "2s" }, "when_all_down": "use-all",
    });
    let cases = [
        (add, "service web added", Edit::ServiceAdd { service: added }),
        (
            "service set web --mode nat",
            "service web changed",
            Edit::ServiceSet {
                service: service(),
                fields: json!({"mode": "nat"}),
            },
        ),
        (
            "service remove 192.0.2.1:80/tcp",
            "service 192.0.2.1:80/tcp removed",
            Edit::ServiceRemove {
                service: "192.0.2.1:80/tcp".to_owned(),
            },
        ),
        (
            "backend add web/web-3 10.0.1.3:8080 --weight 50 --priority 1 --next-hop 10.0.0.1 --state maint",
            "backend web/web-3 added",
            Edit::BackendAdd {
                service: service(),
                backend: json!({
                    "name": "web-3", "address": "10.0.1.3", "port": 8080, "weight": 50, "priority": 1,
                    "next_hop": "10.0.0.1", "state": "maint",
                }),
            },
        ),
        (
            "backend add web 10.0.1.3",
            "backend web/10.0.1.3 added",
            Edit::BackendAdd {
                service: service(),
                backend: json!({"address": "10.0.1.3"}),
            },
        ),
        (
            "backend set web/web-2 --next-hop route --weight 0",
            "backend web/web-2 changed",
            Edit::BackendSet {
                service: service(),
                backend: backend(),
                fields: json!({"next_hop": null, "weight": 0}),
            },
        ),
        (
            "backend remove web/web-2",
            "backend web/web-2 removed",
            Edit::BackendRemove {
                service: service(),
                backend: backend(),
            },
        ),
        (
            "ready web/web-2",
            "backend web/web-2 is ready",
            Edit::State {
                service: service(),
                backend: backend(),
                state: AdminState::Ready,
            },
        ),
        (
            "maint web/web-2",
            "backend web/web-2 is in maintenance",
            Edit::State {
                service: service(),
                backend: backend(),
                state: AdminState::Maint,
            },
        ),
        (
            "weight web/web-2 50%",
            "backend web/web-2 has weight 50% of the configured",
            Edit::Weight {
                service: service(),
                backend: backend(),
                weight: WeightChange::Percent(50),
            },
        ),
        (
            "attach eth0 --xdp generic",
            "attached to eth0",
            Edit::Attach {
                interface: "eth0".to_owned(),
                xdp: XdpMode::Generic,
            },
        ),
        (
            "detach eth0",
            "detached from eth0",
            Edit::Detach {
                interface: Some("eth0".to_owned()),
            },
        ),
        (
            "detach --all",
            "detached from all interfaces",
            Edit::Detach { interface: None },
        ),
    ];
    for (words, said, edit) in cases {
        let words: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(shown(&daemon, &words).await, format!("revision 42: {said}\n"));
        assert_eq!(daemon.last().edit, edit, "{words:?}");
    }
}

#[tokio::test]
async fn the_terms_of_a_change_reach_the_daemon() {
    let mut daemon = Daemon::start();
    let words = ["service", "remove", "web", "--dry-run", "--if-revision", "41", "--wait"];
    let out = shown(&daemon, &words).await;
    assert_eq!(
        out,
        "~ service web\ndry run: this would become revision 42; nothing was changed\n"
    );
    let asked = daemon.last();
    assert!(asked.dry_run && asked.if_revision == Some(41));
    let out = shown(&daemon, &["maint", "web/web-1"]).await;
    assert_eq!(out, "revision 41: unchanged, it is so already\n");
    let change: Value = serde_json::from_str(&shown(&daemon, &["ready", "web/web-2", "-o", "json"]).await).unwrap();
    let expected = json!({
        "revision": 42, "changed": true, "dry_run": false, "plan": ["~ service web"], "warnings": [],
    });
    assert_eq!(change, expected);
}

#[tokio::test]
async fn a_document_goes_to_the_daemon_as_it_is() {
    let mut daemon = Daemon::start();
    let directory = daemon.socket.parent().unwrap().to_owned();
    for (name, text, format) in [
        ("a.toml", "version = 1\n", Format::Toml),
        ("a", "{\"version\":1}", Format::Json),
    ] {
        let file = directory.join(name);
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap().to_owned();
        assert_eq!(
            shown(&daemon, &["apply", &file]).await,
            format!("revision 42: {file} applied\n")
        );
        assert_eq!(
            daemon.last().edit,
            Edit::Apply {
                text: text.to_owned(),
                format
            }
        );
    }
}

#[tokio::test]
async fn the_example_passes_its_own_check() {
    let nowhere = fake::place();
    let example = run(&nowhere, &["config", "example"]).await;
    let directory = nowhere.parent().unwrap();
    std::fs::create_dir_all(directory).unwrap();
    let file = directory.join("example.toml");
    std::fs::write(&file, example.out).unwrap();
    let ran = run(&nowhere, &["config", "check", file.to_str().unwrap()]).await;
    std::fs::remove_dir_all(directory).unwrap();
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains(": ok, services: "), "{}", ran.out);
}

#[tokio::test]
async fn verbs_that_need_no_daemon() {
    let nowhere = fake::place();
    let version = format!("lb 0.1.0 (data plane ABI {})\n", lb_common::abi::ABI_VERSION);
    for (words, part) in [
        (vec!["version"], version.as_str()),
        (vec!["completion", "bash"], "complete -F _lb"),
        (vec!["man"], ".TH lb 1"),
        (vec!["--help"], "Usage: lb [OPTIONS] <COMMAND>"),
        (vec!["backend", "add", "--help"], "SERVICE[/NAME]"),
    ] {
        let ran = run(&nowhere, &words).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}");
        assert!(ran.out.contains(part), "{words:?}: {}", ran.out);
    }
}
