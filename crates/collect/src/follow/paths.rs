//! What lies at the paths that are followed: files that appear, are moved away or emptied, and come to an end.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::part::{self, Part, begins_alike, is_of, is_packed};
use super::position::{FileId, Position};
use super::rotated::{Rotated, is_rotated_name, place_of, rotated};
use super::watch::is_told;
use super::{Follower, GONE, Happening, IS_FOLDER, MOST_LOGS, MOST_PARTS, OFTEN, SELDOM};

impl Follower {
    /// Finds new logs in the folders.
    pub(super) fn look_into_folders(&mut self, now: Instant) {
        for at in 0..self.folders.len() {
            if self.folders[at].look_at > now {
                continue;
            }
            let path = self.folders[at].path.clone();
            if self.folders[at].watch.is_none_or(|it| !self.watcher.keeps(it)) {
                self.folders[at].watch = self.watcher.folder(&path, at | IS_FOLDER, None);
            }
            let told = self.folders[at].watch.is_some() && is_told(&path, &path);
            self.folders[at].look_at = now + if told { SELDOM } else { OFTEN };
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            let mut paths: Vec<PathBuf> = entries.map(|it| it.path()).filter(|it| is_log(it)).collect();
            paths.sort();
            for path in paths {
                if self.logs.len() < MOST_LOGS {
                    self.add(path.to_string_lossy().into_owned(), path);
                }
            }
        }
    }

    /// Watches the folder of a log, which may be another one by now.
    pub(super) fn watch_folder(&mut self, index: usize, path: &Path) {
        let Some(folder) = path.parent() else { return };
        let id = fs::metadata(folder).map(|it| FileId::of(&it)).ok();
        let log = &mut self.logs[index];
        let kept = log.folder_watch.filter(|it| Some(it.1) == id && self.watcher.keeps(it.0));
        if kept.is_none() {
            if let Some((old, _)) = log.folder_watch {
                self.watcher.forget(old, index);
            }
            let name = path.file_name().map(ToOwned::to_owned);
            let watch = self.watcher.folder(folder, index, name);
            log.folder_watch = watch.zip(id);
        }
        if kept.is_none() || !log.attached {
            log.told = log.folder_watch.is_some() && is_told(folder, path);
        }
    }

    /// Looks where the path leads, and whether the files have changed.
    pub(super) fn look(&mut self, index: usize, now: Instant) {
        let Some(path) = self.logs[index].path.clone() else {
            self.logs[index].look_at = now + SELDOM;
            return;
        };
        self.watch_folder(index, &path);
        match part::metadata(&path) {
            Ok(metadata) => {
                let log = &mut self.logs[index];
                log.missing_since = None;
                let same =
                    log.attached && log.parts.back().is_some_and(|it| it.id() == FileId::of(&metadata));
                if same {
                    log.trouble = None;
                } else if let Err(error) = self.arrive(index, &path) {
                    self.trouble(index, &error);
                }
                self.check(index, (same && metadata.is_file()).then_some(metadata.len()));
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                let log = &mut self.logs[index];
                log.attached = false;
                let since = *log.missing_since.get_or_insert(now);
                let never = log.parts.is_empty() && log.last.is_none();
                if !log.said_missing && (never || now - since >= GONE) {
                    log.said_missing = true;
                    self.happened.push((index, Happening::Missing));
                }
                self.check(index, None);
            }
            Err(error) => {
                self.trouble(index, &error);
                self.check(index, None);
            }
        }
        self.retire(index, now);
        let half_line = self.options.half_line;
        let log = &mut self.logs[index];
        let fine = log.told
            && log.trouble.is_none()
            && !log.parts.iter().any(|it| it.plain().is_some() && it.watch.is_none());
        let waiting = log.missing_since.is_some() && !log.said_missing || log.parts.len() > 1;
        // A stale descriptor was closed just now.
        let reopen = !log.attached && log.missing_since.is_none() && log.trouble.is_none();
        let closed = log.parts.iter().any(|it| it.closed);
        log.look_at = now + if fine && !waiting && !closed && !reopen { SELDOM } else { OFTEN };
        for part in &mut log.parts {
            part.closed = false;
            if part.behind_bytes > 0 && !part.unread {
                log.look_at = log.look_at.min(part.grown_at + half_line).max(now);
            }
        }
    }

