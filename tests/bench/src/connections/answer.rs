//! Answers of a server, as far as a client has to understand them.

/// Where a client is with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// More is to come.
    Unfinished,
    /// All of it is here.
    Whole,
    /// It is none, or a refusal.
    Wrong(&'static str),
}

impl Answer {
    /// What `received` is, from the first byte on.
    pub fn of(received: &[u8]) -> Self {
        let Some(head) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Self::Unfinished;
        };
        let (head, body) = received.split_at(head + 4);
        if !head.starts_with(b"HTTP/1.1 200 ") {
            return Self::Wrong("a status other than 200");
        }
        match content_length(head) {
            None => Self::Wrong("an answer that does not say how long it is"),
            Some(length) if body.len() < length => Self::Unfinished,
            Some(length) if body.len() > length => Self::Wrong("an answer longer than it says"),
            Some(_) => Self::Whole,
        }
    }
}

/// The value of `Content-Length`.
fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"Content-Length:";
    let line = head.split(|byte| *byte == b'\n').find(|line| {
        let name = line.get(..NAME.len());
        name.is_some_and(|name| name.eq_ignore_ascii_case(NAME))
    })?;
    std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_in_pieces() {
        let whole = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 3\r\n\r\nok\n";
        for end in 0..whole.len() {
            assert_eq!(Answer::of(&whole[..end]), Answer::Unfinished, "{end}");
        }
        assert_eq!(Answer::of(whole), Answer::Whole);
    }

    #[test]
    fn wrong_answers() {
        let wrong = |text: &str| matches!(Answer::of(text.as_bytes()), Answer::Wrong(_));
        assert!(wrong("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"));
        assert!(wrong("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(wrong("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"));
    }
}
