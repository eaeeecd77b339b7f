//! Where to begin: in files that no state knows, and where an earlier run ended.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use memchr::memrchr;

use super::part::{self, Part, is_of, is_packed};
use super::position::{FileId, Position};
use super::rotated::{place_of, rotated};
use super::{Follower, Happening, SAMPLE_BYTES};

/// Where to begin in a file that no state knows of.
pub enum Begin {
    /// The beginning of a line.
    At(u64),
    /// At the beginning, and the rotated file before it is asked about as well.
    Earlier,
}

/// The end of the last whole line of a file: where to begin without what was written before.
pub fn end_of_lines(file: &mut File) -> io::Result<Begin> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(SAMPLE_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(SAMPLE_BYTES).read_to_end(&mut tail)?;
    Ok(Begin::At(match memrchr(b'\n', &tail) {
        Some(at) => from + at as u64 + 1,
        None if from == 0 => 0,
        None => from + tail.len() as u64,
    }))
}

impl Follower {
    /// Finds the files of an earlier run again, and what has come since.
    pub(super) fn resume(&mut self, index: usize, path: &Path, positions: &[Position]) {
        let set = rotated(path);
        let current = part::open(path).and_then(|it| Ok((FileId::of(&it.metadata()?), it))).ok();
        let mut place = None;
        let mut at_path = None;
        for position in positions {
            let found = place_of(position, &set);
            let by_inode = found.is_some_and(|it| set[it].id.inode == position.id.inode);
            let is_current = current.as_ref().is_some_and(|(id, file)| {
                (id.inode == position.id.inode || position.offset > 0 && !by_inode)
                    && is_of(file, position).unwrap_or(false)
            });
            if is_current {
                at_path = Some(*position);
            } else if let Some(found) = found {
                place = Some(found);
                if let Ok(file) = set[found].file.try_clone() {
                    self.push(index, file, *position);
                }
            } else if position.offset > 0 {
                self.happened.push((index, Happening::Lost));
            }
        }
        self.logs[index].last = positions.last().copied();
        let written_at = positions.iter().map(|it| it.written_at).max();
        let file = current.as_ref().map(|it| &it.1);
        match (at_path, written_at) {
            (None, Some(written_at)) => self.push_between(index, set, place, written_at, file),
            (Some(Position { offset: 0, written_at, .. }), _) => {
                self.push_missed(index, path, written_at, file)
            }
            _ => {}
        }
        let Some((id, file)) = current else { return };
        let known = at_path.or_else(|| self.known(&file, id)).unwrap_or_default();
        if file.metadata().is_ok_and(|it| !it.is_file()) || !is_packed(&file).unwrap_or(false) {
            self.push(index, file, known);
            self.logs[index].attached = self.logs[index].parts.back().is_some_and(|it| it.id() == id);
        }
    }

    /// Opens a file that no state knows.
    pub(super) fn begin(
        &mut self,
        index: usize,
        path: &Path,
        begin: &mut dyn FnMut(&mut File) -> io::Result<Begin>,
    ) {
        let is_read = |id: FileId| self.logs.iter().flat_map(|it| &it.parts).any(|it| it.id() == id);
        let opened = part::open(path).and_then(|it| Ok((it.metadata()?, it)));
        let Ok((metadata, mut file)) = opened else { return };
        if !metadata.is_file() || is_read(FileId::of(&metadata)) || is_packed(&file).unwrap_or(true) {
            return;
        }
        let mut starts = vec![];
        let mut earlier = None;
        loop {
            let start = match begin(&mut file) {
                Ok(it) => it,
                Err(error) => return self.trouble(index, &error),
            };
            let at = if let Begin::At(at) = start { at } else { 0 };
            starts.push((file, at));
            if !matches!(start, Begin::Earlier) {
                break;
            }
            let set = earlier.get_or_insert_with(|| rotated(path));
            match set.pop() {
                Some(it) if !is_packed(&it.file).unwrap_or(true) => file = it.file,
                _ => break,
            }
        }
        for (file, at) in starts.into_iter().rev() {
            let part = Part::new(file, Position::default()).and_then(|mut it| it.begin_at(at).map(|()| it));
            match part {
                Ok(mut part) => {
                    part.watch = part.plain().and_then(|it| self.watcher.file(it, index));
                    self.logs[index].parts.push_back(part);
                }
                Err(error) => return self.trouble(index, &error),
            }
        }
        self.logs[index].attached = true;
        self.finish_newest(path);
    }

    /// The rotated files behind the newest one that is known, or else those written since the current one was seen empty.
    /// Nothing tells a file that was filled, copied and emptied from one that was left alone, but that the copy is there.
    pub(super) fn push_missed(&mut self, index: usize, path: &Path, written_at: i64, current: Option<&File>) {
        let set = rotated(path);
        let place = set.iter().rposition(|it| self.is_known(it));
        self.push_between(index, set, place, written_at - 1, current);
    }

    /// The newest rotated file of a log that begins now counts as read.
    pub(super) fn finish_newest(&mut self, path: &Path) {
        let Some(newest) = rotated(path).pop() else { return };
        let whole = Part::new(newest.file, Position::default()).and_then(|mut it| {
            it.begin_at(it.size())?;
            Ok(it.position)
        });
        self.finished.extend(whole.ok());
    }
}
