//! Access logs, read by the `log_format` that wrote them.
//!
//! A format is a row of literal texts and variables. A line is read by finding the literals again, from the
//! left; where a value can hold the literal that follows it (`$upstream_addr` holds `, `), the shapes of the
//! variables decide, so that each value fits its variable. Values are escaped by nginx as `escape=` says, and
//! unescaped here when they are asked for.
//!
//! Source: ngx_http_log_compile_format(), ngx_http_log_escape(), ngx_escape_json(),
//! ngx_http_upstream_addr_variable().

use std::borrow::Cow;

use jiff::Timestamp;
use memchr::{memchr, memchr_iter};

use crate::access_time;
use crate::bytes::number;
use crate::fields::split_request;

pub use crate::recognise::recognise;

/// The `escape=` parameter of `log_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escape {
    #[default]
    Default,
    Json,
    None,
}

/// A compiled `log_format`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    pub(crate) parts: Vec<Part>,
    pub(crate) escape: Escape,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// What stands before the variable.
    pub literal: Vec<u8>,
    /// The variable's name without `$`; absent at the end of the format.
    pub variable: Option<String>,
    pub shape: Shape,
}

/// What a variable's value looks like, as far as that helps to find its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Any,
    /// A decimal number or nothing.
    Number,
    /// Decimal numbers, one per attempt.
    NumberList,
    /// Addresses, one per attempt.
    AddressList,
    /// No space in it.
    Word,
    TimeLocal,
}

/// More tries than this only a hostile line needs; it then counts as broken.
const MOST_STEPS: usize = 20_000;

impl Format {
    /// The format that nginx uses where none is named.
    pub const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
                                \"$http_referer\" \"$http_user_agent\"";

    /// Compiles the text of a `log_format` (its strings joined, as nginx joins them). Every text is a format.
    pub fn compile(text: &str, escape: Escape) -> Format {
        let mut parts = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            literal.extend_from_slice(&rest.as_bytes()[..at]);
            let after = &rest[at + 1..];
            let (name, end) = match after.strip_prefix('{').and_then(|it| it.split_once('}')) {
                Some((name, _)) => (name, name.len() + 2),
                None => {
                    let end = after
                        .find(|it: char| !it.is_ascii_alphanumeric() && it != '_')
                        .unwrap_or(after.len());
                    (&after[..end], end)
                }
            };
            if name.is_empty() {
                literal.push(b'$');
            } else {
                parts.push(Part {
                    literal: std::mem::take(&mut literal),
                    variable: Some(name.to_owned()),
                    shape: Shape::of(name),
                });
            }
            rest = &after[end..];
        }
        literal.extend_from_slice(rest.as_bytes());
        parts.push(Part { literal, variable: None, shape: Shape::Any });
        Format { parts, escape }
    }

    /// `combined`, predefined by nginx.
    pub fn combined() -> Format {
        Format::compile(Format::COMBINED, Escape::Default)
    }

    /// The text of a `log_format` that means the same.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (number, it) in (1..).zip(&self.parts) {
            text += &String::from_utf8_lossy(&it.literal);
            let Some(name) = &it.variable else { continue };
            // Braces stand only where the name would go on without them.
            let next = self.parts.get(number).and_then(|it| it.literal.first());
            let goes_on = next.is_some_and(|it| it.is_ascii_alphanumeric() || *it == b'_');
            text += &if goes_on { format!("${{{name}}}") } else { format!("${name}") };
        }
        text
    }

    /// How values are escaped.
    pub fn escape(&self) -> Escape {
        self.escape
    }

    /// The variables in their order, without `$`.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|it| it.variable.as_deref())
    }

    /// Reads one line, without its line feed; `None`: the line does not have this format.
    pub fn parse<'a>(&'a self, line: &'a [u8]) -> Option<AccessRecord<'a>> {
        let mut values = Vec::with_capacity(self.parts.len());
        self.split(line, &mut values).then_some(AccessRecord { format: self, values })
    }

    /// The same into a list that is used again and again: its old content goes.
    pub(crate) fn split<'a>(&self, line: &'a [u8], values: &mut Vec<&'a [u8]>) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        values.clear();
        if self.split_straight(line, |value| values.push(value)) {
            return true;
        }
        // As written first; then with runs of spaces, which some carriers and editors make or trim.
        [false, true].into_iter().any(|lenient| {
            let line = if lenient { line.trim_ascii() } else { line };
            values.clear();
            let mut reader = Reader { format: self, line, lenient, values, steps: 0 };
            reader.read(0, 0)
        })
    }

    /// Whether the line has this format.
    pub fn fits(&self, line: &[u8]) -> bool {
        self.split_straight(line, |_| {}) || self.parse(line).is_some()
    }

    /// Takes each value's first possible end and never comes back to it. Where this succeeds, trying everything in its
    /// order would have found the same.
    fn split_straight<'a>(&self, line: &'a [u8], mut take: impl FnMut(&'a [u8])) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return false };
        let Some(mut tail) = line.strip_prefix(first.literal.as_slice()) else { return false };
        let mut part = first;
        for next in rest {
            let mut end = 0;
            loop {
                end = match next.literal.first() {
                    None if next.variable.is_none() => tail.len(),
                    None => end,
                    Some(byte) => match memchr(*byte, &tail[end..]) {
                        Some(found) => end + found,
                        None => return false,
                    },
                };
                let escaped = self.escape == Escape::Json && is_escaped_quote(tail, end);
                if !escaped
                    && tail[end..].starts_with(&next.literal)
                    && part.shape.fits(&tail[..end])
                    && !part.shape.goes_on(tail, end, &next.literal, false)
                {
                    break;
                }
                if !escaped && self.escape != Escape::None && tail.get(end) == Some(&b'"')
                    || end >= tail.len()
                {
                    return false;
                }
                end += 1;
            }
            take(&tail[..end]);
            tail = &tail[end + next.literal.len()..];
            part = next;
        }
        tail.is_empty()
    }
}

