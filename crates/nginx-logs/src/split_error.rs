//! Splits the entries of a whole block of an error log, as far as their symptom and their peer need it.
//!
//! nginx escapes nothing, so an entry can be read in one way only where each label of its context stands there once and in
//! nginx's order. Such an entry is taken apart at its commas. For all others the grammar ([`crate::error`]) is asked: what
//! is split is what it would say.

use crate::Symptom;
use crate::bytes::find;
use crate::catalogue;
use crate::entries::{STDERR, entries};
use crate::error::{Level, record_of_head};
use crate::fields;
use crate::split::{Scratch, Span, load, window};
use crate::split_marks::{Marked, mark};

pub use crate::catalogue::Alike;

/// Longer entries can be cut, or be several lines.
const LONGEST_BYTES: usize = 1_900;

/// An entry with a connection, a client and a request.
#[derive(Debug, Clone, Copy)]
pub struct Quick {
    pub level: Level,
    /// The message with its errno and what nginx was doing.
    pub head: Span,
    pub server: Span,
    /// Empty where no upstream was chosen.
    pub peer: Span,
}

impl Quick {
    pub fn symptom(&self, bytes: &[u8]) -> Option<Symptom> {
        record_of_head(self.level, self.head.of(bytes)).symptom()
    }

    /// By what the head can be known again: itself, or its beginning and its end where paths and numbers stand between them.
    #[inline(always)]
    pub fn ends(&self, bytes: &[u8]) -> [Span; 2] {
        let head = self.head.of(bytes);
        let Some(last) = memchr::memrchr2(b'"', b'/', head) else { return [self.head, Span::default()] };
        let is_varied = |it: &u8| matches!(it, b'"' | b'/' | b'0'..=b'9');
        let first = head.iter().position(is_varied).unwrap_or(last);
        let digits = || head[last + 1..].iter().take_while(|it| it.is_ascii_digit()).count();
        let after = if head[last] == b'"' { last } else { last + 1 + digits() };
        // It is not empty, as it is where the head is known by itself.
        let end = if after == head.len() { last } else { after } as u32;
        let begin = Span { start: self.head.start, end: self.head.start + first as u32 + 1 };
        let end = Span { start: self.head.start + end, end: self.head.end };
        [begin, end]
    }

    /// What all heads say that are known by the same ends; `None`: each must be read.
    #[cold]
    pub fn alike(&self, bytes: &[u8]) -> Option<Alike> {
        let [begin, end] = self.ends(bytes);
        if end.is_empty() {
            return Some(Alike::Say(self.symptom(bytes)));
        }
        catalogue::alike(self.level, begin.of(bytes), &record_of_head(self.level, end.of(bytes)))
    }
}

/// Hands out each entry of the block, or line that belongs to none, and how many lines it has. Without its fields it must
/// be parsed. Says how many lines there were.
pub fn each_entry(
    bytes: &[u8],
    scratch: &mut Scratch,
    mut take: impl FnMut(Span, u64, Option<&Quick>),
) -> u64 {
    let marks = &mut scratch.marks;
    let (mut lines, mut offset) = (0, 0);
    // What lies before it has been handed out.
    let mut done = 0;
    let mut begins = is_start(bytes, 0);
    while offset < bytes.len() {
        let rest = &bytes[offset..];
        let window = window(rest);
        let shift = offset as u32;
        offset += window.len();
        let mut count = mark(window, Marked::Commas, marks, 0);
        if window.last() != Some(&b'\n') {
            marks[count] = window.len() as u32 + 1;
            count += 1;
        }
        let mut first = 0;
        let mut start = shift;
        for at in 0..count {
            let next = shift + marks[at];
            let is_feed = bytes.get(next as usize - 1).is_none_or(|it| *it == b'\n');
            if !is_feed {
                continue;
            }
            let commas = &marks[first..at];
            first = at + 1;
            let line = Span { start, end: next - 1 };
            start = next;
            if line.start < done {
                continue;
            }
            let begun = begins;
            begins = is_start(bytes, next);
            let alone =
                begins || next as usize >= bytes.len() || bytes[next as usize..].starts_with(b"nginx: ");
            if begun
                && alone
                && let Some(quick) = split(bytes, line, commas, shift)
            {
                lines += 1;
                done = next;
                take(line, 1, Some(&quick));
                continue;
            }
            let Some(entry) = entries(&bytes[line.start as usize..]).next() else { continue };
            let end = line.start + entry.bytes.len() as u32;
            lines += entry.line_count as u64;
            done = end + 1;
            if done != next {
                begins = is_start(bytes, done);
            }
            take(Span { start: line.start, end }, entry.line_count as u64, None);
        }
    }
    lines
}

