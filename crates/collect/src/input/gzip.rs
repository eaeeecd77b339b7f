//! gzip, member after member; and from the middle on, at the places that an [`Index`] remembers.

use std::fs::File;
use std::io::{self, Read};

use zlib_rs::{Inflate, InflateFlush, Status};

use super::index::{CHECK_BYTES, Index, Place, WINDOW_BYTES};
use super::packing::{cut, damaged};
use super::parts::read_at;

/// Compressed bytes that are read at a time.
const INPUT_BYTES: usize = 128 << 10;
/// The window bits that stand for "with a gzip header" and the largest window. Source: zlib.h, inflateInit2().
const GZIP_WINDOW: u8 = 16 + 15;
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The checksum and the length behind a member.
const TRAILER_BYTES: usize = 8;

/// Unpacks what `inner` reads. What comes before damage is given out before the error.
pub struct Gzip<R> {
    inner: R,
    input: Vec<u8>,
    /// What of `input` is still to be unpacked.
    rest: std::ops::Range<usize>,
    inflate: Inflate,
    state: State,
    index: Option<Index>,
    /// How much of the packed file lies before `rest`, and how much text was given.
    packed: u64,
    text: u64,
    /// Text that the last place still needs to be known by.
    unchecked: usize,
    /// The member was not read from its beginning.
    starts_raw: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Before a member; the first one has to be there.
    Between {
        members: bool,
    },
    Inside,
    /// Behind a member whose end the inflater did not look at, since it did not see its beginning.
    Trailer {
        left: usize,
    },
}

impl<R: Read> Gzip<R> {
    /// Places are added to the index on the way.
    pub fn new(inner: R, index: Option<Index>) -> Gzip<R> {
        Gzip {
            inner,
            input: vec![0; INPUT_BYTES],
            rest: 0..0,
            inflate: Inflate::new(true, GZIP_WINDOW),
            state: State::Between { members: false },
            index,
            packed: 0,
            text: 0,
            unchecked: 0,
            starts_raw: false,
        }
    }

