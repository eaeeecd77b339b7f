//! One id for a cause everywhere: the lab's cases speak of the causes that `diagnose` knows, and know all of them.

use std::collections::BTreeSet;
use std::path::Path;

/// The ids of the files in `crates/diagnose/src/causes`.
fn causes() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/diagnose/src/causes");
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let causes = paths.filter(|path| std::fs::read_to_string(path).unwrap().contains("\ncause! {"));
    causes.map(|path| path.file_stem().unwrap().to_string_lossy().replace('_', "-")).collect()
}

#[test]
fn cases_expect_causes_that_exist() {
    let causes = causes();
    for case in lab::cases() {
        for id in case.also.iter().chain([&case.expect]).filter(|id| **id != "healthy") {
            assert!(causes.contains(*id), "{}: there is no cause {id}", case.name);
        }
    }
}

#[test]
fn every_cause_has_a_case() {
    let expected: BTreeSet<&str> = lab::cases().iter().map(|case| case.expect).collect();
    let without: Vec<_> = causes().into_iter().filter(|id| !expected.contains(id.as_str())).collect();
    assert!(without.is_empty(), "no case in crates/lab/cases expects {}", without.join(" or "));
}
