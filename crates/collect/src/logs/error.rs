//! Entries of an error log.

use std::path::Path;

use jiff::Timestamp;
use nginx_logs::error::{self, Level, entries};
use snapshot::{LogLine, LogLines, Reading};

use super::Context;
use super::window::{self, MAX_BYTES, error_time};
use crate::host::obstacle;

/// Entries that are kept.
const MAX_ENTRIES: usize = 10_000;
/// Of too many, the first ones show how it began.
const FIRST_ENTRIES: usize = 2_000;

/// How far before the window refused configurations are looked for, and how many are kept.
const MAX_REFUSAL_BYTES: u64 = 16 << 20;
const MAX_REFUSALS: usize = 50;

/// An entry of the buffer.
struct Found<'a> {
    bytes: &'a [u8],
    offset: u64,
    line: u64,
    at: Timestamp,
}

/// Reads the entries of the window.
pub fn read(path: &Path, context: &Context) -> Reading<LogLines> {
    let source = path.display().to_string();
    match window::read(path, context, MAX_BYTES, |line| error_time(line, context)) {
        Ok(part) => {
            let at = Timestamp::now();
            let mut lines = lines(&part, context);
            let mut refused = refused_before(path, &part, context);
            refused.append(&mut lines.lines);
            lines.lines = refused;
            Reading::seen(lines, source, at)
        }
        Err(error) => Reading::Unread(obstacle(source, &error)),
    }
}

