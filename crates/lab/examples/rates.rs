//! What the lab recorded is diagnosed again from its log lines alone: of each capture only the logs are left, and of those
//! in turn only some, as operators send them.

#[path = "../tests/logs/strip.rs"]
mod strip;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use diagnose::{Certainty, Report, Verdict};
use snapshot::Snapshot;
use strip::Given;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures")
}

/// Every case that has a capture, by name.
fn captures() -> Vec<(&'static lab::Case, Snapshot)> {
    let read = |case: &'static lab::Case| {
        let file = File::open(folder().join(case.name).join("capture.json.gz")).ok()?;
        let snapshot = snapshot::read_capture(file).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        Some((case, snapshot))
    };
    lab::cases().iter().filter_map(read).collect()
}

/// The first three causes.
fn first_three(report: &Report) -> Vec<&'static str> {
    let mut ids: Vec<&str> = Vec::new();
    for it in &report.causes {
        if !ids.contains(&it.cause.id) {
            ids.push(it.cause.id);
        }
    }
    ids.truncate(3);
    ids
}

fn is_well(report: &Report) -> bool {
    matches!(report.verdict, Verdict::Healthy | Verdict::Degraded)
}

/// Whether the answer is right, for a case that is broken or for one that is not.
fn hits(case: &lab::Case, report: &Report, places: usize) -> bool {
    match case.expect {
        "healthy" => is_well(report),
        fault => first_three(report).iter().take(places).any(|it| *it == fault || case.also.contains(it)),
    }
}


fn main() {
    let all = captures();
    let mut table = String::new();
    let mut sums = vec![(0, 0, 0, 0); Given::ALL.len()];
    for (case, snapshot) in &all {
        write!(table, "{}\t{}", case.name, case.expect).unwrap();
        for (index, given) in Given::ALL.iter().enumerate() {
            let Some(stripped) = given.of(snapshot) else {
                table += "\t-";
                continue;
            };
            let report = diagnose::diagnose(&stripped);
            let sum = &mut sums[index];
            sum.0 += 1;
            sum.1 += usize::from(hits(case, &report, 1));
            sum.2 += usize::from(hits(case, &report, 3));
            let wrong = report.causes.iter().find(|it| {
                it.certainty == Certainty::Confirmed
                    && it.cause.id != case.expect
                    && !case.also.contains(&it.cause.id)
            });
            sum.3 += usize::from(wrong.is_some());
            let three: Vec<String> = report
                .causes
                .iter()
                .take(4)
                .map(|it| format!("{} {:?} {:.2}", it.cause.id, it.certainty, it.confidence))
                .collect();
            let mark = if hits(case, &report, 1) {
                "1"
            } else if hits(case, &report, 3) {
                "3"
            } else {
                "MISS"
            };
            let wrong = if wrong.is_some() { " WRONG" } else { "" };
            write!(table, "\n\t{given:?} {mark}{wrong} {:?}: {}", report.verdict, three.join(", ")).unwrap();
        }
        table += "\n";
    }
    for (given, sum) in Given::ALL.iter().zip(sums) {
        writeln!(
            table,
            "{given:?}: {} of {} first, {} in three ({:.1}%), {} wrongly confirmed",
            sum.1,
            sum.0,
            sum.2,
            sum.2 as f64 * 100.0 / sum.0 as f64,
            sum.3
        )
        .unwrap();
    }
    fs::write("/tmp/causes-table.txt", table).unwrap();
}
