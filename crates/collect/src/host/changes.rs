//! What changed on the host lately: the first thing that an operator is asked. Source: stat(2), dpkg.log(5), the time
//! of the rpm database.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use snapshot::{Change, Reading};

use super::clock::Clock;
use super::obstacle;

/// How far back a change is of interest.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
/// The end of the package log that is read.
const PACKAGE_LOG_BYTES: u64 = 128 << 10;
const MAX_CHANGES: usize = 500;

/// A file to look at, and what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    /// Where it is.
    pub path: PathBuf,
    /// `nginx configuration`, `unit shop.service` …
    pub what: String,
}

/// The changes of the last day, the latest first.
pub fn read(root: &Path, watched: &[Watched], clock: &Clock) -> Reading<Vec<Change>> {
    if let Err(error) = fs::metadata(root.join(".")) {
        return Reading::Unread(obstacle(root.display().to_string(), &error));
    }
    let since = clock.now - LATELY;
    let mut changes: Vec<Change> = watched.iter().filter_map(|it| change(root, it)).collect();
    changes.extend(packages(root, clock));
    changes.retain(|it| it.at >= since && it.at <= clock.now);
    changes.sort_by(|a, b| (b.at, &a.path).cmp(&(a.at, &b.path)));
    changes.dedup();
    changes.truncate(MAX_CHANGES);
    Reading::seen(changes, "stat", clock.now)
}

/// The later of both times: an edit that keeps the modification time still moves the status change time.
fn change(root: &Path, watched: &Watched) -> Option<Change> {
    let path = root.join(watched.path.strip_prefix("/").unwrap_or(&watched.path));
    let metadata = fs::metadata(path).ok()?;
    let at = Timestamp::new(metadata.mtime(), 0).ok()?.max(Timestamp::new(metadata.ctime(), 0).ok()?);
    Some(Change { path: watched.path.display().to_string(), what: watched.what.clone(), at })
}

/// Packages that were installed, upgraded or removed.
fn packages(root: &Path, clock: &Clock) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(log) = tail(&root.join("var/log/dpkg.log")) {
        changes.extend(log.lines().filter_map(|line| from_dpkg(line, clock)));
    }
    for path in ["/var/lib/rpm/rpmdb.sqlite", "/var/lib/rpm/Packages", "/usr/lib/sysimage/rpm/rpmdb.sqlite"] {
        changes.extend(change(root, &Watched { path: path.into(), what: "package".to_owned() }));
    }
    changes
}

fn tail(path: &Path) -> Option<String> {
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(PACKAGE_LOG_BYTES))).ok()?;
    let mut text = Vec::new();
    file.take(PACKAGE_LOG_BYTES).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// `2026-05-02 13:00:00 upgrade nginx:amd64 1.22.1-9 1.22.1-9+deb12u1`, in local time.
fn from_dpkg(line: &str, clock: &Clock) -> Option<Change> {
    let (time, rest) = line.split_at_checked(19)?;
    let at = time.parse::<DateTime>().ok()?.to_zoned(clock.zone.clone()).ok()?.timestamp();
    let mut words = rest.split_ascii_whitespace();
    let action = words.next().filter(|it| ["install", "upgrade", "remove", "purge"].contains(it))?;
    let package = words.next()?;
    Some(Change { path: format!("{action} {package}"), what: "package".to_owned(), at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_file_that_was_just_written_is_a_change() {
        let folder = Folder::new().file("etc/nginx/nginx.conf", "");
        let clock = Clock { now: Timestamp::now() + SignedDuration::from_secs(1), ..Clock::now() };
        let watched = [Watched { path: "/etc/nginx/nginx.conf".into(), what: "nginx configuration".into() }];
        let reading = read(folder.path(), &watched, &clock);
        assert_eq!(reading.value().unwrap()[0].path, "/etc/nginx/nginx.conf");
        let later = Clock { now: clock.now + SignedDuration::from_hours(30), ..clock };
        assert!(read(folder.path(), &watched, &later).value().unwrap().is_empty());
    }

    #[test]
    fn packages_are_read_from_the_log_in_local_time() {
        let clock = Clock::fixed("2026-05-02T13:00:00Z");
        let folder = Folder::new().file(
            "var/log/dpkg.log",
            "2026-05-02 12:00:00 upgrade php8.2-fpm:amd64 1 2\n2026-05-02 12:00:01 status installed php8.2-fpm:amd64 2\n\
             2026-04-01 12:00:00 install old:amd64 <none> 1\nä\n",
        );
        let reading = read(folder.path(), &[], &clock);
        let changes = reading.value().unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].path, "upgrade php8.2-fpm:amd64");
        assert_eq!(changes[0].at, "2026-05-02T12:00:00Z".parse().unwrap());
    }
}
