//! The journal. Source: `journalctl -o json`, systemd.journal-fields(7).

use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Map, Value};
use snapshot::{JournalEntry, Reading, Reason, Unread, Window};

use super::command;

const COMMAND: &str = "journalctl -o json";

/// The latest entries of the window that are read.
const MAX_ENTRIES: &str = "20000";
/// The latest entries of units that failed, from before the window.
const MAX_EARLIER_ENTRIES: &str = "600";
/// A message is cut there; a Java stack trace fits.
const MAX_MESSAGE_BYTES: usize = 8 << 10;

const FIELDS: &str = "--output-fields=MESSAGE,_SYSTEMD_UNIT,UNIT,OBJECT_SYSTEMD_UNIT,COREDUMP_UNIT,SYSLOG_IDENTIFIER,\
_COMM,_PID,PRIORITY,_TRANSPORT";

/// The entries of the window.
pub fn read(window: Window, at: Timestamp, deadline: Instant) -> Reading<Vec<JournalEntry>> {
    let (since, until) = (epoch("--since", window.from), epoch("--until", window.to));
    run(&["-n", MAX_ENTRIES, &since, &until], at, deadline)
}

/// The latest entries of some units, however old: why a service failed was said when it failed.
pub fn read_units(units: &[String], at: Timestamp, deadline: Instant) -> Reading<Vec<JournalEntry>> {
    let units: Vec<String> = units.iter().map(|it| format!("--unit={it}")).collect();
    let mut arguments = vec!["-n", MAX_EARLIER_ENTRIES];
    arguments.extend(units.iter().map(String::as_str));
    run(&arguments, at, deadline)
}

fn run(arguments: &[&str], at: Timestamp, deadline: Instant) -> Reading<Vec<JournalEntry>> {
    let mut all = vec!["-o", "json", "--no-pager", FIELDS];
    all.extend(arguments);
    match command::run("journalctl", &all, deadline, COMMAND) {
        Err(unread) => Reading::Unread(unread),
        // A user without rights gets an empty journal, or only the own one, with a hint on standard error.
        Ok(output) if hints_at_missing_rights(&output.stderr) => Reading::Unread(Unread {
            reason: Reason::Denied,
            source: COMMAND.to_owned(),
            detail: output.stderr.lines().next().unwrap_or_default().to_owned(),
        }),
        Ok(output) if output.stderr.contains("No journal files were found") => {
            Reading::unread(Reason::Unsupported, COMMAND, output.stderr)
        }
        Ok(output)
            if output.stdout.is_empty()
                && (!output.success || !Path::new("/run/systemd/system").is_dir()) =>
        {
            let detail =
                if output.stderr.is_empty() { "there is no journal".to_owned() } else { output.stderr };
            Reading::unread(Reason::Unsupported, COMMAND, detail)
        }
        Ok(output) => Reading::seen(parse(&output.stdout), COMMAND, at),
    }
}

fn hints_at_missing_rights(stderr: &str) -> bool {
    ["not seeing messages from other users", "insufficient permissions", "Permission denied"]
        .iter()
        .any(|it| stderr.contains(it))
}

/// journalctl takes whole seconds; one too many at the end does no harm.
fn epoch(option: &str, at: Timestamp) -> String {
    let second = at.as_second() + i64::from(option == "--until" && at.subsec_nanosecond() > 0);
    format!("{option}=@{second}")
}

/// One JSON object a line. Kernel messages are left out: they are read where they are whole.
fn parse(lines: &[u8]) -> Vec<JournalEntry> {
    lines.split(|byte| *byte == b'\n').filter_map(parse_entry).collect()
}

fn parse_entry(line: &[u8]) -> Option<JournalEntry> {
    let entry: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let text = |name: &str| entry.get(name).map(field).unwrap_or_default();
    if text("_TRANSPORT") == "kernel" {
        return None;
    }
    let first =
        |names: &[&str]| names.iter().map(|it| text(it)).find(|it| !it.is_empty()).unwrap_or_default();
    Some(JournalEntry {
        at: Timestamp::from_microsecond(text("__REALTIME_TIMESTAMP").parse().ok()?).ok()?,
        unit: first(&["UNIT", "COREDUMP_UNIT", "OBJECT_SYSTEMD_UNIT", "_SYSTEMD_UNIT"]),
        identifier: first(&["SYSLOG_IDENTIFIER", "_COMM"]),
        pid: text("_PID").parse().unwrap_or(0),
        priority: text("PRIORITY").parse().unwrap_or(6),
        message: text("MESSAGE"),
    })
}

/// A field is a string; an array of numbers when its bytes are not printable UTF-8; an array of both when the entry has
/// it several times (then the first counts); null when journalctl found it too large.
fn field(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_u64) => {
            let bytes: Vec<u8> = items
                .iter()
                .filter_map(|it| u8::try_from(it.as_u64()?).ok())
                .take(MAX_MESSAGE_BYTES)
                .collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Value::Array(items) => items.first().map(field).unwrap_or_default(),
        _ => String::new(),
    };
    cut(text)
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_MESSAGE_BYTES {
        let end = (0..=MAX_MESSAGE_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// Entries of before the window added to those of the window, in order and without doubles.
pub fn merge(
    mut entries: Vec<JournalEntry>,
    earlier: Vec<JournalEntry>,
    window: Window,
) -> Vec<JournalEntry> {
    let mut all: Vec<JournalEntry> =
        earlier.into_iter().filter(|it| it.at.as_second() < window.from.as_second()).collect();
    all.append(&mut entries);
    all.sort_by_key(|it| it.at);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_of_the_unit_that_it_is_about() {
        let line = br#"{"__REALTIME_TIMESTAMP":"1777726990000000","MESSAGE":"shop.service: Failed with result 'exit-code'.","_SYSTEMD_UNIT":"init.scope","UNIT":"shop.service","SYSLOG_IDENTIFIER":"systemd","_PID":"1","PRIORITY":"4"}"#;
        let entry = parse_entry(line).unwrap();
        assert_eq!((entry.unit.as_str(), entry.identifier.as_str()), ("shop.service", "systemd"));
        assert_eq!((entry.pid, entry.priority), (1, 4));
        assert_eq!(entry.at.as_second(), 1777726990);
    }

    #[test]
    fn a_message_of_bytes_is_text_and_kernel_messages_are_left_out() {
        let lines = b"{\"__REALTIME_TIMESTAMP\":\"1\",\"MESSAGE\":[104,105,255],\"_COMM\":\"app\"}\n\
            {\"__REALTIME_TIMESTAMP\":\"2\",\"MESSAGE\":\"x\",\"_TRANSPORT\":\"kernel\"}\nnot json\n\
            {\"__REALTIME_TIMESTAMP\":\"3\",\"MESSAGE\":[\"one\",\"two\"]}\n{\"__REALTIME_TIMESTAMP\":\"4\",\"MESSAGE\":null}\n";
        let entries = parse(lines);
        let messages: Vec<_> = entries.iter().map(|it| it.message.as_str()).collect();
        assert_eq!(messages, ["hi\u{fffd}", "one", ""]);
        assert_eq!(entries[0].identifier, "app");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert!(cut("ä".repeat(MAX_MESSAGE_BYTES)).len() <= MAX_MESSAGE_BYTES);
    }
}