/// Whether there is a quote at `end` that belongs to the value before it, as `\"` does with `escape=json`.
fn is_escaped_quote(text: &[u8], end: usize) -> bool {
    text.get(end) == Some(&b'"') && text[..end].iter().rev().take_while(|it| **it == b'\\').count() % 2 == 1
}

impl Escape {
    /// As `escape=` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Escape::Default => "default",
            Escape::Json => "json",
            Escape::None => "none",
        }
    }
}

impl Shape {
    fn of(name: &str) -> Shape {
        match name {
            "status"
            | "body_bytes_sent"
            | "bytes_sent"
            | "request_time"
            | "request_length"
            | "connection"
            | "msec"
            | "connection_requests"
            | "pid"
            | "server_port"
            | "remote_port"
            | "gzip_ratio" => Shape::Number,
            "upstream_status"
            | "upstream_response_time"
            | "upstream_connect_time"
            | "upstream_header_time"
            | "upstream_first_byte_time"
            | "upstream_session_time"
            | "upstream_queue_time"
            | "upstream_response_length"
            | "upstream_bytes_received"
            | "upstream_bytes_sent" => Shape::NumberList,
            "upstream_addr" => Shape::AddressList,
            "time_local" => Shape::TimeLocal,
            "remote_addr" | "scheme" | "server_protocol" | "request_method" | "time_iso8601"
            | "request_id" | "binary_remote_addr" | "pipe" | "server_addr" | "request_completion" => {
                Shape::Word
            }
            _ => Shape::Any,
        }
    }

    /// Whether a value can be this variable's. Undefined values are `-` or empty.
    pub fn fits(self, value: &[u8]) -> bool {
        let is_number =
            |it: &[u8]| it == b"-" || it.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        match self {
            Shape::Any => true,
            Shape::Number => is_number(value),
            Shape::Word => !value.contains(&b' '),
            Shape::NumberList => attempts(value).all(|it| is_number(it.text)),
            Shape::AddressList => {
                attempts(value).all(|it| !it.text.iter().any(|byte| matches!(byte, b' ' | b',')))
            }
            Shape::TimeLocal => value.len() <= 1 || access_time::time_local(value).is_some(),
        }
    }

