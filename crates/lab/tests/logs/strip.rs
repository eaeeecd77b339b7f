//! A Snapshot without anything but its logs.

use jiff::Timestamp;
use nginx_logs::access::{Escape, Format};
use snapshot::{LogFile, LogKind, Reading, Snapshot, Traffic, Window};

/// Which logs an operator gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// nginx's logs and those of the application servers.
    Logs,
    /// Those, the journal and the kernel's log.
    Everything,
    /// nginx's logs alone.
    Nginx,
    /// nginx's error logs alone.
    Errors,
    /// Its access logs alone.
    Accesses,
    /// Its error logs, and its access logs as they are written by default: in `combined`.
    Combined,
    /// The access logs in `combined`, and nothing else.
    CombinedAlone,
    /// No log of nginx at all.
    Others,
}

impl Given {
    pub const ALL: &[Given] = &[
        Given::Logs,
        Given::Everything,
        Given::Nginx,
        Given::Errors,
        Given::Accesses,
        Given::Combined,
        Given::CombinedAlone,
        Given::Others,
    ];

    /// What is left of a Snapshot; none where that is nothing.
    pub fn of(self, snapshot: &Snapshot) -> Option<Snapshot> {
        let mut logs: Vec<LogFile> =
            snapshot.logs.iter().filter(|it| it.lines.value().is_some()).cloned().collect();
        for log in &mut logs {
            log.nginx = 0;
        }
        let is_error = |it: &LogFile| it.kind == LogKind::Error;
        match self {
            Given::Errors => logs.retain(is_error),
            Given::Accesses => logs.retain(|it| !is_error(it)),
            Given::CombinedAlone => logs.retain(|it| !is_error(it)),
            Given::Others => logs.clear(),
            Given::Logs | Given::Everything | Given::Nginx | Given::Combined => {}
        }
        if matches!(self, Given::Combined | Given::CombinedAlone) {
            logs.iter_mut().for_each(combined);
        }
        let others = matches!(self, Given::Logs | Given::Everything | Given::Others);
        let backend_logs = if others { snapshot.backend_logs.clone() } else { Vec::new() };
        let mut stripped = Snapshot::of_logs(snapshot.window, traffic(&logs), logs, backend_logs);
        if matches!(self, Given::Everything | Given::Others) {
            if snapshot.journal.value().is_some() {
                stripped.journal = snapshot.journal.clone();
            }
            if snapshot.kernel.value().is_some() {
                stripped.kernel = snapshot.kernel.clone();
            }
        }
        let times = times(&stripped);
        let window = Window { from: *times.iter().min()?, to: *times.iter().max()? };
        (stripped.window, stripped.collected_at) = (window, window.to);
        Some(stripped)
    }
}

/// The time of every line.
fn times(snapshot: &Snapshot) -> Vec<Timestamp> {
    let mut times = Vec::new();
    for lines in snapshot.logs.iter().filter_map(|it| it.lines.value()) {
        times.extend(lines.lines.iter().map(|it| it.at));
    }
    for lines in snapshot.backend_logs.iter().filter_map(|it| it.lines.value()) {
        times.extend(lines.iter().map(|it| it.at));
    }
    times.extend(snapshot.journal.value().into_iter().flatten().map(|it| it.at));
    times.extend(snapshot.kernel.value().into_iter().flatten().map(|it| it.at));
    times
}

/// The sums, as far as the lines that a capture keeps tell them.
fn traffic(logs: &[LogFile]) -> Traffic {
    let mut traffic = Traffic { step_seconds: 60, ..Traffic::default() };
    for lines in logs.iter().filter_map(|it| it.lines.value()) {
        for (status, count) in &lines.statuses {
            traffic.requests += count;
            *traffic.statuses.entry(*status).or_default() += count;
        }
    }
    traffic
}

/// Writes an access log anew in the predefined format.
fn combined(log: &mut LogFile) {
    let LogKind::Access { text, escape, .. } = &mut log.kind else { return };
    let kind = match escape.as_str() {
        "json" => Escape::Json,
        "none" => Escape::None,
        _ => Escape::Default,
    };
    let format = Format::compile(text, kind);
    let Reading::Seen(lines) = &mut log.lines else { return };
    for line in &mut lines.value.lines {
        let record = format.parse(line.text.as_bytes());
        let get = |name: &str| {
            let value = record.as_ref().and_then(|it| it.get(name)).map(|it| it.to_string());
            value.unwrap_or_else(|| "-".to_owned())
        };
        let at = record.as_ref().and_then(|it| it.time()).unwrap_or(line.at);
        let stamp = at.strftime("%d/%b/%Y:%H:%M:%S +0000");
        let status = record.as_ref().and_then(|it| it.status()).unwrap_or(0);
        line.text = format!(
            "{} - - [{stamp}] \"{}\" {status:03} {} \"-\" \"{}\"",
            get("remote_addr"),
            get("request"),
            get("body_bytes_sent"),
            get("http_user_agent")
        );
    }
    for it in &mut lines.value.successes {
        it.upstream.clear();
        it.server.clear();
        it.slowest_seconds = None;
    }
    *text = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \
             \"$http_referer\" \"$http_user_agent\""
        .to_owned();
    *escape = "default".to_owned();
}
