//! What logs say in sum: every line that was read is counted here, while `LogFile` keeps only the lines worth quoting.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The sums over all lines of all logs that were read.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// The logs, in the order in which they were read.
    pub sources: Vec<LogSource>,
    /// The first time in them, inside of the window.
    pub first_at: Option<Timestamp>,
    /// The last one.
    pub last_at: Option<Timestamp>,
    /// Requests: lines of access logs.
    pub requests: u64,
    /// Requests whose client got an error: 500 and above, 499, 413, and nginx's `009`.
    pub failed: u64,
    /// Requests that went well after at least one try had failed: nobody outside noticed.
    pub hidden: u64,
    /// Requests by status given to the client.
    pub statuses: BTreeMap<u16, u64>,
    /// Bytes of response bodies sent.
    pub body_bytes: u64,
    /// `$request_time`, in seconds; none where no format has it.
    pub request_time: Option<Quantiles>,
    /// Entries of error logs, by level as nginx spells it.
    pub levels: BTreeMap<String, u64>,
    /// The width of the steps below, in seconds: 60, and more where the logs span a very long time.
    pub step_seconds: u32,
    /// In the order of time; steps in which nothing was logged are left out.
    pub steps: Vec<Step>,
    /// By address as logged; `-` for requests that nginx answered without an upstream.
    pub upstreams: Vec<UpstreamTraffic>,
    /// What the error logs say, the most frequent first.
    pub symptoms: Vec<SymptomCount>,
    /// What other programs' logs say, the most frequent first.
    pub events: Vec<EventCount>,
    /// The same requests by other properties, in the order asked for.
    pub breakdowns: Vec<Breakdown>,
}

/// One log, or one rotated part of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LogSource {
    /// The path, `-` for standard input, or `journal:nginx.service`.
    pub name: String,
    /// `access`, `error`, `php-fpm`, … as in the records; `mixed` where one stream carries several, `unparsed` where none was
    /// understood, `empty`.
    pub kind: String,
    /// How it is packed: empty, or `gzip`, `zstd`, `xz`, `bzip2`, and `utf-16`.
    pub packing: String,
    /// What stands before its lines: empty, or the carrier's name.
    pub carrier: String,
    /// The `log_format` that an access log was read by.
    pub format: Option<String>,
    /// Bytes read, unpacked.
    pub bytes: u64,
    /// Lines read.
    pub lines: u64,
    /// Records in the window.
    pub records: u64,
    /// Lines that fit no format.
    pub unparsed: u64,
    /// A few of those, with their line numbers (0 where lines were not counted).
    pub unparsed_samples: Vec<(u64, String)>,
    /// The first time in it, inside of the window.
    pub first_at: Option<Timestamp>,
    /// The last one.
    pub last_at: Option<Timestamp>,
    /// Why not all of it was read, if so.
    pub partial: Option<String>,
}

/// What was logged within one step of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When it begins.
    pub at: Timestamp,
    /// Requests that ended in it.
    pub requests: u64,
    /// Of those, the failed ones.
    pub failed: u64,
    /// Requests with a status of 500 and above, by address of the last try (`-` without one) and status.
    pub errors: Vec<(String, u16, u64)>,
    /// Entries by symptom (its id; `other` for entries that are none) and upstream (empty without one).
    pub symptoms: Vec<(String, String, u64)>,
}

/// One upstream address.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UpstreamTraffic {
    /// As logged in `$upstream_addr`: an address, or the group's name where none was eligible.
    pub address: String,
    /// Tries by `$upstream_status`; 0 where the try ended without any.
    pub tries: BTreeMap<u16, u64>,
    /// Requests whose last try was here, by status given to the client.
    pub finals: BTreeMap<u16, u64>,
    /// Tries that failed here and were made good by another one.
    pub hidden: u64,
    /// `$upstream_response_time` of its tries, in seconds; none where the format does not have it.
    pub response_time: Option<Quantiles>,
    /// `$upstream_connect_time`.
    pub connect_time: Option<Quantiles>,
    /// The first and the last failed try.
    pub failed_at: Option<(Timestamp, Timestamp)>,
}

/// How a duration is distributed, in seconds. A quantile is that of the nearest rank, and at most `relative_error` away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Of how many.
    pub count: u64,
    /// The shortest, exact.
    pub min: f64,
    /// Half are shorter.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1000.
    pub p999: f64,
    /// The longest, exact.
    pub max: f64,
    /// The bound of the error of the quantiles, as a share: 0.01 is one per cent.
    pub relative_error: f64,
}

/// One symptom at one upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SymptomCount {
    /// Its id, or `other`.
    pub symptom: String,
    /// The peer or the group's name; empty without one.
    pub upstream: String,
    /// How often.
    pub count: u64,
    /// The first.
    pub first_at: Timestamp,
    /// The last.
    pub last_at: Timestamp,
}

/// One kind of event in the logs of other programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventCount {
    /// Its name, such as `max-children-reached`.
    pub event: String,
    /// The log that tells of it.
    pub source: String,
    /// How often.
    pub count: u64,
    /// The first, where lines have times.
    pub first_at: Option<Timestamp>,
    /// The last.
    pub last_at: Option<Timestamp>,
}

/// Requests by one property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    /// `url`, `client`, `server`, `location`, `status`, `upstream`, `reason`, `method`.
    pub by: String,
    /// Whether every request was counted; else only failed ones, and `requests` equals `failed`.
    pub of_all: bool,
    /// The rows with the most failures first, then those with the most requests.
    pub rows: Vec<Row>,
    /// Rows that are not listed.
    pub left_out: u64,
    /// Requests of keys that were not told apart, since there were too many.
    pub not_told_apart: u64,
}

/// The requests that have one value of a property.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// The value.
    pub key: String,
    /// How many requests.
    pub requests: u64,
    /// Of those, the failed ones.
    pub failed: u64,
    /// Failed ones by status.
    pub statuses: BTreeMap<u16, u64>,
    /// The first failed one.
    pub first_at: Option<Timestamp>,
    /// The last one.
    pub last_at: Option<Timestamp>,
}
