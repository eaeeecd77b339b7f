//! Helpers for tests of rules. A test starts from `Snapshot::quiet()` and changes one thing.

use snapshot::{ConfigFile, ConfigFiles, LogFile, LogKind, LogLine, LogLines, Reading, Reason, Snapshot};

use crate::report::{Finding, Report};

/// A log format with everything that helps.
pub const MAIN_FORMAT: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent rt=$request_time uct="$upstream_connect_time" uht="$upstream_header_time" urt="$upstream_response_time" ua="$upstream_addr" us="$upstream_status""#;

/// A value that was seen, now, somewhere.
pub fn seen<T>(value: T) -> Reading<T> {
    Reading::seen(value, "test", Snapshot::quiet().collected_at)
}

/// A value that may not be seen.
pub fn denied<T>() -> Reading<T> {
    Reading::unread(Reason::Denied, "test", "")
}

/// A host with that http{} body in its configuration.
pub fn configured(http: &str) -> Snapshot {
    let text = format!("events {{}}\nhttp {{\n{http}\n}}\n");
    let now = Snapshot::quiet().collected_at;
    let day = jiff::SignedDuration::from_hours(48);
    Snapshot::quiet().with(|it| {
        let file = ConfigFile {
            path: "/etc/nginx/nginx.conf".into(),
            text,
            modified_at: Some(now - day),
            changed_at: Some(now - day),
            unread: None,
        };
        let Reading::Seen(nginx) = &mut it.nginx else { return };
        nginx.value[0].config = seen(ConfigFiles { files: vec![file] });
    })
}

/// A host with one server that passes everything to `pass`, such as `proxy_pass http://127.0.0.1:8080`.
pub fn passing_to(pass: &str) -> Snapshot {
    configured(&format!(
        "server {{\nlisten 80;\nserver_name shop.example.com;\nlocation / {{\n{pass};\n}}\n}}"
    ))
}

/// Adds error-log lines. Each is what follows the time: `[error] 101#101: *1 connect() failed (111: …) while …`; they
/// are stamped one second apart, the last one ten seconds before the collection.
pub fn logged(snapshot: Snapshot, lines: &[&str]) -> Snapshot {
    let last = snapshot.collected_at - jiff::SignedDuration::from_secs(10);
    let count = lines.len();
    let entry = |(index, text): (usize, &&str)| {
        let at = last - jiff::SignedDuration::from_secs((count - index - 1) as i64);
        let stamp = jiff::tz::Offset::UTC.to_datetime(at).strftime("%Y/%m/%d %H:%M:%S");
        LogLine { line: index as u64 + 1, offset: 0, at, text: format!("{stamp} {text}") }
    };
    let lines: Vec<LogLine> = lines.iter().enumerate().map(entry).collect();
    let lines = LogLines { read_total: count as u64, last_at: Some(last), lines, ..LogLines::default() };
    snapshot.with(|it| {
        let log = LogFile {
            path: "/var/log/nginx/error.log".into(),
            kind: LogKind::Error,
            lines: seen(lines),
            nginx: 0,
        };
        it.logs.push(log);
    })
}

/// The usual line about a peer: `failed("connect() failed (111: Connection refused)", "connecting to upstream",
/// "http://127.0.0.1:8080/")`.
pub fn failed(message: &str, action: &str, upstream: &str) -> String {
    format!(
        "[error] 101#101: *7 {message} while {action}, client: 10.0.0.9, server: shop.example.com, \
         request: \"GET /cart HTTP/1.1\", upstream: \"{upstream}\", host: \"shop.example.com\""
    )
}

/// Adds access-log lines in `MAIN_FORMAT`: `(request line, status, ua, us, urt)`; stamped like `logged`.
pub fn requested(snapshot: Snapshot, lines: &[(&str, u16, &str, &str, &str)]) -> Snapshot {
    let last = snapshot.collected_at - jiff::SignedDuration::from_secs(10);
    let count = lines.len();
    let entry = |(index, (request, status, addr, upstream_status, time)): (
        usize,
        &(&str, u16, &str, &str, &str),
    )| {
        let at = last - jiff::SignedDuration::from_secs((count - index - 1) as i64);
        let stamp = jiff::tz::Offset::UTC.to_datetime(at).strftime("%d/%b/%Y:%H:%M:%S +0000");
        let text = format!(
            "10.0.0.9 - - [{stamp}] \"{request}\" {status} 150 rt=0.001 uct=\"{time}\" uht=\"{time}\" urt=\"{time}\" \
             ua=\"{addr}\" us=\"{upstream_status}\""
        );
        LogLine { line: index as u64 + 1, offset: 0, at, text }
    };
    let kept: Vec<LogLine> = lines.iter().enumerate().map(entry).collect();
    let mut statuses: Vec<(u16, u64)> = Vec::new();
    for (_, status, ..) in lines {
        match statuses.iter_mut().find(|(it, _)| it == status) {
            Some((_, count)) => *count += 1,
            None => statuses.push((*status, 1)),
        }
    }
    let lines = LogLines {
        read_total: count as u64,
        last_at: Some(last),
        lines: kept,
        statuses,
        ..LogLines::default()
    };
    snapshot.with(|it| {
        it.logs.push(LogFile {
            path: "/var/log/nginx/access.log".into(),
            kind: LogKind::Access {
                format: "main".into(),
                text: MAIN_FORMAT.into(),
                escape: "default".into(),
            },
            lines: seen(lines),
            nginx: 0,
        });
    })
}

