//! What stands before a message: time, host, program, level.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;

use crate::access_time::{civil, month, timestamp};

/// A line without what was put before its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The program that wrote it, where the line names it: a syslog tag.
    pub program: Option<&'a str>,
    /// The process that wrote it, where the line names it.
    pub pid: Option<u32>,
    /// As the program spells it.
    pub level: Option<&'a str>,
    pub message: &'a str,
}

/// Takes the header off a line; without one the message is the whole line.
pub fn header(line: &str) -> Header<'_> {
    let mut header = Header { program: None, pid: None, level: None, message: line.trim_end() };
    header.message = strip_priority(header.message);
    strip_syslog(&mut header);
    strip_bracketed_time(&mut header);
    strip_level(&mut header);
    if header.level.is_none() {
        strip_logger(&mut header);
    }
    header
}

/// What loggers call their levels.
const LEVELS: [&str; 20] = [
    "TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "SEVERE", "FATAL", "CRITICAL", "ALERT",
    "EMERG", "FINE", "FINER", "FINEST", "CONFIG", "UNKNOWN", "ERR", "CRIT", "PANIC",
];

/// Time and level of an application's logger: `2026-11-20 15:00:00,123 [main] ERROR c.e.Shop - text` (Log4j, Logback),
/// `20-Nov-2026 15:00:00.123 SEVERE [main] org.apache.x.Y.z text` (Tomcat), `2026/11/20 15:00:00 text` (Go),
/// `E, [2026-11-20T15:00:00.123456 #7] ERROR -- : text` (Ruby), `ERROR:root:text` (Python).
fn strip_logger(header: &mut Header<'_>) {
    let line = header.message;
    // The kernel begins some of its own lines like that.
    let level = line.split_once(':').filter(|it| LEVELS.contains(&it.0) && !it.1.starts_with(" task "));
    if let Some((level, rest)) = level {
        // `SEVERE: text`, `ERROR:    text`, `ERROR:django.request:text`.
        let text = match rest.split_once(':') {
            Some((name, text)) if !rest.starts_with(' ') && !name.contains(' ') => text,
            _ => rest.trim_start(),
        };
        (header.level, header.message) = (Some(level), text);
        return;
    }
    let of_ruby = line.get(1..4) == Some(", [");
    let Some(rest) = behind_time(if of_ruby { &line[4..] } else { line }) else { return };
    // The level is one of the next words, behind a thread, a process or a bar.
    let mut after = rest;
    for index in 0..5 {
        let word_end = after.find(' ').unwrap_or(after.len());
        let word = after[..word_end].trim_matches(['[', ']', ':', '|', '(', ')']);
        // In small letters it can be a word of the text.
        let marked = index == 0 || word.len() < word_end;
        if LEVELS.iter().any(|it| *it == word || marked && it.eq_ignore_ascii_case(word)) {
            let text = after[word_end..].trim_start();
            // Tomcat and Spring name the thread behind it.
            let text = text.strip_prefix("-- : ").unwrap_or(text);
            let text = text.strip_prefix('[').and_then(|it| it.split_once("] ")).map_or(text, |it| it.1);
            (header.level, header.message) = (Some(word), text.trim_start_matches([':', '-', '|', ' ']));
            return;
        }
        if word_end == after.len() {
            break;
        }
        after = after[word_end..].trim_start();
    }
    header.message = rest;
}

/// What follows `2026-11-20 15:00:00,123`, `2026/11/20 15:00:00`, `2026-11-20T15:00:00.123456+01:00`, `20-Nov-2026
/// 15:00:00.123`.
fn behind_time(line: &str) -> Option<&str> {
    let bytes = line.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|it| it.iter().all(u8::is_ascii_digit));
    let numeric = digits(0..4)
        && digits(5..7)
        && digits(8..10)
        && matches!((bytes[4], bytes[7]), (b'-', b'-') | (b'/', b'/'));
    let named = digits(0..2) && digits(7..11) && (bytes[2], bytes[6]) == (b'-', b'-');
    let clock = if numeric { 11 } else { 12 };
    if !(numeric || named) || !digits(clock..clock + 2) || bytes.get(clock + 2) != Some(&b':') {
        return None;
    }
    // The time ends at the next space or bracket; a zone may stand behind a space.
    let rest = line.get(clock..)?;
    let rest = &rest[rest.find([' ', ']'])?..];
    let rest = rest.trim_start_matches([']', ' ']);
    let zone = rest.split_once(' ').filter(|it| it.0.len() == 5 && it.0.starts_with(['+', '-']));
    Some(zone.map_or(rest, |it| it.1))
}

/// `<4>` of syslog and of /dev/kmsg's `4,1234,5678901,-;`.
fn strip_priority(line: &str) -> &str {
    let digits =
        |text: &str| !text.is_empty() && text.len() <= 3 && text.bytes().all(|it| it.is_ascii_digit());
    match line.strip_prefix('<').and_then(|it| it.split_once('>')) {
        Some((priority, rest)) if digits(priority) => rest,
        _ => line,
    }
}

