//! Routes, revisions, the socket itself.

use std::os::unix::fs::PermissionsExt;

use lb_userspace::core::edit::{Edit, Format, WeightChange};
use lb_userspace::core::model::{AdminState, XdpMode};
use lb_userspace::edge::api::{self, ApiError, UnixSocket};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::fake::{self, Daemon};
use crate::sample;
use crate::wire::{JSON, ask, ask_over, get};

#[tokio::test]
async fn reads_are_the_views_and_carry_the_revision() {
    let daemon = Daemon::start();
    let service = serde_json::to_value(sample::service()).unwrap();
    let expected = [
        ("/v1/status", serde_json::to_value(sample::status()).unwrap()),
        ("/v1/services", json!([service])),
        ("/v1/services/web", service.clone()),
        ("/v1/services/192.0.2.10:80%2Ftcp", service.clone()),
        ("/v1/services/web/backends", service["backends"].clone()),
        ("/v1/services/web/backends/web-2", service["backends"][1].clone()),
        ("/v1/services/web/backends/10.0.1.1:80", service["backends"][0].clone()),
        ("/v1/services/web/backends/10.0.1.1", service["backends"][0].clone()),
        ("/v1/interfaces", serde_json::to_value(sample::interfaces()).unwrap()),
        ("/v1/drops", serde_json::to_value(sample::reasons()).unwrap()),
    ];
    for (path, value) in expected {
        let answer = get(&daemon.socket, path).await;
        assert_eq!((answer.status, answer.json()), (200, value), "{path}");
        assert_eq!(answer.header("etag"), Some("\"41\""), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    }
}

#[tokio::test]
async fn the_base_state_comes_in_the_language_that_is_wanted() {
    let daemon = Daemon::start();
    let toml = get(&daemon.socket, "/v1/config").await;
    assert_eq!((toml.status, toml.body.as_str()), (200, sample::CONFIG));
    assert_eq!(toml.header("content-type"), Some("text/toml; charset=utf-8"));
    let json = ask(&daemon.socket, "GET /v1/config", "accept: application/json\r\n", "").await;
    let expected = json!({ "version": 1, "service": [{ "name": "web", "address": "192.0.2.10", "port": 80 }] });
    assert_eq!(json.json(), expected);
    assert_eq!(json.header("etag"), Some("\"41\""));
}

#[tokio::test]
async fn every_route_that_changes_makes_its_edit() {
    let mut daemon = Daemon::start();
    let name = |name: &str| name.to_owned();
    let backend = || (name("web"), name("web-2"));
    let cases: Vec<(&str, &str, &str, Edit)> = vec![
        (
            "POST /v1/services",
            JSON,
            r#"{"name":"a"}"#,
            Edit::ServiceAdd {
                service: json!({"name": "a"}),
            },
        ),
        (
            "PATCH /v1/services/192.0.2.1:80%2Fudp",
            JSON,
            r#"{"mode":"nat"}"#,
            Edit::ServiceSet {
                service: name("192.0.2.1:80/udp"),
                fields: json!({"mode": "nat"}),
            },
        ),
        (
            "DELETE /v1/services/web",
            "",
            "",
            Edit::ServiceRemove { service: name("web") },
        ),
        (
            "POST /v1/services/web/backends",
            JSON,
            r#"{"address":"10.0.0.1"}"#,
            Edit::BackendAdd {
                service: name("web"),
                backend: json!({"address": "10.0.0.1"}),
            },
        ),
        ("PATCH /v1/services/web/backends/web-2", JSON, r#"{"weight":null}"#, {
            let (service, backend) = backend();
            Edit::BackendSet {
                service,
                backend,
                fields: json!({"weight": null}),
            }
        }),
        ("DELETE /v1/services/web/backends/web-2", "", "", {
            let (service, backend) = backend();
            Edit::BackendRemove { service, backend }
        }),
        (
            "PUT /v1/services/web/backends/web-2/state",
            JSON,
            r#"{"state":"maint"}"#,
            {
                let (service, backend) = backend();
                Edit::State {
                    service,
                    backend,
                    state: AdminState::Maint,
                }
            },
        ),
        ("PUT /v1/services/web/backends/web-2/weight", JSON, r#"{"weight":5}"#, {
            let (service, backend) = backend();
            Edit::Weight {
                service,
                backend,
                weight: WeightChange::Absolute(5),
            }
        }),
        (
            "PUT /v1/services/web/backends/web-2/weight",
            JSON,
            r#"{"weight":"50%"}"#,
            {
                let (service, backend) = backend();
                Edit::Weight {
                    service,
                    backend,
                    weight: WeightChange::Percent(50),
                }
            },
        ),
        (
            "PUT /v1/config",
            "content-type: text/toml; charset=utf-8\r\n",
            "version = 1\n",
            Edit::Apply {
                text: name("version = 1\n"),
                format: Format::Toml,
            },
        ),
        (
            "PUT /v1/config",
            JSON,
            "{}",
            Edit::Apply {
                text: name("{}"),
                format: Format::Json,
            },
        ),
        (
            "PUT /v1/interfaces/eth0",
            "",
            "",
            Edit::Attach {
                interface: name("eth0"),
                xdp: XdpMode::Native,
            },
        ),
        (
            "PUT /v1/interfaces/eth0",
            JSON,
            r#"{"xdp":"generic"}"#,
            Edit::Attach {
                interface: name("eth0"),
                xdp: XdpMode::Generic,
            },
        ),
        (
            "DELETE /v1/interfaces/eth0",
            "",
            "",
            Edit::Detach {
                interface: Some(name("eth0")),
            },
        ),
        ("DELETE /v1/interfaces", "", "", Edit::Detach { interface: None }),
    ];
    for (line, headers, body, edit) in cases {
        let answer = ask(&daemon.socket, line, headers, body).await;
        assert_eq!(answer.status, 200, "{line}: {}", answer.body);
        assert_eq!(answer.json()["revision"], 42, "{line}");
        let asked = daemon.last();
        assert_eq!(
            (asked.edit, asked.dry_run, asked.if_revision),
            (edit, false, None),
            "{line}"
        );
        assert!(!asked.who.is_empty() && asked.who != "unknown", "{line}: {}", asked.who);
    }
}

