//! The parts of one source, one after another: blocks of whole lines.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use jiff::Timestamp;
use nginx_logs::Shape;

use super::clock::Clock;
use super::index::Index;
use super::packing::BYTE_ORDER_MARK;
use super::window::data_from;

/// How long a block is, more or less: long enough that handing it over costs nothing, short enough for the caches.
pub const BLOCK_BYTES: usize = 512 << 10;
/// A line that is longer than so many blocks, 16 MiB, is cut.
const LONGEST_LINE_BLOCKS: usize = 32;

/// What comes next of a source.
pub enum Next {
    /// A block that lies in the file and is still to be read.
    InFile(Arc<File>, Span),
    /// A block that lies in the buffer.
    Read(Span),
    /// Nothing yet: whoever writes is slow.
    NotYet,
    /// The end, and why it is not the real one.
    End(Option<String>),
}

/// What a source gave so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given {
    /// Where it began in the unpacked log.
    pub begins_at: u64,
    pub blocks: u64,
    pub bytes: u64,
}

/// A block's place in the unpacked log.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub index: u64,
    pub offset: u64,
    pub length: usize,
}

/// A plain file, whose blocks several threads can read.
pub struct Plain {
    block_bytes: usize,
    file: Arc<File>,
    position: u64,
    start: u64,
    end: u64,
    index: u64,
    probe: Vec<u8>,
    torn: u64,
}

impl Plain {
    pub fn new(file: File, start: u64, end: u64, block_bytes: usize) -> Plain {
        Plain {
            block_bytes,
            file: Arc::new(file),
            position: start,
            start,
            end,
            index: 0,
            probe: Vec::new(),
            torn: 0,
        }
    }

    /// The next block: only its end is looked at here, so that threads do not wait for each other.
    pub fn next(&mut self, shape: &Shape) -> Next {
        if self.position >= self.end {
            return Next::End(torn(self.torn));
        }
        match self.block_end(shape) {
            Ok(end) => {
                let length = (end - self.position) as usize;
                let span = Span { index: self.index, offset: self.position, length };
                self.index += 1;
                self.position = end;
                Next::InFile(self.file.clone(), span)
            }
            Err(error) => Next::End(Some(error.to_string())),
        }
    }

    pub fn given(&self) -> Given {
        // The mark before a text is no part of it.
        let begins_at = if self.start > BYTE_ORDER_MARK.len() as u64 { self.start } else { 0 };
        Given { begins_at, blocks: self.index, bytes: self.position - self.start }
    }

    /// Goes on behind a hole that is larger than a block: there is nothing in it but zeros, and it costs no room on the disk.
    fn skip_hole(&mut self) {
        if let Some(data) = data_from(&self.file, self.position)
            && data > self.position + self.block_bytes as u64
        {
            self.position = data.min(self.end - 1);
        }
    }

    fn block_end(&mut self, shape: &Shape) -> io::Result<u64> {
        let left = self.end - self.position;
        if left <= (self.block_bytes + self.block_bytes / 4) as u64 {
            return Ok(self.end);
        }
        self.skip_hole();
        let left = self.end - self.position;
        // The last cut before the usual length; for lines that are longer than usual further on.
        let mut length = self.block_bytes as u64;
        loop {
            for part in [shape.cut_bytes() as u64, length] {
                let from = self.position + length - part.min(length);
                self.probe.resize((self.position + length - from) as usize, 0);
                let read = read_at(&self.file, &mut self.probe, from)?;
                if let Some(cut) = shape.last_cut(&self.probe[..read]) {
                    return Ok(from + cut as u64);
                }
                if read < self.probe.len() {
                    return Ok(self.end);
                }
            }
            if length == left {
                return Ok(self.end);
            }
            if length >= (self.block_bytes * LONGEST_LINE_BLOCKS) as u64 {
                self.torn += 1;
                return Ok(self.position + length);
            }
            length = (length * 2).min(left);
        }
    }
}

/// Fills the buffer from that place on, as far as there is something. Says how much there was.
pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What can only be read from its beginning on: packed files, pipes.
pub struct Stream<'a> {
    block_bytes: usize,
    reader: Box<dyn Read + Send + 'a>,
    /// What was read behind the last block.
    rest: Vec<u8>,
    start: u64,
    /// Where the first block begins.
    begins_at: u64,
    offset: u64,
    block: u64,
    torn: u64,
    /// Set when the reader has nothing more to give.
    ended: Option<io::Result<()>>,
    /// Tells which blocks are outside of the span that is asked for.
    clock: Option<Clock<'a>>,
    /// The latest time so far.
    latest: Option<Timestamp>,
    index: Option<Index>,
}