    /// Whether a list without quotes, which could end at `end`, has another group behind its ` : `. An empty last group leaves
    /// two spaces, unless something has trimmed them.
    fn goes_on(self, text: &[u8], end: usize, next: &[u8], trimmed: bool) -> bool {
        if !matches!(self, Shape::NumberList | Shape::AddressList) || next.first() != Some(&b' ') {
            return false;
        }
        let (value, rest) = text.split_at(end);
        let in_separator = value.ends_with(b" :") && rest.len() > 1 && !rest.starts_with(b"  ");
        !next.starts_with(b" :") && (rest.starts_with(b" : ") || in_separator && !trimmed)
    }
}

struct Reader<'r, 'a> {
    format: &'r Format,
    line: &'a [u8],
    lenient: bool,
    values: &'r mut Vec<&'a [u8]>,
    steps: usize,
}

impl Reader<'_, '_> {
    /// Reads the part's literal at `at`, then the rest of the line; on failure `values` is as before.
    fn read(&mut self, part: usize, at: usize) -> bool {
        let format = self.format;
        let Some(start) = self.literal(&format.parts[part].literal, at) else { return false };
        if format.parts[part].variable.is_none() {
            return start == self.line.len();
        }
        let shape = format.parts[part].shape;
        let next = &format.parts[part + 1];
        let kept = self.values.len();
        let mut end = start;
        loop {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return false;
            }
            // The next place where the value can end.
            end = match next.literal.first() {
                None if next.variable.is_none() => self.line.len().max(end),
                // Two variables side by side: the first takes as little as its shape allows.
                None => end,
                Some(first) => match memchr(*first, &self.line[end..]) {
                    Some(found) => end + found,
                    None => return false,
                },
            };
            let value = &self.line[start..end];
            let escaped =
                self.format.escape == Escape::Json && is_escaped_quote(&self.line[start..], end - start);
            if !escaped
                && shape.fits(value)
                && !shape.goes_on(&self.line[start..], end - start, &next.literal, self.lenient)
            {
                self.values.push(value);
                if self.read(part + 1, end) {
                    return true;
                }
                self.values.truncate(kept);
            }
            // nginx escapes quotes, so a value ends before the first one that is not.
            if !escaped && self.format.escape != Escape::None && self.line.get(end) == Some(&b'"') {
                return false;
            }
            if end >= self.line.len() {
                return false;
            }
            end += 1;
        }
    }

    /// The end of the literal, if the line has it at `at`.
    fn literal(&self, literal: &[u8], at: usize) -> Option<usize> {
        let rest = &self.line[at..];
        if !self.lenient {
            return rest.starts_with(literal).then_some(at + literal.len());
        }
        let mut end = at;
        for (index, byte) in literal.iter().enumerate() {
            if *byte != b' ' {
                if self.line.get(end) != Some(byte) {
                    return None;
                }
                end += 1;
                continue;
            }
            if index > 0 && literal[index - 1] == b' ' {
                continue;
            }
            let spaces = self.line[end..].iter().take_while(|it| **it == b' ').count();
            // At the line's very end a carrier may have trimmed them.
            if spaces == 0 && end < self.line.len() {
                return None;
            }
            end += spaces;
        }
        Some(end)
    }
}

/// One line of an access log; the values are those of its format's variables.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessRecord<'a> {
    format: &'a Format,
    values: Vec<&'a [u8]>,
}

/// The parts of the request line, each as far as the format has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request<'a> {
    pub method: Option<Cow<'a, str>>,
    pub path: Option<Cow<'a, str>>,
    pub protocol: Option<Cow<'a, str>>,
}

/// One try of an upstream, from the lists in `$upstream_*`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attempt {
    /// The peer, or the group's name for "no live upstreams".
    pub addr: Option<String>,
    /// Absent where the try ended without any verdict.
    pub status: Option<u16>,
    /// Seconds, TLS handshake included.
    pub connect_time: Option<f64>,
    /// Seconds until the response header was there.
    pub header_time: Option<f64>,
    /// Seconds until the response ended.
    pub response_time: Option<f64>,
    /// Counts the internal redirects before this try: they are separated by ` : ` in the lists.
    pub group: usize,
}

