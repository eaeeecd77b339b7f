//! Counts the lines of access logs.

use nginx_logs::Kind;
use nginx_logs::access::{Format, Lists};
use nginx_logs::reason::{Reason, Signs};
use nginx_logs::split::{Fields, Span, Splitter};

use crate::By;
use crate::breakdown::Rows;
use crate::clock::Form;
use crate::kept::{Place, Sort};
use crate::number::{is_undefined, millis, number, status};
use crate::pattern::{fold, path_of, request_of};
use crate::steps::add;
use crate::tally::Tally;
use crate::upstreams::{Ending, Setting};

/// The variables that are looked at, by their place in the fields. Those up to `OWN` are checked here, as they are read.
const NAMES: [&str; 17] = [
    "", // The time, by whichever name the format has it.
    "status",
    "body_bytes_sent",
    "request_time",
    "upstream_addr",
    "upstream_status",
    "upstream_connect_time",
    "upstream_response_time",
    "upstream_header_time",
    "request",
    "request_method",
    "request_uri",
    "uri",
    "remote_addr",
    "server_name",
    "host",
    "http_host",
];
const TIME: usize = 0;
const STATUS: usize = 1;
const BODY_BYTES: usize = 2;
const REQUEST_TIME: usize = 3;
const ADDR: usize = 4;
const TRY_STATUS: usize = 5;
const CONNECT_TIME: usize = 6;
const RESPONSE_TIME: usize = 7;
const HEADER_TIME: usize = 8;
const OWN: usize = 8;
const REQUEST: usize = 9;
const URLS: [usize; 3] = [9, 11, 12];
const METHOD: usize = 10;
const CLIENT: usize = 13;
const SERVERS: [usize; 3] = [14, 15, 16];

/// What is known of a format before its lines are read.
#[derive(Debug, Clone)]
pub struct Plan {
    format: Format,
    splitter: Option<Splitter>,
    /// How the time is written; none where the format has none.
    time: Option<(Form, &'static str)>,
    has_body_bytes: bool,
    has_request_time: bool,
    has_tries: bool,
}

/// Where a line is: the bytes that its fields are spans of, itself among them, and its place in the log.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    pub bytes: &'a [u8],
    pub whole: Span,
    pub place: Place,
    /// The number of the kind of its log's lines.
    pub kind: usize,
    /// When a carrier took it.
    pub carried_at: Option<i64>,
}

impl Plan {
    pub fn new(format: &Format) -> Plan {
        let has = |name: &str| format.variables().any(|it| it == name);
        let forms = [(Form::Milliseconds, "msec"), (Form::Iso, "time_iso8601"), (Form::Local, "time_local")];
        let time = forms.into_iter().find(|it| has(it.1));
        let mut names = NAMES;
        names[TIME] = time.map_or("", |it| it.1);
        Plan {
            splitter: Splitter::new(format, &names, OWN),
            format: format.clone(),
            time,
            has_body_bytes: has("body_bytes_sent"),
            has_request_time: has("request_time"),
            has_tries: ["upstream_addr", "upstream_status"].into_iter().any(has),
        }
    }

    pub fn kind(&self) -> Kind {
        Kind::Access(self.format.clone())
    }

    pub fn format(&self) -> &Format {
        &self.format
    }

    /// The same without the fast way, to compare them.
    #[cfg(test)]
    pub fn slow(self) -> Plan {
        Plan { splitter: None, ..self }
    }

    pub fn splitter(&self) -> Option<&Splitter> {
        self.splitter.as_ref()
    }

    /// Reads a line that could not be split, and counts it. Says whether it has the format.
    #[cold]
    pub fn read(&self, line: &[u8], here: Here<'_>, tally: &mut Tally) -> bool {
        let Some(record) = self.format.parse(line) else { return false };
        let mut fields = Fields::default();
        // Values are parts of the line.
        let begin = line.as_ptr() as usize - here.bytes.as_ptr() as usize;
        for (place, name) in NAMES.into_iter().enumerate() {
            let name = if name.is_empty() { self.time.map_or("", |it| it.1) } else { name };
            if let Some(value) = record.raw(name) {
                let start = value.as_ptr() as usize - line.as_ptr() as usize + begin;
                fields.set(place, Span { start: start as u32, end: (start + value.len()) as u32 });
            }
        }
        let at = record.time().map(crate::clock::micros_of);
        self.count::<true>(&fields, here, tally, at.or(here.carried_at))
    }

    /// Counts a line that was split. If it says no, nothing was counted, and the line must be read.
    #[inline(always)]
    pub fn count_split(&self, fields: &Fields, here: Here<'_>, tally: &mut Tally) -> bool {
        let at = match self.time {
            Some((form, _)) => match tally.clock.access(form, fields.get(TIME).of(here.bytes)) {
                Some(at) => Some(at),
                None => return false,
            },
            None => None,
        };
        self.count::<false>(fields, here, tally, at)
    }

