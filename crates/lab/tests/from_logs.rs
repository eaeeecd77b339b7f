//! What the lab recorded is diagnosed again from its log lines alone: of each capture only the logs are left, and of those
//! in turn only some, as operators send them.

#[path = "logs/strip.rs"]
mod strip;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use diagnose::{Certainty, Report, Verdict};
use snapshot::Snapshot;
use strip::Given;

/// How many of a hundred incidents have their cause among the first three, at least. Many faults leave the same lines: a
/// refusal looks the same whether a service was stopped or a packet filter rejects, so that no rule reaches all of them,
/// and an access log in `combined` says hardly more than that something failed.
const FLOORS: &[(Given, usize)] = &[
    (Given::Logs, 87),
    (Given::Everything, 88),
    (Given::Nginx, 85),
    (Given::Errors, 74),
    (Given::Combined, 83),
    (Given::Accesses, 40),
    (Given::CombinedAlone, 38),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures")
}

/// Every capture with its case, by name.
fn captures() -> &'static [(&'static lab::Case, Snapshot)] {
    static CAPTURES: OnceLock<Vec<(&lab::Case, Snapshot)>> = OnceLock::new();
    CAPTURES.get_or_init(|| {
        let read = |case: &'static lab::Case| {
            let file = File::open(folder().join(case.name).join("capture.json.gz")).ok()?;
            let snapshot =
                snapshot::read_capture(file).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            Some((case, snapshot))
        };
        let all: Vec<_> = lab::cases().iter().filter_map(read).collect();
        assert!(!all.is_empty(), "no capture in {}", folder().display());
        all
    })
}

/// Every case with the report on what is left of its capture; without those of which nothing is left.
fn replayed(given: Given) -> Vec<(&'static lab::Case, Report)> {
    let left = captures().iter().filter_map(|(case, snapshot)| Some((*case, given.of(snapshot)?)));
    left.map(|(case, snapshot)| (case, diagnose::diagnose(&snapshot))).collect()
}

/// The first three causes, each once.
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

fn is_right(case: &lab::Case, id: &str) -> bool {
    id == case.expect || case.also.contains(&id)
}

/// Whether the cause is among the first three; of a host without a fault, whether none is named.
fn is_found(case: &lab::Case, report: &Report) -> bool {
    match case.expect {
        "healthy" => matches!(report.verdict, Verdict::Healthy | Verdict::Degraded),
        _ => first_three(report).iter().any(|it| is_right(case, it)),
    }
}

#[test]
fn the_cause_is_mostly_among_the_first_three() {
    let mut below = Vec::new();
    for (given, floor) in FLOORS {
        let reports = replayed(*given);
        let found = reports.iter().filter(|(case, report)| is_found(case, report)).count();
        let share = found * 100 / reports.len();
        if share < *floor {
            below.push(format!("{given:?}: {found} of {}, below {floor} %", reports.len()));
        }
    }
    assert!(below.is_empty(), "{}", below.join("\n"));
}

#[test]
fn nothing_wrong_is_called_confirmed() {
    let mut wrong = Vec::new();
    for given in Given::ALL {
        for (case, report) in replayed(*given) {
            let sure = report.causes.iter().filter(|it| it.certainty == Certainty::Confirmed);
            let ids: Vec<&str> = sure.map(|it| it.cause.id).filter(|it| !is_right(case, it)).collect();
            if !ids.is_empty() {
                wrong.push(format!("{given:?}: {}: {}", case.name, ids.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `UPDATE=1 cargo test -p lab --test from_logs` writes the table anew; whoever does that reads its diff.
#[test]
fn the_table_of_answers_from_logs_is_up_to_date() {
    let mut table = String::from(
        "case\tfault\tfound\tfrom nginx's and the backends' logs\tand the journal and the kernel's\n",
    );
    let whole = replayed(Given::Everything);
    let logs = replayed(Given::Logs);
    let answer = |report: &Report| match report.causes.first() {
        Some(first) => format!("{:?}: {}", first.certainty, first_three(report).join(", ")).to_lowercase(),
        None => format!("{:?}", report.verdict).to_lowercase(),
    };
    for (case, report) in whole {
        let alone = logs.iter().find(|(it, _)| it.name == case.name);
        let found = match (alone.is_some_and(|(_, it)| is_found(case, it)), is_found(case, &report)) {
            (true, true) => "both",
            (true, false) => "logs",
            (false, true) => "journal",
            (false, false) => "-",
        };
        let alone = alone.map_or("-".to_owned(), |(_, it)| answer(it));
        writeln!(table, "{}\t{}\t{found}\t{alone}\t{}", case.name, case.expect, answer(&report)).unwrap();
    }
    let path = folder().join("answers-from-logs.tsv");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &table).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<&str> = table.lines().filter(|line| !committed.lines().any(|it| it == *line)).collect();
    assert!(committed == table, "tests/captures/answers-from-logs.tsv is stale:\n{}", changed.join("\n"));
}
