//! The time at the beginning of a line, in the ways that application servers write it. What a line says is not looked at.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::json::{Value, members};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Times stand within the first bytes of a line.
const HEAD_BYTES: usize = 160;

/// Reads the time of a line; without a zone it is in `zone`, without a year it is the latest that is not after `now`.
///
/// `2026-05-02T12:00:00.5+02:00` `2026-05-02 12:00:00,123` `2026/05/02 12:00:00` (most servers; gunicorn with a zone),
/// `02-May-2026 12:00:00` (PHP-FPM, Tomcat), `02/May/2026:12:00:00 +0200` (access logs), `02/May/2026:12:00:00.123`
/// (HAProxy), `Sat May  2 12:00:00 2026` (uWSGI), `May  2 12:00:00` (syslog), `May 02, 2026 12:00:00 PM` (java.util.logging),
/// `I0502 12:00:00.123456` (Kubernetes), each also behind `[`, `***`, a level or a name; `audit(1795183200.123:4)`, `ts=` in
/// seconds, and JSON objects with a member such as `time`.
pub fn time_of(line: &[u8], zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    if line.first() == Some(&b'{') {
        return of_members(line, zone);
    }
    let head = &line[..line.len().min(HEAD_BYTES)];
    let head = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
    };
    let text = head.trim_start_matches(['[', '*', ' ']);
    numeric(text, zone)
        .or_else(|| named(text, zone))
        .or_else(|| spoken(text, zone, now))
        .or_else(|| of_java(text, zone))
        .or_else(|| of_kubernetes(text, zone, now))
        .or_else(|| epoch_behind(text, "audit("))
        .or_else(|| epoch_behind(text, "ts="))
        .or_else(|| further_on(text, zone))
}

/// A date that stands behind a level, a name or an address.
fn further_on(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let begins = |at: &usize| bytes[*at].is_ascii_digit() && !bytes[at - 1].is_ascii_alphanumeric();
    let found = (1..bytes.len()).filter(begins).find_map(|at| {
        let text = text.get(at..)?;
        numeric(text, zone).or_else(|| named(text, zone))
    });
    // uWSGI's requests: `… [Fri Nov 20 15:00:00 2026] GET / …`.
    found.or_else(|| {
        let inner =
            |at: usize| text.get(at + 1..at + 25).filter(|it| it.as_bytes().get(19..22) == Some(b" 20"));
        let inner = text.match_indices('[').find_map(|(at, _)| inner(at))?;
        spoken(inner, zone, Timestamp::UNIX_EPOCH)
    })
}

/// `May 02, 2026 12:00:00 PM`: java.util.logging in an English locale.
fn of_java(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (month, rest) = text.split_once(' ')?;
    let month = month_number(month)?;
    let (day, rest) = rest.split_once(", ")?;
    let (year, rest) = rest.split_once(' ')?;
    let (time, half) = rest.split_once(' ')?;
    let time = if time.len() == 7 { format!("0{time}") } else { time.to_owned() };
    let (time, _) = clock(&time)?;
    let hour = match half.get(..2)? {
        "AM" => time.hour() % 12,
        "PM" => time.hour() % 12 + 12,
        _ => return None,
    };
    let time = Time::new(hour, time.minute(), time.second(), 0).ok()?;
    at(Date::new(number(year)?, month, number(day)?).ok()?.to_datetime(time), "", zone)
}

/// `I0502 12:00:00.123456`: a level, month and day.
fn of_kubernetes(text: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let date = text.strip_prefix(['I', 'W', 'E', 'F'])?;
    let (month, day) = (number(date.get(..2)?)?, number(date.get(2..4)?)?);
    let (time, _) = clock(date.get(4..)?.strip_prefix(' ')?)?;
    without_year(month, day, time, zone, now)
}

