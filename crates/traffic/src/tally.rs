//! What was counted so far, and how it becomes what reports show.

use std::collections::{BTreeMap, HashMap};

use jiff::tz::TimeZone;
use nginx_logs::Kind;
use nginx_logs::access::Lists;
use nginx_logs::error::Level;
use nginx_logs::split::{Scratch, Span};
use nginx_logs::split_error::Alike;
use snapshot::{
    EventCount, LogLine, LogLines, LogSource, Step, Successes, SymptomCount, Traffic, UpstreamTraffic,
};

use crate::breakdown::Rows;
use crate::clock::{Clock, micros_of, time_of};
use crate::error::symptom_id;
use crate::kept::{Keeper, Place};
use crate::sketch::Sketch;
use crate::steps::Steps;
use crate::table::Table;
use crate::upstreams::{Ending, Entries, NONE, Names, Setting, Sums};
use crate::{By, Kept, Options, StatusFilter};

/// Lines that fit no format that are shown.
const MOST_SAMPLES: usize = 5;
/// As much of such a line is shown.
const SAMPLE_BYTES: usize = 300;
/// Rows of requests that went well, for each log.
const MOST_WENT_WELL: usize = 400;
/// Kinds of events that are told apart.
const MOST_EVENTS: usize = 1_000;

/// Of failed requests these are always told.
const ALWAYS: [By; 7] = [By::Url, By::Client, By::Server, By::Status, By::Upstream, By::Reason, By::Method];

const LEVELS: [Level; 8] = [
    Level::Emerg,
    Level::Alert,
    Level::Crit,
    Level::Error,
    Level::Warn,
    Level::Notice,
    Level::Info,
    Level::Debug,
];

/// What one thread has counted so far.
#[derive(Debug)]
pub struct Tally {
    pub(crate) window: TimeSpan,
    pub(crate) zone: TimeZone,
    pub(crate) most_keys: usize,
    /// Some breakdown is of all requests.
    pub(crate) breaks_down_all: bool,

    statuses: Option<StatusFilter>,

    pub(crate) endings: Table<Ending>,
    pub(crate) entries: Table<Entries>,
    /// What messages say.
    pub(crate) heads: Table<Option<Alike>>,
    pub(crate) names: Names,
    pub(crate) sums: Sums,
    pub(crate) request_time: Sketch,
    pub(crate) levels: [u64; LEVELS.len()],
    pub(crate) steps: Steps,
    /// Count, first and last.
    pub(crate) symptoms: HashMap<(u8, u32), (u64, i64, i64)>,
    /// By event and program.
    pub(crate) events: HashMap<(&'static str, &'static str), Seen>,
    pub(crate) tables: Vec<Rows>,
    pub(crate) keeper: Keeper,
    sources: Vec<Source>,
    /// The kinds that kept lines are of.
    kinds: Vec<Kind>,

    // Of the block that is being read.
    pub(crate) records: u64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    pub(crate) clock: Clock,
    pub(crate) scratch: Scratch,
    pub(crate) pattern: Vec<u8>,
}

type FirstAndLast = (i64, i64);
/// How often, and from when to when.
type Seen = (u64, Option<FirstAndLast>);

/// Where lines must lie to count, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeSpan {
    from: i64,
    to: i64,
    is_all: bool,
}

impl TimeSpan {
    #[inline(always)]
    pub fn is_inside(self, at: Option<i64>) -> bool {
        match at {
            Some(at) => self.from <= at && at <= self.to,
            None => self.is_all,
        }
    }
}

/// What is known of one log.
#[derive(Debug, Default, Clone)]
struct Source {
    lines: u64,
    records: u64,
    unparsed: u64,
    samples: Vec<(Place, String)>,
    at: Option<FirstAndLast>,
    /// Records and unparsed lines of each kind.
    of_kind: BTreeMap<usize, Seen>,
}

fn wider(a: Option<FirstAndLast>, b: Option<FirstAndLast>) -> Option<FirstAndLast> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

