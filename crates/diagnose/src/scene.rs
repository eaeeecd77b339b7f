//! The scene of a diagnosis: the Snapshot with its texts parsed and its parts indexed. Built once, read by every rule.

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use nginx_conf::{Config, Pass, View};
use snapshot::{
    Address, Cgroup, Disk, JournalEntry, KernelMessage, Listener, Nginx, Peer, PeerSight, PhpFpm, Process,
    Seen, Snapshot, Successes, Unit, UnixListener,
};

use crate::case::Blind;
use crate::events::{self, Event};
use crate::failure::{self, Failures};
use crate::groups::{self, FailureGroup};
use crate::silence;

/// Everything that rules look at.
pub struct Scene<'a> {
    /// The evidence itself.
    pub snapshot: &'a Snapshot,
    /// The configuration as the files are now.
    pub config: &'a Config,
    /// What it means.
    pub view: &'a View<'a>,
    /// The nginx under diagnosis.
    pub nginx: Option<&'a Nginx>,
    /// What failed, one by one.
    pub failures: Failures,
    /// What failed, in groups.
    pub groups: Vec<FailureGroup>,
    /// What happened to backends and their units, in the order of time.
    pub events: Vec<Event>,
}

impl<'a> Scene<'a> {
    /// Parses and indexes.
    pub fn new(snapshot: &'a Snapshot, config: &'a Config, view: &'a View<'a>) -> Scene<'a> {
        let mut failures = failure::read(snapshot);
        failure::route(&mut failures, snapshot, view);
        let groups = groups::group(&failures, view, snapshot);
        let nginx = snapshot.nginx.value().and_then(|it| it.first());
        Scene { snapshot, config, view, nginx, groups, failures, events: events::timeline(snapshot) }
    }

    /// The "now" of every rule.
    pub fn now(&self) -> Timestamp {
        self.snapshot.collected_at
    }

    /// Local time of day, as the logs show it.
    pub fn clock(&self, at: Timestamp) -> String {
        let offset = jiff::tz::Offset::from_seconds(self.snapshot.host.utc_offset_seconds)
            .unwrap_or(jiff::tz::Offset::UTC);
        offset.to_datetime(at).strftime("%H:%M:%S").to_string()
    }

    /// Listening TCP sockets.
    pub fn listeners(&self) -> Result<&'a Seen<Vec<Listener>>, Blind> {
        Blind::of("listening sockets", &self.snapshot.net.listeners)
    }

    /// Listening unix sockets.
    pub fn unix_listeners(&self) -> Result<&'a Seen<Vec<UnixListener>>, Blind> {
        Blind::of("listening unix sockets", &self.snapshot.net.unix_listeners)
    }

    /// Addresses of this host.
    pub fn addresses(&self) -> Result<&'a Seen<Vec<Address>>, Blind> {
        Blind::of("addresses of this host", &self.snapshot.net.addresses)
    }

    /// Processes.
    pub fn processes(&self) -> Result<&'a Seen<Vec<Process>>, Blind> {
        Blind::of("processes", &self.snapshot.processes)
    }

    /// systemd's units.
    pub fn units(&self) -> Result<&'a Seen<Vec<Unit>>, Blind> {
        Blind::of("systemd units", &self.snapshot.units)
    }

    /// The journal.
    pub fn journal(&self) -> Result<&'a Seen<Vec<JournalEntry>>, Blind> {
        Blind::of("journal", &self.snapshot.journal)
    }

    /// Kernel messages.
    pub fn kernel(&self) -> Result<&'a Seen<Vec<KernelMessage>>, Blind> {
        Blind::of("kernel log", &self.snapshot.kernel)
    }

    /// Cgroups.
    pub fn cgroups(&self) -> Result<&'a Seen<Vec<Cgroup>>, Blind> {
        Blind::of("cgroups", &self.snapshot.cgroups)
    }

    /// Disks.
    pub fn disks(&self) -> Result<&'a Seen<Vec<Disk>>, Blind> {
        Blind::of("filesystems", &self.snapshot.disks)
    }

    /// PHP-FPM.
    pub fn php_fpm(&self) -> Result<&'a Seen<Vec<PhpFpm>>, Blind> {
        Blind::of("PHP-FPM", &self.snapshot.php_fpm)
    }

    /// What was looked up for an address.
    pub fn sight(&self, peer: &Peer) -> Option<&'a PeerSight> {
        self.snapshot.peers.iter().find(|it| it.peer == *peer)
    }

    /// A process by pid.
    pub fn process(&self, pid: u32) -> Option<&'a Process> {
        self.snapshot.processes.value()?.iter().find(|it| it.pid == pid)
    }

    /// A unit by name.
    pub fn unit(&self, name: &str) -> Option<&'a Unit> {
        self.snapshot.units.value()?.iter().find(|it| it.name == name)
    }

    /// A cgroup by path.
    pub fn cgroup(&self, path: &str) -> Option<&'a Cgroup> {
        self.snapshot.cgroups.value()?.iter().find(|it| it.path == path)
    }

    /// Whether `ip` is this host's.
    pub fn is_ours(&self, ip: IpAddr) -> Result<bool, Blind> {
        Ok(ip.is_loopback() || ip.is_unspecified() || self.addresses()?.value.iter().any(|it| it.ip == ip))
    }

    /// The TCP listener that a connection to `dialled` reaches.
    pub fn listener_at(&self, dialled: SocketAddr) -> Result<Option<&'a Listener>, Blind> {
        Ok(self.listeners()?.value.iter().find(|it| it.accepts(dialled)))
    }

    /// The unix listener that a connection to the path reaches.
    pub fn unix_listener_at(&self, path: &str) -> Result<Option<&'a UnixListener>, Blind> {
        let path = canonical(path);
        let same = |it: &&UnixListener| canonical(&it.path) == path && it.reachable != Some(false);
        Ok(self.unix_listeners()?.value.iter().find(same))
    }

    /// A pass of the configuration.
    pub fn pass(&self, group: &FailureGroup) -> Option<&Pass<'_>> {
        group.pass.map(|it| &self.view.passes()[it])
    }

    /// `file:line` of a span.
    pub fn place(&self, span: nginx_conf::Span) -> String {
        self.config.place(span)
    }

    /// A problem of the configuration, as `file:line:column: what is wrong`.
    pub fn problem(&self, problem: &nginx_conf::Problem) -> String {
        format!("{}: {}", self.config.exact_place(problem.span), problem.message)
    }

    /// The line that a span begins in: file, number, text.
    pub fn line_at(&self, span: nginx_conf::Span) -> Option<(String, u32, String)> {
        let path = self.config.path(span.file).to_str()?.to_owned();
        let file = self.nginx?.config.value()?.files.iter().find(|it| it.path == path)?;
        let text = file.text.lines().nth(usize::try_from(span.line).ok()?.checked_sub(1)?)?;
        Some((path, span.line, text.to_owned()))
    }

    /// The port that a client would ask for that group's server, as `:8080`; empty for 80.
    pub fn view_port(&self, group: &FailureGroup) -> String {
        let server =
            self.pass(group).map(|it| it.server).or_else(|| self.view.server_for(&group.server, None));
        let listens = server.and_then(|it| self.view.servers().get(it)).map(|it| it.listens.as_slice());
        let plain = listens.into_iter().flatten().filter(|it| !it.ssl && !it.udp).find_map(|it| it.port);
        plain.filter(|it| *it != 80).map(|it| format!(":{it}")).unwrap_or_default()
    }

    /// Requests that went well, of every access log.
    pub fn successes(&self) -> impl Iterator<Item = &'a Successes> {
        self.snapshot.logs.iter().filter_map(|it| it.lines.value()).flat_map(|it| &it.successes)
    }

    /// Requests in the window by every access log, if there is any.
    pub fn requests_total(&self) -> Option<u64> {
        // Every line was counted, not only those that are kept.
        if let Some(counted) = self.snapshot.traffic.as_ref().map(|it| it.requests).filter(|it| *it > 0) {
            return Some(counted);
        }
        let logs = self.snapshot.logs.iter().filter(|it| matches!(it.kind, snapshot::LogKind::Access { .. }));
        let totals: Vec<u64> = logs
            .filter_map(|it| it.lines.value())
            .map(|it| it.statuses.iter().map(|(_, count)| count).sum())
            .collect();
        (!totals.is_empty()).then(|| totals.iter().sum())
    }

    /// The last successful load of the configuration: when the newest generation of workers started. A worker that
    /// replaced a crashed one also counts, so this is not before the true moment, and may be after it.
    pub fn loaded_at(&self) -> Option<Timestamp> {
        let master = self.nginx?.master.as_ref()?;
        let workers = master.workers.iter().filter(|it| !it.shutting_down);
        workers.map(|it| it.started_at).min().or(Some(master.started_at))
    }

    /// Whether the nginx under diagnosis runs.
    pub fn nginx_runs(&self) -> bool {
        self.nginx.is_some_and(|it| it.master.is_some())
    }

    /// The unit under which nginx itself runs.
    pub fn nginx_unit(&self) -> Option<&'a Unit> {
        self.unit(self.nginx?.unit.as_deref()?)
    }

    /// Whether the error log in force for a group was read, so that its silence means something.
    pub fn error_log_speaks(&self, group: &FailureGroup) -> bool {
        silence::error_log_speaks(self.view, self.snapshot, self.pass(group))
    }
}

/// A path as the kernel would find it, as far as text tells: `/var/run` is `/run` on every system of today.
pub fn canonical(path: &str) -> String {
    let path = path.strip_prefix("/var/run/").map_or_else(|| path.to_owned(), |rest| format!("/run/{rest}"));
    path.replace("//", "/")
}
