//! A log line that somebody pasted: the fields it holds and what nginx saw.

use diagnose::Cause;
use nginx_logs::access::{AccessRecord, recognise};
use nginx_logs::backend::{self, Event, EventKind};
use nginx_logs::carrier::{Carried, Carrier};
use nginx_logs::errno::{Errno, errno};
use nginx_logs::error::{ErrorRecord, StderrRecord, parse, parse_stderr};
use nginx_logs::reason::{Reason, Signs};
use nginx_logs::{Kind, Program, Shape, Symptom};

/// A line and what it says.
#[derive(Debug)]
pub struct Line {
    /// `error-log`, `access-log`, `nginx-stderr`, or the name of the program that wrote it, such as `php-fpm`.
    pub kind: &'static str,
    /// Its fields by the names of `why502 parse`, in the order of the line; those that it does not have are absent.
    pub fields: Vec<(String, String)>,
    /// What nginx saw; none when the line is no symptom.
    pub symptom: Option<Symptom>,
    /// Who ended a failed request, and in which phase, where a line of an access log tells.
    pub reason: Option<Reason>,
    /// What another program says that happened.
    pub event: Option<Event>,
    /// The errno in it, as Linux numbers it.
    pub errno: Option<Errno>,
    /// The status that the client got, where the line tells.
    pub status: Option<u16>,
    /// nginx cut the line at its limit.
    pub truncated: bool,
}

impl Line {
    /// The causes that can bring this line about. A unix socket has no port and no packet filter before it, and PHP-FPM
    /// speaks FastCGI: what cannot be is left out.
    pub(super) fn causes(&self) -> Vec<&'static Cause> {
        if let Some(event) = &self.event {
            return super::causes_named(causes_behind(&event.kind));
        }
        if let (None, Some(reason)) = (self.symptom, self.reason) {
            return super::causes_of_reason(reason);
        }
        let of =
            |wanted: &str| self.fields.iter().find(|(name, _)| name == wanted).map(|(_, it)| it.as_str());
        let on_unix = of("peer").map(|it| it.starts_with("unix:"));
        let fastcgi = of("scheme").map(|it| it == "fastcgi");
        let possible = |it: &&Cause| match it.id {
            id if id.starts_with("unix-socket") => on_unix != Some(false),
            "wrong-upstream-port"
            | "upstream-address-mismatch"
            | "upstream-ipv6-mismatch"
            | "no-route-to-upstream" => on_unix != Some(true),
            id if id.starts_with("firewall") || id.starts_with("dns") => on_unix != Some(true),
            id if id.starts_with("php-fpm") => fastcgi != Some(false),
            _ => true,
        };
        self.symptom.map(super::causes_of).unwrap_or_default().into_iter().filter(possible).collect()
    }
}

/// The causes that an event of a backend, of the kernel or of the service manager tells of.
fn causes_behind(event: &EventKind) -> &'static [&'static str] {
    match event {
        EventKind::ThreadPoolExhausted { .. } => &["worker-pool-exhausted", "backend-hung"],
        EventKind::SessionFailed { .. } => &["backend-not-running", "backend-hung", "backend-aborts-request"],
        EventKind::MaxChildrenReached { .. } | EventKind::PoolBusy { .. } => &["php-fpm-pool-exhausted"],
        EventKind::RequestTimedOut { .. } | EventKind::RequestSlow { .. } => {
            &["backend-slow", "backend-hung"]
        }
        EventKind::ChildSignalled { signal: 9, .. } | EventKind::WorkerDied { signal: Some(9), .. } => {
            &["backend-oom-killed", "backend-crashed"]
        }
        EventKind::Segfault { comm } if comm.starts_with("nginx") => &["nginx-worker-crash"],
        EventKind::ChildSignalled { .. }
        | EventKind::ChildExited { .. }
        | EventKind::WorkerDied { .. }
        | EventKind::Segfault { .. }
        | EventKind::UnitExited { .. }
        | EventKind::UnitFailed { .. } => &["backend-crashed", "backend-start-failed"],
        EventKind::BindFailed { .. } => &["backend-port-conflict", "backend-start-failed"],
        EventKind::StartFailed { .. } | EventKind::StartLimitHit { .. } | EventKind::UnitTimedOut { .. } => {
            &["backend-start-failed"]
        }
        EventKind::AccessDisallowed { .. } => &["backend-access-denied"],
        EventKind::WorkerTimeout | EventKind::Harakiri { .. } => &["backend-worker-timeout"],
        EventKind::WorkerRecycled => &["backend-worker-recycled"],
        EventKind::RequestTooLarge { .. } => &["request-header-too-big"],
        EventKind::ListenQueueFull { .. } | EventKind::SynFlooding { .. } => &["listen-queue-overflow"],
        EventKind::ServerDown { .. } | EventKind::NoServerAvailable { .. } => {
            &["backend-not-running", "backend-hung"]
        }
        EventKind::UncaughtError { .. } => &["backend-crashed", "upstream-returned-error"],
        EventKind::TooManyOpenFiles => &["backend-fd-exhausted"],
        EventKind::OomKill { .. } => &["backend-oom-killed", "host-memory-exhausted"],
        EventKind::UnitOomKill { .. } => &["backend-oom-killed"],
        EventKind::TaskBlocked { .. } => &["backend-hung"],
        EventKind::ConntrackFull => &["conntrack-full"],
        EventKind::RestartScheduled { .. }
        | EventKind::UnitStarting { .. }
        | EventKind::UnitStarted { .. }
        | EventKind::UnitStopping { .. }
        | EventKind::UnitStopped { .. }
        | EventKind::UnitReloading { .. }
        | EventKind::UnitReloaded { .. }
        | EventKind::Listening { .. }
        | EventKind::WorkerStarted
        | EventKind::Stopping => &["backend-restarting"],
        EventKind::AvcDenied { .. } => &["selinux-denied"],
        EventKind::ApparmorDenied { .. } => &["apparmor-denied"],
    }
}

