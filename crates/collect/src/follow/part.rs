//! One open file of a log, and the reading of it: a plain file, a packed one, or a pipe.

use std::borrow::Borrow;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Instant;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};

use super::lines::{Step, step};
use crate::input::packing::Packing;

use super::position::{FileId, Position, SAMPLE_BYTES, hash};

/// How much is read at once. It holds several of the longest lines.
pub const CHUNK_BYTES: usize = 256 << 10;
/// The first bytes of a file that tell how it is packed.
const MAGIC_BYTES: usize = 16;

/// A file and where reading stands in it.
#[derive(Debug)]
pub struct Part {
    source: Source,
    pub position: Position,
    /// Size and time of the last change when it was looked at last.
    seen: Option<(u64, i64)>,
    /// There may be something to read.
    pub unread: bool,
    /// Bytes behind the position, as far as that is known: half a line, or what still has to be read.
    pub behind_bytes: u64,
    /// When something was last given out, or half a line became longer.
    pub grown_at: Instant,
    /// No name leads to it any more.
    pub deleted: bool,
    /// Everybody closed this pipe; it is asked again later.
    pub closed: bool,
    pub watch: Option<i32>,
}

#[derive(Debug)]
enum Source {
    Plain(File),
    Stream(Box<Stream>),
}

/// What can be read once only, from its beginning: what comes before the position is passed over.
#[derive(Debug)]
struct Stream {
    reader: Reader,
    /// The sample before the position, and what lies behind it.
    carry: Vec<u8>,
    /// The length of that sample.
    context: usize,
    /// Still to be passed over.
    before_bytes: u64,
}

impl Source {
    fn stream(reader: Reader, before_bytes: u64) -> Source {
        Source::Stream(Box::new(Stream { reader, carry: Vec::new(), context: 0, before_bytes }))
    }
}

enum Reader {
    Packed(Box<dyn Read + Send>),
    Pipe(File),
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reader::Packed(_) => "Packed",
            Reader::Pipe(_) => "Pipe",
        })
    }
}

/// Reads a file from its beginning, wherever the place is that its descriptor shares with others.
struct Whole<F> {
    file: F,
    offset: u64,
}

impl<F: Borrow<File>> Read for Whole<F> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let length = self.file.borrow().read_at(output, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

/// What reading found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is more.
    More,
    /// Nothing more now.
    End,
    /// It is a packed file, or a pipe that everybody closed: nothing more will come through it.
    Over,
    /// What stands before the position is not what was read there.
    Replaced,
}

/// What reading gives out.
#[derive(Debug)]
pub enum Given<'a> {
    /// Lines, and whether the last of them is whole.
    Lines(u64, &'a [u8], bool),
    /// So many bytes of a line that was cut were passed over.
    Rest(u64),
    /// So many bytes were never written.
    Hole(u64),
}

/// Opens a file without waiting for anybody, and without a link inside another root leading into ours.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match split_root(path) {
        Some((root, below)) => {
            let root = rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            Ok(rustix::fs::openat2(root, below, flags, Mode::empty(), ResolveFlags::IN_ROOT)?.into())
        }
        None => Ok(rustix::fs::open(path, flags, Mode::empty())?.into()),
    }
}

/// What a path leads to, in the same way.
pub fn metadata(path: &Path) -> io::Result<Metadata> {
    let Some((root, below)) = split_root(path) else { return std::fs::metadata(path) };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
    File::from(rustix::fs::openat2(root, below, flags, Mode::empty(), ResolveFlags::IN_ROOT)?).metadata()
}

/// When a file was last written to, in nanoseconds since 1970.
pub fn written_at(metadata: &Metadata) -> i64 {
    metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
}

/// `/proc/PID/root` and what stands behind it.
fn split_root(path: &Path) -> Option<(&Path, &Path)> {
    let root = path
        .ancestors()
        .find(|it| it.ends_with("root") && it.starts_with("/proc") && it.components().count() == 4)?;
    let below = path.strip_prefix(root).ok().filter(|it| !it.as_os_str().is_empty())?;
    Some((root, below))
}

impl Part {
    /// A file that was opened, to be read from a position of it.
    pub fn new(file: File, position: Position) -> io::Result<Part> {
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        if kind.is_dir() || kind.is_block_device() {
            return Err(io::Error::new(ErrorKind::Unsupported, "it is not a file"));
        }
        if !metadata.is_file() {
            let id = FileId::of(&metadata);
            return Ok(Part::of(
                Source::stream(Reader::Pipe(file), 0),
                Position { id, ..Position::default() },
            ));
        }
        let position = Position { id: FileId::of(&metadata), written_at: written_at(&metadata), ..position };
        let source = match packing_of(&file)? {
            Some(packing) => {
                let text = packing.open(Whole { file, offset: 0 }, None)?;
                Source::stream(Reader::Packed(text), position.offset)
            }
            None => Source::Plain(file),
        };
        let mut part = Part { unread: true, ..Part::of(source, position) };
        part.check()?;
        Ok(part)
    }

