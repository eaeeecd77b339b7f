//! Every record of a log as one JSON object a line, or as one row of CSV: what `why502 parse` prints.
//!
//! A [`Printer`] knows one log and turns blocks of it into [`Part`]s: any number of threads side by side, and nothing is
//! allocated for each line. Which line of the log a block begins with is known only when the parts are put in their order,
//! so a part leaves a hole for each line number and [`Part::write_to`] fills them.
//!
//! Every line is in exactly one record, or it is blank, or it lies outside of the window; the counts of a part add up.

mod access;
mod clock;
mod csv;
mod entry;
mod out;

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::access::Format;
use crate::bytes::split_byte;
use crate::carrier::{Carried, Carrier, Stream, tidy};
use crate::error::{entries, looks_like_start, parse, parse_stderr};
use crate::kind::Signature;
use crate::signature::signature;
use crate::{Block, Kind, Program, Shape, split};

use access::Plan;
use clock::{Clock, Moment};
use out::{Out, keys};

pub use csv::header as csv_header;

/// A longer line is not read for its fields: its record holds its beginning and is marked as `truncated`. nginx's own lines
/// end far below, whatever a client sends (`large_client_header_buffers`).
pub const LONGEST_LINE_BYTES: usize = 1 << 20;
/// Entries of several lines behind a carrier are put together up to here, which is more than nginx's limit.
const LONGEST_ENTRY_BYTES: usize = 8 << 10;
/// Samples of unparsed lines that a part keeps.
const MOST_SAMPLES: usize = 5;
/// How much of such a line.
const SAMPLE_BYTES: usize = 160;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    JsonLines,
    /// A row a line, of the columns of [`csv_header`].
    Csv,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub form: Form,
    /// Whether each record holds its line as it was.
    pub raw: bool,
    /// The zone of logs that name none.
    pub zone: TimeZone,
    /// A time without a year is the latest that is not after this one.
    pub now: Timestamp,
    /// Nothing before that time.
    pub since: Option<Timestamp>,
    /// Nothing after it.
    pub until: Option<Timestamp>,
}

/// The kinds of records, in the order of the counts.
pub const KINDS: [&str; 12] = [
    "access", "error", "php-fpm", "kernel", "journal", "gunicorn", "uwsgi", "tomcat", "haproxy", "audit",
    "app", "unparsed",
];
const ACCESS: usize = 0;
const ERROR: usize = 1;
const UNPARSED: usize = KINDS.len() - 1;

fn number_of(program: Program) -> usize {
    KINDS.iter().position(|it| *it == program.name()).unwrap_or(UNPARSED - 1)
}

/// Why a line is in no record but an `unparsed` one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nothing in the log was understood.
    UnknownLog,
    /// It does not have the log's `log_format`.
    NotTheFormat,
    /// It does not begin like an entry of an error log, and continues none.
    NotAnEntry,
    /// It is of none of the log's kinds.
    OfNoKind,
    /// It is longer than [`LONGEST_LINE_BYTES`].
    TooLong,
}

impl Why {
    pub const ALL: [Why; 5] =
        [Why::UnknownLog, Why::NotTheFormat, Why::NotAnEntry, Why::OfNoKind, Why::TooLong];

    /// What is said of such lines.
    pub fn says(self) -> &'static str {
        match self {
            Why::UnknownLog => "the log is of no kind that is known",
            Why::NotTheFormat => "not in the log's log_format",
            Why::NotAnEntry => "no beginning of an entry of the error log, and the continuation of none",
            Why::OfNoKind => "of none of the kinds that the log holds",
            Why::TooLong => "longer than 1 MiB",
        }
    }
}

/// What became of the lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    pub lines: u64,
    /// Lines without anything in them.
    pub blank: u64,
    /// Records by kind, in the order of [`KINDS`].
    pub records: [u64; KINDS.len()],
    /// Lines in them.
    pub record_lines: u64,
    /// Unparsed lines, in the order of [`Why::ALL`].
    pub unparsed: [u64; Why::ALL.len()],
    /// Lines outside of the window, and lines without a time where there is one.
    pub outside: u64,
    pub untimed: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        let sum = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        self.lines += other.lines;
        self.blank += other.blank;
        self.record_lines += other.record_lines;
        self.outside += other.outside;
        self.untimed += other.untimed;
        sum(&mut self.records, &other.records);
        sum(&mut self.unparsed, &other.unparsed);
    }
}