/// The first cause and its certainty, as `id: certainty`; or the verdict when there is none.
pub fn first(report: &Report) -> String {
    match report.causes.first() {
        Some(it) => format!("{}: {:?}", it.cause.id, it.certainty).to_lowercase(),
        None => format!("{:?}", report.verdict).to_lowercase(),
    }
}

/// Diagnoses and compares the first answer: `backend-not-running: confirmed`, `healthy`.
#[track_caller]
pub fn check(snapshot: &Snapshot, expected: &str) -> Report {
    let report = crate::diagnose(snapshot);
    assert_eq!(first(&report), expected, "{}", outline(&report));
    report
}

/// Diagnoses and finds the reason why a cause was ruled out.
#[track_caller]
pub fn check_ruled_out(snapshot: &Snapshot, id: &str, because: &str) {
    let report = crate::diagnose(snapshot);
    let all = report.causes.iter().chain(&report.hidden).flat_map(|it| &it.ruled_out);
    let reasons: Vec<&str> = all.filter(|it| it.id == id).map(|it| it.because.as_str()).collect();
    assert!(reasons.iter().any(|it| it.contains(because)), "{id}: {reasons:?}\n{}", outline(&report));
}

/// Diagnoses and finds a blind spot that costs the cause.
#[track_caller]
pub fn check_blind(snapshot: &Snapshot, id: &str, what: &str) {
    let report = crate::diagnose(snapshot);
    let named = report.blind_spots.iter().any(|it| it.what == what && it.costs.contains(&id));
    assert!(named, "{:?}\n{}", report.blind_spots, outline(&report));
    assert!(!report.causes.iter().any(|it: &Finding| it.cause.id == id), "{}", outline(&report));
}

/// The report in a few lines, for failed assertions.
pub fn outline(report: &Report) -> String {
    let mut text = format!("{:?}: {}\n", report.verdict, report.summary);
    for finding in &report.causes {
        text += &format!("{} {:?} {}\n", finding.cause.id, finding.certainty, finding.summary);
        for it in &finding.evidence {
            text += &format!("    {:?} {}: {}\n", it.weight, it.source, it.says);
        }
        for it in &finding.ruled_out {
            text += &format!("    not {}: {}\n", it.id, it.because);
        }
    }
    for spot in &report.blind_spots {
        text += &format!("blind: {}: {} costs {:?}\n", spot.what, spot.why, spot.costs);
    }
    text
}

/// Adds a process with that command line in a unit of its own, and its listening socket: `127.0.0.1:8080` or
/// `unix:/run/app.sock`.
pub fn serving(host: &mut Snapshot, pid: u32, command: &str, address: &str) {
    let arguments: Vec<String> = command.split(' ').map(str::to_owned).collect();
    let program = arguments[0].trim_end_matches(':').rsplit('/').next().unwrap_or_default();
    let unit = format!("{program}-{pid}.service");
    let started_at = Some(host.collected_at - jiff::SignedDuration::from_hours(3));
    let process = snapshot::Process {
        pid,
        name: program.to_owned(),
        arguments,
        state: 'S',
        started_at,
        unit: Some(unit.clone()),
        ..snapshot::Process::default()
    };
    let unit = snapshot::Unit {
        name: unit,
        load_state: "loaded".into(),
        active_state: "active".into(),
        sub_state: "running".into(),
        main_pid: pid,
        main_started_at: started_at,
        exec_start: command.to_owned(),
        ..snapshot::Unit::default()
    };
    let Reading::Seen(processes) = &mut host.processes else { return };
    processes.value.push(process);
    let Reading::Seen(units) = &mut host.units else { return };
    units.value.push(unit);
    if let Some(path) = address.strip_prefix("unix:") {
        let Reading::Seen(sockets) = &mut host.net.unix_listeners else { return };
        sockets.value.push(snapshot::UnixListener {
            path: path.to_owned(),
            waiting: Some(0),
            backlog: Some(511),
            pids: vec![pid],
            inode: u64::from(pid),
            reachable: Some(true),
        });
    } else {
        let Reading::Seen(sockets) = &mut host.net.listeners else { return };
        sockets.value.push(snapshot::Listener {
            address: address.parse().unwrap(),
            v6_only: Some(false),
            waiting: 0,
            backlog: Some(511),
            pids: vec![pid],
            inode: u64::from(pid),
            uid: 33,
        });
    }
}

