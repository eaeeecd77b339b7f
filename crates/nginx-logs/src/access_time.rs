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
    if text.len() != 26
        || (text[2], text[6], text[11], text[14], text[17], text[20]) != (b'/', b'/', b':', b':', b':', b' ')
    {
        return None;
    }
    let date = civil(&text[7..11], month(&text[3..6])?, &text[..2], &text[12..20])?;
    timestamp(date, zone(&text[21..])?)
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