/// `Nov 20 15:00:00 host program[123]: ` and `2026-11-20T15:00:00+01:00 host program[123]: `.
fn strip_syslog(header: &mut Header<'_>) {
    let line = header.message;
    let after_time = if is_syslog_time(line) {
        line.get(16..)
    } else {
        line.split_once(' ')
            .filter(|(time, _)| time.len() >= 19 && time.parse::<Timestamp>().is_ok())
            .map(|it| it.1)
    };
    let Some(rest) = after_time else {
        if let Some(message) = line.strip_prefix("kernel: ") {
            (header.program, header.message) = (Some("kernel"), message);
        }
        return;
    };
    // Host and tag are single words; systemd and the kernel name no host where it is switched off.
    let Some((words, message)) = rest.split_once(": ") else { return };
    let tag = words.rsplit(' ').next().unwrap_or(words);
    if words.split(' ').count() > 2 {
        return;
    }
    let (program, pid) = match tag.strip_suffix(']').and_then(|it| it.rsplit_once('[')) {
        Some((program, pid)) => (program, pid.parse().ok()),
        None => (tag, None),
    };
    (header.program, header.pid, header.message) = (Some(program), pid, message);
}

fn is_syslog_time(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.len() > 16
        && month(&bytes[..3]).is_some()
        && bytes[3] == b' '
        && (bytes[4] == b' ' || bytes[4].is_ascii_digit())
        && bytes[5].is_ascii_digit()
        && (bytes[6], bytes[9], bytes[12], bytes[15]) == (b' ', b':', b':', b' ')
}

/// `[20-Nov-2026 15:00:00] `, `[2026-11-20 15:00:00 +0000] `, `[12345.678901] `, `[Fri Nov 20 15:00:00 2026]
/// `.
fn strip_bracketed_time(header: &mut Header<'_>) {
    let Some((time, rest)) = header.message.strip_prefix('[').and_then(|it| it.split_once("] ")) else {
        return;
    };
    let is_time = seconds_since_boot(time).is_some()
        || php_fpm_time(time).is_some()
        || gunicorn_time(time).is_some()
        || dmesg_time(time).is_some();
    if is_time {
        header.message = rest;
    }
}

/// `WARNING: ` of PHP-FPM, `[123] [CRITICAL] ` of gunicorn, `[ALERT]    (123) : ` of HAProxy.
fn strip_level(header: &mut Header<'_>) {
    let text = header.message;
    for level in ["NOTICE", "WARNING", "ERROR", "ALERT", "DEBUG"] {
        if let Some(rest) = text.strip_prefix(level).and_then(|it| it.strip_prefix(": ")) {
            (header.level, header.message) = (Some(level), rest);
            return;
        }
        let in_brackets =
            text.strip_prefix('[').and_then(|it| it.strip_prefix(level)).and_then(|it| it.strip_prefix(']'));
        if let Some((pid, rest)) =
            in_brackets.and_then(|it| it.trim_start().strip_prefix('(')?.split_once(") : "))
        {
            (header.level, header.pid, header.message) = (Some(level), pid.parse().ok(), rest);
            return;
        }
    }
    if let Some((pid, rest)) = text.strip_prefix('[').and_then(|it| it.split_once("] ["))
        && let Ok(pid) = pid.parse()
        && let Some((level, rest)) = rest.split_once("] ")
    {
        (header.pid, header.level, header.message) = (Some(pid), Some(level), rest);
    }
}

/// `20-Nov-2026 15:00:00`, also with `.123456` behind it, as written with log_level = debug.
fn php_fpm_time(text: &str) -> Option<DateTime> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || (bytes[2], bytes[6], bytes[11]) != (b'-', b'-', b' ') {
        return None;
    }
    civil(&bytes[7..11], month(&bytes[3..6])?, &bytes[..2], &bytes[12..20])
}

/// `2026-11-20 15:00:00 +0000`.
fn gunicorn_time(text: &str) -> Option<Timestamp> {
    let (date, zone) = text.rsplit_once(' ')?;
    let date: DateTime = date.parse().ok()?;
    let (sign, digits) = match zone.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let [h1, h2, m1, m2] = digits else { return None };
    let two = |tens: u8, ones: u8| crate::bytes::number::<i32>(&[tens, ones]);
    let seconds = sign * (two(*h1, *h2)? * 60 + two(*m1, *m2)?) * 60;
    timestamp(date, jiff::tz::Offset::from_seconds(seconds).ok()?)
}

/// When the kernel wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelTime {
    /// `[12345.678901]`: the monotonic clock, which stands still while the host sleeps.
    SinceBoot(Duration),
    /// `[Fri Nov 20 15:00:00 2026]`: `dmesg -T` in local time.
    Local(DateTime),
}

/// The time in a line of `dmesg`, also behind a syslog header (whose own time has no year).
pub fn time_of_kernel_line(line: &str) -> Option<KernelTime> {
    let mut header = Header { program: None, pid: None, level: None, message: strip_priority(line) };
    strip_syslog(&mut header);
    let (time, _) = header.message.strip_prefix('[')?.split_once(']')?;
    seconds_since_boot(time).map(KernelTime::SinceBoot).or_else(|| dmesg_time(time).map(KernelTime::Local))
}

/// The kernel writes six digits behind the point; what passes lines on may have cut some.
fn seconds_since_boot(text: &str) -> Option<Duration> {
    let (seconds, fraction) = text.trim_start().split_once('.')?;
    let digits = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    if !(1..=6).contains(&fraction.len()) || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let micros = format!("{fraction:0<6}").parse().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros))
}

/// `Fri Nov 20 15:00:00 2026`, the day padded with a space.
fn dmesg_time(text: &str) -> Option<DateTime> {
    let bytes = text.as_bytes();
    if bytes.len() != 24 || (bytes[3], bytes[7], bytes[10], bytes[19]) != (b' ', b' ', b' ', b' ') {
        return None;
    }
    let day = [if bytes[8] == b' ' { b'0' } else { bytes[8] }, bytes[9]];
    civil(&bytes[20..], month(&bytes[4..7])?, &day, &bytes[11..19])
}
