//! Processes. Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_limits(5), proc_pid_cgroup(5).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One process.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Process {
    /// Its pid in the collector's namespace.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// `comm`, at most 15 bytes.
    pub name: String,
    /// Its arguments; empty for kernel threads and zombies.
    pub arguments: Vec<String>,
    /// The executable; none when it may not be read.
    pub executable: Option<String>,
    /// State letter of /proc/PID/stat: R, S, D, T, t, Z, I …
    pub state: char,
    /// States of its threads, as a string of letters, main thread first; empty when not read.
    pub thread_states: String,
    /// What the kernel has it waiting in (`/proc/PID/wchan`); empty when unknown.
    pub wait_channel: String,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// Effective uid.
    pub uid: u32,
    /// Name of that user; empty when unknown.
    pub user: String,
    /// cgroup v2 path (or the name=systemd one); empty when unknown.
    pub cgroup: String,
    /// The systemd unit of that cgroup: `shop.service`; none outside units.
    pub unit: Option<String>,
    /// Resident memory.
    pub resident_bytes: Option<u64>,
    /// Proportional share of memory (smaps_rollup), read for application servers only.
    pub proportional_bytes: Option<u64>,
    /// CPU time used since its start, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Share of one CPU used during the collection, per cent, when two readings were taken.
    pub cpu_now_pct: Option<f64>,
    /// Open descriptors; none when they may not be counted.
    pub open_files: Option<u64>,
    /// Soft limit of open descriptors.
    pub open_files_limit: Option<u64>,
    /// Working directory; none when it may not be read.
    pub working_directory: Option<String>,
    /// Environment variables that name ports, addresses and socket paths (`PORT`, `HOST`, `LISTEN` …), nothing else.
    pub environment: Vec<(String, String)>,
    /// Whether its network namespace is that of the nginx under diagnosis.
    pub same_network: bool,
}
