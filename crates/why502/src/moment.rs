//! Times and durations as people type them: `15m`, `2h30m`, `14:30`, `2026-05-02 14:30`, RFC 3339.

use std::str::FromStr;

use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};

/// A moment as it was typed. What it means depends on the time of day and on the zone of whoever asks.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// That long ago.
    Ago(Span),
    /// What the clock showed last, today or yesterday.
    Clock(Time),
    /// A day and a time without a zone.
    Local(DateTime),
    /// A point in time.
    Exact(Timestamp),
}

/// Where a window begins that may have no beginning.
#[derive(Debug, Clone, Copy)]
pub enum Since {
    /// With the first line.
    All,
    /// At that moment.
    At(Moment),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Since, String> {
        if text.trim() == "all" { Ok(Since::All) } else { text.parse().map(Since::At) }
    }
}

/// A moment in the zone of this host, for clap.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    text.parse::<Moment>()?.resolve(&Zoned::now())
}

/// A zone by its name or its offset, for clap.
pub fn zone(text: &str) -> Result<TimeZone, String> {
    DateTimeParser::new()
        .parse_time_zone(text)
        .map_err(|_| "expected a zone that this host knows, such as Europe/Berlin, or +02:00".to_owned())
}

/// How long the collection may take, for clap.
pub fn timeout(text: &str) -> Result<SignedDuration, String> {
    match text.parse::<SignedDuration>() {
        Ok(it) if it >= SignedDuration::from_millis(100) && it <= SignedDuration::from_mins(5) => Ok(it),
        Ok(_) => Err("it must lie between 100ms and 5m".to_owned()),
        Err(_) => Err("expected a duration, such as 3s or 500ms".to_owned()),
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        let text = text.trim();
        // First of all, since a duration may be written as 14:30:05 as well.
        if let Ok(at) = clock_time(text) {
            return Ok(Moment::Clock(at));
        }
        if let Ok(span) = text.parse::<Span>() {
            return match span.is_negative() || span.is_zero() {
                true => Err("it must be longer than nothing".to_owned()),
                false => Ok(Moment::Ago(span)),
            };
        }
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Moment::Exact(at));
        }
        // A date alone reads as its midnight, and a date with a time may lack its seconds.
        if let Ok(at) = text.parse::<DateTime>() {
            return Ok(Moment::Local(at));
        }
        Err("expected a duration such as 15m or 2h30m, a time such as 14:30, or RFC 3339".to_owned())
    }
}

impl Moment {
    /// The point in time that is meant by somebody whose clock shows `now`.
    pub fn resolve(self, now: &Zoned) -> Result<Timestamp, String> {
        let local = |at: DateTime| now.time_zone().to_timestamp(at).map_err(|error| error.to_string());
        match self {
            Moment::Exact(at) => Ok(at),
            Moment::Local(at) => local(at),
            Moment::Ago(span) => {
                let at = now.checked_sub(span).map(|it| it.timestamp());
                at.map_err(|_| "that is before the calendar begins".to_owned())
            }
            // What the clock has not shown today, it showed yesterday.
            Moment::Clock(at) if at <= now.time() => local(now.date().to_datetime(at)),
            Moment::Clock(at) => local(now.date().saturating_sub(Span::new().days(1)).to_datetime(at)),
        }
    }
}

fn clock_time(text: &str) -> Result<Time, jiff::Error> {
    Time::strptime("%H:%M:%S", text).or_else(|_| Time::strptime("%H:%M", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(text: &str, expected: &str) {
        let now: Zoned = "2026-05-02T15:03:10+02:00[Europe/Berlin]".parse().expect("a constant");
        match text.parse::<Moment>().and_then(|it| it.resolve(&now)) {
            Ok(at) => assert_eq!(at.to_string(), expected, "{text}"),
            Err(error) => assert_eq!(error, expected, "{text}"),
        }
    }

    #[test]
    fn durations_count_back_from_now() {
        reads("15m", "2026-05-02T12:48:10Z");
        reads("2h30m", "2026-05-02T10:33:10Z");
        reads("90s", "2026-05-02T13:01:40Z");
        reads("1d", "2026-05-01T13:03:10Z");
    }

    #[test]
    fn times_without_a_zone_are_local() {
        reads("14:30", "2026-05-02T12:30:00Z");
        reads("14:30:05", "2026-05-02T12:30:05Z");
        reads("2026-05-01 14:30", "2026-05-01T12:30:00Z");
        reads("2026-05-01T14:30:00", "2026-05-01T12:30:00Z");
    }

    #[test]
    fn a_time_that_is_still_to_come_was_yesterday() {
        reads("23:50", "2026-05-01T21:50:00Z");
    }

    #[test]
    fn rfc_3339_is_taken_as_it_is() {
        reads("2026-05-02T14:30:00+05:30", "2026-05-02T09:00:00Z");
    }

    #[test]
    fn nonsense_is_refused_with_examples() {
        reads("soon", "expected a duration such as 15m or 2h30m, a time such as 14:30, or RFC 3339");
        reads("25:00", "expected a duration such as 15m or 2h30m, a time such as 14:30, or RFC 3339");
        reads("-5m", "it must be longer than nothing");
    }
}
