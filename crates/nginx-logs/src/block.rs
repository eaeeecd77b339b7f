//! A part of a log, as whoever reads files hands it to whoever understands lines.

use memchr::{memrchr, memrchr_iter};

use crate::carrier::{Carrier, tidy};
use crate::entries::{self, entries};
use crate::error::looks_like_start;
use crate::kind::{Kind, Shape};
use crate::signature::signature;

/// Some whole lines of one log, unpacked but with the carrier still on. Error-log entries of several lines are whole as well.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Which log: an index into the logs that are read together.
    pub source: usize,
    /// Which part of it, counted from 0 without gaps.
    pub index: u64,
    /// Where it begins in the unpacked log.
    pub offset: u64,
    pub bytes: &'a [u8],
}

/// How far before the end of a buffer the beginning of an entry is looked for.
const ENTRIES_BYTES: usize = 16 << 10;
/// Lines of one entry, or pieces of a line that a carrier has cut, which are looked back over.
const MOST_LINES: usize = 64;

impl Shape {
    /// How long a part has to be for [`Shape::last_cut`] to find a good place in it.
    pub fn cut_bytes(&self) -> usize {
        if self.has_entries() { ENTRIES_BYTES + entries::LONGEST_BYTES } else { 4 << 10 }
    }

    /// The last place at which a log can be cut: what stands before is whole lines and whole entries, whatever follows behind
    /// the bytes. `None` when no line ends in them.
    pub fn last_cut(&self, bytes: &[u8]) -> Option<usize> {
        let line_end = memrchr(b'\n', bytes)? + 1;
        let place = match self.carrier {
            Carrier::None if self.has_entries() => last_entry(bytes),
            Carrier::None => None,
            _ => {
                let beginning = self.has_entries().then(|| self.last_beginning(&bytes[..line_end])).flatten();
                let place = beginning.unwrap_or(line_end);
                self.last_whole(&bytes[..place]).or(beginning)
            }
        };
        Some(place.unwrap_or(line_end))
    }

    fn has_entries(&self) -> bool {
        self.kinds.contains(&Kind::Error)
    }

    /// Where the last line begins that continues no entry below its carrier. Little is not held back: more may never come.
    fn last_beginning(&self, lines: &[u8]) -> Option<usize> {
        if lines.len() < entries::LONGEST_BYTES {
            return None;
        }
        let mut end = lines.len();
        for feed in memrchr_iter(b'\n', &lines[..end - 1]).take(MOST_LINES) {
            let carried = self.carrier.open(&lines[feed + 1..end - 1]);
            if carried.is_some_and(|it| signature(tidy(&it.text)).is_some() || self.is_request(&it.text)) {
                return Some(feed + 1);
            }
            end = feed + 1;
        }
        None
    }

    fn is_request(&self, text: &[u8]) -> bool {
        self.kinds.iter().any(|it| matches!(it, Kind::Access(format) if format.fits(text)))
    }

    /// Behind the last line that does not go on in the carrier's next one.
    fn last_whole(&self, lines: &[u8]) -> Option<usize> {
        let mut end = lines.len();
        for feed in memrchr_iter(b'\n', &lines[..end - 1]).take(MOST_LINES) {
            let line = &lines[feed + 1..end - 1];
            if !self.carrier.open(line).is_some_and(|it| it.continues) {
                return Some(end);
            }
            end = feed + 1;
        }
        None
    }
}

/// Where the last entry begins that can be told from one that is still open: no entry is longer than the limit, so those
/// which begin that far before the end have been seen whole.
fn last_entry(bytes: &[u8]) -> Option<usize> {
    let seen_whole = bytes.len().checked_sub(entries::LONGEST_BYTES)?;
    let mut from = seen_whole.saturating_sub(ENTRIES_BYTES);
    if from > 0 {
        from += memchr::memchr_iter(b'\n', &bytes[from..])
            .map(|it| it + 1)
            .find(|it| looks_like_start(&bytes[from + it..]))?;
    }
    let begins = |it: &usize| *it > 0 && *it <= seen_whole && looks_like_start(&bytes[*it..]);
    entries(&bytes[from..])
        .map(|it| from + it.offset)
        .take_while(|it| *it <= seen_whole)
        .filter(begins)
        .last()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_log() -> Shape {
        Shape { carrier: Carrier::None, kinds: vec![Kind::Error] }
    }

    #[test]
    fn lines_are_cut_behind_the_last_whole_one() {
        let shape = Shape { carrier: Carrier::None, kinds: Vec::new() };
        for (bytes, expected) in [("", None), ("a", None), ("a\n", Some(2)), ("a\nb\nc", Some(4))] {
            assert_eq!(shape.last_cut(bytes.as_bytes()), expected, "{bytes:?}");
        }
    }

    #[test]
    fn no_entry_below_a_carrier_is_cut() {
        let lines = [
            "2026/05/02 12:00:00 [error] 7#7: *1 FastCGI sent in stderr: \"PHP message: one",
            "two",
            "three\" while reading response header from upstream, client: 10.0.0.1, server: a, request: \"GET / HTTP/1.1\"",
        ];
        let docker = |it: &str| {
            let text = it.replace('"', "\\\"");
            format!("{{\"log\":\"{text}\\n\",\"stream\":\"stderr\",\"time\":\"2026-05-02T12:00:00.5Z\"}}\n")
        };
        let compose = |it: &str| format!("web-1  | {it}\n");
        let cri = |it: &str| format!("2026-05-02T12:00:00.5Z stderr F {it}\n");
        let logs = [
            (Carrier::DockerJson, lines.map(docker)),
            (Carrier::Compose, lines.map(compose)),
            (Carrier::Cri, lines.map(cri)),
        ];
        for (carrier, lines) in logs {
            let shape = Shape { carrier, kinds: vec![Kind::Error] };
            let entry = lines.concat();
            let log = entry.repeat(30);
            for end in (5000..log.len()).step_by(97) {
                let cut = shape.last_cut(&log.as_bytes()[..end]).unwrap();
                assert_eq!(cut % entry.len(), 0, "{carrier:?} {end}");
                assert!(cut > 0 && end - cut < 2 * entry.len());
            }
        }
    }

    #[test]
    fn no_entry_of_several_lines_is_cut() {
        let entry = "2026/05/02 12:00:00 [error] 7#7: *1 FastCGI sent in stderr: \"PHP message: one\n\
                     2026/05/02 12:00:00 [error] copied by the application\n\
                     three\" while reading response header from upstream, client: 10.0.0.1, server: a, \
                     request: \"GET / HTTP/1.1\", upstream: \"fastcgi://unix:/run/php.sock:\", host: \"a\"\n";
        let log = entry.repeat(100);
        for end in (9000..log.len()).step_by(97) {
            let cut = error_log().last_cut(&log.as_bytes()[..end]).unwrap();
            assert_eq!(cut % entry.len(), 0, "{end}");
            assert!(cut > 0 && end - cut < 2 * entries::LONGEST_BYTES);
        }
    }
}
