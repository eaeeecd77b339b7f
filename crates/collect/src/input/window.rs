//! Where in a plain file the span of time lies that is asked for, found by halving, whatever the size of the file.
//!
//! A log is in the order of time only more or less. Workers of nginx write side by side, and with `buffer=` each holds lines back
//! until its buffer is full; a host's clock or zone is changed; files are put together. So a number of probes all over the
//! file tell first how far times go back, and the span is looked for with so much on each side: a probe before which everything
//! is too early even then is a safe beginning. Holes, lines without a time and garbage are passed over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use jiff::{SignedDuration, Timestamp};
use rustix::fs::SeekFrom;

use super::clock::Clock;
use super::parts::read_at;

/// What one probe reads at first.
const PROBE_BYTES: usize = 16 << 10;
/// How far it goes for a line with a time.
const MOST_PROBE_BYTES: usize = 4 << 20;
/// Lines of a probe whose times are read.
const PROBE_LINES: usize = 8;
/// Probes by which the order is judged.
const FIRST_PROBES: u64 = 16;
/// The span is not narrowed further than this.
const PRECISE_BYTES: u64 = 64 << 10;
/// What is read on each side as well: the buffers of some workers, which on a quiet host hold lines for longer than any probe
/// can see.
const BUFFERS_BYTES: u64 = 1 << 20;
/// Lines of one second are in any order, and a worker's clock may be late.
const ALWAYS: SignedDuration = SignedDuration::from_secs(5);

/// What stands at one place.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Where the first line with a time begins.
    begins_at: u64,
    earliest: Timestamp,
    latest: Timestamp,
}

/// Narrows the part `from..to` of a file down to the span of time. Both ends are where lines begin or end.
pub fn narrow(file: &File, from: u64, to: u64, clock: Clock<'_>) -> io::Result<(u64, u64)> {
    let mut search = Search { file, from, to, clock, seen: BTreeMap::new() };
    for number in 0..FIRST_PROBES {
        search.probe(from + (to - from) / FIRST_PROBES * number)?;
    }
    let mut span = (from, to);
    loop {
        let disorder = search.disorder();
        let slack = disorder + ALWAYS + clock.shift();
        if let Some(since) = clock.span.since.and_then(|it| it.checked_sub(slack).ok()) {
            span.0 = search.last_before(since)?;
        }
        if let Some(until) = clock.span.until.and_then(|it| it.checked_add(slack).ok()) {
            span.1 = search.first_behind(until)?;
        }
        // The probes on the way have shown that it is worse.
        if search.disorder() <= disorder {
            break;
        }
    }
    let start = match span.0.saturating_sub(BUFFERS_BYTES) {
        early if early <= from => from,
        early => search.probe(early)?.map_or(from, |it| it.begins_at.min(span.0)),
    };
    let end = match span.1.saturating_add(BUFFERS_BYTES) {
        late if late >= to => to,
        late => search.probe(late)?.map_or(to, |it| it.begins_at),
    };
    Ok((start, end.max(start)))
}

struct Search<'a> {
    file: &'a File,
    from: u64,
    to: u64,
    clock: Clock<'a>,
    /// By the place that was asked for.
    seen: BTreeMap<u64, Option<Seen>>,
}

