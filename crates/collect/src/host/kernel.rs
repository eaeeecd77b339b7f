//! Kernel messages: OOM kills, segmentation faults, full tables. Source: /dev/kmsg, else `journalctl -k`.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use snapshot::{KernelMessage, Reading, Window};

use super::clock::Clock;
use super::{command, obstacle};

/// What happened shortly before the window can be the cause of what is in it.
const BEFORE: SignedDuration = SignedDuration::from_mins(10);

/// The newest messages that are kept.
const MAX_MESSAGES: usize = 5_000;

/// The kernel's messages in the window, and a little before it.
pub fn read(window: Window, clock: &Clock, deadline: Instant) -> Reading<Vec<KernelMessage>> {
    let from = window.from - BEFORE;
    let wanted = |it: &KernelMessage| it.at >= from && it.at <= window.to;
    let error = match read_kmsg(clock, deadline) {
        Ok(messages) => {
            let mut messages: Vec<_> = messages.into_iter().filter(wanted).collect();
            messages.drain(..messages.len().saturating_sub(MAX_MESSAGES));
            return Reading::seen(messages, "/dev/kmsg", clock.now);
        }
        Err(error) => error,
    };
    let since = format!("--since=@{}", from.as_second());
    let arguments = ["-k", "-q", "-o", "short-unix", "--no-pager", "-n", "5000", &since];
    match command::run("journalctl", &arguments, deadline, "journalctl -k") {
        Ok(output) if output.success && !output.stdout.is_empty() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let messages = text.lines().filter_map(from_journal).filter(wanted).collect();
            Reading::seen(messages, "journalctl -k", clock.now)
        }
        // An empty journal may mean missing rights; the first obstacle is the honest one.
        _ => Reading::Unread(obstacle("/dev/kmsg", &error)),
    }
}

fn read_kmsg(clock: &Clock, deadline: Instant) -> io::Result<Vec<KernelMessage>> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut kmsg = OpenOptions::new().read(true).custom_flags(nonblocking).open("/dev/kmsg")?;
    let mut messages = Vec::new();
    // Each read gives one record.
    let mut record = [0; 8192];
    while Instant::now() < deadline {
        match kmsg.read(&mut record) {
            Ok(0) => break,
            Ok(length) => messages.extend(parse(&record[..length], clock)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            // EPIPE: the record was overwritten meanwhile; the next one follows.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(messages)
}

/// `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS;MESSAGE`, then lines of ` KEY=value`. Source: the kernel's ABI/testing/dev-kmsg.
/// What programs wrote there has another facility than 0, and could say anything.
fn parse(record: &[u8], clock: &Clock) -> Option<KernelMessage> {
    let record = String::from_utf8_lossy(record);
    let (head, rest) = record.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros: i64 = fields.nth(1)?.parse().ok()?;
    if priority >> 3 != 0 {
        return None;
    }
    Some(KernelMessage {
        at: clock.at_monotonic_micros(micros.max(1))?,
        priority: (priority & 7) as u8,
        message: rest.lines().next().unwrap_or_default().to_owned(),
    })
}

/// `1777726990.123456 host kernel: MESSAGE`.
fn from_journal(line: &str) -> Option<KernelMessage> {
    let (time, rest) = line.split_once(' ')?;
    let (second, micros) = time.split_once('.')?;
    let micros: i64 = second.parse::<i64>().ok()?.checked_mul(1_000_000)? + micros.parse::<i64>().ok()?;
    let message = rest.split_once(" kernel: ")?.1.to_owned();
    Some(KernelMessage { at: Timestamp::from_microsecond(micros).ok()?, priority: 6, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_its_time_from_the_boot_clock() {
        let clock = Clock::fixed("2026-05-02T13:00:00Z");
        let record = b"3,700,120000000,-;Out of memory: Killed process 42 (php-fpm)\n SUBSYSTEM=x\n";
        let message = parse(record, &clock).unwrap();
        assert_eq!(message.message, "Out of memory: Killed process 42 (php-fpm)");
        assert_eq!((message.priority, message.at), (3, "2026-05-02T12:02:00Z".parse().unwrap()));
        for end in 0..record.len() {
            let _ = parse(&record[..end], &clock);
        }
    }

    #[test]
    fn what_programs_write_there_is_not_of_the_kernel() {
        let clock = Clock::fixed("2026-05-02T13:00:00Z");
        assert_eq!(parse(b"12,1,5,-;Out of memory: Killed process 1\n", &clock), None);
    }

    #[test]
    fn the_journal_gives_the_same_messages() {
        let message = from_journal("1777726990.500000 web kernel: TCP: out of memory").unwrap();
        assert_eq!(message.message, "TCP: out of memory");
        assert_eq!(message.at.as_millisecond(), 1777726990500);
    }
}
