//! `why502 lab`: the cases that this program is tested with, to practise on.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use lab::{Case, Exercise, Trial};
use report::{WIDTH, explain, visible_lines, wrap};
use serde_json::{Value, json};

use crate::arguments::{Format, Lab, LabList, LabRun, LabTry};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// What runs in the hosts: the program that was asked, whatever became of its file since.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Does what was asked.
pub fn lab(asked: Lab) -> Result<Exit, Failure> {
    match asked {
        Lab::List(it) => list(&it),
        Lab::Run(it) => run(&it),
        Lab::Try(it) => practise(&it),
    }
}

fn list(asked: &LabList) -> Result<Exit, Failure> {
    let text = match asked.format {
        Format::Json => {
            let all = lab::cases();
            let rows = all.iter().map(|it| json!({"id": it.name, "cause": it.expect, "about": it.about}));
            pretty(&json!({"cases": rows.collect::<Value>()}))
        }
        Format::Text => lab::cases()
            .chunk_by(|one, next| one.expect == next.expect)
            .map(|of_cause| {
                format!("{}\n{}", of_cause[0].expect, of_cause.iter().map(row).collect::<String>())
            })
            .collect::<Vec<_>>()
            .join("\n"),
    };
    output::print(&text)?;
    Ok(Exit::Fine)
}

fn row(case: &Case) -> String {
    format!("  {}\n{}", case.name, indented(case.about))
}

fn run(asked: &LabRun) -> Result<Exit, Failure> {
    if let Some(none) = asked.cases.iter().find(|glob| !lab::cases().iter().any(|case| case.is_like(glob))) {
        return Err(unknown(none));
    }
    ready()?;
    let chosen = lab::cases().iter().filter(|case| asked.cases.iter().any(|glob| case.is_like(glob)));
    let mut trials = Vec::new();
    for case in chosen {
        let trial = Trial::run(case, Path::new(THIS_PROGRAM));
        if asked.format == Format::Text {
            output::print(&format!("{}\n", visible_lines(&trial.to_string())))?;
        }
        trials.push((case, trial));
    }
    let passed = trials.iter().filter(|(_, trial)| trial.passed).count();
    output::print(&match asked.format {
        Format::Text => format!("{passed} of {} passed\n", trials.len()),
        Format::Json => pretty(&json!({
            "passed": passed,
            "failed": trials.len() - passed,
            "cases": trials.iter().map(|(case, trial)| result(case, trial)).collect::<Value>(),
        })),
    })?;
    Ok(if passed == trials.len() { Exit::Fine } else { Exit::Faulty })
}

fn result(case: &Case, trial: &Trial) -> Value {
    let outcome = trial.outcome.as_ref();
    json!({
        "id": case.name,
        "cause": case.expect,
        "passed": trial.passed,
        "says": trial.said,
        "statuses": outcome.map(|it| &it.statuses),
        "elapsed": trial.took.as_secs_f64(),
        "report": outcome.map(|it| &it.report),
    })
}

/// Breaks a host, tells no more of it than its clients would, and opens the curtain when the shell ends.
fn practise(asked: &LabTry) -> Result<Exit, Failure> {
    let case = match &asked.case {
        Some(name) => lab::cases().iter().find(|it| it.name == name).ok_or_else(|| unknown(name))?,
        None => any_fault(),
    };
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::new("practising needs a terminal").advise("why502 lab run, which needs none"));
    }
    ready()?;

    eprintln!("A throw-away host boots and is broken. This takes some seconds.");
    let colour = match output::colour(asked.color) {
        report::Colour::On => "--color always",
        report::Colour::Off => "--color never",
    };
    let exercise = Exercise::begin(case, Path::new(THIS_PROGRAM), colour).map_err(no_host)?;
    eprintln!("{}", symptom(&exercise.statuses));
    eprint!(
        "You are root on it now: nothing that you do there reaches this machine.\n\
         The case is about the time until now; look where you like, why502 is there too.\n\
         Leave with exit or Ctrl-D to be told what it was.\n\n"
    );
    exercise.shell().map_err(no_host)?;

    eprint!("\nWhich cause is it? (an id, or Enter to be told) ");
    let mut guess = String::new();
    // Whoever cannot be asked is told.
    let _ = io::stderr().flush().and_then(|()| io::stdin().read_line(&mut guess));
    output::print(&format!(
        "\nWhat why502 said of the host before you came:\n\n{}\n{}{}\n{}",
        exercise.said,
        mark(case, guess.trim()),
        case.expect,
        indented(case.about),
    ))?;
    Ok(Exit::Fine)
}

