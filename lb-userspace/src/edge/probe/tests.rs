use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::*;
use crate::core::observed::CheckCode::{self, *};
use crate::edge::net::tests::lab::skip;

/// Longer than any test should take.
const PATIENCE: Duration = Duration::from_secs(20);

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// This host by the addresses that it has: of both families, or of one.
fn hosts(test: &str) -> Vec<IpAddr> {
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    match std::net::TcpListener::bind((v6, 0)) {
        Ok(_) => vec![HOST, v6],
        Err(error) => {
            skip(test, &format!("in part: nothing can listen on {v6}: {error}"));
            vec![HOST]
        }
    }
}

/// What a server does with a connection after it has read a request.
#[derive(Clone, Copy)]
enum Answer {
    Text(&'static str),
    /// Keeps the connection open and says nothing.
    Nothing,
}

/// A server on this host, for as long as the task runs.
struct Server {
    address: SocketAddr,
    answer: watch::Sender<Answer>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(host: IpAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn serve(host: IpAddr, answer: Answer) -> Server {
    let (listener, address) = listen(host).await;
    let (answer, answers) = watch::channel(answer);
    let task = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = *answers.borrow();
            let Answer::Text(text) = answer else {
                open.push(stream);
                continue;
            };
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(text.as_bytes()).await;
            });
        }
    });
    Server { address, answer, task }
}

fn target(server: SocketAddr, kind: CheckKind) -> ProbeTarget {
    ProbeTarget {
        service: "web".into(),
        backend: "web-1".into(),
        generation: 7,
        address: server.ip(),
        port: server.port(),
        check: Check {
            kind,
            port: None,
            interval: Duration::from_millis(20),
            fast_interval: Duration::from_millis(5),
            timeout: Duration::from_secs(5),
            rise: 2,
            fall: 2,
            jitter: 0.2,
        },
        initial: Health::Unknown,
    }
}

fn http(body: Option<&str>) -> CheckKind {
    CheckKind::Http {
        path: "/healthz?deep=1".into(),
        host: None,
        status: vec![(200, 299)],
        body: body.map(str::to_owned),
    }
}

async fn next(reports: &mut mpsc::Receiver<CheckReport>) -> CheckReport {
    tokio::time::timeout(PATIENCE, reports.recv())
        .await
        .expect("no report came")
        .unwrap()
}

/// The first report about a target that nobody knew.
async fn first(target: ProbeTarget) -> CheckReport {
    let (tx, mut reports) = mpsc::channel(16);
    let mut prober = Prober::new(tx);
    prober.set(vec![target]);
    next(&mut reports).await
}

/// An address that nobody listens on.
async fn nobody(host: IpAddr) -> SocketAddr {
    listen(host).await.1
}

#[tokio::test]
async fn a_listening_server_is_up_and_a_closed_port_is_down() {
    for host in hosts("a_listening_server_is_up_and_a_closed_port_is_down") {
        let server = serve(host, Answer::Nothing).await;
        let up = first(target(server.address, CheckKind::Tcp)).await;
        assert_eq!((up.result.code, up.health, up.generation), (L4OK, Health::Up, 7));
        let down = first(target(nobody(host).await, CheckKind::Tcp)).await;
        assert_eq!((down.result.code, down.health), (L4CON, Health::Down));
        assert_eq!(down.result.detail, "connection refused");
    }
}

/// The end of a check is a reset, not a FIN: nothing of it stays behind.
#[tokio::test]
async fn a_connection_ends_with_a_reset() {
    for host in hosts("a_connection_ends_with_a_reset") {
        let (listener, address) = listen(host).await;
        let check = tokio::spawn(first(target(address, CheckKind::Tcp)));
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(check.await.unwrap().result.code, L4OK);
        let error = stream.read(&mut [0; 16]).await.expect_err("a FIN came");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

/// A full backlog drops SYNs, as a firewall would.
#[tokio::test]
async fn a_server_that_does_not_accept_is_a_timeout() {
    for host in hosts("a_server_that_does_not_accept_is_a_timeout") {
        let socket = match host {
            IpAddr::V4(_) => TcpSocket::new_v4(),
            IpAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.unwrap();
        socket.bind(SocketAddr::new(host, 0)).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut filling = Vec::new();
        let patience = Duration::from_millis(100);
        while let Ok(Ok(stream)) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
            filling.push(stream);
        }
        let mut slow = target(address, CheckKind::Tcp);
        slow.check.timeout = Duration::from_millis(50);
        let report = first(slow).await;
        assert_eq!((report.result.code, report.health), (L4TOUT, Health::Down));
        assert!(report.result.duration >= Duration::from_millis(50));
    }
}

#[tokio::test]
async fn answers_are_judged_by_status_and_body() {
    let cases: [(&str, Option<&str>, CheckCode, &str); 9] = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            None,
            L7OK,
            "status 200",
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", None, L7OK, "status 204"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na ok",
            Some("ok"),
            L7OK,
            "status 200, body has \"ok\"",
        ),
        (
            "HTTP/1.0 200 OK\r\n\r\nuntil the end",
            Some("end"),
            L7OK,
            "status 200, body has \"end\"",
        ),
        (
            "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
            None,
            L7STS,
            "status 503",
        ),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", None, L7STS, "status 302"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfail",
            Some("ok"),
            L7STS,
            "status 200, but \"ok\" is not in the body",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", None, L7RSP, "the answer is not HTTP"),
        (
            "HTTP/1.1 200",
            None,
            L7RSP,
            "the connection was closed before the whole answer",
        ),
    ];
    for (answer, body, code, detail) in cases {
        let server = serve(HOST, Answer::Text(answer)).await;
        let report = first(target(server.address, http(body))).await;
        assert_eq!(
            (report.result.code, report.result.detail.as_str()),
            (code, detail),
            "{answer:?}"
        );
        assert_eq!(report.health, if code.good() { Health::Up } else { Health::Down });
    }
}

