//! Lines of the kernel, of systemd and of the security modules.

use super::{Event, EventKind, between, number_at};

pub(super) fn event(message: &str) -> Option<Event> {
    kernel(message).or_else(|| systemd(message)).or_else(|| security(message))
}

fn plain(kind: EventKind) -> Option<Event> {
    Some(Event { pid: None, kind })
}

fn kernel(message: &str) -> Option<Event> {
    if let Some(event) = oom_kill(message) {
        return Some(event);
    }
    if let Some((process, _)) = message.split_once("]: segfault at ") {
        let (comm, pid) = process.rsplit_once('[')?;
        return Some(Event { pid: pid.parse().ok(), kind: EventKind::Segfault { comm: comm.to_owned() } });
    }
    // arm64: `nginx[77]: unhandled level 2 translation fault (11) at 0x…`.
    if let Some((process, fault)) = message.split_once("]: unhandled ").filter(|it| it.1.contains("fault ("))
    {
        let (comm, pid) = process.rsplit_once('[')?;
        let kind = EventKind::Segfault { comm: comm.to_owned() };
        return (!fault.is_empty()).then(|| Event { pid: pid.parse().ok(), kind });
    }
    // `watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [php-fpm:77]`.
    if let Some((_, rest)) = message.split_once("BUG: soft lockup - CPU#").filter(|it| it.0.len() < 16) {
        let (stuck, process) = rest.split_once("! [")?;
        let (comm, pid) = process.strip_suffix(']')?.rsplit_once(':')?;
        let seconds = number_at(stuck.split_once("stuck for ")?.1)?;
        let kind = EventKind::TaskBlocked { comm: comm.to_owned(), seconds };
        return Some(Event { pid: pid.parse().ok(), kind });
    }
    if let Some(rest) = message.strip_prefix("traps: ") {
        let (process, fault) = rest.split_once("] ")?;
        let (comm, pid) = process.rsplit_once('[')?;
        let is_fault = fault.starts_with("general protection") || fault.starts_with("trap ");
        let kind = EventKind::Segfault { comm: comm.to_owned() };
        return is_fault.then(|| Event { pid: pid.parse().ok(), kind });
    }
    // `nf_conntrack: table full, dropping packet`; newer kernels name the network namespace in between.
    if message.contains("conntrack: table full")
        && message.ends_with("dropping packet")
        && message.len() < 100
    {
        return plain(EventKind::ConntrackFull);
    }
    if message.starts_with("TCP: ") || message.starts_with("Possible SYN flooding") {
        let (_, rest) = message.split_once("Possible SYN flooding on port ")?;
        // Since Linux 6.6 the address stands before the port.
        let word = rest.split(' ').next()?.trim_end_matches('.');
        let port = word.rsplit(':').next()?.parse().ok()?;
        return plain(EventKind::SynFlooding { port });
    }
    if let Some(rest) = message.strip_prefix("INFO: task ") {
        let (process, rest) = rest.split_once(" blocked for more than ")?;
        let (comm, pid) = process.rsplit_once(':')?;
        let kind = EventKind::TaskBlocked { comm: comm.to_owned(), seconds: number_at(rest)? };
        return Some(Event { pid: pid.parse().ok(), kind });
    }
    None
}

