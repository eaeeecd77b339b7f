//! Several threads that read blocks side by side, and the order in which what they made of them is handed over.
//!
//! Each thread claims the next block, reads it and works on it. A plain file is only looked at where the block ends while it is
//! claimed. A packed one is unpacked then, by one thread at a time, while the others work on what came before: so one lock
//! serves for both. The calling thread claims blocks as the others do, and hands results over in between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use nginx_logs::Block;

use super::parts::{BLOCK_BYTES, Given, Next, Plain, Span, Stream, read_at};
use super::{End, Input, Progress};

/// Blocks that each thread may be ahead of what was handed over, where a result holds memory of its own.
const BLOCKS_AHEAD: usize = 4;
/// Where it does not.
const SMALL_RESULTS_AHEAD: usize = 1 << 16;
/// Why a source is partial that was not read to its end on purpose.
const STOPPED: &str = "it was stopped";
/// How long a thread waits for news at a time.
const PATIENCE: Duration = Duration::from_millis(100);

/// A source while it is read.
pub enum Part<'a> {
    Unopened,
    Plain(Plain),
    Stream(Stream<'a>),
    Ended,
}

struct Shared<'a, P> {
    parts: Vec<Mutex<Part<'a>>>,
    results: Mutex<Results<P>>,
    /// Something in `results` has changed.
    news: Condvar,
    /// How many blocks may be claimed and not handed over.
    most_ahead: usize,
    /// Whether threads may go on to later sources while an earlier one is being unpacked.
    spread: bool,
    progress: &'a Progress,
    broken: AtomicUsize,
}

struct Results<P> {
    ready: BTreeMap<(usize, u64), P>,
    /// What is handed over next.
    next: (usize, u64),
    /// How many blocks a source had, once that is known.
    counts: Vec<Option<u64>>,
    ends: Vec<End>,
    /// The first source that may have more blocks.
    first: usize,
    claimed: usize,
}

impl<P> Results<P> {
    /// Whether something can be handed over, or there is nothing more of the source whose turn it is.
    fn is_due(&self) -> bool {
        self.ready.contains_key(&self.next) || self.is_over()
    }

    fn is_over(&self) -> bool {
        self.counts.get(self.next.0).copied().flatten() == Some(self.next.1)
    }
}

enum Claim {
    Block(usize, Span),
    /// Nothing, as long as nothing changes.
    Wait,
    /// Nothing just now: a pipe was waited for.
    Again,
    /// Nothing any more.
    Over,
}

/// Reads all of the sources; see [`super::Input::read`].
pub fn read<'a, S: Send, P: Send>(
    input: &'a Input,
    threads: usize,
    progress: &'a Progress,
    new: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &Block<'_>) -> P + Sync,
    mut take: impl FnMut(usize, u64, P),
) -> (Vec<End>, Vec<S>) {
    // Results without memory of their own can wait in any number, so that several packed files are unpacked side by side.
    let spread = !std::mem::needs_drop::<P>();
    let count = input.sources.len();
    let shared = Shared {
        parts: (0..count).map(|_| Mutex::new(Part::Unopened)).collect(),
        results: Mutex::new(Results {
            ready: BTreeMap::new(),
            next: (0, 0),
            counts: vec![None; count],
            ends: vec![End::default(); count],
            first: 0,
            claimed: 0,
        }),
        news: Condvar::new(),
        most_ahead: if spread { SMALL_RESULTS_AHEAD } else { BLOCKS_AHEAD * threads },
        spread,
        progress,
        broken: AtomicUsize::new(0),
    };
    let states = std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads)
            .map(|_| {
                scope.spawn(|| {
                    let _guard = Broken(&shared.broken, &shared.news);
                    let mut thread = Thread { shared: &shared, input, buffer: Vec::new(), state: new() };
                    loop {
                        match thread.step(&work) {
                            Claim::Block(..) | Claim::Again => {}
                            Claim::Wait => shared.wait(|_| false),
                            Claim::Over => return thread.state,
                        }
                    }
                })
            })
            .collect();
        let mut thread = Thread { shared: &shared, input, buffer: Vec::new(), state: new() };
        loop {
            while let Some((source, index, part)) = shared.pop() {
                take(source, index, part);
            }
            let step = thread.step(&work);
            if shared.lock().next.0 == count || shared.broken.load(Ordering::Relaxed) > 0 {
                break;
            }
            if matches!(step, Claim::Wait | Claim::Over) {
                shared.wait(Results::is_due);
            }
        }
        let first = thread.state;
        let others =
            helpers.into_iter().map(|it| it.join().unwrap_or_else(|it| std::panic::resume_unwind(it)));
        std::iter::once(first).chain(others).collect()
    });
    let ends = shared.results.into_inner().expect("no thread panicked, or we would not be here").ends;
    (ends, states)
}

/// Tells the calling thread that another one panicked, so that it does not wait for that one's block.
struct Broken<'a>(&'a AtomicUsize, &'a Condvar);

impl Drop for Broken<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1.notify_all();
        }
    }
}

struct Thread<'s, 'a, S, P> {
    shared: &'s Shared<'a, P>,
    input: &'a Input,
    buffer: Vec<u8>,
    state: S,
}