/// `audit(1795183200.123:4)`.
fn epoch_behind(text: &str, before: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once(before)?;
    let end = rest.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(rest.len());
    epoch(&rest.as_bytes()[..end])
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970: of plausible years each has a length of its own.
fn epoch(text: &[u8]) -> Option<Timestamp> {
    let (whole, fraction) = crate::bytes::split_byte(text, b'.').unwrap_or((text, b""));
    let nanoseconds = match whole.len() {
        10 => 1_000_000_000,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return None,
    };
    let whole: i128 = i128::from(crate::bytes::number::<i64>(whole)?) * nanoseconds;
    let milliseconds: Option<i128> = fraction.get(..3).and_then(crate::bytes::number);
    let fraction = milliseconds.filter(|_| nanoseconds == 1_000_000_000).unwrap_or(0) * 1_000_000;
    Timestamp::from_nanosecond(whole + fraction).ok()
}

/// Keys under which loggers write the time.
const KEYS: [&[u8]; 14] = [
    b"time",
    b"@timestamp",
    b"timestamp",
    b"ts",
    b"t",
    b"Timestamp",
    b"@t",
    b"asctime",
    b"datetime",
    b"date",
    b"time_local",
    b"time_iso8601",
    b"msec",
    b"eventTime",
];

fn of_members(line: &[u8], zone: &TimeZone) -> Option<Timestamp> {
    members(line)?.filter(|(key, _)| KEYS.contains(key)).find_map(|(_, value)| match value {
        Value::Text(raw) => {
            let text = std::str::from_utf8(raw).ok()?;
            numeric(text, zone).or_else(|| named(text, zone)).or_else(|| epoch(raw))
        }
        Value::Word(number) => epoch(number),
        Value::Nested(_) => None,
    })
}

/// Year, month, day.
fn numeric(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let date = text.get(..10)?;
    let separator = date.as_bytes()[4];
    if !matches!(separator, b'-' | b'/') || date.as_bytes()[7] != separator {
        return None;
    }
    let date = Date::new(number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?).ok()?;
    let (time, rest) = clock(text.get(10..)?.strip_prefix(['T', ' '])?)?;
    at(date.to_datetime(time), rest, zone)
}

/// Day, month's name, year.
fn named(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let separator = text.get(2..3).filter(|it| ["-", "/"].contains(it))?;
    let mut parts = text.splitn(3, separator);
    let (day, month, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let date = Date::new(number(rest.get(..4)?)?, month_number(month)?, number(day)?).ok()?;
    let (time, rest) = clock(rest.get(4..)?.strip_prefix([' ', ':'])?)?;
    at(date.to_datetime(time), rest, zone)
}

/// Perhaps the day's name, the month's, the day, the time, perhaps the year.
fn spoken(text: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let mut words = text.split_ascii_whitespace();
    let mut word = words.next()?;
    if ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&word) {
        word = words.next()?;
    }
    let month = month_number(word)?;
    let day = number(words.next()?)?;
    let (time, _) = clock(words.next()?)?;
    let year =
        words.next().map(|it| it.trim_end_matches([']', '*'])).filter(|it| it.len() == 4).and_then(number);
    let in_year = |year| at(Date::new(year, month, day).ok()?.to_datetime(time), "", zone);
    match year {
        Some(year) => in_year(year),
        None => without_year(month, day, time, zone, now),
    }
}

fn without_year(month: i8, day: i8, time: Time, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let in_year = |year| at(Date::new(year, month, day).ok()?.to_datetime(time), "", zone);
    let this_year = now.to_zoned(zone.clone()).year();
    let tomorrow = now.checked_add(SignedDuration::from_hours(24)).unwrap_or(now);
    in_year(this_year).filter(|it| *it <= tomorrow).or_else(|| in_year(this_year - 1))
}

/// `12:00:00`, with `.123456` or `,123` behind it; and what follows.
fn clock(text: &str) -> Option<(Time, &str)> {
    let bytes = text.as_bytes();
    if (*bytes.get(2)?, *bytes.get(5)?) != (b':', b':') {
        return None;
    }
    let (hour, minute, second) =
        (number(text.get(..2)?)?, number(text.get(3..5)?)?, number(text.get(6..8)?)?);
    let mut rest = text.get(8..)?;
    let mut nanosecond = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let digits = &fraction[..length.min(9)];
        nanosecond = number::<i32>(digits).unwrap_or(0) * 10i32.pow(9 - u32::try_from(digits.len()).ok()?);
        rest = &fraction[length..];
    }
    Some((Time::new(hour, minute, second, nanosecond).ok()?, rest))
}

/// The moment, by the zone that follows the time (`Z`, `+0200`, ` +02:00`) or the log's own.
fn at(time: DateTime, rest: &str, zone: &TimeZone) -> Option<Timestamp> {
    let rest = rest.trim_start();
    let offset = match rest.bytes().next() {
        Some(b'Z') => Some(Offset::UTC),
        Some(sign @ (b'+' | b'-')) => {
            let digits: String = rest[1..].chars().filter(|it| *it != ':').take(4).collect();
            let (hours, minutes): (i32, i32) = (number(digits.get(..2)?)?, number(digits.get(2..)?)?);
            let seconds = hours * 3600 + minutes * 60;
            Offset::from_seconds(if sign == b'-' { -seconds } else { seconds }).ok()
        }
        _ => None,
    };
    match offset {
        Some(offset) => offset.to_timestamp(time).ok(),
        None => Some(time.to_zoned(zone.clone()).ok()?.timestamp()),
    }
}