    /// A descriptor that is read as a pipe is, whatever it is.
    pub fn pipe_of(file: File) -> Part {
        Part::of(Source::stream(Reader::Pipe(file), 0), Position::default())
    }

    fn of(source: Source, position: Position) -> Part {
        Part {
            source,
            position,
            seen: None,
            unread: false,
            behind_bytes: 0,
            grown_at: Instant::now(),
            deleted: false,
            closed: false,
            watch: None,
        }
    }

    /// Moves the position to `offset`, which is the beginning of a line.
    pub fn begin_at(&mut self, offset: u64) -> io::Result<()> {
        let Source::Plain(file) = &self.source else { return Ok(()) };
        self.position.offset = offset;
        let length = self.position.sample_length();
        let (mut head, mut tail) = (vec![0; length], vec![0; length]);
        file.read_exact_at(&mut head, 0)?;
        file.read_exact_at(&mut tail, offset - length as u64)?;
        (self.position.head, self.position.tail) = (hash(&head), hash(&tail));
        self.seen = None;
        self.check()
    }

    pub fn id(&self) -> FileId {
        self.position.id
    }

    /// The descriptor of a pipe: it tells by itself that there is something to read.
    pub fn pipe(&self) -> Option<BorrowedFd<'_>> {
        match &self.source {
            Source::Stream(it) => match &it.reader {
                Reader::Pipe(file) => Some(file.as_fd()),
                Reader::Packed(_) => None,
            },
            Source::Plain(_) => None,
        }
    }

    /// A file that can grow.
    pub fn plain(&self) -> Option<&File> {
        match &self.source {
            Source::Plain(file) => Some(file),
            Source::Stream(_) => None,
        }
    }

    /// Asks whether the file has changed.
    pub fn check(&mut self) -> io::Result<()> {
        let Source::Plain(file) = &self.source else { return Ok(()) };
        let metadata = file.metadata()?;
        self.deleted = metadata.nlink() == 0;
        let now = (metadata.len(), written_at(&metadata));
        if self.seen != Some(now) {
            self.unread = true;
            self.seen = Some(now);
            self.behind_bytes = metadata.len().saturating_sub(self.position.offset);
        }
        Ok(())
    }

    /// The size that `check` saw.
    pub fn size(&self) -> u64 {
        self.seen.map_or(0, |it| it.0)
    }

    /// Reads once, and gives out what is whole; with `flush` also half a line at the end.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        flush: bool,
        give: &mut dyn FnMut(Given<'_>),
    ) -> io::Result<Outcome> {
        let outcome = match &mut self.source {
            Source::Plain(file) => {
                let context = self.position.sample_length();
                let length = read_full(file, buffer, self.position.offset - context as u64)?;
                if length < context
                    || hash(&buffer[..context]) != self.position.tail
                    || !begins_with(file, &self.position)?
                {
                    return Ok(Outcome::Replaced);
                }
                let more = length == buffer.len();
                let taken =
                    give_out(&mut self.position, &buffer[..length], context, more, flush && !more, give);
                if length > context {
                    self.grown_at = Instant::now();
                }
                let left = (length - context - taken) as u64;
                self.behind_bytes =
                    if more { left.max(self.behind_bytes.saturating_sub(taken as u64)) } else { left };
                if more { Outcome::More } else { Outcome::End }
            }
            Source::Stream(it) => {
                // Who asks for half a line does not know of more, and reading would wait for it.
                let outcome = if flush { Outcome::End } else { it.fill(buffer)? };
                self.grown_at = Instant::now();
                let more = outcome == Outcome::More;
                let flush = flush || outcome == Outcome::Over;
                if it.before_bytes == 0 {
                    it.context += give_out(&mut self.position, &it.carry, it.context, more, flush, give);
                    it.trim();
                }
                self.behind_bytes = (it.carry.len() - it.context) as u64;
                outcome
            }
        };
        self.unread = outcome == Outcome::More;
        if let Some((_, written_at)) = self.seen {
            self.position.written_at = written_at;
        }
        Ok(outcome)
    }
}

impl Stream {
    /// Reads once.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<Outcome> {
        let (read, outcome) = match &mut self.reader {
            Reader::Packed(it) => (it.read(buffer), Outcome::More),
            Reader::Pipe(it) => (it.read(buffer), Outcome::End),
        };
        let length = match read {
            Ok(0) => return Ok(Outcome::Over),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(Outcome::End);
            }
            Err(error) => return Err(error),
        };
        self.carry.extend_from_slice(&buffer[..length]);
        let unread = self.carry.len() - self.context;
        let passed = unread.min(usize::try_from(self.before_bytes).unwrap_or(unread));
        self.before_bytes -= passed as u64;
        self.context += passed;
        self.trim();
        Ok(outcome)
    }

    /// Forgets what is longer ago than a sample.
    fn trim(&mut self) {
        let old = self.context.saturating_sub(SAMPLE_BYTES);
        self.carry.drain(..old);
        self.context -= old;
    }
}

