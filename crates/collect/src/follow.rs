//! Following logs as they grow: through rotation, truncation, deletion and a restart of this program, without losing a
//! line that is still on the disk, and without giving one twice.
//!
//! A [`Follower`] waits for all of its logs in one thread and gives out whole lines. What was given out counts as done once
//! [`Follower::commit`] was called: after an end in between, whatever its kind, it is given out again. Files are only
//! read; one that was deleted is let go of once it is quiet. What lines mean is not known here.
//!
//! `begin` finds the place to begin at, `paths` sees what becomes of the files at the paths, `lines` decides which bytes are
//! whole, `part` reads one open file, `position` knows it again and keeps the state, `rotated` finds the files that a log was
//! rotated to, `watch` wakes up.

mod begin;
mod lines;
mod part;
mod paths;
mod position;
mod rotated;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use memchr::memchr;
use nginx_logs::Block;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::part::{CHUNK_BYTES, Given, Outcome, Part};
use self::position::{Position, State};
use self::rotated::is_rotated_of;
use self::watch::Watcher;

pub use self::begin::{Begin, end_of_lines};
pub use self::position::FileId;

/// How often to look where inotify tells everything: for what it may have missed all the same.
const SELDOM: Duration = Duration::from_secs(5);
/// How often to look where it does not: network and overlay file systems, links, what cannot be opened.
const OFTEN: Duration = Duration::from_millis(500);
/// A path that leads nowhere for so long is gone; a rotation takes less.
const GONE: Duration = Duration::from_secs(2);
/// Of more files that one log is read from at a time, the oldest is let go of.
const MOST_PARTS: usize = 80;
/// Logs that a folder may hold.
const MOST_LOGS: usize = 1024;
/// Files that were read to their end and are remembered.
const MOST_FINISHED: usize = 128;
/// The state is put on the disk no more often; a loss of power costs repeated lines, an end of the program does not.
const SYNC_EVERY: Duration = Duration::from_secs(10);
/// How much of a log tells what it is.
const SAMPLE_BYTES: u64 = 64 << 10;

/// What to follow, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files, folders of logs, pipes; `-` is standard input. They may appear later.
    pub names: Vec<String>,
    /// Where positions are kept from one run to the next.
    pub state: Option<PathBuf>,
    /// Looks follow each other no faster, so that a busy log does not wake us for each of its lines.
    pub pace: Duration,
    /// How long half a last line waits for its end.
    pub half_line: Duration,
    /// How long a file that was moved away or deleted must be quiet until it is let go of.
    pub linger: Duration,
}

impl Options {
    pub fn new(names: Vec<String>) -> Options {
        Options {
            names,
            state: None,
            pace: Duration::from_millis(100),
            half_line: Duration::from_secs(5),
            linger: Duration::from_secs(60),
        }
    }
}

/// Something that a follower gives out.
#[derive(Debug)]
pub enum Event<'a> {
    Lines(Lines<'a>),
    /// Something happened to the log with that index.
    Happened(usize, Happening),
}

/// Whole lines of one file.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a> {
    /// `source` is the log's index, `offset` counts in that file.
    pub block: Block<'a>,
    pub file: FileId,
    /// Whether the last line ends in a line feed: it does not where it was cut, or where its end did not come.
    pub whole: bool,
}

/// What can happen to a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// There is no such file yet, or no more.
    Missing,
    /// It is there now.
    Appeared,
    /// A new file took its place; the old one is read to its end.
    Rotated,
    /// It was emptied and begins anew, as after copytruncate.
    Truncated,
    /// It cannot be read, and why. It is tried again.
    Unreadable(String),
    /// So many bytes of a line that is too long were passed over.
    Cut(u64),
    /// So many NULs were passed over: they were never written before a crash, or a program wrote on behind a truncation.
    Hole(u64),
    /// The file that was being read cannot be found again, so that its last lines may be missing.
    Lost,
    /// Nothing more will come.
    Ended,
}

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Something was given out.
    Given,
    /// Nothing has come.
    Idle,
    /// The descriptor of [`Follower::stop_on`] became readable.
    Stopped,
    /// Every log has ended: they were all pipes.
    Ended,
}

/// Follows any number of logs.
#[derive(Debug)]
pub struct Follower {
    options: Options,
    logs: Vec<Log>,
    folders: Vec<Folder>,
    watcher: Watcher,
    buffer: Vec<u8>,
    happened: Vec<(usize, Happening)>,
    finished: VecDeque<Position>,
    stop: Option<OwnedFd>,
    last_turn_at: Option<Instant>,
    saved: Option<State>,
    synced_at: Option<Instant>,
}

