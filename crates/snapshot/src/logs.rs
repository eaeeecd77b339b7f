//! Log lines in the window, as text with their place; `nginx-logs` says what they mean.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Reading;

/// One of nginx's logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogFile {
    /// The path as configured, or `journal:nginx.service`.
    pub path: String,
    /// What kind of lines it holds.
    pub kind: LogKind,
    /// What was read of it.
    pub lines: Reading<LogLines>,
    /// Whose log it is: index into the Snapshot's instances of nginx.
    #[serde(default)]
    pub nginx: usize,
}

/// Kinds of nginx log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// An error log.
    Error,
    /// An access log in that `log_format`.
    Access {
        /// The format's name; `combined` is predefined.
        format: String,
        /// The format's text, so that a line can be read without the configuration.
        text: String,
        /// `default`, `json` or `none`.
        escape: String,
    },
}

/// The lines kept of one log. What is kept is bounded; what was passed over is counted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LogLines {
    /// The lines kept, in the order of the file. Of an error log: level `notice` and above (nginx's own start and reload
    /// lines are notices). Of an access log: every failure (status 499 and above, 400, 413, below 100, or more than one
    /// attempt) and the latest successes, up to their limits.
    pub lines: Vec<LogLine>,
    /// How many entries of the window were looked at.
    pub read_total: u64,
    /// How many of those were left out of `lines` for the limit (successes of an access log are not counted as left out).
    pub left_out_total: u64,
    /// Entries that fit no format.
    pub unparsed_total: u64,
    /// Time of the first entry read; later than the window's beginning when `cut` is set.
    pub first_at: Option<Timestamp>,
    /// Time of the last entry in the file, in the window or not.
    pub last_at: Option<Timestamp>,
    /// The window was too large to be read whole: only its end was.
    pub cut: bool,
    /// Access log: requests by status in the window.
    pub statuses: Vec<(u16, u64)>,
    /// Access log: requests that went well, by upstream address and path, the most frequent first (bounded).
    pub successes: Vec<Successes>,
}

/// Requests that went well, of one upstream address and one path. Times are none when the format has no time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Successes {
    /// `$upstream_addr` of the last attempt; empty when the format does not have it.
    pub upstream: String,
    /// Path without arguments.
    pub path: String,
    /// `$server_name` or `$host` when the format has it.
    pub server: String,
    /// How many.
    pub count: u64,
    /// The first.
    pub first_at: Option<Timestamp>,
    /// The last.
    pub last_at: Option<Timestamp>,
    /// The longest `$upstream_response_time` or `$request_time`, in seconds.
    pub slowest_seconds: Option<f64>,
}

/// One entry: usually a line, several where FastCGI's stderr has line feeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// 1-based number of its first line; 0 when the file was too long to count from its beginning.
    pub line: u64,
    /// Offset of its first byte in the file; 0 for the journal.
    pub offset: u64,
    /// When it was written, in the host's zone where the log has none.
    pub at: Timestamp,
    /// The entry without its line end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// A log of an application server, or one that the host's own loggers keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackendLog {
    /// The file.
    pub path: String,
    /// Whose it is: `php-fpm`, `gunicorn`, `uwsgi`, `nginx` (another instance), `app`; `audit` for auditd's, `kernel` for
    /// what syslog wrote of the kernel, of both only the lines that tell of an event.
    pub server: String,
    /// The unit, pool or program that writes it, when known.
    pub owner: String,
    /// Its lines in the window; lines without a time take that of the line before.
    pub lines: Reading<Vec<LogLine>>,
}
