//! Logs of application servers: the last part of each that lies in the window.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use nginx_logs::times;
use snapshot::{BackendLog, LogLine, Reading};

use super::{Context, window};
use crate::host::obstacle;
use crate::task::start;

/// How much of a log is read, and how many lines of it are kept: the last.
const MAX_BYTES: u64 = 8 << 20;
const MAX_LINES: usize = 3_000;
/// A longer line is cut.
const MAX_LINE_BYTES: usize = 4 << 10;
/// Logs that are read.
const MAX_FILES: usize = 60;

/// A log to read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Whose it is: `php-fpm`, `gunicorn`, `nginx` …
    pub server: String,
    /// The unit, pool or program that writes it.
    pub owner: String,
    /// The root directory of its writer, where that is another.
    pub root: Option<PathBuf>,
}

/// Reads all of them, side by side.
pub fn read_all(mut sources: Vec<Source>, context: &Context) -> Vec<BackendLog> {
    sources.sort();
    sources.dedup_by(|a, b| a.path == b.path && a.root == b.root);
    sources.truncate(MAX_FILES);
    let tasks: Vec<_> = sources
        .into_iter()
        .map(|source| {
            let (its, mut context) = (source.clone(), context.clone());
            context.root = its.root.clone().unwrap_or_else(|| PathBuf::from("/"));
            (source, start(its.path.display().to_string(), move || read(&its, &context)))
        })
        .collect();
    tasks
        .into_iter()
        .map(|(source, task)| BackendLog {
            path: source.path.display().to_string(),
            server: source.server,
            owner: source.owner,
            lines: task.reading(context.deadline),
        })
        .collect()
}

fn read(source: &Source, context: &Context) -> Reading<Vec<LogLine>> {
    let shown = source.path.display().to_string();
    let now = context.window.to;
    match window::read(&source.path, context, MAX_BYTES, |line| times::time_of(line, &context.zone, now)) {
        Ok(part) => Reading::seen(lines(&part, context), shown, Timestamp::now()),
        // A server that has not logged yet has no file: that is no obstacle, there is nothing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Reading::seen(Vec::new(), shown, Timestamp::now())
        }
        Err(error) => Reading::Unread(obstacle(shown, &error)),
    }
}

/// A line without a time has that of the line before.
fn lines(part: &window::Part, context: &Context) -> Vec<LogLine> {
    let mut lines = Vec::new();
    let (mut at, mut offset, mut number) = (context.window.from, part.offset, part.first_line);
    for line in part.bytes.split(|byte| *byte == b'\n') {
        at = times::time_of(line, &context.zone, context.window.to).unwrap_or(at);
        let text = &line[..line.len().min(MAX_LINE_BYTES)];
        if !text.is_empty() {
            let text = String::from_utf8_lossy(text).into_owned();
            lines.push(LogLine { line: number, offset, at, text });
        }
        offset += line.len() as u64 + 1;
        number += u64::from(number > 0);
    }
    lines.drain(..lines.len().saturating_sub(MAX_LINES));
    lines
}

#[cfg(test)]
mod tests {
    use super::super::window::tests::context;
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn lines_without_a_time_have_that_of_the_line_before() {
        let folder = Folder::new().file(
            "fpm.log",
            "[02-May-2026 11:00:00] NOTICE: old\n[02-May-2026 12:00:05] WARNING: new\n\n[0x1] sleep() x.php:3\n",
        );
        let context = context(&folder);
        let source = Source {
            path: "/fpm.log".into(),
            server: "php-fpm".into(),
            owner: "www".into(),
            root: Some(folder.path().to_path_buf()),
        };
        let logs = read_all(vec![source.clone(), source], &context);
        assert_eq!(logs.len(), 1);
        let lines = logs[0].lines.value().unwrap();
        let seen: Vec<_> = lines.iter().map(|it| (it.line, it.at.to_string())).collect();
        assert_eq!(seen, [(2, "2026-05-02T12:00:05Z".into()), (4, "2026-05-02T12:00:05Z".into())]);
    }
}
