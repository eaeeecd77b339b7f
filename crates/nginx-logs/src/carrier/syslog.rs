//! RFC 3164, RFC 5424, and the short forms of `journalctl`, which are like the first.

use std::borrow::Cow;

use super::Carried;
use crate::access_time::{month, stamp};
use crate::bytes::{leading_number, number, split_byte};

/// `<187>Nov 20 15:00:00 web-1 nginx[9]: ` in all its forms: without priority, host or process; with a time of RFC 3339
/// (rsyslog, `journalctl -o short-iso`), with fractions (`short-precise`), with day and zone (`short-full`).
pub(super) fn open(line: &[u8]) -> Option<Carried<'_>> {
    let (has_priority, rest) = match priority(octet_count(line)) {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let time = time(rest)?;
    let rest = rest[time.length..].strip_prefix(b" ")?;
    let (host, tag, text) = host_and_tag(rest)?;
    // `2026-05-02T12:00:00Z ERROR app: text` is an application's own line, and so is one without host and process.
    if time.at.is_some() && !has_priority {
        let is_level = !host.is_empty() && host.iter().all(|it| it.is_ascii_uppercase() || *it == b':');
        if is_level || host.is_empty() && tag.pid.is_none() {
            return None;
        }
    }
    Some(Carried {
        text: Cow::Borrowed(text),
        at: time.at,
        local_time: if time.at.is_some() { b"" } else { time.text },
        program: std::str::from_utf8(tag.program).ok().map(Cow::Borrowed),
        pid: tag.pid,
        ..Carried::default()
    })
}

/// `<187>1 2026-11-20T15:00:00+01:00 web-1 nginx 9 - - `.
pub(super) fn open_5424(line: &[u8]) -> Option<Carried<'_>> {
    let line = octet_count(line);
    let rest = priority(line).unwrap_or(line).strip_prefix(b"1 ")?;
    let (time, rest) = split_byte(rest, b' ')?;
    let at = stamp(time).filter(|it| it.length == time.len()).map(|it| it.at);
    if at.is_none() && time != b"-" {
        return None;
    }
    let (_host, rest) = split_byte(rest, b' ')?;
    let (program, rest) = split_byte(rest, b' ')?;
    let (pid, rest) = split_byte(rest, b' ')?;
    let (_message_id, rest) = split_byte(rest, b' ')?;
    let rest = structured_data(rest)?;
    let text = rest.strip_prefix(b" ").unwrap_or(rest);
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    Some(Carried {
        text: Cow::Borrowed(text),
        at,
        program: std::str::from_utf8(program).ok().filter(|it| *it != "-").map(Cow::Borrowed),
        pid: number(pid),
        ..Carried::default()
    })
}

/// What follows `<187>`.
fn priority(line: &[u8]) -> Option<&[u8]> {
    let (priority, rest) = leading_number::<u16>(line.strip_prefix(b"<")?)?;
    // 24 facilities of 8 severities.
    (priority < 192).then(|| rest.strip_prefix(b">")).flatten()
}

/// What follows the length that RFC 6587 puts before a message.
fn octet_count(line: &[u8]) -> &[u8] {
    if !line.first().is_some_and(u8::is_ascii_digit) {
        return line;
    }
    leading_number::<u32>(line)
        .and_then(|(_, rest)| rest.strip_prefix(b" "))
        .filter(|rest| rest.starts_with(b"<"))
        .unwrap_or(line)
}

