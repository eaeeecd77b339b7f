//! One request on one connection, and what came of it. Everything ends at the deadline; of a body no more is read than
//! shows that it flows, and nothing of it is kept.

use std::io::{self, ErrorKind, Read, Write};
use std::net::ToSocketAddrs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use memchr::memmem;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustls::{ClientConnection, StreamOwned};
use snapshot::{Answered, ConnectOutcome, Exchange, Outcome, Peer};

use super::tls;
use crate::probe::connect::{Target, attempt, until};
use crate::probe::fastcgi;

/// A connection that takes longer is not made by nginx's clients either.
const CONNECT: Duration = Duration::from_secs(3);
/// A larger header fits no buffer that anybody sets.
const LONGEST_HEADER_BYTES: usize = 256 << 10;
const ENOUGH_OF_A_BODY_BYTES: u64 = 1 << 20;
const ENOUGH_OF_A_BODY: Duration = Duration::from_millis(500);

// Record types of the FastCGI specification, section 8.
const END_REQUEST: u8 = 3;
const STDOUT: u8 = 6;

/// How the answer is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// A status line and headers; also what uwsgi servers answer.
    Http,
    /// The same without a status line, in records.
    Fastcgi,
    /// The same without a status line.
    Cgi,
}

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Dial {
    /// What is dialled, as nginx names it.
    pub(super) to: Peer,
    pub(super) scheme: &'static str,
    /// Where that is from here; none for a name, which is resolved when it is dialled.
    pub(super) target: Option<Target>,
    /// TLS comes first, with this name if any.
    pub(super) tls: Option<Option<String>>,
    /// Sent before TLS: a PROXY protocol header.
    pub(super) before: Vec<u8>,
    pub(super) request: Vec<u8>,
    pub(super) framing: Framing,
}

/// Sends the request and reads the answer.
pub(super) fn exchange(dial: &Dial, deadline: Instant) -> Exchange {
    let sent_at = Timestamp::now();
    let started = Instant::now();
    let outcome = talk(dial, started, deadline);
    Exchange {
        to: dial.to.clone(),
        scheme: dial.scheme.to_owned(),
        sent_at,
        seconds: started.elapsed().as_secs_f64(),
        outcome,
    }
}

fn talk(dial: &Dial, started: Instant, deadline: Instant) -> Outcome {
    let Some(target) = dial.target.clone().or_else(|| resolved(&dial.to)) else {
        return Outcome::NotAsked;
    };
    let patience = deadline.saturating_duration_since(started).min(CONNECT);
    let (outcome, stream) = attempt(&target, patience);
    let (ConnectOutcome::Connected { .. }, Some(stream)) = (&outcome, stream) else {
        return Outcome::NotConnected(outcome);
    };
    let mut line = Line { stream, deadline };
    if let Err(error) = line.write_all(&dial.before) {
        return ended(&error, 0);
    }
    match &dial.tls {
        None => answer(&mut line, dial, started),
        Some(name) => match tls::connect(line, name.as_deref()) {
            Ok(mut stream) => answer(&mut stream, dial, started),
            Err(why) => Outcome::NoHandshake(why),
        },
    }
}

fn resolved(peer: &Peer) -> Option<Target> {
    let Peer::Name { host, port } = peer else { return None };
    (host.as_str(), *port).to_socket_addrs().ok()?.next().map(Target::Tcp)
}

fn answer(stream: &mut impl Stream, dial: &Dial, started: Instant) -> Outcome {
    // A server may answer and hang up before it has read everything: what it said is still there.
    let sent = stream.write_all(&dial.request).and_then(|()| stream.flush());
    let mut raw = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => {
                return sent
                    .err()
                    .map_or(ended(&ErrorKind::UnexpectedEof.into(), raw.len()), |it| ended(&it, raw.len()));
            }
            Ok(bytes) => raw.extend(&buffer[..bytes]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return ended(&error, raw.len()),
        }
        match header(&raw, dial.framing) {
            Header::Whole(mut answered) => {
                answered.header_seconds = started.elapsed().as_secs_f64();
                drain(stream, &raw, dial.framing, &mut answered);
                return Outcome::Answered(answered);
            }
            Header::Other => return Outcome::SpokeOther(raw[..raw.len().min(60)].escape_ascii().to_string()),
            Header::Part if raw.len() > LONGEST_HEADER_BYTES => {
                return Outcome::SpokeOther(format!("a header without an end within {} bytes", raw.len()));
            }
            Header::Part => {}
        }
    }
}