fn month_number(name: &str) -> Option<i8> {
    let index = MONTHS.iter().position(|it| *it == name)?;
    i8::try_from(index + 1).ok()
}

fn number<N: std::str::FromStr>(digits: &str) -> Option<N> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[(&str, &str)] = &[
        ("[02-May-2026 12:00:00] WARNING: [pool www] server reached", "2026-05-02T12:00:00Z"),
        ("[02-May-2026 12:00:00.250000] WARNING: x", "2026-05-02T12:00:00.25Z"),
        ("[2026-05-02 14:00:00 +0200] [7] [INFO] Booting worker", "2026-05-02T12:00:00Z"),
        ("2026-05-02T12:00:00.5Z x", "2026-05-02T12:00:00.5Z"),
        ("2026-05-02T14:00:00+02:00 host app: x", "2026-05-02T12:00:00Z"),
        ("2026-05-02 12:00:00,123 ERROR x", "2026-05-02T12:00:00.123Z"),
        ("2026/05/02 12:00:00 [error] 7#7: x", "2026-05-02T12:00:00Z"),
        ("*** Starting uWSGI", ""),
        ("Sat May  2 12:00:00 2026 - *** HARAKIRI", "2026-05-02T12:00:00Z"),
        ("[Sat May  2 12:00:00 2026] GET /", "2026-05-02T12:00:00Z"),
        ("May  2 12:00:00 host app[7]: x", "2026-05-02T12:00:00Z"),
        ("Dec 31 23:59:59 host app[7]: x", "2025-12-31T23:59:59Z"),
        ("02/May/2026:14:00:00 +0200 x", "2026-05-02T12:00:00Z"),
        ("2026-05-02T14:00:00+0200 host app: x", "2026-05-02T12:00:00Z"),
        ("02-May-2026 12:00:00.123 SEVERE [main] x", "2026-05-02T12:00:00.123Z"),
        ("May 02, 2026 12:00:00 PM org.apache.x y", "2026-05-02T12:00:00Z"),
        ("May 2, 2026 1:00:00 AM org.apache.x y", "2026-05-02T01:00:00Z"),
        ("I0502 12:00:00.123456       1 a.go:12] x", "2026-05-02T12:00:00.123456Z"),
        ("I, [2026-05-02T12:00:00.123456 #7]  INFO -- : x", "2026-05-02T12:00:00.123456Z"),
        ("INFO 2026-05-02 12:00:00,123 views x", "2026-05-02T12:00:00.123Z"),
        ("10.0.0.9:5123 [02/May/2026:12:00:00.123] fe be/s1 0/0/0/1/1 502", "2026-05-02T12:00:00.123Z"),
        ("type=AVC msg=audit(1777723200.123:456): avc:  denied", "2026-05-02T12:00:00.123Z"),
        ("level=error ts=1777723200.5 msg=x", "2026-05-02T12:00:00Z"),
        ("time=\"2026-05-02T12:00:00Z\" level=info msg=x", "2026-05-02T12:00:00Z"),
        (r#"{"level":30,"time":1777723200123,"pid":7,"msg":"x"}"#, "2026-05-02T12:00:00.123Z"),
        (r#"{"level":"info","ts":1777723200.123456,"msg":"x"}"#, "2026-05-02T12:00:00.123Z"),
        (r#"{"msg":"x","timestamp":"2026-05-02T12:00:00.5Z"}"#, "2026-05-02T12:00:00.5Z"),
        ("2026-13-02 12:00:00 x", ""),
        ("10.0.0.9 2026 x", ""),
        ("Traceback (most recent call last):", ""),
    ];

    fn read(line: &[u8]) -> Option<Timestamp> {
        time_of(line, &TimeZone::UTC, "2026-05-02T13:00:00Z".parse().unwrap())
    }

    #[test]
    fn every_way_of_writing_a_time_is_read() {
        for (line, expected) in LINES {
            assert_eq!(read(line.as_bytes()), expected.parse().ok(), "{line}");
        }
    }

    #[test]
    fn every_beginning_of_a_line_is_harmless() {
        for (line, _) in LINES {
            for end in 0..line.len() {
                let _ = read(&line.as_bytes()[..end]);
            }
        }
        let _ = read("2026-05-02 ä:00".as_bytes());
        let _ = read("ää-May-2026 12".as_bytes());
        let _ = read(b"\xff\xfe");
    }
}
