//! The last time in logs: to somebody who looks at yesterday's files, "15 minutes ago" is 15 minutes before their end.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;

use super::Ask;
use super::clock::{Clock, Span};
use super::names::shape_of;
use super::packing::Packing;

/// What is read of a file's beginning, to know what it is, and of its end.
const ENDS_BYTES: u64 = 64 << 10;

/// The last time in the files that are named. None where any of them is no file: what comes from a pipe or the journal is of
/// now.
pub fn newest(ask: &Ask) -> Option<Timestamp> {
    let times: Option<Vec<Option<Timestamp>>> = ask
        .names
        .iter()
        .map(|it| {
            let path = Path::new(it);
            // What cannot be read is told when it is read.
            path.metadata()
                .map_or(Some(None), |found| found.is_file().then(|| last_time(path, ask).ok().flatten()))
        })
        .collect();
    times?.into_iter().flatten().max()
}

fn last_time(path: &Path, ask: &Ask) -> io::Result<Option<Timestamp>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let written = Timestamp::try_from(metadata.modified()?).ok();
    let mut head = Vec::new();
    file.by_ref().take(ENDS_BYTES).read_to_end(&mut head)?;
    // Compressing a file keeps the time at which it was written.
    if Packing::of(&head) != Packing::Plain {
        return Ok(written);
    }
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(metadata.len().saturating_sub(ENDS_BYTES)))?;
    file.take(ENDS_BYTES).read_to_end(&mut tail)?;
    let shape = shape_of(&head, ask)?;
    let now = written.unwrap_or_else(Timestamp::now);
    let span = Span { since: None, until: None, zone: ask.zone.clone(), now };
    Ok(Clock { shape: &shape, span: &span }.range_of(&tail).map(|it| it.1))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::testing::Folder;

    fn newest_of(folder: &Folder, names: &[&str]) -> Option<Timestamp> {
        let names = names.iter().map(|it| folder.path().join(it).display().to_string()).collect();
        newest(&Ask { names, since: None, until: None, formats: Vec::new(), zone: TimeZone::UTC })
    }

    #[test]
    fn the_last_line_with_a_time_counts() {
        let folder = Folder::new()
            .file(
                "a.log",
                "2026/05/02 11:00:00 [error] 7#7: *1 a\n2026/05/02 12:00:00 [error] 7#7: *1 b\nno time\n",
            )
            .file("b.log", "2026/05/02 11:30:00 [error] 7#7: *1 a\n");
        let expected = "2026-05-02T12:00:00Z".parse().ok();
        assert_eq!(newest_of(&folder, &["a.log", "b.log"]), expected);
        assert_eq!(newest_of(&folder, &["a.log", "missing.log"]), expected);
    }

    #[test]
    fn what_is_no_file_is_of_now() {
        let folder = Folder::new().file("logs/a.log", "2026/05/02 12:00:00 [error] 7#7: *1 b\n");
        assert_eq!(newest_of(&folder, &["logs", "logs/a.log"]), None);
    }
}
