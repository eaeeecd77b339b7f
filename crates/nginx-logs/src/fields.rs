//! The fields of an error-log entry's context, and the parts of a request line and of an upstream.
//!
//! nginx writes the fields in a fixed order and escapes nothing. A quoted value therefore ends at a quote
//! that is followed by the label of a *later* field or by the end of the entry, never at just any quote.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memmem};

use crate::bytes::{find, leading_number, rfind, rsplit_byte, split_byte, split_once};

/// The labels behind the request, in nginx's order.
const SUBREQUEST: &[u8] = b", subrequest: \"";
const UPSTREAM: &[u8] = b", upstream: \"";
const HOST: &[u8] = b", host: \"";
const REFERRER: &[u8] = b", referrer: \"";

/// The counters of a stream session, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamBytes {
    pub from_client: u64,
    pub to_client: u64,
    pub from_upstream: u64,
    pub to_upstream: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    pub client: Option<&'a [u8]>,
    pub server: Option<&'a [u8]>,
    pub request: Option<&'a [u8]>,
    pub subrequest: Option<&'a [u8]>,
    pub upstream: Option<&'a [u8]>,
    pub host: Option<&'a [u8]>,
    pub referrer: Option<&'a [u8]>,
    pub login: Option<&'a [u8]>,
    pub stream_bytes: Option<StreamBytes>,
    pub resolver: Option<&'a [u8]>,
    pub responder: Option<&'a [u8]>,
    pub listen: Option<&'a [u8]>,
    /// A quoted value has no closing quote: the entry was cut.
    pub unclosed: bool,
}

/// Whether the text begins as a context does: `client: A, server: `, as far as the entry goes.
pub(crate) fn begins_with_client(text: &[u8], at_limit: bool) -> bool {
    let Some(rest) = text.strip_prefix(b"client: ") else { return false };
    // The longest address is an IPv6 one with an embedded IPv4 address; `unix:` has letters beyond
    // hexadecimal.
    let end =
        rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'.' | b':'));
    let (address, after) = match rest.strip_prefix(b"unix:") {
        Some(after) => (&rest[..5], after),
        None => rest.split_at(end.unwrap_or(rest.len())),
    };
    let after = after.strip_prefix(b" using starttls").unwrap_or(after);
    if !matches!(after, [] | [b',', ..]) || address.is_empty() {
        return at_limit && rest.is_empty() || is_masked(rest);
    }
    after.starts_with(b", server: ") || b", server: ".starts_with(after)
}

/// Whether somebody took the address out before they showed the line to others: `client: x.x.x.x, server: `.
fn is_masked(rest: &[u8]) -> bool {
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'"' | b','));
    end.is_some_and(|end| end <= 45 && rest[end..].starts_with(b", server: "))
}

/// Reads the fields from `client: ` (or `udp client: `) on.
pub(crate) fn read<'a>(text: &'a [u8], action: Option<&[u8]>, at_limit: bool) -> Fields<'a> {
    let mut fields = Fields::default();
    let text = text.strip_prefix(b"udp ").unwrap_or(text);
    let Some(rest) = text.strip_prefix(b"client: ") else { return fields };
    let Some((client, rest)) = split_once(rest, b", server: ") else {
        fields.client = Some(split_byte(rest, b',').map_or(rest, |it| it.0));
        return fields;
    };
    fields.client = Some(client.strip_suffix(b" using starttls").unwrap_or(client));
    let (server, rest) = rest.split_at(end_of_server(rest, at_limit));
    fields.server = Some(server);
    match rest.strip_prefix(b", request: \"") {
        Some(rest) => read_request_and_later(&mut fields, rest, action, at_limit),
        None if begins_quoted(rest) => read_quoted(&mut fields, rest, at_limit),
        None => read_session(&mut fields, rest),
    }
    fields
}

/// Where the server's name ends: the only unquoted value of an HTTP context, possibly a regex with commas.
fn end_of_server(rest: &[u8], at_limit: bool) -> usize {
    const LABELS: [&[u8]; 9] = [
        b", request: \"",
        SUBREQUEST,
        UPSTREAM,
        HOST,
        REFERRER,
        b", upstream: ",
        b", login: \"",
        b", bytes from/to client:",
        b", bytes from/to upstream:",
    ];
    memchr_iter(b',', rest)
        .find(|at| {
            let rest = &rest[*at..];
            let cut = at_limit && rest.len() > 3 && LABELS.iter().any(|label| label.starts_with(rest));
            cut || LABELS.iter().any(|label| rest.starts_with(label))
        })
        .unwrap_or(rest.len())
}

