//! A small HTTP server for a host of the lab: `lab-httpd NAME BIG_BYTES BYTES_PER_S PORT…`, 0 bytes a second for no
//! limit. It answers as the lab's nginx does, and holds as many connections open as there come, a thread each.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use lb_lab::client::http::SERVER_HEADER;
use lb_lab::pattern::{Pace, Pattern};
use lb_lab::server::SICK;

struct Content {
    name: String,
    big_bytes: u64,
    bytes_per_s: Option<u64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-httpd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &[String]) -> Result<()> {
    let [name, big_bytes, bytes_per_s, ports @ ..] = arguments else {
        bail!("usage: lab-httpd NAME BIG_BYTES BYTES_PER_S PORT…");
    };
    ensure!(!ports.is_empty(), "no port to listen on");
    let rate: u64 = bytes_per_s.parse().context("BYTES_PER_S")?;
    let content = Arc::new(Content {
        name: name.clone(),
        big_bytes: big_bytes.parse().context("BIG_BYTES")?,
        bytes_per_s: (rate > 0).then_some(rate),
    });
    let mut accepting = Vec::new();
    for port in ports {
        let number: u16 = port.parse().with_context(|| format!("port {port}"))?;
        // IPv4 too: Linux maps it where nobody forbids that.
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, number));
        let listener = listener.with_context(|| format!("port {port}"))?;
        let content = Arc::clone(&content);
        accepting.push(std::thread::spawn(move || accept(&listener, &content)));
    }
    for thread in accepting {
        thread.join().map_err(|_| anyhow!("a listener panicked"))?;
    }
    Ok(())
}

fn accept(listener: &TcpListener, content: &Arc<Content>) {
    for connection in listener.incoming().flatten() {
        let content = Arc::clone(content);
        std::thread::spawn(move || {
            // A client that goes away in the middle is no matter.
            let _ = converse(connection, &content);
        });
    }
}

/// Answers request after request until the client closes.
fn converse(mut connection: TcpStream, content: &Content) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut requests = BufReader::new(connection.try_clone()?).lines();
    while let Some(request) = requests.next().transpose()? {
        // The headers say nothing that matters here.
        while requests.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let path = request.split(' ').nth(1).unwrap_or_default();
        answer(path, &mut connection, content)?;
    }
    Ok(())
}

fn answer(path: &str, connection: &mut TcpStream, content: &Content) -> io::Result<()> {
    let mut text = |status: &str, body: &str| {
        let head = head(status, &content.name, body.len() as u64);
        connection.write_all(format!("{head}{body}").as_bytes())
    };
    match path {
        "/" => text("200 OK", &format!("{}\n", content.name)),
        "/healthz" if Path::new(SICK).exists() => text("503 Service Unavailable", "sick\n"),
        "/healthz" => text("200 OK", "ok\n"),
        "/big" => {
            let head = head("200 OK", &content.name, content.big_bytes);
            connection.write_all(head.as_bytes())?;
            send_pattern(connection, content)
        }
        _ => text("404 Not Found", "not found\n"),
    }
}

fn head(status: &str, server: &str, length: u64) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{SERVER_HEADER}: {server}\r\n\
         Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
    )
}

fn send_pattern(connection: &mut TcpStream, content: &Content) -> io::Result<()> {
    let mut pace = Pace::new(content.bytes_per_s);
    let mut pattern = Pattern::new(content.big_bytes);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = pattern.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        connection.write_all(&buffer[..length])?;
        pace.wait_after(length);
    }
}
