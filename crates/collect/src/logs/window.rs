//! The part of a log file that lies in the window.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use nginx_logs::error::time_of_line;
use nginx_logs::window::{seek_since, tail_bound};
use snapshot::LogKind;

use super::{Context, access};
use crate::host::files::open;
use crate::input::rotated::parts;

/// How much of a window is read: its end.
pub const MAX_BYTES: u64 = 64 << 20;

/// Lines are counted from the beginning of a file only below this.
const MAX_COUNTED_BYTES: u64 = 512 << 20;

/// Zones differ by such steps.
const QUARTER_SECONDS: i64 = 15 * 60;
/// Rotated files that are looked at: a busy host rotates by size.
const MAX_ROTATED: usize = 8;
/// The last bytes of a file in which its last time is looked for.
const TAIL_BYTES: u64 = 64 << 10;

/// What was read of a file.
#[derive(Debug, Default)]
pub struct Part {
    /// The bytes, beginning with a whole line.
    pub bytes: Vec<u8>,
    /// Where they begin in the file.
    pub offset: u64,
    /// The number of their first line; 0 when it was not counted.
    pub first_line: u64,
    /// The window begins earlier than these bytes.
    pub cut: bool,
    /// The time of the last line in the file that has one.
    pub last_at: Option<Timestamp>,
}

/// Reads the part of a file that lies in the window. `time_of` reads a line's time.
pub fn read(
    path: &Path,
    context: &Context,
    max_bytes: u64,
    time_of: impl Fn(&[u8]) -> Option<Timestamp>,
) -> io::Result<Part> {
    let mut file = open(&context.root, path)?;
    let length = file.metadata()?.len();
    // Logs have whole seconds: a line of the second in which the window begins may be inside.
    let from = Timestamp::from_second(context.window.from.as_second()).unwrap_or(context.window.from);
    let start = seek_since(&mut file, length, &from, &time_of)?;
    let after = context.window.to.checked_add(SignedDuration::from_secs(1)).unwrap_or(context.window.to);
    // Up to "now" is up to the end, whatever clock the last lines had.
    let end = if after < Timestamp::now() - SignedDuration::from_secs(2) {
        seek_since(&mut file, length, &after, &time_of)?.max(start)
    } else {
        length
    };
    let (offset, cut) =
        if end - start > max_bytes { (tail_bound(&mut file, end, max_bytes)?, true) } else { (start, false) };
    let mut bytes = Vec::with_capacity(usize::try_from(end - offset).unwrap_or(0));
    file.seek(SeekFrom::Start(offset))?;
    file.by_ref().take(end - offset).read_to_end(&mut bytes)?;
    // nginx may be writing the last line just now.
    if end == length && bytes.last().is_some_and(|it| *it != b'\n') {
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        if bytes.len() - whole < 4096 && whole > 0 {
            bytes.truncate(whole);
        }
    }
    Ok(Part {
        last_at: last_time(&mut file, length, &time_of)?,
        first_line: count_lines(&mut file, offset, context.deadline)?.map_or(0, |it| it + 1),
        bytes,
        offset,
        cut,
    })
}

/// The lines between two offsets that `keep` takes, each with its offset and how many lines there are from it to the end.
pub fn lines_between(
    path: &Path,
    context: &Context,
    (from, to): (u64, u64),
    keep: impl Fn(&[u8]) -> bool,
) -> io::Result<Vec<(u64, u64, Vec<u8>)>> {
    let mut file = open(&context.root, path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(to - from).read_to_end(&mut bytes)?;
    let mut left = memchr::memchr_iter(b'\n', &bytes).count() as u64;
    let mut offset = from;
    let mut kept = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if keep(line) {
            kept.push((offset, left, line.to_vec()));
        }
        offset += line.len() as u64 + 1;
        left = left.saturating_sub(1);
    }
    Ok(kept)
}

/// Where in a file a moment begins.
pub fn offset_of(
    path: &Path,
    context: &Context,
    moment: Timestamp,
    time_of: impl Fn(&[u8]) -> Option<Timestamp>,
) -> io::Result<u64> {
    let mut file = open(&context.root, path)?;
    let length = file.metadata()?.len();
    seek_since(&mut file, length, &moment, time_of)
}

