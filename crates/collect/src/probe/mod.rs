//! Greetings that tell which protocol a peer speaks without running a line of the application's code.
//!
//! The protocol that nginx is configured to speak is tried first. Only when that is not spoken the others follow, side by
//! side; so a healthy peer sees one connection, and none ever sees more than four at a time. A server with a single
//! worker serves them one after another: the silent one is hung up before the others come, and HTTP comes first. After
//! silence only those protocols follow whose servers would have waited for more: what is left may be a full queue, and
//! each connection takes a place in it.

pub(crate) mod certificates;
pub(crate) mod connect;
pub(crate) mod fastcgi;
mod http;
mod http2;
mod proxy_protocol;
mod tls;
mod uwsgi;
mod x509;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, send, shutdown};
use snapshot::{Answer, ConnectOutcome, Greeting, Protocol};

use connect::{Target, attempt, until};

/// How long a round of greetings may take. A server that is merely busy answers well within it; there are two rounds.
const ROUND: Duration = Duration::from_millis(400);
/// The last round is for a peer that hung up at once on everything, so it answers at once as well.
const LAST_ROUND: Duration = Duration::from_millis(200);
/// Long enough for a peer that is going to hang up to have done so.
const PAUSE: Duration = Duration::from_millis(120);
/// More than this is never kept of an answer.
const LONGEST_ANSWER_BYTES: usize = 8192;

/// What a greeting has to say about whom.
pub(crate) struct Names<'a> {
    /// For SNI.
    pub(crate) ssl_name: Option<&'a str>,
    /// For the Host header.
    pub(crate) host: &'a str,
}

/// The protocol of one of nginx's URL schemes; none for those that have no harmless greeting (scgi, memcached, stream).
fn protocol_of(scheme: &str) -> Option<Protocol> {
    Some(match scheme {
        "http" => Protocol::Http,
        "https" | "grpcs" | "suwsgi" | "stream-tls" => Protocol::Tls,
        "fastcgi" => Protocol::Fastcgi,
        "uwsgi" => Protocol::Uwsgi,
        "grpc" => Protocol::Http2,
        _ => return None,
    })
}

/// Greets a peer to which a connection was just made; `stream` is that connection.
pub(crate) fn greet(
    target: &Target,
    schemes: &[String],
    names: &Names,
    stream: OwnedFd,
    deadline: Instant,
) -> Vec<Greeting> {
    let mut configured: Vec<Protocol> = schemes.iter().filter_map(|it| protocol_of(it)).collect();
    configured.dedup();
    configured.truncate(2);
    let Some(first) = configured.first() else {
        hang_up(stream);
        return Vec::new();
    };

    let mut talks = vec![Talk::on(*first, names, stream)];
    talks.extend(configured[1..].iter().map(|it| Talk::new(*it, names, target)));
    let mut greetings = converse(talks, deadline.min(Instant::now() + ROUND), Until::AllEnded);
    if greetings.iter().any(|it| matches!(it.answer, Answer::Spoken | Answer::NotConnected)) {
        return greetings;
    }

    let others: Vec<Protocol> = match greetings.iter().find_map(|it| told(it.answer)) {
        // The answer itself says what to speak; one greeting confirms it.
        Some(protocol) => vec![protocol],
        None if greetings.iter().all(|it| it.answer == Answer::Silent) => patient(*first).to_vec(),
        None => vec![Protocol::Http, Protocol::Fastcgi, Protocol::Uwsgi, Protocol::Tls],
    };
    let talks = others.into_iter().filter(|it| !configured.contains(it));
    let talks = talks.map(|it| Talk::new(it, names, target)).collect();
    greetings.extend(converse(talks, deadline.min(Instant::now() + ROUND), Until::OneIsSpoken));

    // Who waits for a PROXY header hangs up on everything else, without a word.
    let hung_up = |it: &Greeting| matches!(it.answer, Answer::Closed | Answer::Reset);
    let inner = configured.iter().find(|it| matches!(it, Protocol::Http | Protocol::Tls));
    if let Some(inner) = inner
        && greetings.iter().all(hung_up)
    {
        let mut talk = Talk::new(Protocol::ProxyProtocol, names, target);
        talk.to_send = proxy_protocol::greeting(greeting_of(*inner, names));
        greetings.extend(converse(vec![talk], deadline.min(Instant::now() + LAST_ROUND), Until::AllEnded));
    }
    greetings
}

/// The protocols whose servers stay silent when greeted in that one, because it looks like the beginning of something.
/// The others hang up, or answer, as soon as they read it.
fn patient(greeted: Protocol) -> &'static [Protocol] {
    match greeted {
        // A whole request and a whole preface: every server can tell that they are not its own.
        Protocol::Http | Protocol::Http2 | Protocol::ProxyProtocol => &[],
        // No end of a line in it.
        Protocol::Fastcgi | Protocol::Uwsgi => &[Protocol::Http],
        // To uWSGI it announces a longer block than it has.
        Protocol::Tls => &[Protocol::Http, Protocol::Uwsgi],
    }
}