fn begins_quoted(rest: &[u8]) -> bool {
    // A stream's upstream is quoted as well, but counters follow it.
    [SUBREQUEST, HOST, REFERRER].iter().any(|label| rest.starts_with(label))
        || rest.starts_with(UPSTREAM) && find(rest, b"\", bytes from/to ").is_none()
}

fn read_request_and_later<'a>(
    fields: &mut Fields<'a>,
    rest: &'a [u8],
    action: Option<&[u8]>,
    at_limit: bool,
) {
    let end = match action {
        // While the request line is being read it can be any garbage, and no later field is known yet.
        Some(b"reading client request line") => rest.ends_with(b"\"").then(|| rest.len() - 1),
        _ => end_of_request(rest, at_limit),
    };
    let Some(end) = end else {
        fields.request = Some(rest);
        fields.unclosed = true;
        return;
    };
    fields.request = Some(&rest[..end]);
    read_quoted(fields, &rest[end + 1..], at_limit);
}

/// The closing quote of the request line.
///
/// A request line ends in ` HTTP/x.y`, and nginx accepts no second such text in it over HTTP/1; over HTTP/2
/// the path may hold one, so the last fitting end counts, up to where the Referer begins. HTTP/0.9 has no
/// version and no later fields but the upstream, so there the last one of those counts.
fn end_of_request(rest: &[u8], at_limit: bool) -> Option<usize> {
    let barrier = find(rest, b"\", referrer: \"").unwrap_or(rest.len());
    let fits = |at: &usize| ends_a_value(&rest[at + 1..], &[SUBREQUEST, UPSTREAM, HOST, REFERRER], at_limit);
    let quotes = || memchr_iter(b'"', rest).take_while(|at| *at <= barrier).filter(fits);
    quotes()
        .filter(|at| ends_with_version(&rest[..*at]))
        .last()
        .or_else(|| quotes().filter(|at| rest[at + 1..].starts_with(UPSTREAM)).last())
        .or_else(|| quotes().next())
}