/// As `looks_like_start`, eight bytes at a time: `2026/11/20 15:00:00 [`.
#[inline(always)]
fn is_start(bytes: &[u8], at: u32) -> bool {
    let fits = |offset: u32, shape: &[u8; 8]| {
        let word = load(bytes, at.wrapping_add(offset));
        let digits = u64::from_le_bytes(shape.map(|it| if it == b'd' { 0xff } else { 0 }));
        let others = u64::from_le_bytes(shape.map(|it| if it == b'd' { 0 } else { it }));
        let value = word & digits | 0x3030_3030_3030_3030 & !digits;
        let digit = value.wrapping_sub(0x3030_3030_3030_3030);
        word & !digits == others
            && (digit | digit.wrapping_add(0x7676_7676_7676_7676) | value) & 0x8080_8080_8080_8080 == 0
    };
    fits(0, b"dddd/dd/") && fits(8, b"dd dd:dd") && fits(13, b":dd:dd [")
}

const CLIENT: u64 = u64::from_le_bytes(*b"client: ");
const SERVER: u64 = u64::from_le_bytes(*b"server: ");
const REQUEST: u64 = u64::from_le_bytes(*b"request:");
const UPSTREAM: u64 = u64::from_le_bytes(*b"upstream");
const HOST: u64 = u64::from_le_bytes(*b"host: \"\0");
const REFERRER: u64 = u64::from_le_bytes(*b"referrer");
/// Labels of entries that are no usual ones of HTTP.
const OTHERS: [u64; 4] = [
    u64::from_le_bytes(*b"subreque"),
    u64::from_le_bytes(*b"udp clie"),
    u64::from_le_bytes(*b"login: \""),
    u64::from_le_bytes(*b"bytes fr"),
];

/// Takes an entry apart; `None` at any doubt.
#[inline(always)]
fn split(bytes: &[u8], line: Span, commas: &[u32], shift: u32) -> Option<Quick> {
    if line.len() > LONGEST_BYTES || bytes.get(line.end as usize - 1) == Some(&b'\r') {
        return None;
    }
    let (level, body) = header(bytes, line)?;
    // The commas in front of the labels: client, server, request, upstream, host, referrer.
    let mut labels = [0_u32; 6];
    let mut next = 0;
    for comma in commas {
        let comma = shift + comma - 1;
        let word = load(bytes, comma + 2);
        let label = match word {
            CLIENT => 0,
            SERVER => 1,
            REQUEST => 2,
            UPSTREAM => 3,
            REFERRER => 5,
            _ if word & 0x00ff_ffff_ffff_ffff == HOST => 4,
            _ if OTHERS.contains(&word) => return None,
            _ => continue,
        };
        // Each once, in this order, the first three without a gap.
        if label < next || label > 2 && next < 3 || label < 3 && label != next {
            return None;
        }
        labels[label] = comma;
        next = label + 1;
    }
    if next < 3 {
        return None;
    }
    let [client, server, request, upstream, host, referrer] = labels;
    let head = Span { start: body, end: client };
    let line_text = line.of(bytes);
    let text = head.of(bytes);
    if find(&line_text[..line_text.len().min(120)], STDERR).is_some()
        || memchr::memchr(0, text).is_some()
        || text.ends_with(b"reading client request line")
        || !is_address(bytes.get(client as usize + 10..server as usize)?)
    {
        return None;
    }
    let (request_at, upstream_at) = (request + 12, upstream + 13);
    if bytes.get(request as usize..request_at as usize)? != b", request: \"" {
        return None;
    }
    // Where quoted values end: in front of a later label, or with the line.
    let end_before = |labels: &[u32]| labels.iter().copied().find(|it| *it > 0).unwrap_or(line.end) - 1;
    let request_end = end_before(&[upstream, host, referrer]);
    let is_quote = |at: u32| bytes.get(at as usize) == Some(&b'"');
    let closes = [upstream, host, referrer].into_iter().filter(|it| *it > 0).all(|it| is_quote(it - 1));
    // Behind the referrer nothing is looked for; else the last value must be closed.
    if !closes || request_end < request_at || !is_quote(line.end - 1) {
        return None;
    }
    // The last quote that a version stands before would be taken for the request's end.
    let has_version = |end: u32| fields::ends_with_version(&bytes[..end as usize]);
    let others = [host, referrer].into_iter().filter(|it| *it > 0).map(|it| it - 1);
    let last = (referrer == 0).then_some(line.end - 1);
    if !has_version(request_end) || others.chain(last).any(|it| it != request_end && has_version(it)) {
        return None;
    }
    let server = Span { start: server + 10, end: request };
    let mut peer = Span::default();
    if upstream > 0 {
        if bytes.get(upstream as usize..upstream_at as usize)? != b", upstream: \"" {
            return None;
        }
        peer = peer_of(bytes, Span { start: upstream_at, end: end_before(&[host, referrer]) })?;
    }
    if referrer > 0 && bytes.get(referrer as usize..referrer as usize + 13)? != b", referrer: \"" {
        return None;
    }
    Some(Quick { level, head, server, peer })
}