/// Source: oom_kill_process(), dump_oom_victim(), mm/oom_kill.c; before Linux 5.0 the wording was `Kill
/// process`.
fn oom_kill(message: &str) -> Option<Event> {
    if let Some(fields) = message.strip_prefix("oom-kill:") {
        // The name of a task can hold commas, so it is taken from the right.
        let (rest, _) = fields.rsplit_once(",uid=")?;
        let (rest, pid) = rest.rsplit_once(",pid=")?;
        let (rest, comm) = rest.split_once(",task=")?;
        let cgroup = rest.split_once("task_memcg=").map(|it| it.1.to_owned());
        let constraint = between(rest, "constraint=", ",").map(str::to_owned);
        let kind = EventKind::OomKill { comm: comm.to_owned(), cgroup, constraint };
        return Some(Event { pid: pid.parse().ok(), kind });
    }
    let (rest, constraint) = match message.strip_prefix("Memory cgroup out of memory: ") {
        Some(rest) => (rest, Some("CONSTRAINT_MEMCG")),
        None => match message.strip_prefix("Out of memory: ") {
            Some(rest) => (rest, Some("CONSTRAINT_NONE")),
            None => (message, None),
        },
    };
    let rest = rest.strip_prefix("Killed process ").or_else(|| rest.strip_prefix("Kill process "))?;
    let (pid, rest) = rest.split_once(' ')?;
    // Before the name's parenthesis ends, anything can stand; behind it come the sizes.
    let (name, _) = rest
        .split_once(") total-vm")
        .or_else(|| rest.split_once(") score "))
        .or_else(|| rest.rsplit_once(')'))?;
    // Red Hat's kernels before version 8: `Killed process 123, UID 48, (httpd)`.
    let name = name.strip_prefix("UID ").and_then(|it| it.split_once(", ")).map_or(name, |it| it.1);
    let comm = name.strip_prefix('(')?;
    let kind =
        EventKind::OomKill { comm: comm.to_owned(), cgroup: None, constraint: constraint.map(str::to_owned) };
    Some(Event { pid: Some(pid.trim_end_matches(',').parse().ok()?), kind })
}

const UNIT_TYPES: [&str; 7] = [".service", ".socket", ".scope", ".slice", ".mount", ".target", ".timer"];

fn is_unit(name: &str) -> bool {
    !name.contains(' ') && UNIT_TYPES.iter().any(|it| name.ends_with(it))
}

fn systemd(message: &str) -> Option<Event> {
    if let Some((unit, text)) = message.split_once(": ").filter(|(unit, _)| is_unit(unit)) {
        return about_unit(unit, text);
    }
    if let Some(event) = of_old_systemd(message).or_else(|| of_systemds_helpers(message)) {
        return Some(event);
    }
    if let Some(job) = message.strip_prefix("Dependency failed for ") {
        let (unit, description) = unit_and_description(job.strip_suffix('.')?);
        return plain(EventKind::StartFailed { unit, why: format!("a dependency of {description} failed") });
    }
    if let Some(job) = message.strip_prefix("Failed to start ") {
        let (unit, description) = unit_and_description(job.strip_suffix('.')?);
        return plain(EventKind::StartFailed { unit, why: format!("Failed to start {description}") });
    }
    let (verb, job) = message.split_once(' ')?;
    // A job that runs ends in three dots, a finished one in one.
    let job_text =
        |ending: &str| job.strip_suffix(ending).filter(|it| !it.ends_with('.')).map(unit_and_description);
    let running = |kind: fn(Option<String>, String) -> EventKind| {
        job_text("...")
            .or_else(|| job_text("\u{2026}"))
            .and_then(|(unit, description)| plain(kind(unit, description)))
    };
    let done = |kind: fn(Option<String>, String) -> EventKind| {
        job_text(".").and_then(|(unit, description)| plain(kind(unit, description)))
    };
    match verb {
        "Starting" => running(|unit, description| EventKind::UnitStarting { unit, description }),
        "Stopping" => running(|unit, description| EventKind::UnitStopping { unit, description }),
        "Reloading" => running(|unit, description| EventKind::UnitReloading { unit, description }),
        "Started" => done(|unit, description| EventKind::UnitStarted { unit, description }),
        "Stopped" => done(|unit, description| EventKind::UnitStopped { unit, description }),
        "Reloaded" => done(|unit, description| EventKind::UnitReloaded { unit, description }),
        _ => None,
    }
}