    /// `PARSED`: the fields fit their variables; else it stops at the first doubt.
    #[inline(always)]
    fn count<const PARSED: bool>(
        &self,
        fields: &Fields,
        here: Here<'_>,
        tally: &mut Tally,
        at: Option<i64>,
    ) -> bool {
        let bytes = here.bytes;
        let given = status(bytes, fields.get(STATUS));
        let body_bytes = number(bytes, fields.get(BODY_BYTES));
        let request_time = millis(bytes, fields.get(REQUEST_TIME));
        let doubtful = given.is_none() && !is_undefined(bytes, fields.get(STATUS))
            || self.has_body_bytes && body_bytes.is_none()
            || self.has_request_time && request_time.is_none();
        if !PARSED && doubtful {
            return false;
        }
        let setting = Setting {
            source: here.place.source as u32,
            status: given.unwrap_or(u16::MAX),
            escape: self.format.escape(),
            tells_upstream: self.has_tries,
        };
        let (addr, try_status) = (fields.get(ADDR), fields.get(TRY_STATUS));
        let found = match tally.endings.find(bytes, addr, try_status, setting.bits()) {
            Some(it) => it,
            None if PARSED => tally.new_ending(bytes, addr, try_status, setting),
            None => return false,
        };
        let times = [fields.get(CONNECT_TIME), fields.get(RESPONSE_TIME)];
        let ending = &tally.endings.cells[found].value;
        let durations = match ending.tried {
            0 if is_undefined(bytes, times[0]) && is_undefined(bytes, times[1]) => Durations::None,
            1 => single(bytes, times).map_or(Durations::Odd, Durations::Single),
            2.. if times.iter().all(|it| has_entries(bytes, *it, ending.tried)) => Durations::Lists,
            _ => Durations::Odd,
        };
        if !PARSED && matches!(durations, Durations::Odd) {
            return false;
        }
        if !tally.window.is_inside(at) {
            // A line that cannot be placed does not answer a question about a time.
            return at.is_some();
        }
        tally.records += 1;
        if let Some(at) = at {
            tally.first_at = tally.first_at.min(at);
            tally.last_at = tally.last_at.max(at);
        }
        if !ending.wanted {
            return true;
        }
        tally.sums.body_bytes += body_bytes.unwrap_or(0);
        if let Some(it) = request_time {
            tally.request_time.add(it);
        }
        let mut slowest = request_time.unwrap_or(0);
        match durations {
            Durations::None => {}
            Durations::Single([connect, response]) => {
                let upstream = tally.sums.upstream(ending.last);
                if let Some(it) = connect {
                    upstream.connect_time.add(it);
                }
                if let Some(it) = response {
                    upstream.response_time.add(it);
                    slowest = it;
                }
            }
            Durations::Lists => {
                let each = ending.tries.iter().zip(entries(bytes, times[0])).zip(entries(bytes, times[1]));
                for ((it, connect), response) in each {
                    let upstream = tally.sums.upstream(it.upstream);
                    if let Some(it) = millis(bytes, connect) {
                        upstream.connect_time.add(it);
                    }
                    if let Some(it) = millis(bytes, response) {
                        upstream.response_time.add(it);
                    }
                }
            }
            Durations::Odd => {
                tally.count_odd(&self.lists(fields, bytes), setting, at, request_time);
            }
        }
        let cell = &mut tally.endings.cells[found];
        let (tells, ending) = (cell.hash, &mut cell.value);
        if !matches!(durations, Durations::Odd) {
            ending.count += 1;
            ending.slowest = ending.slowest.max(slowest);
        }
        let (failed, last, is_error) = (ending.failed, ending.last, setting.status >= 500 && given.is_some());
        let worth_keeping = failed || ending.retried || given == Some(400);
        if let Some(at) = at {
            if !matches!(durations, Durations::Odd) {
                ending.first_at = ending.first_at.min(at);
                ending.last_at = ending.last_at.max(at);
            }
            let step = tally.steps.at(at);
            step.requests += 1;
            if failed {
                step.failed += 1;
                if is_error {
                    add(&mut step.errors, (last, setting.status), 1);
                }
            }
            if worth_keeping {
                let sort = Sort { source: here.place.source, kind: here.kind, tells };
                tally.keeper.keep(sort, at, here.place, here.whole.of(bytes));
            } else if ending.examples.wants(at) {
                let sort = Sort { source: here.place.source, kind: here.kind, tells };
                ending.examples.add(at);
                tally.keeper.show(sort, at, here.place, here.whole.of(bytes));
            }
        }
        if failed || tally.breaks_down_all {
            self.break_down(fields, here, tally, given, at, found);
        }
        true
    }