/// An unparsed line, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Counted from 0 in its block.
    pub line: u64,
    pub why: Why,
    /// Its beginning.
    pub text: String,
}

/// The records of one block.
#[derive(Debug, Default)]
pub struct Part {
    /// Where the block begins in the log.
    pub offset: u64,
    pub counts: Counts,
    /// The first unparsed lines.
    pub samples: Vec<Sample>,
    bytes: Vec<u8>,
    /// Where a line number goes, and which line of the block it is.
    holes: Vec<(usize, u32)>,
    form: Option<Form>,
}

impl Part {
    /// Adds the records to `to`. `first_line` is the number of the block's first line; where it is not known, records have
    /// no line numbers.
    pub fn write_to(&self, first_line: Option<u64>, to: &mut Vec<u8>) {
        let mut from = 0;
        for (at, line) in &self.holes {
            to.extend_from_slice(&self.bytes[from..*at]);
            from = *at;
            let is_json = self.form == Some(Form::JsonLines);
            if !is_json {
                to.push(b',');
            } else if first_line.is_some() {
                to.extend_from_slice(b",\"line\":");
            }
            if let Some(first) = first_line {
                out::push_integer(to, first + u64::from(*line));
            }
        }
        to.extend_from_slice(&self.bytes[from..]);
    }

    fn clear(&mut self) {
        self.counts = Counts::default();
        self.samples.clear();
        self.bytes.clear();
        self.holes.clear();
    }
}

/// What one thread needs besides; it is of use for any number of logs.
#[derive(Debug)]
pub struct Memory {
    clock: Clock,
    cells: csv::Cells,
    scratch: Vec<u8>,
    marks: split::Scratch,
    /// Of formats that a log turned out to hold beside its own.
    plans: Vec<(Format, Arc<Plan>)>,
}

impl Memory {
    pub fn new(options: &Options) -> Memory {
        Memory {
            clock: Clock::new(options.zone.clone()),
            cells: csv::Cells::default(),
            scratch: Vec::new(),
            marks: split::Scratch::default(),
            plans: Vec::new(),
        }
    }
}

/// Knows one log. Threads share it.
#[derive(Debug)]
pub struct Printer {
    shape: Shape,
    /// Of the formats in the shape.
    plans: Vec<(Format, Arc<Plan>)>,
    /// What each kind of record begins with, up to the hole for the line number.
    prefixes: Vec<Vec<u8>>,
    options: Options,
}

keys! {
    SOURCE = "source";
    STREAM = "stream";
    UNIT = "unit";
    PROGRAM = "program";
    PID = "pid";
    MESSAGE = "message";
    TRUNCATED = "truncated";
    BYTES = "bytes";
    RAW = "raw";
    LEVEL = "level";
    EVENT = "event";
}

impl Printer {
    /// For the log of that name.
    pub fn new(name: &str, shape: &Shape, options: &Options) -> Printer {
        let plans = shape.kinds.iter().filter_map(|it| match it {
            Kind::Access(format) => Some((format.clone(), Arc::new(Plan::new(format)))),
            _ => None,
        });
        let prefixes = KINDS.iter().map(|kind| match options.form {
            Form::JsonLines => {
                let mut prefix = format!("{{\"kind\":\"{kind}\",\"file\":\"").into_bytes();
                out::push_json(&mut prefix, name.as_bytes());
                prefix.push(b'"');
                prefix
            }
            Form::Csv => {
                let mut prefix = format!("{kind},").into_bytes();
                csv::push(&mut prefix, name.as_bytes());
                prefix
            }
        });
        Printer {
            shape: shape.clone(),
            plans: plans.collect(),
            prefixes: prefixes.collect(),
            options: options.clone(),
        }
    }

