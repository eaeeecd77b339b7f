//! The members of a JSON object of one line, as carriers write them. Nothing is validated beyond what finding the members
//! needs: half a line still gives its whole members.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::access::{Escape, unescape};

/// A value as it stands in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Between the quotes, escapes and all.
    Text(&'a [u8]),
    /// An object or an array, with its brackets.
    Nested(&'a [u8]),
    /// A number, `true`, `false`, `null`.
    Word(&'a [u8]),
}

/// The members of an object, up to where it stops being one.
pub(crate) struct Members<'a> {
    rest: &'a [u8],
}

/// None where the line begins as no object.
pub(crate) fn members(line: &[u8]) -> Option<Members<'_>> {
    Some(Members { rest: line.trim_ascii_start().strip_prefix(b"{")? })
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        let (key, rest) = split_text(self.rest.trim_ascii_start())?;
        let rest = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let (value, rest) = split_value(rest)?;
        let rest = rest.trim_ascii_start();
        self.rest = rest.strip_prefix(b",").unwrap_or_default();
        (rest.is_empty() || matches!(rest[0], b',' | b'}')).then_some((key, value))
    }
}

/// The bytes that an array of numbers spells, as journald writes text that is no UTF-8.
pub(crate) fn bytes_of_array(array: &[u8]) -> Option<Vec<u8>> {
    let inner = array.strip_prefix(b"[")?.strip_suffix(b"]")?;
    inner.split(|it| *it == b',').map(|it| crate::bytes::number(it.trim_ascii())).collect()
}

/// The text of a value between quotes.
pub(crate) fn text(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr(b'\\', raw) else { return Cow::Borrowed(raw) };
    let mut text = Vec::with_capacity(raw.len());
    text.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    // The quotes of a log line are nearly all that is escaped.
    while let [b'\\', escaped, after @ ..] = rest {
        text.push(match escaped {
            b'"' | b'\\' | b'/' => *escaped,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            _ => {
                text.extend_from_slice(&unescape(rest, Escape::Json));
                return Cow::Owned(text);
            }
        });
        let next = memchr(b'\\', after).unwrap_or(after.len());
        text.extend_from_slice(&after[..next]);
        rest = &after[next..];
    }
    text.extend_from_slice(rest);
    Cow::Owned(text)
}

/// Splits a quoted text off, without its quotes.
fn split_text(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', inner.get(at..)?)?;
        if inner[at] == b'"' {
            return Some((&inner[..at], &inner[at + 1..]));
        }
        at += 2;
    }
}

fn split_value(text: &[u8]) -> Option<(Value<'_>, &[u8])> {
    match text.first()? {
        b'"' => split_text(text).map(|(value, rest)| (Value::Text(value), rest)),
        b'{' | b'[' => {
            let mut depth = 0;
            let mut at = 0;
            loop {
                match text.get(at)? {
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    b'"' => at = text.len() - split_text(&text[at..])?.1.len() - 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    let (value, rest) = text.split_at(at);
                    return Some((Value::Nested(value), rest));
                }
            }
        }
        _ => {
            let end = text.iter().position(|it| matches!(it, b',' | b'}' | b']' | b' '))?;
            let (value, rest) = text.split_at(end);
            Some((Value::Word(value), rest))
        }
    }
}
