//! The sums over all lines of logs, in the time of one read.
//!
//! A [`Scanner`] knows what the lines of one log are and adds blocks of them to a [`Tally`]; tallies of several threads are
//! put together, and what they hold becomes a [`snapshot::Traffic`] and the lines worth quoting. Nothing here opens a
//! file, asks the clock or allocates for each line.

use jiff::tz::TimeZone;
use nginx_logs::{Block, Kind, Shape};
use snapshot::{LogLines, Traffic, Window};

/// What is asked of the logs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Lines outside of it are not counted.
    pub window: Option<Window>,
    /// The zone of logs that name none.
    pub zone: TimeZone,
    /// Breakdowns of all requests; those by url, client, server and reason are made of the failed ones in any case.
    pub by: Vec<By>,
    /// Only requests with these statuses count.
    pub statuses: Option<StatusFilter>,
    /// Keys that are told apart in each breakdown: a hostile client can invent any number.
    pub most_keys: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { window: None, zone: TimeZone::UTC, by: Vec::new(), statuses: None, most_keys: 20_000 }
    }
}

/// A property of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    Url,
    Client,
    Server,
    Location,
    Status,
    Upstream,
    Reason,
    Method,
    Symptom,
}

/// Inclusive ranges of statuses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusFilter(pub Vec<(u16, u16)>);

/// Knows one log's lines. Threads share it.
#[derive(Debug, Clone)]
pub struct Scanner {
    shape: Shape,
}

impl Scanner {
    pub fn new(shape: Shape, _options: &Options) -> Scanner {
        Scanner { shape }
    }

    /// Adds the lines of a block; says how many lines there were.
    pub fn scan(&self, block: &Block<'_>, tally: &mut Tally) -> u64 {
        let mut lines = 0;
        for line in block.bytes.split_inclusive(|it| *it == b'\n') {
            lines += 1;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if let Some(Kind::Access(format)) = self.shape.kind_of(line)
                && let Some(record) = format.parse(line)
            {
                tally.traffic.requests += 1;
                if let Some(status) = record.status() {
                    *tally.traffic.statuses.entry(status).or_default() += 1;
                }
            }
        }
        lines
    }
}

/// What one thread has counted so far.
#[derive(Debug, Default)]
pub struct Tally {
    traffic: Traffic,
}

/// The lines worth quoting of one kind of lines in one log: entries of an error log, failed and retried requests of an access
/// log with a few that went well, lines of a program that tell of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub source: usize,
    pub kind: Kind,
    /// In their order, and bounded: of too many of one sort the first and the last.
    pub lines: LogLines,
}

impl Tally {
    pub fn new(_options: &Options) -> Tally {
        Tally::default()
    }

    /// Puts two together; which of them was filled first does not matter.
    pub fn merge(&mut self, other: Tally) {
        self.traffic.requests += other.traffic.requests;
        for (status, count) in other.traffic.statuses {
            *self.traffic.statuses.entry(status).or_default() += count;
        }
    }

    /// The sums, and the lines worth quoting of each source. `first_line` says which line a block begins with, 0 where that
    /// is not known.
    pub fn finish(self, _first_line: impl Fn(usize, u64) -> u64) -> (Traffic, Vec<Kept>) {
        (self.traffic, Vec::new())
    }
}
