//! Single failures, read from the lines that the Snapshot keeps, and joined across the two logs.
//!
//! The error log holds no status and the access log no reason: an entry of one is matched with the request of the
//! other by request line, client and time. What stays alone is still a failure.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use nginx_conf::{LogDestination, View};
use nginx_logs::access::{Attempt, Escape, Format};
use nginx_logs::{Symptom, error};
use snapshot::{LogFile, LogKind, LogLine, Peer, Snapshot};

/// How far apart the two logs may stamp the same request: both use nginx's cached clock, the error line is written when
/// the try fails, the access line when the request ends. A later try can take long, but then it has its own line.
const JOIN_WITHIN: SignedDuration = SignedDuration::from_secs(2);

/// One entry of an error log that says that something failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// What nginx saw.
    pub symptom: Symptom,
    /// The errno it gave, if any.
    pub errno: Option<i32>,
    /// The message without errno and context.
    pub message: String,
    /// What nginx was doing: `connecting to upstream` …
    pub action: String,
    /// Pid of the worker.
    pub pid: u32,
    /// Serial of the client's connection.
    pub connection: Option<u64>,
    /// The peer, or the group's name.
    pub peer: Option<Peer>,
    /// `http`, `fastcgi` …; empty without a peer.
    pub scheme: String,
    /// `server_name` of the server.
    pub server: String,
    /// Host header.
    pub host: String,
    /// Client address.
    pub client: String,
    /// The request line; empty when there was none.
    pub request: String,
    /// Method.
    pub method: String,
    /// Path of the request, or of the subrequest where it is one; without arguments.
    pub path: String,
    /// It happened in a subrequest.
    pub subrequest: bool,
    /// `file:line`.
    pub reference: String,
    /// The entry.
    pub line: String,
    /// Index of the request in the access log, when it was found there.
    pub access: Option<usize>,
}

/// One request of an access log that failed, or needed more than one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// When it was logged, which is when it ended.
    pub at: Timestamp,
    /// What the client got.
    pub status: u16,
    /// The request line.
    pub request: String,
    /// Method.
    pub method: String,
    /// Path without arguments.
    pub path: String,
    /// Client address.
    pub client: String,
    /// `$host`, `$http_host` or `$server_name`, when the format has one.
    pub host: String,
    /// Seconds from the first byte of the request to the last of the answer.
    pub request_time: Option<f64>,
    /// The tries; empty when no upstream was asked, and when the format does not tell.
    pub attempts: Vec<Attempt>,
    /// Whether the format tells about upstreams at all.
    pub tells_upstream: bool,
    /// Whether it tells how far each attempt got.
    pub tells_times: bool,
    /// `file:line`.
    pub reference: String,
    /// The line.
    pub line: String,
    /// Whether an error-log entry was joined to it.
    pub explained: bool,
    /// Index of its log in the Snapshot.
    pub log: usize,
    /// Where the format tells nothing about upstreams: the passes that its path can have led to, as indices into the view's.
    pub passes: Vec<usize>,
    /// It was our own request, of which no log tells.
    pub trial: bool,
}

impl Access {
    /// Whether the client got an error.
    pub fn failed(&self) -> bool {
        self.status >= 500 || self.status < 100 || self.status == 413 || self.status == 499
    }

    /// The last try.
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }
}

/// Everything that failed in the window.
#[derive(Debug, Default)]
pub struct Failures {
    /// Entries of error logs.
    pub entries: Vec<Failure>,
    /// Requests of access logs.
    pub accesses: Vec<Access>,
    /// nginx's own entries without a symptom that rules look at: notices of starts and reloads, configuration errors.
    pub notices: Vec<Notice>,
}

/// What nginx says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// When.
    pub at: Timestamp,
    /// Level.
    pub level: error::Level,
    /// The errno it gave, if any.
    pub errno: Option<i32>,
    /// The message.
    pub message: String,
    /// The request line, where it is about a request that nginx did not pass to an upstream; empty otherwise.
    pub request: String,
    /// `file:line`.
    pub reference: String,
    /// Pid that wrote it; 0 when unknown.
    pub pid: u32,
}

