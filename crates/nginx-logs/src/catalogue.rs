//! From an entry of the error log to its symptom.
//!
//! A message is looked up by its beginning in `catalogue_table`; errno, action and level then decide
//! between symptoms, since nginx uses the same words on both sides ("recv() failed") and in several phases
//! ("upstream timed out"). The side of the client is never a symptom of an upstream's.

use crate::action::{Side, plain};
use crate::bytes::{contains, find, leading_number};
use crate::catalogue_table::{RULES, Rule};
use crate::error::{ErrorRecord, Level, configuration_location};

pub use crate::errno::{Errno, errno};
pub use crate::symptom::{Symptom, UnknownSymptom};

/// The symptom of an entry; `None`: its message is none.
pub(crate) fn symptom(record: &ErrorRecord<'_>) -> Option<Symptom> {
    if record.level == Level::Debug {
        return None;
    }
    if record.level == Level::Emerg {
        return emergency(record);
    }
    if let Some(rule) = rule_of(record.message) {
        return apply(rule, record);
    }
    by_inner_text(record)
}

/// What all messages say that begin and end alike, whatever stands between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alike {
    Say(Option<Symptom>),
    /// Nothing, except those that tell of an unresolved name.
    SayNothingUnlessUnresolved,
}

impl Alike {
    /// What one of them says; `None`: it must be read.
    pub fn symptom(self, head: &[u8]) -> Option<Option<Symptom>> {
        match self {
            Alike::Say(symptom) => Some(symptom),
            Alike::SayNothingUnlessUnresolved => {
                let unresolved = memchr::memchr_iter(b'(', head)
                    .any(|at| head[..at].ends_with(b" could not be resolved "));
                (!unresolved).then_some(None)
            }
        }
    }
}

/// What the messages of a connection with a client say that have this beginning, up to a quote, a slash or a digit, and this
/// end, which begins at the last quote or behind the last slash. `None`: what stands between them matters, or may.
pub(crate) fn alike(level: Level, beginning: &[u8], end: &ErrorRecord<'_>) -> Option<Alike> {
    let errno_begins = beginning.len() >= 2 && beginning[beginning.len() - 2] == b'(';
    if level <= Level::Emerg || level == Level::Debug || errno_begins || contains(beginning, b" while ") {
        return None;
    }
    let rule = rule_of(beginning);
    if RULES.iter().any(|(start, _)| start.len() > beginning.len() && start.as_bytes().starts_with(beginning))
    {
        return None;
    }
    match rule {
        Some(Rule::Is(symptom)) => Some(Alike::Say(Some(symptom))),
        Some(Rule::No) => Some(Alike::Say(None)),
        // Only of nginx's own files, whose failures are critical, does the path tell.
        Some(rule @ (Rule::Open | Rule::MakeDirectory | Rule::Store | Rule::Serve | Rule::Write)) => {
            (level != Level::Crit && end.errno_text.is_some()).then(|| Alike::Say(file(rule, end)))
        }
        Some(_) => None,
        None => (beginning.len() > 1).then_some(Alike::SayNothingUnlessUnresolved),
    }
}

/// The longest beginning in the table that the message has.
fn rule_of(message: &[u8]) -> Option<Rule> {
    // A beginning sorts at or before every text that has it, and the longest one nearest.
    let after = RULES.partition_point(|(start, _)| start.as_bytes() <= message);
    let first = message.first()?;
    RULES[..after]
        .iter()
        .rev()
        .take_while(|(start, _)| start.as_bytes().first() == Some(first))
        .find(|(start, _)| message.starts_with(start.as_bytes()))
        .map(|(_, rule)| *rule)
}

