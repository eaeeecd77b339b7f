//! What syslog and the journal put before an entry.

use memchr::memmem;

use crate::bytes::{leading_number, split_byte};
use crate::error::looks_like_start;

/// Takes off what a carrier put before an nginx entry; lines without a carrier come back as they are.
///
/// Known: RFC 3164 as nginx and rsyslog write it (`<187>Nov 20 15:00:00 host nginx: `, also without priority,
/// and with `nginx[123]: `), RFC 5424, and `journalctl`'s short form.
pub fn strip_carrier(line: &[u8]) -> &[u8] {
    if looks_like_start(line) || line.starts_with(b"nginx: ") {
        return line;
    }
    let rest = match line.strip_prefix(b"<").and_then(leading_number::<u16>) {
        Some((_, rest)) => rest.strip_prefix(b">").unwrap_or(line),
        None => line,
    };
    if let Some(entry) = strip_rfc_5424(rest) {
        return entry;
    }
    // Everything up to the tag's end is short and holds no free text.
    let head = &rest[..rest.len().min(300)];
    for at in memmem::find_iter(head, b": ") {
        let entry = &rest[at + 2..];
        let tag = &rest[..at];
        if looks_like_start(entry) || entry.starts_with(b"nginx: ") {
            return entry;
        }
        // `nginx[123]: signal process started` has no entry of its own: leave such lines alone.
        if tag.contains(&b'"') {
            return line;
        }
    }
    line
}

/// `1 2026-11-20T15:00:00+01:00 host nginx 123 - - ` and the entry.
fn strip_rfc_5424(rest: &[u8]) -> Option<&[u8]> {
    let mut rest = rest.strip_prefix(b"1 ")?;
    for _ in 0..5 {
        rest = split_byte(rest, b' ')?.1;
    }
    let at = rest.windows(21).take(200).position(looks_like_start)?;
    Some(&rest[at..])
}
