//! The sums over logs, as JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Zone, shown};

/// The sums over all lines of all logs that were read.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Traffic {
    /// The logs, in the order in which they were read.
    pub sources: Vec<Source>,
    /// The first time in them, inside of the window.
    pub first: Option<String>,
    /// The last one.
    pub last: Option<String>,
    /// Requests: lines of access logs.
    pub requests: u64,
    /// Requests whose client got an error: 500 and above, 499, 413, and nginx's 009.
    pub failed: u64,
    /// Requests that went well after at least one try had failed.
    pub hidden: u64,
    /// Requests by status given to the client.
    pub statuses: BTreeMap<String, u64>,
    /// Bytes of response bodies sent.
    pub body_bytes: u64,
    /// `$request_time`, in seconds; null where no format has it.
    pub request_time: Option<Quantiles>,
    /// Entries of error logs, by level.
    pub levels: BTreeMap<String, u64>,
    /// The width of the steps, in seconds.
    pub step_seconds: u32,
    /// In the order of time; steps in which nothing was logged are left out.
    pub steps: Vec<Step>,
    /// By address as logged; `-` for requests that nginx answered without an upstream.
    pub upstreams: Vec<Upstream>,
    /// What the error logs say, the most frequent first.
    pub symptoms: Vec<SymptomCount>,
    /// What other programs' logs say, the most frequent first.
    pub events: Vec<Event>,
    /// The same requests by other properties.
    pub breakdowns: Vec<Breakdown>,
}

/// One log, or one rotated part of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Source {
    /// The path, `-` for standard input, or `journal:UNIT`.
    pub name: String,
    /// `access`, `error`, `php-fpm` …; `mixed` where one stream carries several.
    pub kind: String,
    /// How it is packed; empty when it is not.
    pub packing: String,
    /// What wraps its lines; empty when nothing does.
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
    /// A few of those.
    pub unparsed_samples: Vec<Unparsed>,
    /// The first time in it, inside of the window.
    pub first: Option<String>,
    /// The last one.
    pub last: Option<String>,
    /// Why not all of it was read, if so.
    pub partial: Option<String>,
}

/// A line that fits no format.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Unparsed {
    /// Its number, from 1; 0 where lines were not counted.
    pub line: u64,
    /// Its text.
    pub text: String,
}

/// How a duration is distributed, in seconds. A quantile is that of the nearest rank, at most `relative_error` away.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Quantiles {
    /// Of how many.
    pub count: u64,
    /// The shortest.
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
    /// The longest.
    pub max: f64,
    /// The bound of the error of the quantiles, as a share.
    pub relative_error: f64,
}

/// What was logged within one step of time.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Step {
    /// When it begins.
    pub at: String,
    /// Requests that ended in it.
    pub requests: u64,
    /// Of those, the failed ones.
    pub failed: u64,
    /// Requests with a status of 500 and above.
    pub errors: Vec<StepErrors>,
    /// Entries of error logs.
    pub symptoms: Vec<StepSymptoms>,
}

/// Requests of one upstream with one status.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StepErrors {
    /// The address of the last try; `-` without one.
    pub upstream: String,
    /// The status given to the client.
    pub status: u16,
    /// How many.
    pub count: u64,
}

/// Entries of one symptom at one upstream.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StepSymptoms {
    /// Its id; `other` for entries that are none.
    pub symptom: String,
    /// The peer; empty without one.
    pub upstream: String,
    /// How many.
    pub count: u64,
}

/// One upstream address.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Upstream {
    /// As logged in `$upstream_addr`: an address, or the group's name where no server was eligible.
    pub address: String,
    /// Tries by `$upstream_status`; `0` where the try ended without any.
    pub tries: BTreeMap<String, u64>,
    /// Requests whose last try was here, by status given to the client.
    pub finals: BTreeMap<String, u64>,
    /// Tries that failed here and were made good by another one.
    pub hidden: u64,
    /// `$upstream_response_time` of its tries, in seconds.
    pub response_time: Option<Quantiles>,
    /// `$upstream_connect_time`.
    pub connect_time: Option<Quantiles>,
    /// The first failed try.
    pub first_failed: Option<String>,
    /// The last one.
    pub last_failed: Option<String>,
}

/// One symptom at one upstream.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SymptomCount {
    /// Its id, or `other`.
    pub symptom: String,
    /// The peer or the group's name; empty without one.
    pub upstream: String,
    /// How often.
    pub count: u64,
    /// The first.
    pub first: String,
    /// The last.
    pub last: String,
}

/// One kind of event in the logs of other programs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Event {
    /// Its name, such as `max-children-reached`.
    pub event: String,
    /// The log that tells of it.
    pub source: String,
    /// How often.
    pub count: u64,
    /// The first, where lines have times.
    pub first: Option<String>,
    /// The last.
    pub last: Option<String>,
}