impl Notice {
    /// Whether it says why nginx itself answered that request with an error.
    pub fn explains(&self, access: &Access) -> bool {
        let near = self.at.duration_since(access.at).abs() <= SignedDuration::from_secs(2);
        near && self.level <= error::Level::Error
            && !self.request.is_empty()
            && self.request == access.request
    }
}

/// Reads the lines of the Snapshot.
pub fn read(snapshot: &Snapshot) -> Failures {
    let mut all = Failures::default();
    let sockets: Vec<&str> = snapshot
        .peers
        .iter()
        .filter_map(|it| match &it.peer {
            Peer::Unix(path) => Some(path.as_str()),
            _ => None,
        })
        .collect();
    for (index, log) in snapshot.logs.iter().enumerate() {
        let Some(lines) = log.lines.value() else { continue };
        match &log.kind {
            LogKind::Error => {
                for line in &lines.lines {
                    read_error(&mut all, log, line, snapshot, &sockets);
                }
            }
            LogKind::Access { text, escape, .. } => {
                let escape = match escape.as_str() {
                    "json" => Escape::Json,
                    "none" => Escape::None,
                    _ => Escape::Default,
                };
                let format = Format::compile(text, escape);
                all.accesses
                    .extend(lines.lines.iter().filter_map(|line| read_access(&format, log, index, line)));
            }
        }
    }
    crate::trial::add(&mut all, snapshot);
    all.entries.sort_by_key(|it| it.at);
    all.accesses.sort_by_key(|it| it.at);
    all.notices.sort_by_key(|it| it.at);
    all.notices.dedup_by(|a, b| a.message == b.message && a.pid == b.pid && a.level == b.level);
    join(&mut all);
    all
}

fn reference(log: &LogFile, line: &LogLine) -> String {
    // The journal and what a container's engine keeps have no lines to count.
    match (line.line, log.path.starts_with("journal:") || log.path.starts_with("container:")) {
        (_, true) => log.path.clone(),
        (0, _) => format!("{} at byte {}", log.path, line.offset),
        (number, _) => format!("{}:{number}", log.path),
    }
}

fn text(bytes: Option<&[u8]>) -> String {
    bytes.map(|it| String::from_utf8_lossy(it).into_owned()).unwrap_or_default()
}

