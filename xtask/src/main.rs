//! The project's own commands. Each is what a contributor types and what CI runs; there is no second way.

mod bench;
mod check;
mod fuzz;
mod lab;
mod new_cause;
mod test;
mod tools;

use anyhow::{Result, bail};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask check                     formatting, lints, generated files
       cargo xtask test [--no-lab]           check, every test, and the lab where this machine can boot its hosts
       cargo xtask lab [--only GLOB]... [--record | --prove | --shell]
                                             runs cases; --record keeps captures, --prove tests the cases themselves,
                                             --shell opens a shell in the broken host
       cargo xtask bench [--size-mb N] [--only WORDS]
                                             how long logs take, beside what people use today; checks the sums first
       cargo xtask fuzz [--seconds N [TARGET]]
                                             each fuzz target for a while; needs cargo-fuzz
       cargo xtask build                     the program as one static binary, which runs on any Linux; prints its path
       cargo xtask new-cause ID              a new file for a root cause, with a failing test";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// False when something was tested and failed.
fn run(arguments: &[String]) -> Result<bool> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["check"] => Ok(check::run()?.all_passed()),
        ["test"] => test::run(true),
        ["test", "--no-lab"] => test::run(false),
        ["lab", options @ ..] => lab::run(options),
        ["bench", options @ ..] => bench::run(options),
        ["fuzz", options @ ..] => fuzz::run(options),
        ["build"] => {
            println!("{}", tools::build_release()?.display());
            Ok(true)
        }
        ["new-cause", id] => new_cause::run(id).map(|()| true),
        _ => bail!("{USAGE}"),
    }
}