    /// Makes `part` the records of the block; what it held before is gone, its memory is used again.
    pub fn print(&self, block: &Block<'_>, memory: &mut Memory, part: &mut Part) {
        part.clear();
        part.offset = block.offset;
        part.form = Some(self.options.form);
        let mut writer = Writer {
            printer: self,
            block,
            line: 0,
            clock: &mut memory.clock,
            scratch: &mut memory.scratch,
            marks: &mut memory.marks,
            plans: &mut memory.plans,
            out: Out::new(&mut part.bytes, &mut memory.cells, self.options.form),
            holes: &mut part.holes,
            counts: &mut part.counts,
            samples: &mut part.samples,
        };
        match self.shape.plain() {
            Some(Kind::Access(format)) if !self.plans.is_empty() => {
                writer.access_log(format, &self.plans[0].1)
            }
            _ if self.shape.carrier == Carrier::None => writer.plain_lines(),
            _ => writer.carried_lines(),
        }
    }
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    /// Of its first line in the log.
    offset: u64,
    /// Which line of the block.
    line: u32,
    line_count: u32,
    /// As it stands there, with its carrier.
    raw: &'a [u8],
    carried: Option<&'a Carried<'a>>,
}

struct Writer<'p, 'b> {
    printer: &'p Printer,
    block: &'p Block<'b>,
    /// The lines that were taken.
    line: u32,
    clock: &'p mut Clock,
    scratch: &'p mut Vec<u8>,
    marks: &'p mut split::Scratch,
    plans: &'p mut Vec<(Format, Arc<Plan>)>,
    out: Out<'p>,
    holes: &'p mut Vec<(usize, u32)>,
    counts: &'p mut Counts,
    samples: &'p mut Vec<Sample>,
}

/// The lines of a block, without their line feeds.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, after) = split_byte(rest, b'\n').unwrap_or((rest, b""));
        rest = after;
        Some(line)
    })
}

