//! Standard output. Somebody who closes the pipe early, as `head` does, has read enough: that is no error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anstream::ColorChoice;
use report::Colour;

use crate::arguments::When;
use crate::failure::Failure;

/// Writes a result.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new("the result cannot be written").at("standard output").because(error))
        }
        _ => Ok(()),
    }
}

/// Whether standard output gets colour: as asked, else as `NO_COLOR`, `CLICOLOR`, `TERM` and the terminal say.
pub fn colour(when: When) -> Colour {
    let coloured = match when {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            io::stdout().is_terminal() && anstream::AutoStream::choice(&io::stdout()) != ColorChoice::Never
        }
    };
    if coloured { Colour::On } else { Colour::Off }
}
