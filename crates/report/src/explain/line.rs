//! A log line that somebody pasted: the fields it holds and what nginx saw.

use nginx_logs::Symptom;
use nginx_logs::errno::{Errno, errno};
use nginx_logs::error::{ErrorRecord, StderrRecord, parse, parse_stderr, strip_carrier};

/// A line and what it says.
#[derive(Debug)]
pub struct Line {
    /// `error-log` or `nginx-stderr`.
    pub kind: &'static str,
    /// Its fields by the names of `why502 parse`, in the order of the line; those that it does not have are absent.
    pub fields: Vec<(&'static str, String)>,
    /// What nginx saw; none when the line is no symptom.
    pub symptom: Option<Symptom>,
    /// The errno in it, as Linux numbers it.
    pub errno: Option<Errno>,
    /// nginx cut the line at its limit.
    pub truncated: bool,
}

/// Reads a line; none when it is of no log that is known here.
pub(super) fn read(text: &str) -> Option<Line> {
    let entry = strip_carrier(text.as_bytes());
    parse(entry).map(of_error_log).or_else(|| parse_stderr(entry).map(of_stderr))
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
        fields: fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        symptom: record.symptom(),
        errno: record.linux_errno().and_then(errno),
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
        fields: fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        symptom: record.symptom(),
        errno: record.errno.and_then(errno),
        truncated: false,
    }
}