#[tokio::test]
async fn the_timeout_counts_for_the_whole_check() {
    let silent = serve(HOST, Answer::Nothing).await;
    let unfinished = serve(HOST, Answer::Text("")).await;
    let mut slow = target(silent.address, http(None));
    slow.check.timeout = Duration::from_millis(50);
    let report = first(slow.clone()).await;
    assert_eq!((report.result.code, report.health), (L7TOUT, Health::Down));
    assert!(report.result.duration >= Duration::from_millis(50));
    slow.check.port = Some(unfinished.address.port());
    assert_eq!(first(slow).await.result.code, L7RSP);
}

#[tokio::test]
async fn the_request_says_who_asks_for_what() {
    for host in hosts("the_request_says_who_asks_for_what") {
        let (listener, address) = listen(host).await;
        let check = tokio::spawn(first(target(address, http(None))));
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(check.await.unwrap().result.code, L7OK);
        let request = String::from_utf8(request).unwrap();
        let mut lines: Vec<&str> = request.trim_end().lines().collect();
        assert_eq!(lines.remove(0), "GET /healthz?deep=1 HTTP/1.1");
        lines.sort_unstable();
        let port = address.port();
        let named = match host {
            IpAddr::V4(_) => format!("host: 127.0.0.1:{port}"),
            IpAddr::V6(_) => format!("host: [::1]:{port}"),
        };
        let user_agent = format!("user-agent: lb/{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(lines, ["connection: close", named.as_str(), user_agent.as_str()]);
    }
}

/// Only the start of a body is looked at, whatever a server sends.
#[tokio::test]
async fn a_body_is_not_read_to_its_end() {
    let mut answer = "HTTP/1.1 200 OK\r\n\r\n".to_owned();
    answer.push_str(&"a".repeat(64 * 1024 - 1));
    answer.push_str("needle");
    let server = serve(HOST, Answer::Text(answer.leak())).await;
    assert_eq!(
        first(target(server.address, http(Some("needle")))).await.result.code,
        L7STS
    );
    assert_eq!(first(target(server.address, http(Some("aaa")))).await.result.code, L7OK);
}

#[tokio::test]
async fn a_server_goes_down_after_fall_failures_and_recovers_after_rise_successes() {
    const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    const BAD: &str = "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n";
    let server = serve(HOST, Answer::Text(GOOD)).await;
    let (tx, mut reports) = mpsc::channel(1);
    let mut prober = Prober::new(tx);
    prober.set(vec![target(server.address, http(None))]);
    assert_eq!(next(&mut reports).await.health, Health::Up);
    for (answer, before, after) in [(BAD, Health::Up, Health::Down), (GOOD, Health::Down, Health::Up)] {
        server.answer.send_replace(Answer::Text(answer));
        let mut contrary = 0;
        loop {
            let report = next(&mut reports).await;
            contrary += u32::from(report.result.code.good() == (answer == GOOD));
            assert_eq!(report.health, if contrary < 2 { before } else { after });
            if contrary == 2 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn only_what_changed_is_started_anew() {
    let server = serve(HOST, Answer::Nothing).await;
    let (tx, mut reports) = mpsc::channel(16);
    let mut prober = Prober::new(tx);
    let steady = target(server.address, CheckKind::Tcp);
    let mut changing = steady.clone();
    changing.backend = "web-2".into();
    prober.set(vec![steady.clone(), changing.clone()]);
    while prober
        .running
        .values()
        .any(|running| *running.health.borrow() != Health::Up)
    {
        next(&mut reports).await;
    }
    let task = |prober: &Prober, name: &str| prober.running[&("web".into(), name.into())].task.id();
    let (before, before_changing) = (task(&prober, "web-1"), task(&prober, "web-2"));
    // Now nobody answers, but one failure does not take down what was up before.
    changing.check.port = Some(nobody(HOST).await.port());
    changing.generation = 8;
    prober.set(vec![steady.clone(), changing.clone()]);
    assert_eq!(task(&prober, "web-1"), before);
    assert_ne!(task(&prober, "web-2"), before_changing);
    let report = loop {
        let report = next(&mut reports).await;
        if report.generation == 8 {
            break report;
        }
    };
    assert_eq!(
        (report.backend.as_str(), report.result.code, report.health),
        ("web-2", L4CON, Health::Up)
    );
    // Another server under the same name starts unknown.
    changing.address = Ipv4Addr::new(127, 0, 0, 2).into();
    changing.generation = 9;
    let unchecked = ProbeTarget {
        check: Check {
            kind: CheckKind::None,
            ..steady.check.clone()
        },
        ..steady
    };
    prober.set(vec![unchecked, changing]);
    assert_eq!(prober.running.len(), 1);
    while next(&mut reports).await.generation != 9 {}
    assert_eq!(
        *prober.running[&("web".into(), "web-2".into())].health.borrow(),
        Health::Down
    );
    drop(prober);
    while tokio::time::timeout(PATIENCE, reports.recv())
        .await
        .expect("the tasks go on")
        .is_some()
    {}
}
