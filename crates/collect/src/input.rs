//! The input of logs: files in any wrapping, directories, rotated sets, pipes and the journal, as blocks of whole lines.
//!
//! [`open`] finds out what each of them is from its beginning; [`Input::read`] reads them once, several threads side by
//! side, in bounded memory. What lines mean is not known here.

mod clock;
mod gzip;
mod index;
mod names;
mod newest;
pub(crate) mod packing;
mod parts;
mod pipe;
pub(crate) mod rotated;
mod threads;
mod window;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nginx_logs::access::Format;
use nginx_logs::{Block, Shape};

use clock::{Clock, Span};
use gzip::{Gzip, inflater_at};
use index::Index;
use names::Name;
use packing::Packing;
use parts::{BLOCK_BYTES, Plain, Stream};
use threads::Part;

pub use newest::newest;

/// What is looked at of a log to find out what it is.
const SAMPLE_BYTES: u64 = 64 << 10;

/// What to read.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Files, directories, `-` for standard input, `journal:UNIT`, `journal:` for all of it, `journal:-k` for the kernel's.
    pub names: Vec<String>,
    /// Nothing before that time; none for all of it.
    pub since: Option<Timestamp>,
    /// Nothing after it.
    pub until: Option<Timestamp>,
    /// Formats of access logs that a configuration or the operator named.
    pub formats: Vec<Format>,
    /// The zone of logs that name none.
    pub zone: TimeZone,
}

/// The logs to read, each known for what it is.
#[derive(Debug)]
pub struct Input {
    sources: Vec<Source>,
    passed_over: Vec<PassedOver>,
    span: Span,
    /// Where indexes of packed files are kept, if anywhere.
    cache: Option<PathBuf>,
    block_bytes: usize,
}

/// One log, or one part of a rotated one.
#[derive(Debug)]
pub struct Source {
    /// As reports name it.
    pub name: String,
    /// Empty for plain text, else `gzip` and so on.
    pub packing: &'static str,
    pub shape: Shape,
    from: From,
}

impl Source {
    /// Whether its bytes can be read again.
    pub fn is_file(&self) -> bool {
        !matches!(self.from, From::Pipe(_))
    }
}

/// Where the bytes of a source come from.
#[derive(Debug)]
enum From {
    /// A plain file, and the part of it that is read.
    Plain {
        path: PathBuf,
        start: u64,
        end: u64,
    },
    Packed {
        path: PathBuf,
        length: u64,
    },
    /// What can be read once; its first bytes have been.
    Pipe(Mutex<Option<pipe::Pipe>>),
}

/// A file that was not read, though a directory or a rotated set has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    pub name: String,
    /// A clause: `it was last written before the time in question`.
    pub why: &'static str,
}

/// How reading goes on, for whoever shows it or stops it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Set it to end early with what was read so far.
    pub stop: Arc<AtomicBool>,
    /// Bytes read of files as they lie there, packed ones included.
    pub done_bytes: AtomicU64,
    /// Of how many; 0 where that is not known, as for a pipe.
    pub total_bytes: AtomicU64,
}

/// What became of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// Where reading began in the unpacked log: not at its beginning where the window begins later.
    pub begins_at: u64,
    /// Bytes read, unpacked.
    pub bytes: u64,
    /// Why not all of it was read, if so: an error in the middle, a stop, half a compressed file.
    pub partial: Option<String>,
}

/// A log that cannot be read at all.
#[derive(Debug)]
pub struct Unreadable {
    pub name: String,
    pub error: io::Error,
    /// What may help.
    pub advice: Option<String>,
}

/// Finds the logs and what each is. Those that cannot be read are in the second list.
pub fn open(ask: &Ask) -> (Input, Vec<Unreadable>) {
    let span = Span { since: ask.since, until: ask.until, zone: ask.zone.clone(), now: Timestamp::now() };
    let mut input = Input {
        sources: Vec::new(),
        passed_over: Vec::new(),
        span,
        cache: index::folder(),
        block_bytes: BLOCK_BYTES,
    };
    let mut unreadable = Vec::new();
    let names = names::find(ask, &mut unreadable);
    let files = names.iter().filter_map(Name::file).map(Path::to_path_buf).collect();
    for name in names {
        match name.open(ask, &input.span, &files) {
            Ok(Opened::Source(source)) => input.sources.push(source),
            Ok(Opened::PassedOver(why)) => input.passed_over.push(PassedOver { name: name.shown, why }),
            Err(error) => unreadable.push(names::unreadable(&name.shown, error)),
        }
    }
    (input, unreadable)
}

