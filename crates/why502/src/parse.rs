//! `why502 parse`: every record of logs, one a line, and on standard error what became of the lines.

use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use collect::input::{self, Ask, Input, Progress};
use jiff::Timestamp;
use nginx_logs::records::{Counts, Form, KINDS, Memory, Options, Part, Printer, Sample, Why, csv_header};
use report::visible;

use crate::arguments::{Parse, RecordFormat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress;
use crate::which_logs::cannot_read;

/// What is gathered before it is written.
const WRITTEN_AT_ONCE_BYTES: usize = 256 << 10;
const BYTE_ORDER_MARK_BYTES: u64 = 3;
/// Samples of unparsed lines that are shown for each log, and logs that they are shown for.
const SAMPLES_SHOWN: usize = 5;
const LOGS_SHOWN: usize = 10;

/// Does what `parse` was asked.
pub fn parse(asked: &Parse) -> Result<Exit, Failure> {
    let (names, formats, zone) = asked.which.logs()?;
    let (since, until) = asked.which.window(asked.which.end(&formats), |_| None)?;
    let (input, unreadable) = input::open(&Ask { names, since, until, formats, zone: zone.clone() });
    let options = Options {
        form: match asked.format {
            RecordFormat::Jsonl => Form::JsonLines,
            RecordFormat::Csv => Form::Csv,
        },
        raw: asked.raw,
        zone,
        now: Timestamp::now(),
        since,
        until,
    };
    let outcome = progress::with(true, |it| print(&input, &options, it))?;
    eprint!("{}", outcome.summary(&input));
    for it in &unreadable {
        eprint!("{}", cannot_read(it));
    }
    Ok(if unreadable.is_empty() { Exit::Fine } else { Exit::Refused })
}

/// What became of one log.
#[derive(Default)]
struct Log {
    counts: Counts,
    /// With the numbers of their lines, as far as these are known.
    samples: Vec<(Option<u64>, Sample)>,
    /// The number of the next line.
    next_line: Option<u64>,
    partial: Option<String>,
}

#[derive(Default)]
struct Outcome {
    logs: Vec<Log>,
    /// Whoever reads standard output closed it.
    ended_early: bool,
}

/// Writes all records to standard output.
fn print(input: &Input, options: &Options, progress: &Progress) -> Result<Outcome, Failure> {
    let sources = input.sources();
    let printers: Vec<Printer> =
        sources.iter().map(|it| Printer::new(&it.name, &it.shape, options)).collect();
    let mut outcome = Outcome { logs: Vec::new(), ended_early: false };
    outcome.logs.resize_with(sources.len(), Log::default);
    // Parts are filled by one thread and written by another: their memory goes round.
    let spare: Mutex<Vec<Part>> = Mutex::default();
    let mut out = io::stdout().lock();
    let mut bytes = Vec::with_capacity(2 * WRITTEN_AT_ONCE_BYTES);
    if options.form == Form::Csv {
        bytes.extend_from_slice(csv_header().as_bytes());
    }
    let mut failed = None;
    let mut write = |bytes: &mut Vec<u8>| {
        if failed.is_none()
            && let Err(error) = out.write_all(bytes)
        {
            progress.stop.store(true, Ordering::Relaxed);
            failed = Some(error);
        }
        bytes.clear();
    };
    let work = |memory: &mut Memory, block: &nginx_logs::Block<'_>| {
        let mut part = spare.lock().expect("nothing panics with it").pop().unwrap_or_default();
        printers[block.source].print(block, memory, &mut part);
        part
    };
    let take = |source: usize, index: u64, part: Part| {
        let log = &mut outcome.logs[source];
        if index == 0 {
            // Of a log that is not read from its beginning nobody counted the lines. No line is as short as the byte-order
            // mark that can stand before the first one.
            log.next_line = (part.offset <= BYTE_ORDER_MARK_BYTES).then_some(1);
        }
        let first_line = log.next_line;
        log.next_line = first_line.map(|it| it + part.counts.lines);
        log.counts.add(&part.counts);
        let room = SAMPLES_SHOWN.saturating_sub(log.samples.len());
        log.samples.extend(
            part.samples.iter().take(room).map(|it| (first_line.map(|first| first + it.line), it.clone())),
        );
        part.write_to(first_line, &mut bytes);
        if bytes.len() >= WRITTEN_AT_ONCE_BYTES {
            write(&mut bytes);
        }
        spare.lock().expect("nothing panics with it").push(part);
    };
    let (ends, _) = input.read(progress, || Memory::new(options), work, take);
    write(&mut bytes);
    for (log, end) in outcome.logs.iter_mut().zip(ends) {
        log.partial = end.partial;
    }
    match failed.or_else(|| out.flush().err()) {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new("the records cannot be written").at("standard output").because(error))
        }
        broken => {
            outcome.ended_early = broken.is_some();
            Ok(outcome)
        }
    }
}