pub(crate) fn ends_with_version(request: &[u8]) -> bool {
    let shape = request.len().checked_sub(9).map(|at| &request[at..]);
    matches!(shape, Some([b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
        if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Whether a value's closing quote can stand before this text.
fn ends_a_value(after: &[u8], labels: &[&[u8]], at_limit: bool) -> bool {
    after.is_empty()
        || labels.iter().any(|label| after.starts_with(label))
        || at_limit && labels.iter().any(|label| label.starts_with(after))
}

/// Reads `, subrequest: "…", upstream: "…", host: "…", referrer: "…"`, each as far as it is there.
fn read_quoted<'a>(fields: &mut Fields<'a>, mut rest: &'a [u8], at_limit: bool) {
    let labels = [SUBREQUEST, UPSTREAM, HOST, REFERRER];
    for (index, label) in labels.iter().enumerate() {
        let Some(value) = rest.strip_prefix(*label) else { continue };
        let end = end_of_value(value, &labels[index + 1..], at_limit);
        let (text, after) = match end {
            Some(end) => (&value[..end], &value[end + 1..]),
            None => (value, &value[value.len()..]),
        };
        fields.unclosed |= end.is_none();
        match index {
            0 => fields.subrequest = Some(text),
            1 => fields.upstream = Some(text),
            2 => fields.host = Some(text),
            _ => fields.referrer = Some(text),
        }
        rest = after;
    }
}

/// The closing quote of a value that only these labels can follow.
///
/// The nearest of the labels that really follows decides; of its occurrences before the Referer the last one,
/// because a decoded subrequest URI, an upstream's URI or (before 1.21.1) a Host can hold a fake one.
fn end_of_value(value: &[u8], later: &[&[u8]], at_limit: bool) -> Option<usize> {
    let barrier = match later {
        [] => value.len(),
        _ => find(value, b"\", referrer: \"").unwrap_or(value.len()),
    };
    for label in later {
        let found = memchr_iter(b'"', &value[..barrier]).rfind(|at| value[at + 1..].starts_with(label));
        if found.is_some() {
            return found;
        }
    }
    if barrier < value.len() {
        return Some(barrier);
    }
    if value.ends_with(b"\"") {
        return Some(value.len() - 1);
    }
    // Cut inside of the next label.
    memchr_iter(b'"', value).rfind(|at| at_limit && ends_a_value(&value[at + 1..], later, true))
}

/// Reads what stream and mail sessions have: `, login: "L"`, `, upstream: …` and the counters.
fn read_session<'a>(fields: &mut Fields<'a>, mut rest: &'a [u8]) {
    if let Some(value) = rest.strip_prefix(b", login: \"") {
        // The login comes from the client; the upstream's address behind it holds no quote.
        let end = rfind(value, b"\", upstream: ")
            .or_else(|| value.len().checked_sub(1).filter(|_| value.ends_with(b"\"")));
        fields.unclosed |= end.is_none();
        fields.login = Some(end.map_or(value, |end| &value[..end]));
        rest = end.map_or(&[], |end| &value[end + 1..]);
    }
    if let Some(value) = rest.strip_prefix(b", upstream: ") {
        let (value, after) = match find(value, b", bytes from/to ") {
            Some(at) => value.split_at(at),
            None => (value, &value[value.len()..]),
        };
        let opened = value.strip_prefix(b"\"");
        fields.unclosed |= opened.is_some_and(|it| !it.ends_with(b"\""));
        let value = opened.unwrap_or(value);
        fields.upstream = Some(value.strip_suffix(b"\"").unwrap_or(value));
        rest = after;
    }
    fields.stream_bytes = stream_bytes(rest);
}

fn stream_bytes(rest: &[u8]) -> Option<StreamBytes> {
    let (from_client, rest) = leading_number(rest.strip_prefix(b", bytes from/to client:")?)?;
    let (to_client, rest) = leading_number(rest.strip_prefix(b"/")?)?;
    let (from_upstream, rest) = leading_number(rest.strip_prefix(b", bytes from/to upstream:")?)?;
    let (to_upstream, _) = leading_number(rest.strip_prefix(b"/")?)?;
    Some(StreamBytes { from_client, to_client, from_upstream, to_upstream })
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestLine<'a> {
    pub method: Option<&'a [u8]>,
    pub path: Option<&'a [u8]>,
    pub protocol: Option<&'a [u8]>,
}

/// Splits `GET /a?b HTTP/1.1`; of raw garbage nothing is taken for a method.
pub(crate) fn split_request(request: &[u8]) -> RequestLine<'_> {
    let Some((method, rest)) = split_byte(request, b' ') else { return RequestLine::default() };
    let is_method =
        !method.is_empty() && method.iter().all(|it| it.is_ascii_alphabetic() || matches!(it, b'-' | b'_'));
    if !is_method {
        return RequestLine::default();
    }
    let (path, protocol) = match rsplit_byte(rest, b' ') {
        Some((path, protocol)) if protocol.starts_with(b"HTTP/") => (path, Some(protocol)),
        _ => (rest, None),
    };
    RequestLine { method: Some(method), path: Some(path).filter(|it| !it.is_empty()), protocol }
}

/// Scheme and peer of `http://127.0.0.1:8080/x`, `fastcgi://unix:/run/x.sock:`, `127.0.0.1:53`.
pub(crate) fn split_upstream<'a>(
    upstream: &'a [u8],
    path: Option<&[u8]>,
) -> (Option<&'a str>, Option<Cow<'a, str>>) {
    let (scheme, rest) = match split_once(upstream, b"://") {
        Some((scheme, rest)) if !scheme.is_empty() && scheme.iter().all(u8::is_ascii_lowercase) => {
            (std::str::from_utf8(scheme).ok(), rest)
        }
        _ => (None, upstream),
    };
    let peer = match rest.strip_prefix(b"unix:") {
        Some(socket) => &rest[..b"unix:".len() + end_of_socket(socket, path)],
        None => {
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
            &rest[..end]
        }
    };
    (scheme, (!peer.is_empty()).then(|| String::from_utf8_lossy(peer)))
}

/// Where a socket's path ends.
///
/// A `:` separates it from the URI, except in "upstream timed out" (the peer is released before that line is
/// written). There the usual ending of socket names decides, then the request's own path, which most often is
/// the upstream's URI as well.
fn end_of_socket(socket: &[u8], path: Option<&[u8]>) -> usize {
    if let Some(end) = find(socket, b":/") {
        return end;
    }
    if let Some(path) = socket.strip_suffix(b":") {
        return path.len();
    }
    for ending in [b".sock".as_slice(), b".socket"] {
        let end = memmem::find_iter(socket, ending)
            .map(|at| at + ending.len())
            .find(|end| matches!(socket.get(*end), None | Some(b'/' | b'?')));
        if let Some(end) = end {
            return end;
        }
    }
    match path.and_then(|path| socket.strip_suffix(path)) {
        Some(before) if !before.is_empty() => before.len(),
        _ => memchr(b'?', socket).unwrap_or(socket.len()),
    }
}