    /// Asks each file of a log whether it has changed; `size` is that of the file at the path, asked before.
    pub(super) fn check(&mut self, index: usize, size: Option<u64>) {
        let mut at = 0;
        while let Some(part) = self.logs[index].parts.get_mut(at) {
            match part.check() {
                Ok(()) => at += 1,
                Err(error) => self.let_go(index, at, Some(error)),
            }
        }
        let log = &self.logs[index];
        // On an overlay, a file is copied when it is written to for the first time: who opened it before sees the old one.
        let stale = |it: &Part| it.plain().is_some() && size.is_some_and(|size| size > it.size());
        if log.attached && log.parts.back().is_some_and(stale) {
            self.let_go(index, log.parts.len() - 1, None);
            self.logs[index].look_at = Instant::now();
        }
    }

    /// A file is at the path that was not there before.
    pub(super) fn arrive(&mut self, index: usize, path: &Path) -> io::Result<()> {
        let file = part::open(path)?;
        let metadata = file.metadata()?;
        let id = FileId::of(&metadata);
        let log = &mut self.logs[index];
        if log.parts.back().is_some_and(|it| it.id() == id) {
            log.attached = true;
            return Ok(());
        }
        if self.logs.iter().flat_map(|it| &it.parts).any(|it| it.id() == id) {
            // Another name of a file that is being read.
            self.logs[index].attached = false;
            return Ok(());
        }
        if metadata.is_file() && is_packed(&file)? {
            return Err(io::Error::new(ErrorKind::Unsupported, "it is packed, and so it does not grow"));
        }
        let known = self.known(&file, id);
        let log = &self.logs[index];
        let last = log.parts.back().map(|it| it.position).or(log.last);
        if let Some(last) = last
            && known.is_none()
            && metadata.is_file()
        {
            let set = rotated(path);
            let place = place_of(&last, &set);
            // One that was let go of may have grown since, until it was moved away.
            if let Some(place) = place
                && log.parts.back().is_none_or(|it| it.id() != last.id)
                && let Ok(file) = set[place].file.try_clone()
            {
                self.push(index, file, last);
            }
            self.push_between(index, set, place, last.written_at, Some(&file));
        }
        let first = known.is_none();
        self.push_with_error(index, file, known.unwrap_or_default())?;
        let log = &mut self.logs[index];
        log.attached = true;
        log.trouble = None;
        log.said_missing = false;
        if first {
            let what = if last.is_some() { Happening::Rotated } else { Happening::Appeared };
            self.happened.push((index, what));
        }
        Ok(())
    }

    /// What stands before the position in a file is not what was read there. What was not read yet may be in a copy.
    pub(super) fn replaced(&mut self, index: usize, at: usize) {
        let Some(path) = self.logs[index].path.clone() else { return };
        let position = self.logs[index].parts[at].position;
        let set = rotated(&path);
        let place = place_of(&position, &set);
        let newest = at + 1 == self.logs[index].parts.len();
        let behind = self.logs[index].parts.split_off(at);
        if let Some(place) = place {
            let mut set = set.into_iter().skip(place);
            if let Some(copy) = set.next() {
                self.push(index, copy.file, position);
            }
            let current = behind.back().and_then(Part::plain).and_then(|it| it.try_clone().ok());
            self.push_unknown(index, set, current.as_ref());
        }
        for (distance, mut part) in behind.into_iter().enumerate() {
            if distance == 0 {
                if !newest {
                    // A rotated file that was written over: what it holds now was read under another name.
                    self.unwatch(index, &part);
                    self.happened.push((index, Happening::Lost));
                    continue;
                }
                self.happened.push((index, Happening::Truncated));
                part.position =
                    Position { id: part.id(), written_at: position.written_at, ..Position::default() };
                part.unread = true;
            }
            self.logs[index].parts.push_back(part);
        }
    }

