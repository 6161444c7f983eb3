//! Every refusal of the API is a problem document (RFC 9457).

use serde_json::json;

use crate::fake::Daemon;
use crate::wire::{JSON, ask};

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let daemon = Daemon::start();
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(1 << 20));
    let cases: Vec<(&str, &str, &str, u16, &str)> = vec![
        ("GET /v1/nothing", "", "", 404, "there is nothing at /v1/nothing"),
        ("GET /v1/services/gone", "", "", 404, "there is no service gone"),
        (
            "GET /v1/services/web/backends/gone",
            "",
            "",
            404,
            "service web has no backend gone",
        ),
        ("DELETE /v1/services/gone", "", "", 404, "there is no service gone"),
        ("POST /v1/status", "", "", 405, "/v1/status does not take POST"),
        (
            "POST /v1/services",
            "",
            "{}",
            415,
            "a body without Content-Type is not read here",
        ),
        (
            "PUT /v1/config",
            "content-type: text/plain\r\n",
            "x",
            415,
            "text/plain is not read here",
        ),
        ("POST /v1/services", JSON, "{", 400, "the body is not JSON"),
        ("POST /v1/services", JSON, "[]", 422, "the body does not fit"),
        ("POST /v1/services", JSON, &large, 413, "the body is larger"),
        ("PUT /v1/config", JSON, "\"bad\"", 422, "2 errors; nothing was changed"),
        (
            "PUT /v1/services/web/backends/b/state",
            JSON,
            r#"{"state":"off"}"#,
            422,
            "the body does not fit",
        ),
        (
            "PUT /v1/services/web/backends/b/weight",
            JSON,
            r#"{"weight":-1}"#,
            422,
            "weight: -1 is neither",
        ),
        (
            "DELETE /v1/services/web?dryrun=true",
            "",
            "",
            400,
            "unknown field `dryrun`",
        ),
        ("DELETE /v1/services/web?dry_run=yes", "", "", 400, "dry_run"),
        (
            "DELETE /v1/services/web?wait=5",
            "",
            "",
            400,
            "wait: \"5\" is not a duration",
        ),
        (
            "DELETE /v1/services/web",
            "if-match: x\r\n",
            "",
            400,
            "If-Match: \"x\" is no revision",
        ),
        ("GET /v1/services/%ff", "", "", 400, "UTF-8"),
    ];
    for (line, headers, body, status, detail) in cases {
        let answer = ask(&daemon.socket, line, headers, body).await;
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{line}: {}",
            answer.body
        );
        let problem = answer.json();
        assert_eq!(
            (answer.status, problem["status"].clone()),
            (status, json!(status)),
            "{line}: {problem}"
        );
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains(detail) && !said.contains('\n'), "{line}: {said}");
    }
    let answer = ask(&daemon.socket, "POST /v1/status", "", "").await;
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    let answer = ask(&daemon.socket, "PUT /v1/config", JSON, "\"bad\"").await;
    assert_eq!(answer.json()["findings"].as_array().unwrap().len(), 2);
}