impl<'a, S, P> Thread<'_, 'a, S, P> {
    /// Claims a block and works on it.
    fn step(&mut self, work: impl Fn(&mut S, &Block<'_>) -> P) -> Claim {
        let claim = self.claim();
        if let Claim::Block(source, Span { index, offset, length }) = claim {
            let block = Block { source, index, offset, bytes: &self.buffer[..length] };
            let part = work(&mut self.state, &block);
            self.shared.lock().ready.insert((source, index), part);
            self.shared.news.notify_all();
            if self.buffer.len() > 4 * BLOCK_BYTES {
                self.buffer = Vec::new();
            }
        }
        claim
    }

    fn claim(&mut self) -> Claim {
        loop {
            let (first, full) = {
                let results = self.shared.lock();
                (results.first, results.claimed >= self.shared.most_ahead)
            };
            let count = self.shared.parts.len();
            if first == count {
                return Claim::Over;
            }
            // The first source holds everything up, so it may always go on; unless the order makes its results wait.
            if full && !self.shared.spread {
                return Claim::Wait;
            }
            let last = if self.shared.spread && !full { count } else { first + 1 };
            let (mut ended, mut waited) = (false, false);
            for source in first..last {
                let mut part = match self.shared.parts[source].try_lock() {
                    Ok(part) => part,
                    Err(TryLockError::WouldBlock) if source + 1 < last => continue,
                    Err(_) => self.shared.parts[source].lock().unwrap_or_else(|it| it.into_inner()),
                };
                match self.next_of(source, &mut part) {
                    Next::NotYet => waited = true,
                    Next::Read(span) => return Claim::Block(source, span),
                    Next::InFile(file, span) => {
                        drop(part);
                        let length = self.buffer.len().max(span.length);
                        self.buffer.resize(length, 0);
                        let read = read_at(&file, &mut self.buffer[..span.length], span.offset);
                        self.shared.progress.done_bytes.fetch_add(span.length as u64, Ordering::Relaxed);
                        let length = *read.as_ref().unwrap_or(&0);
                        if length < span.length {
                            let why =
                                read.err().map_or("the file became shorter".to_owned(), |it| it.to_string());
                            self.shared.short(source, span.length - length, why);
                        }
                        return Claim::Block(source, Span { length, ..span });
                    }
                    Next::End(_) => {
                        ended = true;
                        break;
                    }
                }
            }
            if !ended {
                return if waited { Claim::Again } else { Claim::Wait };
            }
        }
    }

    /// The next block of a source, whose lock is held; its end is noted once.
    fn next_of(&mut self, source: usize, part: &mut Part<'a>) -> Next {
        if matches!(part, Part::Unopened) {
            match self.input.sources[source].part(self.input, self.shared.progress) {
                Ok(opened) => *part = opened,
                Err(error) => {
                    *part = Part::Ended;
                    self.shared.end(source, Given::default(), Some(error.to_string()));
                }
            }
        }
        let shape = &self.input.sources[source].shape;
        let stopped = self.shared.progress.stop.load(Ordering::Relaxed);
        let (next, given) = match part {
            Part::Unopened | Part::Ended => return Next::End(None),
            Part::Plain(it) if stopped => (Next::End(Some(STOPPED.to_owned())), it.given()),
            Part::Stream(it) if stopped => (Next::End(Some(STOPPED.to_owned())), it.given()),
            Part::Plain(it) => (it.next(shape), it.given()),
            Part::Stream(it) => (it.next(shape, &mut self.buffer), it.given()),
        };
        match &next {
            Next::End(partial) => {
                *part = Part::Ended;
                self.shared.end(source, given, partial.clone());
            }
            Next::InFile(..) | Next::Read(_) => self.shared.lock().claimed += 1,
            Next::NotYet => {}
        }
        next
    }
}

impl<P> Shared<'_, P> {
    fn lock(&self) -> MutexGuard<'_, Results<P>> {
        self.results.lock().expect("nothing panics while it is held")
    }

    /// The next result that is due.
    fn pop(&self) -> Option<(usize, u64, P)> {
        let mut results = self.lock();
        loop {
            let next = results.next;
            if let Some(part) = results.ready.remove(&next) {
                results.next.1 += 1;
                results.claimed -= 1;
                self.news.notify_all();
                return Some((next.0, next.1, part));
            }
            if !results.is_over() {
                return None;
            }
            results.next = (next.0 + 1, 0);
        }
    }

    /// Waits for news, or a moment.
    fn wait(&self, unless: impl Fn(&Results<P>) -> bool) {
        let results = self.lock();
        if !unless(&results) && self.broken.load(Ordering::Relaxed) == 0 {
            drop(self.news.wait_timeout(results, PATIENCE));
        }
    }

    fn end(&self, source: usize, given: Given, partial: Option<String>) {
        let mut results = self.lock();
        results.counts[source] = Some(given.blocks);
        let end = &mut results.ends[source];
        end.begins_at = given.begins_at;
        end.bytes = end.bytes.wrapping_add(given.bytes);
        end.partial = end.partial.take().or(partial);
        while results.counts.get(results.first).is_some_and(Option::is_some) {
            results.first += 1;
        }
        self.news.notify_all();
    }

    /// Less of a block could be read than there was, whether or not the end has been noted.
    fn short(&self, source: usize, bytes: usize, why: String) {
        let mut results = self.lock();
        let end = &mut results.ends[source];
        end.bytes = end.bytes.wrapping_sub(bytes as u64);
        end.partial = Some(why);
    }
}