/// systemd before version 229, as in CentOS 7: the unit stands without a colon.
fn of_old_systemd(message: &str) -> Option<Event> {
    if let Some(unit) = message.strip_prefix("Unit ").and_then(|it| it.strip_suffix(" entered failed state."))
    {
        let kind = EventKind::UnitFailed { unit: unit.to_owned(), result: String::new() };
        return is_unit(unit).then_some(Event { pid: None, kind });
    }
    if let Some(unit) = message.strip_prefix("start request repeated too quickly for ") {
        let unit = unit.trim_end_matches('.');
        return is_unit(unit)
            .then(|| Event { pid: None, kind: EventKind::StartLimitHit { unit: unit.to_owned() } });
    }
    let (unit, text) = message.split_once(' ').filter(|it| is_unit(it.0))?;
    if text.starts_with("holdoff time over, scheduling restart") {
        return plain(EventKind::RestartScheduled { unit: unit.to_owned(), counter: None });
    }
    let timed_out = [
        ("start operation timed out", "start"),
        ("operation timed out", "start"),
        ("stop-", "stop"),
        ("stopping timed out", "stop"),
        ("watchdog timeout", "watchdog"),
    ];
    let (_, phase) = timed_out.iter().find(|it| text.starts_with(it.0)).filter(|_| text.contains("time"))?;
    plain(EventKind::UnitTimedOut { unit: unit.to_owned(), phase: (*phase).to_owned() })
}

/// systemd-oomd and systemd-coredump.
fn of_systemds_helpers(message: &str) -> Option<Event> {
    if let Some((path, _)) = message.strip_prefix("Killed /").and_then(|it| it.split_once(" due to memory "))
    {
        let unit = path.rsplit('/').next().unwrap_or(path);
        return plain(EventKind::UnitOomKill { unit: unit.to_owned() });
    }
    let (process, _) = message.strip_prefix("Process ")?.split_once(" dumped core.")?;
    let (pid, rest) = process.split_once(" (")?;
    let (comm, _) = rest.split_once(") of user ")?;
    Some(Event { pid: pid.parse().ok(), kind: EventKind::Segfault { comm: comm.to_owned() } })
}

/// `php8.2-fpm.service - The PHP FastCGI Process Manager`, or the description alone.
fn unit_and_description(text: &str) -> (Option<String>, String) {
    match text.split_once(" - ") {
        Some((unit, description)) if is_unit(unit) => (Some(unit.to_owned()), description.to_owned()),
        _ if is_unit(text) => (Some(text.to_owned()), text.to_owned()),
        _ => (None, text.to_owned()),
    }
}

/// Source: unit_log_*() and service_*() of systemd's core.
fn about_unit(unit: &str, text: &str) -> Option<Event> {
    let unit = unit.to_owned();
    // In small letters before version 229.
    for process in [
        "Main process exited, ",
        "Control process exited, ",
        "main process exited, ",
        "control process exited, ",
    ] {
        if let Some(rest) = text.strip_prefix(process) {
            let (code, status) = rest.strip_prefix("code=")?.split_once(", status=")?;
            return plain(EventKind::UnitExited { unit, code: code.to_owned(), status: status.to_owned() });
        }
    }
    if let Some(result) = between(text, "Failed with result '", "'") {
        return plain(EventKind::UnitFailed { unit, result: result.to_owned() });
    }
    if let Some(rest) = text.strip_prefix("Scheduled restart job") {
        let counter = rest.split_once("restart counter is at ").and_then(|it| number_at(it.1));
        return plain(EventKind::RestartScheduled { unit, counter });
    }
    // Version 229 to 235, and 236 to 240, which then say "Scheduled restart job" as well.
    if text == "Service hold-off time over, scheduling restart." {
        return plain(EventKind::RestartScheduled { unit, counter: None });
    }
    if text.starts_with("Start request repeated too quickly") {
        return plain(EventKind::StartLimitHit { unit });
    }
    if text.contains("killed by the OOM killer") {
        return plain(EventKind::UnitOomKill { unit });
    }
    let timed_out = [
        ("start operation timed out", "start"),
        ("Start operation timed out", "start"),
        ("stop operation timed out", "stop"),
        ("Stopping timed out", "stop"),
        ("State 'stop-sigterm' timed out", "stop"),
        ("State 'final-sigterm' timed out", "stop"),
        ("Watchdog timeout", "watchdog"),
    ];
    if let Some((_, phase)) = timed_out.iter().find(|(start, _)| text.starts_with(start)) {
        return plain(EventKind::UnitTimedOut { unit, phase: (*phase).to_owned() });
    }
    let refused = [
        "Failed to load environment files: ",
        "Failed to run 'start",
        "Failed at step ",
        "Failed to execute ",
        "Failed to locate executable ",
        "Unable to locate executable ",
        "Failed to set up mount namespacing",
        "Failed to listen on sockets: ",
        "Failed to create listening socket",
        "Failed to open ",
        "Changing to the requested working directory failed",
        "Failed to determine ",
    ];
    if refused.iter().any(|start| text.starts_with(start)) {
        return plain(EventKind::StartFailed { unit: Some(unit), why: text.to_owned() });
    }
    None
}

