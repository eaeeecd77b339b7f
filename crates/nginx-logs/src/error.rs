//! The grammar of one entry of nginx's error log.
//!
//! ```text
//! TIME [LEVEL] PID#TID: *CONN MESSAGE (ERRNO: TEXT) while ACTION, client: A, server: N, request: "R", …
//! ```
//!
//! nginx escapes nothing, so a URL, a Referer or a PHP message can hold quotes and text that looks like
//! fields. An entry is therefore read from the left, by the order in which nginx writes its fields, and each
//! field ends where the grammar says that it ends, not at the next quote. This module does not split a file
//! into entries ([`crate::entries`]) and does not know what a message means ([`crate::catalogue`]).
//!
//! Source: ngx_log_error_core(), ngx_http_log_error_handler(), ngx_stream_log_error(), ngx_mail_log_error(),
//! ngx_resolver_log_error(), ngx_ssl_ocsp_log_error().

use std::borrow::Cow;

use jiff::civil::DateTime;
use memchr::{memchr, memchr_iter, memrchr, memrchr_iter};
use serde::{Deserialize, Serialize};

use crate::action::{Side, side};
use crate::bytes::{contains, leading_number, number, rsplit_byte, rsplit_once, split_byte, split_once};
use crate::fields::{self, Fields};
use crate::{Symptom, catalogue};

pub use crate::carrier::strip_carrier;
pub use crate::entries::{Entries, Entry, entries};
pub use crate::fields::StreamBytes;

/// NGX_MAX_ERROR_STR without the line feed: an entry of this length was cut. OpenResty raises the constant to
/// 4096.
const CUT_LENGTHS: [usize; 2] = [2047, 4095];
/// A message that reaches the last 50 bytes of the buffer is cut with `...` before its errno
/// (ngx_log_errno()).
const ERRNO_ROOM: usize = 50;

/// How serious nginx takes an entry; the most serious one is the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Emerg,
    Alert,
    Crit,
    Error,
    Warn,
    Notice,
    Info,
    Debug,
}

impl Level {
    pub fn from_name(name: &[u8]) -> Option<Level> {
        Some(match name {
            b"emerg" => Level::Emerg,
            b"alert" => Level::Alert,
            b"crit" => Level::Crit,
            b"error" => Level::Error,
            b"warn" => Level::Warn,
            b"notice" => Level::Notice,
            b"info" => Level::Info,
            b"debug" => Level::Debug,
            _ => return None,
        })
    }

    /// As nginx spells it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Emerg => "emerg",
            Level::Alert => "alert",
            Level::Crit => "crit",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Notice => "notice",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// One entry. Every text is as nginx wrote it, without the surrounding quotes; absent means that the entry
/// has no such field.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorRecord<'a> {
    /// Local time of the host that wrote the entry; the log names no zone.
    pub time: DateTime,
    pub level: Level,
    pub pid: u32,
    /// The kernel's thread id; it differs from `pid` in threads of a thread pool only.
    pub tid: u32,
    /// The connection's serial number, `$connection` of the access log. Absent in lines of the master and the
    /// resolver.
    pub connection: Option<u64>,
    /// Without errno, action and context. Configuration errors hold their errno inside, and it stays there.
    pub message: &'a [u8],
    /// The errno of the host that wrote the log; see [`ErrorRecord::linux_errno`] for logs of other systems.
    pub errno: Option<i32>,
    pub errno_text: Option<&'a [u8]>,
    /// OpenSSL's text, from `error:` to before the closing parenthesis; it is part of `message` as well.
    pub ssl: Option<&'a [u8]>,
    /// What follows ` while `, from the closed list of [`crate::action`].
    pub action: Option<&'a [u8]>,
    /// The address without port, or `unix:`.
    pub client: Option<&'a [u8]>,
    /// The server_name as configured (it can be empty), or the listening address where no request is known.
    pub server: Option<&'a [u8]>,
    /// The request line as received.
    pub request: Option<&'a [u8]>,
    pub method: Option<&'a [u8]>,
    /// The request's target with its arguments.
    pub path: Option<&'a [u8]>,
    pub protocol: Option<&'a [u8]>,
    /// The decoded URI of the subrequest that the entry belongs to.
    pub subrequest: Option<&'a [u8]>,
    /// As logged: scheme, peer and, with HTTP, URI.
    pub upstream: Option<&'a [u8]>,
    /// `http`, `https`, `fastcgi` …; absent in streams, mail and tunnels.
    pub scheme: Option<&'a str>,
    /// `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/x.sock`, or the group's name in "no live upstreams". For
    /// "upstream timed out" on a unix socket it is a best guess, since nginx leaves out the separator there:
    /// see [`ErrorRecord::peer_among`].
    pub peer: Option<Cow<'a, str>>,
    pub host: Option<&'a [u8]>,
    pub referrer: Option<&'a [u8]>,
    /// The login name of a mail session.
    pub login: Option<&'a [u8]>,
    /// A stream session's counters.
    pub stream_bytes: Option<StreamBytes>,
    /// The name server of ` while resolving`.
    pub resolver: Option<&'a [u8]>,
    /// The responder of ` while requesting certificate status`.
    pub responder: Option<&'a [u8]>,
    /// The listening address of ` while accepting new connection on`.
    pub listen: Option<&'a [u8]>,
    /// nginx cut the entry at its limit.
    pub truncated: bool,
}