/// What was looked up for a peer: `sight(&mut host, "10.0.0.7:8080", |it| it.route = …)`.
pub fn sight(host: &mut Snapshot, peer: &str, change: impl FnOnce(&mut snapshot::PeerSight)) {
    let peer: snapshot::Peer = peer.parse().unwrap();
    let at = match host.peers.iter().position(|it| it.peer == peer) {
        Some(at) => at,
        None => {
            host.peers.push(snapshot::PeerSight::new(peer));
            host.peers.len() - 1
        }
    };
    change(&mut host.peers[at]);
}
/// A moment that many seconds before the collection.
pub fn ago(seconds: i64) -> jiff::Timestamp {
    Snapshot::quiet().collected_at - jiff::SignedDuration::from_secs(seconds)
}

/// Adds to a list that was read.
#[track_caller]
pub fn add<T>(list: &mut Reading<Vec<T>>, item: T) {
    let Reading::Seen(seen) = list else { panic!("the list may not be seen") };
    seen.value.push(item);
}

/// Changes a unit. One that is not there yet is made: loaded, enabled, and at rest since an hour.
#[track_caller]
pub fn unit(host: &mut Snapshot, name: &str, change: impl FnOnce(&mut snapshot::Unit)) {
    if !host.units.value().is_some_and(|all| all.iter().any(|it| it.name == name)) {
        let made = snapshot::Unit {
            name: name.to_owned(),
            load_state: "loaded".into(),
            active_state: "inactive".into(),
            sub_state: "dead".into(),
            file_state: "enabled".into(),
            result: "success".into(),
            inactive_since: Some(ago(3600)),
            fragment_path: format!("/etc/systemd/system/{name}"),
            restart: "no".into(),
            ..snapshot::Unit::default()
        };
        add(&mut host.units, made);
    }
    let Reading::Seen(units) = &mut host.units else { return };
    units.value.iter_mut().find(|it| it.name == name).map(change);
}

/// Adds journal entries of a unit: `(seconds before the collection, identifier, message)`.
#[track_caller]
pub fn journal(host: &mut Snapshot, unit: &str, entries: &[(i64, &str, &str)]) {
    for (seconds, identifier, message) in entries {
        let entry = snapshot::JournalEntry {
            at: ago(*seconds),
            unit: unit.to_owned(),
            identifier: (*identifier).to_owned(),
            pid: if *identifier == "systemd" { 1 } else { 900 },
            priority: 6,
            message: (*message).to_owned(),
        };
        add(&mut host.journal, entry);
    }
}

/// Adds a kernel message, that many seconds before the collection.
#[track_caller]
pub fn kernel(host: &mut Snapshot, seconds: i64, message: &str) {
    add(
        &mut host.kernel,
        snapshot::KernelMessage { at: ago(seconds), priority: 4, message: message.to_owned() },
    );
}

/// Adds a worker of a process that is there: the same program and unit, in that state.
#[track_caller]
pub fn worker(host: &mut Snapshot, master: u32, pid: u32, state: char) {
    let parent = host.processes.value().and_then(|all| all.iter().find(|it| it.pid == master)).cloned();
    let parent = parent.expect("the master comes first");
    add(&mut host.processes, snapshot::Process { pid, ppid: master, state, ..parent });
}

/// Changes a process.
pub fn process(host: &mut Snapshot, pid: u32, change: impl FnOnce(&mut snapshot::Process)) {
    let Reading::Seen(processes) = &mut host.processes else { return };
    processes.value.iter_mut().find(|it| it.pid == pid).map(change);
}

/// Lets that many connections wait in the queue of every listening socket.
pub fn queued(host: &mut Snapshot, waiting: u32) {
    if let Reading::Seen(sockets) = &mut host.net.listeners {
        sockets.value.iter_mut().for_each(|it| it.waiting = waiting);
    }
    if let Reading::Seen(sockets) = &mut host.net.unix_listeners {
        sockets.value.iter_mut().for_each(|it| it.waiting = Some(waiting));
    }
}

/// What a peer said to a greeting of ours.
pub fn greeted(host: &mut Snapshot, peer: &str, protocol: snapshot::Protocol, answer: snapshot::Answer) {
    let greeting = snapshot::Greeting { protocol, answer, detail: String::new() };
    sight(host, peer, |it| it.greetings.push(greeting));
}

