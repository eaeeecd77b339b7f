//! PHP-FPM: masters, pools, children.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Reading;

/// One PHP-FPM: a running master, or an installed one that does not run (then `master_pid` is none).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhpFpm {
    /// The master's pid.
    pub master_pid: Option<u32>,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// `8.2`; empty when unknown.
    pub version: String,
    /// Its main configuration file.
    pub config_path: String,
    /// Its unit, if it has one.
    pub unit: Option<String>,
    /// Its `error_log`; empty when unknown.
    pub error_log: String,
    /// Its pools as the files say; empty when they could not be read.
    pub pools: Vec<PhpPool>,
    /// Problems found in the files: `file:line: what`.
    pub problems: Vec<String>,
}

/// One pool. Source: the pool file, php-fpm.conf(5) and the manual's list of directives.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PhpPool {
    /// `www`.
    pub name: String,
    /// The file that defines it.
    pub file: String,
    /// `listen` as a peer: `unix:/run/php/php8.2-fpm.sock`, `127.0.0.1:9000`, `[::]:9000`.
    pub listen: String,
    /// Every directive that is set, with its line: `(name, value, line)`.
    pub settings: Vec<(String, String, u32)>,
    /// Its children, when the master runs.
    pub children: Vec<PhpChild>,
    /// `pm.status_path` asked over FastCGI, when it is set and answers: `(name, value)`. A supplement: on a unix socket
    /// its listen queue is always 0, and a full pool does not answer.
    pub status: Option<Reading<Vec<(String, String)>>>,
}

impl PhpPool {
    /// A directive's value.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(it, ..)| it == name).map(|(_, value, _)| value.as_str())
    }

    /// The line that sets a directive.
    pub fn line_of(&self, name: &str) -> Option<u32> {
        self.settings.iter().rev().find(|(it, ..)| it == name).map(|(.., line)| *line)
    }

    /// `pm.max_children`.
    pub fn max_children(&self) -> Option<u32> {
        self.setting("pm.max_children")?.parse().ok()
    }
}

/// One child of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhpChild {
    /// Its pid.
    pub pid: u32,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// Whether it works on a request: it holds an accepted connection besides the listening socket. None when that may
    /// not be seen.
    pub busy: Option<bool>,
    /// State letter.
    pub state: char,
    /// Proportional memory, when read.
    pub proportional_bytes: Option<u64>,
}
