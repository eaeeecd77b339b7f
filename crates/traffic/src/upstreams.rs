//! What became of requests at their upstreams.
//!
//! Most requests of a log end in one of few ways: the same upstream, the same status of the try, the same status for the
//! client. Each such ending is an [`Ending`], found by the bytes of the line ([`crate::table`]), and counted there; what it
//! says of statuses, tries and upstreams is worked out once, at the end.

use std::collections::{BTreeMap, HashMap};

use nginx_logs::access::{Attempt, Escape, Lists};
use nginx_logs::error::Level;

use crate::sketch::Sketch;

/// Addresses that are told apart. A group of more servers is rare, and clients cannot invent addresses.
const MOST_UPSTREAMS: usize = 4_096;
/// What further ones are counted as.
const OTHERS: &str = "(others)";

/// The number of "no upstream".
pub const NONE: u32 = 0;
const NO_ADDRESS: &str = "-";

/// What a line is an ending of, apart from the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub source: u32,
    /// `u16::MAX` where the line has no status.
    pub status: u16,
    pub escape: Escape,
    /// Whether the format tells about upstreams at all.
    pub tells_upstream: bool,
}

impl Setting {
    #[inline(always)]
    pub fn bits(self) -> u64 {
        u64::from(self.status)
            | u64::from(self.source) << 16
            | (self.escape as u64) << 48
            | u64::from(self.tells_upstream) << 50
    }
}

/// Requests that ended in the same way.
#[derive(Debug)]
pub struct Ending {
    setting: Setting,
    pub tries: Vec<Try>,
    /// How many tries.
    pub tried: usize,
    /// The upstream of the last try.
    pub last: u32,
    pub status: Option<u16>,
    /// The status filter wants it.
    pub wanted: bool,
    pub failed: bool,
    pub retried: bool,
    pub count: u64,
    pub first_at: i64,
    pub last_at: i64,
    /// The longest try, or request, in milliseconds.
    pub slowest: u64,
    pub examples: Examples,
}

/// The times of the lines that are kept as examples of what went well: the first one, and the first of the last hour.
#[derive(Debug, Clone, Copy)]
pub struct Examples {
    first: i64,
    hour: i64,
    last: i64,
}

const HOUR: i64 = 3_600_000_000;

impl Examples {
    /// Whether a line of that time may take the place of one.
    #[inline(always)]
    pub fn wants(&self, at: i64) -> bool {
        at <= self.first || at >= self.hour && (at <= self.last || at >= self.hour.saturating_add(HOUR))
    }

    pub fn add(&mut self, at: i64) {
        let hour = at.div_euclid(HOUR).saturating_mul(HOUR);
        self.first = self.first.min(at);
        if hour >= self.hour {
            self.last = if hour > self.hour { at } else { self.last.min(at) };
            self.hour = hour;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Try {
    pub upstream: u32,
    /// 0 where it ended without any.
    pub status: u16,
    pub group: usize,
}

/// Whether the client got an error.
pub fn is_failure(status: u16) -> bool {
    !(100..499).contains(&status) || status == 413
}

/// The numbers of addresses.
#[derive(Debug)]
pub struct Names {
    names: Vec<String>,
    index: HashMap<String, u32>,
}

impl Default for Names {
    fn default() -> Names {
        let mut names = Names { names: Vec::new(), index: HashMap::new() };
        names.number(NO_ADDRESS);
        names
    }
}

impl Names {
    pub fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.index.get(name) {
            return *number;
        }
        let name = if self.names.len() < MOST_UPSTREAMS { name } else { OTHERS };
        if let Some(number) = self.index.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), number);
        number
    }

    pub fn name(&self, number: u32) -> &str {
        &self.names[number as usize]
    }

    /// The numbers here of another's names.
    pub fn take_in(&mut self, other: &Names) -> Vec<u32> {
        other.names.iter().map(|it| self.number(it)).collect()
    }
}

impl Ending {
    /// Works out what a line says. The lists fit their variables.
    pub fn new(lists: &Lists<'_>, setting: Setting, names: &mut Names, wanted: bool) -> Ending {
        Ending { wanted, ..Ending::of(&lists.tries(setting.escape), setting, names) }
    }

    /// What the tries say.
    pub fn of(tries: &[Attempt], setting: Setting, names: &mut Names) -> Ending {
        let tries: Vec<Try> = tries
            .iter()
            .map(|it| Try {
                upstream: names.number(it.addr.as_deref().unwrap_or(NO_ADDRESS)),
                status: it.status.unwrap_or(0),
                group: it.group,
            })
            .collect();
        let status = (setting.status != u16::MAX).then_some(setting.status);
        let failed = status.is_some_and(is_failure);
        let retried = (0..tries.len()).any(|it| was_made_good(&tries, it));
        Ending {
            setting,
            tried: tries.len(),
            last: tries.last().map_or(NONE, |it| it.upstream),
            tries,
            status,
            wanted: true,
            failed,
            retried,
            count: 0,
            first_at: i64::MAX,
            last_at: i64::MIN,
            slowest: 0,
            examples: Examples { first: i64::MAX, hour: i64::MIN, last: i64::MAX },
        }
    }

    pub fn source(&self) -> usize {
        self.setting.source as usize
    }

