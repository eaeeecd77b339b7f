//! A Report whose requests are counted by time as well.

use std::collections::BTreeMap;

use diagnose::Report;
use snapshot::{Breakdown, Row};

use crate::timeline::later;
use crate::words::Clock;

/// Adds a breakdown of all requests by the minute, or by the wider step that logs of a very long time are counted in.
pub fn by_minute(mut report: Report) -> Report {
    let clock = Clock::of(&report);
    let Some(traffic) = &mut report.traffic else { return report };
    let mut rows: Vec<Row> = Vec::new();
    for step in traffic.steps.iter().filter(|it| it.requests > 0) {
        let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
        for (_, status, count) in &step.errors {
            *statuses.entry(*status).or_default() += count;
        }
        let end = later(step.at, i64::from(traffic.step_seconds).max(1) - 1);
        let failed = step.failed > 0;
        rows.push(Row {
            key: clock.date_and_minute(step.at),
            requests: step.requests,
            failed: step.failed,
            statuses,
            first_at: failed.then_some(step.at),
            last_at: failed.then_some(end),
        });
    }
    rows.sort_by_key(|it| std::cmp::Reverse((it.failed, it.requests)));
    traffic
        .breakdowns
        .insert(0, Breakdown { by: "minute".to_owned(), of_all: true, rows, left_out: 0, not_told_apart: 0 });
    report
}