/// Nearly every `[emerg]` is a refused configuration or a failed start. The others come from a running
/// process.
fn emergency(record: &ErrorRecord<'_>) -> Option<Symptom> {
    // ngx_alloc(), the thread library, and a worker that gives up its privileges.
    const RUNNING: [&[u8]; 9] = [
        b"malloc(",
        b"memalign(",
        b"posix_memalign(",
        b"pthread_",
        b"capset() failed",
        b"initgroups(",
        b"prctl(",
        b"setgid(",
        b"setuid(",
    ];
    // Only where it was for a request is anybody served worse: a worker that lacks memory.
    let allocation = contains(record.message, b"alloc(")
        || record.message.starts_with(b"memalign(")
        || record.message.starts_with(b"posix_memalign(");
    if allocation && record.linux_errno() == Some(12) && record.client.is_some() {
        return Some(Symptom::WorkerExit);
    }
    let running = RUNNING.iter().any(|start| record.message.starts_with(start));
    (!running || configuration_location(record.message).is_some()).then_some(Symptom::ConfigEmerg)
}

fn apply(rule: Rule, record: &ErrorRecord<'_>) -> Option<Symptom> {
    match rule {
        Rule::Is(symptom) => Some(symptom),
        Rule::No => None,
        Rule::Connect => connect(record),
        Rule::Bind => matches!(record.linux_errno(), Some(98 | 99)).then_some(Symptom::ConnectNoAddress),
        Rule::Socket => socket(record),
        Rule::Accept => fd_limit(record.linux_errno()),
        Rule::Receive => receive(record),
        Rule::Send => send(record),
        Rule::TimedOut => Some(timed_out(record)),
        Rule::ConnectionTimedOut => {
            (record.action == Some(b"proxying connection")).then_some(Symptom::ReadTimeout)
        }
        Rule::Closed => {
            Some(if waits_for_header(record) { Symptom::PrematureClose } else { Symptom::BodyShort })
        }
        Rule::TlsSetup => {
            // No traffic yet: a stream session is prepared under "proxying connection", whatever the level.
            let upstream =
                matches!(record.side(), Some(Side::Upstream | Side::Both)) && record.level < Level::Info;
            upstream.then_some(Symptom::SslHandshake)
        }
        Rule::TlsSend => of_upstream(record).then_some(Symptom::SendFailed),
        Rule::Handshake => of_upstream(record).then(|| {
            let verify = contains(record.message, b"certificate verify failed");
            if verify { Symptom::SslVerify } else { Symptom::SslHandshake }
        }),
        Rule::TlsRead => of_upstream(record).then(|| {
            let alert = record.ssl.is_some_and(|it| contains(it, b"alert"));
            if alert { Symptom::SslHandshake } else { Symptom::ReadReset }
        }),
        Rule::ProxyHeader => {
            (record.action == Some(b"reading PROXY protocol")).then_some(Symptom::ProxyHeaderBroken)
        }
        Rule::Resolver(symptom) => {
            let resolving = matches!(record.side(), None | Some(Side::Resolver));
            (resolving && record.client.is_none()).then_some(symptom)
        }
        Rule::NoResolver => (record.side() != Some(Side::Ocsp)).then_some(Symptom::NoResolver),
        Rule::AuthServer => Some(match () {
            () if record.message.ends_with(b" timed out") => Symptom::ReadTimeout,
            () => Symptom::ResponseInvalid,
        }),
        Rule::Open | Rule::MakeDirectory | Rule::Store | Rule::Serve | Rule::Write => file(rule, record),
    }
}

/// connect() towards a peer, a name server, syslog or an OCSP responder.
fn connect(record: &ErrorRecord<'_>) -> Option<Symptom> {
    match record.side() {
        None | Some(Side::Syslog | Side::Client) => return None,
        Some(Side::Resolver) => return Some(Symptom::ResolveFailed),
        Some(Side::Upstream | Side::Both | Side::Ocsp) => {}
    }
    Some(match record.linux_errno()? {
        2 => Symptom::ConnectSocketMissing,
        11 => Symptom::ConnectAgain,
        1 | 13 => Symptom::ConnectPermission,
        99 => Symptom::ConnectNoAddress,
        100 | 101 => Symptom::ConnectNetUnreachable,
        104 => Symptom::ReadReset,
        110 => Symptom::ConnectTimeout,
        111 => Symptom::ConnectRefused,
        // A blackhole route gives EINVAL.
        22 | 112 | 113 => Symptom::ConnectNoRoute,
        _ => return None,
    })
}