impl<'a> AccessRecord<'a> {
    /// The value as it stands in the line, by the variable's name without `$`; `None`: the format has no such
    /// variable.
    pub fn raw(&self, variable: &str) -> Option<&'a [u8]> {
        let index = self.format.variables().position(|it| it == variable)?;
        self.values.get(index).copied()
    }

    /// The value unescaped; `None` where it is undefined (`-`, or empty) or not in the format.
    pub fn get(&self, variable: &str) -> Option<Cow<'a, str>> {
        let raw = self.raw(variable)?;
        if raw.is_empty() || raw == b"-" && self.format.escape == Escape::Default {
            return None;
        }
        Some(match unescape(raw, self.format.escape) {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        })
    }

    /// Every variable with its unescaped value, undefined ones left out.
    pub fn values(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        let format: &'a Format = self.format;
        let this = self.clone();
        format.variables().filter_map(move |name| Some((name, this.get(name)?)))
    }

    /// What the client got; 9 is nginx's `009` for a reply that is not HTTP.
    pub fn status(&self) -> Option<u16> {
        number(self.raw("status")?)
    }

    /// When the line was written: at the end of the request.
    pub fn time(&self) -> Option<Timestamp> {
        let of = |name: &str, read: fn(&[u8]) -> Option<Timestamp>| self.raw(name).and_then(read);
        of("msec", access_time::msec)
            .or_else(|| of("time_iso8601", access_time::time_iso8601))
            .or_else(|| of("time_local", access_time::time_local))
    }

    /// From `$request`, else from `$request_method`, `$request_uri` and `$server_protocol`.
    pub fn request(&self) -> Request<'a> {
        let Some(line) = self.get("request") else {
            let path = self.get("request_uri").or_else(|| self.get("uri"));
            return Request {
                method: self.get("request_method"),
                path,
                protocol: self.get("server_protocol"),
            };
        };
        let parts = split_request(line.as_bytes());
        let owned = |part: Option<&[u8]>| part.map(|it| Cow::Owned(String::from_utf8_lossy(it).into_owned()));
        match &line {
            Cow::Borrowed(text) => {
                let parts = split_request(text.as_bytes());
                let lossy = |part: Option<&'a [u8]>| part.map(String::from_utf8_lossy);
                Request {
                    method: lossy(parts.method),
                    path: lossy(parts.path),
                    protocol: lossy(parts.protocol),
                }
            }
            Cow::Owned(_) => Request {
                method: owned(parts.method),
                path: owned(parts.path),
                protocol: owned(parts.protocol),
            },
        }
    }

    /// Seconds from the first byte of the request to the last of the response.
    pub fn request_time(&self) -> Option<f64> {
        decimal(self.raw("request_time")?)
    }

    /// The tries of the request, in their order; empty without an upstream, or where the format does not log
    /// them.
    pub fn upstreams(&self) -> Vec<Attempt> {
        let value = |name: &str| self.raw(name).unwrap_or_default();
        let lists = Lists {
            addr: value("upstream_addr"),
            status: value("upstream_status"),
            connect_time: value("upstream_connect_time"),
            header_time: value("upstream_header_time"),
            response_time: value("upstream_response_time"),
        };
        lists.tries(self.format.escape)
    }
}

/// The values of `$upstream_*` as they stand in a line; empty where the format does not have the variable.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lists<'a> {
    pub addr: &'a [u8],
    pub status: &'a [u8],
    pub connect_time: &'a [u8],
    pub header_time: &'a [u8],
    pub response_time: &'a [u8],
}

impl Lists<'_> {
    /// The tries that they tell of, in their order.
    pub fn tries(&self, escape: Escape) -> Vec<Attempt> {
        let mut tries: Vec<Attempt> = Vec::new();
        fill(&mut tries, self.addr, escape, true, |it, text| {
            it.addr = Some(String::from_utf8_lossy(text).into_owned())
        });
        fill(&mut tries, self.status, escape, false, |it, text| it.status = number(text));
        fill(&mut tries, self.connect_time, escape, false, |it, text| it.connect_time = decimal(text));
        fill(&mut tries, self.header_time, escape, false, |it, text| it.header_time = decimal(text));
        fill(&mut tries, self.response_time, escape, false, |it, text| it.response_time = decimal(text));
        tries
    }
}