    pub fn tells_upstream(&self) -> bool {
        self.setting.tells_upstream
    }
}

/// Whether a try failed and there was another one: nginx asks the next server only then. Behind an internal redirect
/// (another group) only its status tells.
fn was_made_good(tries: &[Try], index: usize) -> bool {
    let Some(next) = tries.get(index + 1) else { return false };
    next.group == tries[index].group || tries[index].status >= 500
}

/// The sums of one address.
#[derive(Debug, Default)]
pub struct Upstream {
    pub tries: BTreeMap<u16, u64>,
    pub finals: BTreeMap<u16, u64>,
    pub hidden: u64,
    pub failed_at: Option<(i64, i64)>,
    pub response_time: Sketch,
    pub connect_time: Sketch,
}

/// Requests of one log that went well at one address.
#[derive(Debug, Clone, Copy)]
pub struct WentWell {
    pub count: u64,
    pub first_at: i64,
    pub last_at: i64,
    pub slowest: u64,
}

impl WentWell {
    fn merge(&mut self, other: WentWell) {
        self.count += other.count;
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// What all endings come to.
#[derive(Debug, Default)]
pub struct Sums {
    pub requests: u64,
    pub body_bytes: u64,
    pub failed: u64,
    pub hidden: u64,
    pub statuses: BTreeMap<u16, u64>,
    /// By number.
    pub upstreams: Vec<Upstream>,
    /// By source.
    pub statuses_of: HashMap<usize, BTreeMap<u16, u64>>,
    pub went_well: HashMap<(usize, u32), WentWell>,
}

impl Sums {
    pub fn upstream(&mut self, number: u32) -> &mut Upstream {
        let index = number as usize;
        if self.upstreams.len() <= index {
            self.upstreams.resize_with(index + 1, Upstream::default);
        }
        &mut self.upstreams[index]
    }

    /// Adds what an ending says.
    pub fn add(&mut self, ending: &Ending) {
        if ending.count == 0 || !ending.wanted {
            return;
        }
        let count = ending.count;
        self.requests += count;
        if let Some(status) = ending.status {
            *self.statuses.entry(status).or_default() += count;
            *self.statuses_of.entry(ending.source()).or_default().entry(status).or_default() += count;
        }
        let hidden = ending.retried && !ending.failed;
        self.failed += if ending.failed { count } else { 0 };
        self.hidden += if hidden { count } else { 0 };
        let at = (ending.first_at, ending.last_at);
        for (index, it) in ending.tries.iter().enumerate() {
            let made_good = was_made_good(&ending.tries, index);
            // A client that leaves ends a try without a status, and that is no failure of the upstream.
            let failed = made_good || it.status >= 500 || it.status == 0 && ending.status != Some(499);
            let upstream = self.upstream(it.upstream);
            *upstream.tries.entry(it.status).or_default() += count;
            upstream.hidden += if hidden && made_good { count } else { 0 };
            if failed && at.0 <= at.1 {
                upstream.failed_at =
                    Some(upstream.failed_at.map_or(at, |it| (it.0.min(at.0), it.1.max(at.1))));
            }
        }
        if ending.tells_upstream()
            && let Some(status) = ending.status
        {
            *self.upstream(ending.last).finals.entry(status).or_default() += count;
        }
        let refused = ending.status.is_none_or(|it| it == 400);
        if !ending.failed && !refused && ending.tries.len() <= 1 {
            let key = (ending.source(), ending.last);
            let row = WentWell { count, first_at: at.0, last_at: at.1, slowest: ending.slowest };
            self.went_well.entry(key).and_modify(|it| it.merge(row)).or_insert(row);
        }
    }

    pub fn merge(&mut self, other: Sums, upstream: &[u32]) {
        self.requests += other.requests;
        self.body_bytes += other.body_bytes;
        self.failed += other.failed;
        self.hidden += other.hidden;
        add_all(&mut self.statuses, other.statuses);
        for (number, it) in other.upstreams.into_iter().enumerate() {
            let to = self.upstream(upstream[number]);
            add_all(&mut to.tries, it.tries);
            add_all(&mut to.finals, it.finals);
            to.hidden += it.hidden;
            to.failed_at = match (to.failed_at, it.failed_at) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (a, b) => a.or(b),
            };
            to.response_time.merge(&it.response_time);
            to.connect_time.merge(&it.connect_time);
        }
        for (source, statuses) in other.statuses_of {
            add_all(self.statuses_of.entry(source).or_default(), statuses);
        }
        for ((source, number), row) in other.went_well {
            let key = (source, upstream[number as usize]);
            self.went_well.entry(key).and_modify(|it| it.merge(row)).or_insert(row);
        }
    }
}

pub fn add_all<K: Ord>(to: &mut BTreeMap<K, u64>, from: BTreeMap<K, u64>) {
    for (key, count) in from {
        *to.entry(key).or_default() += count;
    }
}

/// Entries of an error log that say the same of the same peer and server.
#[derive(Debug)]
pub struct Entries {
    pub level: Level,
    pub symptom: u8,
    pub upstream: u32,
    /// Where their lines are kept.
    pub kept: Option<usize>,
    /// Where a step counts them, most likely.
    pub counted_at: usize,
    pub count: u64,
    pub first_at: i64,
    pub last_at: i64,
}