/// The path of a URI: without arguments.
pub fn path_of(uri: &str) -> String {
    uri.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// The name in "x could not be resolved (3: Host not found)" and "no resolver defined to resolve x".
fn unresolved_name(message: &str) -> Option<&str> {
    let name = match message.split_once(" could not be resolved") {
        Some((name, _)) => name,
        None => message.strip_prefix("no resolver defined to resolve ")?,
    };
    name.split_whitespace().next_back()
}

fn read_error(all: &mut Failures, log: &LogFile, line: &LogLine, snapshot: &Snapshot, sockets: &[&str]) {
    let Some(record) = error::parse(line.text.as_bytes()) else {
        if let Some(stderr) = error::parse_stderr(line.text.as_bytes()) {
            all.notices.push(Notice {
                at: line.at,
                level: stderr.level.unwrap_or(error::Level::Error),
                errno: stderr.errno,
                message: text(Some(stderr.message)),
                request: String::new(),
                reference: reference(log, line),
                pid: 0,
            });
        }
        return;
    };
    // Error logs have no zone; the collector knew whose clock it was.
    let at = line.at;
    if !snapshot.window.contains(at) {
        return;
    }
    let message = text(Some(record.message));
    let Some(symptom) = record.symptom() else {
        all.notices.push(Notice {
            at,
            level: record.level,
            errno: record.linux_errno(),
            message,
            request: if record.upstream.is_none() { text(record.request) } else { String::new() },
            reference: reference(log, line),
            pid: record.pid,
        });
        return;
    };
    if symptom == Symptom::ConfigEmerg || symptom == Symptom::WorkerExit {
        all.notices.push(Notice {
            at,
            level: record.level,
            errno: record.linux_errno(),
            message: message.clone(),
            request: String::new(),
            reference: reference(log, line),
            pid: record.pid,
        });
    }
    let peer = match record.peer_among(sockets) {
        Some(it) => it.parse().ok(),
        None => unresolved_name(&message).map(|name| Peer::Name { host: name.to_owned(), port: 0 }),
    };
    let uri = text(record.subrequest.or(record.path));
    all.entries.push(Failure {
        at,
        symptom,
        errno: record.linux_errno(),
        message,
        action: text(record.action),
        pid: record.pid,
        connection: record.connection,
        peer,
        scheme: record.scheme.unwrap_or_default().to_owned(),
        server: text(record.server),
        host: text(record.host),
        client: text(record.client),
        request: text(record.request),
        method: text(record.method),
        path: path_of(&uri),
        subrequest: record.subrequest.is_some(),
        reference: reference(log, line),
        line: line.text.clone(),
        access: None,
    });
}

fn read_access(format: &Format, log: &LogFile, index: usize, line: &LogLine) -> Option<Access> {
    let record = format.parse(line.text.as_bytes())?;
    let get =
        |name: &str| record.get(name).map(|it| it.to_string()).filter(|it| it != "-").unwrap_or_default();
    let parts = record.request();
    let part = |it: Option<std::borrow::Cow<str>>| it.map(|it| it.into_owned()).unwrap_or_default();
    let (method, uri, protocol) = (part(parts.method), part(parts.path), part(parts.protocol));
    let request = match get("request") {
        empty if empty.is_empty() => format!("{method} {uri} {protocol}"),
        full => full,
    };
    let host = ["host", "http_host", "server_name"].iter().map(|it| get(it)).find(|it| !it.is_empty());
    Some(Access {
        at: record.time().unwrap_or(line.at),
        status: record.status()?,
        path: path_of(&uri),
        method,
        client: get("remote_addr"),
        host: host.unwrap_or_default(),
        request_time: record.request_time(),
        attempts: record.upstreams(),
        tells_upstream: format.variables().any(|it| it == "upstream_addr" || it == "upstream_status"),
        tells_times: ["upstream_connect_time", "upstream_header_time"]
            .iter()
            .all(|it| format.variables().any(|has| has == *it)),
        request,
        reference: reference(log, line),
        line: line.text.clone(),
        explained: false,
        log: index,
        passes: Vec::new(),
        trial: false,
    })
}

/// Routes the requests of logs whose format tells nothing about upstreams, so that an answer can be told from a static
/// file. Only the servers that write to a log are asked.
pub fn route(failures: &mut Failures, snapshot: &Snapshot, view: &View) {
    let mute: HashSet<usize> =
        failures.accesses.iter().filter(|it| !it.tells_upstream).map(|it| it.log).collect();
    let writes_to = |server: usize, path: &str| {
        let targets = view.access_logs_at(Some(server), None);
        targets.iter().any(|it| match &it.to {
            LogDestination::File(file) => file.as_os_str() == path,
            LogDestination::Variable(written) => fits(written, path),
            _ => false,
        })
    };
    for index in mute {
        let path = &snapshot.logs[index].path;
        let servers = (0..view.servers().len()).filter(|it| writes_to(*it, path)).take(MOST_SERVERS);
        let servers: Vec<usize> = servers.collect();
        let mut known: HashMap<String, Vec<usize>> = HashMap::new();
        for access in failures.accesses.iter_mut().filter(|it| it.log == index && !it.tells_upstream) {
            let routed = known.entry(access.path.clone()).or_insert_with(|| {
                let routes = servers.iter().map(|it| view.route_in(*it, &access.path));
                let passes =
                    routes.flat_map(|it| [it.pass, it.fallback.and_then(|(_, pass)| pass)]).flatten();
                passes.filter_map(|pass| view.passes().iter().position(|it| std::ptr::eq(it, pass))).collect()
            });
            access.passes.clone_from(routed);
        }
    }
}

/// Whether a path with variables can be this one: its constant parts stand there in their order. It may be relative.
fn fits(written: &str, path: &str) -> bool {
    let name = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '{' | '}');
    let mut parts = written.split('$').enumerate().map(|(index, part)| match index {
        0 => part,
        _ => part.trim_start_matches(name),
    });
    let Some(mut rest) = parts.next().and_then(|first| Some(path.split_once(first)?.1)) else { return false };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

/// A log that more servers share says nothing about which of them wrote a line.
const MOST_SERVERS: usize = 50;

/// Matches error entries with requests. Several entries may belong to one request (one for each try).
fn join(all: &mut Failures) {
    let mut by_request: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, access) in all.accesses.iter().enumerate() {
        by_request.entry(access.request.as_str()).or_default().push(index);
    }
    let mut taken: HashMap<usize, ((u32, Option<u64>), usize)> = HashMap::new();
    let mut joined: Vec<(usize, usize)> = Vec::new();
    for (index, entry) in all.entries.iter().enumerate() {
        let Some(candidates) = by_request.get(entry.request.as_str()).filter(|_| !entry.request.is_empty())
        else {
            continue;
        };
        // Entries of one connection's request share it; another connection needs another access line.
        let owner = (entry.pid, entry.connection);
        let same = |it: &usize| taken.get(it).is_none_or(|(it, _)| *it == owner);
        // A connection that is kept alive carries many requests: each has its own time, and one entry for each try.
        let full = |it: &usize| {
            let access = &all.accesses[*it];
            access.tells_upstream
                && taken.get(it).is_some_and(|(_, entries)| *entries >= access.attempts.len().max(1))
        };
        let fit = |it: &usize| {
            let access = &all.accesses[*it];
            (unlikeness(entry, access), full(it), access.at.duration_since(entry.at).abs())
        };
        let begin =
            candidates.partition_point(|it| all.accesses[*it].at < entry.at - SignedDuration::from_secs(1));
        let near =
            candidates[begin..].iter().take_while(|it| all.accesses[**it].at <= entry.at + JOIN_WITHIN);
        let best = near.filter(|it| same(it)).min_by_key(|it| fit(it));
        if let Some(&access) = best.filter(|it| unlikeness(entry, &all.accesses[**it]) < NO_MATCH) {
            taken.entry(access).or_insert((owner, 0)).1 += 1;
            joined.push((index, access));
        }
    }
    for (entry, access) in joined {
        all.entries[entry].access = Some(access);
        all.accesses[access].explained = true;
    }
}