impl<'a> ErrorRecord<'a> {
    /// What nginx saw; `None` for messages that are no symptom.
    pub fn symptom(&self) -> Option<Symptom> {
        catalogue::symptom(self)
    }

    /// Whether the entry is about the connection to the client, and so never about an upstream.
    pub fn client_side(&self) -> bool {
        match self.side() {
            Some(Side::Client) => !matches!(self.symptom(), Some(it) if catalogue::is_of_upstream(it, self)),
            Some(Side::Both) => self.level >= Level::Info && self.symptom() != Some(Symptom::ReadTimeout),
            Some(_) => self.symptom() == Some(Symptom::ClientClosed),
            None => self.message.starts_with(b"client ") || self.symptom() == Some(Symptom::ClientClosed),
        }
    }

    /// Whose connection the action is about.
    pub(crate) fn side(&self) -> Option<Side> {
        self.action.and_then(side)
    }

    /// The errno in Linux's numbering: logs of other systems number the same conditions differently.
    pub fn linux_errno(&self) -> Option<i32> {
        Some(crate::errno::on_linux(self.errno?, self.errno_text.unwrap_or_default()))
    }

    /// The peer, with the unix sockets known that nginx may dial (paths, with or without `unix:`).
    ///
    /// "upstream timed out" logs `http://unix:/run/a.sock/x`, where socket and URI cannot be told apart from
    /// the text alone.
    pub fn peer_among(&self, sockets: &[&str]) -> Option<Cow<'a, str>> {
        let rest = self.upstream?;
        let rest = split_once(rest, b"://").map_or(rest, |(_, rest)| rest);
        let Some(path) = rest.strip_prefix(b"unix:") else { return self.peer.clone() };
        let known = sockets.iter().map(|it| it.strip_prefix("unix:").unwrap_or(it)).filter(|socket| {
            path.strip_prefix(socket.as_bytes())
                .is_some_and(|after| matches!(after.first(), None | Some(b':' | b'/')))
        });
        match known.max_by_key(|it| it.len()) {
            Some(socket) => Some(String::from_utf8_lossy(&rest[..b"unix:".len() + socket.len()])),
            None => self.peer.clone(),
        }
    }
}