fn fill(
    tries: &mut Vec<Attempt>,
    value: &[u8],
    escape: Escape,
    addresses: bool,
    set: impl Fn(&mut Attempt, &[u8]),
) {
    let value = unescape(value, escape);
    if value.is_empty() || (&*value == b"-" && (addresses || tries.is_empty())) {
        return;
    }
    // A group that never chose a peer leaves an empty entry.
    for (index, it) in attempts(&value).filter(|it| !it.text.is_empty()).enumerate() {
        if index == tries.len() {
            tries.push(Attempt { group: it.group, ..Attempt::default() });
        }
        if it.text != b"-" {
            set(&mut tries[index], it.text);
        }
    }
}

fn decimal(text: &[u8]) -> Option<f64> {
    let is_decimal = text.iter().all(|it| it.is_ascii_digit() || *it == b'.');
    is_decimal.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// One entry of a list in `$upstream_*`.
pub(crate) struct Listed<'a> {
    pub text: &'a [u8],
    pub group: usize,
}

/// The entries of such a list: `, ` separates tries, ` : ` groups of tries.
pub(crate) fn attempts(list: &[u8]) -> impl Iterator<Item = Listed<'_>> {
    let mut rest = Some(list);
    let mut group = 0;
    std::iter::from_fn(move || {
        let text = rest?;
        // Every separator has a space. A trailing group is empty, and its last space may have been trimmed.
        let separator = memchr_iter(b' ', text).find_map(|at| match &text[at + 1..] {
            _ if text[..at].ends_with(b",") => Some((at - 1, 2, group)),
            b":" | [b':', b' ', ..] => Some((at, 3, group + 1)),
            _ => None,
        });
        let (end, width, next_group) = separator.unwrap_or((text.len(), 0, group));
        rest = (width > 0).then(|| text.get(end + width..).unwrap_or_default());
        let listed = Listed { text: &text[..end], group };
        group = next_group;
        Some(listed)
    })
}

/// Undoes nginx's escaping.
pub fn unescape(value: &[u8], escape: Escape) -> Cow<'_, [u8]> {
    let mut text = Vec::new();
    if unescape_into(value, escape, &mut text) { Cow::Owned(text) } else { Cow::Borrowed(value) }
}

/// The same into a buffer that is used again and again; false: there is nothing to undo, and `text` is as it was.
pub(crate) fn unescape_into(value: &[u8], escape: Escape, text: &mut Vec<u8>) -> bool {
    if escape == Escape::None || memchr(b'\\', value).is_none() {
        return false;
    }
    text.clear();
    let mut rest = value;
    while let Some(at) = memchr(b'\\', rest) {
        text.extend_from_slice(&rest[..at]);
        let (character, length) = match escape {
            Escape::Json => unescape_json(&rest[at + 1..]),
            _ => unescape_default(&rest[at + 1..]),
        }
        .unwrap_or(('\\', 1));
        match escape {
            // `\xHH` is a byte, `\u00HH` a character.
            Escape::Json => text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => text.push(character as u8),
        }
        rest = &rest[at + length..];
    }
    text.extend_from_slice(rest);
    true
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// What follows a backslash: its meaning, and the length with the backslash.
fn unescape_default(after: &[u8]) -> Option<(char, usize)> {
    let digits = after.strip_prefix(b"x")?.get(..2)?;
    Some((char::from(u8::try_from(hexadecimal(digits)?).ok()?), 4))
}

fn unescape_json(after: &[u8]) -> Option<(char, usize)> {
    let character = match after.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let unit = hexadecimal(after.get(1..5)?)?;
            // Two halves make one character beyond the first 65536.
            if let (0xd800..0xdc00, Some(b"\\u")) = (unit, after.get(5..7)) {
                let low = hexadecimal(after.get(7..11)?)?.checked_sub(0xdc00).filter(|it| *it < 0x400)?;
                return Some((char::from_u32(0x10000 + ((unit - 0xd800) << 10) + low)?, 12));
            }
            return Some((char::from_u32(unit)?, 6));
        }
        _ => return None,
    };
    Some((character, 2))
}