#[derive(Debug)]
struct Log {
    name: String,
    /// None for standard input.
    path: Option<PathBuf>,
    /// The files it is read from, the oldest first.
    parts: VecDeque<Part>,
    /// The path leads to the last of them.
    attached: bool,
    /// Where reading stood in the last file, after it was let go of.
    last: Option<Position>,
    /// Why it cannot be read, as it was said.
    trouble: Option<String>,
    /// Since when the path leads nowhere.
    missing_since: Option<Instant>,
    /// That was said.
    said_missing: bool,
    folder_watch: Option<(i32, FileId)>,
    told: bool,
    blocks: u64,
    look_at: Instant,
    ended: bool,
}

/// A folder whose logs are followed, whatever they are called.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    watch: Option<i32>,
    look_at: Instant,
}

/// Watches of folders are told apart from those of logs by this bit.
const IS_FOLDER: usize = 1 << (usize::BITS - 1);

impl Follower {
    /// Opens what is there. Files that the state does not know begin where `begin` says; those that appear later begin at
    /// their beginning. Fails where the state cannot be read or written.
    pub fn open(
        options: Options,
        begin: &mut dyn FnMut(&mut File) -> io::Result<Begin>,
    ) -> io::Result<Follower> {
        let state = options.state.as_deref().map(State::load).transpose()?.flatten();
        let mut follower = Follower {
            logs: Vec::new(),
            folders: Vec::new(),
            watcher: Watcher::new(),
            buffer: vec![0; CHUNK_BYTES],
            happened: Vec::new(),
            finished: state.iter().flat_map(|it| it.finished.iter().copied()).collect(),
            stop: None,
            last_turn_at: None,
            saved: None,
            synced_at: None,
            options,
        };
        let now = Instant::now();
        let names = follower.options.names.clone();
        let paths = names.iter().map(std::path::absolute).collect::<io::Result<Vec<_>>>()?;
        for (name, path) in names.into_iter().zip(&paths) {
            if name == "-" {
                follower.logs.push(Log::standard_input()?);
            } else if path.is_dir() {
                follower.folders.push(Folder { path: path.clone(), watch: None, look_at: now });
            } else if !paths.iter().any(|it| is_rotated_of(path, it)) {
                follower.add(name, path.clone());
            }
        }
        follower.look_into_folders(now);
        for index in 0..follower.logs.len() {
            let Some(path) = follower.logs[index].path.clone() else { continue };
            let known =
                state.as_ref().and_then(|it| it.logs.iter().find(|it| it.0 == path.to_string_lossy()));
            match known {
                Some((_, positions)) => follower.resume(index, &path, positions),
                None => follower.begin(index, &path, begin),
            }
            follower.look(index, now);
        }
        // A second run that begins before anything was committed begins where this one does.
        follower.commit()?;
        Ok(follower)
    }

    /// How many logs there are; a folder can make them more.
    pub fn count(&self) -> usize {
        self.logs.len()
    }

    /// The name of a log as it was given.
    pub fn name(&self, log: usize) -> &str {
        &self.logs[log].name
    }

    /// Waiting ends when this descriptor becomes readable: an eventfd, a pipe that a signal writes to.
    pub fn stop_on(&mut self, descriptor: OwnedFd) {
        self.stop = Some(descriptor);
    }

    /// How far reading is behind what was written, as far as that is known.
    pub fn lag_bytes(&self) -> u64 {
        self.logs.iter().flat_map(|it| &it.parts).filter(|it| it.unread).map(|it| it.behind_bytes).sum()
    }

    /// Some lines of a log from before the position, or from behind it where there are none: they tell what it is.
    pub fn sample(&self, log: usize) -> Vec<u8> {
        let newest = self.logs[log].parts.iter().rev().find_map(|it| Some((it.plain()?, it.position.offset)));
        let Some((file, offset)) = newest else { return Vec::new() };
        let from = if offset == 0 { 0 } else { offset.saturating_sub(SAMPLE_BYTES) };
        let length = if offset == 0 { SAMPLE_BYTES } else { offset - from };
        let mut sample = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = std::os::unix::fs::FileExt::read_at(file, &mut sample, from).unwrap_or(0);
        sample.truncate(read);
        if from > 0 {
            let rest = memchr(b'\n', &sample).map_or(sample.len(), |at| at + 1);
            sample.drain(..rest);
        }
        sample
    }

