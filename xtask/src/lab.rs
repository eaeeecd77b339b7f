//! The lab from the command line: one line for each case.

use crate::tools::{Counts, build_release, root};
use anyhow::{Context, Result, bail, ensure};
use lab::{Case, Trial};

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

    let wanted = |case: &&Case| globs.is_empty() || globs.iter().any(|glob| case.is_like(glob));
    let chosen: Vec<&Case> = lab::cases().iter().filter(wanted).collect();
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
        let trial = match mode {
            Mode::Prove => Trial::of(case, || prove(case)),
            Mode::Shell => Trial::of(case, || lab::shell(case).map(|()| String::new())),
            Mode::Run => Trial::run(case, &binary),
            Mode::Record => match lab::record(case, &binary, &root().join("tests/captures")) {
                Ok(()) => Trial::run(case, &binary),
                Err(error) => Trial::of(case, || Err(error.context("not recorded"))),
            },
        };
        println!("{trial}");
        counts.count(trial.passed);
    }
    Ok(counts)
}

fn prove(case: &Case) -> Result<String> {
    let proof = lab::prove(case).context("the case is broken")?;
    Ok(format!("{:?} {:.60}", proof.statuses, proof.line))
}
