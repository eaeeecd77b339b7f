//! nginx's logs in the window: every file that the configuration names, and the journal of its unit.
//!
//! A log is never read from its beginning: the window is found by halving, and no more than its last part is read. What is
//! kept is bounded; what is passed over is counted.

mod access;
mod backend;
mod error;
mod journal;
mod system;
mod times;
mod window;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nginx_conf::{Escape, Files, LogContext, LogDestination, LogTarget};
use snapshot::{JournalEntry, LogFile, LogKind, Reading, Reason, Window};

use crate::host::files::FsFiles;
use crate::nginx::Instance;
use crate::task::start;

pub use access::compile;
pub use backend::{Source, read_all as read_backends};
pub use system::{drop_known, read_all as read_system};

/// Logs that are read; a host with thousands of sites has a log for each.
const MAX_FILES: usize = 200;

/// Files that one path with variables may stand for.
const MAX_FILES_OF_PATTERN: usize = 20;

/// Logs that are read at the same time.
const AT_ONCE: usize = 8;

/// One log to read.
#[derive(Debug, Clone, PartialEq)]
struct Target {
    kind: LogKind,
    place: Place,
}

/// Where its lines are.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    File(PathBuf),
    /// Standard error and syslog end in the journal, where systemd runs.
    Journal,
    /// Nowhere that can be read: a path with variables that fits no file.
    Nowhere(String),
}

/// What every reader of a log needs.
#[derive(Debug, Clone)]
pub struct Context {
    /// nginx's root directory.
    pub root: PathBuf,
    /// The span of time.
    pub window: Window,
    /// The zone of logs that name none.
    pub zone: TimeZone,
    /// When reading has to end.
    pub deadline: Instant,
    /// When the configuration that runs was loaded. What was refused since then still stands, however old it is.
    pub loaded_at: Option<Timestamp>,
}

/// Reads the files that an instance logs to.
pub fn read_files(instance: &Instance, context: &Context) -> Vec<LogFile> {
    let targets: Vec<(PathBuf, LogKind)> = targets(instance)
        .into_iter()
        .filter_map(|it| match it.place {
            Place::File(path) => Some((path, it.kind)),
            _ => None,
        })
        .collect();
    let mut logs = Vec::new();
    for group in targets.chunks(AT_ONCE) {
        let tasks: Vec<_> = group
            .iter()
            .map(|(path, kind)| {
                let (path, kind, context) = (path.clone(), kind.clone(), context.clone());
                start(path.display().to_string(), move || read_with_rotated(&path, &kind, &context))
            })
            .collect();
        for (task, (path, kind)) in tasks.into_iter().zip(group) {
            logs.extend(task.finish(context.deadline).unwrap_or_else(|unread| {
                vec![LogFile {
                    path: path.display().to_string(),
                    kind: kind.clone(),
                    lines: Reading::Unread(unread),
                    nginx: 0,
                }]
            }));
        }
    }
    logs
}

/// The same for what does not go to files; and what nginx's unit said at its starts.
pub fn read_journal(
    instance: &Instance,
    entries: &Reading<Vec<JournalEntry>>,
    window: Window,
) -> Vec<LogFile> {
    let mut logs = Vec::new();
    let unit = instance.nginx.unit.clone().unwrap_or_else(|| "nginx.service".to_owned());
    let path = format!("journal:{unit}");
    let mut kinds: Vec<LogKind> = vec![LogKind::Error];
    for target in targets(instance) {
        match target.place {
            Place::Journal if !kinds.contains(&target.kind) => kinds.push(target.kind),
            Place::Nowhere(written) => logs.push(LogFile {
                path: written.clone(),
                kind: target.kind,
                lines: Reading::unread(Reason::Unsupported, written, "the path of this log has variables"),
                nginx: 0,
            }),
            _ => {}
        }
    }
    for kind in kinds {
        let lines = match entries {
            Reading::Seen(seen) => Reading::seen(
                journal::lines(&seen.value, &unit, &kind, window, instance.loaded_at()),
                seen.source.clone(),
                seen.at,
            ),
            Reading::Unread(unread) => Reading::Unread(unread.clone()),
        };
        logs.push(LogFile { path: path.clone(), kind, lines, nginx: 0 });
    }
    logs
}