impl Outcome {
    /// For people: how many lines and records of which kind, and which lines fit nothing.
    fn summary(&self, input: &Input) -> String {
        // Somebody who closes the pipe early has read enough.
        if self.ended_early {
            return String::new();
        }
        let mut all = Counts::default();
        self.logs.iter().for_each(|it| all.add(&it.counts));
        let mut text =
            format!("why502 parse: {} of {}", count(all.lines, "line"), count(self.logs.len() as u64, "log"));
        let kinds: Vec<String> = KINDS
            .iter()
            .zip(all.records)
            .filter(|it| it.1 > 0)
            .map(|(kind, records)| format!("{records} {kind}"))
            .collect();
        let records: u64 = all.records.iter().sum();
        text += &format!(", {}", count(records, "record"));
        if !kinds.is_empty() {
            text += &format!(": {}", kinds.join(", "));
        }
        text.push('\n');
        for (lines, what) in [
            (all.blank, "blank"),
            (all.outside, "outside of the window"),
            (all.untimed, "without a time, so in no window"),
        ] {
            if lines > 0 {
                text += &format!("  {} {what}\n", count(lines, "line"));
            }
        }
        for (source, log) in input.sources().iter().zip(&self.logs) {
            if let Some(why) = &log.partial {
                text += &format!("  {}: not all of it was read: {}\n", visible(&source.name), visible(why));
            }
        }
        for it in input.passed_over().iter().take(LOGS_SHOWN) {
            text += &format!("  {}: passed over, {}\n", visible(&it.name), it.why);
        }
        let more = input.passed_over().len().saturating_sub(LOGS_SHOWN);
        if more > 0 {
            text += &format!("  and {} passed over\n", count(more as u64, "other file"));
        }
        let unparsed = || {
            input.sources().iter().zip(&self.logs).filter(|it| it.1.counts.unparsed.iter().any(|it| *it > 0))
        };
        for (source, log) in unparsed().take(LOGS_SHOWN) {
            text += &log.unparsed(&source.name);
        }
        let more = unparsed().skip(LOGS_SHOWN).count();
        if more > 0 {
            text += &format!("  and unparsed lines in {}\n", count(more as u64, "other log"));
        }
        text
    }
}

impl Log {
    fn unparsed(&self, name: &str) -> String {
        let name = visible(name);
        let mut text = String::new();
        for (why, lines) in Why::ALL.iter().zip(self.counts.unparsed) {
            if lines > 0 {
                text += &format!("  {name}: {} unparsed, {}\n", count(lines, "line"), why.says());
            }
        }
        for (line, sample) in &self.samples {
            let place = line.map(|it| format!(":{it}")).unwrap_or_default();
            text += &format!("    {name}{place}: {}\n", visible(&sample.text));
        }
        let advice = match self.samples.first().map(|it| it.1.why) {
            Some(Why::NotTheFormat | Why::UnknownLog) => {
                "--log-format with the log_format that wrote them, or --config"
            }
            _ => return text,
        };
        text + &format!("    try: {advice}\n")
    }
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
