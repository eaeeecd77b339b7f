//! What can be said of the sources without running them.

use crate::new_cause;
use crate::tools::{Counts, cargo};
use anyhow::{Context, Result};

const STEPS: [(&str, &[&str]); 3] = [
    ("formatting", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
    ("the published schema", &["test", "--quiet", "--package", "report", "--test", "json"]),
];

/// Every step is run, so that one run shows everything there is to mend.
pub fn run() -> Result<Counts> {
    let mut counts = Counts::default();
    for (what, arguments) in STEPS {
        let passed = cargo().args(arguments).status().context("cannot start cargo")?.success();
        report(what, passed);
        counts.count(passed);
    }
    let listed = new_cause::list_is_complete();
    if let Err(error) = &listed {
        eprintln!("{error:#}");
    }
    report("the list of causes", listed.is_ok());
    counts.count(listed.is_ok());
    Ok(counts)
}

fn report(what: &str, passed: bool) {
    println!("{} {what}", if passed { "ok  " } else { "BAD " });
}