/// Every log that is configured, and the compiled-in error log: that is where a refused configuration is told.
fn targets(instance: &Instance) -> Vec<Target> {
    let view = instance.view();
    let mut targets: Vec<Target> = Vec::new();
    let mut add = |target: Target| {
        if !targets.contains(&target) && targets.len() < MAX_FILES {
            targets.push(target);
        }
    };
    let places = |log: &LogTarget| -> Vec<Place> {
        match &log.to {
            LogDestination::File(path) => vec![Place::File(path.clone())],
            LogDestination::Syslog(_) | LogDestination::Stderr => vec![Place::Journal],
            LogDestination::Variable(written) => matching(instance, written),
            LogDestination::Memory | LogDestination::Off => Vec::new(),
        }
    };
    for log in view.error_logs() {
        places(log).into_iter().for_each(|place| add(Target { kind: LogKind::Error, place }));
    }
    let default = PathBuf::from(&instance.nginx.default_error_log);
    if instance.root.join(default.strip_prefix("/").unwrap_or(&default)).is_file() {
        add(Target { kind: LogKind::Error, place: Place::File(default) });
    }
    for log in view.access_logs() {
        let format = if log.context == LogContext::Stream {
            view.stream_log_format(&log.format)
        } else {
            view.log_format(&log.format)
        };
        let Some(format) = format else { continue };
        let escape = match format.escape {
            Escape::Default => "default",
            Escape::Json => "json",
            Escape::None => "none",
        };
        let kind = LogKind::Access {
            format: log.format.clone(),
            text: format.text.clone(),
            escape: escape.to_owned(),
        };
        places(log).into_iter().for_each(|place| add(Target { kind: kind.clone(), place }));
    }
    targets
}

/// The files that a path with variables stands for: anything can stand in place of a variable.
fn matching(instance: &Instance, written: &str) -> Vec<Place> {
    let mut pattern = String::new();
    let mut rest = written;
    while let Some(at) = rest.find('$') {
        pattern.push_str(&rest[..at]);
        pattern.push('*');
        let after = &rest[at + 1..];
        rest = match after.strip_prefix('{').and_then(|it| it.split_once('}')) {
            Some((_, rest)) => rest,
            None => after.trim_start_matches(|it: char| it.is_ascii_alphanumeric() || it == '_'),
        };
    }
    pattern.push_str(rest);
    let pattern = Path::new(&instance.nginx.prefix).join(pattern);
    let files = FsFiles::new(&instance.root);
    let found = pattern.to_str().map(|it| files.glob(it).unwrap_or_default()).unwrap_or_default();
    if found.is_empty() {
        return vec![Place::Nowhere(written.to_owned())];
    }
    found.into_iter().take(MAX_FILES_OF_PATTERN).map(Place::File).collect()
}

/// One log, and the file before it when it was rotated inside the window.
fn read_with_rotated(path: &Path, kind: &LogKind, context: &Context) -> Vec<LogFile> {
    let current = read_one(path, kind, context);
    let begins_inside = match current.lines.value() {
        // Whether the file has earlier lines than the window: then nothing of the window is in the rotated one.
        Some(_) => !window::begins_before(&context.root, path, kind, context),
        None => false,
    };
    let mut logs = vec![current];
    if begins_inside && let Some(rotated) = window::rotated(&context.root, path) {
        let log = read_one(&rotated, kind, context);
        if log.lines.value().is_some_and(|it| it.read_total > 0) {
            logs.push(log);
        }
    }
    logs
}

fn read_one(path: &Path, kind: &LogKind, context: &Context) -> LogFile {
    let lines = match kind {
        LogKind::Error => error::read(path, context),
        LogKind::Access { text, escape, .. } => access::read(path, &compile(text, escape), context),
    };
    LogFile { path: path.display().to_string(), kind: kind.clone(), lines, nginx: 0 }
}

/// Reading stops that long before the deadline, so that what was read can still be handed over.
const HAND_OVER: Duration = Duration::from_millis(20);
