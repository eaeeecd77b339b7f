//! Splits a buffer of an error log into entries, each of one or more lines.
//!
//! nginx passes line feeds through (FastCGI stderr, `%0A` in a path), so a line that does not begin like an
//! entry belongs to the entry before it as long as that one is not complete. Inside of `FastCGI sent in
//! stderr: "` even a line that does begin like an entry can belong to it: applications copy log lines into
//! their own. Such an entry ends where its closing quote and context end, or at nginx's limit.

use memchr::memchr;

use crate::bytes::{contains, find, split_once};
use crate::error::{looks_like_start, parse};

/// The message whose text is the backend's own.
pub(crate) const STDERR: &[u8] = b"FastCGI sent in stderr: \"";
/// No entry is longer: NGX_MAX_ERROR_STR, as OpenResty raises it.
pub(crate) const LONGEST_BYTES: usize = 4096;
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
            (end, line_count) = if is_stderr(&rest[..end]) { end_of_block(rest) } else { end_of_lines(rest) };
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

/// The lines of an entry: up to the next entry, or to where this one is complete.
fn end_of_lines(rest: &[u8]) -> (usize, usize) {
    let (mut end, mut line_count) = (line_end(rest, 0), 1);
    let mut complete = None;
    while let Some(next) = next_line(rest, end).filter(|next| !begins_anew(&rest[*next..])) {
        if *complete.get_or_insert_with(|| is_complete(&rest[..end])) {
            break;
        }
        let longer = line_end(rest, next);
        if longer >= LONGEST_BYTES {
            break;
        }
        // Only a line with a quote or a context can complete an entry: no need to read it all again for the
        // others.
        let line = &rest[next..longer];
        if memchr(b'"', line).is_some() || contains(line, b", client: ") {
            complete = None;
        }
        (end, line_count) = (longer, line_count + 1);
    }
    (end, line_count)
}

/// The lines of an entry with a backend's own text: up to its last possible end before the next entry.
fn end_of_block(rest: &[u8]) -> (usize, usize) {
    let (mut start, mut end, mut line_count) = (0, line_end(rest, 0), 1);
    let mut closed = None;
    loop {
        if at_limit(end) {
            return closed.unwrap_or((end, line_count));
        }
        let line = &rest[start..end];
        let may_close = split_once(line, b"\" while ").is_some_and(|(_, tail)| contains(tail, b", client: "));
        if may_close && is_complete(&rest[..end]) {
            closed = Some((end, line_count));
        }
        let Some(next) = next_line(rest, end) else { break };
        if closed.is_some() && begins_anew(&rest[next..]) {
            break;
        }
        (start, end, line_count) = (next, line_end(rest, next), line_count + 1);
        if end >= LONGEST_BYTES {
            break;
        }
    }
    // A block that never closes is no block: its first lines stand alone, and the rest is read anew.
    closed.unwrap_or_else(|| end_of_lines(rest))
}

/// Where the next line begins, if nginx's limit leaves room for one.
fn next_line(rest: &[u8], end: usize) -> Option<usize> {
    (end + 1 < rest.len() && !at_limit(end)).then_some(end + 1)
}

fn begins_anew(line: &[u8]) -> bool {
    looks_like_start(line) || line.starts_with(b"nginx: ")
}

fn is_stderr(line: &[u8]) -> bool {
    // Behind time, level, process and connection.
    find(&line[..line.len().min(120)], STDERR).is_some()
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