/// Whether a client is written so, as `fields::begins_with_client` has it.
#[inline(always)]
fn is_address(text: &[u8]) -> bool {
    const DIGITS: [bool; 256] = {
        let mut digits = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            digits[byte] = matches!(byte as u8, b'.' | b':') || (byte as u8).is_ascii_hexdigit();
            byte += 1;
        }
        digits
    };
    !text.is_empty() && text.iter().fold(true, |all, it| all & DIGITS[usize::from(*it)]) || text == b"unix:"
}

/// Level, and where the message begins.
#[inline(always)]
fn header(bytes: &[u8], line: Span) -> Option<(Level, u32)> {
    let word = load(bytes, line.start + 21);
    let is = |text: &[u8]| {
        let (mut mask, mut value) = ([0; 8], [0; 8]);
        mask[..text.len()].fill(0xff);
        value[..text.len()].copy_from_slice(text);
        word & u64::from_le_bytes(mask) == u64::from_le_bytes(value)
    };
    let (level, length) = match () {
        () if is(b"error] ") => (Level::Error, 7),
        () if is(b"info] ") => (Level::Info, 6),
        () if is(b"warn] ") => (Level::Warn, 6),
        () if is(b"crit] ") => (Level::Crit, 6),
        () if is(b"alert] ") => (Level::Alert, 7),
        () if is(b"notice] ") => (Level::Notice, 8),
        () if is(b"emerg] ") => (Level::Emerg, 7),
        () => return None,
    };
    let at = digits(bytes, line.start + 21 + length, 9)?;
    let at = digits(bytes, after(bytes, at, b'#')?, 9)?;
    let at = after(bytes, after(bytes, after(bytes, at, b':')?, b' ')?, b'*')?;
    let at = after(bytes, digits(bytes, at, 18)?, b' ')?;
    (at <= line.end).then_some((level, at))
}

/// The end of some digits, so many at most.
#[inline(always)]
fn digits(bytes: &[u8], from: u32, most: u32) -> Option<u32> {
    let text = bytes.get(from as usize..)?;
    let count = text.iter().take(most as usize + 1).take_while(|it| it.is_ascii_digit()).count() as u32;
    (1..=most).contains(&count).then_some(from + count)
}

#[inline(always)]
fn after(bytes: &[u8], at: u32, byte: u8) -> Option<u32> {
    (*bytes.get(at as usize)? == byte).then_some(at + 1)
}

