//! The client: requests over many connections at a time, from one thread.
//!
//! At *full load* each connection asks again as soon as it may. At a *pace* requests are due at even distances, whatever
//! becomes of those before, and a request's time counts from when it was due, its wait for a free connection included: what is
//! slow is not asked less often, and so is not left out.
//!
//! Where every request has a connection of its own, its time is that of the whole exchange: from before `connect` until the
//! server's end of the connection has come.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lb_lab::interrupt;
use rustix::event::{Timespec, epoll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto};

use super::answer::Answer;
use crate::measure::Samples;

/// How long answers that are under way at the end are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// For one request each.
    Once,
    /// Again and again.
    KeptAlive,
}

/// What is asked of whom.
#[derive(Clone, Debug)]
pub struct Load {
    pub connections: Use,
    /// The connections take turns with them.
    pub targets: Vec<SocketAddr>,
    /// Connections at a time, at most.
    pub at_a_time: usize,
    /// Requests per second; at full load none.
    pub pace: Option<u32>,
    /// Before anything counts.
    pub warm_up: Duration,
    pub length: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Answers that came within the time that counts.
    pub answers: u64,
    /// That time.
    pub took: Duration,
    /// Microseconds, of each request that was due within that time.
    pub latencies_us: Samples,
    /// Requests without a good answer at any time, by what went wrong.
    pub errors: BTreeMap<String, u64>,
}

impl Load {
    /// Sends requests from this thread until the time is over and all are answered. `at_edge` is called when the time that
    /// counts begins, and when it ends.
    ///
    /// # Errors
    ///
    /// There are no sockets to be had, `at_edge` fails, or a signal came.
    pub fn run(&self, at_edge: impl FnMut() -> Result<()>) -> Result<Outcome> {
        let mut client = Client::new(self)?;
        client.run(at_edge)?;
        Ok(client.outcome)
    }
}

/// A connection's place.
struct Place {
    target: SocketAddr,
    stream: Option<TcpStream>,
    /// When the request that is under way was due.
    due: Option<Instant>,
    is_sent: bool,
    received: Vec<u8>,
}

struct Client<'a> {
    load: &'a Load,
    poll: OwnedFd,
    places: Vec<Place>,
    /// Places without a request, the longest idle first.
    idle: VecDeque<usize>,
    requests: Vec<Vec<u8>>,
    /// When the time that counts begins and ends.
    begin: Instant,
    end: Instant,
    /// When the next request is due, at a pace.
    next_due: Instant,
    outcome: Outcome,
}

impl<'a> Client<'a> {
    fn new(load: &'a Load) -> Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut targets = load.targets.iter().cycle();
        let places = (0..load.at_a_time).map(|_| {
            Ok(Place {
                target: *targets.next().context("there is nobody to ask")?,
                stream: None,
                due: None,
                is_sent: false,
                received: Vec::new(),
            })
        });
        let places: Vec<Place> = places.collect::<Result<_>>()?;
        let close = match load.connections {
            Use::Once => "Connection: close\r\n",
            Use::KeptAlive => "",
        };
        let request =
            |place: &Place| format!("GET / HTTP/1.1\r\nHost: {}\r\n{close}\r\n", place.target.ip()).into_bytes();
        let now = Instant::now();
        let begin = now + load.warm_up;
        Ok(Self {
            load,
            poll,
            requests: places.iter().map(request).collect(),
            idle: (0..places.len()).collect(),
            places,
            begin,
            end: begin + load.length,
            next_due: now,
            outcome: Outcome::default(),
        })
    }