#[tokio::test]
async fn terms_of_a_change() {
    let mut daemon = Daemon::start();
    let answer = ask(
        &daemon.socket,
        "DELETE /v1/services/web?dry_run=true&wait=5s",
        "if-match: \"41\"\r\n",
        "",
    )
    .await;
    assert_eq!((answer.status, answer.json()["dry_run"].clone()), (200, json!(true)));
    let asked = daemon.last();
    assert!(asked.dry_run && asked.if_revision == Some(41));

    let answer = ask(&daemon.socket, "DELETE /v1/services/web", "if-match: \"40\"\r\n", "").await;
    assert_eq!(
        (answer.status, answer.json()["type"].clone()),
        (412, json!("about:blank#revision-mismatch"))
    );
    let answer = ask(&daemon.socket, "DELETE /v1/services/web", "if-match: *\r\n", "").await;
    assert_eq!(answer.status, 200);
    let answer = ask(&daemon.socket, "DELETE /v1/services/stuck?wait=20ms", "", "").await;
    assert_eq!(
        (answer.status, answer.json()["type"].clone()),
        (504, json!("about:blank#deadline"))
    );
}

#[tokio::test]
async fn tcp_gives_metrics_and_health_and_nothing_else() {
    let listener = api::bind_metrics("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, inbox) = mpsc::channel(8);
    tokio::spawn(fake::answer_all(inbox, mpsc::unbounded_channel().0));
    tokio::spawn(async move { api::serve_metrics(listener, requests).await.unwrap() });
    let get = |path: &'static str| async move {
        ask_over(
            TcpStream::connect(address).await.unwrap(),
            &format!("GET {path}"),
            "",
            "",
        )
        .await
    };
    let metrics = get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(metrics.body.contains("\nlb_revision 41\n"));
    assert_eq!(
        (get("/healthz").await.body.as_str(), get("/readyz").await.body.as_str()),
        ("ok\n", "ok\n")
    );
    assert_eq!(get("/v1/status").await.status, 404);
    assert!(matches!(
        api::bind_metrics(&address.to_string()).await,
        Err(ApiError::Metrics { .. })
    ));
}

#[tokio::test]
async fn a_loop_that_is_gone_is_said() {
    let socket = fake::place();
    let (requests, inbox) = mpsc::channel(8);
    drop(inbox);
    let server = tokio::spawn(api::serve(UnixSocket::bind(&socket, None).unwrap(), requests));
    let answer = get(&socket, "/healthz").await;
    assert_eq!(
        (answer.status, answer.json()["type"].clone()),
        (503, json!("about:blank#unavailable"))
    );
    server.abort();
}

#[tokio::test]
async fn a_live_socket_is_left_and_an_abandoned_one_replaced() {
    let path = fake::place();
    let socket = UnixSocket::bind(&path, None).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let error = UnixSocket::bind(&path, None).unwrap_err();
    assert!(matches!(&error, ApiError::InUse(at) if *at == path), "{error}");
    drop(socket);
    assert!(!path.exists(), "a daemon that ends takes its socket with it");

    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a daemon that is killed leaves it");
    drop(UnixSocket::bind(&path, None).unwrap());

    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(UnixSocket::bind(&path, None), Err(ApiError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}