/// Reads one entry, without its line feed; `None`: it is not an entry of an error log.
pub fn parse(entry: &[u8]) -> Option<ErrorRecord<'_>> {
    let entry = entry.strip_suffix(b"\n").unwrap_or(entry);
    let entry = entry.strip_suffix(b"\r").unwrap_or(entry);
    let header = header(entry)?;
    let at_limit = CUT_LENGTHS.contains(&entry.len());
    let body = &entry[header.body..];

    let Split { head, action, fields } = split_body(body, header.level, at_limit);
    let (message, errno) = take_errno(head);
    let shortened =
        entry.len() + ERRNO_ROOM >= CUT_LENGTHS[0] && errno.is_some() && message.ends_with(b"...");
    let request = fields.request.map(fields::split_request).unwrap_or_default();
    let (scheme, peer) = fields.upstream.map_or((None, None), |it| fields::split_upstream(it, request.path));
    Some(ErrorRecord {
        time: header.time,
        level: header.level,
        pid: header.pid,
        tid: header.tid,
        connection: header.connection,
        message,
        errno: errno.map(|it| it.0).or_else(|| configuration_errno(message)),
        errno_text: errno.map(|it| it.1),
        ssl: ssl_text(message),
        action,
        client: fields.client,
        server: fields.server,
        request: fields.request,
        method: request.method,
        path: request.path,
        protocol: request.protocol,
        subrequest: fields.subrequest,
        upstream: fields.upstream,
        scheme,
        peer,
        host: fields.host,
        referrer: fields.referrer,
        login: fields.login,
        stream_bytes: fields.stream_bytes,
        resolver: fields.resolver,
        responder: fields.responder,
        listen: fields.listen,
        truncated: at_limit || fields.unclosed || shortened,
    })
}

/// What an entry says of its symptom: message, errno and action. It has a connection and a client, and was not cut.
pub(crate) fn record_of_head(level: Level, head: &[u8]) -> ErrorRecord<'_> {
    let (head, action) = take_action(head);
    let (message, errno) = take_errno(head);
    ErrorRecord {
        time: DateTime::constant(1970, 1, 1, 0, 0, 0, 0),
        level,
        pid: 0,
        tid: 0,
        connection: Some(0),
        message,
        errno: errno.map(|it| it.0).or_else(|| configuration_errno(message)),
        errno_text: errno.map(|it| it.1),
        ssl: ssl_text(message),
        action,
        client: Some(b""),
        server: None,
        request: None,
        method: None,
        path: None,
        protocol: None,
        subrequest: None,
        upstream: None,
        scheme: None,
        peer: None,
        host: None,
        referrer: None,
        login: None,
        stream_bytes: None,
        resolver: None,
        responder: None,
        listen: None,
        truncated: false,
    }
}

/// The time of an entry, without reading the rest: for [`crate::window`].
pub fn time_of_line(line: &[u8]) -> Option<DateTime> {
    if !looks_like_start(line) {
        return None;
    }
    let two = |at: usize| ((line[at] - b'0') * 10 + (line[at + 1] - b'0')) as i8;
    let year = i16::from(two(0)) * 100 + i16::from(two(2));
    DateTime::new(year, two(5), two(8), two(11), two(14), two(17), 0).ok()
}

/// Whether a line begins as entries do: `2026/11/20 15:00:00 [`.
pub(crate) fn looks_like_start(line: &[u8]) -> bool {
    const SHAPE: &[u8; 21] = b"dddd/dd/dd dd:dd:dd [";
    line.len() >= SHAPE.len()
        && line
            .iter()
            .zip(SHAPE)
            .all(|(byte, shape)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == shape })
}

struct Header {
    time: DateTime,
    level: Level,
    pid: u32,
    tid: u32,
    connection: Option<u64>,
    /// Where the body begins.
    body: usize,
}

fn header(entry: &[u8]) -> Option<Header> {
    let time = time_of_line(entry)?;
    let after_time = &entry[21..];
    // The longest level is "notice".
    let close = memchr(b']', &after_time[..after_time.len().min(7)])?;
    let level = Level::from_name(&after_time[..close])?;
    let rest = after_time[close + 1..].strip_prefix(b" ")?;
    let (pid, rest) = leading_number(rest)?;
    let (tid, rest) = leading_number(rest.strip_prefix(b"#")?)?;
    // A message can be empty: "25#25: " lost its space to a carrier that trims.
    let rest = rest.strip_prefix(b":")?;
    let mut rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let mut connection = None;
    if let Some((serial, after)) = rest.strip_prefix(b"*").and_then(leading_number)
        && let Some(after) = after.strip_prefix(b" ")
    {
        (connection, rest) = (Some(serial), after);
    }
    Some(Header { time, level, pid, tid, connection, body: entry.len() - rest.len() })
}