    /// Waits until something comes, and gives out one round of it: no log gets more than one chunk, so that none starves.
    pub fn wait(&mut self, most: Duration, take: &mut dyn FnMut(Event<'_>)) -> io::Result<Turn> {
        if self.logs.iter().all(|it| it.ended) && self.folders.is_empty() && self.happened.is_empty() {
            return Ok(Turn::Ended);
        }
        if self.sleep(most)? {
            return Ok(Turn::Stopped);
        }
        let now = Instant::now();
        let Follower { watcher, logs, folders, .. } = self;
        let complete = watcher.drain(|who| match who & IS_FOLDER {
            0 => logs[who].look_at = now,
            _ => folders[who & !IS_FOLDER].look_at = now,
        });
        if !complete {
            logs.iter_mut().for_each(|it| it.look_at = now);
            folders.iter_mut().for_each(|it| it.look_at = now);
        }
        self.look_into_folders(now);
        for index in 0..self.logs.len() {
            if self.logs[index].look_at <= now {
                self.look(index, now);
            }
        }
        let mut given = self.tell(take);
        for index in 0..self.logs.len() {
            given |= self.read(index, now, take);
        }
        given |= self.tell(take);
        self.last_turn_at = Some(Instant::now());
        Ok(if given { Turn::Given } else { Turn::Idle })
    }

    fn tell(&mut self, take: &mut dyn FnMut(Event<'_>)) -> bool {
        let any = !self.happened.is_empty();
        for (log, what) in self.happened.drain(..) {
            take(Event::Happened(log, what));
        }
        any
    }

    /// Everything that was given out is done. Writes the state, where there is one and it has changed.
    pub fn commit(&mut self) -> io::Result<()> {
        let Some(path) = &self.options.state else { return Ok(()) };
        let logs = self.logs.iter().filter_map(|it| Some((it.path.as_ref()?, it)));
        let positions =
            |it: &Log| it.parts.iter().filter(|it| it.pipe().is_none()).map(|it| it.position).collect();
        let state = State {
            logs: logs.map(|(path, it)| (path.to_string_lossy().into_owned(), positions(it))).collect(),
            finished: self.finished.iter().copied().collect(),
        };
        if self.saved.as_ref() != Some(&state) {
            let sync = self.synced_at.is_none_or(|it| it.elapsed() >= SYNC_EVERY);
            state.save(path, sync)?;
            self.saved = Some(state);
            if sync {
                self.synced_at = Some(Instant::now());
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, path: PathBuf) -> usize {
        if let Some(known) = self.logs.iter().position(|it| it.path.as_ref() == Some(&path)) {
            return known;
        }
        self.logs.push(Log::new(name, Some(path)));
        self.logs.len() - 1
    }

    /// Waits for the kernel or the clock; true when it is asked to stop.
    fn sleep(&mut self, most: Duration) -> io::Result<bool> {
        let now = Instant::now();
        let hungry =
            !self.happened.is_empty() || self.logs.iter().flat_map(|it| &it.parts).any(|it| it.unread);
        let next = self.logs.iter().filter(|it| !it.ended).map(|it| it.look_at);
        let next = next.chain(self.folders.iter().map(|it| it.look_at)).min();
        let until = next.map_or(most, |it| it.saturating_duration_since(now).min(most));
        let rest = self
            .last_turn_at
            .map_or(Duration::ZERO, |it| self.options.pace.saturating_sub(now - it))
            .min(most);
        if !hungry && !rest.is_zero() {
            // Only the wish to stop counts until then.
            if let Some(stop) = &self.stop {
                if wait_for(&mut [PollFd::new(stop, PollFlags::IN)], rest)? {
                    return Ok(true);
                }
            } else {
                wait_for(&mut [], rest)?;
            }
        }
        let mut descriptors = Vec::new();
        descriptors.extend(self.stop.as_ref().map(|it| PollFd::new(it, PollFlags::IN)));
        let stops = descriptors.len();
        let wake = self.watcher.descriptor();
        descriptors.extend(wake.map(|it| PollFd::from_borrowed_fd(it, PollFlags::IN)));
        let others = descriptors.len();
        let mut pipes = Vec::new();
        for (log, it) in self.logs.iter().enumerate().filter(|it| !it.1.ended) {
            for (part, pipe) in it.parts.iter().enumerate().filter_map(|(at, it)| Some((at, it.pipe()?))) {
                if !it.parts[part].closed {
                    descriptors.push(PollFd::from_borrowed_fd(pipe, PollFlags::IN));
                    pipes.push((log, part));
                }
            }
        }
        wait_for(&mut descriptors, if hungry { Duration::ZERO } else { until.saturating_sub(rest) })?;
        let ready: Vec<bool> = descriptors.iter().map(|it| !it.revents().is_empty()).collect();
        drop(descriptors);
        for ((log, part), _) in pipes.into_iter().zip(&ready[others..]).filter(|it| *it.1) {
            self.logs[log].parts[part].unread = true;
        }
        Ok(ready[..stops].contains(&true))
    }

    /// Reads one chunk of a log: of its oldest file that has something.
    fn read(&mut self, index: usize, now: Instant, take: &mut dyn FnMut(Event<'_>)) -> bool {
        let half_line = self.options.half_line;
        let log = &mut self.logs[index];
        let waited =
            |it: &Part| it.behind_bytes > 0 && now.saturating_duration_since(it.grown_at) >= half_line;
        let Some(mut at) = log.parts.iter().position(|it| it.unread || waited(it)) else { return false };
        if let (Some(path), Some(file)) = (&log.path, log.parts[at].plain())
            && at + 1 == log.parts.len()
            && log.parts[at].position.offset == 0
            && let Ok(file) = file.try_clone()
        {
            let (path, count) = (path.clone(), log.parts.len());
            let written_at = log.parts[at].position.written_at;
            let newest = log.parts.pop_back();
            self.push_missed(index, &path, written_at, Some(&file));
            self.logs[index].parts.extend(newest);
            if self.logs[index].parts.len() > count {
                at = count - 1;
            }
        }
        let log = &mut self.logs[index];
        let part = &mut log.parts[at];
        let flush = !part.unread;
        let (file, blocks, happened) = (part.id(), &mut log.blocks, &mut self.happened);
        let mut given = false;
        let outcome = part.read(&mut self.buffer, flush, &mut |it| match it {
            Given::Lines(offset, bytes, whole) => {
                let block = Block { source: index, index: *blocks, offset, bytes };
                *blocks += 1;
                given = true;
                take(Event::Lines(Lines { block, file, whole }));
            }
            Given::Rest(bytes) => happened.push((index, Happening::Cut(bytes))),
            Given::Hole(bytes) => happened.push((index, Happening::Hole(bytes))),
        });
        match outcome {
            Ok(Outcome::More) => {}
            Ok(Outcome::End) => {
                log.look_at = log.look_at.min(part.grown_at + half_line);
            }
            Ok(Outcome::Over) => self.over(index, at),
            Ok(Outcome::Replaced) => self.replaced(index, at),
            Err(error) => self.let_go(index, at, Some(error)),
        }
        given
    }

    /// A packed file was read to its end, or everybody closed a pipe.
    fn over(&mut self, index: usize, at: usize) {
        let log = &mut self.logs[index];
        let newest = at + 1 == log.parts.len();
        if log.parts[at].pipe().is_none() || !newest {
            self.let_go(index, at, None);
        } else if log.path.is_none() {
            log.ended = true;
            self.happened.push((index, Happening::Ended));
        } else {
            // Somebody may open it again.
            log.parts[at].closed = true;
            log.look_at = Instant::now() + OFTEN;
        }
    }

    /// Closes a file and remembers where reading stood.
    fn let_go(&mut self, index: usize, at: usize, error: Option<io::Error>) {
        let log = &mut self.logs[index];
        let Some(part) = log.parts.remove(at) else { return };
        if at == log.parts.len() {
            log.attached = false;
            log.last = Some(part.position);
        }
        log.ended |= log.path.is_none();
        if let Some(error) = error {
            log.look_at = Instant::now() + OFTEN;
            self.trouble(index, &error);
        }
        self.finished.retain(|it| it.id != part.id());
        self.finished.push_back(part.position);
        if self.finished.len() > MOST_FINISHED {
            self.finished.pop_front();
        }
        self.unwatch(index, &part);
    }

    fn unwatch(&mut self, index: usize, part: &Part) {
        if let Some(watch) = part.watch
            && !self.logs[index].parts.iter().any(|it| it.watch == Some(watch))
        {
            self.watcher.forget(watch, index);
        }
    }

    fn trouble(&mut self, index: usize, error: &io::Error) {
        let text = error.to_string();
        let log = &mut self.logs[index];
        if log.trouble.as_ref() != Some(&text) {
            log.trouble = Some(text.clone());
            self.happened.push((index, Happening::Unreadable(text)));
        }
    }
}

impl Log {
    fn new(name: String, path: Option<PathBuf>) -> Log {
        Log {
            name,
            path,
            parts: VecDeque::new(),
            attached: false,
            last: None,
            trouble: None,
            missing_since: None,
            said_missing: false,
            folder_watch: None,
            told: false,
            blocks: 0,
            look_at: Instant::now(),
            ended: false,
        }
    }

    fn standard_input() -> io::Result<Log> {
        let mut log = Log::new("-".to_owned(), None);
        let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        log.parts.push_back(Part::pipe_of(input));
        Ok(log)
    }
}

/// Waits for descriptors; a signal ends it early.
fn wait_for(descriptors: &mut [PollFd<'_>], most: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(most).ok();
    match poll(descriptors, timeout.as_ref()) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
