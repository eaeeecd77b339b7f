//! The sums over all lines of logs, in the time of one read.
//!
//! A [`Scanner`] knows what the lines of one log are and adds blocks of them to a [`Tally`]; tallies of several threads are
//! put together, and what they hold becomes a [`snapshot::Traffic`] and the lines worth quoting. Nothing here opens a
//! file, asks the clock or allocates for each line.

mod access;
mod breakdown;
mod clock;
mod error;
mod kept;
pub mod notice;
mod number;
mod pattern;
mod program;
mod sketch;
mod steps;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod upstreams;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nginx_logs::carrier::tidy;
use nginx_logs::split::{Fields, Span, each_line};
use nginx_logs::split_error::each_entry;
use nginx_logs::{Block, Carried, Kind, Shape};
use snapshot::{LogLines, Window};

use access::{Here, Plan};
use clock::micros_of;
use kept::Place;

pub use tally::Tally;

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
    /// Lines that tell no year are of the latest one that is not after that time.
    pub now: Option<Timestamp>,
    /// Keys that are told apart in each breakdown: a hostile client can invent any number.
    pub most_keys: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            window: None,
            zone: TimeZone::UTC,
            by: Vec::new(),
            statuses: None,
            now: None,
            most_keys: 20_000,
        }
    }
}

/// A property of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    Url,
    Client,
    Server,
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
    plans: Vec<Plan>,
    now: Option<Timestamp>,
}

impl Scanner {
    pub fn new(shape: Shape, options: &Options) -> Scanner {
        let format = |it: &Kind| match it {
            Kind::Access(format) => Some(Plan::new(format)),
            _ => None,
        };
        Scanner { plans: shape.kinds.iter().filter_map(format).collect(), shape, now: options.now }
    }

    /// Adds the lines of a block; says how many lines there were.
    pub fn scan(&self, block: &Block<'_>, tally: &mut Tally) -> u64 {
        let lines = match (self.shape.plain(), self.plans.first()) {
            (Some(Kind::Access(_)), Some(plan)) => self.scan_access(plan, block, tally),
            (Some(Kind::Error), _) => self.scan_errors(block, tally),
            _ => self.scan_lines(block, tally),
        };
        tally.end_of_block(block.source, lines);
        lines
    }

    /// Lines of one format.
    fn scan_access(&self, plan: &Plan, block: &Block<'_>, tally: &mut Tally) -> u64 {
        let kind = tally.kind(&plan.kind());
        let mut scratch = std::mem::take(&mut tally.scratch);
        tally.keeper.copies_later = true;
        let mut lines = 0;
        let take = |bytes, whole: Span, fields: Option<&Fields>| {
            let offset = block.bytes.len() - <[u8]>::len(bytes) + whole.start as usize;
            let place = place(block, offset, lines);
            lines += 1;
            let here = Here { bytes, whole, place, kind, carried_at: None };
            let is_counted = fields.is_some_and(|it| plan.count_split(it, here, tally));
            if !is_counted && !plan.read(tidy(whole.of(bytes)), here, tally) {
                self.count_stray(kind, whole.of(bytes), place, tally);
            }
        };
        match plan.splitter().filter(|_| !has_holes(block)) {
            Some(splitter) => splitter.each_line(block.bytes, &mut scratch, take),
            None => each_line(block.bytes, take),
        };
        tally.scratch = scratch;
        tally.keeper.copy_from(block.bytes, block.offset);
        tally.end_of_kind(block.source, kind);
        lines
    }

