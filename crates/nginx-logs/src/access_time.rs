//! The times of an access log: `$time_local`, `$time_iso8601`, `$msec`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::bytes::{number, split_byte};

/// English, whatever the locale. Source: ngx_time_update().
pub(crate) const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

pub(crate) fn month(name: &[u8]) -> Option<i8> {
    let index = MONTHS.iter().position(|it| *it == name)?;
    i8::try_from(index + 1).ok()
}

/// `20/Nov/2026:15:00:00 +0100`.
pub fn time_local(text: &[u8]) -> Option<Timestamp> {
    let text: &[u8; 26] = text.try_into().ok()?;
    if [text[2], text[6], text[11], text[14], text[17], text[20]] != *b"//::: " {
        return None;
    }
    let two = |at: usize| {
        let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
        (tens <= 9 && ones <= 9).then(|| i64::from(tens) * 10 + i64::from(ones))
    };
    let (day, year) = (two(0)?, two(7)? * 100 + two(9)?);
    let month = i64::from(month(&text[3..6])?);
    let (hour, minute, second) = (two(12)?, two(15)?, two(18)?);
    if !(1..=days_of_month(year, month)).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let offset = (two(22)? * 60 + two(24)?) * 60;
    let offset = match text[21] {
        // No zone is a day and two hours away.
        _ if offset > Offset::MAX.seconds().into() => return None,
        b'+' => offset,
        b'-' => -offset,
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Timestamp::from_second(seconds).ok()
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// By years that begin in March, so that the leap day is a year's last; years are not negative.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (months * 153 + 2) / 5 + day - 1 - 719_468
}

/// `2026-11-20T15:00:00+01:00`, also with fractions and `Z`, as carriers write it.
pub fn time_iso8601(text: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `1795183200.123`.
pub fn msec(text: &[u8]) -> Option<Timestamp> {
    let (seconds, milliseconds) = split_byte(text, b'.').unwrap_or((text, b"0"));
    let milliseconds: i64 = number(milliseconds).filter(|_| milliseconds.len() <= 3)?;
    let seconds: i64 = number(seconds)?;
    Timestamp::from_millisecond(seconds.checked_mul(1000)?.checked_add(milliseconds)?).ok()
}

pub(crate) fn civil(year: &[u8], month: i8, day: &[u8], clock: &[u8]) -> Option<DateTime> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let two = |tens: &u8, ones: &u8| number::<i8>(&[*tens, *ones]);
    DateTime::new(number(year)?, month, number(day)?, two(h1, h2)?, two(m1, m2)?, two(s1, s2)?, 0).ok()
}

/// `+0100`.
fn zone(text: &[u8]) -> Option<Offset> {
    let [sign @ (b'+' | b'-'), hours @ .., _, _] = text else { return None };
    let minutes: i32 = number(&text[text.len() - 2..])?;
    let seconds = (number::<i32>(hours)? * 60 + minutes) * 60;
    Offset::from_seconds(if *sign == b'-' { -seconds } else { seconds }).ok()
}

pub(crate) fn timestamp(date: DateTime, zone: Offset) -> Option<Timestamp> {
    zone.to_timestamp(date).ok()
}

/// A time at the beginning of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub at: Timestamp,
    /// How many bytes it takes.
    pub length: usize,
    /// How many digits stand behind the point of its seconds.
    pub fraction_digits: usize,
}

/// A time with its zone at the beginning of a text, as carriers write it: `2026-11-20T15:00:00.5Z`, also with more digits,
/// `+01:00` or `+0100`.
pub(crate) fn stamp(text: &[u8]) -> Option<Stamp> {
    let (date, rest) = text.split_at_checked(19)?;
    if (date[4], date[7], date[10], date[13], date[16]) != (b'-', b'-', b'T', b':', b':') {
        return None;
    }
    let two = |at: usize| {
        let (tens, ones) = (date[at].wrapping_sub(b'0'), date[at + 1].wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then(|| (tens * 10 + ones) as i8)
    };
    let year = i16::from(two(0)?) * 100 + i16::from(two(2)?);
    let fraction = rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")).unwrap_or_default();
    let fraction_digits = fraction.iter().take_while(|it| it.is_ascii_digit()).count();
    let nanoseconds = (0..9).fold(0, |sum, at| {
        sum * 10 + fraction[..fraction_digits].get(at).map_or(0, |it| i32::from(it - b'0'))
    });
    let zone_at = if fraction_digits > 0 { fraction_digits + 1 } else { 0 };
    let (offset, zone_length) = match &rest[zone_at..] {
        [b'Z', ..] => (Offset::UTC, 1),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, ..] => (zone(&[*sign, *h1, *h2, *m1, *m2])?, 6),
        [sign @ (b'+' | b'-'), h1, h2, m1, m2, ..] => (zone(&[*sign, *h1, *h2, *m1, *m2])?, 5),
        _ => return None,
    };
    // A leap second is counted to the second before, as jiff does.
    let time =
        DateTime::new(year, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?.min(59), nanoseconds).ok()?;
    Some(Stamp { at: timestamp(time, offset)?, length: 19 + zone_at + zone_length, fraction_digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_the_calendar_has_its_place() {
        let mut at = DateTime::constant(0, 1, 1, 23, 59, 58, 0);
        while at.year() < 9999 {
            let text = format!("{}:{} -0330", at.strftime("%d/%b/%Y"), at.strftime("%H:%M:%S"));
            let expected = timestamp(at, zone(b"-0330").unwrap());
            assert_eq!(time_local(text.as_bytes()), expected, "{text}");
            // Each day of some centuries, and some of each year.
            let step = if (1896..2105).contains(&at.year()) { 1 } else { 59 };
            at = at.checked_add(jiff::Span::new().days(step)).unwrap();
        }
    }

    #[test]
    fn what_no_calendar_has_is_no_time() {
        for text in [
            "31/Apr/2026:15:00:00 +0100",
            "29/Feb/2026:15:00:00 +0100",
            "00/Apr/2026:15:00:00 +0100",
            "01/Apx/2026:15:00:00 +0100",
            "01/Apr/2026:24:00:00 +0100",
            "01/Apr/2026:15:60:00 +0100",
            "01/Apr/2026:15:00:60 +0100",
            "01/Apr/2026:15:00:00 +2600",
            "01/Apr/2026:15:00:00 *0100",
            "01/Apr/2026:15:00:00 +01:0",
        ] {
            assert_eq!(time_local(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn no_byte_in_the_place_of_a_digit_matters() {
        let time = b"2026-11-20T15:00:00.5+01:00 ";
        assert_eq!(stamp(time).unwrap().length, 27);
        for at in 0..time.len() {
            for byte in 0..=255 {
                let mut text = *time;
                text[at] = byte;
                let _ = stamp(&text);
            }
        }
    }
}
