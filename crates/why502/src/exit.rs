//! The exit statuses, all of them. Scripts rely on these numbers.

use std::process::ExitCode;

use diagnose::Verdict;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: nothing is wrong, or nothing that a client noticed; or the verb did what it was asked.
    Fine,
    /// 1: at least one cause was found.
    Faulty,
    /// 2: wrong usage, or a file that cannot be read or written: there is no report. clap ends with the same number.
    Refused,
    /// 3: something failed and no cause was found, or too little could be seen.
    Inconclusive,
}

impl Exit {
    /// What follows from a verdict.
    pub fn of(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Healthy | Verdict::Degraded => Exit::Fine,
            Verdict::Faulty => Exit::Faulty,
            Verdict::Inconclusive => Exit::Inconclusive,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Fine => 0,
            Exit::Faulty => 1,
            Exit::Refused => 2,
            Exit::Inconclusive => 3,
        })
    }
}
