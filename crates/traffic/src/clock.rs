//! Times of lines, in microseconds since 1970. Lines of one minute follow each other, so only the first one is read whole.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nginx_logs::{access_time, error};

/// The minute of the last line: its time in words, the seconds taken out, and when it began.
#[derive(Debug, Default)]
struct Minute {
    words: [u64; 4],
    begins_at: i64,
}

/// One for each form of a time.
#[derive(Debug, Default)]
pub struct Clock {
    local: Minute,
    iso: Minute,
    error: Minute,
}

/// How an access log writes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Milliseconds,
    Iso,
    Local,
}

pub fn micros_of(time: Timestamp) -> i64 {
    time.as_microsecond()
}

pub fn time_of(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

impl Clock {
    /// The time of a line of an access log.
    #[inline(always)]
    pub fn access(&mut self, form: Form, text: &[u8]) -> Option<i64> {
        match form {
            // `02/May/2026:12:00:00 +0000`
            Form::Local => {
                let text: &[u8; 26] = text.try_into().ok()?;
                self.local.at::<26, 18>(text, access_time::time_local)
            }
            // `2026-05-02T12:00:00+00:00`, or with a fraction.
            Form::Iso => match text.try_into() {
                Ok(text) => self.iso.at::<25, 17>(text, access_time::time_iso8601),
                Err(_) => access_time::time_iso8601(text).map(micros_of),
            },
            Form::Milliseconds => milliseconds(text),
        }
    }

    /// The time of an entry of an error log, which begins like one: `2026/05/02 12:00:00 [`.
    #[inline(always)]
    pub fn error(&mut self, entry: &[u8], zone: &TimeZone) -> Option<i64> {
        let text = entry.first_chunk::<21>()?;
        self.error
            .at::<21, 17>(text, |it| Some(error::time_of_line(it)?.to_zoned(zone.clone()).ok()?.timestamp()))
    }
}

impl Minute {
    /// `S` is where the seconds stand. No zone begins or ends daylight saving time within a minute.
    #[inline(always)]
    fn at<const N: usize, const S: usize>(
        &mut self,
        text: &[u8; N],
        read: impl Fn(&[u8]) -> Option<Timestamp>,
    ) -> Option<i64> {
        let (tens, ones) = (text[S].wrapping_sub(b'0'), text[S + 1].wrapping_sub(b'0'));
        if tens > 5 || ones > 9 {
            return read(text).map(micros_of);
        }
        let seconds = i64::from(tens * 10 + ones) * 1_000_000;
        // The last word overlaps the one before it.
        let words = [word::<S>(text, 0), word::<S>(text, 8), word::<S>(text, N - 16), word::<S>(text, N - 8)];
        let differs = words.iter().zip(&self.words).fold(0, |bits, (a, b)| bits | (a ^ b));
        if differs != 0 {
            self.begins_at = micros_of(read(text)?) - seconds;
            self.words = words;
        }
        Some(self.begins_at + seconds)
    }
}

/// Eight bytes without those of the seconds.
#[inline(always)]
fn word<const S: usize>(text: &[u8], at: usize) -> u64 {
    let word = text.get(at..).and_then(|it| it.first_chunk::<8>()).map_or(0, |it| u64::from_le_bytes(*it));
    let bits = |byte: usize| if (at..at + 8).contains(&byte) { 0xff << (8 * (byte - at)) } else { 0 };
    word & !(bits(S) | bits(S + 1))
}

/// `1777723200.123`, as nginx always writes it; what is written otherwise is read slowly.
#[inline(always)]
fn milliseconds(text: &[u8]) -> Option<i64> {
    let usual: Option<&[u8; 14]> = text.try_into().ok();
    let digits = usual.filter(|it| it[10] == b'.').and_then(|text| {
        let digits =
            text.iter().enumerate().filter(|(at, _)| *at != 10).map(|(_, byte)| byte.wrapping_sub(b'0'));
        let (value, highest) = digits
            .fold((0, 0), |(value, highest), digit| (value * 10 + i64::from(digit), digit.max(highest)));
        (highest <= 9).then_some(value * 1000)
    });
    digits.or_else(|| access_time::msec(text).map(micros_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_line_of_a_minute_is_read_like_the_first() {
        let mut clock = Clock::default();
        for (form, texts) in [
            (
                Form::Local,
                ["02/May/2026:12:00:59 +0200", "02/May/2026:12:00:07 +0200", "02/May/2026:12:00:07 -0130"],
            ),
            (Form::Iso, ["2026-05-02T12:00:59+02:00", "2026-05-02T12:00:07+02:00", "2026-05-02T12:00:07.5Z"]),
            (Form::Milliseconds, ["1777723200.123", "1777723200", "1777723200.5"]),
        ] {
            for text in texts {
                let text = text.as_bytes();
                let read = match form {
                    Form::Local => access_time::time_local(text),
                    Form::Iso => access_time::time_iso8601(text),
                    Form::Milliseconds => access_time::msec(text),
                };
                assert_eq!(clock.access(form, text), Some(micros_of(read.unwrap())));
            }
        }
    }

    #[test]
    fn what_is_no_time_has_none() {
        let mut clock = Clock::default();
        assert!(clock.access(Form::Local, b"02/May/2026:12:00:00 +0000").is_some());
        for text in
            ["02/May/2026:12:00:60 +0000", "02/May/2026:12:00:0x +0000", "-", "31/Feb/2026:12:00:00 +0000"]
        {
            assert_eq!(clock.access(Form::Local, text.as_bytes()), None, "{text}");
        }
        assert_eq!(clock.access(Form::Milliseconds, b"1777723200x123"), None);
    }
}
