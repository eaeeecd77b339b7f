//! The evidence model: everything that was seen of one host at one moment, as plain data.
//!
//! A Snapshot is all that `diagnose` may know. It has no behaviour beyond looking things up, reads nothing, and a
//! stored one gives the same diagnosis on any machine: configuration and log lines are kept as the text that was read,
//! so that a better parser also helps old captures. One module per source; the readers are in `collect`.
#![deny(missing_docs)]

mod backend;
mod capture;
mod host;
mod logs;
mod net;
mod nginx;
mod peer;
mod process;
mod reading;
mod systemd;
mod traffic;
mod trial;

pub use backend::*;
pub use capture::*;
pub use host::*;
pub use logs::*;
pub use net::*;
pub use nginx::*;
pub use peer::*;
pub use process::*;
pub use reading::*;
pub use systemd::*;
pub use traffic::*;
pub use trial::*;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Everything that was seen of one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the collection began; the "now" of every rule.
    pub collected_at: Timestamp,
    /// How long the collection took, in seconds.
    pub elapsed_seconds: f64,
    /// The span of time that was asked about.
    pub window: Window,
    /// The machine.
    pub host: Host,
    /// The nginx instances found, running or only installed; the one under diagnosis first. Empty when there is none.
    pub nginx: Reading<Vec<Nginx>>,
    /// The logs that the configuration names, and the journal of nginx's unit.
    pub logs: Vec<LogFile>,
    /// Every process that could be seen.
    pub processes: Reading<Vec<Process>>,
    /// The network stack of the namespace that nginx runs in.
    pub net: Net,
    /// systemd's services and sockets.
    pub units: Reading<Vec<Unit>>,
    /// The journal in the window: the entries of services, and systemd's own about them.
    pub journal: Reading<Vec<JournalEntry>>,
    /// Kernel messages in the window, and a little before it.
    pub kernel: Reading<Vec<KernelMessage>>,
    /// Cgroups of the services, by path below the root (`/system.slice/shop.service`).
    pub cgroups: Reading<Vec<Cgroup>>,
    /// Filesystems that nginx or a backend writes to.
    pub disks: Reading<Vec<Disk>>,
    /// PHP-FPM masters with their pools.
    pub php_fpm: Reading<Vec<PhpFpm>>,
    /// Log files of application servers (PHP-FPM's above all) in the window.
    pub backend_logs: Vec<BackendLog>,
    /// One entry for every address that nginx dials, or was seen to dial.
    pub peers: Vec<PeerSight>,
    /// Files that changed shortly before the collection: configuration, units, binaries, certificates.
    pub changes: Reading<Vec<Change>>,
    /// One real request, made before everything else was read; not asked for unless the operator did.
    #[serde(default = "Reading::not_asked")]
    pub trial: Reading<Trial>,
    /// The sums over logs that were read as such, instead of a host: then everything that is no log is unread.
    #[serde(default)]
    pub traffic: Option<Traffic>,
}

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end; equal to `collected_at` unless an earlier end was asked for.
    pub to: Timestamp,
}

impl Window {
    /// Whether `at` lies in it.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.to
    }
}

impl Snapshot {
    /// A host with nginx running and nothing wrong: where tests start from and change one thing.
    pub fn quiet() -> Snapshot {
        let now: Timestamp = "2026-05-02T13:03:10Z".parse().expect("a constant");
        let from: Timestamp = "2026-05-02T12:48:10Z".parse().expect("a constant");
        Snapshot {
            collected_at: now,
            elapsed_seconds: 0.2,
            window: Window { from, to: now },
            host: Host::quiet(now),
            nginx: Reading::seen(vec![Nginx::quiet(now)], "/proc", now),
            logs: Vec::new(),
            processes: Reading::seen(Vec::new(), "/proc", now),
            net: Net::quiet(now),
            units: Reading::seen(Vec::new(), "systemctl show", now),
            journal: Reading::seen(Vec::new(), "journalctl", now),
            kernel: Reading::seen(Vec::new(), "/dev/kmsg", now),
            cgroups: Reading::seen(Vec::new(), "/sys/fs/cgroup", now),
            disks: Reading::seen(Vec::new(), "statvfs", now),
            php_fpm: Reading::seen(Vec::new(), "/proc", now),
            backend_logs: Vec::new(),
            peers: Vec::new(),
            changes: Reading::seen(Vec::new(), "stat", now),
            trial: Reading::not_asked(),
            traffic: None,
        }
    }

    /// What logs alone say, of a host that nobody looked at: everything that is no log is unread, since nobody asked.
    ///
    /// `logs` are nginx's own, each kept line with its time; `backend_logs` are those of all other programs, a `dmesg` of
    /// unknown clock, the audit log and `/var/log/messages` included, under the `server` that [`BackendLog`] lists. What
    /// else was given is filled in afterwards: `kernel` and `journal`, where the lines carry the kernel's or the journal's
    /// own fields (a `-o json` export), `nginx`, where a configuration was (`Nginx::of_files`), and
    /// `host.utc_offset_seconds`, the zone in which times are to be shown.
    ///
    /// The "now" of every rule is the end of the window: the last time in the logs, unless an earlier end was asked for.
    pub fn of_logs(
        window: Window,
        traffic: Traffic,
        logs: Vec<LogFile>,
        backend_logs: Vec<BackendLog>,
    ) -> Snapshot {
        Snapshot {
            collected_at: window.to,
            elapsed_seconds: 0.0,
            window,
            host: Host::unknown(),
            nginx: Reading::not_asked(),
            logs,
            processes: Reading::not_asked(),
            net: Net::unread(),
            units: Reading::not_asked(),
            journal: Reading::not_asked(),
            kernel: Reading::not_asked(),
            cgroups: Reading::not_asked(),
            disks: Reading::not_asked(),
            php_fpm: Reading::not_asked(),
            backend_logs,
            peers: Vec::new(),
            changes: Reading::not_asked(),
            trial: Reading::not_asked(),
            traffic: Some(traffic),
        }
    }

    /// Whether it is of logs alone: then what is unread was not there to be read, and no rule may expect it.
    pub fn is_of_logs(&self) -> bool {
        self.traffic.is_some()
    }

    /// The same with one change made: `Snapshot::quiet().with(|s| s.net.listeners = …)`.
    pub fn with(mut self, change: impl FnOnce(&mut Snapshot)) -> Snapshot {
        change(&mut self);
        self
    }
}
