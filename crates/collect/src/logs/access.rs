//! Lines of an access log: failures are kept, what went well is counted.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use nginx_logs::access::{AccessRecord, Escape, Format};
use snapshot::{LogLine, LogLines, Reading, Reason, Successes, Window};

use super::window::{self, MAX_BYTES};
use super::{Context, HAND_OVER};
use crate::host::obstacle;

/// Failures that are kept: the latest.
const MAX_FAILURES: usize = 5_000;
/// Lines of requests that went well that are kept: the latest.
const MAX_SUCCESSES: usize = 2_000;
/// Rows of counted successes.
const MAX_ROWS: usize = 400;
/// Different paths that are counted at all.
const MAX_KEYS: usize = 20_000;
/// Longer paths are cut in a row.
const MAX_PATH_BYTES: usize = 500;

/// The format as the configuration writes it.
pub fn compile(text: &str, escape: &str) -> Format {
    let escape = match escape {
        "json" => Escape::Json,
        "none" => Escape::None,
        _ => Escape::Default,
    };
    Format::compile(text, escape)
}

/// Reads the lines of the window.
pub fn read(path: &Path, format: &Format, context: &Context) -> Reading<LogLines> {
    let source = path.display().to_string();
    if !format.variables().any(|it| ["msec", "time_iso8601", "time_local"].contains(&it)) {
        return Reading::unread(Reason::Unsupported, source, "its log_format has no time");
    }
    let time_of = |line: &[u8]| format.parse(line).and_then(|it| it.time());
    match window::read(path, context, MAX_BYTES, time_of) {
        Ok(part) => Reading::seen(lines(&part, format, context), source, Timestamp::now()),
        Err(error) => Reading::Unread(obstacle(source, &error)),
    }
}

fn lines(part: &window::Part, format: &Format, context: &Context) -> LogLines {
    let mut tally = Tally::new(format, context.window);
    let newlines = memchr::memchr_iter(b'\n', &part.bytes).count() as u64;
    let unfinished = part.bytes.last().is_some_and(|it| *it != b'\n');
    let mut number = newlines + u64::from(unfinished);
    // From the end: when time runs out, the latest lines are those that count.
    let mut end = part.bytes.len() - usize::from(newlines > 0 && !unfinished);
    let mut cut = part.cut;
    while number > 0 {
        if number.is_multiple_of(256) && Instant::now() + HAND_OVER >= context.deadline {
            cut = true;
            break;
        }
        let start = memchr::memrchr(b'\n', &part.bytes[..end]).map_or(0, |at| at + 1);
        number -= 1;
        let line = if part.first_line > 0 { part.first_line + number } else { 0 };
        tally.add(&part.bytes[start..end], line, part.offset + start as u64);
        end = start.saturating_sub(1);
    }
    LogLines { cut, last_at: part.last_at, ..tally.into_lines() }
}

/// What is kept and counted, fed with lines from the latest to the first.
pub struct Tally<'f> {
    format: &'f Format,
    window: Window,
    lines: LogLines,
    failures: Vec<LogLine>,
    successes: Vec<LogLine>,
    statuses: BTreeMap<u16, u64>,
    rows: HashMap<(String, String, String), Successes>,
}