/// Configurations that were refused since the running one was loaded, but before the window: they still wait to be mended.
fn refused_before(path: &Path, part: &window::Part, context: &Context) -> Vec<LogLine> {
    let Some(loaded_at) = context.loaded_at.filter(|it| *it < context.window.from && !part.cut) else {
        return Vec::new();
    };
    let is_refusal = |line: &[u8]| line.get(20..).is_some_and(|it| it.starts_with(b"[emerg]"));
    let read = || {
        let from = window::offset_of(path, context, loaded_at, |line| error_time(line, context))?;
        let from = from.max(part.offset.saturating_sub(MAX_REFUSAL_BYTES)).min(part.offset);
        window::lines_between(path, context, (from, part.offset), is_refusal)
    };
    let found: Vec<(u64, u64, Vec<u8>)> = read().unwrap_or_default();
    let skipped = found.len().saturating_sub(MAX_REFUSALS);
    let line = |(offset, left, text): (u64, u64, Vec<u8>)| {
        Some(LogLine {
            line: part.first_line.saturating_sub(left),
            offset,
            at: error_time(&text, context).filter(|it| *it > loaded_at)?,
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    };
    found.into_iter().skip(skipped).filter_map(line).collect()
}

fn lines(part: &window::Part, context: &Context) -> LogLines {
    let mut lines = LogLines { cut: part.cut, last_at: part.last_at, ..LogLines::default() };
    let mut found = Vec::new();
    let mut line = part.first_line;
    for entry in entries(&part.bytes) {
        let number = line;
        if line > 0 {
            line += entry.line_count as u64;
        }
        if entry.bytes.is_empty() {
            continue;
        }
        lines.read_total += 1;
        let Some(at) = error_time(entry.bytes, context) else {
            lines.unparsed_total += 1;
            continue;
        };
        lines.first_at = lines.first_at.or(Some(at));
        if !is_below_notice(entry.bytes) {
            let offset = part.offset + entry.offset as u64;
            found.push(Found { bytes: entry.bytes, offset, line: number, at });
        }
    }
    let before = found.len();
    limit(&mut found);
    lines.left_out_total = (before - found.len()) as u64;
    lines.lines = found
        .into_iter()
        .map(|it| LogLine {
            line: it.line,
            offset: it.offset,
            at: it.at,
            text: String::from_utf8_lossy(it.bytes).into_owned(),
        })
        .collect();
    lines
}

/// The level stands behind the time; entries of these two are many and tell nothing here.
fn is_below_notice(entry: &[u8]) -> bool {
    entry.get(20..).is_some_and(|it| it.starts_with(b"[info]") || it.starts_with(b"[debug]"))
}

/// Of too many entries those that say something about an upstream or are grave, and of these the first and the last; what
/// is left of the limit goes to others, in the same way.
fn limit(found: &mut Vec<Found>) {
    if found.len() <= MAX_ENTRIES {
        return;
    }
    let matters: Vec<bool> = found.iter().map(|it| matters(it.bytes)).collect();
    let of = |wanted: bool| (0..matters.len()).filter(|at| matters[*at] == wanted).collect::<Vec<_>>();
    let mut kept = ends(of(true), MAX_ENTRIES);
    let left = MAX_ENTRIES - kept.len();
    kept.extend(ends(of(false), left));
    kept.sort_unstable();
    let mut kept = kept.into_iter().peekable();
    let mut at = 0;
    found.retain(|_| {
        let keep = kept.next_if_eq(&at).is_some();
        at += 1;
        keep
    });
}

/// The first and the last of a list, as many as fit.
fn ends(all: Vec<usize>, most: usize) -> Vec<usize> {
    if all.len() <= most {
        return all;
    }
    let first = most * FIRST_ENTRIES / MAX_ENTRIES;
    let last = all.len() - (most - first);
    all[..first].iter().chain(&all[last..]).copied().collect()
}

fn matters(entry: &[u8]) -> bool {
    error::parse(entry)
        .is_some_and(|it| it.level <= Level::Crit || it.upstream.is_some() || it.symptom().is_some())
}

#[cfg(test)]
mod tests {
    use super::super::window::tests::context;
    use super::*;
    use crate::testing::Folder;

    const REFUSED: &str = "2026/05/02 12:00:01 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to \
        upstream, client: 10.0.0.1, server: a, request: \"GET / HTTP/1.1\", upstream: \"http://127.0.0.1:80/\", host: \"a\"\n";

    #[track_caller]
    fn read_text(text: &str) -> LogLines {
        let folder = Folder::new().file("e.log", text);
        read(Path::new("/e.log"), &context(&folder)).value().unwrap().clone()
    }

    #[test]
    fn entries_keep_their_line_and_offset() {
        let lines = read_text(&format!(
            "2026/05/02 11:00:00 [error] 7#7: old\n{REFUSED}garbage\n2026/05/02 12:00:02 [info] 7#7: *1 x\n{REFUSED}"
        ));
        let places: Vec<_> = lines.lines.iter().map(|it| (it.line, it.offset)).collect();
        assert_eq!(places, [(2, 37), (5, 37 + REFUSED.len() as u64 + 8 + 37)]);
        assert_eq!((lines.read_total, lines.unparsed_total), (4, 1));
        assert_eq!(lines.lines[0].text, REFUSED.trim_end());
    }

    #[test]
    fn of_too_many_entries_those_about_upstreams_are_kept() {
        let noise = "2026/05/02 12:00:00 [error] 7#7: *1 open() \"/x\" failed (2: No such file or directory), client: 1.1.1.1, \
            server: a, request: \"GET /x HTTP/1.1\", host: \"a\"\n";
        let lines = read_text(&format!("{}{REFUSED}{}", noise.repeat(9_000), noise.repeat(9_000)));
        assert_eq!(lines.lines.len(), MAX_ENTRIES);
        assert_eq!(lines.left_out_total, 18_001 - MAX_ENTRIES as u64);
        assert_eq!(lines.lines.iter().filter(|it| it.text.contains("Connection refused")).count(), 1);
    }

    #[test]
    fn a_reload_refused_before_the_window_is_kept_when_nothing_was_loaded_since() {
        let emerg =
            |hour: u32| format!("2026/05/02 {hour:02}:00:00 [emerg] 7#7: unknown directive in /x:{hour}\n");
        let text = format!("{}{}2026/05/02 11:00:01 [error] 7#7: x\n{REFUSED}", emerg(9), emerg(11));
        let folder = Folder::new().file("e.log", &text);
        let context =
            Context { loaded_at: Some("2026-05-02T10:00:00Z".parse().unwrap()), ..context(&folder) };
        let reading = read(Path::new("/e.log"), &context);
        let lines: Vec<_> =
            reading.value().unwrap().lines.iter().map(|it| (it.line, it.at.to_string())).collect();
        assert_eq!(lines, [(2, "2026-05-02T11:00:00Z".into()), (4, "2026-05-02T12:00:01Z".into())]);
    }

    #[test]
    fn a_log_that_cannot_be_read_says_why() {
        let folder = Folder::new();
        let unread = read(Path::new("/none.log"), &context(&folder));
        assert_eq!(unread.obstacle().unwrap().source, "/none.log");
    }
}