impl Tally {
    pub fn new(options: &Options) -> Tally {
        let window = match options.window {
            // Most lines tell whole seconds: the one that the window begins in belongs to it.
            Some(it) => TimeSpan {
                from: micros_of(it.from).div_euclid(1_000_000) * 1_000_000,
                to: micros_of(it.to),
                is_all: false,
            },
            None => TimeSpan { from: i64::MIN, to: i64::MAX, is_all: true },
        };
        let asked = options.by.iter().map(|it| Rows::new(*it, true));
        let always = ALWAYS.iter().filter(|it| !options.by.contains(it)).map(|it| Rows::new(*it, false));
        Tally {
            window,
            zone: options.zone.clone(),
            most_keys: options.most_keys,
            breaks_down_all: !options.by.is_empty(),

            statuses: options.statuses.clone(),
            endings: Table::default(),
            entries: Table::default(),
            heads: Table::default(),
            names: Names::default(),
            sums: Sums::default(),
            request_time: Sketch::default(),
            levels: Default::default(),
            steps: Steps::default(),
            symptoms: HashMap::new(),
            events: HashMap::new(),
            tables: asked.chain(always).collect(),
            keeper: Keeper::default(),
            sources: Vec::new(),
            kinds: Vec::new(),
            records: 0,
            first_at: i64::MAX,
            last_at: i64::MIN,
            clock: Clock::default(),
            scratch: Scratch::default(),
            pattern: Vec::new(),
        }
    }

    /// The number of a kind; a log has few.
    pub(crate) fn kind(&mut self, kind: &Kind) -> usize {
        match self.kinds.iter().position(|it| it == kind) {
            Some(it) => it,
            None => {
                self.kinds.push(kind.clone());
                self.kinds.len() - 1
            }
        }
    }

    fn source(&mut self, number: usize) -> &mut Source {
        if self.sources.len() <= number {
            self.sources.resize_with(number + 1, Source::default);
        }
        &mut self.sources[number]
    }

    /// What was counted since the last call were records of that kind.
    pub(crate) fn end_of_kind(&mut self, source: usize, kind: usize) {
        let at = (self.first_at <= self.last_at).then_some((self.first_at, self.last_at));
        let records = std::mem::take(&mut self.records);
        (self.first_at, self.last_at) = (i64::MAX, i64::MIN);
        let to = self.source(source);
        to.records += records;
        to.at = wider(to.at, at);
        let of_kind = to.of_kind.entry(kind).or_default();
        of_kind.0 += records;
        of_kind.1 = wider(of_kind.1, at);
    }

    pub(crate) fn end_of_block(&mut self, source: usize, lines: u64) {
        self.source(source).lines += lines;
    }