/// What became of a name.
enum Opened {
    Source(Source),
    PassedOver(&'static str),
}

impl Input {
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Files that nobody named and that are not read, though they lie where logs do.
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }

    /// Reads everything once. `work` is called for blocks, by several threads with a state for each, and what it gives is
    /// handed to `take` in the order of sources and blocks. Says what became of each source, and gives the states back.
    ///
    /// A `P` that owns no memory (numbers, say) lets several packed files be unpacked side by side, since its values can wait
    /// for their turn in any number.
    pub fn read<S: Send, P: Send>(
        &self,
        progress: &Progress,
        new: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, &Block<'_>) -> P + Sync,
        take: impl FnMut(usize, u64, P),
    ) -> (Vec<End>, Vec<S>) {
        let sizes = self.sources.iter().map(|it| match &it.from {
            From::Plain { start, end, .. } => Some(end - start),
            From::Packed { length, .. } => Some(*length),
            From::Pipe(_) => None,
        });
        progress.total_bytes.store(sizes.sum::<Option<u64>>().unwrap_or(0), Ordering::Relaxed);
        let threads = std::thread::available_parallelism().map_or(1, |it| it.get());
        threads::read(self, threads, progress, new, work, take)
    }
}

impl Source {
    /// Opens it for reading.
    fn part<'a>(&'a self, input: &'a Input, progress: &'a Progress) -> io::Result<Part<'a>> {
        let clock = Clock { shape: &self.shape, span: &input.span };
        let asked = (input.span.since.is_some() || input.span.until.is_some()).then_some(clock);
        let stream = |reader, offset, clock, index| {
            Part::Stream(Stream::new(reader, offset, clock, index, input.block_bytes))
        };
        match &self.from {
            From::Plain { path, start, end } => {
                Ok(Part::Plain(Plain::new(File::open(path)?, *start, *end, input.block_bytes)))
            }
            From::Packed { path, .. } => {
                let mut file = File::open(path)?;
                let cache = input.cache.as_ref().filter(|_| self.packing == Packing::Gzip.name());
                let index = cache.and_then(|it| Index::within(it, &file));
                // The index wants to know the time of every block.
                let asked = asked.or(index.is_some().then_some(clock));
                let counted = |file| Counted { inner: file, done_bytes: &progress.done_bytes };
                if let Some(index) = &index
                    && let Some(place) = index.last_before(|latest| clock.is_before(latest))
                    && let Some(inflate) = inflater_at(&file, &place)
                {
                    file.seek(SeekFrom::Start(place.packed))?;
                    progress.done_bytes.fetch_add(place.packed, Ordering::Relaxed);
                    let reader = Gzip::resume(counted(file), index.clone(), &place, inflate);
                    return Ok(stream(Box::new(reader), place.text, asked, Some(index.clone())));
                }
                let (_, text) = packing::text_of(counted(file), index.clone())?;
                Ok(stream(text, 0, asked, index))
            }
            From::Pipe(pipe) => {
                let pipe = pipe.lock().unwrap_or_else(|it| it.into_inner()).take();
                let pipe = pipe.ok_or_else(|| io::Error::other("it can be read once only"))?;
                let until = pipe.until(&progress.stop, !self.packing.is_empty());
                let counted = Counted { inner: until, done_bytes: &progress.done_bytes };
                Ok(stream(packing::text_of(counted, None)?.1, 0, asked, None))
            }
        }
    }
}

/// Counts what is read.
struct Counted<'a, R> {
    inner: R,
    done_bytes: &'a AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(output)?;
        self.done_bytes.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

#[cfg(test)]
pub(crate) mod tests;
