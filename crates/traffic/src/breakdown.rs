//! Requests by one property.

use std::collections::{BTreeMap, HashMap};

use snapshot::{Breakdown, Row};

use crate::By;
use crate::clock::time_of;
use crate::steps::add;
use crate::upstreams::is_failure;

/// Rows that are handed on.
const MOST_ROWS: usize = 1_000;
/// A longer value is cut.
const LONGEST_BYTES: usize = 200;

/// The requests that have one value.
#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    failed: u64,
    /// Of the failed ones.
    statuses: Vec<(u16, u64)>,
    first_at: Option<i64>,
    last_at: Option<i64>,
}

#[derive(Debug)]
pub struct Rows {
    pub by: By,
    /// Every request is counted, else only failed ones.
    pub of_all: bool,
    rows: HashMap<Box<[u8]>, Counts>,
    not_told_apart: u64,
}

impl By {
    pub fn name(self) -> &'static str {
        match self {
            By::Url => "url",
            By::Client => "client",
            By::Server => "server",
            By::Location => "location",
            By::Status => "status",
            By::Upstream => "upstream",
            By::Reason => "reason",
            By::Method => "method",
            By::Symptom => "symptom",
        }
    }
}

impl Rows {
    pub fn new(by: By, of_all: bool) -> Rows {
        Rows { by, of_all, rows: HashMap::new(), not_told_apart: 0 }
    }

    /// Counts a request with that value; the status is that of a request that has one.
    pub fn count(&mut self, key: &[u8], status: Option<u16>, at: Option<i64>, most_keys: usize) {
        let key = &key[..key.len().min(LONGEST_BYTES)];
        if !self.rows.contains_key(key) {
            if self.rows.len() >= most_keys {
                self.not_told_apart += 1;
                return;
            }
            self.rows.insert(key.into(), Counts::default());
        }
        let Some(counts) = self.rows.get_mut(key) else { return };
        counts.requests += 1;
        if let Some(status) = status.filter(|it| is_failure(*it)) {
            counts.failed += 1;
            add(&mut counts.statuses, status, 1);
            counts.first_at = earlier(counts.first_at, at);
            counts.last_at = counts.last_at.max(at);
        }
    }

    /// Adds entries of a log that are no requests: each is a failure without a status.
    pub fn add_entries(&mut self, key: &[u8], count: u64, span: (i64, i64)) {
        let counts = self.rows.entry(key.into()).or_default();
        counts.requests += count;
        counts.failed += count;
        counts.first_at = earlier(counts.first_at, Some(span.0));
        counts.last_at = counts.last_at.max(Some(span.1));
    }

    pub fn merge(&mut self, other: Rows, most_keys: usize) {
        self.not_told_apart += other.not_told_apart;
        for (key, counts) in other.rows {
            if !self.rows.contains_key(&key) && self.rows.len() >= most_keys {
                self.not_told_apart += counts.requests;
                continue;
            }
            let to = self.rows.entry(key).or_default();
            to.requests += counts.requests;
            to.failed += counts.failed;
            for (status, count) in counts.statuses {
                add(&mut to.statuses, status, count);
            }
            to.first_at = earlier(to.first_at, counts.first_at);
            to.last_at = to.last_at.max(counts.last_at);
        }
    }

    pub fn into_breakdown(self) -> Breakdown {
        let mut rows: Vec<(Box<[u8]>, Counts)> = self.rows.into_iter().collect();
        rows.sort_unstable_by(|(a_key, a), (b_key, b)| {
            (b.failed, b.requests).cmp(&(a.failed, a.requests)).then_with(|| a_key.cmp(b_key))
        });
        let left_out = rows.len().saturating_sub(MOST_ROWS) as u64;
        rows.truncate(MOST_ROWS);
        let row = |(key, counts): (Box<[u8]>, Counts)| Row {
            key: String::from_utf8_lossy(&key).into_owned(),
            requests: counts.requests,
            failed: counts.failed,
            statuses: counts.statuses.into_iter().collect::<BTreeMap<_, _>>(),
            first_at: counts.first_at.map(time_of),
            last_at: counts.last_at.map(time_of),
        };
        Breakdown {
            by: self.by.name().to_owned(),
            of_all: self.of_all,
            rows: rows.into_iter().map(row).collect(),
            left_out,
            not_told_apart: self.not_told_apart,
        }
    }
}

fn earlier(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