    fn lists<'a>(&self, fields: &Fields, bytes: &'a [u8]) -> Lists<'a> {
        Lists {
            addr: fields.get(ADDR).of(bytes),
            status: fields.get(TRY_STATUS).of(bytes),
            connect_time: fields.get(CONNECT_TIME).of(bytes),
            header_time: fields.get(HEADER_TIME).of(bytes),
            response_time: fields.get(RESPONSE_TIME).of(bytes),
        }
    }

    /// Counts a request in each breakdown.
    fn break_down(
        &self,
        fields: &Fields,
        here: Here<'_>,
        tally: &mut Tally,
        given: Option<u16>,
        at: Option<i64>,
        found: usize,
    ) {
        let bytes = here.bytes;
        let value = |field: usize| fields.get(field).of(bytes);
        let is_told = |it: &[u8]| !it.is_empty() && it != b"-";
        let Ending { failed, last, .. } = tally.endings.cells[found].value;
        let mut tables = std::mem::take(&mut tally.tables);
        for table in tables.iter_mut().filter(|it| it.of_all || failed) {
            let code;
            let key: &[u8] = match table.by {
                By::Url => {
                    let span = URLS.map(|it| fields.get(it)).into_iter().find(|it| is_told(it.of(bytes)));
                    self.count_url(span.unwrap_or_default(), bytes, table, tally, given, at);
                    continue;
                }
                By::Method => request_of(value(REQUEST)).map_or(value(METHOD), |it| it.0),
                By::Client => value(CLIENT),
                By::Server => SERVERS.map(value).into_iter().find(|it| is_told(it)).unwrap_or_default(),
                By::Status => value(STATUS),
                By::Upstream if self.has_tries => tally.names.name(last).as_bytes(),
                By::Reason => {
                    let lists = self.lists(fields, bytes);
                    let signs = Signs {
                        status: given.unwrap_or(0),
                        tells_upstream: self.has_tries,
                        upstream_addr: lists.addr,
                        upstream_status: lists.status,
                        connect_time: lists.connect_time,
                        header_time: lists.header_time,
                        response_time: lists.response_time,
                    };
                    let Some(reason) = given.and_then(|_| Reason::of(&signs)) else { continue };
                    code = reason.0;
                    &code
                }
                By::Upstream | By::Symptom => continue,
            };
            if !key.is_empty() {
                let row = table.row(key, tally.most_keys);
                table.count(row, given, at);
            }
        }
        tally.tables = tables;
    }

    /// Counts a request by the pattern of its URL, which stands in a request line or alone.
    #[inline(always)]
    fn count_url(
        &self,
        line: Span,
        bytes: &[u8],
        table: &mut Rows,
        tally: &mut Tally,
        given: Option<u16>,
        at: Option<i64>,
    ) {
        let text = line.of(bytes);
        let uri = request_of(text).map_or(text, |it| it.1);
        let path = path_of(uri);
        if path.is_empty() {
            return;
        }
        fold(path, &mut tally.pattern);
        let row = table.row(&tally.pattern, tally.most_keys);
        table.count(row, given, at);
    }
}

/// What the times of a line's tries are.
#[derive(Debug, Clone, Copy)]
enum Durations {
    None,
    /// Of the one try: connecting, and until the response ended.
    Single([Option<u64>; 2]),
    Lists,
    /// Not as many as there are addresses, or not as nginx writes them.
    Odd,
}

/// `None`: one of them is no single duration.
#[inline(always)]
fn single(bytes: &[u8], times: [Span; 2]) -> Option<[Option<u64>; 2]> {
    let [connect, response] = times.map(|it| millis(bytes, it));
    let is_fine = |value: Option<u64>, span: Span| value.is_some() || is_undefined(bytes, span);
    (is_fine(connect, times[0]) && is_fine(response, times[1])).then_some([connect, response])
}

/// The entries of a list, separated by `, ` and ` : `.
fn entries(bytes: &[u8], list: Span) -> impl Iterator<Item = Span> {
    let text = list.of(bytes);
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let rest = &text[start..];
        let space = memchr::memchr_iter(b' ', rest).find(|at| match rest.get(at.wrapping_sub(1)) {
            Some(b',') => true,
            _ => rest[*at..].starts_with(b" : "),
        });
        let (end, width) = match space {
            Some(at) if at > 0 && rest[at - 1] == b',' => (at - 1, 2),
            Some(at) => (at, 3),
            None => (rest.len(), 0),
        };
        next = (width > 0).then_some(start + end + width);
        let start = list.start + start as u32;
        Some(Span { start, end: start + end as u32 })
    })
}

/// Whether a list has a duration or `-` for each of so many tries; a format without it has an empty one.
fn has_entries(bytes: &[u8], list: Span, tries: usize) -> bool {
    let is_fine = |it: Span| millis(bytes, it).is_some() || it.of(bytes) == b"-";
    list.is_empty() || entries(bytes, list).count() == tries && entries(bytes, list).all(is_fine)
}