fn socket(record: &ErrorRecord<'_>) -> Option<Symptom> {
    match record.side()? {
        Side::Resolver => Some(Symptom::ResolveFailed),
        Side::Upstream | Side::Both => fd_limit(record.linux_errno()),
        Side::Client | Side::Ocsp | Side::Syslog => None,
    }
}

fn fd_limit(errno: Option<i32>) -> Option<Symptom> {
    matches!(errno, Some(23 | 24)).then_some(Symptom::SocketFdLimit)
}

/// Whether a failed read, write or handshake is on the connection to the upstream.
///
/// In tunnels and in the body phase the action alone does not tell. The level does: failures of a client's
/// connection are logged at `info`, those of an upstream's at `error` (`log_error` of ngx_connection_t).
fn of_upstream(record: &ErrorRecord<'_>) -> bool {
    match record.side() {
        Some(Side::Upstream) => record.level < Level::Info,
        Some(Side::Both) => record.level == Level::Error,
        Some(Side::Client) => record.action == Some(b"sending to client") && record.level == Level::Error,
        _ => false,
    }
}

/// recv() and readv().
fn receive(record: &ErrorRecord<'_>) -> Option<Symptom> {
    if record.side() == Some(Side::Resolver) {
        return Some(Symptom::ResolveFailed);
    }
    let errno = record.linux_errno()?;
    if !of_upstream(record) {
        let gone = record.action == Some(b"sending to client") && errno == 104;
        return gone.then_some(Symptom::ClientClosed);
    }
    Some(match errno {
        101 => Symptom::ConnectNetUnreachable,
        104 => Symptom::ReadReset,
        110 => Symptom::ReadTimeout,
        111 => Symptom::ConnectRefused,
        113 => Symptom::ConnectNoRoute,
        _ => return None,
    })
}

/// send(), writev(), sendfile(), sendmsg(), sendto() and their like.
fn send(record: &ErrorRecord<'_>) -> Option<Symptom> {
    if record.side() == Some(Side::Resolver) {
        return Some(Symptom::ResolveFailed);
    }
    if record.action == Some(b"sending to client") {
        return matches!(record.linux_errno(), Some(32 | 104)).then_some(Symptom::ClientClosed);
    }
    of_upstream(record).then_some(Symptom::SendFailed)
}

fn timed_out(record: &ErrorRecord<'_>) -> Symptom {
    match record.action.map(plain) {
        Some(b"connecting to upstream") => Symptom::ConnectTimeout,
        Some(b"SSL handshaking to upstream") => Symptom::SslTimeout,
        Some(b"sending request to upstream") => Symptom::SendTimeout,
        _ => Symptom::ReadTimeout,
    }
}

fn waits_for_header(record: &ErrorRecord<'_>) -> bool {
    !matches!(record.action, Some(b"reading upstream" | b"sending to client"))
}

/// A failed call with a path: temporary and stored files of nginx's own, or files that it serves.
fn file(rule: Rule, record: &ErrorRecord<'_>) -> Option<Symptom> {
    if configuration_location(record.message).is_some() && record.client.is_none() {
        return Some(Symptom::ConfigEmerg);
    }
    let errno = record.linux_errno();
    // Without a context it is the master's pid file or the cache loader, unless the disk is full.
    if record.client.is_none() && !record.truncated && errno != Some(28) {
        return None;
    }
    if record.level > Level::Error || record.level == Level::Alert && rule != Rule::Serve {
        return None;
    }
    let by_errno = match errno {
        Some(13) => Some(Symptom::PermissionDenied),
        Some(23 | 24) => Some(Symptom::SocketFdLimit),
        // Out of space, quota, or read-only.
        Some(28 | 30 | 122) => Some(Symptom::TempWrite),
        _ => None,
    };
    let own_file = record.level == Level::Crit
        && match rule {
            Rule::Write => true,
            Rule::Open => is_temporary(record.message),
            Rule::MakeDirectory => is_hash_level(record.message),
            _ => false,
        };
    if own_file && by_errno != Some(Symptom::SocketFdLimit) { Some(Symptom::TempWrite) } else { by_errno }
}