/// What was it, and was it guessed?
fn mark(case: &Case, guess: &str) -> String {
    let right = guess == case.expect || case.also.contains(&guess);
    match guess {
        "" => "It was ".to_owned(),
        _ if right => "Right, it was ".to_owned(),
        _ => format!("Not {}: it was ", report::visible(guess)),
    }
}

/// What the clients got, in words.
fn symptom(statuses: &BTreeMap<String, u32>) -> String {
    let answers: Vec<String> = statuses
        .iter()
        .map(|(status, count)| match status.as_str() {
            "000" => format!("no answer to {count}"),
            status => format!("{status} to {count}"),
        })
        .collect();
    let total: u32 = statuses.values().sum();
    format!("Of {total} requests, clients got: {}.", answers.join(", "))
}

/// One of the cases in which something is wrong. Which one is not told beforehand.
fn any_fault() -> &'static Case {
    let faults: Vec<&Case> = lab::cases().iter().filter(|it| it.expect != "healthy").collect();
    let random = RandomState::new().hash_one(());
    faults[(random % faults.len() as u64) as usize]
}

/// Whether hosts can boot here; if they must wait for another one, that is said.
fn ready() -> Result<(), Failure> {
    let missing = lab::missing_requirements();
    if !missing.is_empty() {
        let packages = lab::missing_packages();
        let advice = match (lab::is_root(), packages.as_slice()) {
            (false, _) => "as root, on a Debian 12 that serves nobody".to_owned(),
            (true, []) => "a Debian 12 in a virtual machine".to_owned(),
            (true, packages) => format!("apt-get install --no-install-recommends {}", packages.join(" ")),
        };
        return Err(Failure::new("this machine cannot boot throw-away hosts")
            .because(missing.join("; "))
            .advise(advice));
    }
    if lab::is_busy() {
        eprintln!("Another throw-away host runs on this machine: waiting for its end. Ctrl-C gives up.");
    }
    Ok(())
}

fn unknown(name: &str) -> Failure {
    let near = explain::nearest_of(name, lab::cases().iter().map(|it| it.name));
    Failure::new(format!("there is no case {name}")).advise(match near.as_slice() {
        [] => "why502 lab list, which names them all".to_owned(),
        near => near.join(", or "),
    })
}

fn no_host(error: anyhow::Error) -> Failure {
    Failure::new("the throw-away host failed").because(error)
}

fn indented(text: &str) -> String {
    wrap(text, WIDTH - 6).iter().map(|line| format!("      {line}\n")).collect()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_got_no_answer_are_told_of_in_words() {
        let statuses = [("000".to_owned(), 2), ("502".to_owned(), 5)].into();
        assert_eq!(symptom(&statuses), "Of 7 requests, clients got: no answer to 2, 502 to 5.");
    }

    #[test]
    fn a_guess_is_marked_by_what_the_case_accepts() {
        let case = Case { expect: "backend-hung", also: vec!["backend-slow"], ..any_fault().clone() };
        assert_eq!(mark(&case, ""), "It was ");
        assert_eq!(mark(&case, "backend-slow"), "Right, it was ");
        assert_eq!(mark(&case, "dns\x1b-stale"), "Not dns\\x1b-stale: it was ");
    }

    #[test]
    fn a_misspelled_case_gets_the_right_one() {
        let said = unknown("backend-hung-node-lop").to_string();
        assert!(said.contains("\n  try:   backend-hung-node-loop"), "{said}");
    }
}