impl<'b> Writer<'_, 'b> {
    /// Takes the next lines of the block; none for blank ones.
    fn place(&mut self, line: &'b [u8], line_count: usize) -> Option<Place<'b>> {
        let line_count = u32::try_from(line_count).unwrap_or(u32::MAX);
        let number = self.line;
        self.line = self.line.saturating_add(line_count);
        self.counts.lines += u64::from(line_count);
        let raw = tidy(line);
        if raw.trim_ascii_start().is_empty() {
            self.counts.blank += u64::from(line_count);
            return None;
        }
        let offset = self.block.offset + distance(self.block.bytes, raw);
        Some(Place { offset, line: number, line_count, raw, carried: None })
    }

    /// Lines without a carrier. Entries of an error log can take several, in whatever log they stand.
    fn plain_lines(&mut self) {
        for entry in entries(self.block.bytes) {
            if let Some(place) = self.place(entry.bytes, entry.line_count) {
                self.any(&place, place.raw, None);
            }
        }
    }

    /// A line of any kind. It tells itself what it is; `guess` is what its carrier says.
    fn any(&mut self, place: &Place<'_>, text: &[u8], guess: Option<Program>) {
        if text.len() > LONGEST_LINE_BYTES {
            return self.unparsed(place, text, Why::TooLong);
        }
        let printer = self.printer;
        match signature(text) {
            Some(Signature::Error) => return self.error(place, text),
            Some(Signature::Program(it)) => return self.program(it, place, text),
            None => {}
        }
        let mut values = Vec::new();
        for (format, plan) in &printer.plans {
            if format.split(text, &mut values) {
                return self.access(plan, place, &values);
            }
        }
        match guess.map(Kind::Program).as_ref().or(printer.shape.kind_of(text)) {
            Some(Kind::Program(it)) => self.program(*it, place, text),
            Some(Kind::Access(format)) if format.split(text, &mut values) => {
                let plan = self.plan_of(format);
                self.access(&plan, place, &values);
            }
            _ => self.error(place, text),
        }
    }

    /// A format that was not among those of the log's beginning.
    fn plan_of(&mut self, format: &Format) -> Arc<Plan> {
        if let Some((_, plan)) = self.plans.iter().find(|it| it.0 == *format) {
            return plan.clone();
        }
        let plan = Arc::new(Plan::new(format));
        self.plans.push((format.clone(), plan.clone()));
        plan
    }

    /// An entry of an error log, if it is one.
    fn error(&mut self, place: &Place<'_>, text: &[u8]) {
        if let Some(record) = parse(text) {
            return self.entry(place, &record);
        }
        if let Some(record) = parse_stderr(text) {
            return self.stderr(place, &record);
        }
        let shape = &self.printer.shape;
        self.unparsed(
            place,
            text,
            match shape.kinds.as_slice() {
                [] => Why::UnknownLog,
                [Kind::Access(_)] => Why::NotTheFormat,
                [Kind::Error] => Why::NotAnEntry,
                _ => Why::OfNoKind,
            },
        );
    }

    /// Lines with a carrier. The lines of an entry are put together again: those that follow its first one, from the same
    /// source, and are nothing by themselves.
    fn carried_lines(&mut self) {
        let shape = &self.printer.shape;
        let mut open: Option<Joined<'b>> = None;
        for line in lines(self.block.bytes) {
            let Some(place) = self.place(line, 1) else { continue };
            let (carried, kind) = shape.open(place.raw);
            if let Some(it) = &mut open
                && it.is_continued_by(&carried, shape)
            {
                it.add(place.raw, carried);
                continue;
            }
            if let Some(it) = open.take() {
                self.joined(it);
            }
            let guess = match kind {
                Some(Kind::Program(it)) => Some(*it),
                _ => None,
            };
            open = Some(Joined::new(place, carried, guess));
        }
        if let Some(it) = open {
            self.joined(it);
        }
    }

    /// The records of lines that were put together: most often one.
    fn joined(&mut self, it: Joined<'_>) {
        let place = Place { carried: Some(&it.carried), ..it.place };
        if it.raws.len() == 1 {
            if it.text.trim_ascii_start().is_empty() {
                self.counts.blank += 1;
            } else {
                self.any(&place, &it.text, it.guess);
            }
            return;
        }
        if !it.is_entry {
            let raw = it.raws.join(&b'\n');
            let line_count = it.raws.len() as u32;
            return self.any(&Place { raw: &raw, line_count, ..place }, &it.text, it.guess);
        }
        // Lines that turn out not to belong to the entry stand alone.
        let mut taken = 0;
        let mut rest = entries(&it.text).peekable();
        while let Some(entry) = rest.next() {
            let left = it.raws.len() - taken;
            // An end of its own in the middle of a carrier's line leaves more entries than lines.
            let line_count = if rest.peek().is_none() { left } else { entry.line_count.min(left) };
            let raws = &it.raws[taken..taken + line_count];
            let (raw, first) = (raws.join(&b'\n'), raws.first().unwrap_or(&it.raws[0]));
            let place = Place {
                offset: place.offset + distance(it.raws[0], first),
                line: place.line + taken as u32,
                line_count: line_count as u32,
                raw: &raw,
                ..place
            };
            taken += line_count;
            if entry.bytes.trim_ascii_start().is_empty() {
                self.counts.blank += line_count as u64;
            } else {
                self.any(&place, entry.bytes, None);
            }
        }
    }

    /// Begins a record, unless it lies outside of the window.
    fn begin(&mut self, kind: usize, place: &Place<'_>, moment: Option<Moment>) -> bool {
        let options = &self.printer.options;
        let moment = moment.or_else(|| {
            let at = place.carried?.taken_at(&options.zone, options.now)?;
            Some(self.clock.at(at))
        });
        let lines = u64::from(place.line_count);
        if options.since.is_some() || options.until.is_some() {
            let Some(moment) = &moment else {
                self.counts.untimed += lines;
                return false;
            };
            let inside = options.since.is_none_or(|it| moment.at >= it)
                && options.until.is_none_or(|it| moment.at <= it);
            if !inside {
                self.counts.outside += lines;
                return false;
            }
        }
        self.counts.records[kind] += 1;
        self.counts.record_lines += lines;
        self.out.bytes.extend_from_slice(&self.printer.prefixes[kind]);
        self.holes.push((self.out.bytes.len(), place.line));
        self.out.begin(place.offset, moment.as_ref().map(Moment::text));
        if let Some(carried) = place.carried {
            if let Some(source) = &carried.source {
                let is_unit = self.printer.shape.carrier == Carrier::JournalJson;
                self.out.text(if is_unit { &UNIT } else { &SOURCE }, source.as_bytes());
            }
            if let Some(stream) = carried.stream {
                let name: &[u8] = if stream == Stream::Error { b"stderr" } else { b"stdout" };
                self.out.text(&STREAM, name);
            }
            if let Some(program) = &carried.program {
                self.out.text(&PROGRAM, program.as_bytes());
            }
        }
        true
    }

    /// Ends a record.
    fn end(&mut self, place: &Place<'_>) {
        if self.printer.options.raw {
            self.out.text(&RAW, &place.raw[..place.raw.len().min(LONGEST_LINE_BYTES)]);
        }
        self.out.end();
    }

    fn unparsed(&mut self, place: &Place<'_>, text: &[u8], why: Why) {
        if !self.begin(UNPARSED, place, None) {
            return;
        }
        self.counts.unparsed[why as usize] += u64::from(place.line_count);
        if self.samples.len() < MOST_SAMPLES {
            let text = String::from_utf8_lossy(&text[..text.len().min(SAMPLE_BYTES)]).into_owned();
            self.samples.push(Sample { line: u64::from(place.line), why, text });
        }
        if let Some(pid) = place.carried.and_then(|it| it.pid) {
            self.out.integer(&PID, pid.into());
        }
        self.out.text(&MESSAGE, &text[..text.len().min(LONGEST_LINE_BYTES)]);
        if text.len() > LONGEST_LINE_BYTES {
            self.out.flag(&TRUNCATED);
            self.out.integer(&BYTES, text.len() as u64);
        }
        self.end(place);
    }
}