    fn scan_errors(&self, block: &Block<'_>, tally: &mut Tally) -> u64 {
        let kind = tally.kind(&Kind::Error);
        let mut scratch = std::mem::take(&mut tally.scratch);
        tally.keeper.copies_later = true;
        let (mut line, holes) = (0, has_holes(block));
        let lines = each_entry(block.bytes, &mut scratch, |whole, lines, quick| {
            let place = place(block, whole.start as usize, line);
            line += lines;
            let here = Here { bytes: block.bytes, whole, place, kind, carried_at: None };
            let is_counted = quick.filter(|_| !holes).is_some_and(|it| error::count_split(it, here, tally));
            if !is_counted && !error::read(tidy(whole.of(block.bytes)), here, tally) {
                self.count_stray(kind, whole.of(block.bytes), place, tally);
            }
        });
        tally.scratch = scratch;
        tally.keeper.copy_from(block.bytes, block.offset);
        tally.end_of_kind(block.source, kind);
        lines
    }

    /// A line of another kind than its log: what nginx says to its standard error, or one with a carrier, as they come where
    /// streams are put together.
    #[cold]
    fn count_stray(&self, of_log: usize, line: &[u8], place: Place, tally: &mut Tally) {
        let (carried, kind) = self.shape.open(line);
        let other = kind.filter(|it| self.shape.plain() != Some(it));
        tally.end_of_kind(place.source, of_log);
        tally.keeper.copies_later = false;
        if !other.is_some_and(|it| self.count_line(it, &carried, line, place, tally)) {
            tally.unparsed(line, place);
        }
        tally.keeper.copies_later = true;
    }

    /// Lines in a carrier, or of several kinds: one after the other.
    fn scan_lines(&self, block: &Block<'_>, tally: &mut Tally) -> u64 {
        let mut lines = 0;
        for bytes in block.bytes.split_inclusive(|it| *it == b'\n') {
            let offset = bytes.as_ptr() as usize - block.bytes.as_ptr() as usize;
            let place = place(block, offset, lines);
            lines += 1;
            let (carried, kind) = self.shape.open(bytes);
            let is_counted = kind.is_some_and(|it| self.count_line(it, &carried, bytes, place, tally));
            if !is_counted {
                tally.unparsed(bytes, place);
            }
        }
        lines
    }

    fn count_line(
        &self,
        kind: &Kind,
        carried: &Carried<'_>,
        line: &[u8],
        place: Place,
        tally: &mut Tally,
    ) -> bool {
        let text = &*carried.text;
        let number = tally.kind(kind);
        let carried_at = carried.taken_at(&tally.zone, self.now.unwrap_or(Timestamp::MAX)).map(micros_of);
        let whole = Span { start: 0, end: text.len() as u32 };
        let here = Here { bytes: text, whole, place, kind: number, carried_at };
        let is_counted = match kind {
            Kind::Access(format) => match self.plans.iter().find(|it| it.format() == format) {
                Some(plan) => plan.read(text, here, tally),
                // One of the usual formats, which the beginning of the log did not show.
                None => Plan::new(format).read(text, here, tally),
            },
            Kind::Error => error::read(text, here, tally),
            Kind::Program(program) => {
                // Who wrote it and of which unit, only the carrier knows.
                let names_writer = carried.program.is_some() && program.is_of_system();
                let quoted = if names_writer { tidy(line) } else { text };
                program::read(*program, text, quoted, here, self.now, tally)
            }
        };
        tally.end_of_kind(place.source, number);
        is_counted
    }
}

/// Whether a crash left zeros in the block. What stands around them is a line without them, which the fast ways do not see.
fn has_holes(block: &Block<'_>) -> bool {
    memchr::memchr(0, block.bytes).is_some()
}

/// Where a line of a block stands.
fn place(block: &Block<'_>, offset: usize, line: u64) -> Place {
    Place { source: block.source, offset: block.offset + offset as u64, block: block.index, line }
}

/// The lines worth quoting of one kind of lines in one log: entries of an error log, failed and retried requests of an access
/// log with a few that went well, lines of a program that tell of an event. Lines of the system's own log are kept with their
/// carrier, where that tells who wrote them.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub source: usize,
    pub kind: Kind,
    /// In their order, and bounded: of too many of one sort the first and the last.
    pub lines: LogLines,
}
