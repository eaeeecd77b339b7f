//! What `journalctl -o json` and `-o export` print.

use std::borrow::Cow;

use jiff::Timestamp;

use super::Carried;
use crate::bytes::number;
use crate::json::{Value, bytes_of_array, members, text};

pub(super) fn open_json(line: &[u8]) -> Option<Carried<'_>> {
    let mut carried = Carried::default();
    let (mut message, mut known, mut system_unit) = (None, false, None);
    for (key, value) in members(line)? {
        match (key, value) {
            (b"MESSAGE", _) => message = Some(message_text(value)),
            (b"__REALTIME_TIMESTAMP", Value::Text(it)) => {
                carried.at = number(it).and_then(|it| Timestamp::from_microsecond(it).ok());
                known = true;
            }
            (b"__CURSOR" | b"_BOOT_ID", _) => known = true,
            (b"SYSLOG_IDENTIFIER", Value::Text(it)) => carried.program = Some(lossy(it)),
            (b"_PID" | b"SYSLOG_PID", Value::Text(it)) => carried.pid = carried.pid.or(number(it)),
            (b"_SYSTEMD_UNIT" | b"_SYSTEMD_USER_UNIT", Value::Text(it)) => system_unit = Some(it),
            (b"CONTAINER_NAME" | b"UNIT", Value::Text(it)) => carried.source = Some(lossy(it)),
            _ => {}
        }
    }
    if !known {
        return None;
    }
    carried.source = carried.source.or(system_unit.map(lossy));
    carried.text = message.unwrap_or_default();
    Some(carried)
}

/// The text of a message: a string, the bytes of one that is no UTF-8, or the first of several.
fn message_text(value: Value<'_>) -> Cow<'_, [u8]> {
    match value {
        Value::Text(it) => text(it),
        Value::Nested(array) => match bytes_of_array(array) {
            Some(bytes) => Cow::Owned(bytes),
            None => Cow::Borrowed(array),
        },
        // Longer than journalctl prints without `--all`.
        Value::Word(_) => Cow::Borrowed(b""),
    }
}

fn lossy(raw: &[u8]) -> Cow<'_, str> {
    match text(raw) {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// `NAME=value`, where each name is in capitals and each entry has fields that no other program writes.
pub(super) fn opens_export(line: &[u8]) -> bool {
    [b"__REALTIME_TIMESTAMP=".as_slice(), b"__MONOTONIC_TIMESTAMP=", b"__CURSOR=", b"MESSAGE="]
        .iter()
        .any(|it| line.starts_with(it))
        || line.starts_with(b"_") && field_name(line).is_some()
}

/// The text of an entry; its other fields are lines without text. A message with line feeds is written in binary, so its
/// lines have no name and come as they are.
pub(super) fn open_export(line: &[u8]) -> Option<Carried<'_>> {
    let name = field_name(line)?;
    let text = if name == b"MESSAGE" { &line[name.len() + 1..] } else { b"" };
    Some(Carried::plain(text))
}

fn field_name(line: &[u8]) -> Option<&[u8]> {
    let end = line
        .iter()
        .take(64)
        .position(|it| !(it.is_ascii_uppercase() || it.is_ascii_digit() || *it == b'_'))?;
    (end > 1 && line[end] == b'=').then_some(&line[..end])
}
