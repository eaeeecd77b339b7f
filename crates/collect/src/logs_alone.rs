//! Logs read for themselves, instead of a host: counted whole, with the lines worth quoting kept, as a Snapshot that any
//! diagnosis takes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use nginx_conf::LogDestination;
use nginx_logs::access::Format;
use nginx_logs::{Carrier, Kind, Program, error, zone_from_requests};
use snapshot::{
    BackendLog, JournalEntry, KernelMessage, LogFile, LogKind, LogLine, LogSource, Nginx, Reading, Snapshot,
    Traffic, Window,
};
use traffic::{By, Kept, Options, Scanner, StatusFilter, Tally};

use crate::host::clock::Clock;
use crate::host::processes::Proc;
use crate::host::users::Users;
use crate::input::{self, Ask, End, Input, PassedOver, Progress, Source, Unreadable};
use crate::logs::{compile, escape_name};
use crate::nginx::{self, Instance, Wanted};

/// Logs of more bytes are not read a second time.
const MOST_BYTES_TWICE: u64 = 1 << 30;

/// The priority of a line that tells none: that of a notice.
const UNTOLD: u8 = 5;

/// Which logs, and what is asked of them.
#[derive(Debug, Clone, Default)]
pub struct LogRequest {
    /// Files, directories, `-`, `journal:UNIT`; none for the logs that this host's nginx is configured to write.
    pub names: Vec<String>,
    /// Lines before it do not count.
    pub since: Option<Timestamp>,
    /// Lines after it do not count.
    pub until: Option<Timestamp>,
    /// A configuration whose formats and locations belong to the logs.
    pub config: Option<PathBuf>,
    /// Formats that the operator named.
    pub formats: Vec<Format>,
    /// The zone of logs that name none; none for that of this host.
    pub zone: Option<TimeZone>,
    /// Breakdowns of all requests.
    pub by: Vec<By>,
    /// Only requests with these statuses count.
    pub statuses: Option<StatusFilter>,
}

/// What came of it.
#[derive(Debug)]
pub struct LogsRead {
    /// The logs alone.
    pub snapshot: Snapshot,
    /// Those that could not be read at all.
    pub unreadable: Vec<Unreadable>,
    /// Files where logs lie that were not read, and why.
    pub passed_over: Vec<PassedOver>,
}

/// Reads logs. A stop in `progress` ends early, with what was read so far.
pub fn read_logs(request: &LogRequest, progress: &Progress) -> LogsRead {
    let started = Instant::now();
    let clock = Clock::now();
    let logs = Logs::find(&request.names, request.config.clone());
    let told = request.zone.clone().or(logs.zone);
    let is_told = told.is_some();
    let zone = told.unwrap_or_else(|| clock.zone.clone());
    let formats = request.formats.iter().cloned().chain(logs.formats).collect();
    let ask =
        Ask { names: logs.names, since: request.since, until: request.until, formats, zone: zone.clone() };
    let (input, unreadable) = input::open(&ask);

    let window = window(request.since, request.until);
    let mut options = Options {
        window,
        zone,
        by: request.by.clone(),
        statuses: request.statuses.clone(),
        now: Some(request.until.map_or(clock.now, |it| it.min(clock.now))),
        ..Options::default()
    };
    let (mut traffic, mut kept) = count(&input, &options, progress);
    if !is_told
        && let Some(zone) = other_zone(&kept, &options.zone).filter(|_| is_read_again(&input, &traffic))
    {
        options.zone = zone;
        (traffic, kept) = count(&input, &options, progress);
    }
    let zone = options.zone;
    let carriers: Vec<Carrier> = input.sources().iter().map(|it| it.shape.carrier).collect();
    let mut snapshot = assemble(traffic, kept, &carriers, window, &clock);
    snapshot.elapsed_seconds = started.elapsed().as_secs_f64();
    snapshot.host.utc_offset_seconds = zone.to_offset(snapshot.collected_at).seconds();
    if !logs.nginx.is_empty() {
        snapshot.nginx = Reading::seen(logs.nginx, "the configuration", clock.now);
    }
    let passed_over = input.passed_over().to_vec();
    LogsRead { snapshot, unreadable, passed_over }
}

/// Logs by name, and what is known of them before they are opened.
#[derive(Debug, Default)]
pub struct Logs {
    /// Those that were named, or else those that nginx writes, as this host sees them. Empty where there are none.
    pub names: Vec<String>,
    /// The formats of access logs that the configuration has.
    pub formats: Vec<Format>,
    /// The zone that nginx writes times in; none where no configuration was read.
    pub zone: Option<TimeZone>,
    nginx: Vec<Nginx>,
}