/// Reads a line; none when it is of no log that is known here.
pub(super) fn read(text: &str) -> Option<Line> {
    let line = text.as_bytes();
    let carried = Carrier::of(line).open(line).unwrap_or_else(|| Carried::plain(line));
    let entry = &*carried.text;
    parse(entry)
        .map(of_error_log)
        .or_else(|| parse_stderr(entry).map(of_stderr))
        .or_else(|| {
            let format = recognise([entry])?;
            format.parse(entry).and_then(of_access_log)
        })
        .or_else(|| of_program(&carried, text))
        .or_else(|| of_message(text))
}

/// What somebody copied out of an entry of the error log: its message, perhaps with what stands around it.
fn of_message(text: &str) -> Option<Line> {
    let heads = ["[error] 1#1: *1 ", "[crit] 1#1: *1 ", "[alert] 1#1: ", ""];
    let entries = heads.map(|head| format!("2026/01/01 00:00:00 {head}{text}"));
    let mut line = entries.iter().find_map(|it| {
        let record = parse(it.as_bytes())?;
        record.symptom().is_some().then(|| of_error_log(record))
    })?;
    line.fields.retain(|(name, _)| !matches!(name.as_str(), "time" | "level" | "pid" | "connection"));
    Some(line)
}

fn of_access_log(record: AccessRecord) -> Option<Line> {
    let status = record.status()?;
    let value = |name| record.raw(name).unwrap_or_default();
    let reason = Reason::of(&Signs {
        status,
        tells_upstream: record.raw("upstream_addr").or(record.raw("upstream_status")).is_some(),
        upstream_addr: value("upstream_addr"),
        upstream_status: value("upstream_status"),
        connect_time: value("upstream_connect_time"),
        header_time: value("upstream_header_time"),
        response_time: value("upstream_response_time"),
    });
    let fields = record.values().filter(|(name, _)| !name.starts_with("field_"));
    Some(Line {
        kind: "access-log",
        fields: fields.map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
        symptom: (status == 499).then_some(Symptom::ClientClosed),
        // Codes that name neither who nor where say no more than the status does.
        reason: reason.filter(|it| !it.code().contains('-')),
        event: None,
        errno: None,
        status: Some(status),
        truncated: false,
    })
}

/// A line of another program, if it tells of something or has the header that the program writes.
fn of_program(carried: &Carried<'_>, line: &str) -> Option<Line> {
    let text = String::from_utf8_lossy(&carried.text);
    let event = backend::event(&text);
    let shape = Shape::detect(line.as_bytes(), &[]);
    let program = match shape.open(line.as_bytes()).1 {
        Some(Kind::Program(it)) => *it,
        _ => Program::App,
    };
    if event.is_none() && program == Program::App {
        return None;
    }
    let header = backend::header(&text);
    let fields = [
        ("program", carried.program.as_deref().or(header.program).map(str::to_owned)),
        ("source", carried.source.as_deref().map(str::to_owned)),
        ("level", header.level.map(str::to_owned)),
        ("pid", header.pid.or(carried.pid).map(|it| it.to_string())),
        ("message", Some(header.message.to_owned())),
        ("event", event.as_ref().map(|it| it.kind.name().to_owned())),
    ];
    let too_many_files = event.as_ref().is_some_and(|it| it.kind == EventKind::TooManyOpenFiles);
    Some(Line {
        kind: program.name(),
        fields: present(fields),
        symptom: None,
        reason: None,
        event,
        errno: too_many_files.then(|| errno(24)).flatten(),
        status: None,
        truncated: false,
    })
}

fn present<const N: usize>(fields: [(&str, Option<String>); N]) -> Vec<(String, String)> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn of_error_log(record: ErrorRecord) -> Line {
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    let fields = [
        ("time", Some(record.time.strftime("%Y-%m-%d %H:%M:%S").to_string())),
        ("level", Some(record.level.name().to_owned())),
        ("pid", Some(record.pid.to_string())),
        ("connection", record.connection.map(|it| it.to_string())),
        ("message", Some(text(record.message))),
        ("errno", record.errno.map(|it| it.to_string())),
        ("errno_text", record.errno_text.map(text)),
        ("action", record.action.map(text)),
        ("resolver", record.resolver.map(text)),
        ("responder", record.responder.map(text)),
        ("client", record.client.map(text)),
        ("server", record.server.map(text)),
        ("request", record.request.map(text)),
        ("subrequest", record.subrequest.map(text)),
        ("upstream", record.upstream.map(text)),
        ("scheme", record.scheme.map(str::to_owned)),
        ("peer", record.peer.as_ref().map(|it| it.clone().into_owned())),
        ("host", record.host.map(text)),
        ("referrer", record.referrer.map(text)),
    ];
    Line {
        kind: "error-log",
        fields: present(fields),
        symptom: record.symptom(),
        reason: None,
        event: None,
        errno: record.linux_errno().and_then(errno),
        status: None,
        truncated: record.truncated,
    }
}

fn of_stderr(record: StderrRecord) -> Line {
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    let fields = [
        ("level", record.level.map(|it| it.name().to_owned())),
        ("message", Some(text(record.message))),
        ("errno", record.errno.map(|it| it.to_string())),
        ("file", record.file.map(text)),
        ("line", record.line.map(|it| it.to_string())),
    ];
    Line {
        kind: "nginx-stderr",
        fields: present(fields),
        symptom: record.symptom(),
        reason: None,
        event: None,
        errno: record.errno.and_then(errno),
        status: None,
        truncated: false,
    }
}
