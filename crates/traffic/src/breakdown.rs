//! Requests by one property.

use std::collections::{BTreeMap, HashMap};

use snapshot::{Breakdown, Row};

use crate::By;
use crate::clock::time_of;
use crate::steps::add;
use crate::table::Keyed;
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
    /// Where the row of a value is.
    index: HashMap<Box<[u8]>, usize, Keyed>,
    rows: Vec<Counts>,
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
        Rows { by, of_all, index: HashMap::default(), rows: Vec::new(), not_told_apart: 0 }
    }

    /// The row of a value; none if there are too many.
    pub fn row(&mut self, key: &[u8], most_keys: usize) -> Option<usize> {
        let key = &key[..key.len().min(LONGEST_BYTES)];
        if let Some(row) = self.index.get(key) {
            return Some(*row);
        }
        if self.rows.len() >= most_keys {
            return None;
        }
        self.index.insert(key.into(), self.rows.len());
        self.rows.push(Counts::default());
        Some(self.rows.len() - 1)
    }

    /// Counts a request of a row; the status is that of a request that has one.
    pub fn count(&mut self, row: Option<usize>, status: Option<u16>, at: Option<i64>) {
        let Some(counts) = row.and_then(|it| self.rows.get_mut(it)) else {
            self.not_told_apart += 1;
            return;
        };
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
        let Some(counts) = self.row(key, usize::MAX).and_then(|it| self.rows.get_mut(it)) else { return };
        counts.requests += count;
        counts.failed += count;
        counts.first_at = earlier(counts.first_at, Some(span.0));
        counts.last_at = counts.last_at.max(Some(span.1));
    }

    pub fn merge(&mut self, other: Rows, most_keys: usize) {
        self.not_told_apart += other.not_told_apart;
        let mut rows = other.rows;
        for (key, number) in other.index {
            let counts = std::mem::take(&mut rows[number]);
            let Some(to) = self.row(&key, most_keys).and_then(|it| self.rows.get_mut(it)) else {
                self.not_told_apart += counts.requests;
                continue;
            };
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
        let mut all = self.rows;
        let take = |(key, number): (Box<[u8]>, usize)| (key, std::mem::take(&mut all[number]));
        let mut rows: Vec<(Box<[u8]>, Counts)> = self.index.into_iter().map(take).collect();
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
