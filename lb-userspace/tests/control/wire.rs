//! HTTP as it goes over the wire.

use std::path::Path;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = |line: &'_ str| {
            line.split_once(": ")
                .filter(|(key, _)| *key == name)
                .map(|(key, _)| key.len() + 2)
        };
        self.head
            .lines()
            .find_map(|line| value(line).map(|start| &line[start..]))
    }
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// One request, written out as it goes over the wire. `headers` end in a line break each.
pub async fn ask_over<S: AsyncReadExt + AsyncWriteExt + Unpin>(
    mut stream: S,
    line: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\nhost: lb\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.replace("\r\n", "\n"),
        body: body.to_owned(),
    }
}

pub async fn ask(socket: &Path, line: &str, headers: &str, body: &str) -> Answer {
    ask_over(UnixStream::connect(socket).await.unwrap(), line, headers, body).await
}

pub async fn get(socket: &Path, path: &str) -> Answer {
    ask(socket, &format!("GET {path}"), "", "").await
}

pub const JSON: &str = "content-type: application/json\r\n";
