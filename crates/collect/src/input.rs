//! The input of logs: files in any wrapping, directories, rotated sets, pipes and the journal, as blocks of whole lines.
//!
//! [`open`] finds out what each of them is from its beginning; [`Input::read`] reads them once, several threads side by
//! side, in bounded memory. What lines mean is not known here.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nginx_logs::access::Format;
use nginx_logs::{Block, Shape};

/// What to read.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Files, directories, `-` for standard input, `journal:UNIT`.
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
}

/// One log, or one part of a rotated one.
#[derive(Debug)]
pub struct Source {
    /// As reports name it.
    pub name: String,
    /// Empty for plain text, else `gzip` and so on.
    pub packing: &'static str,
    pub shape: Shape,
    path: PathBuf,
}

/// How reading goes on, for whoever shows it or stops it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Set it to end early with what was read so far.
    pub stop: AtomicBool,
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
    let (mut sources, mut unreadable) = (Vec::new(), Vec::new());
    for name in &ask.names {
        let sample = File::open(name).and_then(|file| {
            let mut sample = Vec::new();
            file.take(64 << 10).read_to_end(&mut sample)?;
            Ok(sample)
        });
        match sample {
            Ok(sample) => sources.push(Source {
                name: name.clone(),
                packing: "",
                shape: Shape::detect(&sample, &ask.formats),
                path: PathBuf::from(name),
            }),
            Err(error) => unreadable.push(Unreadable { name: name.clone(), error, advice: None }),
        }
    }
    (Input { sources }, unreadable)
}

impl Input {
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Reads everything once. `work` is called for blocks, by several threads with a state for each, and what it gives is
    /// handed to `take` in the order of sources and blocks. Says what became of each source, and gives the states back.
    pub fn read<S: Send, P: Send>(
        &self,
        progress: &Progress,
        new: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, &Block<'_>) -> P + Sync,
        mut take: impl FnMut(usize, u64, P),
    ) -> (Vec<End>, Vec<S>) {
        let mut state = new();
        let mut ends = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            let mut bytes = Vec::new();
            let read = File::open(&source.path).and_then(|mut it| it.read_to_end(&mut bytes));
            let block = Block { source: index, index: 0, offset: 0, bytes: &bytes };
            let part = work(&mut state, &block);
            take(index, 0, part);
            progress.done_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            ends.push(End {
                begins_at: 0,
                bytes: bytes.len() as u64,
                partial: read.err().map(|it| it.to_string()),
            });
        }
        (ends, vec![state])
    }
}
