//! `why502 logs --follow`: each failure as it is logged, floods folded, and each minute a summary.

mod flood;

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Read, Seek, SeekFrom, StdoutLock, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use collect::follow::{Begin, Event, Follower, Happening, Lines, Options, Turn, end_of_lines};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use nginx_logs::Shape;
use nginx_logs::access::Format;
use nginx_logs::window::seek_since;
use report::{Colour, visible};
use serde_json::{Map, Value, json};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use traffic::StatusFilter;
use traffic::notice::{Notice, Reader};

use self::flood::{Gate, Kind, Summary};
use crate::exit::Exit;
use crate::failure::Failure;

/// Failures shown in one second; a person reads no faster.
const MOST_LINES_A_SECOND: u32 = 20;
/// Folded kinds that are named each second, and rows of a summary.
const MOST_ROWS: usize = 5;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// It is said that reading is behind from so many bytes on.
const BEHIND_BYTES: u64 = 64 << 20;
/// The columns that most values fit into.
const WHAT_WIDTH: usize = 17;
const UPSTREAM_WIDTH: usize = 21;
/// A longer path, server or message is cut in text.
const MOST_CHARACTERS: usize = 100;

/// What was asked.
#[derive(Debug)]
pub struct Follow {
    /// Files, folders, pipes, `-`.
    pub names: Vec<String>,
    /// What was logged since then is read first; else only what comes.
    pub since: Option<Timestamp>,
    /// Where positions are kept.
    pub state: Option<PathBuf>,
    /// Formats that the operator named.
    pub formats: Vec<Format>,
    /// Only requests with these statuses; else those that failed.
    pub statuses: Option<StatusFilter>,
    pub zone: TimeZone,
    /// One JSON object a line instead of text.
    pub json: bool,
    pub colour: Colour,
}

/// Follows until it is asked to end, or until nothing more can come.
pub fn follow(asked: Follow) -> Result<Exit, Failure> {
    let (stop, signalled) = UnixStream::pair().map_err(|error| cannot("be ended").because(error))?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signalled
            .try_clone()
            .and_then(|it| signal_hook::low_level::pipe::register(signal, it))
            .map_err(|error| cannot("be ended").because(error))?;
    }
    let mut options = Options::new(asked.names.clone());
    options.state = asked.state.clone();
    let state = asked.state.clone();
    let cannot_keep = |error| {
        let failure = Failure::new("the positions in the logs cannot be kept").because(error);
        match &state {
            Some(path) => failure.at(path.display()).advise("another --state, or without it"),
            None => failure,
        }
    };
    let mut begin = |file: &mut File| begin(file, &asked);
    let mut follower = Follower::open(options, &mut begin).map_err(cannot_keep)?;
    follower.stop_on(stop.into());
    let mut watch = Watch::new(&asked);
    loop {
        watch.get_to_know(&follower);
        let turn = follower.wait(watch.patience(), &mut |event| watch.take(&event));
        let turn = turn.map_err(|error| cannot("be waited for").because(error))?;
        watch.name_new(&follower);
        watch.tick(&follower);
        let ended = matches!(turn, Turn::Stopped | Turn::Ended);
        if ended {
            watch.end();
        }
        match watch.out.flush().err().or(watch.broken.take()) {
            Some(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(Exit::Fine),
            Some(error) => {
                return Err(Failure::new("the result cannot be written")
                    .at("standard output")
                    .because(error));
            }
            None => {}
        }
        if ended || watch.commits() {
            follower.commit().map_err(cannot_keep)?;
        }
        if ended {
            return Ok(Exit::Fine);
        }
    }
}

fn cannot(what: &str) -> Failure {
    Failure::new(format!("following cannot {what}"))
}