impl Logs {
    /// Those with these names. Without any, those of the nginx that runs or is installed here, or of the one with that
    /// configuration.
    pub fn find(names: &[String], config: Option<PathBuf>) -> Logs {
        if config.is_none() && !names.is_empty() {
            return Logs { names: names.to_vec(), ..Logs::default() };
        }
        let clock = Clock::now();
        let instances = instances(config, &clock);
        let mut logs = Logs { zone: instances.first().map(|it| it.zone.clone()), ..Logs::default() };
        for instance in &instances {
            let view = instance.view();
            for log in view.error_logs().iter().chain(view.access_logs()) {
                if let LogDestination::File(path) = &log.to {
                    let path = instance.root.join(path.strip_prefix("/").unwrap_or(path));
                    let path = path.display().to_string();
                    if !logs.names.contains(&path) {
                        logs.names.push(path);
                    }
                }
                let format = view.log_format(&log.format).filter(|_| !log.format.is_empty());
                if let Some(format) = format.map(|it| compile(&it.text, escape_name(it.escape)))
                    && !logs.formats.contains(&format)
                {
                    logs.formats.push(format);
                }
            }
        }
        if !names.is_empty() {
            logs.names = names.to_vec();
        }
        logs.nginx = instances.into_iter().map(|it| it.nginx).collect();
        logs
    }
}

/// The span that lines must lie in; none when any time will do.
fn window(since: Option<Timestamp>, until: Option<Timestamp>) -> Option<Window> {
    (since.is_some() || until.is_some())
        .then(|| Window { from: since.unwrap_or(Timestamp::MIN), to: until.unwrap_or(Timestamp::MAX) })
}

/// The zone of error logs that were written on another host than this one: the one in which their entries meet their requests,
/// whose log tells its zone. None where it is `zone`, or too little tells.
fn other_zone(kept: &[Kept], zone: &TimeZone) -> Option<TimeZone> {
    let (mut entries, mut requests) = (Vec::new(), Vec::new());
    for (kind, line) in kept.iter().flat_map(|it| it.lines.lines.iter().map(|line| (&it.kind, line))) {
        match kind {
            Kind::Access(format) => {
                let record = format.parse(line.text.as_bytes());
                let request = record.as_ref().and_then(|it| it.get("request"));
                requests.extend(request.map(|it| (line.at, it.to_string())));
            }
            Kind::Error => {
                let request = error::parse(line.text.as_bytes()).and_then(|it| it.request);
                let east = SignedDuration::from_secs(zone.to_offset(line.at).seconds().into());
                let stamp = line.at.checked_add(east).ok();
                entries.extend(
                    request.zip(stamp).map(|(it, at)| (at, String::from_utf8_lossy(it).into_owned())),
                );
            }
            Kind::Program(_) => {}
        }
    }
    let first = entries.first()?.0;
    let east = zone_from_requests(
        entries.iter().map(|(at, it)| (*at, it.as_str())),
        requests.iter().map(|(at, it)| (*at, it.as_str())),
    )?;
    // What was stamped in summer may be of the same zone as what is stamped now.
    let same = zone.to_offset(first).seconds() == east;
    (!same).then(|| Offset::from_seconds(east).ok().map(TimeZone::fixed)).flatten()
}

/// Whether logs can be read a second time, and soon enough.
fn is_read_again(input: &Input, traffic: &Traffic) -> bool {
    let bytes: u64 = traffic.sources.iter().map(|it| it.bytes).sum();
    bytes <= MOST_BYTES_TWICE && input.sources().iter().all(Source::is_file)
}

/// Every line of every log once.
fn count(input: &Input, options: &Options, progress: &Progress) -> (Traffic, Vec<Kept>) {
    let scanners: Vec<Scanner> =
        input.sources().iter().map(|it| Scanner::new(it.shape.clone(), options)).collect();
    // How many lines each block of each source has, in their order; so that a line gets its number.
    let mut lines: Vec<Vec<u64>> = vec![Vec::new(); scanners.len()];
    let (ends, tallies) = input.read(
        progress,
        || Tally::new(options),
        |tally, block| scanners[block.source].scan(block, tally),
        |source, _, count| lines[source].push(count),
    );
    let tally = tallies.into_iter().reduce(|mut all, it| {
        all.merge(it);
        all
    });
    let begins: Vec<Vec<u64>> =
        lines.iter().zip(&ends).map(|(counts, end)| first_lines(counts, end)).collect();
    let first_line = |source: usize, block: u64| {
        let of_source: Option<&Vec<u64>> = begins.get(source);
        of_source.and_then(|it| it.get(usize::try_from(block).ok()?)).copied().unwrap_or(0)
    };
    let (mut traffic, kept) = tally.unwrap_or_else(|| Tally::new(options)).finish(first_line);
    describe(&mut traffic, input, ends);
    (traffic, kept)
}

