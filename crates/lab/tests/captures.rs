//! What the lab recorded is diagnosed again, without privilege: a rule that takes its neighbour's case shows here, and in
//! the diff of the committed table.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use diagnose::Report;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures")
}

/// Every case that has a capture, with the report on it, by name.
fn replayed() -> Vec<(&'static lab::Case, Report)> {
    let mut replayed = Vec::new();
    for case in lab::cases() {
        let Ok(file) = File::open(folder().join(case.name).join("capture.json.gz")) else { continue };
        let snapshot = snapshot::read_capture(file).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        replayed.push((case, diagnose::diagnose(&snapshot)));
    }
    assert!(
        !replayed.is_empty(),
        "no capture in {}; record them with `cargo xtask lab --record`",
        folder().display()
    );
    replayed
}

fn answer(report: &Report) -> &'static str {
    report.causes.first().map_or("healthy", |finding| finding.cause.id)
}

#[test]
fn every_capture_is_answered_as_its_case_expects() {
    let mut wrong = Vec::new();
    for (case, report) in replayed() {
        if answer(&report) != case.expect && !case.also.contains(&answer(&report)) {
            wrong.push(format!("{}: {}: {}", case.name, answer(&report), report.summary));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `UPDATE=1 cargo test -p lab --test captures` writes the table anew; whoever does that reads its diff.
#[test]
fn the_table_of_faults_and_first_answers_is_up_to_date() {
    let mut table = String::from("case\tfault\tfirst answer\tcertainty\tother causes named\n");
    for (case, report) in replayed() {
        let certainty =
            report.causes.first().map_or("-".to_owned(), |it| format!("{:?}", it.certainty).to_lowercase());
        let others: Vec<&str> = report.causes.iter().skip(1).map(|it| it.cause.id).collect();
        let others = if others.is_empty() { "-".to_owned() } else { others.join(", ") };
        writeln!(table, "{}\t{}\t{}\t{certainty}\t{others}", case.name, case.expect, answer(&report))
            .unwrap();
    }
    let path = folder().join("answers.tsv");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &table).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    let changed: Vec<&str> = table.lines().filter(|line| !committed.lines().any(|it| it == *line)).collect();
    assert!(committed == table, "tests/captures/answers.tsv is stale:\n{}", changed.join("\n"));
}