/// Requests by one property.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Breakdown {
    /// `url`, `client`, `server`, `location`, `status`, `upstream`, `reason`, `method`, `symptom`, `minute`.
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
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row {
    /// The value.
    pub key: String,
    /// How many requests.
    pub requests: u64,
    /// Of those, the failed ones.
    pub failed: u64,
    /// Failed ones by status.
    pub statuses: BTreeMap<String, u64>,
    /// The first failed one.
    pub first: Option<String>,
    /// The last one.
    pub last: Option<String>,
}

impl Traffic {
    pub(super) fn of(it: &snapshot::Traffic, zone: Zone) -> Traffic {
        let time = |it: Option<Timestamp>| it.map(|it| zone.time(it));
        Traffic {
            sources: it.sources.iter().map(|it| source(it, zone)).collect(),
            first: time(it.first_at),
            last: time(it.last_at),
            requests: it.requests,
            failed: it.failed,
            hidden: it.hidden,
            statuses: statuses(&it.statuses),
            body_bytes: it.body_bytes,
            request_time: it.request_time.as_ref().map(quantiles),
            levels: it.levels.iter().map(|(level, count)| (shown(level), *count)).collect(),
            step_seconds: it.step_seconds,
            steps: it.steps.iter().map(|it| step(it, zone)).collect(),
            upstreams: it.upstreams.iter().map(|it| upstream(it, zone)).collect(),
            symptoms: it
                .symptoms
                .iter()
                .map(|it| SymptomCount {
                    symptom: shown(&it.symptom),
                    upstream: shown(&it.upstream),
                    count: it.count,
                    first: zone.time(it.first_at),
                    last: zone.time(it.last_at),
                })
                .collect(),
            events: it
                .events
                .iter()
                .map(|it| Event {
                    event: shown(&it.event),
                    source: shown(&it.source),
                    count: it.count,
                    first: time(it.first_at),
                    last: time(it.last_at),
                })
                .collect(),
            breakdowns: it.breakdowns.iter().map(|it| breakdown(it, zone)).collect(),
        }
    }
}

fn source(it: &snapshot::LogSource, zone: Zone) -> Source {
    Source {
        name: shown(&it.name),
        kind: shown(&it.kind),
        packing: shown(&it.packing),
        carrier: shown(&it.carrier),
        format: it.format.as_deref().map(shown),
        bytes: it.bytes,
        lines: it.lines,
        records: it.records,
        unparsed: it.unparsed,
        unparsed_samples: it
            .unparsed_samples
            .iter()
            .map(|(line, text)| Unparsed { line: *line, text: shown(text) })
            .collect(),
        first: it.first_at.map(|it| zone.time(it)),
        last: it.last_at.map(|it| zone.time(it)),
        partial: it.partial.as_deref().map(shown),
    }
}

fn quantiles(it: &snapshot::Quantiles) -> Quantiles {
    let snapshot::Quantiles { count, min, p50, p90, p95, p99, p999, max, relative_error } = *it;
    Quantiles { count, min, p50, p90, p95, p99, p999, max, relative_error }
}

fn step(it: &snapshot::Step, zone: Zone) -> Step {
    Step {
        at: zone.time(it.at),
        requests: it.requests,
        failed: it.failed,
        errors: it
            .errors
            .iter()
            .map(|(upstream, status, count)| StepErrors {
                upstream: shown(upstream),
                status: *status,
                count: *count,
            })
            .collect(),
        symptoms: it
            .symptoms
            .iter()
            .map(|(symptom, upstream, count)| StepSymptoms {
                symptom: shown(symptom),
                upstream: shown(upstream),
                count: *count,
            })
            .collect(),
    }
}

fn upstream(it: &snapshot::UpstreamTraffic, zone: Zone) -> Upstream {
    Upstream {
        address: shown(&it.address),
        tries: statuses(&it.tries),
        finals: statuses(&it.finals),
        hidden: it.hidden,
        response_time: it.response_time.as_ref().map(quantiles),
        connect_time: it.connect_time.as_ref().map(quantiles),
        first_failed: it.failed_at.map(|(first, _)| zone.time(first)),
        last_failed: it.failed_at.map(|(_, last)| zone.time(last)),
    }
}

fn breakdown(it: &snapshot::Breakdown, zone: Zone) -> Breakdown {
    Breakdown {
        by: shown(&it.by),
        of_all: it.of_all,
        rows: it
            .rows
            .iter()
            .map(|it| Row {
                key: shown(&it.key),
                requests: it.requests,
                failed: it.failed,
                statuses: statuses(&it.statuses),
                first: it.first_at.map(|it| zone.time(it)),
                last: it.last_at.map(|it| zone.time(it)),
            })
            .collect(),
        left_out: it.left_out,
        not_told_apart: it.not_told_apart,
    }
}

fn statuses(it: &BTreeMap<u16, u64>) -> BTreeMap<String, u64> {
    it.iter().map(|(status, count)| (status.to_string(), *count)).collect()
}
