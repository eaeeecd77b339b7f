//! What the kernel and the security modules said, from the files that the host's own loggers keep: auditd's log, and what
//! syslog wrote of the kernel. They hold what the kernel's ring buffer has already lost, and what auditd takes away from it.
//!
//! Only lines that tell of an event are kept, and of a syslog file only those that the kernel wrote: a program can log
//! anything, also a line that looks like a denial.

use std::io;
use std::path::Path;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use nginx_logs::{backend, times};
use snapshot::{BackendLog, KernelMessage, LogLine, Reading};

use super::{Context, window};
use crate::host::obstacle;
use crate::task::start;

/// Where auditd writes (auditd.conf(5)), and where syslog daemons write the kernel's messages: Debian's and Ubuntu's
/// kern.log, Red Hat's and SUSE's messages, and syslog where that is all there is.
const FILES: &[(&str, Writer)] = &[
    ("/var/log/audit/audit.log", Writer::Audit),
    ("/var/log/kern.log", Writer::Kernel),
    ("/var/log/messages", Writer::Kernel),
    ("/var/log/syslog", Writer::Kernel),
];

/// How much of a file is read, and how many lines of it are kept: the last.
const MAX_BYTES: u64 = 16 << 20;
const MAX_LINES: usize = 1_000;
/// A record of either is far shorter.
const MAX_LINE_BYTES: usize = 4 << 10;

/// What happened shortly before the window can be the cause of what is in it.
const BEFORE: SignedDuration = SignedDuration::from_mins(10);

/// Between the fields of a record and their translation, where auditd's log_format is ENRICHED.
const ENRICHED: u8 = 0x1d;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Audit,
    Kernel,
}

impl Writer {
    fn name(self) -> &'static str {
        match self {
            Writer::Audit => "audit",
            Writer::Kernel => "kernel",
        }
    }
}

/// Reads those of the files that there are.
pub fn read_all(context: &Context) -> Vec<BackendLog> {
    let mut context = context.clone();
    context.window.from = context.window.from.checked_sub(BEFORE).unwrap_or(Timestamp::MIN);
    let tasks: Vec<_> = FILES
        .iter()
        .map(|(path, writer)| {
            let (context, path, writer) = (context.clone(), *path, *writer);
            (path, writer, start(path, move || read_with_rotated(Path::new(path), writer, &context)))
        })
        .collect();
    let mut logs = Vec::new();
    for (path, writer, task) in tasks {
        let unread = |unread| vec![(path.to_owned(), Reading::Unread(unread))];
        for (path, lines) in task.finish(context.deadline).unwrap_or_else(unread) {
            logs.push(BackendLog { path, server: writer.name().to_owned(), owner: String::new(), lines });
        }
    }
    logs
}

/// Leaves out what the kernel's ring buffer has as well.
pub fn drop_known(logs: &mut [BackendLog], kernel: &Reading<Vec<KernelMessage>>) {
    let Some(known) = kernel.value() else { return };
    for log in logs.iter_mut().filter(|it| it.server == Writer::Kernel.name()) {
        let Reading::Seen(lines) = &mut log.lines else { continue };
        // An audit stamp, and the pid of a process that was killed, come once.
        lines.value.retain(|line| {
            let message = backend::header(&line.text).message;
            !known.iter().any(|it| it.message == message)
        });
    }
}

type Lines = Reading<Vec<LogLine>>;

/// A file, and the one before it when it was rotated inside the window.
fn read_with_rotated(path: &Path, writer: Writer, context: &Context) -> Vec<(String, Lines)> {
    let read_one = |path: &Path| {
        let shown = path.display().to_string();
        let now = context.window.to;
        match window::read(path, context, MAX_BYTES, |line| time_of(line, writer, context)) {
            Ok(part) => {
                let begins_inside = part.offset == 0;
                let lines = Reading::seen(lines(&part, writer, context), shown.clone(), now);
                Some((begins_inside, (shown, lines)))
            }
            // A host has some of these files, none has all.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let unread = obstacle(shown.clone(), &error);
                Some((false, (shown, Reading::Unread(unread))))
            }
        }
    };
    let Some((begins_inside, current)) = read_one(path) else { return Vec::new() };
    let mut all = vec![current];
    if begins_inside
        && Instant::now() < context.deadline
        && let Some(rotated) = window::rotated(&context.root, path).first()
        && let Some((_, log)) = read_one(rotated)
    {
        all.push(log);
    }
    all
}

/// A record carries its own time, also where syslog has put another before it.
fn time_of(line: &[u8], writer: Writer, context: &Context) -> Option<Timestamp> {
    match writer {
        Writer::Audit => audit_time(line),
        Writer::Kernel => times::time_of(line, &context.zone, context.window.to),
    }
}

/// `msg=audit(1795183200.123:456)`, or `audit(…)` in the kernel's own words: seconds, milliseconds, serial.
fn audit_time(line: &[u8]) -> Option<Timestamp> {
    let at = memchr::memmem::find(&line[..line.len().min(256)], b"audit(")? + b"audit(".len();
    let stamp = std::str::from_utf8(line.get(at..(at + 32).min(line.len()))?).ok()?;
    let (seconds, rest) = stamp.split_once('.')?;
    let (millis, _) = rest.split_once(':')?;
    let number = |digits: &str| digits.parse::<u32>().ok().map(i64::from);
    Timestamp::from_millisecond(number(seconds)? * 1000 + number(millis).filter(|it| *it < 1000)?).ok()
}

