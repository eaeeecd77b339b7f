//! gzip, member after member.

use std::io::{self, Read};

use zlib_rs::{Inflate, InflateFlush, Status};

/// Compressed bytes that are read at a time.
const INPUT_BYTES: usize = 128 << 10;
/// The window bits that stand for "with a gzip header" and the largest window. Source: zlib.h, inflateInit2().
const GZIP_WINDOW: u8 = 16 + 15;
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Unpacks what `inner` reads. What comes before damage is given out before the error.
pub struct Gzip<R> {
    inner: R,
    input: Vec<u8>,
    /// What of `input` is still to be unpacked.
    rest: std::ops::Range<usize>,
    inflate: Inflate,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Before a member; the first one has to be there.
    Between {
        members: bool,
    },
    Inside,
}

impl<R: Read> Gzip<R> {
    pub fn new(inner: R) -> Gzip<R> {
        Gzip {
            inner,
            input: vec![0; INPUT_BYTES],
            rest: 0..0,
            inflate: Inflate::new(true, GZIP_WINDOW),
            state: State::Between { members: false },
        }
    }

    /// Reads more behind what is left. False at the end.
    fn refill(&mut self) -> io::Result<bool> {
        self.input.copy_within(self.rest.clone(), 0);
        self.rest = 0..self.rest.len();
        loop {
            match self.inner.read(&mut self.input[self.rest.end..]) {
                Ok(length) => {
                    self.rest.end += length;
                    return Ok(length > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes to the next member. False when there is none.
    fn next_member(&mut self) -> io::Result<bool> {
        loop {
            // Tapes and some copies are filled up with zeros.
            while self.rest.len() > 0 && self.input[self.rest.start] == 0 {
                self.rest.start += 1;
            }
            if self.rest.len() >= MAGIC.len() || !self.refill()? {
                break;
            }
        }
        if self.rest.is_empty() {
            return Ok(false);
        }
        if !self.input[self.rest.clone()].starts_with(&MAGIC) {
            return Err(invalid("what follows the compressed data is something else"));
        }
        self.inflate = Inflate::new(true, GZIP_WINDOW);
        Ok(true)
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        loop {
            if let State::Between { members } = self.state {
                if !self.next_member()? {
                    return if members { Ok(0) } else { Err(cut()) };
                }
                self.state = State::Inside;
            }
            if self.rest.is_empty() && !self.refill()? {
                return Err(cut());
            }
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let input = &self.input[self.rest.clone()];
            let status = self.inflate.decompress(input, output, InflateFlush::NoFlush);
            let taken = (self.inflate.total_in() - before_in) as usize;
            let given = (self.inflate.total_out() - before_out) as usize;
            self.rest.start += taken;
            match status {
                Ok(Status::StreamEnd) => self.state = State::Between { members: true },
                // Fewer bytes are left than it needs to go on.
                Ok(_) if taken == 0 && given == 0 => {
                    if !self.refill()? {
                        return Err(cut());
                    }
                }
                Ok(_) => {}
                Err(_) if given > 0 => {}
                Err(error) => return Err(invalid(error.as_str())),
            }
            if given > 0 {
                return Ok(given);
            }
        }
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the compressed data ends in the middle")
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the compressed data is damaged: {what}"))
}