    /// The same from a place on, to which `inner` has been moved.
    pub fn resume(inner: R, index: Index, place: &Place, inflate: Inflate) -> Gzip<R> {
        let (packed, text) = (place.packed, place.text);
        Gzip {
            inflate,
            state: State::Inside,
            packed,
            text,
            starts_raw: true,
            ..Gzip::new(inner, Some(index))
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

    fn advance(&mut self, bytes: usize) {
        self.rest.start += bytes;
        self.packed += bytes as u64;
    }

    /// Goes to the next member. False when there is none.
    fn next_member(&mut self) -> io::Result<bool> {
        loop {
            // Tapes and some copies are filled up with zeros.
            while !self.rest.is_empty() && self.input[self.rest.start] == 0 {
                self.advance(1);
            }
            if self.rest.len() >= MAGIC.len() || !self.refill()? {
                break;
            }
        }
        if self.rest.is_empty() {
            return Ok(false);
        }
        if !self.input[self.rest.clone()].starts_with(&MAGIC) {
            return Err(damaged("what follows the compressed data is something else"));
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
            match self.state {
                State::Between { members } => {
                    if !self.next_member()? {
                        return if members { Ok(0) } else { Err(cut()) };
                    }
                    self.state = State::Inside;
                }
                State::Trailer { left: 0 } => {
                    self.state = State::Between { members: true };
                    continue;
                }
                State::Inside | State::Trailer { .. } => {}
            }
            if self.rest.is_empty() && !self.refill()? {
                return Err(cut());
            }
            if let State::Trailer { left } = self.state {
                let skipped = left.min(self.rest.len());
                self.advance(skipped);
                self.state = State::Trailer { left: left - skipped };
                continue;
            }
            let wanted = self.index.as_ref().is_some_and(|it| it.wants(self.text));
            let flush = if wanted { InflateFlush::Block } else { InflateFlush::NoFlush };
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(&self.input[self.rest.clone()], output, flush);
            let taken = (self.inflate.total_in() - before_in) as usize;
            let given = (self.inflate.total_out() - before_out) as usize;
            self.advance(taken);
            self.text += given as u64;
            let given_text = &output[..given];
            if self.unchecked > 0 && given > 0 {
                self.index.as_ref().inspect(|it| it.check(given_text));
                self.unchecked = self.unchecked.saturating_sub(given);
            }
            match status {
                Ok(Status::StreamEnd) if self.starts_raw => {
                    self.starts_raw = false;
                    self.state = State::Trailer { left: TRAILER_BYTES };
                }
                Ok(Status::StreamEnd) => self.state = State::Between { members: true },
                // Fewer bytes are left than it needs to go on.
                Ok(_) if taken == 0 && given == 0 => {
                    if !self.refill()? {
                        return Err(cut());
                    }
                }
                // With neither side used up, it has stopped between two blocks.
                Ok(_) if wanted && given >= WINDOW_BYTES && given < output.len() && !self.rest.is_empty() => {
                    let window = &given_text[given - WINDOW_BYTES..];
                    let place = Place::new(self.packed, self.text, window);
                    self.index.as_ref().inspect(|it| it.add(place));
                    self.unchecked = CHECK_BYTES;
                }
                Ok(_) => {}
                Err(_) if given > 0 => {}
                Err(error) => return Err(damaged(error.as_str())),
            }
            if given > 0 {
                return Ok(given);
            }
        }
    }
}

/// An inflater that goes on at a place of that file; `None`: the place is not one.
///
/// A block of deflate begins at any bit. How many bits of the byte before the place are its own is not remembered, but is seen
/// from the text that has to come.
pub fn inflater_at(file: &File, place: &Place) -> Option<Inflate> {
    let window = place.window()?;
    let mut packed = vec![0; 1 + INPUT_BYTES / 2];
    let read = read_at(file, &mut packed, place.packed.checked_sub(1)?).ok()?;
    let (before, following) = packed[..read].split_first()?;
    let lead_in = |used_bits: u32| {
        let mut inflate = Inflate::new(false, 15);
        let (mut lead, text_bytes) = lead_in(&window, used_bits);
        if used_bits > 0 {
            *lead.last_mut()? |= before & (0xff << used_bits);
        }
        // Some room, so that the end of the last block is read as well.
        let mut text = vec![0; text_bytes + 16];
        let mut at = 0;
        while at < lead.len() {
            let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
            inflate.decompress(&lead[at..], &mut text[before_out as usize..], InflateFlush::NoFlush).ok()?;
            at += (inflate.total_in() - before_in) as usize;
            if inflate.total_in() == before_in && inflate.total_out() == before_out {
                return None;
            }
        }
        (inflate.total_out() == text_bytes as u64).then_some(inflate)
    };
    let used_bits = (0..8).find(|it| {
        let mut text = [0; CHECK_BYTES];
        lead_in(*it).is_some_and(|mut inflate| {
            let before = inflate.total_out();
            let read = inflate.decompress(following, &mut text, InflateFlush::NoFlush).is_ok();
            read && inflate.total_out() - before == CHECK_BYTES as u64 && text[..] == place.check
        })
    })?;
    lead_in(used_bits)
}

/// Deflate data that gives the window and ends inside of a byte, so many bits of which it uses; and how much text it gives.
///
/// Empty blocks with fixed codes have ten bits, which gives all even numbers. For the odd ones there is a copy from as far back as
/// can be: its distance has 13 more bits. Source: RFC 1951, 3.2.5 and 3.2.6.
fn lead_in(window: &[u8], used_bits: u32) -> (Vec<u8>, usize) {
    const COPIED: usize = 3;
    let odd = used_bits % 2 == 1;
    // What is copied at the end stands before everything else, where it cannot be referred to.
    let (whole, copied) = window.split_at(window.len() - if odd { COPIED } else { 0 });
    let length = u16::try_from(window.len()).expect("a window is shorter than a stored block");
    let mut lead = vec![0];
    lead.extend(length.to_le_bytes());
    lead.extend((!length).to_le_bytes());
    lead.extend(copied);
    lead.extend(whole);
    let mut bits: Vec<bool> = Vec::new();
    let mut put = |text: &str| bits.extend(text.bytes().map(|it| it == b'1'));
    let mut used = 0;
    if odd {
        // A block with fixed codes: length 3, distance 32768, the end.
        ["010", "0000001", "11101", "1111111111111", "0000000"].into_iter().for_each(&mut put);
        used = 3;
    }
    while used % 8 != used_bits {
        put("0100000000");
        used += 2;
    }
    lead.extend(bits.chunks(8).map(|it| it.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit))));
    (lead, window.len() + copied.len())
}