    /// A line that fits no format. Empty ones are no loss.
    #[cold]
    pub(crate) fn unparsed(&mut self, line: &[u8], place: Place) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        let source = self.source(place.source);
        source.unparsed += 1;
        let most = source.samples.len() >= MOST_SAMPLES;
        if most && source.samples.last().is_some_and(|it| it.0 < place) {
            return;
        }
        let text = String::from_utf8_lossy(&line[..line.len().min(SAMPLE_BYTES)]).into_owned();
        source.samples.push((place, text));
        source.samples.sort_unstable_by_key(|it| it.0);
        source.samples.truncate(MOST_SAMPLES);
    }

    /// An ending that was not met before; the number of it.
    #[cold]
    pub(crate) fn new_ending(&mut self, bytes: &[u8], addr: Span, status: Span, setting: Setting) -> usize {
        if self.endings.is_full() {
            self.work_out();
        }
        let wanted = self.wants(setting.status);
        let lists = Lists { addr: addr.of(bytes), status: status.of(bytes), ..Lists::default() };
        let ending = Ending::new(&lists, setting, &mut self.names, wanted);
        self.endings.insert(bytes, addr, status, setting.bits(), ending)
    }

    fn wants(&self, status: u16) -> bool {
        self.statuses.as_ref().is_none_or(|it| it.0.iter().any(|(from, to)| (*from..=*to).contains(&status)))
    }

    /// Adds what endings and entries say to the sums.
    pub(crate) fn work_out(&mut self) {
        for ending in self.endings.take() {
            self.sums.add(&ending.value);
        }
        for it in self.entries.take().into_iter().map(|it| it.value).filter(|it| it.count > 0) {
            self.levels[it.level as usize] += it.count;
            if it.first_at > it.last_at {
                continue;
            }
            let to = self.symptoms.entry((it.symptom, it.upstream)).or_insert((0, it.first_at, it.last_at));
            *to = (to.0 + it.count, to.1.min(it.first_at), to.2.max(it.last_at));
        }
    }

    /// A request whose lists do not go together: its tries are what all of them tell.
    #[cold]
    pub(crate) fn count_odd(
        &mut self,
        lists: &Lists<'_>,
        setting: Setting,
        at: Option<i64>,
        request_time: Option<u64>,
    ) {
        let tries = lists.tries(setting.escape);
        let mut ending = Ending::of(&tries, setting, &mut self.names);
        ending.count = 1;
        if let Some(at) = at {
            (ending.first_at, ending.last_at) = (at, at);
        }
        let millis = |seconds: f64| (seconds * 1e3).round() as u64;
        ending.slowest = request_time.unwrap_or(0);
        for (it, told) in tries.iter().zip(&ending.tries) {
            let upstream = self.sums.upstream(told.upstream);
            if let Some(seconds) = it.connect_time {
                upstream.connect_time.add(millis(seconds));
            }
            if let Some(seconds) = it.response_time {
                upstream.response_time.add(millis(seconds));
            }
        }
        self.sums.add(&ending);
    }

    /// Puts two together; which of them was filled first does not matter.
    pub fn merge(&mut self, mut other: Tally) {
        self.work_out();
        other.work_out();
        let upstream = self.names.take_in(&other.names);
        let kind: Vec<usize> = other.kinds.iter().map(|it| self.kind(it)).collect();
        self.sums.merge(other.sums, &upstream);
        self.request_time.merge(&other.request_time);
        for (count, more) in self.levels.iter_mut().zip(other.levels) {
            *count += more;
        }
        self.steps.merge(other.steps, |it| upstream[it as usize]);
        for ((symptom, number), (count, first, last)) in other.symptoms {
            let to = self.symptoms.entry((symptom, upstream[number as usize])).or_insert((0, first, last));
            *to = (to.0 + count, to.1.min(first), to.2.max(last));
        }
        for (key, (count, at)) in other.events {
            let to = self.events.entry(key).or_default();
            *to = (to.0 + count, wider(to.1, at));
        }
        for (table, more) in self.tables.iter_mut().zip(other.tables) {
            table.merge(more, self.most_keys);
        }
        self.keeper.merge(other.keeper, |it| kind[it]);
        for (number, more) in other.sources.into_iter().enumerate() {
            let to = self.source(number);
            to.lines += more.lines;
            to.records += more.records;
            to.unparsed += more.unparsed;
            to.at = wider(to.at, more.at);
            to.samples.extend(more.samples);
            to.samples.sort_unstable_by_key(|it| it.0);
            to.samples.truncate(MOST_SAMPLES);
            for (number, (records, at)) in more.of_kind {
                let of_kind = to.of_kind.entry(kind[number]).or_default();
                *of_kind = (of_kind.0 + records, wider(of_kind.1, at));
            }
        }
    }

    /// Counts an event that a program's log tells of.
    pub(crate) fn count_event(&mut self, event: &'static str, program: &'static str, at: Option<i64>) {
        if self.events.len() >= MOST_EVENTS && !self.events.contains_key(&(event, program)) {
            return;
        }
        let to = self.events.entry((event, program)).or_default();
        *to = (to.0 + 1, wider(to.1, at.map(|it| (it, it))));
    }

    /// The sums, and the lines worth quoting of each source. `first_line` says which line a block begins with, 0 where that
    /// is not known.
    pub fn finish(mut self, first_line: impl Fn(usize, u64) -> u64) -> (Traffic, Vec<Kept>) {
        self.work_out();
        let line_number = |place: Place| match first_line(place.source, place.block) {
            0 => 0,
            first => first + place.line,
        };
        let kept = self.kept(line_number);
        let at = self.sources.iter().fold(None, |at, it| wider(at, it.at));
        let step_seconds = self.steps.width_seconds();
        let mut symptoms = self.symptom_counts();
        symptoms.sort_by(|a, b| {
            b.count.cmp(&a.count).then_with(|| (&a.symptom, &a.upstream).cmp(&(&b.symptom, &b.upstream)))
        });
        let names = &self.names;
        let step = |(at, counts): (i64, crate::steps::Counts)| {
            let named = |((of, status), count): ((u32, u16), u64)| (names.name(of).to_owned(), status, count);
            let mut errors: Vec<_> = counts.errors.into_iter().map(named).collect();
            errors.sort_unstable();
            let named = |((symptom, of), count): ((u8, u32), u64)| {
                (symptom_id(symptom).to_owned(), names.name(of).to_owned(), count)
            };
            let mut symptoms: Vec<_> = counts.symptoms.into_iter().map(named).collect();
            symptoms.sort_unstable();
            let at = time_of(at.saturating_mul(1_000_000));
            Step { at, requests: counts.requests, failed: counts.failed, errors, symptoms }
        };
        let steps = self.steps.into_sorted().into_iter().map(step).collect();
        let mut upstreams: Vec<UpstreamTraffic> = (0..)
            .zip(self.sums.upstreams)
            .filter(|(_, it)| !it.tries.is_empty() || !it.finals.is_empty())
            .map(|(number, it)| UpstreamTraffic {
                address: names.name(number).to_owned(),
                tries: it.tries,
                finals: it.finals,
                hidden: it.hidden,
                response_time: it.response_time.quantiles(),
                connect_time: it.connect_time.quantiles(),
                failed_at: it.failed_at.map(|(first, last)| (time_of(first), time_of(last))),
            })
            .collect();
        upstreams.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        let mut events: Vec<EventCount> = self
            .events
            .into_iter()
            .map(|((event, program), (count, at))| EventCount {
                event: event.to_owned(),
                source: program.to_owned(),
                count,
                first_at: at.map(|it| time_of(it.0)),
                last_at: at.map(|it| time_of(it.1)),
            })
            .collect();
        events.sort_by(|a, b| {
            b.count.cmp(&a.count).then_with(|| (&a.event, &a.source).cmp(&(&b.event, &b.source)))
        });
        for table in self.tables.iter_mut().filter(|it| it.by == By::Symptom) {
            for it in &symptoms {
                let span = (micros_of(it.first_at), micros_of(it.last_at));
                table.add_entries(it.symptom.as_bytes(), it.count, span);
            }
        }
        let kinds = &self.kinds;
        let source = |it: Source| LogSource {
            kind: match it.of_kind.keys().copied().collect::<Vec<_>>().as_slice() {
                [] => String::new(),
                [only] => kinds[*only].name().to_owned(),
                _ => "mixed".to_owned(),
            },
            lines: it.lines,
            records: it.records,
            unparsed: it.unparsed,
            unparsed_samples: it
                .samples
                .into_iter()
                .map(|(place, text)| (line_number(place), text))
                .collect(),
            first_at: it.at.map(|it| time_of(it.0)),
            last_at: it.at.map(|it| time_of(it.1)),
            ..LogSource::default()
        };
        let levels = LEVELS.iter().zip(self.levels).filter(|it| it.1 > 0);
        let traffic = Traffic {
            sources: self.sources.into_iter().map(source).collect(),
            first_at: at.map(|it| time_of(it.0)),
            last_at: at.map(|it| time_of(it.1)),
            requests: self.sums.requests,
            failed: self.sums.failed,
            hidden: self.sums.hidden,
            statuses: self.sums.statuses,
            body_bytes: self.sums.body_bytes,
            request_time: self.request_time.quantiles(),
            levels: levels.map(|(level, count)| (level.name().to_owned(), count)).collect(),
            step_seconds,
            steps,
            upstreams,
            symptoms,
            events,
            breakdowns: self.tables.into_iter().map(Rows::into_breakdown).collect(),
        };
        (traffic, kept)
    }

    fn symptom_counts(&self) -> Vec<SymptomCount> {
        let all = self.symptoms.iter().map(|((symptom, upstream), (count, first, last))| SymptomCount {
            symptom: symptom_id(*symptom).to_owned(),
            upstream: self.names.name(*upstream).to_owned(),
            count: *count,
            first_at: time_of(*first),
            last_at: time_of(*last),
        });
        all.collect()
    }

    /// The lines worth quoting, by log and kind.
    fn kept(&mut self, line_number: impl Fn(Place) -> u64) -> Vec<Kept> {
        let lines = std::mem::take(&mut self.keeper).into_lines();
        let mut lines: BTreeMap<(usize, usize), _> = lines.into_iter().collect();
        // A log of which nothing was worth quoting was read all the same.
        for (number, source) in self.sources.iter().enumerate() {
            for kind in source.of_kind.keys() {
                lines.entry((number, *kind)).or_insert_with(|| (Vec::new(), 0));
            }
        }
        let mut kept = Vec::new();
        for ((number, kind), (quoted, left_out_total)) in lines {
            let source = self.sources.get(number).cloned().unwrap_or_default();
            let (records, at) = source.of_kind.get(&kind).copied().unwrap_or_default();
            let lines = quoted.into_iter().map(|it| LogLine {
                line: line_number(it.place),
                offset: it.place.offset,
                at: time_of(it.at),
                text: String::from_utf8_lossy(&it.text).into_owned(),
            });
            let is_access = matches!(self.kinds[kind], Kind::Access(_));
            let only = source.of_kind.len() == 1;
            kept.push(Kept {
                source: number,
                kind: self.kinds[kind].clone(),
                lines: LogLines {
                    lines: lines.collect(),
                    read_total: records + if only { source.unparsed } else { 0 },
                    left_out_total,
                    unparsed_total: if only { source.unparsed } else { 0 },
                    first_at: at.map(|it| time_of(it.0)),
                    last_at: at.map(|it| time_of(it.1)),
                    cut: false,
                    statuses: match is_access {
                        true => self
                            .sums
                            .statuses_of
                            .get(&number)
                            .into_iter()
                            .flatten()
                            .map(|(a, b)| (*a, *b))
                            .collect(),
                        false => Vec::new(),
                    },
                    successes: if is_access { self.went_well(number) } else { Vec::new() },
                },
            });
        }
        kept
    }

    fn went_well(&self, source: usize) -> Vec<Successes> {
        let of_source = self.sums.went_well.iter().filter(|it| it.0.0 == source);
        let mut rows: Vec<Successes> = of_source
            .map(|((_, upstream), it)| {
                let at = (it.first_at <= it.last_at).then_some((it.first_at, it.last_at));
                Successes {
                    upstream: if *upstream == NONE {
                        String::new()
                    } else {
                        self.names.name(*upstream).to_owned()
                    },
                    path: String::new(),
                    server: String::new(),
                    count: it.count,
                    first_at: at.map(|it| time_of(it.0)),
                    last_at: at.map(|it| time_of(it.1)),
                    slowest_seconds: (it.slowest > 0).then_some(it.slowest as f64 / 1e3),
                }
            })
            .collect();
        rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.upstream.cmp(&b.upstream)));
        rows.truncate(MOST_WENT_WELL);
        rows
    }
}
