//! One case, tried, in one line.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{Case, Outcome, run};

/// What became of a case. Its `Display` is the line that tells of it.
#[derive(Debug)]
pub struct Trial {
    /// The case's name.
    pub name: &'static str,
    /// Whether all is as the case promises.
    pub passed: bool,
    /// What was seen, or what is wrong.
    pub said: String,
    /// What the program said; absent where it was not asked, or the case is broken.
    pub outcome: Option<Outcome>,
    /// How long all of it took.
    pub took: Duration,
}

impl Trial {
    /// Does something with a case and says in one line what became of it; its error is told as well.
    pub fn of(case: &Case, act: impl FnOnce() -> Result<String>) -> Self {
        Self::timed(case, || match act() {
            Ok(said) => (true, said, None),
            Err(error) => (false, format!("{error:#}"), None),
        })
    }

    /// Runs a case against `binary`. There is a second try for one that does not pass: its faults are timed, and a busy
    /// machine can be late. That is said, so that a case that needs it often is seen.
    pub fn run(case: &Case, binary: &Path) -> Self {
        Self::timed(case, || match once(case, binary) {
            (false, first, _) => {
                let (passed, second, outcome) = once(case, binary);
                (passed, format!("{second}; the first time: {first}"), outcome)
            }
            passed => passed,
        })
    }

    fn timed(case: &Case, act: impl FnOnce() -> (bool, String, Option<Outcome>)) -> Self {
        let begun = Instant::now();
        let (passed, said, outcome) = act();
        Self { name: case.name, passed, said, outcome, took: begun.elapsed() }
    }
}

fn once(case: &Case, binary: &Path) -> (bool, String, Option<Outcome>) {
    match run(case, binary) {
        Ok(outcome) => (outcome.ok, format!("{} in {:.2} s", outcome.got, outcome.seconds), Some(outcome)),
        Err(error) => (false, format!("the case is broken: {error:#}"), None),
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.passed { "ok  " } else { "BAD " };
        let Self { name, said, took, .. } = self;
        write!(f, "{mark} {name:42} {said}  ({:.1} s in all)", took.as_secs_f64())
    }
}