/// The protocol that an answer gave away.
fn told(answer: Answer) -> Option<Protocol> {
    match answer {
        Answer::SpokeHttp => Some(Protocol::Http),
        Answer::SpokeTls => Some(Protocol::Tls),
        Answer::SpokeFastcgi => Some(Protocol::Fastcgi),
        Answer::SpokeHttp2 => Some(Protocol::Http2),
        _ => None,
    }
}

fn greeting_of(protocol: Protocol, names: &Names) -> Vec<u8> {
    match protocol {
        Protocol::Fastcgi => fastcgi::greeting(),
        Protocol::Http | Protocol::ProxyProtocol => http::greeting(names.host),
        Protocol::Uwsgi => uwsgi::greeting(),
        Protocol::Tls => tls::greeting(names.ssl_name),
        Protocol::Http2 => http2::greeting(),
    }
}

/// What a peer's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoke {
    Http,
    Tls,
    Fastcgi,
    Http2,
    Uwsgi,
    Other,
}

/// Names the protocol of an answer by its first bytes; none while they may still become several things.
fn recognise(bytes: &[u8]) -> Option<Spoke> {
    const HTTP: &[u8] = b"HTTP/";
    let first = *bytes.first()?;
    if bytes.starts_with(HTTP) {
        return Some(if http::wants_tls(bytes) { Spoke::Tls } else { Spoke::Http });
    }
    if tls::answers(bytes) {
        return Some(Spoke::Tls);
    }
    if uwsgi::answers(bytes) {
        return Some(Spoke::Uwsgi);
    }
    if let [1, 1..=fastcgi::HIGHEST_TYPE, ..] = bytes
        && bytes.len() >= fastcgi::HEADER_BYTES
    {
        return Some(Spoke::Fastcgi);
    }
    if http2::answers(bytes) {
        return Some(Spoke::Http2);
    }
    let undecided = HTTP.starts_with(bytes)
        || matches!(bytes, [21 | 22] | [21 | 22, 3])
        || matches!(bytes, [100] | [100, _] | [100, _, _])
        || first == 1 && bytes.len() < fastcgi::HEADER_BYTES
        || first == 0 && bytes.len() < http2::FRAME_HEADER_BYTES;
    (!undecided).then_some(Spoke::Other)
}

/// Whether enough of it has come to be told in detail.
fn complete(spoke: Spoke, bytes: &[u8]) -> bool {
    match spoke {
        Spoke::Http => http::complete(bytes),
        Spoke::Tls => !tls::answers(bytes) || tls::complete(bytes),
        Spoke::Fastcgi => fastcgi::split(bytes).is_some(),
        Spoke::Http2 | Spoke::Uwsgi | Spoke::Other => true,
    }
}

fn detail(spoke: Spoke, bytes: &[u8]) -> String {
    match spoke {
        Spoke::Tls if tls::answers(bytes) => tls::detail(bytes),
        Spoke::Http | Spoke::Tls => http::detail(bytes),
        Spoke::Fastcgi => fastcgi::detail(bytes),
        Spoke::Http2 => http2::detail(bytes),
        Spoke::Uwsgi => "an answer to the ping".into(),
        Spoke::Other => bytes[..bytes.len().min(60)].escape_ascii().to_string(),
    }
}

/// What an answer of that kind means to who greeted in `protocol`.
fn answer(protocol: Protocol, to_send: &[u8], spoke: Spoke) -> Answer {
    let expected = match protocol {
        Protocol::Http => Spoke::Http,
        Protocol::Tls => Spoke::Tls,
        Protocol::Fastcgi => Spoke::Fastcgi,
        Protocol::Http2 => Spoke::Http2,
        Protocol::Uwsgi => Spoke::Uwsgi,
        // The greeting behind the header is that of HTTP or of TLS, whose record begins with 22.
        Protocol::ProxyProtocol if to_send.contains(&22) => Spoke::Tls,
        Protocol::ProxyProtocol => Spoke::Http,
    };
    match spoke {
        _ if spoke == expected => Answer::Spoken,
        Spoke::Http => Answer::SpokeHttp,
        Spoke::Tls => Answer::SpokeTls,
        Spoke::Fastcgi => Answer::SpokeFastcgi,
        Spoke::Http2 => Answer::SpokeHttp2,
        Spoke::Uwsgi | Spoke::Other => Answer::SpokeOther,
    }
}

/// One greeting under way.
struct Talk {
    protocol: Protocol,
    /// None once it is over.
    stream: Option<OwnedFd>,
    to_send: Vec<u8>,
    sent_bytes: usize,
    /// What is only sent after a pause in which the peer kept silent, and when that is.
    held_back: Option<(Instant, Vec<u8>)>,
    received: Vec<u8>,
    /// How it ended when nothing came: still silent, until told otherwise.
    without_answer: Answer,
}