/// Lines of a carrier that may be one.
struct Joined<'b> {
    /// Of the first.
    place: Place<'b>,
    carried: Carried<'b>,
    guess: Option<Program>,
    /// What they carry, an entry's lines with line feeds between.
    text: Vec<u8>,
    is_entry: bool,
    continues: bool,
    raws: Vec<&'b [u8]>,
}

impl<'b> Joined<'b> {
    fn new(place: Place<'b>, mut carried: Carried<'b>, guess: Option<Program>) -> Joined<'b> {
        let text = tidy(&std::mem::take(&mut carried.text)).to_vec();
        let is_entry = looks_like_start(&text);
        Joined { place, guess, text, is_entry, continues: carried.continues, carried, raws: vec![place.raw] }
    }

    fn is_continued_by(&self, next: &Carried<'_>, shape: &Shape) -> bool {
        // A carrier may put its header before the first line only.
        let is_bare = next.source.is_none() && next.program.is_none() && next.at.is_none();
        let same = next.source == self.carried.source && next.stream == self.carried.stream;
        if !(same || is_bare) {
            return false;
        }
        let length = self.text.len() + next.text.len();
        if self.continues {
            return same && length < LONGEST_LINE_BYTES;
        }
        let is_access = || matches!(shape.kind_of(&next.text), Some(Kind::Access(_)));
        self.is_entry && length < LONGEST_ENTRY_BYTES && signature(&next.text).is_none() && !is_access()
    }

    fn add(&mut self, raw: &'b [u8], next: Carried<'b>) {
        if !self.continues {
            self.text.push(b'\n');
        }
        self.text.extend_from_slice(tidy(&next.text));
        self.continues = next.continues;
        self.raws.push(raw);
    }
}

/// How far the start of a part lies behind that of the whole that it was taken from.
fn distance(whole: &[u8], part: &[u8]) -> u64 {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr()) as u64
}