impl<'a> Stream<'a> {
    /// What `reader` gives begins at that place of the unpacked log.
    pub fn new(
        reader: Box<dyn Read + Send + 'a>,
        offset: u64,
        clock: Option<Clock<'a>>,
        index: Option<Index>,
        block_bytes: usize,
    ) -> Stream<'a> {
        let (rest, block, torn, ended, latest) = (Vec::new(), 0, 0, None, None);
        Stream {
            block_bytes,
            reader,
            rest,
            offset,
            start: offset,
            begins_at: offset,
            block,
            torn,
            ended,
            clock,
            latest,
            index,
        }
    }

    /// Reads the next block into the buffer, which only ever grows. Blocks before the span are passed over, and behind it the end is.
    pub fn next(&mut self, shape: &Shape, buffer: &mut Vec<u8>) -> Next {
        loop {
            let Some(length) = self.read_block(shape, buffer) else { return Next::NotYet };
            let range = self.clock.filter(|_| length > 0).and_then(|it| it.range_of(&buffer[..length]));
            let is_behind = self.clock.zip(range).is_some_and(|(clock, range)| clock.is_behind(range.0));
            if length == 0 || is_behind {
                let partial = self.ended.take().and_then(Result::err).map(|it| it.to_string());
                self.ended = Some(Ok(()));
                return Next::End(partial.or_else(|| torn(self.torn)));
            }
            let offset = self.offset;
            self.offset += length as u64;
            self.latest = self.latest.max(range.map(|it| it.1));
            self.index.iter().for_each(|it| it.passed(self.offset, self.latest));
            // From the first block on that is given all are, so that lines can be counted.
            if self.block == 0 {
                self.begins_at = offset;
                if self.clock.zip(range).is_some_and(|(clock, range)| clock.is_before(range.1)) {
                    continue;
                }
            }
            let span = Span { index: self.block, offset, length };
            self.block += 1;
            return Next::Read(span);
        }
    }

    /// Fills the buffer and says how much of it is a block; 0 at the end, `None` where nothing comes just now.
    fn read_block(&mut self, shape: &Shape, buffer: &mut Vec<u8>) -> Option<usize> {
        let mut filled = self.rest.len();
        let mut length = self.block_bytes.max(filled);
        buffer.resize(buffer.len().max(length), 0);
        buffer[..filled].copy_from_slice(&self.rest);
        let cut = loop {
            let idle = self.fill(&mut buffer[..length], &mut filled);
            if self.ended.is_some() {
                break filled;
            }
            if let Some(cut) = shape.last_cut(&buffer[..filled]) {
                break cut;
            }
            if idle {
                self.keep(&buffer[..filled]);
                return None;
            }
            if length >= self.block_bytes * LONGEST_LINE_BLOCKS {
                self.torn += 1;
                break filled;
            }
            length *= 2;
            buffer.resize(buffer.len().max(length), 0);
        };
        self.keep(&buffer[cut..filled]);
        Some(cut)
    }

    pub fn given(&self) -> Given {
        Given { begins_at: self.begins_at, blocks: self.block, bytes: self.offset - self.start }
    }

    fn keep(&mut self, rest: &[u8]) {
        self.rest.clear();
        self.rest.extend_from_slice(rest);
        if self.rest.capacity() > 4 * BLOCK_BYTES {
            self.rest.shrink_to(BLOCK_BYTES);
        }
    }

    /// Reads until the buffer is full. True when whoever writes gives nothing just now.
    fn fill(&mut self, buffer: &mut [u8], filled: &mut usize) -> bool {
        while *filled < buffer.len() && self.ended.is_none() {
            match self.reader.read(&mut buffer[*filled..]) {
                Ok(0) => self.ended = Some(Ok(())),
                Ok(length) => *filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) => self.ended = Some(Err(error)),
            }
        }
        false
    }
}

impl Drop for Stream<'_> {
    /// What was learnt of a file is worth keeping, however far it was read.
    fn drop(&mut self) {
        self.index.iter().for_each(Index::save);
    }
}

fn torn(places: u64) -> Option<String> {
    let plural = if places == 1 { "" } else { "s" };
    (places > 0).then(|| format!("lines longer than 16 MiB were cut, at {places} place{plural}"))
}
