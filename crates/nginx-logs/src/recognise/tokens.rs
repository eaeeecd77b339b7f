//! Takes a line of an access log apart into values and the text between them.

use memchr::memchr;

use crate::access_time::month;
use crate::bytes::find;

/// How the values of a line are told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    Json,
    Spaces,
    /// A byte between the values, perhaps with spaces around it.
    Separated(u8),
}

impl Writing {
    pub(super) const ALL: [Writing; 6] = [
        Writing::Json,
        Writing::Separated(b'\t'),
        Writing::Separated(b'|'),
        Writing::Spaces,
        Writing::Separated(b';'),
        Writing::Separated(b','),
    ];
}

/// A value of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    /// What stands between the value before and this one, key and opening quote included.
    pub before: &'a [u8],
    /// The key of the object that it is a member of, if that is a member itself.
    pub parent: &'a [u8],
    /// Of `key=`, `"key":`, `[Key `; else empty.
    pub key: &'a [u8],
    pub quoted: bool,
    pub text: &'a [u8],
}

/// A line taken apart.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub values: Vec<Value<'a>>,
    /// What stands behind the last value.
    pub end: &'a [u8],
}

impl Line<'_> {
    pub(super) fn has_escaped_quotes(&self) -> bool {
        self.values.iter().any(|it| find(it.text, b"\\\"").is_some())
    }
}

/// More values no format has.
const MOST_VALUES: usize = 100;

pub(super) fn split(writing: Writing, line: &[u8]) -> Option<Line<'_>> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut values = Vec::new();
    let end = match writing {
        Writing::Json => split_json(line, &mut values)?,
        _ => split_text(writing, line, &mut values)?,
    };
    (values.len() >= 3).then(|| Line { values, end: &line[end..] })
}

/// Where the last value ends. Objects within objects are gone through; an array is one value.
fn split_json<'a>(line: &'a [u8], values: &mut Vec<Value<'a>>) -> Option<usize> {
    if line.first() != Some(&b'{') {
        return None;
    }
    let (mut last, mut at) = (0, 0);
    // The keys of the objects that are open.
    let mut open: Vec<&[u8]> = Vec::new();
    let mut opening: &[u8] = b"";
    loop {
        match line.get(at)? {
            b'{' => open.push(std::mem::take(&mut opening)),
            b'}' => {
                open.pop();
                if open.is_empty() {
                    return line[at + 1..].trim_ascii().is_empty().then_some(last);
                }
            }
            b'"' => {
                let key_start = at + 1;
                let key_end = key_start + end_of_quoted(&line[key_start..])?;
                let colon = key_end + 1 + skipped(&line[key_end + 1..], b" ");
                if line.get(colon) != Some(&b':') {
                    return None;
                }
                let start = colon + 1 + skipped(&line[colon + 1..], b" ");
                if line.get(start) == Some(&b'{') {
                    opening = &line[key_start..key_end];
                    at = start;
                    continue;
                }
                let quoted = line.get(start) == Some(&b'"');
                let start = start + usize::from(quoted);
                let length = match line.get(start)? {
                    _ if quoted => end_of_quoted(&line[start..])?,
                    b'[' => memchr(b']', &line[start..])? + 1,
                    // A list can stand without quotes; it ends where a key or the object's end follows.
                    _ => end_of_bare_json(&line[start..])?,
                };
                if values.len() == MOST_VALUES {
                    return None;
                }
                values.push(Value {
                    before: &line[last..start],
                    parent: open.last().copied().unwrap_or_default(),
                    key: &line[key_start..key_end],
                    quoted,
                    text: &line[start..start + length],
                });
                last = start + length;
                at = last + usize::from(quoted);
                continue;
            }
            b',' | b' ' => {}
            _ => return None,
        }
        at += 1;
    }
}

fn end_of_bare_json(text: &[u8]) -> Option<usize> {
    (0..text.len()).find(|at| match text[*at] {
        b'}' => true,
        b',' => text[*at + 1..].trim_ascii_start().first() == Some(&b'"'),
        _ => false,
    })
}

/// The length of what stands before the closing quote.
fn end_of_quoted(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &text[at..])?;
        if text[at] == b'"' {
            return Some(at);
        }
        at = (at + 2).min(text.len());
    }
}

fn skipped(text: &[u8], bytes: &[u8]) -> usize {
    text.iter().take_while(|it| bytes.contains(it)).count()
}