struct Split<'a> {
    /// Message and errno.
    head: &'a [u8],
    action: Option<&'a [u8]>,
    fields: Fields<'a>,
}

/// Finds where the message ends and the context begins.
fn split_body(body: &[u8], level: Level, at_limit: bool) -> Split<'_> {
    // Debug lines never have a context, and hold all kinds of text.
    if level == Level::Debug {
        return Split { head: body, action: None, fields: Fields::default() };
    }
    if let Some(at) = client_context(body, at_limit) {
        let (head, action) = take_action(&body[..at]);
        return Split { head, action, fields: fields::read(&body[at + 2..], action, at_limit) };
    }
    other_context(body, at_limit)
}

/// The offset of the `, client: ` (or `, udp client: `) at which the context's fields begin.
///
/// The message can hold free text with such words in it (a path, a header, a PHP message), and so can the
/// request and the Referer that follow. A message ends outside of its own quotes; among the places where that
/// holds, a later one wins, since a fake in the message stands before the real one, until a Referer has
/// begun, where the fakes stand behind it.
fn client_context(body: &[u8], at_limit: bool) -> Option<usize> {
    let mut chosen: Option<usize> = None;
    let mut fallback = None;
    for at in memchr_iter(b',', body) {
        let (before, context) = body.split_at(at);
        let Some(context) = context.strip_prefix(b", udp ").or_else(|| context.strip_prefix(b", ")) else {
            continue;
        };
        if !fields::begins_with_client(context, at_limit) {
            continue;
        }
        let (head, _) = take_action(before);
        if memchr(b'"', head).is_none() {
            return Some(at);
        }
        // The text of a backend ends in a quote, whatever it holds.
        if !head.starts_with(crate::entries::STDERR) {
            fallback = fallback.or(Some(at));
        }
        if let Some(earlier) = chosen {
            let between = &body[earlier..at];
            let left_the_message = contains(between, b"\", referrer: \"") && memchr(b'\n', between).is_none();
            if left_the_message {
                break;
            }
        }
        if ends_outside_quotes(head) {
            chosen = Some(at);
        }
    }
    chosen.or(fallback)
}

/// Whether a message with quoted free text can end here.
fn ends_outside_quotes(head: &[u8]) -> bool {
    if head.starts_with(crate::entries::STDERR) {
        return head.ends_with(b"\"") && head.len() > crate::entries::STDERR.len();
    }
    head.ends_with(b"\"") || memchr_iter(b'"', head).count().is_multiple_of(2)
}

/// Takes ` while ACTION` off the end.
fn take_action(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match split_while(text) {
        Some((head, action)) if side(action).is_some() => (head, Some(action)),
        _ => (text, None),
    }
}

/// What stands before and after the last ` while `. Its `w` is the rarest of its bytes.
fn split_while(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let word = memrchr_iter(b'w', text)
        .find(|at| text[*at..].starts_with(b"while ") && text[..*at].ends_with(b" "))?;
    Some((&text[..word - 1], &text[word + b"while ".len()..]))
}

/// The contexts without a client: resolver, OCSP, syslog, accepting; or none.
fn other_context(body: &[u8], at_limit: bool) -> Split<'_> {
    let whole = Split { head: body, action: None, fields: Fields::default() };
    let Some((head, context)) = split_while(body) else { return whole };
    if memchr(b'"', head).is_some() && !ends_outside_quotes(take_errno(head).0) {
        return whole;
    }
    let split =
        |action_length: usize, fields| Split { head, action: Some(&context[..action_length]), fields };
    if let Some(address) = context.strip_prefix(b"resolving, resolver: ") {
        return split(9, Fields { resolver: Some(address), ..Fields::default() });
    }
    if let Some(rest) = context.strip_prefix(b"requesting certificate status, responder: ") {
        let responder = split_byte(rest, b',').map_or(rest, |it| it.0);
        return split(29, Fields { responder: Some(responder), ..Fields::default() });
    }
    if let Some(address) = context.strip_prefix(b"logging to syslog, server: ") {
        return split(17, Fields { server: Some(address), ..Fields::default() });
    }
    if let Some(address) = context.strip_prefix(b"accepting new connection on ") {
        return split(context.len(), Fields { listen: Some(address), ..Fields::default() });
    }
    if side(context).is_some() {
        return split(context.len(), Fields::default());
    }
    // The limit can fall into the action or the first label. What is left of them is no part of the message.
    if at_limit && crate::action::is_beginning(split_byte(context, b',').map_or(context, |it| it.0)) {
        let action = split_byte(context, b',').map(|it| it.0).filter(|it| side(it).is_some());
        return Split { head, action, fields: Fields::default() };
    }
    whole
}