/// SELinux (`type=AVC msg=audit(…): avc:  denied`) and AppArmor (`audit: type=1400 audit(…):
/// apparmor="DENIED"`), from the audit log or the kernel's.
fn security(message: &str) -> Option<Event> {
    // setroubleshoot: `SELinux is preventing /usr/sbin/nginx from name_connect access on the tcp_socket port 8080.`
    if let Some((process, rest)) =
        message.strip_prefix("SELinux is preventing ").and_then(|it| it.split_once(" from "))
    {
        return prevented(process, rest);
    }
    let message = message.strip_prefix("audit: ").unwrap_or(message);
    // auditd's events of several hosts name the host first; the journal has no `type=`.
    let message = message.strip_prefix("node=").and_then(|it| it.split_once(' ')).map_or(message, |it| it.1);
    if !message.starts_with("type=") && !message.starts_with("avc:") && !message.starts_with("AVC ") {
        return None;
    }
    if message.starts_with("type=ANOM_ABEND ") {
        let kind = EventKind::Segfault { comm: field(message, "comm")? };
        return Some(Event { pid: field(message, "pid").and_then(|it| it.parse().ok()), kind });
    }
    if let Some((_, rest)) = message.split_once("avc:  denied  { ") {
        let (permissions, rest) = rest.split_once(" }")?;
        let of = |key| field(rest, key);
        let kind = EventKind::AvcDenied {
            permissions: permissions.split(' ').map(str::to_owned).collect(),
            comm: of("comm"),
            source_context: of("scontext"),
            target_context: of("tcontext"),
            class: of("tclass"),
            name: of("path").or_else(|| of("name")),
            port: of("dest").and_then(|it| it.parse().ok()),
            permissive: of("permissive").as_deref() == Some("1"),
        };
        return Some(Event { pid: of("pid").and_then(|it| it.parse().ok()), kind });
    }
    let (_, rest) = message.split_once("apparmor=\"DENIED\"")?;
    let of = |key| field(rest, key);
    let kind = EventKind::ApparmorDenied {
        profile: of("profile"),
        operation: of("operation"),
        name: of("name"),
        comm: of("comm"),
    };
    Some(Event { pid: of("pid").and_then(|it| it.parse().ok()), kind })
}

/// The words of setroubleshoot behind ` from `.
fn prevented(process: &str, rest: &str) -> Option<Event> {
    let (permission, target) = rest.split_once(" access on the ")?;
    let class = target.split(' ').next().map(str::to_owned);
    let port = target.split_once(" port ").and_then(|it| number_at(it.1));
    let name =
        target.split_once(' ').map(|it| it.1.trim_end_matches('.').to_owned()).filter(|_| port.is_none());
    let comm = process.rsplit('/').next().map(str::to_owned);
    plain(EventKind::AvcDenied {
        permissions: permission.split(", ").map(str::to_owned).collect(),
        comm,
        source_context: None,
        target_context: None,
        class,
        name,
        port,
        permissive: false,
    })
}

/// The value of ` key=value` or ` key="value"`.
fn field(text: &str, key: &str) -> Option<String> {
    let (_, value) = text.split_once(&format!(" {key}="))?;
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => value.split(' ').next()?,
    };
    Some(value.to_owned())
}