impl Talk {
    fn on(protocol: Protocol, names: &Names, stream: OwnedFd) -> Talk {
        Talk {
            protocol,
            stream: Some(stream),
            to_send: greeting_of(protocol, names),
            sent_bytes: 0,
            held_back: (protocol == Protocol::Uwsgi).then(|| (Instant::now() + PAUSE, uwsgi::rest())),
            received: Vec::new(),
            without_answer: Answer::Silent,
        }
    }

    fn new(protocol: Protocol, names: &Names, target: &Target) -> Talk {
        // The peer was just connected to; if that takes long now, its queue is full and it is left alone.
        let (outcome, stream) = attempt(target, Duration::from_millis(100));
        match (outcome, stream) {
            (ConnectOutcome::Connected { .. }, Some(stream)) => Talk::on(protocol, names, stream),
            _ => Talk {
                protocol,
                stream: None,
                to_send: Vec::new(),
                sent_bytes: 0,
                held_back: None,
                received: Vec::new(),
                without_answer: Answer::NotConnected,
            },
        }
    }

    /// Sends and reads as far as that goes now.
    fn advance(&mut self) {
        let Some(stream) = &self.stream else { return };
        if let Some((_, rest)) = self.held_back.take_if(|(at, _)| *at <= Instant::now()) {
            self.to_send.extend(rest);
        }
        while self.sent_bytes < self.to_send.len() {
            match send(stream, &self.to_send[self.sent_bytes..], SendFlags::NOSIGNAL) {
                Ok(bytes) => self.sent_bytes += bytes,
                Err(Errno::AGAIN | Errno::INTR) => break,
                // What the peer said before it hung up is still there to be read.
                Err(_) => self.sent_bytes = self.to_send.len(),
            }
        }
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(stream, &mut buffer) {
                Ok(0) if self.protocol == Protocol::Uwsgi && self.held_back.is_none() => {
                    return self.end(Answer::Spoken);
                }
                Ok(0) => return self.end(Answer::Closed),
                Ok(bytes) => self.received.extend(&buffer[..bytes]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => return self.end(Answer::Reset),
            }
            let whole = recognise(&self.received).is_some_and(|it| complete(it, &self.received));
            if whole || self.received.len() >= LONGEST_ANSWER_BYTES {
                return self.end(Answer::Silent);
            }
        }
    }

    fn end(&mut self, without_answer: Answer) {
        self.without_answer = without_answer;
        if let Some(stream) = self.stream.take() {
            hang_up(stream);
        }
    }

    fn is_spoken(&self) -> bool {
        match recognise(&self.received) {
            _ if self.stream.is_some() => false,
            Some(spoke) => answer(self.protocol, &self.to_send, spoke) == Answer::Spoken,
            None => self.without_answer == Answer::Spoken,
        }
    }

    fn greeting(mut self) -> Greeting {
        if let Some(stream) = self.stream.take() {
            hang_up(stream);
        }
        let Talk { protocol, to_send, received, without_answer, .. } = self;
        if received.is_empty() {
            let detail = if without_answer == Answer::Spoken { uwsgi::MANNERS.into() } else { String::new() };
            return Greeting { protocol, answer: without_answer, detail };
        }
        let spoke = recognise(&received).unwrap_or(Spoke::Other);
        Greeting { protocol, answer: answer(protocol, &to_send, spoke), detail: detail(spoke, &received) }
    }
}

/// When a round is over, if not by its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    AllEnded,
    /// What the others would have said is no longer asked, nor reported.
    OneIsSpoken,
}

/// Holds all talks at once until each has its answer or the deadline comes.
fn converse(mut talks: Vec<Talk>, deadline: Instant, until_when: Until) -> Vec<Greeting> {
    loop {
        talks.iter_mut().for_each(Talk::advance);
        if until_when == Until::OneIsSpoken && talks.iter().any(Talk::is_spoken) {
            talks.retain(|it| it.stream.is_none());
            break;
        }
        let mut waiting: Vec<PollFd> = talks
            .iter()
            .filter_map(|talk| {
                let sending = talk.sent_bytes < talk.to_send.len();
                let wanted = if sending { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
                Some(PollFd::new(talk.stream.as_ref()?, wanted))
            })
            .collect();
        if waiting.is_empty() || Instant::now() >= deadline {
            break;
        }
        let pauses = talks.iter().filter_map(|it| it.held_back.as_ref().filter(|_| it.stream.is_some()));
        let next = pauses.map(|(at, _)| *at).min().map_or(deadline, |at| at.min(deadline));
        match poll(&mut waiting, Some(&until(next))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    talks.into_iter().map(Talk::greeting).collect()
}

/// Ends a connection in the open: the peer reads an end of file, not a reset.
pub(crate) fn hang_up(stream: OwnedFd) {
    // It fails when the peer was faster, and then there is nothing left to say.
    let _ = shutdown(&stream, Shutdown::Both);
}

#[cfg(test)]
mod tests;