/// Where to begin in a file: behind what is there, or at the first line since a time.
fn begin(file: &mut File, asked: &Follow) -> io::Result<Begin> {
    let Some(since) = asked.since else { return end_of_lines(file) };
    let length = file.seek(SeekFrom::End(0))?;
    let mut sample = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(SAMPLE_BYTES)))?;
    file.take(SAMPLE_BYTES).read_to_end(&mut sample)?;
    let shape = Shape::detect(&sample, &asked.formats);
    let now = Timestamp::now();
    let time_of = |line: &[u8]| {
        let (carried, kind) = shape.open(line);
        kind.and_then(|it| it.time_of(&carried.text, &asked.zone, now)).or(carried.at)
    };
    Ok(match seek_since(file, length, &since, time_of)? {
        0 => Begin::Earlier,
        // Nothing since then: what comes begins behind the last whole line.
        at if at == length => end_of_lines(file)?,
        at => Begin::At(at),
    })
}

/// How much of a log tells what it is.
const SAMPLE_BYTES: u64 = 64 << 10;

/// What is known while following.
struct Watch<'a> {
    asked: &'a Follow,
    names: Vec<String>,
    readers: Vec<Option<Reader>>,
    gate: Gate,
    minute: Summary,
    whole: Summary,
    started: Instant,
    second_at: Instant,
    minute_at: Instant,
    committed_at: Instant,
    behind_at: Option<Instant>,
    uncommitted: bool,
    out: BufWriter<StdoutLock<'static>>,
    broken: Option<io::Error>,
    on_terminal: bool,
}