fn lines(part: &window::Part, writer: Writer, context: &Context) -> Vec<LogLine> {
    let mut lines = Vec::new();
    let (mut offset, mut number) = (part.offset, part.first_line);
    for line in part.bytes.split(|byte| *byte == b'\n') {
        let (here, its_number) = (offset, number);
        offset += line.len() as u64 + 1;
        number += u64::from(number > 0);
        let text = &line[..line.len().min(MAX_LINE_BYTES)];
        let text = text.split(|byte| *byte == ENRICHED).next().unwrap_or(text);
        let text = String::from_utf8_lossy(text).into_owned();
        let of_kernel = || backend::header(&text).program == Some("kernel");
        if writer == Writer::Kernel && !of_kernel() || backend::event(&text).is_none() {
            continue;
        }
        let at = audit_time(line).or_else(|| time_of(line, writer, context));
        let Some(at) = at.filter(|at| *at <= context.window.to + SignedDuration::from_secs(2)) else {
            continue;
        };
        lines.push(LogLine { line: its_number, offset: here, at, text });
    }
    lines.drain(..lines.len().saturating_sub(MAX_LINES));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::window::tests::context;
    use super::*;
    use crate::testing::Folder;

    /// 12:30:00.250 on that day.
    const AVC: &str = "type=AVC msg=audit(1777725000.250:411): avc:  denied  { name_connect } for  pid=7 comm=\"nginx\" \
                       dest=8080 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:http_cache_port_t:s0 \
                       tclass=tcp_socket permissive=0";
    const DENIED: &str = "audit: type=1400 audit(1777725000.250:70): apparmor=\"DENIED\" operation=\"connect\" \
                          profile=\"nginx\" name=\"/run/a.sock\" pid=7 comm=\"nginx\" requested_mask=\"wr\"";

    /// What is kept of a host with these files: time, line and text.
    #[track_caller]
    fn kept(files: &[(&str, &str)]) -> Vec<(String, u64, String)> {
        let folder = files.iter().fold(Folder::new(), |folder, (path, text)| folder.file(path, text));
        let logs = read_all(&context(&folder));
        let lines = logs.iter().flat_map(|it| it.lines.value().unwrap());
        lines.map(|it| (it.at.to_string(), it.line, it.text.clone())).collect()
    }

    #[test]
    fn records_of_the_window_are_kept_with_their_own_time() {
        let old = AVC.replace("1777725000", "1777710000");
        let other = "type=SYSCALL msg=audit(1777725000.250:411): arch=c000003e syscall=42 comm=\"nginx\"";
        let text = format!("{old}\n{other}\n{AVC}\u{1d}ARCH=x86_64\n");
        let lines = kept(&[("var/log/audit/audit.log", &text)]);
        assert_eq!(lines, [("2026-05-02T12:30:00.25Z".to_owned(), 3, AVC.to_owned())]);
    }

    #[test]
    fn of_a_syslog_file_only_the_kernel_is_believed() {
        let kernel = format!("May  2 12:30:01 web kernel: [ 123.456789] {DENIED}");
        let forged = format!("May  2 12:30:01 web app[7]: {DENIED}");
        let lines = kept(&[("var/log/kern.log", &format!("{kernel}\n{forged}\n{DENIED}\n"))]);
        assert_eq!(lines, [("2026-05-02T12:30:00.25Z".to_owned(), 1, kernel.clone())]);
        let cut = kernel.replace("123.456789", "123.45");
        assert_eq!(kept(&[("var/log/messages", &cut)]).len(), 1);
    }

    #[test]
    fn a_file_that_was_rotated_inside_the_window_is_read_as_well() {
        let newer = AVC.replace("1777725000", "1777726000");
        let lines = kept(&[("var/log/audit/audit.log", &newer), ("var/log/audit/audit.log.1", AVC)]);
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn what_the_ring_buffer_has_is_told_once() {
        let kernel = format!("2026-05-02T12:30:01+00:00 web kernel: {DENIED}");
        let folder = Folder::new().file("var/log/syslog", &kernel);
        let mut logs = read_all(&context(&folder));
        let message = KernelMessage { at: Timestamp::UNIX_EPOCH, priority: 5, message: DENIED.to_owned() };
        drop_known(&mut logs, &Reading::seen(vec![message], "/dev/kmsg", Timestamp::UNIX_EPOCH));
        assert_eq!(logs[0].lines.value().map(Vec::len), Some(0));
    }

    #[test]
    fn every_beginning_of_a_record_is_harmless() {
        for end in 0..AVC.len() {
            let _ = audit_time(&AVC.as_bytes()[..end]);
        }
        assert_eq!(audit_time(b"audit(99999999999999999999.1:1)"), None);
        assert_eq!(audit_time(b"audit(1.1000:1)"), None);
    }
}
