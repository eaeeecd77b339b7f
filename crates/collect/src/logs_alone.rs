//! Logs read for themselves, instead of a host: counted whole, with the lines worth quoting kept, as a Snapshot that any
//! diagnosis takes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use nginx_conf::LogDestination;
use nginx_logs::access::Format;
use nginx_logs::{Kind, Program};
use snapshot::{BackendLog, LogFile, LogKind, LogSource, Nginx, Reading, Snapshot, Traffic, Window};
use traffic::{By, Kept, Options, Scanner, StatusFilter, Tally};

use crate::host::clock::Clock;
use crate::host::processes::Proc;
use crate::host::users::Users;
use crate::input::{self, Ask, End, Input, PassedOver, Progress, Unreadable};
use crate::logs::{compile, escape_name};
use crate::nginx::{self, Instance, Wanted};

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
    let zone = request.zone.clone().or(logs.zone).unwrap_or_else(|| clock.zone.clone());
    let formats = request.formats.iter().cloned().chain(logs.formats).collect();
    let ask =
        Ask { names: logs.names, since: request.since, until: request.until, formats, zone: zone.clone() };
    let (input, unreadable) = input::open(&ask);

    let window = window(request.since, request.until);
    let options = Options {
        window,
        zone: zone.clone(),
        by: request.by.clone(),
        statuses: request.statuses.clone(),
        ..Options::default()
    };
    let (traffic, kept) = count(&input, &options, progress);
    let mut snapshot = assemble(traffic, kept, window, &clock);
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
fn assemble(traffic: Traffic, kept: Vec<Kept>, asked: Option<Window>, clock: &Clock) -> Snapshot {
    let (mut logs, mut backend_logs) = (Vec::new(), Vec::new());
    let first_at = traffic.first_at.unwrap_or(clock.now);
    let last_at = traffic.last_at.unwrap_or(clock.now);
    for it in kept {
        let path = traffic.sources.get(it.source).map(|it| it.name.clone()).unwrap_or_default();
        match &it.kind {
            Kind::Program(program) => backend_logs.push(BackendLog {
                path: path.clone(),
                server: server_of(*program).to_owned(),
                owner: String::new(),
                lines: Reading::seen(it.lines.lines, path, clock.now),
            }),
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
    Snapshot::of_logs(Window { from, to }, traffic, logs, backend_logs)
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
