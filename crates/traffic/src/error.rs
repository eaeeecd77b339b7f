//! Counts the entries of error logs.

use nginx_logs::Symptom;
use nginx_logs::error::{Level, parse, parse_stderr};
use nginx_logs::split::Span;
use nginx_logs::split_error::{Alike, Quick};

use crate::access::Here;
use crate::kept::Sort;
use crate::steps::add_near;
use crate::tally::Tally;
use crate::upstreams::Entries;

/// The number of "no symptom".
pub const OTHER: u8 = u8::MAX;
/// Messages whose symptom is remembered. They are few, but for those with a number.
const MOST_HEADS: usize = 512;

/// As reports name it.
pub fn symptom_id(number: u8) -> &'static str {
    Symptom::ALL.get(usize::from(number)).map_or("other", |it| it.id())
}

fn number_of(symptom: Option<Symptom>) -> u8 {
    symptom.map_or(OTHER, |it| it as u8)
}

/// Counts an entry that was split. If it says no, nothing was counted, and the entry must be read.
pub fn count_split(quick: &Quick, here: Here<'_>, tally: &mut Tally) -> bool {
    let Some(at) = tally.clock.error(here.whole.of(here.bytes), &tally.zone) else { return false };
    let symptom = tally.symptom_of(quick, here.bytes);
    tally.count_entry(quick.level, symptom, here.bytes, [quick.peer, quick.server], here, Some(at))
}

/// Reads an entry and counts it. Says whether it is one.
#[cold]
pub fn read(entry: &[u8], here: Here<'_>, tally: &mut Tally) -> bool {
    let Some(record) = parse(entry) else { return read_stderr(entry, here, tally) };
    let at = tally.clock.error(entry, &tally.zone).or(here.carried_at);
    let peer = record.peer.as_deref().unwrap_or_default().as_bytes();
    let names = [peer, record.server.unwrap_or_default()].concat();
    let (middle, end) = (peer.len() as u32, names.len() as u32);
    let spans = [Span { start: 0, end: middle }, Span { start: middle, end }];
    tally.count_entry(record.level, number_of(record.symptom()), &names, spans, here, at)
}

/// What nginx says before it runs has no time of its own.
fn read_stderr(entry: &[u8], here: Here<'_>, tally: &mut Tally) -> bool {
    let Some(record) = parse_stderr(entry) else { return false };
    let level = record.level.unwrap_or(Level::Notice);
    tally.count_entry(level, number_of(record.symptom()), b"", [Span::default(); 2], here, here.carried_at)
}

impl Tally {
    fn symptom_of(&mut self, quick: &Quick, bytes: &[u8]) -> u8 {
        let (level, [begin, end]) = (quick.level as u64, quick.ends(bytes));
        let alike = match self.heads.find(bytes, begin, end, level) {
            Some(known) => self.heads.cells[known].value,
            None => self.new_head(quick, bytes),
        };
        let symptom = match alike {
            Some(Alike::Say(symptom)) => Some(symptom),
            Some(alike) => alike.symptom(quick.head.of(bytes)),
            None => None,
        };
        number_of(symptom.unwrap_or_else(|| quick.symptom(bytes)))
    }

    #[cold]
    fn new_head(&mut self, quick: &Quick, bytes: &[u8]) -> Option<Alike> {
        if self.heads.cells.len() >= MOST_HEADS {
            self.heads.take();
        }
        let (level, [begin, end]) = (quick.level as u64, quick.ends(bytes));
        let alike = quick.alike(bytes);
        self.heads.insert(bytes, begin, end, level, alike);
        alike
    }

    /// Counts an entry; its peer and its server are spans of `bytes`. Says no where it cannot be placed in the window.
    fn count_entry(
        &mut self,
        level: Level,
        symptom: u8,
        bytes: &[u8],
        [peer, server]: [Span; 2],
        here: Here<'_>,
        at: Option<i64>,
    ) -> bool {
        if !self.window.is_inside(at) {
            return at.is_some();
        }
        self.records += 1;
        let source = here.place.source;
        let bits =
            u64::from(symptom) | (level as u64) << 8 | (here.kind as u64) << 16 | (source as u64) << 32;
        let found = self.entries.find(bytes, peer, server, bits);
        let found = found.unwrap_or_else(|| self.new_entries(level, symptom, bytes, [peer, server], bits));
        let cell = &mut self.entries.cells[found];
        let (tells, it) = (cell.hash, &mut cell.value);
        it.count += 1;
        let Some(at) = at else { return true };
        it.first_at = it.first_at.min(at);
        it.last_at = it.last_at.max(at);
        self.first_at = self.first_at.min(at);
        self.last_at = self.last_at.max(at);
        add_near(&mut self.steps.at(at).symptoms, &mut it.counted_at, (symptom, it.upstream));
        // Entries of the lowest levels are many and tell little.
        if level <= Level::Notice {
            let sort = Sort { source, kind: here.kind, tells };
            if it.kept.is_none() {
                it.kept = self.keeper.sort(sort);
            }
            self.keeper.keep_at(it.kept, sort, at, here.place, here.whole.of(here.bytes));
        }
        true
    }

    #[cold]
    fn new_entries(&mut self, level: Level, symptom: u8, bytes: &[u8], spans: [Span; 2], bits: u64) -> usize {
        if self.entries.is_full() {
            self.work_out();
        }
        let upstream = self.names.number(&String::from_utf8_lossy(spans[0].of(bytes)));
        let it = Entries {
            level,
            symptom,
            upstream,
            kept: None,
            counted_at: 0,
            count: 0,
            first_at: i64::MAX,
            last_at: i64::MIN,
        };
        self.entries.insert(bytes, spans[0], spans[1], bits, it)
    }
}