    /// Lets go of files that nothing comes from any more.
    pub(super) fn retire(&mut self, index: usize, now: Instant) {
        let mut at = 0;
        while at < self.logs[index].parts.len() {
            let log = &self.logs[index];
            let part = &log.parts[at];
            let newest = at + 1 == log.parts.len();
            let quiet = now.saturating_duration_since(part.grown_at) >= self.options.linger;
            let done = !part.unread && part.behind_bytes == 0 && part.plain().is_some();
            let too_many = log.parts.len() > MOST_PARTS && at == 0;
            // Until the new file is written to, nginx may not know of the rotation.
            let moved_on = || log.parts.back().is_some_and(|it| it.plain().is_none() || it.size() > 0);
            let over = match newest {
                true => !log.attached && part.deleted && quiet,
                false => quiet && (part.deleted || moved_on()) || too_many,
            };
            if done && over {
                self.let_go(index, at, None);
            } else {
                at += 1;
            }
        }
    }

    /// Where reading stood in a file that was read before.
    pub(super) fn known(&self, file: &File, id: FileId) -> Option<Position> {
        let same = |it: &&Position| it.id == id && it.offset > 0 && is_of(file, it).unwrap_or(false);
        self.finished.iter().rev().find(same).copied()
    }

    /// Whether a rotated file is being read, or was read to its end.
    pub(super) fn is_known(&self, it: &Rotated) -> bool {
        self.logs.iter().flat_map(|it| &it.parts).any(|part| part.id() == it.id)
            || self.finished.iter().any(|one| one.id == it.id && is_of(&it.file, one).unwrap_or(false))
    }

    /// The rotated files that came after the one at `place`, or after that time, and before the current one.
    pub(super) fn push_between(
        &mut self,
        index: usize,
        set: Vec<Rotated>,
        place: Option<usize>,
        written_at: i64,
        current: Option<&File>,
    ) {
        let later =
            |(at, it): &(usize, Rotated)| place.map_or(it.written_at > written_at, |place| *at > place);
        let later: Vec<Rotated> = set.into_iter().enumerate().filter(later).map(|it| it.1).collect();
        self.push_unknown(index, later, current);
    }

    /// Files that were not read yet.
    pub(super) fn push_unknown(
        &mut self,
        index: usize,
        files: impl IntoIterator<Item = Rotated>,
        current: Option<&File>,
    ) {
        let current_id = current.and_then(|it| it.metadata().ok()).map(|it| FileId::of(&it));
        for it in files {
            // Just being copied, before it is emptied: it will be found when it is.
            let copying = || current.is_some_and(|current| begins_alike(&it.file, current));
            if current_id != Some(it.id) && !self.is_known(&it) && !copying() {
                self.push(index, it.file, Position::default());
            }
        }
    }

    pub(super) fn push(&mut self, index: usize, file: File, position: Position) {
        if let Err(error) = self.push_with_error(index, file, position) {
            self.trouble(index, &error);
        }
    }

    pub(super) fn push_with_error(&mut self, index: usize, file: File, position: Position) -> io::Result<()> {
        let mut part = Part::new(file, position)?;
        part.watch = part.plain().and_then(|it| self.watcher.file(it, index));
        self.logs[index].parts.push_back(part);
        Ok(())
    }
}

/// Whether a file in a folder is a log: nothing hidden, and no rotated one.
fn is_log(path: &Path) -> bool {
    path.file_name().is_some_and(|it| {
        let name = it.to_string_lossy();
        !name.starts_with('.') && !is_rotated_name(&name)
    }) && path.metadata().is_ok_and(|it| it.is_file())
}