/// Where the last value ends.
fn split_text<'a>(writing: Writing, line: &'a [u8], values: &mut Vec<Value<'a>>) -> Option<usize> {
    let (mut last, mut at) = (0, 0);
    while at < line.len() {
        let (key, key_length) = key(writing, &line[at..]);
        let mut start = at + key_length;
        let mut key = key;
        let wrapped = match line.get(start) {
            Some(b'"') => end_of_quoted(&line[start + 1..]).map(|it| (it, true)),
            Some(b'[') => memchr(b']', &line[start..]).map(|it| (it - 1, false)),
            _ => None,
        };
        let (end, next, quoted) = match wrapped {
            Some((length, quoted)) => {
                start += 1;
                let inner = &line[start..start + length];
                if !quoted && let Some(word) = word_before_value(inner) {
                    key = &inner[..word];
                    start += word + 1;
                    (start + length - word - 1, start + length - word, quoted)
                } else {
                    (start + length, start + length + 1, quoted)
                }
            }
            None => {
                let end = start + end_of_bare(writing, &line[start..]);
                (end, end, false)
            }
        };
        if values.len() == MOST_VALUES {
            return None;
        }
        values.push(Value { before: &line[last..start], parent: b"", key, quoted, text: &line[start..end] });
        last = end;
        at = next;
        at += skipped(&line[at..], b" ");
        if line[at..].starts_with(b": ") {
            at += 2;
        }
        if let Writing::Separated(separator) = writing {
            match line.get(at) {
                None => break,
                Some(it) if *it == separator => at += 1,
                // Text behind a closing quote: no such writing.
                Some(_) => return None,
            }
            at += skipped(&line[at..], b" ");
            if at == line.len() {
                // An empty value at the end.
                values.push(Value { before: &line[last..], parent: b"", key: b"", quoted: false, text: b"" });
                last = at;
            }
        }
    }
    Some(last)
}

/// `key=`, and `key:` before a quote, a bracket or a space, or where values are separated by more than spaces. And its
/// length with what stands before the value.
fn key(writing: Writing, text: &[u8]) -> (&[u8], usize) {
    let length = text
        .iter()
        .take(48)
        .take_while(|it| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'-' | b'.' | b'@' | b'$'))
        .count();
    let (name, rest) = text.split_at(length);
    let begins = name.first().is_some_and(|it| it.is_ascii_alphabetic() || matches!(it, b'_' | b'@' | b'$'));
    let spaces = |rest: &[u8]| skipped(rest, b" ").min(1);
    match rest.first() {
        _ if !begins => (b"", 0),
        Some(b'=') => (name, length + 1 + if writing == Writing::Spaces { 0 } else { spaces(&rest[1..]) }),
        Some(b':') => {
            let follows = rest.get(1);
            let by_label =
                matches!(writing, Writing::Separated(_)) && name != b"unix" && !rest.starts_with(b"://");
            match follows {
                Some(b'"' | b'[') => (name, length + 1),
                Some(b' ') => (name, length + 2),
                Some(_) if by_label && !name.contains(&b'.') => (name, length + 1),
                _ => (b"", 0),
            }
        }
        _ => (b"", 0),
    }
}

/// The length of the word in `[Client 10.0.0.9]`; not of a time.
fn word_before_value(inner: &[u8]) -> Option<usize> {
    let at = memchr(b' ', inner)?;
    let is_word = inner[..at].iter().all(|it| it.is_ascii_alphabetic() || *it == b'-')
        && inner[0].is_ascii_alphabetic();
    let is_day = inner.len() > 7 && month(&inner[4..7]).is_some();
    (is_word && !is_day && memchr(b' ', &inner[at + 1..]).is_none()).then_some(at)
}

/// The length of a value without quotes. Lists of several tries hold spaces, and so does `$time_local`.
fn end_of_bare(writing: Writing, text: &[u8]) -> usize {
    if let Writing::Separated(separator) = writing {
        let end = memchr(separator, text).unwrap_or(text.len());
        return text[..end].trim_ascii_end().len();
    }
    let mut end = memchr(b' ', text).unwrap_or(text.len());
    if end == 20
        && text[2] == b'/'
        && text[6] == b'/'
        && text.get(21).is_some_and(|it| matches!(it, b'+' | b'-'))
    {
        return memchr(b' ', &text[21..]).map_or(text.len(), |it| 21 + it);
    }
    while end < text.len() {
        let continues = if text[..end].ends_with(b",") && end > 1 {
            end + 1
        } else if text[end..].starts_with(b" : ") && !text[..end].starts_with(b"\"") {
            end + 3
        } else {
            break;
        };
        let next = memchr(b' ', &text[continues..]).map_or(text.len(), |it| continues + it);
        // What follows a list's separator is an item, not a quoted value, nor a status behind an address.
        let item = &text[continues..next];
        let digits = item.strip_suffix(b",").unwrap_or(item);
        let other_list = text[..end].contains(&b':') && digits.iter().all(u8::is_ascii_digit);
        if item.is_empty() || item.starts_with(b"\"") || other_list {
            break;
        }
        end = next;
    }
    end
}
