//! systemd's units and journal, and the kernel's messages.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One service or socket unit. Source: `systemctl show`, org.freedesktop.systemd1(5).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Unit {
    /// `shop.service`.
    pub name: String,
    /// Description.
    pub description: String,
    /// LoadState: `loaded`, `not-found`, `masked` …
    pub load_state: String,
    /// ActiveState: `active`, `inactive`, `failed`, `activating`, `deactivating`.
    pub active_state: String,
    /// SubState: `running`, `dead`, `auto-restart`, `exited` …
    pub sub_state: String,
    /// UnitFileState: `enabled`, `disabled`, `static`, `masked`, `transient`; empty without a file.
    pub file_state: String,
    /// Result: `success`, `exit-code`, `signal`, `oom-kill`, `timeout`, `resources`, `start-limit-hit` …
    pub result: String,
    /// ExecMainStatus: exit status or signal number of the main process's last end.
    pub exit_status: i32,
    /// ExecMainCode as a word: `exited`, `killed`, `dumped`; empty when it never ended.
    pub exit_code: String,
    /// MainPID; 0 when none.
    pub main_pid: u32,
    /// NRestarts: automatic restarts.
    pub restarts_total: u32,
    /// When it last became active.
    pub active_since: Option<Timestamp>,
    /// When it last became inactive.
    pub inactive_since: Option<Timestamp>,
    /// When its main process last started.
    pub main_started_at: Option<Timestamp>,
    /// When its main process last ended.
    pub main_exited_at: Option<Timestamp>,
    /// ExecStart, as one command line.
    pub exec_start: String,
    /// Environment= (not the contents of EnvironmentFile=, which may hold secrets).
    pub environment: Vec<String>,
    /// User=.
    pub user: String,
    /// WorkingDirectory=.
    pub working_directory: String,
    /// FragmentPath: the unit file.
    pub fragment_path: String,
    /// DropInPaths.
    pub drop_in_paths: Vec<String>,
    /// NeedDaemonReload: the file changed since it was loaded.
    pub need_daemon_reload: bool,
    /// Restart= policy.
    pub restart: String,
    /// For a socket unit: the addresses of Listen=; the unit it triggers is in `triggers`.
    pub listen: Vec<String>,
    /// Units it triggers (sockets, timers).
    pub triggers: Vec<String>,
    /// ControlGroup; empty when not running.
    pub cgroup: String,
    /// LimitNOFILE (soft).
    pub limit_nofile: Option<u64>,
    /// MemoryMax; none for infinity.
    pub memory_max_bytes: Option<u64>,
}

/// One journal entry. Source: systemd.journal-fields(7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When.
    pub at: Timestamp,
    /// The unit it is of or about (`_SYSTEMD_UNIT`, `UNIT`); empty when of none.
    pub unit: String,
    /// SYSLOG_IDENTIFIER: `systemd`, `gunicorn`, `kernel` …
    pub identifier: String,
    /// The pid that wrote it; 0 when unknown.
    pub pid: u32,
    /// Priority 0 … 7.
    pub priority: u8,
    /// The message; bytes that are not UTF-8 are replaced.
    pub message: String,
}

/// One kernel message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelMessage {
    /// When; computed from the time since boot, so it can be a second off.
    pub at: Timestamp,
    /// Priority 0 … 7.
    pub priority: u8,
    /// The message.
    pub message: String,
}
