//! What the lab recorded is diagnosed again, without privilege: a rule that takes its neighbour's case shows here.

use std::fs::{self, File};
use std::path::Path;

#[test]
fn every_capture_is_answered_as_its_case_expects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        // A folder with another content than the lab's is somebody else's to test.
        let Some(case) = lab::cases().iter().find(|case| case.name == name) else { continue };
        let file = File::open(entry.path().join("capture.json.gz")).unwrap();
        let report = diagnose::diagnose(&snapshot::read_capture(file).unwrap());
        let answer = report.causes.first().map_or("healthy", |finding| finding.cause.id);
        if answer != case.expect && !case.also.contains(&answer) {
            wrong.push(format!("{name}: {answer}: {}", report.summary));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
