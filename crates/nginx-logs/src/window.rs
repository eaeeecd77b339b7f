//! Where in a long log a span of time begins, found by halving.
//!
//! A log is in the order of time, but not strictly: processes write side by side, and lines without a time
//! (continuations, garbage) stand between. Each probe therefore reads on to the next line that has a time,
//! and the last step looks a block further back for lines that came a little early.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// How much one probe reads at a time; also how far back lines can be out of order.
const BLOCK_BYTES: u64 = 64 * 1024;
/// A line that is longer is cut: what follows counts as lines of its own, without a time.
const LONGEST_LINE_BYTES: u64 = 1024 * 1024;

/// The offset of the first line that is not before `since`; `len` when there is none.
///
/// `time_of` reads the time of a line (without its line feed), or `None` where it has none. Reads O(log
/// `len`) blocks.
pub fn seek_since<Time: Ord>(
    file: &mut (impl Read + Seek),
    len: u64,
    since: &Time,
    time_of: impl Fn(&[u8]) -> Option<Time>,
) -> io::Result<u64> {
    // Before `low` every line is too early, as far as the probes saw; the first line with a time behind
    // `high` is not.
    let (mut low, mut high) = (0, len);
    while high - low > BLOCK_BYTES {
        let middle = low + (high - low) / 2;
        match first_line(file, middle, high, |line| time_of(line))? {
            Some((_, time)) if time >= *since => high = middle,
            Some((offset, _)) => low = offset,
            None => high = middle,
        }
    }
    let from = low.saturating_sub(BLOCK_BYTES);
    let found = first_line(file, from, len, |line| time_of(line).filter(|time| time >= since))?;
    Ok(found.map_or(len, |(offset, _)| offset))
}

/// The offset of the first line of the last `most_bytes`, so that a log is never read from its beginning.
pub fn tail_bound(file: &mut (impl Read + Seek), len: u64, most_bytes: u64) -> io::Result<u64> {
    let from = len.saturating_sub(most_bytes);
    Ok(first_line(file, from, len, |_| Some(()))?.map_or(len, |(offset, ())| offset))
}

/// The first line that begins in `from..to` and has a value.
fn first_line<T>(
    file: &mut (impl Read + Seek),
    from: u64,
    to: u64,
    value_of: impl Fn(&[u8]) -> Option<T>,
) -> io::Result<Option<(u64, T)>> {
    // One byte earlier, so that a line that begins exactly at `from` is not skipped as the rest of another.
    let mut offset = from.saturating_sub(1);
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::with_capacity(BLOCK_BYTES as usize, file);
    let mut line = Vec::new();
    let mut partial = from > 0;
    while offset < to {
        line.clear();
        let length = reader.by_ref().take(LONGEST_LINE_BYTES).read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            break;
        }
        let whole = line.strip_suffix(b"\n");
        if !partial && let Some(value) = value_of(whole.unwrap_or(&line)) {
            return Ok(Some((offset, value)));
        }
        partial = whole.is_none();
        offset += length;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Cursor;

    use super::*;

    /// The number at the beginning of a line.
    fn time_of(line: &[u8]) -> Option<u64> {
        crate::bytes::leading_number(line).map(|it| it.0)
    }

    #[track_caller]
    fn begins_with(log: &str, since: u64, expected: &str) {
        let offset = seek_since(&mut Cursor::new(log), log.len() as u64, &since, time_of).unwrap();
        assert!(log[offset as usize..].starts_with(expected), "{:?}", log[offset as usize..].lines().next());
    }

    fn long_log() -> String {
        (0..100_000).map(|time| format!("{time} something of some length happened\ncontinued\n")).collect()
    }

    #[test]
    fn the_first_line_not_before_the_time_is_found() {
        let log = long_log();
        for since in [0, 1, 777, 50_000, 99_999] {
            begins_with(&log, since, &format!("{since} "));
        }
        begins_with(&log, 100_000, "");
    }

    #[test]
    fn a_gap_leads_to_the_line_behind_it() {
        begins_with("1 a\n2 b\n9 c\n", 5, "9 c");
    }

    #[test]
    fn lines_out_of_order_are_not_lost() {
        begins_with("1 a\n5 b\n3 c\n6 d\n", 5, "5 b");
    }

    #[test]
    fn a_file_without_any_time_is_empty_behind_every_time() {
        begins_with("no time\nno time\n", 1, "");
        begins_with("", 1, "");
    }

    #[test]
    fn a_line_longer_than_a_block_is_one_line() {
        let log = format!("1 {}\n2 {}\n3 c\n", "x".repeat(300_000), "7 y\u{e9}".repeat(70_000));
        begins_with(&log, 2, "2 ");
        begins_with(&log, 3, "3 ");
    }

    #[test]
    fn few_blocks_are_read() {
        let log = long_log();
        let lines = Cell::new(0);
        let count = |line: &[u8]| {
            lines.set(lines.get() + 1);
            time_of(line)
        };
        seek_since(&mut Cursor::new(&log), log.len() as u64, &50_000, count).unwrap();
        assert!(lines.get() < 10_000, "{} of 200000 lines were looked at", lines.get());
    }

    #[test]
    fn the_tail_begins_with_a_line() {
        let log = b"one\ntwo\nthree\n";
        let bound = |most| tail_bound(&mut Cursor::new(log), log.len() as u64, most).unwrap();
        assert_eq!([bound(100), bound(10), bound(9), bound(6), bound(0)], [0, 4, 8, 8, 14]);
    }
}