impl Search<'_> {
    /// How far times go back.
    fn disorder(&self) -> SignedDuration {
        let (mut most, mut latest) = (SignedDuration::ZERO, Timestamp::MIN);
        for seen in self.seen.values().flatten() {
            most = most.max(seen.earliest.duration_until(latest.max(seen.latest)));
            latest = latest.max(seen.latest);
        }
        most
    }

    /// A place before which every line is earlier than that, as near to it as can be told.
    fn last_before(&mut self, time: Timestamp) -> io::Result<u64> {
        let is_before = |it: &Seen| it.latest < time;
        let probes = || self.seen.iter().filter_map(|(at, seen)| Some((*at, seen.as_ref()?)));
        let mut low =
            probes().filter(|it| is_before(it.1)).map(|it| it.1.begins_at).next_back().unwrap_or(self.from);
        let mut high = probes().find(|it| it.0 > low && !is_before(it.1)).map_or(self.to, |it| it.0);
        while high.saturating_sub(low) > PRECISE_BYTES {
            let middle = low + (high - low) / 2;
            match self.probe(middle)? {
                Some(seen) if is_before(&seen) => low = seen.begins_at,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// A place behind which every line is later than that.
    fn first_behind(&mut self, time: Timestamp) -> io::Result<u64> {
        let is_behind = |it: &Seen| it.earliest > time;
        let probes = || self.seen.iter().filter_map(|(at, seen)| Some((*at, seen.as_ref()?)));
        let mut high = probes().find(|it| is_behind(it.1)).map_or(self.to, |it| it.1.begins_at);
        let mut low = probes().rfind(|it| it.0 < high && !is_behind(it.1)).map_or(self.from, |it| it.0);
        while high.saturating_sub(low) > PRECISE_BYTES {
            let middle = low + (high - low) / 2;
            match self.probe(middle)? {
                // What stands there begins behind `high` where lines are long or a hole lies between.
                Some(seen) if is_behind(&seen) => {
                    let nearer = seen.begins_at < high;
                    high = seen.begins_at.min(high);
                    if !nearer {
                        break;
                    }
                }
                _ => low = middle,
            }
        }
        Ok(high)
    }

    /// The first lines with a time behind a place.
    fn probe(&mut self, at: u64) -> io::Result<Option<Seen>> {
        if let Some(seen) = self.seen.get(&at) {
            return Ok(*seen);
        }
        let seen = self.look(at)?;
        self.seen.insert(at, seen);
        Ok(seen)
    }

    fn look(&self, at: u64) -> io::Result<Option<Seen>> {
        let mut length = PROBE_BYTES;
        // One byte earlier, so that a line which begins exactly there is seen to begin.
        let mut start = if at > self.from { at - 1 } else { at };
        loop {
            let most = usize::try_from(self.to - start).unwrap_or(length).min(length);
            let mut bytes = vec![0; most];
            let read = read_at(self.file, &mut bytes, start)?;
            bytes.truncate(read);
            if let Some(seen) = self.times(start, &bytes) {
                return Ok(Some(seen));
            }
            if read < length || length >= MOST_PROBE_BYTES {
                return Ok(None);
            }
            match data_from(self.file, start).filter(|_| bytes.iter().all(|it| *it == 0)) {
                // A hole, which may be as large as the file.
                Some(data) if data >= self.to => return Ok(None),
                Some(data) if data > start => start = data,
                _ => length *= 8,
            }
        }
    }

    fn times(&self, start: u64, bytes: &[u8]) -> Option<Seen> {
        let mut at = if start > self.from { memchr::memchr(b'\n', bytes)? + 1 } else { 0 };
        let mut seen: Option<Seen> = None;
        let mut lines = 0;
        while lines < PROBE_LINES && at < bytes.len() {
            let end = memchr::memchr(b'\n', &bytes[at..]).map(|it| at + it);
            // The last one is whole only at the end of the file.
            if end.is_none() && start + (bytes.len() as u64) < self.to {
                break;
            }
            let line = &bytes[at..end.unwrap_or(bytes.len())];
            if let Some(time) = self.clock.time_of(line) {
                lines += 1;
                let first = Seen { begins_at: start + at as u64, earliest: time, latest: time };
                let seen = seen.get_or_insert(first);
                seen.earliest = seen.earliest.min(time);
                seen.latest = seen.latest.max(time);
            }
            at = end.map_or(bytes.len(), |it| it + 1);
        }
        seen
    }
}

/// Where the next bytes lie that are no hole; behind the end where there are none. `None`: the filesystem cannot tell.
pub fn data_from(file: &File, offset: u64) -> Option<u64> {
    match rustix::fs::seek(file, SeekFrom::Data(offset)) {
        Ok(data) => Some(data),
        Err(rustix::io::Errno::NXIO) => Some(u64::MAX),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use jiff::tz::TimeZone;
    use nginx_logs::{Carrier, Kind, Shape};

    use super::super::clock::Span;
    use super::*;
    use crate::testing::Folder;

    fn time(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_777_716_000 + seconds).unwrap()
    }

    fn line(seconds: i64) -> String {
        let time = time(seconds).to_zoned(TimeZone::UTC).strftime("%Y/%m/%d %H:%M:%S").to_string();
        format!("{time} [error] 7#7: *1 something {seconds} {}\n", "x".repeat(400))
    }

    /// The lines that have to be found are, and little besides.
    #[track_caller]
    fn finds(text: &[u8], since: i64, until: i64, most_bytes: u64) {
        let folder = Folder::new().file("log", text);
        let file = File::open(folder.path().join("log")).unwrap();
        let span = Span {
            since: Some(time(since)),
            until: Some(time(until)),
            zone: TimeZone::UTC,
            now: time(1 << 20),
        };
        let shape = Shape { carrier: Carrier::None, kinds: vec![Kind::Error] };
        let clock = Clock { shape: &shape, span: &span };
        let (start, end) = narrow(&file, 0, text.len() as u64, clock).unwrap();
        let (start, end) = (start as usize, end as usize);
        let outside = [&text[..start], &text[end..]].concat();
        let lost = outside
            .split(|it| *it == b'\n')
            .filter_map(|it| clock.time_of(it))
            .filter(|it| (time(since)..=time(until)).contains(it))
            .count();
        assert_eq!(lost, 0, "{start}..{end} of {}", text.len());
        assert!((end - start) as u64 <= most_bytes + 2 * BUFFERS_BYTES + 4 * PRECISE_BYTES, "{start}..{end}");
        assert!(start == 0 || text[start - 1] == b'\n');
        assert!(end == text.len() || text[end - 1] == b'\n');
    }

    /// 12 MB.
    fn seconds() -> std::ops::Range<i64> {
        0..25_000
    }

    #[test]
    fn a_span_of_an_ordered_log_is_found() {
        let text: String = seconds().map(line).collect();
        for (since, until) in [(12_000, 12_500), (0, 10), (24_990, 30_000), (-50, -1), (30_000, 40_000)] {
            finds(text.as_bytes(), since, until, 700 * 480);
        }
    }

    #[test]
    fn lines_that_a_worker_held_back_are_not_lost() {
        // Every other line is written five minutes late, in bursts.
        let mut text = String::new();
        for second in seconds() {
            text += &line(second);
            if second % 300 == 299 {
                (second - 299..second).step_by(2).for_each(|it| text += &line(it));
            }
        }
        for since in [6_000, 12_010, 12_299, 15_050] {
            finds(text.as_bytes(), since, since + 400, 2_000_000);
        }
    }

    #[test]
    fn garbage_and_holes_are_passed_over() {
        let half: String = (0..9_000).map(line).collect();
        let rest: String = (9_000..20_000).map(line).collect();
        let garbage = "Traceback (most recent call last):\n".repeat(40_000);
        let text = [half.as_bytes(), &vec![0; 3 << 20], garbage.as_bytes(), rest.as_bytes()].concat();
        for since in [4_000, 8_990, 9_500, 15_000] {
            finds(&text, since, since + 300, 8 << 20);
        }
    }

    #[test]
    fn logs_that_were_put_together_in_the_wrong_order_are_read_whole() {
        let [early, late]: [String; 2] = [0..12_000, 12_000..24_000].map(|it| it.map(line).collect());
        finds(format!("{late}{early}").as_bytes(), 6_000, 6_100, 24 << 20);
        finds(format!("{late}{early}").as_bytes(), 18_000, 18_100, 24 << 20);
    }

    #[test]
    fn an_hour_that_comes_twice_is_found_twice() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |seconds: i64| Timestamp::from_second(1_792_882_800 + seconds).unwrap();
        let text: String = (0..5 * 3600)
            .map(|it| {
                let local = at(it).to_zoned(zone.clone()).strftime("%Y/%m/%d %H:%M:%S").to_string();
                format!("{local} [error] 7#7: *1 something {}\n", "x".repeat(700))
            })
            .collect();
        let folder = Folder::new().file("log", &text);
        let file = File::open(folder.path().join("log")).unwrap();
        let since: Timestamp = "2026-10-25T00:30:00Z".parse().unwrap();
        let span = Span { since: Some(since), until: Some(since), zone, now: since };
        let shape = Shape { carrier: Carrier::None, kinds: vec![Kind::Error] };
        let (start, end) = narrow(&file, 0, text.len() as u64, Clock { shape: &shape, span: &span }).unwrap();
        let found = &text[start as usize..end as usize];
        assert_eq!(found.matches("2026/10/25 02:30:00").count(), text.matches("2026/10/25 02:30:00").count());
        assert_eq!(text.matches("2026/10/25 02:30:00").count(), 2);
    }

    #[test]
    fn a_huge_hole_costs_nothing() {
        let folder = Folder::new().file("log", line(0));
        let path = folder.path().join("log");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        let after = 200 << 30;
        file.set_len(after).unwrap();
        file.write_all(line(100).as_bytes()).unwrap();
        let length = file.metadata().unwrap().len();
        let span = Span { since: Some(time(100)), until: None, zone: TimeZone::UTC, now: time(100) };
        let shape = Shape { carrier: Carrier::None, kinds: vec![Kind::Error] };
        let file = File::open(&path).unwrap();
        let (start, end) = narrow(&file, 0, length, Clock { shape: &shape, span: &span }).unwrap();
        assert!(start <= after && end == length);
        let mut first = [0; 4];
        file.read_exact_at(&mut first, after).unwrap();
        assert_eq!(&first, b"2026");
    }
}
