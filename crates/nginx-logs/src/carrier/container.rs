//! What Docker, docker compose, containerd, CRI-O and `kubectl` put around a line.

use std::borrow::Cow;

use super::{Carried, Stream};
use crate::access_time::stamp;
use crate::bytes::split_byte;
use crate::json::{Value, members, text};

/// `{"log":"…\n","stream":"stderr","time":"…"}`, its members in any order, with others such as `attrs` between.
pub(super) fn open_docker_json(line: &[u8]) -> Option<Carried<'_>> {
    let (mut log, mut known) = (None, false);
    let mut carried = Carried::default();
    for (key, value) in members(line)? {
        match (key, value) {
            (b"log", Value::Text(it)) => log = Some(it),
            (b"stream", Value::Text(it)) => (carried.stream, known) = (stream(it), true),
            (b"time", Value::Text(it)) => (carried.at, known) = (stamp(it).map(|it| it.at), true),
            _ => {}
        }
    }
    let log = log.filter(|_| known)?;
    // Docker cuts lines at 16 KiB; only the last part of one has the line feed.
    let whole = without_escape(log, b'n').map(|it| without_escape(it, b'r').unwrap_or(it));
    carried.continues = whole.is_none();
    carried.text = text(whole.unwrap_or(log));
    Some(carried)
}

/// A JSON text without that escape at its end: `\n`, but not the two characters `\\n`.
fn without_escape(text: &[u8], letter: u8) -> Option<&[u8]> {
    let before = text.strip_suffix(&[letter])?;
    let backslashes = before.iter().rev().take_while(|it| **it == b'\\').count();
    (backslashes % 2 == 1).then(|| &before[..before.len() - 1])
}

fn stream(name: &[u8]) -> Option<Stream> {
    match name {
        b"stdout" => Some(Stream::Output),
        b"stderr" => Some(Stream::Error),
        _ => None,
    }
}

/// `web-1  | text`, with a time where `--timestamps` asked for it, in colours or without.
pub(super) fn open_compose(line: &[u8]) -> Option<Carried<'_>> {
    let (service, _, rest) = service(line)?;
    let (at, text) = engine_time(rest).map_or((None, rest), |(at, text)| (Some(at), text));
    Some(Carried {
        text: Cow::Borrowed(text),
        at,
        source: Some(String::from_utf8_lossy(service)),
        ..Carried::default()
    })
}

/// Whether a line that stands alone comes from docker compose: it pads the name, and numbers the container unless that
/// has a name of its own. A format with bars between its values looks similar.
pub(super) fn is_certainly_compose(line: &[u8]) -> bool {
    service(line).is_some_and(|(name, spaces, _)| {
        let number = name.iter().rev().take_while(|it| it.is_ascii_digit()).count();
        let numbered = number > 0 && matches!(name[..name.len() - number].last(), Some(b'-' | b'_'));
        numbered || spaces >= 2
    })
}

/// The name, how many spaces stand before the bar, and what follows it.
fn service(line: &[u8]) -> Option<(&[u8], usize, &[u8])> {
    let line = skip_colours(line);
    let head = &line[..line.len().min(128)];
    let (padded, _) = split_byte(head, b'|')?;
    let name = padded.trim_ascii_end();
    let is_name = name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.iter().any(u8::is_ascii_alphabetic)
        && name.iter().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.'));
    let spaces = padded.len() - name.len();
    if !is_name || spaces == 0 {
        return None;
    }
    let rest = skip_colours(&line[padded.len() + 1..]);
    let rest = rest.strip_prefix(b" ").or_else(|| rest.is_empty().then_some(rest))?;
    Some((name, spaces, skip_colours(rest)))
}

/// What follows sequences such as ESC `[36m`.
fn skip_colours(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(b"\x1b[") {
        let end = rest.iter().take(16).position(|it| !it.is_ascii_digit() && *it != b';');
        match end {
            Some(end) if rest[end] == b'm' => text = &rest[end + 1..],
            _ => break,
        }
    }
    text
}

/// The time that Docker and kubelet write before a line: nine digits behind the point, which tells it from that of an
/// application (RFC3339NanoFixed).
fn engine_time(text: &[u8]) -> Option<(jiff::Timestamp, &[u8])> {
    let stamp = stamp(text).filter(|it| it.fraction_digits == 9)?;
    let rest = &text[stamp.length..];
    let rest = rest.strip_prefix(b" ").or_else(|| rest.is_empty().then_some(rest))?;
    Some((stamp.at, rest))
}

/// `2026-05-02T12:00:00.123456789Z stderr F text`; `P` for a part of a line. More tags may follow behind a colon.
pub(super) fn open_cri(line: &[u8]) -> Option<Carried<'_>> {
    let stamp = stamp(line)?;
    let (name, rest) = split_byte(line[stamp.length..].strip_prefix(b" ")?, b' ')?;
    let stream = stream(name)?;
    let (tags, text) = split_byte(rest, b' ').unwrap_or((rest, b""));
    let continues = match tags.split(|it| *it == b':').next()? {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    Some(Carried {
        text: Cow::Borrowed(text),
        at: Some(stamp.at),
        stream: Some(stream),
        continues,
        ..Carried::default()
    })
}

/// `[pod/web-0/nginx] text`, `2026-05-02T12:00:00.123456789Z text`, or both.
pub(super) fn open_kubectl(line: &[u8]) -> Option<Carried<'_>> {
    let prefixed = line.strip_prefix(b"[pod/").and_then(|it| split_byte(it, b']'));
    let (source, rest) = match prefixed {
        Some((source, rest)) => {
            let rest = rest.strip_prefix(b" ").or_else(|| rest.is_empty().then_some(rest))?;
            (Some(source), rest)
        }
        None => (None, line),
    };
    if source.is_some_and(|it| it.is_empty() || it.contains(&b' ')) {
        return None;
    }
    let (at, text) = match engine_time(rest) {
        Some((at, text)) => (Some(at), text),
        None if source.is_some() => (None, rest),
        None => return None,
    };
    let source = source.map(|it| String::from_utf8_lossy(&line[1..b"[pod/".len() + it.len()]));
    Some(Carried { text: Cow::Borrowed(text), at, source, ..Carried::default() })
}
