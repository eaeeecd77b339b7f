//! Times of logs as RFC 3339. Most lines have the time of the line before, so the last one is kept as it was written.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::access_time::{month, msec, time_iso8601, time_local};

/// A moment, and how it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub at: Timestamp,
    text: [u8; 40],
    length: u8,
}

impl Moment {
    fn new(at: Timestamp, text: &[u8]) -> Moment {
        let mut moment = Moment { at, text: [0; 40], length: 0 };
        let length = text.len().min(moment.text.len());
        moment.text[..length].copy_from_slice(&text[..length]);
        moment.length = length as u8;
        moment
    }

    pub fn text(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

/// How a time is written in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    Local,
    Iso8601,
    Msec,
}

#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    /// The last time as it stood in an access log.
    written: (Writing, [u8; 40], usize),
    last: Option<Moment>,
    civil: Option<(DateTime, Moment)>,
}

impl Clock {
    pub fn new(zone: TimeZone) -> Clock {
        Clock { zone, written: (Writing::Local, [0; 40], 0), last: None, civil: None }
    }

    /// A time of an access log; none where it is none.
    pub fn read(&mut self, writing: Writing, text: &[u8]) -> Option<Moment> {
        let (last_writing, last_text, length) = &self.written;
        if *last_writing == writing && last_text[..*length] == *text && *length > 0 {
            return self.last;
        }
        let moment = match writing {
            Writing::Local => local(text),
            Writing::Iso8601 => iso8601(text),
            Writing::Msec => msec(text).map(|it| self.at(it)),
        };
        let kept = text.len().min(self.written.1.len());
        self.written = (writing, self.written.1, if kept == text.len() { kept } else { 0 });
        self.written.1[..kept].copy_from_slice(&text[..kept]);
        self.last = moment;
        moment
    }

    /// The time of an entry of an error log, which names no zone.
    pub fn civil(&mut self, time: DateTime) -> Option<Moment> {
        match self.civil {
            Some((last, moment)) if last == time => Some(moment),
            _ => {
                let moment = self.at(self.zone.to_timestamp(time).ok()?);
                self.civil = Some((time, moment));
                Some(moment)
            }
        }
    }

    pub fn at(&self, at: Timestamp) -> Moment {
        let zoned = at.to_zoned(self.zone.clone());
        let subseconds = at.subsec_nanosecond();
        let text = match subseconds {
            0 => zoned.strftime("%Y-%m-%dT%H:%M:%S%:z"),
            _ if subseconds % 1_000_000 == 0 => zoned.strftime("%Y-%m-%dT%H:%M:%S.%3f%:z"),
            _ => zoned.strftime("%Y-%m-%dT%H:%M:%S%.f%:z"),
        };
        Moment::new(at, text.to_string().as_bytes())
    }
}

/// `20/Nov/2026:15:00:00 +0100` with its own zone.
fn local(text: &[u8]) -> Option<Moment> {
    let at = time_local(text)?;
    let month = month(&text[3..6])?;
    let mut written = *b"yyyy-mm-ddThh:mm:ss+hh:mm";
    written[..4].copy_from_slice(&text[7..11]);
    written[5] = b'0' + (month / 10) as u8;
    written[6] = b'0' + (month % 10) as u8;
    written[8..10].copy_from_slice(&text[..2]);
    written[11..19].copy_from_slice(&text[12..20]);
    written[19..22].copy_from_slice(&text[21..24]);
    written[23..].copy_from_slice(&text[24..]);
    Some(Moment::new(at, &written))
}

/// As it stands there, where that is RFC 3339.
fn iso8601(text: &[u8]) -> Option<Moment> {
    const SHAPE: &[u8; 19] = b"dddd-dd-ddTdd:dd:dd";
    let at = time_iso8601(text)?;
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == shape };
    let plain = text.len() >= 20 && text.iter().zip(SHAPE).all(fits);
    let zone_fits = text.ends_with(b"Z") || text.len() >= 25 && text[text.len() - 3] == b':';
    if plain && zone_fits && text.len() <= 40 {
        return Some(Moment::new(at, text));
    }
    Some(Moment::new(at, at.to_string().as_bytes()))
}
