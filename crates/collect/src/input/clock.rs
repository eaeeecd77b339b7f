//! The time of a line, as far as finding a span of time needs it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nginx_logs::{Carrier, Kind, Shape};

/// The span that is asked for; a side without an end is open.
#[derive(Debug, Clone)]
pub struct Span {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// The zone of logs that name none.
    pub zone: TimeZone,
    pub now: Timestamp,
}

/// Reads the times of one log's lines.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    pub shape: &'a Shape,
    pub span: &'a Span,
}

/// How late a line may be in a log that nothing is known of: `buffer=… flush=5m` of an access log holds lines back that long.
const LATE: SignedDuration = SignedDuration::from_mins(10);

impl Clock<'_> {
    /// The time of a line, if it has one: that of its carrier where there is one, which knows its zone.
    pub fn time_of(&self, line: &[u8]) -> Option<Timestamp> {
        let Span { zone, now, .. } = self.span;
        if self.shape.carrier == Carrier::None {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            return self.shape.kinds.iter().find_map(|it| it.time_of(line, zone, *now));
        }
        let (carried, kind) = self.shape.open(line);
        carried.taken_at(zone, *now).or_else(|| kind?.time_of(&carried.text, zone, *now))
    }

    /// The earliest and the latest time at the two ends of some whole lines.
    pub fn range_of(&self, lines: &[u8]) -> Option<(Timestamp, Timestamp)> {
        // Long texts without a time are not read for one.
        let first = lines.split(|it| *it == b'\n').take(100).find_map(|it| self.time_of(it));
        let last = lines.rsplit(|it| *it == b'\n').take(100).find_map(|it| self.time_of(it));
        [first, last].into_iter().flatten().fold(None, |range: Option<(Timestamp, Timestamp)>, it| {
            Some(range.map_or((it, it), |(from, to)| (from.min(it), to.max(it))))
        })
    }

    /// Whether the lines tell their zone, so that their times are what they are.
    pub fn names_zone(&self) -> bool {
        !self.shape.kinds.is_empty() && self.shape.kinds.iter().all(|it| matches!(it, Kind::Access(_)))
    }

    /// By how much the times of lines without a zone can be wrong around a moment at which clocks are changed.
    pub fn shift(&self) -> SignedDuration {
        if self.names_zone() {
            return SignedDuration::ZERO;
        }
        let day = SignedDuration::from_hours(24);
        let offset = |at: Timestamp| i64::from(self.span.zone.to_offset(at).seconds());
        let shifts = [self.span.since, self.span.until].into_iter().flatten().map(|at| {
            let (before, after) =
                (at.saturating_sub(day).unwrap_or(at), at.saturating_add(day).unwrap_or(at));
            (offset(before) - offset(after)).abs()
        });
        SignedDuration::from_secs(shifts.max().unwrap_or(0))
    }

    /// Whether lines at these times, and all before them, are too early whatever comes late.
    pub fn is_before(&self, latest: Timestamp) -> bool {
        self.span.since.is_some_and(|since| latest.duration_until(since) > LATE + self.shift())
    }

    /// Whether these lines, and all behind them, are too late.
    pub fn is_behind(&self, earliest: Timestamp) -> bool {
        self.span.until.is_some_and(|until| until.duration_until(earliest) > LATE + self.shift())
    }
}
