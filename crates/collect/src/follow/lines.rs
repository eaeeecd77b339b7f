//! Which of the bytes behind a position can be given out: whole lines, without the holes that a crash leaves.

use memchr::{memchr, memrchr};
use nginx_logs::error::time_of_line;

/// A line without an end is cut at that length. nginx's own error log ends at 2 KiB, and an access log's line holds at
/// most a request line and a few headers of 8 KiB each.
pub const LONGEST_LINE_BYTES: usize = 128 << 10;
/// So many NULs in the middle of a line are what was never written to the disk; fewer may be somebody's request.
const HOLE_BYTES: usize = 16;
/// No entry of an error log is longer, with the one that follows it (NGX_MAX_ERROR_STR of OpenResty).
const TWO_ENTRIES_BYTES: usize = 2 * 4096;

/// What to do with the bytes behind a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Half a line, or nothing: wait for more.
    Wait,
    /// So many bytes are whole lines.
    Lines(usize),
    /// So many are a line that has no end: what a hole cuts off.
    Half(usize),
    /// So many are the beginning of a line that is too long; its rest is passed over.
    Cut(usize),
    /// So many NULs.
    Hole(usize),
    /// So many belong to a line that was cut, and do not end it.
    Rest(usize),
    /// The same, and they end it.
    RestEnds(usize),
}

/// The next step. `passing` says that the position lies in a line that was cut; `more` that the file goes on behind
/// `data`.
pub fn step(data: &[u8], passing: bool, more: bool) -> Step {
    if data.is_empty() {
        return Step::Wait;
    }
    if passing {
        return memchr(b'\n', data).map_or(Step::Rest(data.len()), |at| Step::RestEnds(at + 1));
    }
    let nuls = data.iter().take_while(|it| **it == 0).count();
    if nuls > 0 {
        return Step::Hole(nuls);
    }
    let end = memrchr(b'\n', data).map_or(0, |at| at + 1);
    // A hole behind the last line feed cuts off half a line, so it is looked for there as well.
    if let Some(hole) = hole(data) {
        return match memrchr(b'\n', &data[..hole]) {
            Some(at) => Step::Lines(at + 1),
            None => Step::Half(hole),
        };
    }
    match end {
        0 if data.len() > LONGEST_LINE_BYTES => Step::Cut(LONGEST_LINE_BYTES),
        0 => Step::Wait,
        _ if more => Step::Lines(whole_entries(&data[..end])),
        _ => Step::Lines(end),
    }
}

/// Where the first hole begins.
fn hole(data: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = memchr(0, &data[from..]).map(|at| from + at) {
        let nuls = data[at..].iter().take(HOLE_BYTES).take_while(|it| **it == 0).count();
        if nuls == HOLE_BYTES {
            return Some(at);
        }
        from = at + nuls;
    }
    None
}

/// The length of the lines without the last entry of an error log: its other lines may follow.
fn whole_entries(lines: &[u8]) -> usize {
    if time_of_line(lines).is_none() {
        return lines.len();
    }
    let mut end = lines.len() - 1;
    while let Some(at) = memrchr(b'\n', &lines[..end]) {
        if time_of_line(&lines[at + 1..]).is_some() {
            return at + 1;
        }
        if lines.len() - at > TWO_ENTRIES_BYTES {
            break;
        }
        end = at;
    }
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All steps over `data`, as text, up to the first one that waits.
    #[track_caller]
    fn steps(data: &[u8], expected: &[&str]) {
        let (mut at, mut passing, mut seen) = (0, false, Vec::new());
        loop {
            let step = step(&data[at..], passing, false);
            let (length, name) = match step {
                Step::Wait => break,
                Step::Lines(it) => (it, "lines"),
                Step::Half(it) => (it, "half"),
                Step::Cut(it) => (it, "cut"),
                Step::Hole(it) => (it, "hole"),
                Step::Rest(it) => (it, "rest"),
                Step::RestEnds(it) => (it, "rest ends"),
            };
            passing = matches!(step, Step::Cut(_) | Step::Rest(_));
            seen.push(format!("{name} {length}"));
            at += length;
        }
        seen.push(format!("wait {}", data.len() - at));
        assert_eq!(seen, expected);
    }

    #[test]
    fn half_a_line_waits() {
        steps(b"one\ntwo\nthr", &["lines 8", "wait 3"]);
        steps(b"thr", &["wait 3"]);
    }

    #[test]
    fn a_hole_is_passed_over_and_ends_the_line_before_it() {
        let hole = [0; 40];
        steps(&[&hole[..], b"one\n"].concat(), &["hole 40", "lines 4", "wait 0"]);
        steps(
            &[b"one\nha", &hole[..], b"two\n"].concat(),
            &["lines 4", "half 2", "hole 40", "lines 4", "wait 0"],
        );
        steps(&[b"one\nha", &hole[..]].concat(), &["lines 4", "half 2", "hole 40", "wait 0"]);
    }

    #[test]
    fn a_single_nul_in_a_request_is_no_hole() {
        steps(b"GET /\0 x\n", &["lines 9", "wait 0"]);
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_the_next_one_is_whole() {
        let line = vec![b'x'; LONGEST_LINE_BYTES + 10];
        let cut = format!("cut {LONGEST_LINE_BYTES}");
        steps(&line, &[&cut, "rest 10", "wait 0"]);
        // Where its end is there already, the line is given as it is.
        steps(&[&line[..], b"\nnext\n"].concat(), &[&format!("lines {}", line.len() + 6), "wait 0"]);
    }

    #[test]
    fn an_entry_whose_other_lines_may_follow_is_kept_back() {
        let one = b"2026/05/02 12:00:00 [error] 7#7: *1 one\n";
        let two = b"2026/05/02 12:00:01 [error] 7#7: *1 FastCGI sent in stderr: \"a\nb\n";
        assert_eq!(step(&[&one[..], two].concat(), false, true), Step::Lines(one.len()));
        assert_eq!(step(&[&one[..], two].concat(), false, false), Step::Lines(one.len() + two.len()));
        assert_eq!(step(two, false, true), Step::Lines(two.len()));
        assert_eq!(step(b"a\nb\n", false, true), Step::Lines(4));
    }
}