/// Takes the steps over `buffer`, whose first `context` bytes are the sample before the position, and moves the position;
/// says by how much.
fn give_out(
    position: &mut Position,
    buffer: &[u8],
    context: usize,
    more: bool,
    flush: bool,
    give: &mut dyn FnMut(Given<'_>),
) -> usize {
    let (from, short) = (position.offset, position.offset < SAMPLE_BYTES as u64);
    let mut at = context;
    loop {
        let rest = &buffer[at..];
        let offset = from + (at - context) as u64;
        let length = match step(rest, position.passing, more) {
            Step::Lines(length) => {
                give(Given::Lines(offset, &rest[..length], true));
                length
            }
            Step::Half(length) => {
                give(Given::Lines(offset, &rest[..length], false));
                length
            }
            Step::Cut(length) => {
                position.passing = true;
                give(Given::Lines(offset, &rest[..length], false));
                length
            }
            Step::Hole(length) => {
                give(Given::Hole(length as u64));
                length
            }
            Step::Rest(length) => {
                give(Given::Rest(length as u64));
                length
            }
            Step::RestEnds(length) => {
                position.passing = false;
                give(Given::Rest(length as u64));
                length
            }
            Step::Wait if flush && !rest.is_empty() => {
                give(Given::Lines(offset, rest, false));
                rest.len()
            }
            Step::Wait => break,
        };
        at += length;
    }
    position.offset += (at - context) as u64;
    let sample = position.sample_length();
    position.tail = hash(&buffer[at - sample..at]);
    // As long as the first sample is not full, the buffer begins where the file does.
    if short {
        position.head = hash(&buffer[..sample]);
    }
    at - context
}

/// Whether a file still begins as it did. Up to the length of a sample, the sample before the position tells it.
fn begins_with(file: &File, position: &Position) -> io::Result<bool> {
    if position.offset <= SAMPLE_BYTES as u64 {
        return Ok(true);
    }
    let mut head = [0; SAMPLE_BYTES];
    Ok(read_full(file, &mut head, 0)? == SAMPLE_BYTES && hash(&head) == position.head)
}

/// Whether the file at hand, packed or not, is the one of a position: the same bytes lie before it.
pub fn is_of(file: &File, position: &Position) -> io::Result<bool> {
    let length = position.sample_length();
    let mut sample = [0; SAMPLE_BYTES];
    let sample = &mut sample[..length];
    let Some(packing) = packing_of(file)? else {
        let holds = |it: &[u8], expected| hash(it) == expected;
        return Ok(read_full(file, sample, 0)? == length
            && holds(sample, position.head)
            && read_full(file, sample, position.offset - length as u64)? == length
            && holds(sample, position.tail));
    };
    let mut text = packing.open(Whole { file, offset: 0 }, None)?;
    let unpacked = (|| -> io::Result<bool> {
        text.read_exact(sample)?;
        if hash(sample) != position.head {
            return Ok(false);
        }
        let between = position.offset - length as u64;
        if between == 0 {
            return Ok(true);
        }
        // The samples overlap where the position is near the beginning.
        let (mut last, mut at) = (sample.to_vec(), length as u64);
        let mut buffer = [0; 16 << 10];
        while at < position.offset {
            let want = buffer.len().min(usize::try_from(position.offset - at).unwrap_or(buffer.len()));
            text.read_exact(&mut buffer[..want])?;
            last.extend_from_slice(&buffer[..want]);
            last.drain(..last.len() - length);
            at += want as u64;
        }
        Ok(hash(&last) == position.tail)
    })();
    // The file may end earlier, or be half written.
    match unpacked {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof || error.kind() == ErrorKind::InvalidInput => {
            Ok(false)
        }
        other => other,
    }
}

/// Whether two files have the same first bytes, as far as both have any.
pub fn begins_alike(a: &File, b: &File) -> bool {
    let (mut first, mut second) = ([0; SAMPLE_BYTES], [0; SAMPLE_BYTES]);
    match (read_full(a, &mut first, 0), read_full(b, &mut second, 0)) {
        (Ok(a), Ok(b)) => a.min(b) > 0 && first[..a.min(b)] == second[..a.min(b)],
        _ => false,
    }
}

/// Whether a file is packed.
pub fn is_packed(file: &File) -> io::Result<bool> {
    Ok(packing_of(file)?.is_some())
}

fn packing_of(file: &File) -> io::Result<Option<Packing>> {
    let mut magic = [0; MAGIC_BYTES];
    let length = read_full(file, &mut magic, 0)?;
    let packing = Packing::of(&magic[..length]);
    let is_packed = matches!(packing, Packing::Gzip | Packing::Zstd | Packing::Xz | Packing::Bzip2);
    Ok(is_packed.then_some(packing))
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], from + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
