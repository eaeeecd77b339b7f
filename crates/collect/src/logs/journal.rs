//! nginx's lines in the journal: what it wrote to syslog or standard error, and why it did not start.

use jiff::Timestamp;
use nginx_logs::error::{strip_carrier, time_of_line};
use snapshot::{JournalEntry, LogKind, LogLine, LogLines, Window};

use super::access::{Tally, compile};

/// Lines that are kept: the latest.
const MAX_LINES: usize = 10_000;

/// The lines of one kind that nginx or its unit wrote.
pub fn lines(
    entries: &[JournalEntry],
    unit: &str,
    kind: &LogKind,
    window: Window,
    loaded_at: Option<Timestamp>,
) -> LogLines {
    let ours = entries.iter().filter(|it| is_ours(it, unit));
    match kind {
        LogKind::Error => error_lines(ours, window, loaded_at),
        LogKind::Access { text, escape, .. } => {
            let format = compile(text, escape);
            let mut tally = Tally::new(&format, window);
            let messages: Vec<&str> = ours
                .map(|it| it.message.as_str())
                .filter(|it| format.parse(it.as_bytes()).is_some())
                .collect();
            messages.into_iter().rev().for_each(|it| tally.add(it.as_bytes(), 0, 0));
            tally.into_lines()
        }
    }
}

/// Lines of the unit's processes, or of a syslog tag when nginx writes from elsewhere; not what systemd says about them.
fn is_ours(entry: &JournalEntry, unit: &str) -> bool {
    let program = ["nginx", "openresty", "angie", "tengine"].contains(&entry.identifier.as_str());
    entry.identifier != "systemd" && (entry.unit == unit || program && !entry.unit.ends_with(".service"))
}

fn error_lines<'e>(
    entries: impl Iterator<Item = &'e JournalEntry>,
    window: Window,
    loaded_at: Option<Timestamp>,
) -> LogLines {
    let mut lines = LogLines::default();
    for entry in entries {
        let text = &*strip_carrier(entry.message.as_bytes());
        let refusal = text.starts_with(b"nginx: ");
        let emerg = |text: &[u8]| text.get(20..).is_some_and(|it| it.starts_with(b"[emerg]"));
        if !refusal && time_of_line(text).is_none() {
            continue;
        }
        // Why nginx does not run, or not with its newest configuration, was said when it was refused.
        let stands = (refusal || emerg(text)) && loaded_at.is_none_or(|it| entry.at > it);
        if !window.contains(entry.at) && !stands {
            continue;
        }
        lines.read_total += 1;
        lines.first_at = lines.first_at.or(Some(entry.at));
        lines.last_at = Some(entry.at);
        let text = String::from_utf8_lossy(text).into_owned();
        lines.lines.push(LogLine { line: 0, offset: 0, at: entry.at, text });
    }
    lines.left_out_total = lines.lines.len().saturating_sub(MAX_LINES) as u64;
    lines.lines.drain(..lines.left_out_total as usize);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: &str, unit: &str, identifier: &str, message: &str) -> JournalEntry {
        JournalEntry {
            at: at.parse().unwrap(),
            unit: unit.into(),
            identifier: identifier.into(),
            pid: 1,
            priority: 6,
            message: message.into(),
        }
    }

    fn window() -> Window {
        Window { from: "2026-05-02T12:00:00Z".parse().unwrap(), to: "2026-05-02T13:00:00Z".parse().unwrap() }
    }

    #[test]
    fn a_refused_start_is_kept_however_old_and_other_programs_are_not() {
        let old = "2026-05-01T00:00:00Z";
        let now = "2026-05-02T12:30:00Z";
        let entries = [
            entry(
                old,
                "nginx.service",
                "nginx",
                "nginx: [emerg] unknown directive \"x\" in /etc/nginx/nginx.conf:1",
            ),
            entry(old, "nginx.service", "nginx", "2026/05/01 00:00:00 [error] 7#7: *1 old"),
            entry(now, "", "nginx", "2026/05/02 12:30:00 [error] 7#7: *1 by syslog"),
            entry(now, "nginx.service", "systemd", "nginx.service: Failed with result 'exit-code'."),
            entry(now, "shop.service", "shop", "2026/05/02 12:30:00 [error] 7#7: *1 forged"),
        ];
        let lines = lines(&entries, "nginx.service", &LogKind::Error, window(), None);
        let texts: Vec<_> = lines.lines.iter().map(|it| it.text.rsplit(' ').next().unwrap()).collect();
        assert_eq!(texts, ["/etc/nginx/nginx.conf:1", "syslog"]);
    }

    #[test]
    fn access_lines_come_by_syslog_as_well() {
        let kind = LogKind::Access {
            format: "f".into(),
            text: "$time_iso8601 $status".into(),
            escape: "default".into(),
        };
        let entries = [
            entry("2026-05-02T12:30:00Z", "", "nginx", "2026-05-02T12:30:00+00:00 502"),
            entry("2026-05-02T12:31:00Z", "", "nginx", "2026/05/02 12:31:00 [error] 7#7: x"),
        ];
        let lines = lines(&entries, "nginx.service", &kind, window(), None);
        assert_eq!((lines.lines.len(), lines.statuses), (1, vec![(502, 1)]));
    }
}
