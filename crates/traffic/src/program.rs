//! Counts what other programs' logs tell of.

use jiff::Timestamp;
use nginx_logs::split::Span;
use nginx_logs::{Kind, Program, backend};

use crate::access::Here;
use crate::clock::micros_of;
use crate::kept::Sort;
use crate::table::hash_text;
use crate::tally::Tally;

/// Counts a line of another program; `quoted` is what is kept of it.
pub fn read(
    program: Program,
    line: &[u8],
    quoted: &[u8],
    here: Here<'_>,
    now: Option<Timestamp>,
    tally: &mut Tally,
) -> bool {
    let told = Kind::Program(program).time_of(line, &tally.zone, now.unwrap_or(Timestamp::MAX));
    let at = told.map(micros_of).or(here.carried_at);
    // Lines without a time go on with the one before them, and are no loss where a time was asked for.
    if !tally.window.is_inside(at) {
        return true;
    }
    tally.records += 1;
    if let Some(at) = at {
        tally.first_at = tally.first_at.min(at);
        tally.last_at = tally.last_at.max(at);
    }
    let text = String::from_utf8_lossy(line);
    let Some(event) = backend::event(&text) else { return true };
    let name = event.kind.name();
    tally.count_event(name, program.name(), at);
    let whole = Span { start: 0, end: name.len() as u32 };
    let sort =
        Sort { source: here.place.source, kind: here.kind, tells: hash_text(name.as_bytes(), whole, 0) };
    tally.keeper.keep(sort, at.unwrap_or_default(), here.place, quoted);
    true
}
