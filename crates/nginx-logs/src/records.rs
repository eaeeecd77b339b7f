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

use jiff::Timestamp;
use jiff::tz::TimeZone;
use memchr::memchr;

use crate::access::Format;
use crate::carrier::{Carried, Carrier, Stream};
use crate::error::{entries, looks_like_start, parse, parse_stderr};
use crate::{Block, Kind, Program, Shape};

use access::Plan;
use clock::{Clock, Moment};
use out::{Key, Out, keys};

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
    /// It lacks what the log's carrier puts before each line.
    NoCarrier,
    /// It is of none of the log's kinds.
    OfNoKind,
    /// It is longer than [`LONGEST_LINE_BYTES`].
    TooLong,
}

impl Why {
    pub const ALL: [Why; 6] =
        [Why::UnknownLog, Why::NotTheFormat, Why::NotAnEntry, Why::NoCarrier, Why::OfNoKind, Why::TooLong];

    /// What is said of such lines.
    pub fn says(self) -> &'static str {
        match self {
            Why::UnknownLog => "the log is of no kind that is known",
            Why::NotTheFormat => "not in the log's log_format",
            Why::NotAnEntry => "no beginning of an entry of the error log, and the continuation of none",
            Why::NoCarrier => "without what stands before the log's other lines",
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
}

impl Memory {
    pub fn new(options: &Options) -> Memory {
        Memory { clock: Clock::new(options.zone.clone()), cells: csv::Cells::default(), scratch: Vec::new() }
    }
}

/// Knows one log. Threads share it.
#[derive(Debug)]
pub struct Printer {
    shape: Shape,
    /// One for each kind of the shape that is an access log.
    plans: Vec<Option<Plan>>,
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
        let plans = shape.kinds.iter().map(|it| match it {
            Kind::Access(format) => Some(Plan::new(format)),
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
            out: Out::new(&mut part.bytes, &mut memory.cells, self.options.form),
            holes: &mut part.holes,
            counts: &mut part.counts,
            samples: &mut part.samples,
        };
        match self.shape.plain() {
            Some(Kind::Access(format)) => writer.access_log(format),
            Some(Kind::Error) => writer.error_log(),
            _ if self.shape.carrier == Carrier::None => writer.any_lines(),
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
    out: Out<'p>,
    holes: &'p mut Vec<(usize, u32)>,
    counts: &'p mut Counts,
    samples: &'p mut Vec<Sample>,
}

/// The lines of a block: where each begins, and its bytes without its ending.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|it| !it.is_empty())?;
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = (start, without_return(&rest[..end]));
        start += end + 1;
        Some(line)
    })
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

impl<'b> Writer<'_, 'b> {
    /// Takes the next line of the block; none for a blank one.
    fn place(&mut self, at: usize, line: &'b [u8], line_count: usize) -> Option<Place<'b>> {
        let line_count = u32::try_from(line_count).unwrap_or(u32::MAX);
        let number = self.line;
        self.line = self.line.saturating_add(line_count);
        self.counts.lines += u64::from(line_count);
        // A crash can leave a hole of NUL bytes where lines were not written yet.
        let holes = line.iter().take_while(|it| **it == 0).count();
        let line = &line[holes..];
        if line.trim_ascii().is_empty() {
            self.counts.blank += u64::from(line_count);
            return None;
        }
        let offset = self.block.offset + (at + holes) as u64;
        Some(Place { offset, line: number, line_count, raw: line, carried: None })
    }

    /// A log that holds nothing but lines of one format: the common case, and the fast one.
    fn access_log(&mut self, format: &Format) {
        let plan = self.printer.plans[0].as_ref().expect("an access log has its plan");
        let mut values = Vec::with_capacity(32);
        for (at, line) in lines(self.block.bytes) {
            let Some(place) = self.place(at, line, 1) else { continue };
            if place.raw.len() <= LONGEST_LINE_BYTES && format.split(place.raw, &mut values) {
                self.access(plan, &place, &values);
            } else {
                self.stray(&place, place.raw, Why::NotTheFormat);
            }
        }
    }

    fn error_log(&mut self) {
        for entry in entries(self.block.bytes) {
            let Some(place) = self.place(entry.offset, without_return(entry.bytes), entry.line_count) else {
                continue;
            };
            self.stray(&place, place.raw, Why::NotAnEntry);
        }
    }

    /// Lines of other programs, or of several kinds.
    fn any_lines(&mut self) {
        let why = if self.printer.shape.kinds.is_empty() { Why::UnknownLog } else { Why::OfNoKind };
        // Where entries of an error log can stand, they can take several lines.
        let has_entries =
            self.printer.shape.kinds.contains(&Kind::Error) || self.printer.shape.kinds.is_empty();
        if has_entries {
            for entry in entries(self.block.bytes) {
                let bytes = without_return(entry.bytes);
                if let Some(place) = self.place(entry.offset, bytes, entry.line_count) {
                    self.any(&place, place.raw, why);
                }
            }
            return;
        }
        for (at, line) in lines(self.block.bytes) {
            if let Some(place) = self.place(at, line, 1) {
                self.any(&place, place.raw, why);
            }
        }
    }

    /// A line that is of one of the log's kinds, or of none.
    fn any(&mut self, place: &Place<'_>, text: &[u8], why: Why) {
        let printer = self.printer;
        if text.len() <= LONGEST_LINE_BYTES {
            for (kind, plan) in printer.shape.kinds.iter().zip(&printer.plans) {
                let mut values = Vec::new();
                if let (Kind::Access(format), Some(plan)) = (kind, plan)
                    && format.split(text, &mut values)
                {
                    return self.access(plan, place, &values);
                }
            }
            if !looks_like_start(text)
                && let Some(Kind::Program(program)) = printer.shape.kind_of(text)
            {
                return self.program(*program, place, text);
            }
        }
        self.stray(place, text, why);
    }

    /// A line that is not what its log usually holds: an entry of an error log tells itself by its beginning.
    fn stray(&mut self, place: &Place<'_>, text: &[u8], why: Why) {
        if text.len() > LONGEST_LINE_BYTES {
            return self.unparsed(place, text, Why::TooLong);
        }
        if let Some(record) = parse(text) {
            return self.entry(place, &record);
        }
        match parse_stderr(text) {
            Some(record) => self.stderr(place, &record),
            None => self.unparsed(place, text, why),
        }
    }

    /// Lines with a carrier. The lines of an entry are put together again: those that follow its first one, from the same
    /// source, and are of no kind themselves.
    fn carried_lines(&mut self) {
        let carrier = self.printer.shape.carrier;
        let mut open: Option<Joined<'b>> = None;
        for (at, line) in lines(self.block.bytes) {
            let Some(place) = self.place(at, line, 1) else { continue };
            let Some(carried) = carrier.open(place.raw) else {
                self.joined(open.take());
                self.stray(&place, place.raw, Why::NoCarrier);
                continue;
            };
            let starts = looks_like_start(&carried.text);
            if let Some(it) = &mut open {
                let room = it.text.len() + carried.text.len()
                    < if it.continues { LONGEST_LINE_BYTES } else { LONGEST_ENTRY_BYTES };
                let same = it.carried.source == carried.source && it.carried.stream == carried.stream;
                let belongs = it.continues || it.is_entry && !starts && self.is_of_no_kind(&carried.text);
                if same && room && belongs {
                    if !it.continues {
                        it.text.push(b'\n');
                    }
                    it.text.extend_from_slice(trimmed(&carried.text));
                    it.continues = carried.continues;
                    it.place.line_count += 1;
                    it.raws.push(place.raw);
                    continue;
                }
            }
            self.joined(open.take());
            let text = trimmed(&carried.text).to_vec();
            let continues = carried.continues;
            open = Some(Joined { place, text, is_entry: starts, continues, carried, raws: vec![place.raw] });
        }
        self.joined(open.take());
    }

    fn is_of_no_kind(&self, text: &[u8]) -> bool {
        self.printer.shape.kind_of(text).is_none()
    }

    /// The records of lines that were put together: most often one.
    fn joined(&mut self, joined: Option<Joined<'_>>) {
        let Some(Joined { mut place, text, is_entry, carried, raws, .. }) = joined else { return };
        let why = if self.printer.shape.kinds.is_empty() { Why::UnknownLog } else { Why::OfNoKind };
        let raw = raws.join(&b'\n');
        (place.raw, place.carried) = (&raw, Some(&carried));
        if text.trim_ascii().is_empty() {
            self.counts.blank += u64::from(place.line_count);
            return;
        }
        if !is_entry {
            return self.any(&place, &text, why);
        }
        // Lines that turn out not to belong to the entry stand alone.
        let (mut line, end) = (place.line, place.line + place.line_count);
        let mut rest = entries(&text).peekable();
        while let Some(entry) = rest.next() {
            let count = u32::try_from(entry.line_count).unwrap_or(u32::MAX).min(end - line);
            let line_count = if rest.peek().is_some() { count } else { end - line };
            let at = usize::try_from(line - place.line).unwrap_or_default();
            let raw = raws
                .get(at..at + usize::try_from(line_count).unwrap_or_default())
                .unwrap_or_default()
                .join(&b'\n');
            let offset = place.offset + distance(&raws, at);
            if entry.bytes.trim_ascii().is_empty() {
                self.counts.blank += u64::from(line_count);
            } else {
                self.any(
                    &Place { offset, line, line_count, raw: &raw, carried: Some(&carried) },
                    entry.bytes,
                    why,
                );
            }
            line += line_count;
        }
    }

    /// Begins a record, unless it lies outside of the window.
    fn begin(&mut self, kind: usize, place: &Place<'_>, moment: Option<Moment>) -> bool {
        let carrier_moment = place.carried.and_then(|it| it.at);
        let moment = moment.or_else(|| carrier_moment.map(|it| self.clock.at(it)));
        let options = &self.printer.options;
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

/// Lines of a carrier that may be one entry.
struct Joined<'b> {
    place: Place<'b>,
    text: Vec<u8>,
    is_entry: bool,
    continues: bool,
    carried: Carried<'b>,
    raws: Vec<&'b [u8]>,
}

/// How far the start of one of these lines lies behind that of the first: all of them are parts of one block.
fn distance(lines: &[&[u8]], index: usize) -> u64 {
    match (lines.first(), lines.get(index)) {
        (Some(first), Some(line)) => (line.as_ptr().addr() - first.as_ptr().addr()) as u64,
        _ => 0,
    }
}

/// A carrier that wraps whole lines keeps their line feeds.
fn trimmed(text: &[u8]) -> &[u8] {
    without_return(text.strip_suffix(b"\n").unwrap_or(text))
}
