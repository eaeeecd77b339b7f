//! What a name means now: as the system's libc says it, which is what nginx heard when it started, and as each server of
//! nginx's `resolver` answers, which is what it hears at run time.
//!
//! This program may be linked statically and then knows nothing of nsswitch.conf; so libc is asked through getent.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use snapshot::{Lookup, Reason, Resolution};

use super::path::below;
use crate::host::command;

/// A server that has not answered by then is asked once more: a datagram may be lost.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(400);
/// Servers beyond these are not asked; nobody configures more.
const MOST_SERVERS: usize = 4;

/// Resolves `name` in every way that nginx would. `resolvers` are the arguments of the `resolver` directive.
pub(super) fn resolve(
    name: &str,
    resolvers: &[String],
    root: Option<&Path>,
    deadline: Instant,
) -> Resolution {
    // `ipv4=off` is known since nginx 1.23.1, `ipv6=off` since 1.5.8.
    let off = |it: &str| resolvers.iter().any(|parameter| parameter == it);
    let families = Families { v4: !off("ipv4=off"), v6: !off("ipv6=off") };
    let servers = resolvers.iter().filter(|it| !it.contains('=')).take(MOST_SERVERS);
    std::thread::scope(|scope| {
        let asked: Vec<_> = servers
            .map(|server| {
                let answer = scope.spawn(move || match server_address(server) {
                    Some(address) => ask(address, name, families, deadline),
                    None => Lookup::NotAsked,
                });
                (server.clone(), answer)
            })
            .collect();
        let system = match root {
            None => by_libc(name, deadline),
            // The other root's libc cannot be run, but it reads these two files.
            Some(root) => by_files(name, root, deadline),
        };
        // A thread that panicked would be our own fault; its server then counts as not asked.
        let join = |(server, answer): (String, std::thread::ScopedJoinHandle<Lookup>)| {
            (server, answer.join().unwrap_or(Lookup::NotAsked))
        };
        Resolution { name: name.to_owned(), system, resolvers: asked.into_iter().map(join).collect() }
    })
}

/// The address of a `resolver` argument; none when it is a name itself.
fn server_address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let ip = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()?;
    Some(SocketAddr::new(ip, 53))
}

fn by_libc(name: &str, deadline: Instant) -> Lookup {
    if let Ok(ip) = name.parse() {
        return Lookup::Found(vec![ip]);
    }
    if !is_host_name(name) {
        return Lookup::NotFound;
    }
    match command::run("getent", &["ahosts", name], deadline, "getent ahosts") {
        Ok(output) if output.success => {
            let found = addresses_of_getent(&String::from_utf8_lossy(&output.stdout));
            if found.is_empty() { Lookup::NotFound } else { Lookup::Found(found) }
        }
        // getent says the same for "no such name" and for "no server answers"; the servers know which it was.
        Ok(_) => match by_name_servers(name, Path::new("/"), deadline) {
            Lookup::Found(_) | Lookup::NotAsked => Lookup::NotFound,
            other => other,
        },
        Err(unread) if unread.reason == Reason::TimedOut => Lookup::TimedOut,
        Err(_) => by_files(name, Path::new("/"), deadline),
    }
}

/// A name goes to a tool as an argument, and to a server as a question: nothing else may look like one.
fn is_host_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() < 254 && !name.starts_with('-') && name.bytes().all(plain)
}

fn addresses_of_getent(text: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(Ok(ip)) = line.split_whitespace().next().map(str::parse)
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    found
}

fn by_files(name: &str, root: &Path, deadline: Instant) -> Lookup {
    if let Ok(ip) = name.parse() {
        return Lookup::Found(vec![ip]);
    }
    let hosts = fs::read(below(root, Path::new("/etc/hosts"))).unwrap_or_default();
    let found = in_hosts(&String::from_utf8_lossy(&hosts), name);
    if found.is_empty() { by_name_servers(name, root, deadline) } else { Lookup::Found(found) }
}

fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|it| it.eq_ignore_ascii_case(name)).then_some(ip)
    });
    lines.collect()
}

/// The first answer among the servers of resolv.conf(5); a name that one of them denies does not exist.
fn by_name_servers(name: &str, root: &Path, deadline: Instant) -> Lookup {
    let text = fs::read(below(root, Path::new("/etc/resolv.conf"))).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let mut outcome = Lookup::NotAsked;
    for server in servers.filter_map(|it| server_address(it.trim())).take(3) {
        outcome = ask(server, name, Families { v4: true, v6: true }, deadline);
        if matches!(outcome, Lookup::Found(_) | Lookup::NotFound) {
            break;
        }
    }
    outcome
}

#[derive(Debug, Clone, Copy)]
struct Families {
    v4: bool,
    v6: bool,
}

