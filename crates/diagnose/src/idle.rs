//! How long a backend had been left alone before each request, told from the access log. A connection that nginx took up
//! again had been idle for at least that long.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::case::Case;
use crate::failure::Access;
use crate::outage;

/// One request to the peer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pause {
    /// Seconds since the peer's answer before it. Access logs round times down to whole seconds, so it may be almost a
    /// second more or less.
    pub seconds: f64,
    /// Whether the request failed.
    pub failed: bool,
}

/// The pause before each request of the peer whose answer before it is known.
pub fn pauses(case: &Case) -> Vec<Pause> {
    let failed = &case.group.accesses;
    let good: HashSet<*const Access> = outage::good_answers(case).map(std::ptr::from_ref).collect();
    let mut ends: Vec<(usize, f64)> = Vec::new();
    let mut pauses = Vec::new();
    for (index, access) in case.scene.failures.accesses.iter().enumerate() {
        let failed = failed.contains(&index);
        if !failed && !good.contains(&std::ptr::from_ref(access)) {
            continue;
        }
        let end = seconds(access.at);
        let started = end - took(access);
        // Lines are in the order of their ends, which tells those of one second apart.
        let before = ends.iter().rev().find(|(log, end)| *log == access.log && *end <= started.ceil());
        pauses.extend(before.map(|(_, end)| Pause { seconds: (started - end).max(0.0), failed }));
        if !failed {
            ends.push((access.log, end));
        }
    }
    pauses
}

/// The peer's part of the time; where the format does not tell it, the whole.
fn took(access: &Access) -> f64 {
    access.last_attempt().and_then(|it| it.response_time).or(access.request_time).unwrap_or_default()
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}