    fn run(&mut self, mut at_edge: impl FnMut() -> Result<()>) -> Result<()> {
        let mut events = Vec::with_capacity(256);
        let mut gaps: Vec<(Duration, usize)> = Vec::new();
        let start = Instant::now();
        let (mut has_begun, mut has_ended) = (false, false);
        loop {
            let now = Instant::now();
            if !has_begun && now >= self.begin {
                has_begun = true;
                at_edge()?;
            }
            if !has_ended && now >= self.end {
                has_ended = true;
                at_edge()?;
                self.outcome.took = self.load.length;
            }
            if let Some(interrupted) = interrupt::caught() {
                return Err(interrupted.into());
            }
            let is_due_left = self.start_what_is_due(now)?;
            if let Some(l) = gaps.last_mut() {
                l.0 = start.elapsed() - l.0;
            }
            if has_ended && !is_due_left && self.idle.len() == self.places.len() {
                if self.outcome.answers == 0 {
                    gaps.retain(|g| g.0 > Duration::from_millis(30));
                    eprintln!("NOANS {gaps:?} idle {} {:?}", self.idle.len(), self.outcome.took);
                }
                return Ok(());
            }
            if now > self.end + LAST_ANSWERS {
                self.give_up();
                return Ok(());
            }
            events.clear();
            gaps.push((start.elapsed(), self.places.len() - self.idle.len()));
            let patience = self.patience(now, has_begun, has_ended);
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&patience)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for answers"),
            }
            for event in events.drain(..) {
                self.go_on(event.data.u64() as usize, event.flags);
            }
        }
    }

    /// How long answers may be waited for until something else is to be done. At a pace not at all: a thread that sleeps
    /// wakes up late.
    fn patience(&self, now: Instant, has_begun: bool, has_ended: bool) -> Timespec {
        let until = match (has_begun, has_ended) {
            _ if self.load.pace.is_some() && !has_ended => now,
            (false, _) => self.begin,
            (true, false) => self.end,
            (true, true) => now + Duration::from_millis(100),
        };
        let patience = until.saturating_duration_since(now);
        Timespec {
            tv_sec: patience.as_secs() as i64,
            tv_nsec: patience.subsec_nanos().into(),
        }
    }

    /// Starts requests that are due, as far as there are places; whether some are due for which there is none.
    fn start_what_is_due(&mut self, now: Instant) -> Result<bool> {
        let latest = now.min(self.end);
        let Some(pace) = self.load.pace else {
            // Each place once: what fails at once is not tried again and again here.
            for _ in 0..if now < self.end { self.idle.len() } else { 0 } {
                self.start_one(now)?;
            }
            return Ok(false);
        };
        while self.next_due < latest {
            if self.idle.is_empty() {
                return Ok(true);
            }
            self.start_one(self.next_due)?;
            self.next_due += Duration::from_secs(1) / pace;
        }
        Ok(false)
    }

    /// Starts a request in the place that has been idle for longest.
    fn start_one(&mut self, due: Instant) -> Result<()> {
        let Some(number) = self.idle.pop_front() else {
            return Ok(());
        };
        let place = &mut self.places[number];
        place.due = Some(due);
        place.is_sent = false;
        place.received.clear();
        if place.stream.is_some() {
            self.send(number);
            return Ok(());
        }
        match connect(place.target) {
            Ok(stream) => {
                let flags =
                    epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
                epoll::add(&self.poll, &stream, epoll::EventData::new_u64(number as u64), flags)?;
                place.stream = Some(stream);
            }
            Err(error) => self.fail(number, format!("connect: {error}")),
        }
        Ok(())
    }

    /// Something has happened to the connection in this place.
    fn go_on(&mut self, number: usize, what: epoll::EventFlags) {
        const OVER: epoll::EventFlags = epoll::EventFlags::RDHUP.union(epoll::EventFlags::HUP);
        let place = &self.places[number];
        match (place.due, place.is_sent) {
            (Some(_), false) => self.send(number),
            (Some(_), true) => self.receive(number),
            (None, _) if what.intersects(OVER) => {
                self.places[number].stream = None;
                *self
                    .outcome
                    .errors
                    .entry("closed between two requests".into())
                    .or_default() += 1;
            }
            // The end of an answer that was read with its beginning.
            (None, _) => {}
        }
    }

    fn send(&mut self, number: usize) {
        let place = &mut self.places[number];
        let Some(stream) = &mut place.stream else { return };
        match stream.write(&self.requests[number]) {
            Ok(bytes) if bytes == self.requests[number].len() => place.is_sent = true,
            Ok(_) => self.fail(number, "sending: only a part could be sent".into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.fail(number, format!("sending: {error}")),
        }
    }

    fn receive(&mut self, number: usize) {
        let mut buffer = [0; 2048];
        loop {
            let place = &mut self.places[number];
            let Some(stream) = &mut place.stream else { return };
            match stream.read(&mut buffer) {
                Ok(0) => return self.closed(number),
                Ok(bytes) => place.received.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return self.fail(number, format!("receiving: {error}")),
            }
            match (Answer::of(&place.received), self.load.connections) {
                (Answer::Whole, Use::KeptAlive) => return self.succeed(number),
                (Answer::Whole, Use::Once) | (Answer::Unfinished, _) => {}
                (Answer::Wrong(why), _) => return self.fail(number, why.into()),
            }
        }
    }

    /// The server has closed.
    fn closed(&mut self, number: usize) {
        match (self.load.connections, Answer::of(&self.places[number].received)) {
            (Use::Once, Answer::Whole) => {
                self.places[number].stream = None;
                self.succeed(number);
            }
            _ => self.fail(number, "closed before the answer was whole".into()),
        }
    }

    fn succeed(&mut self, number: usize) {
        let now = Instant::now();
        if let Some(due) = self.places[number].due.take() {
            if (self.begin..self.end).contains(&now) {
                self.outcome.answers += 1;
            }
            if (self.begin..self.end).contains(&due) {
                self.outcome.latencies_us.push((now - due).as_secs_f64() * 1e6);
            }
        }
        self.idle.push_back(number);
    }

    fn fail(&mut self, number: usize, why: String) {
        *self.outcome.errors.entry(why).or_default() += 1;
        let place = &mut self.places[number];
        (place.stream, place.due) = (None, None);
        self.idle.push_back(number);
    }

    /// What is not answered by now will not be.
    fn give_up(&mut self) {
        for number in 0..self.places.len() {
            if self.places[number].due.is_some() {
                self.fail(number, format!("no answer within {} s", LAST_ANSWERS.as_secs()));
            }
        }
    }
}

/// Starts to connect.
fn connect(target: SocketAddr) -> rustix::io::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error),
    }
}