fn ended(error: &io::Error, received: usize) -> Outcome {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Outcome::Silent,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Outcome::Reset,
        ErrorKind::InvalidData => Outcome::NoHandshake(error.to_string()),
        _ => Outcome::Closed { received_bytes: received as u64 },
    }
}

enum Header {
    Part,
    Whole(Answered),
    Other,
}

fn header(raw: &[u8], framing: Framing) -> Header {
    let bytes = match framing {
        Framing::Fastcgi => match payload(raw) {
            Some((bytes, _)) => bytes,
            None => return Header::Other,
        },
        Framing::Http | Framing::Cgi => raw.to_vec(),
    };
    const HTTP: &[u8] = b"HTTP/";
    let start = &bytes[..bytes.len().min(HTTP.len())];
    if framing == Framing::Http && !HTTP.starts_with(start) {
        return Header::Other;
    }
    let Some(end) = end_of_header(&bytes) else { return Header::Part };
    let head = String::from_utf8_lossy(&bytes[..end]);
    let value = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(it, _)| it.trim().eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().chars().take(200).collect::<String>())
            .unwrap_or_default()
    };
    let status = match framing {
        Framing::Http => head.split(' ').nth(1).and_then(|it| it.trim().get(..3)?.parse().ok()),
        // CGI's own rule (RFC 3875, 6.2): without a status it is a success or, with a location, a redirect.
        Framing::Fastcgi | Framing::Cgi => match value("status") {
            none if none.is_empty() => Some(if value("location").is_empty() { 200 } else { 302 }),
            given => given.get(..3).and_then(|it| it.parse().ok()),
        },
    };
    let Some(status) = status else { return Header::Other };
    Header::Whole(Answered {
        status,
        header_seconds: 0.0,
        header_bytes: end as u64,
        body_bytes: (bytes.len() - end) as u64,
        server: value("server"),
        location: value("location"),
    })
}

/// What the records carry so far, and whether the last one has come; none when they are no records.
fn payload(raw: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (mut bytes, mut rest, mut whole) = (Vec::new(), raw, false);
    while let Some((kind, body, after)) = fastcgi::split(rest) {
        if rest[0] != 1 {
            return None;
        }
        match kind {
            STDOUT => bytes.extend(body),
            END_REQUEST => whole = true,
            _ => {}
        }
        rest = after;
    }
    rest.first().is_none_or(|it| *it == 1).then_some((bytes, whole))
}

/// Behind the first empty line.
fn end_of_header(bytes: &[u8]) -> Option<usize> {
    let crlf = memmem::find(bytes, b"\r\n\r\n").map(|it| it + 4);
    let lf = memmem::find(bytes, b"\n\n").map(|it| it + 2);
    crlf.into_iter().chain(lf).min()
}

/// Reads on until it ends, or until enough of it has come.
fn drain(stream: &mut impl Stream, first: &[u8], framing: Framing, answered: &mut Answered) {
    stream.end_by(Instant::now() + ENOUGH_OF_A_BODY);
    let mut buffer = [0; 16 << 10];
    if framing == Framing::Fastcgi && payload(first).is_some_and(|(_, whole)| whole) {
        return;
    }
    while answered.body_bytes < ENOUGH_OF_A_BODY_BYTES {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => answered.body_bytes += bytes as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// A connection, plain or within TLS.
trait Stream: Read + Write {
    /// Ends it earlier than it would end otherwise.
    fn end_by(&mut self, at: Instant);
}

impl Stream for Line {
    fn end_by(&mut self, at: Instant) {
        self.deadline = self.deadline.min(at);
    }
}

impl Stream for StreamOwned<ClientConnection, Line> {
    fn end_by(&mut self, at: Instant) {
        self.sock.end_by(at);
    }
}

/// A connection whose reads and writes end at the deadline.
#[derive(Debug)]
pub(super) struct Line {
    stream: OwnedFd,
    deadline: Instant,
}

impl Line {
    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        let mut waiting = [PollFd::new(&self.stream, flags)];
        match poll(&mut waiting, Some(&until(self.deadline))) {
            Ok(0) => Err(ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.stream, &mut *buffer) {
                Err(Errno::AGAIN) => self.wait(PollFlags::IN)?,
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match send(&self.stream, bytes, SendFlags::NOSIGNAL) {
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT)?,
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
