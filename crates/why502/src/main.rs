//! The command line: reads arguments, calls the crates that do the work, prints what they say. No logic lives here.
//!
//! Results go to standard output, everything else to standard error.
#![forbid(unsafe_code)]

mod arguments;
mod exit;
mod failure;
mod follow;
mod lab;
mod logs;
mod moment;
mod output;
mod parse;
mod progress;
mod statuses;
mod verbs;
mod which_logs;

use clap::Parser;

use crate::arguments::Cli;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    match verbs::run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprint!("{failure}");
            exit::Exit::Refused.into()
        }
    }
}