/// Takes ` (NUMBER: TEXT)` off the end, unless it is one of the look-alikes.
fn take_errno(head: &[u8]) -> (&[u8], Option<(i32, &[u8])>) {
    let none = (head, None);
    let Some(inner) = head.strip_suffix(b")") else { return none };
    let Some((before, inner)) = rsplit_byte(inner, b'(') else { return none };
    let Some(message) = before.strip_suffix(b" ") else { return none };
    let Some((errno, text)) = leading_number(inner) else { return none };
    // `(18:self-signed certificate)` is an X.509 code: no space.
    let Some(text) = text.strip_prefix(b": ") else { return none };
    // `(3: Host not found)` is a code of nginx's resolver, `(6: unauthorized)` one of an OCSP responder.
    let of_others = [b" could not be resolved".as_slice(), b"DNS error", b"OCSP response not successful"];
    if of_others.iter().any(|it| message.ends_with(it)) {
        return none;
    }
    (message, Some((errno, text)))
}

/// The errno that configuration errors hold inside: `open() "/a" failed (2: No such file or directory) in
/// /etc/x.conf:7`.
fn configuration_errno(message: &[u8]) -> Option<i32> {
    let (before, _) = rsplit_once(message, b") in ")?;
    configuration_location(message)?;
    let inner = &before[memrchr(b'(', before)? + 1..];
    let (errno, text) = leading_number(inner)?;
    text.starts_with(b": ").then_some(errno)
}

/// The ` in FILE:LINE` that ends a configuration error.
pub(crate) fn configuration_location(message: &[u8]) -> Option<(&[u8], u32)> {
    let (before, line) = rsplit_byte(message, b':')?;
    let line = number(line)?;
    let (_, file) = rsplit_once(before, b" in ")?;
    (!file.is_empty()).then_some((file, line))
}

fn ssl_text(message: &[u8]) -> Option<&[u8]> {
    let (_, text) = split_once(message.strip_suffix(b")")?, b" (SSL: ")?;
    Some(text)
}

/// What nginx prints on its standard error before it runs as a daemon, and `nginx -t`.
#[derive(Debug, Clone, PartialEq)]
pub struct StderrRecord<'a> {
    /// Absent in `nginx: configuration file F test failed` and in wrong usage.
    pub level: Option<Level>,
    /// Whole, with its ` in FILE:LINE`.
    pub message: &'a [u8],
    pub errno: Option<i32>,
    pub file: Option<&'a [u8]>,
    pub line: Option<u32>,
}

impl StderrRecord<'_> {
    pub fn symptom(&self) -> Option<Symptom> {
        (self.level == Some(Level::Emerg)).then_some(Symptom::ConfigEmerg)
    }
}

/// Reads `nginx: [emerg] MESSAGE in FILE:LINE`; `None`: the line is not of that form.
pub fn parse_stderr(line: &[u8]) -> Option<StderrRecord<'_>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let rest = line.strip_prefix(b"nginx: ")?;
    let leveled = rest.strip_prefix(b"[").and_then(|it| split_once(it, b"] "));
    let (level, message) = match leveled.and_then(|(name, message)| Some((Level::from_name(name)?, message)))
    {
        Some((level, message)) => (Some(level), message),
        None => (None, rest),
    };
    let location = configuration_location(message);
    let errno = take_errno(message).1.map(|it| it.0).or_else(|| configuration_errno(message));
    Some(StderrRecord { level, message, errno, file: location.map(|it| it.0), line: location.map(|it| it.1) })
}