/// How many lines end before `offset`; none when that takes too long.
fn count_lines(file: &mut File, offset: u64, deadline: Instant) -> io::Result<Option<u64>> {
    if offset > MAX_COUNTED_BYTES {
        return Ok(None);
    }
    // The first half of what is left: the lines themselves still have to be read.
    let until = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; 1 << 20];
    let (mut left, mut lines) = (offset, 0);
    while left > 0 {
        if Instant::now() >= until {
            return Ok(None);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = file.read(&mut buffer[..most])?;
        if length == 0 {
            return Ok(None);
        }
        lines += memchr::memchr_iter(b'\n', &buffer[..length]).count() as u64;
        left -= length as u64;
    }
    Ok(Some(lines))
}

fn last_time(
    file: &mut File,
    length: u64,
    time_of: impl Fn(&[u8]) -> Option<Timestamp>,
) -> io::Result<Option<Timestamp>> {
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.by_ref().take(TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(tail.rsplit(|byte| *byte == b'\n').find_map(time_of))
}

/// Whether a file has lines from before the window.
pub fn begins_before(root: &Path, path: &Path, kind: &LogKind, context: &Context) -> bool {
    let first_time = || -> io::Result<Option<Timestamp>> {
        let mut line = Vec::new();
        let mut reader = BufReader::new(open(root, path)?.take(TAIL_BYTES));
        while reader.read_until(b'\n', &mut line)? > 0 {
            let text = line.trim_ascii_end();
            let time = match kind {
                LogKind::Error => error_time(text, context),
                LogKind::Access { text: format, escape, .. } => {
                    access::compile(format, escape).parse(text).and_then(|it| it.time())
                }
            };
            if time.is_some() {
                return Ok(time);
            }
            line.clear();
        }
        Ok(None)
    };
    first_time().ok().flatten().is_some_and(|time| time < context.window.from)
}

/// The zone of an error log's writer, where it is not the one that is assumed: nginx takes `TZ` from its environment, which
/// nobody can see from outside. Told by a line and the moment at which it was really written.
pub fn zone_of_writer(line: &[u8], written: Timestamp, assumed: &TimeZone) -> Option<TimeZone> {
    let line = time_of_line(line)?;
    let offset = written.duration_since(line.to_zoned(TimeZone::UTC).ok()?.timestamp()).as_secs();
    // The file was touched since, if it is not a whole quarter of an hour; the clock of the log is a second behind at most.
    let quarters = offset.div_euclid(QUARTER_SECONDS);
    let seconds = i32::try_from(-quarters * QUARTER_SECONDS).ok()?;
    let known = assumed.to_offset(written).seconds();
    let plausible = offset.rem_euclid(QUARTER_SECONDS) <= 2 && (-12 * 3600..=14 * 3600).contains(&seconds);
    (plausible && seconds != known).then(|| Offset::from_seconds(seconds).ok().map(TimeZone::fixed))?
}

/// The same for a file, whose last line was written when it was last changed.
pub fn zone_of_file(root: &Path, path: &Path, written: Timestamp, assumed: &TimeZone) -> Option<TimeZone> {
    let mut file = open(root, path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail).ok()?;
    let line = tail.rsplit(|byte| *byte == b'\n').find(|it| time_of_line(it).is_some())?;
    zone_of_writer(line, written, assumed)
}

/// When a file was last changed. Compressing a log keeps that.
pub fn written_at(root: &Path, path: &Path) -> Option<Timestamp> {
    Timestamp::try_from(open(root, path).ok()?.metadata().ok()?.modified().ok()?).ok()
}

/// The time of an error-log line, which names no zone.
pub fn error_time(line: &[u8], context: &Context) -> Option<Timestamp> {
    Some(time_of_line(line)?.to_zoned(context.zone.clone()).ok()?.timestamp())
}

/// The files that rotating made of a log, the newest first: `error.log.1`, `error.log.2.gz`, `error.log-20260502`.
pub fn rotated(root: &Path, path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(log)) = (path.parent(), path.file_name().and_then(|it| it.to_str())) else {
        return Vec::new();
    };
    let entries = fs::read_dir(root.join(folder.strip_prefix("/").unwrap_or(folder)));
    let names: Vec<String> =
        entries.into_iter().flatten().flatten().filter_map(|it| it.file_name().into_string().ok()).collect();
    let parts = parts(log, names.iter().map(String::as_str));
    let paths = parts.into_iter().rev().map(|it| folder.join(it));
    paths.filter(|it| open(root, it).is_ok()).take(MAX_ROTATED).collect()
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use snapshot::Window;

    use super::*;
    use crate::testing::Folder;

    /// The hour before 13:00 UTC on 2 May 2026, in that folder.
    pub fn context(folder: &Folder) -> Context {
        Context {
            root: folder.path().to_path_buf(),
            window: Window {
                from: "2026-05-02T12:00:00Z".parse().unwrap(),
                to: "2026-05-02T13:00:00Z".parse().unwrap(),
            },
            zone: TimeZone::UTC,
            deadline: Instant::now() + Duration::from_secs(60),
            loaded_at: None,
        }
    }

    fn line(hour: u32, minute: u32) -> String {
        format!("2026/05/02 {hour:02}:{minute:02}:00 [error] 7#7: *1 something {hour} {minute}\n")
    }

    #[test]
    fn only_the_window_is_read_and_lines_are_numbered() {
        let text: String = [line(11, 0), line(11, 59), line(12, 0), line(12, 30), line(13, 30)].concat();
        let folder = Folder::new().file("e.log", &text);
        let context = context(&folder);
        let part = read(Path::new("/e.log"), &context, MAX_BYTES, |it| error_time(it, &context)).unwrap();
        assert_eq!(String::from_utf8(part.bytes).unwrap(), [line(12, 0), line(12, 30)].concat());
        assert_eq!((part.first_line, part.cut), (3, false));
        assert_eq!(part.last_at, Some("2026-05-02T13:30:00Z".parse().unwrap()));
    }

    #[test]
    fn too_large_a_window_is_cut_at_its_beginning() {
        let text: String = (0..50).map(|minute| line(12, minute)).collect();
        let folder = Folder::new().file("e.log", &text);
        let context = context(&folder);
        let part = read(Path::new("/e.log"), &context, 200, |it| error_time(it, &context)).unwrap();
        assert!(part.cut && part.bytes.len() <= 200 && part.bytes.starts_with(b"2026/"));
        assert!(part.bytes.ends_with(line(12, 49).as_bytes()));
    }

    #[test]
    fn a_writer_in_another_zone_is_known_by_the_moment_of_its_line() {
        let text = line(14, 0);
        let zone = |written: &str| {
            let found = zone_of_writer(text.as_bytes(), written.parse().unwrap(), &TimeZone::UTC);
            found.map(|it| it.to_offset(Timestamp::UNIX_EPOCH).seconds())
        };
        assert_eq!(zone("2026-05-02T14:00:00.9Z"), None);
        assert_eq!(zone("2026-05-02T12:00:01.1Z"), Some(7200));
        assert_eq!(zone("2026-05-02T08:15:00Z"), Some(20_700));
        assert_eq!(zone("2026-05-02T19:00:00Z"), Some(-18_000));
        // A file that was touched later says nothing, nor does one with days between.
        assert_eq!(zone("2026-05-02T12:03:00Z"), None);
        assert_eq!(zone("2026-05-05T12:00:00Z"), None);
    }

    #[test]
    fn rotated_files_are_found_under_both_kinds_of_names() {
        let folder = ["a.log.1", "a.log.2.gz", "a.log.4.gz", "b.log-20260501", "b.log-20260430.gz"]
            .iter()
            .fold(Folder::new(), |folder, name| folder.file(name, ""));
        let rotated = |name: &str| rotated(folder.path(), Path::new(name));
        let names = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(rotated("/a.log"), names(&["/a.log.1", "/a.log.2.gz", "/a.log.4.gz"]));
        assert_eq!(rotated("/b.log"), names(&["/b.log-20260501", "/b.log-20260430.gz"]));
        assert!(rotated("/c.log").is_empty());
    }
}