/// The number of the line that each block begins with; 0 where the log was not read from its beginning.
fn first_lines(counts: &[u64], end: &End) -> Vec<u64> {
    if end.begins_at > 0 {
        return vec![0; counts.len()];
    }
    let mut next = 1;
    counts
        .iter()
        .map(|count| {
            let first = next;
            next += count;
            first
        })
        .collect()
}

/// What only whoever opened a log knows of it.
fn describe(traffic: &mut Traffic, input: &Input, ends: Vec<End>) {
    traffic.sources.resize_with(input.sources().len(), LogSource::default);
    for ((told, source), end) in traffic.sources.iter_mut().zip(input.sources()).zip(ends) {
        told.name.clone_from(&source.name);
        told.kind = match source.shape.kinds.as_slice() {
            [] if end.bytes == 0 => "empty".to_owned(),
            [] => "unparsed".to_owned(),
            [only] => only.name().to_owned(),
            _ => "mixed".to_owned(),
        };
        told.packing = source.packing.to_owned();
        told.carrier = source.shape.carrier.name().to_owned();
        told.format = source.shape.kinds.iter().find_map(|it| match it {
            Kind::Access(format) => Some(format.text()),
            _ => None,
        });
        told.bytes = end.bytes;
        told.partial = end.partial;
    }
}

/// The Snapshot of logs alone.
fn assemble(
    traffic: Traffic,
    kept: Vec<Kept>,
    carriers: &[Carrier],
    asked: Option<Window>,
    clock: &Clock,
) -> Snapshot {
    let (mut logs, mut backend_logs, mut system) = (Vec::new(), Vec::new(), System::default());
    let first_at = traffic.first_at.unwrap_or(clock.now);
    let last_at = traffic.last_at.unwrap_or(clock.now);
    for it in kept {
        let path = traffic.sources.get(it.source).map(|it| it.name.clone()).unwrap_or_default();
        match &it.kind {
            Kind::Program(program) => {
                let mut lines = it.lines.lines;
                if program.is_of_system() {
                    let carrier = carriers.get(it.source).copied().unwrap_or_default();
                    lines.retain(|line| !system.take(*program, carrier, line));
                    system.path.clone_from(&path);
                }
                backend_logs.push(BackendLog {
                    path: path.clone(),
                    server: server_of(*program).to_owned(),
                    owner: String::new(),
                    lines: Reading::seen(lines, path, clock.now),
                });
            }
            kind => logs.push(LogFile {
                kind: match kind {
                    Kind::Access(format) => LogKind::Access {
                        format: String::new(),
                        text: format.text(),
                        escape: format.escape().name().to_owned(),
                    },
                    _ => LogKind::Error,
                },
                lines: Reading::seen(it.lines, path.clone(), clock.now),
                path,
                nginx: 0,
            }),
        }
    }
    // What is the last in the logs is "now"; the line of a second may still be written after it.
    let to = asked.map_or(last_at, |it| it.to.min(last_at)).max(first_at);
    let from = asked.map_or(first_at, |it| it.from.max(first_at)).min(to);
    let to = to.checked_add(SignedDuration::from_millis(999)).unwrap_or(to);
    let mut snapshot = Snapshot::of_logs(Window { from, to }, traffic, logs, backend_logs);
    if !system.journal.is_empty() {
        snapshot.journal = Reading::seen(system.journal, system.path.clone(), clock.now);
    }
    if !system.kernel.is_empty() {
        snapshot.kernel = Reading::seen(system.kernel, system.path, clock.now);
    }
    snapshot
}

/// Lines of the system's log whose carrier tells who wrote them: the journal and the kernel's log, as a host would show them.
#[derive(Default)]
struct System {
    /// The last log that had such lines.
    path: String,
    journal: Vec<JournalEntry>,
    kernel: Vec<KernelMessage>,
}