/// The path between the message's first and last quote.
fn quoted(message: &[u8]) -> &[u8] {
    let open = memchr::memchr(b'"', message).map_or(0, |at| at + 1);
    let close = memchr::memrchr(b'"', message).unwrap_or(message.len()).max(open);
    &message[open..close]
}

/// Temporary files are named by a number of ten digits, alone or behind the final name
/// (ngx_create_temp_file()).
fn is_temporary(message: &[u8]) -> bool {
    let path = quoted(message);
    let Some(at) = path.len().checked_sub(11) else { return false };
    matches!(path[at], b'/' | b'.') && path[at + 1..].iter().all(u8::is_ascii_digit)
}

/// The directories of temporary files are named by one to three digits (`levels` of the path directives).
fn is_hash_level(message: &[u8]) -> bool {
    let path = quoted(message);
    let name = path.rsplit(|it| *it == b'/').next().unwrap_or_default();
    matches!(name.len(), 1..=3) && name.iter().all(u8::is_ascii_hexdigit)
}

/// Messages that begin with something variable: a number, a name, a path.
fn by_inner_text(record: &ErrorRecord<'_>) -> Option<Symptom> {
    let message = record.message;
    if message.first()?.is_ascii_digit()
        && let Some((
            _,
            b" worker_connections are not enough"
            | b" worker_connections are not enough, reusing connections",
        )) = leading_number::<u64>(message)
    {
        return Some(Symptom::WorkerConnections);
    }
    if message.starts_with(b"\"") && message.ends_with(b"\" is forbidden") {
        return (record.linux_errno() == Some(13)).then_some(Symptom::PermissionDenied);
    }
    if let Some(at) = find(message, b" could not be resolved (") {
        return unresolved(record, at);
    }
    if record.connection.is_none() && record.client.is_none() {
        return of_process(record);
    }
    None
}

fn unresolved(record: &ErrorRecord<'_>, at: usize) -> Option<Symptom> {
    let (name, rest) = record.message.split_at(at);
    // A name holds no space; other text before these words is something quoted.
    let is_name = !name.is_empty() && !name.contains(&b' ') || name.starts_with(b"service ");
    if !is_name || record.side() == Some(Side::Ocsp) {
        return None;
    }
    let timeout = rest.starts_with(b" could not be resolved (110: ");
    Some(if timeout { Symptom::ResolveTimeout } else { Symptom::ResolveFailed })
}

/// The master's lines about its children, and configuration errors of a lower level.
fn of_process(record: &ErrorRecord<'_>) -> Option<Symptom> {
    let message = record.message;
    if matches!(record.level, Level::Alert | Level::Notice) {
        if contains(message, b" exited on signal ") || contains(message, b" exited with fatal code ") {
            return Some(Symptom::WorkerExit);
        }
        if let Some(at) = find(message, b" exited with code ") {
            let code = &message[at + b" exited with code ".len()..];
            return (code != b"0").then_some(Symptom::WorkerExit);
        }
    }
    let refused = matches!(record.level, Level::Alert | Level::Crit | Level::Error);
    (refused && configuration_location(message).is_some()).then_some(Symptom::ConfigEmerg)
}

/// Whether a symptom found under a client-side action is nevertheless about the upstream: the body phase runs
/// under "sending to client" and meets failures of both.
pub(crate) fn is_of_upstream(symptom: Symptom, record: &ErrorRecord<'_>) -> bool {
    record.action == Some(b"sending to client")
        && matches!(
            symptom,
            Symptom::BodyShort
                | Symptom::ReadTimeout
                | Symptom::ReadReset
                | Symptom::ResponseInvalid
                | Symptom::HeaderInvalid
                | Symptom::PrematureClose
                | Symptom::FastcgiStderr
                | Symptom::ConnectRefused
                | Symptom::ConnectNoRoute
                | Symptom::ConnectNetUnreachable
                | Symptom::SslHandshake
                | Symptom::ResolveFailed
                | Symptom::ResolveTimeout
                | Symptom::NoResolver
                | Symptom::UpstreamDisabled
                | Symptom::NoLiveUpstreams
                | Symptom::AuthUnexpected
                | Symptom::TempWrite
        )
}