/// Asks one server for the addresses of both families at once, as nginx does.
fn ask(server: SocketAddr, name: &str, families: Families, deadline: Instant) -> Lookup {
    let Some(name) = is_host_name(name).then(|| Name::from_ascii(name).ok()).flatten() else {
        return Lookup::NotFound;
    };
    let types = [(families.v4, RecordType::A), (families.v6, RecordType::AAAA)];
    let mut questions = Vec::new();
    for (_, kind) in types.into_iter().filter(|(wanted, _)| *wanted) {
        match Question::new(&name, kind) {
            Some(question) => questions.push(question),
            None => return Lookup::NotFound,
        }
    }
    let unreachable = |error: io::Error| Lookup::Unreachable(words(&error));
    if let Err(error) = by_udp(server, &mut questions, deadline) {
        return unreachable(error);
    }
    for question in questions.iter_mut().filter(|it| it.truncated) {
        question.answer = match by_tcp(server, &question.bytes, deadline) {
            Ok(bytes) => question.read(&bytes),
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => None,
            Err(error) => return unreachable(error),
        };
    }
    together(questions.into_iter().map(|it| it.answer.unwrap_or(Lookup::TimedOut)).collect())
}

/// An answer of either family is an answer; else an error says more than silence, and silence more than "no such name".
fn together(answers: Vec<Lookup>) -> Lookup {
    let mut found = Vec::new();
    for answer in &answers {
        if let Lookup::Found(addresses) = answer {
            found.extend(addresses);
        }
    }
    if !found.is_empty() {
        return Lookup::Found(found);
    }
    let first = |wanted: fn(&Lookup) -> bool| answers.iter().find(|it| wanted(it)).cloned();
    first(|it| matches!(it, Lookup::Failed(_)))
        .or_else(|| first(|it| matches!(it, Lookup::TimedOut)))
        .unwrap_or(Lookup::NotFound)
}

struct Question {
    id: u16,
    bytes: Vec<u8>,
    answer: Option<Lookup>,
    truncated: bool,
}

impl Question {
    fn new(name: &Name, kind: RecordType) -> Option<Question> {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name.clone(), kind));
        let bytes = message.to_vec().ok()?;
        Some(Question { id: message.metadata.id, bytes, answer: None, truncated: false })
    }

    /// What a reply means; none when it is not one to this question.
    fn read(&self, bytes: &[u8]) -> Option<Lookup> {
        let message = Message::from_vec(bytes).ok()?;
        let head = &message.metadata;
        if head.id != self.id || head.message_type != MessageType::Response || head.op_code != OpCode::Query {
            return None;
        }
        Some(match head.response_code {
            ResponseCode::NoError => {
                // nginx as well takes every address of the answer section, wherever its CNAMEs lead.
                let addresses = message.answers.iter().filter_map(|record| match &record.data {
                    RData::A(it) => Some(IpAddr::V4(it.0)),
                    RData::AAAA(it) => Some(IpAddr::V6(it.0)),
                    _ => None,
                });
                let addresses: Vec<IpAddr> = addresses.collect();
                if addresses.is_empty() { Lookup::NotFound } else { Lookup::Found(addresses) }
            }
            ResponseCode::NXDomain => Lookup::NotFound,
            ResponseCode::ServFail => Lookup::Failed("SERVFAIL".into()),
            ResponseCode::Refused => Lookup::Failed("REFUSED".into()),
            ResponseCode::FormErr => Lookup::Failed("FORMERR".into()),
            ResponseCode::NotImp => Lookup::Failed("NOTIMP".into()),
            other => Lookup::Failed(other.to_string()),
        })
    }
}

