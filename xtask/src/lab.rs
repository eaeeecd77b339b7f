//! The lab from the command line: one line for each case.

use crate::tools::{Counts, build_release, root};
use anyhow::{Result, bail, ensure};
use lab::Case;
use std::path::Path;
use std::time::Instant;

/// What to do with each case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Ask the program, compare its answer.
    Run,
    /// The same, and keep what the program saw as a capture.
    Record,
    /// Only see that the case shows what it promises.
    Prove,
    /// Open a shell in the broken host.
    Shell,
}

pub fn run(options: &[&str]) -> Result<bool> {
    let (mut globs, mut mode) = (Vec::new(), Mode::Run);
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        match (*option, rest.clone().next()) {
            ("--only", Some(glob)) => {
                globs.push(*glob);
                rest.next();
            }
            ("--record", _) => mode = Mode::Record,
            ("--prove", _) => mode = Mode::Prove,
            ("--shell", _) => mode = Mode::Shell,
            _ => bail!("cargo xtask lab knows --only GLOB, --record, --prove and --shell, not {option}"),
        }
    }
    let missing = lab::missing_requirements();
    ensure!(missing.is_empty(), "this machine cannot boot the lab's hosts: {}", missing.join("; "));

    let chosen: Vec<&Case> = lab::cases().iter().filter(|case| wanted(&globs, case.name)).collect();
    ensure!(!chosen.is_empty(), "no case is called {}", globs.join(" or "));
    let counts = run_cases(&chosen, mode)?;
    println!("{} of {} cases passed", counts.passed, chosen.len());
    Ok(counts.all_passed())
}

/// Runs the cases one after another; a line for each says what became of it.
pub fn run_cases(cases: &[&Case], mode: Mode) -> Result<Counts> {
    let binary = if matches!(mode, Mode::Run | Mode::Record) { build_release()? } else { Default::default() };
    let mut counts = Counts::default();
    for case in cases {
        let begun = Instant::now();
        let (passed, said) = match mode {
            Mode::Prove => prove(case),
            Mode::Shell => match lab::shell(case) {
                Ok(()) => (true, String::new()),
                Err(error) => (false, format!("{error:#}")),
            },
            Mode::Run => ask_twice(case, &binary),
            Mode::Record => match lab::record(case, &binary, &root().join("tests/captures")) {
                Ok(()) => ask(case, &binary),
                Err(error) => (false, format!("not recorded: {error:#}")),
            },
        };
        let mark = if passed { "ok  " } else { "BAD " };
        println!("{mark} {:42} {said}  ({:.1} s in all)", case.name, begun.elapsed().as_secs_f64());
        counts.count(passed);
    }
    Ok(counts)
}

/// A second try for a case that did not pass: its faults are timed, and a busy machine can be late. Said, so that a case
/// that needs it often is seen.
fn ask_twice(case: &Case, binary: &Path) -> (bool, String) {
    match ask(case, binary) {
        (true, said) => (true, said),
        (false, first) => {
            let (passed, second) = ask(case, binary);
            (passed, format!("{second}; the first time: {first}"))
        }
    }
}

fn ask(case: &Case, binary: &Path) -> (bool, String) {
    match lab::run(case, binary) {
        Ok(outcome) => (outcome.ok, format!("{} in {:.2} s", outcome.got, outcome.seconds)),
        Err(error) => (false, format!("the case is broken: {error:#}")),
    }
}

fn prove(case: &Case) -> (bool, String) {
    match lab::prove(case) {
        Ok(proof) => (true, format!("{:?} {:.60}", proof.statuses, proof.line)),
        Err(error) => (false, format!("the case is broken: {error:#}")),
    }
}

fn wanted(globs: &[&str], name: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| fits(glob, name))
}

/// Whether a shell pattern with `*` fits the whole of a name.
fn fits(glob: &str, name: &str) -> bool {
    match glob.split_once('*') {
        None => glob == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len()).any(|at| name.is_char_boundary(at) && fits(rest, &name[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        assert!(fits("backend-*-node", "backend-hung-node"));
        assert!(fits("*fpm*", "php-fpm-pool-exhausted-tcp"));
        assert!(!fits("backend-*-node", "backend-hung-node-loop"));
        assert!(!fits("backend", "backend-hung"));
    }

    #[test]
    fn without_a_pattern_every_case_is_wanted() {
        assert!(wanted(&[], "backend-hung-node"));
    }
}