/// Adds a PHP-FPM whose pool `www` listens at an address, with one child for each letter: `b` works on a request, `i`
/// waits for one, `?` does not let itself be looked at. Without children it does not run.
#[track_caller]
pub fn php_fpm(host: &mut Snapshot, listen: &str, settings: &[(&str, &str)], children: &str) {
    let runs = !children.is_empty();
    if runs {
        serving(host, 500, "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)", listen);
    }
    let mut pool = snapshot::PhpPool {
        name: "www".into(),
        file: "/etc/php/8.2/fpm/pool.d/www.conf".into(),
        listen: listen.to_owned(),
        ..snapshot::PhpPool::default()
    };
    let all = [("listen", listen)].into_iter().chain(settings.iter().copied());
    pool.settings = all.zip(4..).map(|((name, value), line)| (name.into(), value.into(), line)).collect();
    for (pid, letter) in (501..).zip(children.chars()) {
        worker(host, 500, pid, if letter == 'b' { 'R' } else { 'S' });
        process(host, pid, |it| it.arguments = vec!["php-fpm: pool www".into()]);
        let busy = (letter != '?').then_some(letter == 'b');
        let child = snapshot::PhpChild {
            pid,
            started_at: Some(ago(3600)),
            busy,
            state: if letter == 'b' { 'R' } else { 'S' },
            proportional_bytes: Some(32 << 20),
        };
        pool.children.push(child);
    }
    let fpm = snapshot::PhpFpm {
        master_pid: runs.then_some(500),
        started_at: runs.then(|| ago(3 * 3600)),
        version: "8.2".into(),
        config_path: "/etc/php/8.2/fpm/php-fpm.conf".into(),
        unit: Some(if runs { "php-fpm-500.service" } else { "php8.2-fpm.service" }.into()),
        error_log: "/var/log/php8.2-fpm.log".into(),
        pools: vec![pool],
        problems: Vec::new(),
    };
    add(&mut host.php_fpm, fpm);
}

/// Adds lines to PHP-FPM's own log: `(seconds before the collection, line)`.
pub fn php_log(host: &mut Snapshot, lines: &[(i64, &str)]) {
    let line = |(index, (seconds, text)): (usize, &(i64, &str))| LogLine {
        line: index as u64 + 1,
        offset: 0,
        at: ago(*seconds),
        text: (*text).to_owned(),
    };
    host.backend_logs.push(snapshot::BackendLog {
        path: "/var/log/php8.2-fpm.log".into(),
        server: "php-fpm".into(),
        owner: "php-fpm".into(),
        lines: seen(lines.iter().enumerate().map(line).collect()),
    });
}

/// Diagnoses and wants this cause nowhere in the report.
#[track_caller]
pub fn check_not(snapshot: &Snapshot, id: &str) {
    let report = crate::diagnose(snapshot);
    let named = report.causes.iter().chain(&report.hidden).any(|it| it.cause.id == id);
    assert!(!named, "{}", outline(&report));
}

/// Looks at the scene of a host.
pub fn with_scene<T>(snapshot: &Snapshot, look: impl FnOnce(&crate::scene::Scene) -> T) -> T {
    let config = crate::configuration(snapshot);
    let view = nginx_conf::View::new(&config, crate::version(snapshot));
    look(&crate::scene::Scene::new(snapshot, &config, &view))
}

/// Adds lines to auditd's log (`audit`) or to what syslog wrote of the kernel (`kernel`): `(seconds before the collection,
/// line)`.
pub fn system_log(host: &mut Snapshot, server: &str, lines: &[(i64, &str)]) {
    let line = |(seconds, text): &(i64, &str)| LogLine {
        line: 1,
        offset: 0,
        at: ago(*seconds),
        text: (*text).to_owned(),
    };
    host.backend_logs.push(snapshot::BackendLog {
        path: if server == "audit" { "/var/log/audit/audit.log" } else { "/var/log/kern.log" }.into(),
        server: server.to_owned(),
        owner: String::new(),
        lines: seen(lines.iter().map(line).collect()),
    });
}

/// The log lines of a host, and nothing else of it.
pub fn of_logs(host: Snapshot) -> Snapshot {
    let traffic = snapshot::Traffic::default();
    let mut logs = Snapshot::of_logs(host.window, traffic, host.logs, host.backend_logs);
    logs.journal = host.journal;
    logs.kernel = host.kernel;
    logs
}

/// Diagnoses the log lines of a host alone, and compares the first causes in their order.
#[track_caller]
pub fn check_lines(host: Snapshot, expected: &[&str]) -> Report {
    let report = crate::diagnose(&of_logs(host));
    let found: Vec<&str> = report.causes.iter().map(|it| it.cause.id).take(expected.len()).collect();
    assert_eq!(found, expected, "{}", outline(&report));
    report
}