const NO_MATCH: u8 = 9;

/// How badly a request of the same request line and time fits an error entry. A request that went well in its only try
/// can only belong to an entry that came after its header was sent.
fn unlikeness(entry: &Failure, access: &Access) -> u8 {
    let peer = entry.peer.as_ref().map(Peer::to_string);
    let tried = access.attempts.iter().any(|it| it.addr == peer);
    let late = entry.action.contains("reading upstream") || entry.action.contains("to client");
    match (access.failed(), access.attempts.len(), access.tells_upstream) {
        (true, ..) if tried || !access.tells_upstream || peer.is_none() => 0,
        (false, 2.., _) if tried => 1,
        (true, ..) => 2,
        (false, ..) if late => 3,
        (false, _, false) => 4,
        // A file of the site that nginx may not read ends in its own 403, and no upstream has to do with it.
        (false, 0, true) if entry.symptom == Symptom::PermissionDenied => 4,
        _ => NO_MATCH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Reading;

    const REFUSED: &str = "connect() failed (111: Connection refused)";
    const CONNECTING: &str = "connecting to upstream";
    const BAD: (&str, u16, &str, &str, &str) = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8080", "502", "0.000");

    fn host() -> Snapshot {
        passing_to("proxy_pass http://127.0.0.1:8080")
    }

    fn refused() -> String {
        failed(REFUSED, CONNECTING, "http://127.0.0.1:8080/cart")
    }

    /// For each entry, the request that it was joined with.
    #[track_caller]
    fn joined(snapshot: &Snapshot, expected: &[Option<usize>]) {
        let found: Vec<_> = read(snapshot).entries.iter().map(|it| it.access).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_entry_finds_its_request() {
        joined(&requested(logged(host(), &[&refused()]), &[BAD]), &[Some(0)]);
    }

    #[test]
    fn requests_of_a_kept_alive_connection_are_told_apart_by_their_time() {
        let line = refused();
        joined(
            &requested(logged(host(), &[&line, &line, &line]), &[BAD, BAD, BAD]),
            &[Some(0), Some(1), Some(2)],
        );
    }

    #[test]
    fn the_tries_of_one_request_share_it() {
        let first = failed(REFUSED, CONNECTING, "http://127.0.0.1:8081/cart");
        let snapshot = logged(logged(host(), &[&first]), &[&refused()]);
        let twice = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8081, 127.0.0.1:8080", "502, 502", "0.000, 0.000");
        joined(&requested(snapshot, &[twice]), &[Some(0), Some(0)]);
    }

    #[test]
    fn another_client_s_connection_needs_a_request_of_its_own() {
        let other = refused().replace("*7 ", "*8 ");
        joined(&requested(logged(logged(host(), &[&refused()]), &[&other]), &[BAD]), &[Some(0), None]);
    }

    #[test]
    fn a_request_that_went_well_at_once_did_not_fail() {
        let good = ("GET /cart HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.004");
        joined(&requested(logged(host(), &[&refused()]), &[good]), &[None]);
    }

    #[test]
    fn a_file_that_nginx_may_not_read_is_a_403_and_no_failure_of_a_gateway() {
        let line = "[error] 100#100: *7 open() \"/srv/cart\" failed (13: Permission denied), client: 10.0.0.9, server: \
                    shop.example.com, request: \"GET /cart HTTP/1.1\", host: \"shop.example.com\"";
        let snapshot = requested(logged(host(), &[line]), &[("GET /cart HTTP/1.1", 403, "-", "-", "-")]);
        joined(&snapshot, &[Some(0)]);
        check(&snapshot, "healthy");
    }

    #[test]
    fn a_request_long_after_the_entry_is_another_one() {
        let quiet = "[notice] 100#100: signal process started";
        joined(&requested(logged(host(), &[&refused(), quiet, quiet, quiet, quiet]), &[BAD]), &[None]);
    }

    #[test]
    fn a_path_with_variables_is_known_by_its_constant_parts() {
        assert!(fits("/var/log/nginx/$host.access.log", "/var/log/nginx/a.test.access.log"));
        assert!(fits("logs/${host}_$server_port.log", "/srv/web/logs/a.test_80.log"));
        assert!(!fits("/var/log/nginx/$host.access.log", "/var/log/nginx/error.log"));
        assert!(!fits("/srv/$host.log", "/var/log/a.log"));
    }

    #[test]
    fn an_entry_has_the_time_that_the_collector_read() {
        let line = refused();
        let plain = logged(host(), &[&line]);
        assert_eq!(read(&plain).entries[0].at, ago(10));
        let earlier = plain.with(|it| {
            let Reading::Seen(lines) = &mut it.logs[0].lines else { return };
            lines.value.lines[0].at = ago(7200);
        });
        assert!(read(&earlier).entries.is_empty());
    }

    #[test]
    fn a_name_that_nobody_knows_is_a_peer_by_name() {
        let line = "[error] 101#101: *7 app.internal could not be resolved (3: Host not found), client: 10.0.0.9, server: \
                    shop.example.com, request: \"GET / HTTP/1.1\", host: \"shop.example.com\"";
        let peer = read(&logged(host(), &[line])).entries[0].peer.clone();
        assert_eq!(peer, Some(Peer::Name { host: "app.internal".into(), port: 0 }));
        assert_eq!(unresolved_name("no resolver defined to resolve app.internal"), Some("app.internal"));
        assert_eq!(unresolved_name("something else"), None);
    }

    #[test]
    fn a_subrequest_fails_on_its_own_path() {
        let line = refused().replace("upstream: ", "subrequest: \"/auth\", upstream: ");
        let entry = read(&logged(host(), &[&line])).entries.remove(0);
        assert_eq!((entry.path.as_str(), entry.subrequest), ("/auth", true));
    }

    #[test]
    fn lines_of_any_shape_are_read_or_passed_over() {
        let shapes = [
            "",
            " ",
            "[error]",
            "[error] 1#1:",
            "\u{0}\u{1}",
            "[error] 1#1: *1 ",
            "nginx: [emerg] x",
            "[crit] 9#9: *9 ☃",
        ];
        let snapshot =
            requested(logged(host(), &shapes), &[("", 0, "", "", ""), ("\\x16\\x03", 400, "-", "-", "-")]);
        assert!(read(&snapshot).entries.is_empty());
        crate::diagnose(&snapshot);
    }
}
