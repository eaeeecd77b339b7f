//! Counts the entries of error logs.

use nginx_logs::Symptom;
use nginx_logs::error::{ErrorRecord, Level, parse, parse_stderr};

use crate::access::Here;
use crate::kept::Sort;
use crate::tally::Tally;

/// The number of "no symptom".
pub const OTHER: u8 = u8::MAX;

/// As reports name it.
pub fn symptom_id(number: u8) -> &'static str {
    Symptom::ALL.get(usize::from(number)).map_or("other", |it| it.id())
}

/// Reads an entry and counts it. Says whether it is one.
pub fn read(entry: &[u8], here: Here<'_>, tally: &mut Tally) -> bool {
    let Some(record) = parse(entry) else { return read_stderr(entry, here, tally) };
    let at = tally.clock.error(entry, &tally.zone).or(here.carried_at);
    let symptom = record.symptom();
    let peer = record.peer.as_deref().unwrap_or_default();
    tally.count_entry(record.level, symptom, peer, record.server.unwrap_or_default(), entry, here, at)
}

/// What nginx says before it runs has no time of its own.
#[cold]
fn read_stderr(entry: &[u8], here: Here<'_>, tally: &mut Tally) -> bool {
    let Some(record) = parse_stderr(entry) else { return false };
    let level = record.level.unwrap_or(Level::Notice);
    tally.count_entry(level, record.symptom(), "", b"", entry, here, here.carried_at)
}

/// Whether lines that begin unlike an entry can go on with this one.
pub fn can_go_on(record: &ErrorRecord<'_>) -> bool {
    record.message.starts_with(b"FastCGI sent in stderr: \"") && record.client.is_none()
}

impl Tally {
    #[expect(clippy::too_many_arguments, reason = "they are what an entry says")]
    pub fn count_entry(
        &mut self,
        level: Level,
        symptom: Option<Symptom>,
        peer: &str,
        server: &[u8],
        entry: &[u8],
        here: Here<'_>,
        at: Option<i64>,
    ) -> bool {
        if !self.window.is_inside(at) {
            return at.is_some();
        }
        self.records += 1;
        self.levels[level as usize] += 1;
        let number = symptom.map_or(OTHER, |it| it as u8);
        let upstream = self.names.number(peer);
        let Some(at) = at else { return true };
        self.first_at = self.first_at.min(at);
        self.last_at = self.last_at.max(at);
        add(&mut self.steps.at(at).symptoms, (number, upstream), 1);
        let seen = self.symptoms.entry((number, upstream)).or_insert((0, at, at));
        *seen = (seen.0 + 1, seen.1.min(at), seen.2.max(at));
        // Of what is no symptom, only what is grave or nginx says of itself.
        if level <= Level::Notice {
            let tells = crate::upstreams::hash_bytes(&[&[number, level as u8], peer.as_bytes(), server]);
            let sort = Sort { source: here.place.source, kind: here.kind, tells };
            self.keeper.keep(sort, at, here.place, entry);
        }
        true
    }
}

use crate::steps::add;