impl System {
    /// Takes a line, if its carrier tells that.
    fn take(&mut self, program: Program, carrier: Carrier, line: &LogLine) -> bool {
        let carried = (carrier != Carrier::None).then(|| carrier.open(line.text.as_bytes())).flatten();
        let Some(carried) = carried.filter(|it| it.program.is_some()) else { return false };
        let message = String::from_utf8_lossy(&carried.text).into_owned();
        match program {
            Program::Kernel => {
                // Syslog puts the time since boot before the kernel's words.
                let since_boot = message.strip_prefix('[').and_then(|it| it.split_once("] "));
                let number = |it: &str| it.trim_start().starts_with(|it: char| it.is_ascii_digit());
                let words = since_boot.filter(|(it, _)| number(it)).map(|(_, it)| it.to_owned());
                let message = words.unwrap_or(message);
                self.kernel.push(KernelMessage { at: line.at, priority: UNTOLD, message });
            }
            _ => self.journal.push(JournalEntry {
                at: line.at,
                unit: carried.source.filter(|it| it.contains('.')).map(Into::into).unwrap_or_default(),
                identifier: carried.program.map(Into::into).unwrap_or_default(),
                pid: carried.pid.unwrap_or(0),
                priority: UNTOLD,
                message,
            }),
        }
        true
    }
}

/// As `BackendLog::server` names it.
fn server_of(program: Program) -> &'static str {
    match program {
        Program::Journal => "system",
        other => other.name(),
    }
}

/// The nginx that runs or is installed here, or the one whose configuration was given.
fn instances(config: Option<PathBuf>, clock: &Clock) -> Vec<Instance> {
    let users = Users::at(Path::new("/"));
    let proc = Proc::host();
    let wanted = Wanted { config, ..Wanted::default() };
    let processes = proc.list(clock, &users).unwrap_or_default();
    let host = nginx::Host { processes: &processes, proc: &proc, clock, users: &users };
    if wanted.config.is_some() {
        return vec![nginx::of_config(host, &wanted)];
    }
    let mut found = nginx::running(host, &wanted);
    if found.is_empty() {
        found = nginx::stopped(&[], &[], host, &wanted);
    }
    nginx::order(&mut found, &[], &wanted);
    found
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    /// What is read of logs with these names and texts.
    fn read(logs: &[(&str, &str)]) -> Snapshot {
        let folder = logs.iter().fold(Folder::new(), |folder, (name, text)| folder.file(name, text));
        let names = logs.iter().map(|(name, _)| folder.path().join(name).display().to_string()).collect();
        let read = read_logs(&LogRequest { names, ..LogRequest::default() }, &Progress::default());
        assert!(read.unreadable.is_empty(), "{:?}", read.unreadable);
        read.snapshot
    }

    #[test]
    fn lines_of_syslog_are_the_journal_and_the_kernel_s_log_of_a_year_that_has_been() {
        let syslog = "Mar 09 07:30:00 web01 systemd[1]: shop.service: Main process exited, code=killed, status=9/KILL\n\
                      Mar 09 07:30:00 web01 kernel: [98.2] Out of memory: Killed process 47 (java) total-vm:68kB\n";
        let snapshot = read(&[("syslog", syslog)]);
        let journal = snapshot.journal.value().unwrap();
        assert_eq!((journal[0].identifier.as_str(), journal[0].pid), ("systemd", 1));
        assert!(journal[0].message.starts_with("shop.service: "), "{}", journal[0].message);
        let kernel = snapshot.kernel.value().unwrap();
        assert!(kernel[0].message.starts_with("Out of memory: "), "{}", kernel[0].message);
        assert!(kernel[0].at <= Timestamp::now(), "{}", kernel[0].at);
    }

    #[test]
    fn an_error_log_of_another_zone_meets_its_requests() {
        let (mut access, mut error) = (String::new(), String::new());
        for minute in 10..16 {
            access.push_str(&format!(
                "10.0.0.9 - - [02/May/2026:13:{minute}:07 +0000] \"GET /a{minute} HTTP/1.1\" 502 157 \"-\" \"curl/8.5.0\"\n"
            ));
            error.push_str(&format!(
                "2026/05/02 22:{minute}:07 [error] 8#8: *{minute} connect() failed (111: Connection refused) while connecting \
                 to upstream, client: 10.0.0.9, server: shop, request: \"GET /a{minute} HTTP/1.1\", upstream: \
                 \"http://10.0.0.3:80/a{minute}\", host: \"shop\"\n"
            ));
        }
        let snapshot = read(&[("access.log", &access), ("error.log", &error)]);
        assert_eq!(snapshot.host.utc_offset_seconds, 9 * 3600);
        let steps = &snapshot.traffic.unwrap().steps;
        assert!(steps.iter().all(|it| it.requests == 1 && it.symptoms.len() == 1), "{steps:?}");
    }
}
