//! The files that a log was rotated to, opened. What their names tell is known in `input::rotated`.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::input::rotated::{Age, part_of, parts};

use super::part::{is_of, metadata, open, written_at};
use super::position::{FileId, Position};

/// Of more rotated files the oldest are left out.
const MOST_FILES: usize = 64;
/// How often a set is listed again, when files moved while they were opened.
const MOST_TRIES: usize = 32;
/// One rotated file, opened.
#[derive(Debug)]
pub struct Rotated {
    pub file: File,
    pub id: FileId,
    /// Nanoseconds since 1970.
    pub written_at: i64,
}

/// The rotated files of a log, the oldest first. All are open, so that a rotation in this moment does not mix them up:
/// they are listed once more behind it, since a name that moves while a folder is read can be missed.
pub fn rotated(log: &Path) -> Vec<Rotated> {
    let mut before = listed(log);
    for _ in 0..MOST_TRIES {
        let opened = before.iter().filter_map(|it| Rotated::open(&it.0).ok()).collect::<Vec<_>>();
        let after = listed(log);
        let ids = |it: &[(PathBuf, Metadata)]| it.iter().map(|it| FileId::of(&it.1)).collect::<Vec<_>>();
        let unmoved =
            before.iter().map(|it| &it.0).eq(after.iter().map(|it| &it.0)) && ids(&before) == ids(&after);
        // What may not be read is listed and not opened.
        let expected = ids(&after);
        if unmoved && opened.iter().all(|it| expected.contains(&it.id)) {
            return opened;
        }
        before = after;
    }
    before.iter().filter_map(|it| Rotated::open(&it.0).ok()).collect()
}

impl Rotated {
    fn open(path: &Path) -> io::Result<Rotated> {
        let file = open(path)?;
        let metadata = file.metadata()?;
        Ok(Rotated { id: FileId::of(&metadata), written_at: written_at(&metadata), file })
    }
}

/// Where a position lies among rotated files: by the file itself, else by what stands before it, as in a copy or a
/// packed file.
pub fn place_of(position: &Position, set: &[Rotated]) -> Option<usize> {
    let same = |it: &Rotated| is_of(&it.file, position).unwrap_or(false);
    let by_id = set.iter().position(|it| it.id.inode == position.id.inode && same(it));
    by_id.or_else(|| (position.offset > 0).then(|| set.iter().rposition(same)).flatten())
}

/// Whether one path is that of a rotated file of the log at the other.
pub fn is_rotated_of(path: &Path, log: &Path) -> bool {
    let (log_folder, log_name) = (log.parent(), log.file_name().and_then(|it| it.to_str()));
    let part = path.file_name().and_then(|it| it.to_str()).map(part_of);
    path.parent() == log_folder
        && part.is_some_and(|(base, age)| age != Age::Current && Some(base.as_str()) == log_name)
}

/// Whether a name is that of a rotated or packed file of any log.
pub fn is_rotated_name(name: &str) -> bool {
    let (base, age) = part_of(name);
    age != Age::Current || base != name
}

/// The rotated files of a log, the oldest first. A packed copy of the log itself is none.
fn listed(log: &Path) -> Vec<(PathBuf, Metadata)> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name().and_then(|it| it.to_str())) else {
        return Vec::new();
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names: Vec<String> = entries.filter_map(|it| it.file_name().into_string().ok()).collect();
    let rotated = parts(name, names.iter().map(String::as_str)).into_iter();
    let rotated = rotated.filter(|it| part_of(it).1 != Age::Current).map(|it| folder.join(it));
    let found = rotated.filter_map(|path| Some((metadata(&path).ok()?, path)));
    let found: Vec<_> = found.filter(|it| it.0.is_file()).map(|(metadata, path)| (path, metadata)).collect();
    let left_out = found.len().saturating_sub(MOST_FILES);
    found.into_iter().skip(left_out).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[track_caller]
    fn in_order(log: &str, present: &[&str], expected: &[&str]) {
        let folder = present.iter().fold(Folder::new(), |folder, it| folder.file(it, "x\n"));
        let found = listed(&folder.path().join(log));
        let names: Vec<_> = found.iter().map(|it| it.0.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, expected);
        assert_eq!(rotated(&folder.path().join(log)).len(), expected.len());
    }

    #[test]
    fn rotated_files_are_listed_the_oldest_first_and_packed_copies_are_none() {
        let present = ["a.log", "a.log.gz", "a.log.1", "a.log.1.gz", "a.log.10.gz", "b.log.1", "a.log.1.bak"];
        in_order("a.log", &present, &["a.log.10.gz", "a.log.1"]);
    }

    #[test]
    fn rotated_names_are_known_without_their_log() {
        for name in ["a.log.1", "a.log.2.gz", "a.log-20260502", "a.gz"] {
            assert!(is_rotated_name(name), "{name}");
        }
        for name in ["access.log", "host1.log", "error_log", "10"] {
            assert!(!is_rotated_name(name), "{name}");
        }
    }
}