/// What follows `-` or `[id key="value"][…]`.
fn structured_data(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(b"-") {
        return (rest.is_empty() || rest[0] == b' ').then_some(rest);
    }
    let mut rest = text;
    while rest.first() == Some(&b'[') {
        let (mut quoted, mut escaped) = (false, false);
        let end = rest.iter().position(|byte| {
            let ends = *byte == b']' && !quoted;
            quoted ^= *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        rest = &rest[end + 1..];
    }
    (rest.len() < text.len()).then_some(rest)
}

struct Time<'a> {
    text: &'a [u8],
    length: usize,
    /// Where year and zone are said.
    at: Option<jiff::Timestamp>,
}

/// `Nov 20 15:00:00`, `Nov  2 15:00:00.123456`, `Fri 2026-11-20 15:00:00 CET`, `2026-11-20T15:00:00.123456+01:00`.
fn time(text: &[u8]) -> Option<Time<'_>> {
    if text.first()?.is_ascii_digit() {
        let stamp = stamp(text)?;
        return Some(Time { text: &text[..stamp.length], length: stamp.length, at: Some(stamp.at) });
    }
    if month(text.get(..3)?).is_some() {
        let date = text.get(..7)?;
        let day = date[5].is_ascii_digit() && (date[4] == b' ' || date[4].is_ascii_digit());
        if date[3] != b' ' || date[6] != b' ' || !day {
            return None;
        }
        let length = 7 + clock(&text[7..])?;
        return Some(Time { text: &text[..length], length, at: None });
    }
    // `short-full`: a zone stands behind the time, which only the host knows for sure.
    let day = [b"Mon ", b"Tue ", b"Wed ", b"Thu ", b"Fri ", b"Sat ", b"Sun "];
    let rest = text.get(4..).filter(|_| day.iter().any(|it| text.starts_with(*it)))?;
    let is_date = rest.len() > 11
        && rest[..11]
            .iter()
            .zip(b"dddd-dd-dd ")
            .all(|(byte, shape)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == shape });
    if !is_date {
        return None;
    }
    let time = 11 + clock(&rest[11..])?;
    let zone = split_byte(rest[time..].strip_prefix(b" ")?, b' ')?.0;
    let is_zone = (1..=6).contains(&zone.len())
        && zone.iter().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'-'));
    is_zone.then(|| Time { text: &rest[..time], length: 4 + time + 1 + zone.len(), at: None })
}

/// The length of `15:00:00` or `15:00:00.123456`.
fn clock(text: &[u8]) -> Option<usize> {
    let [h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = text else { return None };
    if ![h1, h2, m1, m2, s1, s2].iter().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let fraction =
        rest.strip_prefix(b".").map_or(0, |it| 1 + it.iter().take_while(|it| it.is_ascii_digit()).count());
    Some(8 + fraction)
}

struct Tag<'a> {
    program: &'a [u8],
    pid: Option<u32>,
}

/// `web-1 nginx[9]: text`. The host can be missing, or empty before its space, as nginx writes it.
fn host_and_tag(text: &[u8]) -> Option<(&[u8], Tag<'_>, &[u8])> {
    let (first, rest) = split_word(text)?;
    if let Some(tag) = tag(first) {
        return Some((b"", tag, rest));
    }
    let (second, text) = split_word(rest)?;
    tag(second).map(|tag| (first, tag, text))
}

/// A word and what follows its space; the last word of a line ends with it.
fn split_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    // Hosts are at most 255 bytes long, tags shorter.
    let head = &text[..text.len().min(256)];
    match memchr::memchr(b' ', head) {
        Some(at) => Some((&text[..at], &text[at + 1..])),
        None if head.len() == text.len() && text.ends_with(b":") => Some((text, b"")),
        None => None,
    }
}

/// `nginx:`, `php-fpm8.2[123]:`, `(sd-pam)[9]:`, `docker/web/0a1b[9]:`.
fn tag(word: &[u8]) -> Option<Tag<'_>> {
    let name = word.strip_suffix(b":")?;
    let (program, pid) = match name.strip_suffix(b"]").and_then(|it| crate::bytes::rsplit_byte(it, b'[')) {
        Some((program, pid)) => (program, Some(number(pid)?)),
        None => (name, None),
    };
    let of_tag = |it: &u8| {
        it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.' | b'/' | b'(' | b')' | b'@' | b'+')
    };
    (!program.is_empty() && program.iter().all(of_tag)).then_some(Tag { program, pid })
}
