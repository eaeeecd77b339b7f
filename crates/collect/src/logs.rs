//! nginx's logs in the window: every file that the configuration names, and the journal of its unit.
//!
//! A log is never read from its beginning: the window is found by halving, and no more than its last part is read. What is
//! kept is bounded; what is passed over is counted.

mod access;
mod backend;
mod decoded;
mod error;
mod journal;
mod places;
mod system;
mod window;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nginx_conf::{Escape, LogContext, LogDestination, LogTarget};
use nginx_logs::Stream;
use snapshot::{JournalEntry, LogFile, LogKind, LogLines, Reading, Reason, Window};

use crate::host::obstacle;
use crate::nginx::Instance;
use crate::task::start;
use places::{Descriptors, Place};

pub use access::compile;
pub use backend::{Source, read_all as read_backends};
pub use decoded::container_id;
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
    let targets: Vec<Target> = targets(instance)
        .into_iter()
        .filter(|it| matches!(it.place, Place::File(_) | Place::Held { .. } | Place::Container(_)))
        .collect();
    let mut logs = Vec::new();
    for group in targets.chunks(AT_ONCE) {
        let tasks: Vec<_> = group
            .iter()
            .map(|target| {
                let (its, context) = (target.clone(), context.clone());
                start(target.shown(), move || read_target(&its, &context))
            })
            .collect();
        for (task, target) in tasks.into_iter().zip(group) {
            logs.extend(
                task.finish(context.deadline)
                    .unwrap_or_else(|unread| vec![target.log(Reading::Unread(unread))]),
            );
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
            Place::Nowhere { written, why } => logs.push(LogFile {
                path: written.clone(),
                kind: target.kind,
                lines: Reading::unread(Reason::Unsupported, written, why),
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
    let descriptors = Descriptors::of(instance);
    let places = |log: &LogTarget| -> Vec<Place> {
        match &log.to {
            LogDestination::File(path) => places::of_path(path, instance, &descriptors),
            LogDestination::Stderr => places::of_stream(Stream::Error, instance, &descriptors),
            LogDestination::Syslog(server) if places::is_local_syslog(server) => vec![Place::Journal],
            LogDestination::Syslog(server) => {
                let why = "it is sent to a syslog server".to_owned();
                vec![Place::Nowhere { written: format!("syslog:{server}"), why }]
            }
            LogDestination::Variable(written) => places::of_pattern(written, instance, MAX_FILES_OF_PATTERN),
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
        let kind = LogKind::Access {
            format: log.format.clone(),
            text: format.text.clone(),
            escape: escape_name(format.escape).to_owned(),
        };
        places(log).into_iter().for_each(|place| add(Target { kind: kind.clone(), place }));
    }
    targets
}

/// As `escape=` spells it.
pub fn escape_name(escape: Escape) -> &'static str {
    match escape {
        Escape::Default => "default",
        Escape::Json => "json",
        Escape::None => "none",
    }
}

impl Target {
    fn shown(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Held { shown, .. } => shown.clone(),
            Place::Container(carrier) => carrier.shown.clone(),
            Place::Journal => "journal".to_owned(),
            Place::Nowhere { written, .. } => written.clone(),
        }
    }

    fn log(&self, lines: Reading<LogLines>) -> LogFile {
        LogFile { path: self.shown(), kind: self.kind.clone(), lines, nginx: 0 }
    }
}

fn read_target(target: &Target, context: &Context) -> Vec<LogFile> {
    let ours = Context { root: PathBuf::from("/"), ..context.clone() };
    let of_ours = |path: &Path| target.log(read_one(path, &target.kind, &ours).lines);
    match &target.place {
        Place::File(path) => read_with_rotated(path, &target.kind, context),
        Place::Held { open, .. } => vec![of_ours(open)],
        Place::Container(carrier) => match carrier.text(context) {
            Ok((text, zone)) => {
                let context = Context { zone, ..ours };
                let mut lines = read_one(&decoded::path_of(&text), &target.kind, &context).lines;
                // Its place in the engine's file is another one.
                if let Reading::Seen(seen) = &mut lines {
                    seen.value.lines.iter_mut().for_each(|it| (it.line, it.offset) = (0, 0));
                }
                vec![target.log(lines)]
            }
            Err(error) => vec![target.log(Reading::Unread(obstacle(target.shown(), &error)))],
        },
        Place::Journal | Place::Nowhere { .. } => Vec::new(),
    }
}

/// One log, and the files before it that were rotated inside the window.
fn read_with_rotated(path: &Path, kind: &LogKind, context: &Context) -> Vec<LogFile> {
    let mut logs = Vec::new();
    let earlier = window::rotated(&context.root, path);
    for (index, path) in std::iter::once(path.to_path_buf()).chain(earlier).enumerate() {
        let written = window::written_at(&context.root, &path);
        let unpacked = decoded::unpacked(&context.root, &path).ok().flatten();
        let (root, open) = match &unpacked {
            Some(text) => (PathBuf::from("/"), decoded::path_of(text)),
            None => (context.root.clone(), path.clone()),
        };
        let mut context = Context { root, ..context.clone() };
        if *kind == LogKind::Error
            && let Some(written) = written
            && let Some(zone) = window::zone_of_file(&context.root, &open, written, &context.zone)
        {
            context.zone = zone;
        }
        let log = read_one(&open, kind, &context);
        let found = log.lines.value().is_some_and(|it| index == 0 || it.read_total > 0);
        if found || index == 0 {
            logs.push(LogFile { path: path.display().to_string(), ..log });
        }
        // With lines from before the window, nothing of the window is in an earlier file.
        if !found || window::begins_before(&context.root, &open, kind, &context) {
            break;
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