impl<'f> Tally<'f> {
    pub fn new(format: &'f Format, window: Window) -> Tally<'f> {
        Tally {
            format,
            window,
            lines: LogLines::default(),
            failures: Vec::new(),
            successes: Vec::new(),
            statuses: BTreeMap::new(),
            rows: HashMap::new(),
        }
    }

    pub fn add(&mut self, text: &[u8], line: u64, offset: u64) {
        if text.is_empty() {
            return;
        }
        self.lines.read_total += 1;
        let record = self.format.parse(text);
        let Some((record, at)) = record.and_then(|it| it.time().map(|at| (it, at))) else {
            self.lines.unparsed_total += 1;
            return;
        };
        // The file's last lines may be younger than the window, and a slow request's line is out of order.
        if at.as_second() < self.window.from.as_second() || at > self.window.to {
            self.lines.read_total -= 1;
            return;
        }
        self.lines.last_at = self.lines.last_at.max(Some(at));
        self.lines.first_at = Some(self.lines.first_at.map_or(at, |first| first.min(at)));
        let tries = record.upstreams();
        let status = record.status();
        if let Some(status) = status {
            *self.statuses.entry(status).or_default() += 1;
        }
        let failed =
            tries.len() > 1 || status.is_some_and(|it| !(100..499).contains(&it) || it == 400 || it == 413);
        let (kept, most) =
            if failed { (&mut self.failures, MAX_FAILURES) } else { (&mut self.successes, MAX_SUCCESSES) };
        if kept.len() < most {
            kept.push(LogLine { line, offset, at, text: String::from_utf8_lossy(text).into_owned() });
        } else if failed {
            self.lines.left_out_total += 1;
        }
        if !failed {
            let last = tries.last();
            let upstream = last.and_then(|it| it.addr.clone()).unwrap_or_default();
            let seconds = last.and_then(|it| it.response_time).or_else(|| record.request_time());
            self.count(&record, upstream, seconds, at);
        }
    }

    fn count(&mut self, record: &AccessRecord, upstream: String, seconds: Option<f64>, at: Timestamp) {
        let path = record.request().path.unwrap_or_default();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path: String = path.chars().take(MAX_PATH_BYTES).collect();
        let server =
            record.get("server_name").or_else(|| record.get("host")).unwrap_or_default().into_owned();
        let key = (upstream, path, server);
        if self.rows.len() >= MAX_KEYS && !self.rows.contains_key(&key) {
            return;
        }
        let row = self.rows.entry(key).or_insert_with_key(|(upstream, path, server)| Successes {
            upstream: upstream.clone(),
            path: path.clone(),
            server: server.clone(),
            count: 0,
            first_at: Some(at),
            last_at: Some(at),
            slowest_seconds: None,
        });
        row.count += 1;
        row.first_at = row.first_at.min(Some(at));
        row.last_at = row.last_at.max(Some(at));
        row.slowest_seconds = match (row.slowest_seconds, seconds) {
            (Some(slowest), Some(seconds)) => Some(slowest.max(seconds)),
            (slowest, seconds) => slowest.or(seconds),
        };
    }

    /// The lines in the order of the file.
    pub fn into_lines(self) -> LogLines {
        let mut lines = self.lines;
        lines.lines = self.failures;
        lines.lines.extend(self.successes);
        lines.lines.sort_by_key(|it| (it.offset, it.line, it.at));
        lines.statuses = self.statuses.into_iter().collect();
        let mut rows: Vec<Successes> = self.rows.into_values().collect();
        rows.sort_by(|a, b| {
            b.count
                .cmp(&a.count)
                .then_with(|| (&a.upstream, &a.path, &a.server).cmp(&(&b.upstream, &b.path, &b.server)))
        });
        rows.truncate(MAX_ROWS);
        lines.successes = rows;
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::tests::context;
    use super::*;
    use crate::testing::Folder;

    const FORMAT: &str = "$remote_addr [$time_local] \"$request\" $status ua=\"$upstream_addr\" us=\"$upstream_status\" rt=$request_time";

    fn line(time: &str, path: &str, status: u16, upstream: &str, upstream_status: &str) -> String {
        format!(
            "10.0.0.1 [02/May/2026:{time} +0000] \"GET {path} HTTP/1.1\" {status} ua=\"{upstream}\" us=\"{upstream_status}\" rt=0.250\n"
        )
    }

    #[track_caller]
    fn read_text(text: &str) -> LogLines {
        let folder = Folder::new().file("a.log", text);
        read(Path::new("/a.log"), &compile(FORMAT, "default"), &context(&folder)).value().unwrap().clone()
    }

    #[test]
    fn failures_and_retried_requests_are_kept_and_successes_counted() {
        let text = [
            line("11:00:00", "/old", 502, "127.0.0.1:80", "502"),
            line("12:00:01", "/a?x=1", 200, "127.0.0.1:80", "200"),
            line("12:00:02", "/a?x=2", 200, "127.0.0.1:80", "200"),
            line("12:00:03", "/b", 502, "127.0.0.1:80", "502"),
            line("12:00:04", "/c", 200, "127.0.0.1:80, 127.0.0.1:81", "502, 200"),
            "not of this format\n".to_owned(),
        ]
        .concat();
        let lines = read_text(&text);
        let numbers: Vec<_> = lines.lines.iter().map(|it| it.line).collect();
        assert_eq!(numbers, [2, 3, 4, 5]);
        assert_eq!((lines.read_total, lines.unparsed_total, lines.left_out_total), (5, 1, 0));
        assert_eq!(lines.statuses, [(200, 3), (502, 1)]);
        assert_eq!(lines.successes.len(), 1);
        let row = &lines.successes[0];
        assert_eq!((row.path.as_str(), row.count, row.upstream.as_str()), ("/a", 2, "127.0.0.1:80"));
        assert_eq!(row.slowest_seconds, Some(0.25));
        assert_eq!(lines.first_at, Some("2026-05-02T12:00:01Z".parse().unwrap()));
    }

    #[test]
    fn the_latest_failures_are_kept() {
        let text = line("12:00:01", "/b", 502, "127.0.0.1:80", "502").repeat(MAX_FAILURES + 10);
        let lines = read_text(&text);
        assert_eq!((lines.lines.len(), lines.left_out_total), (MAX_FAILURES, 10));
        assert_eq!(lines.lines[0].line, 11);
        assert_eq!(lines.statuses, [(502, MAX_FAILURES as u64 + 10)]);
    }

    #[test]
    fn an_empty_log_has_no_lines() {
        assert!(read_text("").lines.is_empty());
        assert!(read_text("\n").lines.is_empty());
    }

    #[test]
    fn a_format_without_a_time_cannot_be_placed() {
        let folder = Folder::new().file("a.log", "GET\n");
        let reading = read(Path::new("/a.log"), &compile("$request", "default"), &context(&folder));
        assert_eq!(reading.obstacle().unwrap().reason, Reason::Unsupported);
    }
}