/// As `fields::split_upstream` finds it; `None` where a socket's end has to be guessed.
#[inline(always)]
fn peer_of(bytes: &[u8], upstream: Span) -> Option<Span> {
    let text = upstream.of(bytes);
    let scheme = find(text, b"://").filter(|at| *at > 0 && text[..*at].iter().all(u8::is_ascii_lowercase));
    let start = scheme.map_or(0, |at| at + 3);
    let rest = &text[start..];
    let length = match rest.strip_prefix(b"unix:") {
        Some(socket) => {
            let end = find(socket, b":/").or_else(|| socket.strip_suffix(b":").map(<[u8]>::len))?;
            5 + end
        }
        None => rest.iter().position(|it| matches!(it, b'/' | b'?')).unwrap_or(rest.len()),
    };
    let start = upstream.start + start as u32;
    Some(Span { start, end: start + length as u32 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error;

    /// Entries of all kinds, and pieces of them that stand where they do not belong.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let start = proptest::sample::select(vec![
            "2026/05/02 12:00:00 [error] 7#7: *1 ",
            "2026/05/02 12:00:00 [info] 7#7: *123 ",
            "2026/05/02 12:00:00 [crit] 7#7: *1 ",
            "2026/05/02 12:00:00 [emerg] 7#7: ",
            "2026/05/02 12:00:00 [warn] 7#7: *1 FastCGI sent in stderr: \"",
            "2026/05/02 12:00:0x [error] 7#7: *1 ",
            "",
        ]);
        let piece = proptest::sample::select(vec![
            "connect() failed (111: Connection refused) while connecting to upstream",
            "open() \"/x, client: y\" failed (2: No such file or directory)",
            "limiting requests, excess: 1.5 by zone \"a\"",
            "client sent invalid request while reading client request line",
            ", client: 10.0.0.1, server: a",
            ", client: unix:, server: ",
            ", client: x, server: a, b",
            ", request: \"GET / HTTP/1.1\"",
            ", request: \"GET /x\"",
            ", request: \"GET /\", host: \" HTTP/1.1\"",
            ", subrequest: \"/s\"",
            ", upstream: \"http://10.0.0.1:80/a HTTP/1.1\"",
            ", upstream: \"http://10.0.0.1:80/\"",
            ", upstream: \"fastcgi://unix:/run/a.sock:\"",
            ", upstream: \"http://unix:/run/a.sock/x\"",
            ", upstream: \"group\"",
            ", host: \"a\"",
            ", host: \"a HTTP/1.0\"",
            ", referrer: \"http://b/\"",
            ", referrer: \"b",
            ", ",
            "\"",
            "\r",
            "\0",
            "é",
        ]);
        let usual = proptest::sample::subsequence(vec![0, 4, 7, 12, 16, 18], 0..=6).prop_map(|order| {
            let all = [
                "connect() failed (111: Connection refused) while connecting to upstream",
                ", client: 10.0.0.1, server: a, request: \"GET / HTTP/1.1\"",
                ", upstream: \"http://10.0.0.1:80/\"",
                ", host: \"a\"",
                ", referrer: \"http://b/\"",
                "",
            ];
            order.into_iter().map(|it| all[it % 6]).collect::<String>()
        });
        let pieces = proptest::collection::vec(piece, 0..8).prop_map(|it| it.concat());
        (start, prop_oneof![usual, pieces.clone()], prop_oneof![3 => Just(String::new()), 1 => pieces])
            .prop_map(|(start, body, more)| format!("{start}{body}{more}").into_bytes())
    }

    fn agree(bytes: &[u8]) -> usize {
        let (mut seen, mut split) = (Vec::new(), 0);
        let lines = each_entry(bytes, &mut Scratch::default(), |whole, lines, quick| {
            seen.push((whole.start as usize, whole.of(bytes).to_vec(), lines as usize));
            let Some(quick) = quick else { return };
            split += 1;
            let text = String::from_utf8_lossy(whole.of(bytes)).into_owned();
            let record = error::parse(whole.of(bytes)).expect("what was split parses");
            assert_eq!(quick.level, record.level, "{text}");
            assert_eq!(quick.symptom(bytes), record.symptom(), "{text}");
            if let Some(symptom) = quick.alike(bytes).and_then(|it| it.symptom(quick.head.of(bytes))) {
                assert_eq!(symptom, record.symptom(), "{text}");
            }
            assert_eq!(Some(quick.server.of(bytes)), record.server, "{text}");
            let peer = String::from_utf8_lossy(quick.peer.of(bytes));
            assert_eq!(peer, record.peer.unwrap_or_default(), "{text}");
        });
        let expected: Vec<_> =
            entries(bytes).map(|it| (it.offset, it.bytes.to_vec(), it.line_count)).collect();
        assert_eq!(lines as usize, expected.iter().map(|it| it.2).sum::<usize>());
        assert_eq!(seen, expected);
        split
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_split_is_what_would_be_parsed(lines in proptest::collection::vec(line(), 1..8), end in any::<bool>()) {
            let mut bytes = lines.join(&b'\n');
            if end {
                bytes.push(b'\n');
            }
            agree(&bytes);
        }
    }

    /// Messages of which one half is the table's, and one that was made up.
    fn head() -> impl Strategy<Value = String> {
        let begin = proptest::sample::select(crate::catalogue_table::RULES).prop_map(|it| it.0);
        let others = proptest::sample::select(vec![
            "an upstream response is buffered to a temporary file ",
            "x could not be resolved (110: Operation timed out)",
            "5",
            "\"",
            "client intended to send too large body: ",
        ]);
        let piece = proptest::sample::select(vec![
            "/a/1/02/0000000012",
            "7",
            "\"",
            "/",
            "\"/a\"",
            " could not be resolved (3: Host not found)",
            " failed",
            " failed (13: Permission denied)",
            " (28: No space left on device)",
            " (5: Input/output error)",
            " (SSL: error:0A000086:SSL routines::certificate verify failed)",
            " while reading upstream",
            " while processing HTTP/2 connection",
            " while sending mp4 to client",
            ": 12345 bytes",
        ]);
        let pieces = proptest::collection::vec(piece, 0..5).prop_map(|it| it.concat());
        (prop_oneof![3 => begin, 1 => others], pieces).prop_map(|(begin, more)| format!("{begin}{more}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        /// One head is known by the ends of the other, where they have the same.
        #[test]
        fn heads_that_begin_and_end_alike_say_the_same(heads in proptest::collection::vec(head(), 1..40), cut in 0..20_usize) {
            let mut known = std::collections::HashMap::new();
            let variants = heads.iter().flat_map(|it| {
                // The same ends around something else.
                let middle = it.find(|it: char| it == '"' || it == '/' || it.is_ascii_digit()).map(|at| at + 1);
                let other = &heads[cut % heads.len()];
                [it.clone(), middle.map_or(it.clone(), |at| format!("{}{other}{}", &it[..at], &it[at - 1..]))]
            });
            for text in variants.collect::<Vec<_>>() {
                let head = Span { start: 0, end: text.len() as u32 };
                for level in [Level::Alert, Level::Crit, Level::Error, Level::Info] {
                    let quick = Quick { level, head, server: Span::default(), peer: Span::default() };
                    let bytes = text.as_bytes();
                    let ends = quick.ends(bytes).map(|it| it.of(bytes).to_vec());
                    let alike = known.entry((level, ends)).or_insert_with(|| quick.alike(bytes));
                    if let Some(symptom) = alike.and_then(|it| it.symptom(bytes)) {
                        prop_assert_eq!(symptom, quick.symptom(bytes), "{}", text);
                    }
                }
            }
        }
    }

    #[test]
    fn usual_entries_are_split() {
        let context = "client: 10.0.0.1, server: a, request: \"GET /x, y HTTP/1.1\"";
        let upstream = "upstream: \"http://10.0.0.1:80/x, y\", host: \"a\", referrer: \"http://b/?c, d\"";
        let text = format!(
            "2026/05/02 12:00:00 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, \
             {context}, {upstream}\n\
             2026/05/02 12:00:00 [error] 7#7: *1 limiting requests, excess: 1.5 by zone \"a\", {context}, host: \"a\"\n\
             2026/05/02 12:00:00 [warn] 7#7: *1 FastCGI sent in stderr: \"x\ny\" while reading upstream, {context}, {upstream}\n"
        );
        assert_eq!(agree(text.repeat(200).as_bytes()), 400);
    }
}
