//! The machine: what it is, its disks, its cgroups, what changed on it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The machine and the rights that the collection had on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Kernel release, as `uname -r`.
    pub kernel: String,
    /// Distribution (`PRETTY_NAME` of os-release); empty when unknown.
    pub distribution: String,
    /// Whether this is itself a container.
    pub container: bool,
    /// The host's time zone as seconds east of UTC at `collected_at`; error logs carry local times without a zone.
    pub utc_offset_seconds: i32,
    /// IANA name of that zone, when known.
    pub time_zone: Option<String>,
    /// When the kernel started (in a container: when its first process did).
    pub booted_at: Option<Timestamp>,
    /// The effective user id of the collection.
    pub uid: u32,
    /// Its user's name; empty when unknown.
    pub user: String,
    /// Number of CPUs that are online.
    pub cpus: u32,
    /// /proc/loadavg's first figure.
    pub load_1m: Option<f64>,
    /// /proc/pressure/cpu, `some avg10`, per cent.
    pub cpu_pressure_pct: Option<f64>,
    /// Share of CPU time that was not idle during the collection, per cent, when two readings were taken.
    pub cpu_busy_pct: Option<f64>,
    /// MemTotal.
    pub memory_total_bytes: Option<u64>,
    /// MemAvailable.
    pub memory_available_bytes: Option<u64>,
    /// `Some(true)` when SELinux enforces, `Some(false)` when it is permissive, none when it is absent.
    pub selinux_enforcing: Option<bool>,
    /// Whether systemd is PID 1 here.
    pub systemd: bool,
}

impl Host {
    /// A host that nobody looked at, as logs of it do not tell what it is.
    pub fn unknown() -> Host {
        Host {
            name: String::new(),
            kernel: String::new(),
            distribution: String::new(),
            container: false,
            utc_offset_seconds: 0,
            time_zone: None,
            booted_at: None,
            uid: 0,
            user: String::new(),
            cpus: 0,
            load_1m: None,
            cpu_pressure_pct: None,
            cpu_busy_pct: None,
            memory_total_bytes: None,
            memory_available_bytes: None,
            selinux_enforcing: None,
            systemd: false,
        }
    }

    /// A plain Debian host, seen by root.
    pub fn quiet(now: Timestamp) -> Host {
        Host {
            name: "web-1".into(),
            kernel: "6.1.0".into(),
            distribution: "Debian GNU/Linux 12 (bookworm)".into(),
            container: false,
            utc_offset_seconds: 0,
            time_zone: Some("UTC".into()),
            booted_at: Some(now - jiff::SignedDuration::from_hours(240)),
            uid: 0,
            user: "root".into(),
            cpus: 2,
            load_1m: Some(0.1),
            cpu_pressure_pct: Some(0.0),
            cpu_busy_pct: Some(3.0),
            memory_total_bytes: Some(8 << 30),
            memory_available_bytes: Some(4 << 30),
            selinux_enforcing: None,
            systemd: true,
        }
    }
}

/// One filesystem. Source: statvfs(3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// The directory that was asked about.
    pub path: String,
    /// What nginx or the backend writes there: `proxy_temp_path`, `error_log`, `unix sockets` …
    pub used_for: String,
    /// Size for ordinary users.
    pub total_bytes: u64,
    /// Free for ordinary users.
    pub available_bytes: u64,
    /// Number of inodes; none where the filesystem does not count them (btrfs says 0).
    pub total_inodes: Option<u64>,
    /// Free inodes; none likewise.
    pub available_inodes: Option<u64>,
    /// Mounted read-only.
    pub read_only: bool,
    /// Owner, group and mode of the directory itself; none when it does not exist.
    pub node: Option<PathNode>,
    /// Whether the nginx worker's user may write there, by mode bits and access lists of the directory and of those above
    /// it; none when unknown.
    pub worker_may_write: Option<bool>,
    /// The first directory above it that the worker's user may not search; none when there is none, or unknown.
    #[serde(default)]
    pub closed_by: Option<PathNode>,
}

/// One step of a path. Source: lstat(2)/stat(2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathNode {
    /// The path of this step.
    pub path: String,
    /// Permission bits, as in `st_mode & 07777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Name of the owner; empty when unknown.
    pub owner: String,
    /// Name of the group; empty when unknown.
    pub group: String,
    /// Kind of node.
    pub kind: NodeKind,
    /// Whether the nginx worker's user may search (directory) or write (socket, file) it, by mode bits and ACL; none when
    /// that user is unknown.
    pub allows_worker: Option<bool>,
}

/// Kinds of node in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A unix socket.
    Socket,
    /// Anything else.
    Other,
}

/// One cgroup (v2; of v1 hierarchies what corresponds). Source: cgroups(7), the kernel's cgroup-v2.rst.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Cgroup {
    /// Path below the root of the hierarchy.
    pub path: String,
    /// memory.max; none for "max".
    pub memory_max_bytes: Option<u64>,
    /// memory.current.
    pub memory_current_bytes: Option<u64>,
    /// memory.peak, where the kernel has it.
    pub memory_peak_bytes: Option<u64>,
    /// memory.events `oom_kill`; counts since the cgroup was made.
    pub oom_kills_total: Option<u64>,
    /// cpu.max quota in per cent of one CPU; none for "max".
    pub cpu_quota_pct: Option<f64>,
    /// cpu.stat nr_periods.
    pub periods_total: Option<u64>,
    /// cpu.stat nr_throttled.
    pub throttled_periods_total: Option<u64>,
    /// How many of the periods during the collection were throttled, when two readings were taken.
    pub throttled_now: Option<ThrottledNow>,
    /// pids.max; none for "max".
    pub pids_max: Option<u64>,
    /// pids.current.
    pub pids_current: Option<u64>,
}

/// Throttling between two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottledNow {
    /// Periods that passed.
    pub periods: u64,
    /// Periods in which the quota ran out.
    pub throttled: u64,
}

/// A file that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The file.
    pub path: String,
    /// What it belongs to: `nginx configuration`, `unit shop.service`, `php-fpm pool`, `package` …
    pub what: String,
    /// Its modification or change time.
    pub at: Timestamp,
}
