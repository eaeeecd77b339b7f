//! The files that a log was rotated to, as their names tell: `access.log.1`, `access.log-20260502.gz`.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::part::{is_of, metadata, open, written_at};
use super::position::{FileId, Position};

/// Of more rotated files the oldest are left out.
const MOST_FILES: usize = 64;
/// How often a set is listed again, when files moved while they were opened.
const MOST_TRIES: usize = 32;
/// How files are packed.
const PACKINGS: [&str; 4] = [".gz", ".zst", ".xz", ".bz2"];

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
    let (Some(name), Some(log_name)) = (path.file_name(), log.file_name()) else { return false };
    path.parent() == log.parent() && Mark::of(log_name.as_bytes(), name.as_bytes()).is_some()
}

/// Whether a name is that of a rotated file of any log.
pub fn is_rotated_name(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let plain = without_packing(&name);
    if plain.len() < name.len() {
        return true;
    }
    let digits = plain.len() - plain.trim_end_matches(|it: char| it.is_ascii_digit()).len();
    digits > 0 && plain[..plain.len() - digits].ends_with(['.', '-', '_'])
}

fn listed(log: &Path) -> Vec<(PathBuf, Metadata)> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name()) else { return Vec::new() };
    let mut found: Vec<(Mark, String, PathBuf, Metadata)> = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(mark) = Mark::of(name.as_bytes(), entry.file_name().as_bytes()) else { continue };
        let path = entry.path();
        if let Ok(metadata) = metadata(&path)
            && metadata.is_file()
        {
            found.push((mark, entry.file_name().to_string_lossy().into_owned(), path, metadata));
        }
    }
    // While a file is being packed, both are there.
    let names: Vec<String> = found.iter().map(|it| it.1.clone()).collect();
    found.retain(|it| {
        without_packing(&it.1) == it.1 || !names.iter().any(|name| name == without_packing(&it.1))
    });
    found.sort_by(|a, b| a.0.compare(&b.0));
    let left_out = found.len().saturating_sub(MOST_FILES);
    found.into_iter().skip(left_out).map(|it| (it.2, it.3)).collect()
}

fn without_packing(name: &str) -> &str {
    PACKINGS.iter().find_map(|it| name.strip_suffix(it)).unwrap_or(name)
}

/// What a rotated file's name says of its age.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mark {
    /// The higher, the older.
    Counter(u64),
    /// The later, the newer: the numbers of a date or time in their order.
    Date(Vec<u64>),
}

impl Mark {
    /// Of a file that belongs to the log: its name with something behind it, or before its extension.
    fn of(log: &[u8], name: &[u8]) -> Option<Mark> {
        let name = std::str::from_utf8(name).ok()?;
        let log = std::str::from_utf8(log).ok()?;
        let plain = without_packing(name);
        let (stem, extension) = log.rsplit_once('.').unwrap_or((log, ""));
        let between = || plain.strip_prefix(stem)?.strip_suffix(extension)?.strip_suffix('.');
        let mark = plain.strip_prefix(log).or_else(between)?;
        let separators = ['.', '-', '_', 'T', ':', '+'];
        if !mark.starts_with(separators)
            || !mark.chars().all(|it| it.is_ascii_digit() || separators.contains(&it))
        {
            return None;
        }
        let numbers = mark.split(separators).filter(|it| !it.is_empty());
        let numbers = numbers.map(|it| it.parse().ok()).collect::<Option<Vec<u64>>>()?;
        match numbers.as_slice() {
            [] => None,
            // A year stands before every date, and nobody keeps a thousand rotated files.
            [only] if *only < 1000 => Some(Mark::Counter(*only)),
            _ => Some(Mark::Date(numbers)),
        }
    }

    /// `Less` is older.
    fn compare(&self, other: &Mark) -> Ordering {
        match (self, other) {
            (Mark::Counter(a), Mark::Counter(b)) => b.cmp(a),
            (Mark::Date(a), Mark::Date(b)) => a.cmp(b),
            // Somebody changed the scheme from one to the other.
            (Mark::Counter(_), Mark::Date(_)) => Ordering::Less,
            (Mark::Date(_), Mark::Counter(_)) => Ordering::Greater,
        }
    }
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
    fn numbered_files_are_older_the_higher_their_number() {
        let present =
            ["a.log", "a.log.1", "a.log.10.gz", "a.log.2.gz", "a.log.old", "b.log.1", "a.log.1.bak"];
        in_order("a.log", &present, &["a.log.10.gz", "a.log.2.gz", "a.log.1"]);
    }

    #[test]
    fn dated_files_are_newer_the_later_their_date() {
        let present = ["a.log-20260502", "a.log-20260430.gz", "a.log-20260502-1777680000", "a-x.log"];
        in_order("a.log", &present, &["a.log-20260430.gz", "a.log-20260502", "a.log-20260502-1777680000"]);
        in_order(
            "a.log",
            &["a-2026-05-02.log", "a-2026-05-01.log.gz"],
            &["a-2026-05-01.log.gz", "a-2026-05-02.log"],
        );
    }

    #[test]
    fn a_file_that_is_just_being_packed_is_taken_once() {
        in_order("a.log", &["a.log.1", "a.log.1.gz"], &["a.log.1"]);
    }

    #[test]
    fn rotated_names_are_known_without_their_log() {
        for name in ["a.log.1", "a.log.2.gz", "a.log-20260502", "a.gz"] {
            assert!(is_rotated_name(OsStr::new(name)), "{name}");
        }
        for name in ["access.log", "host1.log", "error_log", "10"] {
            assert!(!is_rotated_name(OsStr::new(name)), "{name}");
        }
    }
}
