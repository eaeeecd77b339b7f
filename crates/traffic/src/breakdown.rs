//! Requests by one property.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use nginx_logs::split::Span;
use snapshot::{Breakdown, Row};

use crate::By;
use crate::clock::time_of;
use crate::steps::add;
use crate::table::{Cell, Table};
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
    /// By value.
    rows: Table<Counts>,
    /// Clients cannot know it.
    secret: u64,
    not_told_apart: u64,
}

impl By {
    pub fn name(self) -> &'static str {
        match self {
            By::Url => "url",
            By::Client => "client",
            By::Server => "server",
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
        Rows { by, of_all, rows: Table::default(), secret: RandomState::new().hash_one(0), not_told_apart: 0 }
    }

    /// The row of a value; none if there are too many.
    pub fn row(&mut self, key: &[u8], most_keys: usize) -> Option<usize> {
        let key = &key[..key.len().min(LONGEST_BYTES)];
        let (whole, nothing) = (Span { start: 0, end: key.len() as u32 }, Span::default());
        self.rows.find(key, whole, nothing, self.secret).or_else(|| {
            let has_room = self.rows.cells.len() < most_keys;
            has_room.then(|| self.rows.insert(key, whole, nothing, self.secret, Counts::default()))
        })
    }

    fn counts(&mut self, row: Option<usize>) -> Option<&mut Counts> {
        Some(&mut self.rows.cells.get_mut(row?)?.value)
    }

    /// Counts a request of a row; the status is that of a request that has one.
    pub fn count(&mut self, row: Option<usize>, status: Option<u16>, at: Option<i64>) {
        let Some(counts) = self.counts(row) else {
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
        let row = self.row(key, usize::MAX);
        let Some(counts) = self.counts(row) else { return };
        counts.requests += count;
        counts.failed += count;
        counts.first_at = earlier(counts.first_at, Some(span.0));
        counts.last_at = counts.last_at.max(Some(span.1));
    }

    pub fn merge(&mut self, other: Rows, most_keys: usize) {
        self.not_told_apart += other.not_told_apart;
        let mut rows = other.rows;
        for cell in rows.take() {
            let row = self.row(cell.text(), most_keys);
            let counts = cell.value;
            let Some(to) = self.counts(row) else {
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
        let mut rows: Vec<&Cell<Counts>> = self.rows.cells.iter().collect();
        rows.sort_unstable_by(|a, b| {
            let count = |it: &Counts| (it.failed, it.requests);
            count(&b.value).cmp(&count(&a.value)).then_with(|| a.text().cmp(b.text()))
        });
        let left_out = rows.len().saturating_sub(MOST_ROWS) as u64;
        rows.truncate(MOST_ROWS);
        let row = |it: &Cell<Counts>| Row {
            key: String::from_utf8_lossy(it.text()).into_owned(),
            requests: it.value.requests,
            failed: it.value.failed,
            statuses: it.value.statuses.iter().copied().collect::<BTreeMap<_, _>>(),
            first_at: it.value.first_at.map(time_of),
            last_at: it.value.last_at.map(time_of),
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