/// Asks until every question has its answer or the time is over. An ICMP "port unreachable" comes back as an error.
fn by_udp(server: SocketAddr, questions: &mut [Question], deadline: Instant) -> io::Result<()> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    let mut next_try = Instant::now();
    let mut tries = 0;
    let mut buffer = [0; 4096];
    while questions.iter().any(|it| it.answer.is_none() && !it.truncated) {
        let now = Instant::now();
        if now >= deadline {
            return Ok(());
        }
        if tries < 2 && now >= next_try {
            for question in questions.iter().filter(|it| it.answer.is_none()) {
                socket.send(&question.bytes)?;
            }
            tries += 1;
            next_try = now + ASK_AGAIN_AFTER;
        }
        let pause = if tries < 2 { deadline.min(next_try) } else { deadline };
        let pause = pause.saturating_duration_since(now).max(Duration::from_millis(1));
        socket.set_read_timeout(Some(pause))?;
        match socket.recv(&mut buffer) {
            Ok(bytes) => {
                for question in questions.iter_mut().filter(|it| it.answer.is_none()) {
                    let reply = question.read(&buffer[..bytes]);
                    // The header's TC bit: what did not fit is fetched by TCP.
                    question.truncated |= reply.is_some() && buffer[2] & 2 != 0;
                    if !question.truncated {
                        question.answer = reply;
                    }
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The same question by TCP, where a length of two bytes goes first (RFC 1035, 4.2.2).
fn by_tcp(server: SocketAddr, question: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
    };
    let mut stream = TcpStream::connect_timeout(&server, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(&[&(question.len() as u16).to_be_bytes()[..], question].concat())?;
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some((length, rest)) = received.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if let Some(whole) = rest.get(..length) {
                return Ok(whole.to_vec());
            }
        }
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => received.extend(&buffer[..bytes]),
        }
    }
}

/// The errno's words without its number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};

    use super::*;

    /// What is heard of `app.internal` from a server that answers each question with what `reply` makes of it.
    fn hear(reply: fn(&Message) -> Message) -> Lookup {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((bytes, client)) = socket.recv_from(&mut buffer) {
                let question = Message::from_vec(&buffer[..bytes]).unwrap();
                let mut answer = reply(&question);
                answer.metadata.id = question.metadata.id;
                socket.send_to(&answer.to_vec().unwrap(), client).unwrap();
            }
        });
        let families = Families { v4: true, v6: true };
        ask(server, "app.internal", families, Instant::now() + Duration::from_secs(1))
    }

    fn an_address(question: &Message) -> Message {
        let mut answer = Message::response(0, OpCode::Query);
        answer.add_queries(question.queries.clone());
        let alias: Name = "app-7.internal.".parse().unwrap();
        let name = question.queries[0].name.clone();
        answer.add_answer(Record::from_rdata(name, 5, RData::CNAME(CNAME(alias.clone()))));
        if question.queries[0].query_type == RecordType::A {
            answer.add_answer(Record::from_rdata(alias, 5, RData::A(A::new(10, 0, 0, 7))));
        }
        answer
    }

    #[test]
    fn addresses_behind_an_alias_are_found() {
        assert_eq!(hear(an_address), Lookup::Found(vec!["10.0.0.7".parse().unwrap()]));
    }

    #[test]
    fn refusals_are_told_apart() {
        let with = |code| Message::error_msg(0, OpCode::Query, code);
        assert_eq!(hear(|_| Message::error_msg(0, OpCode::Query, ResponseCode::NXDomain)), Lookup::NotFound);
        assert_eq!(
            hear(|_| Message::error_msg(0, OpCode::Query, ResponseCode::ServFail)),
            Lookup::Failed("SERVFAIL".into())
        );
        assert_eq!(with(ResponseCode::Refused).metadata.response_code, ResponseCode::Refused);
    }

    #[test]
    fn a_closed_port_is_unreachable() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = socket.local_addr().unwrap();
        drop(socket);
        let families = Families { v4: true, v6: true };
        let heard = ask(server, "app.internal", families, Instant::now() + Duration::from_secs(1));
        assert_eq!(heard, Lookup::Unreachable("Connection refused".into()));
    }

    #[test]
    fn silence_is_told_when_the_time_is_over() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let families = Families { v4: true, v6: false };
        let deadline = Instant::now() + Duration::from_millis(150);
        assert_eq!(ask(socket.local_addr().unwrap(), "app.internal", families, deadline), Lookup::TimedOut);
    }

    #[test]
    fn every_prefix_of_a_reply_is_survived() {
        let question = Question::new(&"app.internal".parse().unwrap(), RecordType::A).unwrap();
        let mut reply = an_address(&Message::from_vec(&question.bytes).unwrap());
        reply.metadata.id = question.id;
        let bytes = reply.to_vec().unwrap();
        assert!(question.read(&bytes).is_some());
        for end in 0..bytes.len() {
            question.read(&bytes[..end]);
        }
    }

    #[test]
    fn arguments_of_the_resolver_directive_are_addresses_with_or_without_a_port() {
        let address = |text| server_address(text).map(|it| it.to_string());
        assert_eq!(address("127.0.0.1").as_deref(), Some("127.0.0.1:53"));
        assert_eq!(address("127.0.0.1:5353").as_deref(), Some("127.0.0.1:5353"));
        assert_eq!(address("[2001:db8::1]").as_deref(), Some("[2001:db8::1]:53"));
        assert_eq!(address("[2001:db8::1]:5353").as_deref(), Some("[2001:db8::1]:5353"));
        assert_eq!(address("dns.internal"), None);
    }

    #[test]
    fn getents_lines_give_each_address_once_in_its_order() {
        let text = "::1             STREAM localhost\n::1             DGRAM  \n127.0.0.1       STREAM \n";
        let expected: [IpAddr; 2] = ["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        assert_eq!(addresses_of_getent(text), expected);
    }

    #[test]
    fn a_name_in_the_hosts_file_is_found_whatever_its_case() {
        let text = "127.0.0.1 localhost\n10.0.0.7 app.internal App # old: 10.0.0.6 api\n";
        assert_eq!(in_hosts(text, "app"), ["10.0.0.7".parse::<IpAddr>().unwrap()]);
        assert!(in_hosts(text, "api").is_empty());
    }

    #[test]
    fn what_looks_like_an_option_is_no_name() {
        assert!(!is_host_name("--help"));
        assert!(!is_host_name("a b"));
        assert!(is_host_name("app-1.internal"));
    }
}
