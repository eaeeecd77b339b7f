//! Splits a buffer of an error log into entries, each of one or more lines.
//!
//! nginx passes line feeds through (FastCGI stderr, `%0A` in a path), so a line that does not begin like an entry belongs to
//! the entry before it as long as that one is not complete. Inside of `FastCGI sent in stderr: "` even a line that does begin
//! like an entry can belong to it: applications copy log lines into their own. Such an entry ends where its closing quote and
//! context end, or at nginx's limit.

use memchr::{memchr, memmem};

use crate::bytes::contains;
use crate::error::{looks_like_start, parse};

/// The message whose text is the backend's own.
pub(crate) const STDERR: &[u8] = b"FastCGI sent in stderr: \"";
/// No entry is longer: NGX_MAX_ERROR_STR, as OpenResty raises it.
const LONGEST_BYTES: usize = 4096;
/// NGX_MAX_ERROR_STR of nginx itself.
const LIMIT_BYTES: usize = 2048;

/// One entry, or one line that belongs to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it begins in the buffer.
    pub offset: usize,
    /// Without the last line feed.
    pub bytes: &'a [u8],
    /// How many lines it takes.
    pub line_count: usize,
}

#[derive(Debug, Clone)]
pub struct Entries<'a> {
    buffer: &'a [u8],
    offset: usize,
}

/// Every byte of the buffer is in exactly one entry, apart from line feeds.
pub fn entries(buffer: &[u8]) -> Entries<'_> {
    Entries { buffer, offset: 0 }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let rest = &self.buffer[self.offset..];
        if rest.is_empty() {
            return None;
        }
        let mut end = line_end(rest, 0);
        let mut line_count = 1;
        if looks_like_start(rest) && end < rest.len() {
            let block = is_stderr(&rest[..end]);
            while let Some(longer) = continued(rest, end, block) {
                end = longer;
                line_count += 1;
            }
            // A block that never closes is no block: its first line stands alone, and the rest is read anew.
            if block && line_count > 1 && !is_complete(&rest[..end]) && !at_limit(end) {
                (end, line_count) = lines_before_next_start(rest);
            }
        }
        let entry = Entry { offset: self.offset, bytes: &rest[..end], line_count };
        self.offset += (end + 1).min(rest.len());
        Some(entry)
    }
}

fn line_end(buffer: &[u8], from: usize) -> usize {
    memchr(b'\n', &buffer[from..]).map_or(buffer.len(), |at| from + at)
}

fn at_limit(end: usize) -> bool {
    end + 1 == LIMIT_BYTES || end + 1 == LONGEST_BYTES
}

/// The end of the entry with its next line, if that line belongs to it.
fn continued(rest: &[u8], end: usize, block: bool) -> Option<usize> {
    let next = end + 1;
    if next >= rest.len() || at_limit(end) {
        return None;
    }
    if looks_like_start(&rest[next..]) && !block || rest[next..].starts_with(b"nginx: ") {
        return None;
    }
    let longer = line_end(rest, next);
    if longer >= LONGEST_BYTES {
        return None;
    }
    // A block whose text itself looks like a complete entry goes on where its own context still follows.
    let line = &rest[next..longer];
    let own_end =
        block && !looks_like_start(line) && contains(line, b"\" while ") && contains(line, b", client: ");
    (own_end || !is_complete(&rest[..end])).then_some(longer)
}

/// The lines up to the next one that looks like an entry's first.
fn lines_before_next_start(rest: &[u8]) -> (usize, usize) {
    let (mut end, mut line_count) = (line_end(rest, 0), 1);
    while end + 1 < rest.len() && !looks_like_start(&rest[end + 1..]) {
        let longer = line_end(rest, end + 1);
        if longer >= LONGEST_BYTES {
            break;
        }
        (end, line_count) = (longer, line_count + 1);
    }
    (end, line_count)
}

fn is_stderr(line: &[u8]) -> bool {
    // Behind time, level, process and connection.
    memmem::find(&line[..line.len().min(120)], STDERR).is_some()
}

/// Whether nothing of the entry is missing.
fn is_complete(entry: &[u8]) -> bool {
    let Some(record) = parse(entry) else { return true };
    if record.client.is_some() {
        // The last field of an HTTP context is quoted. Without a request the context ends unquoted.
        return record.request.is_none() || entry.ends_with(b"\"") || entry.ends_with(b"\"\r");
    }
    if record.message.starts_with(STDERR) {
        return false;
    }
    // Entries of a connection end in a context, but for the ones that carry `*N` in their own text.
    let carries_number =
        record.level >= crate::error::Level::Info || contains(record.message, b"open socket #");
    if record.connection.is_some() && !carries_number {
        return false;
    }
    memchr::memchr_iter(b'"', record.message).count().is_multiple_of(2)
}
