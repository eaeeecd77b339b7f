//! A log line that somebody pasted: the fields it holds and what nginx saw.

use diagnose::Cause;
use nginx_logs::Symptom;
use nginx_logs::access::{AccessRecord, Escape, Format};
use nginx_logs::errno::{Errno, errno};
use nginx_logs::error::{ErrorRecord, StderrRecord, parse, parse_stderr, strip_carrier};

/// A line and what it says.
#[derive(Debug)]
pub struct Line {
    /// `error-log`, `access-log` or `nginx-stderr`.
    pub kind: &'static str,
    /// Its fields by the names of `why502 parse`, in the order of the line; those that it does not have are absent.
    pub fields: Vec<(&'static str, String)>,
    /// What nginx saw; none when the line is no symptom.
    pub symptom: Option<Symptom>,
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
        let of =
            |wanted: &str| self.fields.iter().find(|(name, _)| *name == wanted).map(|(_, it)| it.as_str());
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

/// The formats that most access logs have. A line of another one is not understood without its `log_format`.
const FORMATS: [&str; 3] = [
    Format::COMBINED,
    // What is written behind the predefined fields, such as "$http_x_forwarded_for" of the packaged nginx.conf.
    r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $more"#,
    r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent"#,
];

/// Reads a line; none when it is of no log that is known here.
pub(super) fn read(text: &str) -> Option<Line> {
    let entry = &*strip_carrier(text.as_bytes());
    let in_format = |text: &&str| {
        let format = Format::compile(text, Escape::Default);
        format.parse(entry).and_then(of_access_log)
    };
    parse(entry)
        .map(of_error_log)
        .or_else(|| parse_stderr(entry).map(of_stderr))
        .or_else(|| FORMATS.iter().find_map(in_format))
}

fn of_access_log(record: AccessRecord) -> Option<Line> {
    // Any text fits a format of free fields: a time and a status tell an access log from that.
    record.time()?;
    let status = record.status()?;
    let names =
        ["remote_addr", "remote_user", "time_local", "request", "status", "body_bytes_sent", "http_referer"];
    let fields = names.into_iter().chain(["http_user_agent", "more"]);
    Some(Line {
        kind: "access-log",
        fields: fields.filter_map(|it| Some((it, record.get(it)?.into_owned()))).collect(),
        symptom: (status == 499).then_some(Symptom::ClientClosed),
        errno: None,
        status: Some(status),
        truncated: false,
    })
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
        fields: fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        symptom: record.symptom(),
        errno: record.errno.and_then(errno),
        status: None,
        truncated: false,
    }
}
