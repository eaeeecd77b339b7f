//! Times and durations as people type them: `15m`, `2h30m`, `14:30`, `2026-05-02 14:30`, RFC 3339.

use jiff::civil::{DateTime, Time};
use jiff::{SignedDuration, Span, Timestamp, Zoned};

/// A moment, for clap.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    moment(text, &Zoned::now())
}

/// How long the collection may take, for clap.
pub fn timeout(text: &str) -> Result<SignedDuration, String> {
    match text.parse::<SignedDuration>() {
        Ok(it) if it >= SignedDuration::from_millis(100) && it <= SignedDuration::from_mins(5) => Ok(it),
        Ok(_) => Err("it must lie between 100ms and 5m".to_owned()),
        Err(_) => Err("expected a duration, such as 3s or 500ms".to_owned()),
    }
}

fn moment(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    let text = text.trim();
    let zone = now.time_zone();
    // First of all, since a duration may be written as 14:30:05 as well.
    if let Ok(at) = clock_time(text) {
        // What the clock has not shown today, it showed yesterday.
        let day = if at <= now.time() { now.date() } else { now.date().saturating_sub(Span::new().days(1)) };
        return zone.to_timestamp(day.to_datetime(at)).map_err(|error| error.to_string());
    }
    if let Ok(span) = text.parse::<Span>() {
        return ago(span, now);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    // A date alone reads as its midnight, and a date with a time may lack its seconds.
    if let Ok(at) = text.parse::<DateTime>() {
        return zone.to_timestamp(at).map_err(|error| error.to_string());
    }
    Err("expected a duration such as 15m or 2h30m, a time such as 14:30, or RFC 3339".to_owned())
}

fn ago(span: Span, now: &Zoned) -> Result<Timestamp, String> {
    if span.is_negative() || span.is_zero() {
        return Err("it must be longer than nothing".to_owned());
    }
    now.checked_sub(span)
        .map(|it| it.timestamp())
        .map_err(|_| "that is before the calendar begins".to_owned())
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
        match moment(text, &now) {
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
