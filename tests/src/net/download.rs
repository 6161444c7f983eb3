//! A long download that goes as far as a test lets it: so there is always more of it to come when something happens.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow, ensure};
use lb_lab::pattern::Checker;
use lb_lab::{Lab, wait_until};

use super::PATIENCE;

/// Far more than sockets hold between them, so that what is left to read is still to be sent.
pub const LONG_BYTES: u64 = 200_000_000;

/// A download under way over one connection, compared byte for byte.
pub struct Download {
    allowances: Sender<u64>,
    allowed: u64,
    received: Arc<AtomicU64>,
    bytes: u64,
    thread: JoinHandle<Result<Result<()>>>,
}

impl Download {
    /// Asks for a lab's `/big`. Nothing of it is read yet.
    pub fn start(lab: &Lab) -> Result<Self> {
        let (vip, bytes) = (lab.vip(), lab.big_bytes());
        let (allowances, inbox) = channel();
        let received = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&received);
        let connect = || Ok(TcpStream::connect_timeout(&vip, PATIENCE)?);
        let connection = lab.client.netns().run(connect)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let read = move || read(connection, bytes, &inbox, &seen);
        let thread = lab.client.netns().spawn(read)?;
        Ok(Self {
            allowances,
            allowed: 0,
            received,
            bytes,
            thread,
        })
    }

    /// Lets it go on by so many bytes, and waits until they have come in.
    pub fn go_on_by(&mut self, bytes: u64) -> Result<()> {
        self.allowed += bytes;
        ensure!(self.allowed < self.bytes, "a download that is over sees nothing");
        // Why a thread that is gone has ended is for `finish` to say.
        let _ = self.allowances.send(bytes);
        let what = format!("{} of {} bytes have come in", self.allowed, self.bytes);
        wait_until(&what, PATIENCE, || {
            let received = self.received.load(Ordering::Relaxed);
            let is_over = self.thread.is_finished();
            ensure!(!is_over, "the download broke off after {received} bytes");
            Ok((received == self.allowed).then_some(()))
        })
    }

    /// Reads the rest; every byte was right and none was missing.
    pub fn finish(self) -> Result<()> {
        drop(self.allowances);
        let done = self.thread.join();
        done.map_err(|_| anyhow!("the download's thread panicked"))??
    }
}

fn read(connection: TcpStream, bytes: u64, allowances: &Receiver<u64>, received: &AtomicU64) -> Result<()> {
    let request = b"GET /big HTTP/1.1\r\nHost: lb-lab\r\nConnection: close\r\n\r\n";
    (&connection).write_all(request)?;
    let mut content = BufReader::new(connection);
    let mut line = String::new();
    content.read_line(&mut line)?;
    ensure!(line.contains(" 200 "), "not a 200: {line}");
    while !line.trim_end().is_empty() {
        line.clear();
        content.read_line(&mut line)?;
    }
    let mut checker = Checker::default();
    let mut buffer = vec![0; 64 * 1024];
    for allowance in allowances.iter().chain([u64::MAX]) {
        let mut part = (&mut content).take(allowance);
        loop {
            let length = part
                .read(&mut buffer)
                .with_context(|| format!("broke off after {} of {bytes} bytes", checker.received()))?;
            if length == 0 {
                break;
            }
            let is_right = checker.take(&buffer[..length]);
            ensure!(is_right, "wrong content after {} bytes", checker.received());
            received.store(checker.received(), Ordering::Relaxed);
        }
    }
    let got = checker.received();
    ensure!(got == bytes, "ended after {got} of {bytes} bytes");
    Ok(())
}
