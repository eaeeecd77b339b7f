//! What happened to backends, their units and their workers, in the order of time: one timeline from the journal, the
//! kernel log and the application servers' own logs.

use jiff::{SignedDuration, Timestamp};
use nginx_logs::backend::{self, EventKind};
use snapshot::{KernelMessage, Process, Snapshot};

use crate::verdict::Fact;

/// What a supervisor starts later than this after itself replaces something.
const SUPERVISED: SignedDuration = SignedDuration::from_secs(2);

/// The source of what a running process itself shows.
pub const PROCESS: &str = "process";

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// The process that it happened to, when the line names it.
    pub pid: Option<u32>,
    /// The unit that it happened to or that said it; empty when unknown.
    pub unit: String,
    /// Kind of source: `journal`, `kernel`, `php-fpm-log` …
    pub source: String,
    /// `file:line`, or the command that shows it.
    pub reference: String,
    /// The line.
    pub text: String,
}

impl Event {
    /// As evidence, in the line's own words.
    pub fn fact(&self) -> Fact {
        let message = backend::header(&self.text).message.trim();
        let text: String = message.chars().take(300).collect();
        Fact::new(&self.source, text).reference(&self.reference).at(self.at)
    }

    /// Whether it happened within `span` of `at`, before or after.
    pub fn near(&self, at: Timestamp, span: SignedDuration) -> bool {
        self.at.duration_since(at).abs() <= span
    }
}

/// The timeline.
pub fn timeline(snapshot: &Snapshot) -> Vec<Event> {
    let mut events = Vec::new();
    for entry in snapshot.journal.value().into_iter().flatten() {
        // The kernel's own lines are read from the kernel log, where they carry the better clock.
        if entry.identifier == "kernel" && snapshot.kernel.value().is_some() {
            continue;
        }
        let Some(event) = backend::event(&entry.message) else { continue };
        events.push(Event {
            at: entry.at,
            pid: event.pid.or(Some(entry.pid).filter(|pid| *pid > 1 && entry.identifier != "systemd")),
            kind: event.kind,
            unit: entry.unit.clone(),
            source: "journal".to_owned(),
            reference: if entry.unit.is_empty() {
                "journalctl".into()
            } else {
                format!("journalctl -u {}", entry.unit)
            },
            text: entry.message.clone(),
        });
    }
    // Containers share the kernel's log: what is older than this one happened to another.
    let ours = |it: &&KernelMessage| snapshot.host.booted_at.is_none_or(|booted| it.at >= booted);
    for message in snapshot.kernel.value().into_iter().flatten().filter(ours) {
        let Some(event) = backend::event(&message.message) else { continue };
        events.push(Event {
            at: message.at,
            kind: event.kind,
            pid: event.pid,
            unit: String::new(),
            source: "kernel".to_owned(),
            reference: "dmesg".to_owned(),
            text: message.message.clone(),
        });
    }
    for log in &snapshot.backend_logs {
        for line in log.lines.value().into_iter().flatten() {
            let Some(event) = backend::event(&line.text) else { continue };
            events.push(Event {
                at: line.at,
                kind: event.kind,
                pid: event.pid,
                unit: unit_of_log(snapshot, log),
                source: format!("{}-log", log.server),
                reference: format!("{}:{}", log.path, line.line),
                text: line.text.clone(),
            });
        }
    }
    if snapshot.is_of_logs() {
        // These are lines of a file, and no command shows them.
        let journal = snapshot.journal.require().ok().map(|it| &it.source);
        let kernel = snapshot.kernel.require().ok().map(|it| &it.source);
        for it in &mut events {
            let log = match it.source.as_str() {
                "journal" => journal,
                "kernel" => kernel,
                _ => None,
            };
            it.reference = log.cloned().unwrap_or_else(|| std::mem::take(&mut it.reference));
        }
        // Lines of systemd in a log of all programs name the unit themselves.
        for it in events.iter_mut().filter(|it| it.unit.is_empty()) {
            it.unit = unit_of_line(&it.kind).unwrap_or_default().to_owned();
        }
    }
    events.extend(successors(snapshot));
    events.sort_by_key(|it| it.at);
    events
}

/// The unit that a line of systemd is about.
fn unit_of_line(kind: &EventKind) -> Option<&str> {
    use EventKind::*;
    match kind {
        UnitStarting { unit, .. }
        | UnitStarted { unit, .. }
        | UnitStopping { unit, .. }
        | UnitStopped { unit, .. }
        | UnitReloading { unit, .. }
        | UnitReloaded { unit, .. }
        | StartFailed { unit, .. } => unit.as_deref(),
        UnitExited { unit, .. }
        | UnitFailed { unit, .. }
        | UnitOomKill { unit }
        | RestartScheduled { unit, .. }
        | StartLimitHit { unit }
        | UnitTimedOut { unit, .. } => Some(unit),
        _ => None,
    }
}

/// Programs that listen and were started by a supervisor of their own (PM2, supervisord, a loop in a script): whoever
/// served there before is gone, and no service manager tells of it.
fn successors(snapshot: &Snapshot) -> Vec<Event> {
    let (Some(processes), Some(tcp)) = (snapshot.processes.value(), snapshot.net.listeners.value()) else {
        return Vec::new();
    };
    let unix = snapshot.net.unix_listeners.value().into_iter().flatten();
    let holders: Vec<&[u32]> =
        tcp.iter().map(|it| it.pids.as_slice()).chain(unix.map(|it| it.pids.as_slice())).collect();
    let succeeds = |process: &&Process| {
        let parent = processes.iter().find(|it| it.pid == process.ppid && it.pid > 1);
        // A worker shares its master's socket; it is the whole program that is looked for here.
        let alone = |it: &&&[u32]| it.contains(&process.pid) && !it.contains(&process.ppid);
        let later = parent.is_some_and(|it| match (it.started_at, process.started_at) {
            (Some(parent), Some(own)) => own.duration_since(parent) > SUPERVISED,
            _ => false,
        });
        later && holders.iter().any(|it| alone(&it))
    };
    let event = |process: &Process| {
        let at = process.started_at.filter(|at| snapshot.window.contains(*at))?;
        let parent = processes.iter().find(|it| it.pid == process.ppid)?;
        let text = format!("{} (pid {}) was started anew by {}", process.name, process.pid, parent.name);
        Some(Event {
            at,
            kind: EventKind::WorkerStarted,
            pid: Some(process.pid),
            unit: process.unit.clone().unwrap_or_default(),
            source: PROCESS.to_owned(),
            reference: format!("/proc/{}/stat", process.pid),
            text,
        })
    };
    processes.iter().filter(succeeds).filter_map(event).collect()
}

/// A log's owner may be a unit, a pool or a program: only PHP-FPM's is found by its path.
fn unit_of_log(snapshot: &Snapshot, log: &snapshot::BackendLog) -> String {
    if log.owner.ends_with(".service") {
        return log.owner.clone();
    }
    let fpms = snapshot.php_fpm.value().into_iter().flatten();
    fpms.into_iter().find(|it| it.error_log == log.path).and_then(|it| it.unit.clone()).unwrap_or_default()
}