impl<'a> Watch<'a> {
    fn new(asked: &'a Follow) -> Watch<'a> {
        let now = Instant::now();
        Watch {
            asked,
            names: Vec::new(),
            readers: Vec::new(),
            gate: Gate::new(MOST_LINES_A_SECOND),
            minute: Summary::default(),
            whole: Summary::default(),
            started: now,
            second_at: now,
            minute_at: now,
            committed_at: now,
            behind_at: None,
            uncommitted: false,
            out: BufWriter::new(io::stdout().lock()),
            broken: None,
            on_terminal: io::stdout().is_terminal(),
        }
    }

    fn name_new(&mut self, follower: &Follower) {
        for log in self.names.len()..follower.count() {
            self.names.push(follower.name(log).to_owned());
            self.readers.push(None);
        }
    }

    /// Finds out what logs are of which that is not known yet.
    fn get_to_know(&mut self, follower: &Follower) {
        self.name_new(follower);
        for log in 0..self.names.len() {
            if self.readers[log].is_none() {
                let sample = follower.sample(log);
                if !sample.is_empty() {
                    self.know(log, &sample);
                }
            }
        }
    }

    fn know(&mut self, log: usize, sample: &[u8]) {
        let shape = Shape::detect(sample, &self.asked.formats);
        let reader = Reader::new(shape, self.asked.statuses.clone(), self.asked.zone.clone());
        self.readers[log] = reader.knows().then_some(reader);
    }

    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Lines(lines) => self.lines(lines),
            Event::Happened(log, what) => self.happened(*log, what),
        }
    }

    fn lines(&mut self, lines: &Lines<'_>) {
        let (log, bytes) = (lines.block.source, lines.block.bytes);
        self.uncommitted = true;
        if log >= self.readers.len() {
            // A log that a folder got in this very turn is named behind it.
            self.readers.resize_with(log + 1, || None);
            self.names.resize(log + 1, String::new());
        }
        if self.readers[log].is_none() {
            self.know(log, bytes);
        }
        let Some(mut reader) = self.readers[log].take() else { return };
        let mut notices = 0;
        let counts = reader.read(bytes, lines.block.offset, &mut |notice| {
            notices += 1;
            self.notice(log, &notice);
        });
        self.minute.counts.add(counts);
        // It may have become another log: it is looked at anew with the next lines.
        let strange = counts.requests + counts.entries == 0 && counts.unknown > 0;
        self.readers[log] = (!strange).then_some(reader);
    }

    fn notice(&mut self, log: usize, notice: &Notice<'_>) {
        let kind = Kind::of(notice);
        if self.asked.json {
            // A program reads as fast as it has to, and wants each of them.
            let value = self.as_json(log, notice);
            self.write(&value.to_string());
        } else if self.gate.passes(&kind) {
            let text = self.as_text(&kind, notice);
            self.write(&text);
        }
        self.minute.failures.add(kind, 1);
    }

    /// `14:30:05 502 KC            10.0.0.5:8080         shop.example.com GET /cart 203.0.113.9 0.003s`
    fn as_text(&self, kind: &Kind, notice: &Notice<'_>) -> String {
        let at = match notice.at {
            Some(at) => at.to_zoned(self.asked.zone.clone()).strftime("%H:%M:%S").to_string(),
            None => "--:--:--".to_owned(),
        };
        let what = format!("{:WHAT_WIDTH$}", kind.what);
        // Nobody at this end has to do anything about a client that went away.
        let style = if kind.what.starts_with("499") || kind.what == "client-closed" { DIM } else { RED };
        let mut text = format!("{at} {}", self.paint(style, &what));
        let upstream = if kind.upstream.is_empty() { "-" } else { &kind.upstream };
        text += &format!(" {:UPSTREAM_WIDTH$}", visible(upstream));
        let words = [&notice.server, &notice.method, &notice.path, &notice.client, &notice.message];
        for it in words.into_iter().flatten().filter(|it| !it.is_empty()) {
            let short: String = it.chars().take(MOST_CHARACTERS).collect();
            text += &format!(" {}{}", visible(&short), if short.len() < it.len() { "…" } else { "" });
        }
        if let Some(seconds) = notice.request_time {
            text += &format!(" {seconds:.3}s");
        }
        text
    }

    /// With the names of records.
    fn as_json(&self, log: usize, notice: &Notice<'_>) -> Value {
        let mut members = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        let text = |it: &Option<std::borrow::Cow<'_, str>>| it.as_deref().map(Value::from);
        add("kind", Some(notice.kind.into()));
        add("file", Some(self.names[log].as_str().into()));
        add("offset", Some(notice.offset.into()));
        add("time", notice.at.map(|it| it.to_string().into()));
        add("status", notice.status.map(Value::from));
        add("reason", notice.reason.map(|it| it.code().into()));
        add("symptom", notice.symptom.map(Value::from));
        add("upstream", text(&notice.upstream));
        add("server", text(&notice.server));
        add("method", text(&notice.method));
        add("path", text(&notice.path));
        add("client", text(&notice.client));
        add("request_time", notice.request_time.map(Value::from));
        add("message", text(&notice.message));
        Value::Object(members)
    }

    /// Rotations are no news for whoever looks for failures; what keeps lines away is.
    fn happened(&mut self, log: usize, what: &Happening) {
        self.uncommitted = true;
        let says = match what {
            Happening::Missing => "it is not there; it is followed as soon as it is".to_owned(),
            Happening::Unreadable(why) => format!("it cannot be read: {why}; it is tried again"),
            Happening::Lost => "the file of the last run is gone; its last lines may be missing".to_owned(),
            Happening::Cut(bytes) => format!("{bytes} bytes of a line that is too long were passed over"),
            Happening::Appeared | Happening::Rotated | Happening::Truncated => return,
            Happening::Hole(_) | Happening::Ended => return,
        };
        let name = self.names.get(log).map_or("", String::as_str);
        eprintln!("why502 logs: {}: {}", visible(name), visible(&says));
    }

    /// How long there is nothing to do without new lines.
    fn patience(&self) -> Duration {
        if !self.gate.folded.is_empty() || self.uncommitted {
            return SECOND;
        }
        if self.minute == Summary::default() {
            10 * MINUTE
        } else {
            MINUTE.saturating_sub(self.minute_at.elapsed())
        }
    }

    /// What is due by the clock.
    fn tick(&mut self, follower: &Follower) {
        if self.second_at.elapsed() >= SECOND {
            self.second_at = Instant::now();
            self.fold();
            let behind = follower.lag_bytes();
            if behind >= BEHIND_BYTES && self.behind_at.is_none_or(|it| it.elapsed() >= 10 * SECOND) {
                self.behind_at = Some(Instant::now());
                eprintln!("why502 logs: {} MiB behind what is being logged", behind >> 20);
            }
        }
        if self.minute_at.elapsed() >= MINUTE {
            self.minute_at = Instant::now();
            let minute = std::mem::take(&mut self.minute);
            if minute != Summary::default() {
                self.summary("last minute", MINUTE, &minute);
                self.whole.add(minute);
            }
        }
    }

    fn commits(&mut self) -> bool {
        let due = self.uncommitted && self.committed_at.elapsed() >= SECOND;
        if due {
            self.uncommitted = false;
            self.committed_at = Instant::now();
        }
        due
    }

    fn fold(&mut self) {
        let folded = self.gate.turn();
        if folded.is_empty() {
            return;
        }
        let (rows, rest) = folded.top(MOST_ROWS);
        for (kind, count) in rows {
            let text = format!("         … and {count} more {}", named(kind));
            self.write(&self.paint(DIM, &text));
        }
        if rest > 0 {
            self.write(&self.paint(DIM, &format!("         … and {rest} more of other kinds")));
        }
    }

    /// The end: what is still folded, and the sum of everything.
    fn end(&mut self) {
        self.fold();
        self.whole.add(std::mem::take(&mut self.minute));
        let (whole, span) = (std::mem::take(&mut self.whole), self.started.elapsed());
        if self.on_terminal && !self.asked.json {
            // Behind the ^C.
            self.write("");
        }
        self.summary("in all", span, &whole);
    }

    fn summary(&mut self, name: &str, span: Duration, sum: &Summary) {
        let counts = &sum.counts;
        let (rows, rest) = sum.failures.top(MOST_ROWS);
        if self.asked.json {
            let rows = rows
                .iter()
                .map(|(kind, count)| json!({ "what": kind.what, "upstream": kind.upstream, "count": count }));
            let value = json!({
                "kind": "summary",
                "span": name,
                "seconds": span.as_secs(),
                "requests": counts.requests,
                "failed": counts.failed,
                "entries": counts.entries,
                "unknown": counts.unknown,
                "failures": rows.collect::<Vec<_>>(),
                "others": rest,
            });
            self.write(&value.to_string());
            return;
        }
        let mut text = format!("── {name}: {} requests, {} failed", counts.requests, counts.failed);
        if counts.requests > 0 {
            text += &format!(" ({:.1} %)", 100.0 * counts.failed as f64 / counts.requests as f64);
        }
        if counts.entries > 0 {
            text += &format!(", {} entries of error logs", counts.entries);
        }
        if counts.unknown > 0 {
            text += &format!(", {} lines that are not understood", counts.unknown);
        }
        self.write(&self.paint(BOLD, &text));
        for (kind, count) in rows {
            self.write(&format!("   {count:>9} {}", named(kind)));
        }
        if rest > 0 {
            self.write(&format!("   {rest:>9} of other kinds"));
        }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        match self.asked.colour {
            Colour::On => format!("\x1b[{style}m{text}\x1b[0m"),
            Colour::Off => text.to_owned(),
        }
    }

    fn write(&mut self, line: &str) {
        if let Err(error) = writeln!(self.out, "{line}") {
            self.broken.get_or_insert(error);
        }
    }
}

const RED: &str = "31";
const BOLD: &str = "1";
const DIM: &str = "2";

/// `connect-refused at 10.0.0.5:8080`.
fn named(kind: &Kind) -> String {
    let at =
        if kind.upstream.is_empty() { String::new() } else { format!(" at {}", visible(&kind.upstream)) };
    format!("{}{at}", kind.what)
}
