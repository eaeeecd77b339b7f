//! How far reading has come, on standard error while it lasts; and Ctrl-C, which ends it early.
//!
//! One line on a terminal, which is gone at the end. Elsewhere nothing is said.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use collect::input::Progress;

/// What takes no longer needs no line.
const QUIET: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_millis(200);
/// Goes to the beginning of the line and erases it. Source: ECMA-48, CR and EL.
const ERASE: &str = "\r\x1b[K";

/// Does something that takes long: shows how far it is, and lets Ctrl-C end it early with what there is until then. A second
/// Ctrl-C ends the program at once. What `prints` while it works is not disturbed on a terminal.
pub fn with<T>(prints: bool, work: impl FnOnce(&Progress) -> T) -> T {
    let progress = Progress::default();
    stop_at_interrupt(&progress.stop);
    let shown = io::stderr().is_terminal() && !(prints && io::stdout().is_terminal());
    let done = (Mutex::new(false), Condvar::new());
    std::thread::scope(|scope| {
        if shown {
            scope.spawn(|| show(&progress, &done));
        }
        let _guard = Done(&done);
        work(&progress)
    })
}

/// The first Ctrl-C sets `stop`, the second one ends the program as it always does.
fn stop_at_interrupt(stop: &Arc<AtomicBool>) {
    use signal_hook::consts::SIGINT;
    // Without them Ctrl-C ends the program at the first time, which is no reason not to read.
    let _ = signal_hook::flag::register_conditional_default(SIGINT, stop.clone());
    let _ = signal_hook::flag::register(SIGINT, stop.clone());
}

/// Ends the line, also when the work panics.
struct Done<'a>(&'a (Mutex<bool>, Condvar));

impl Drop for Done<'_> {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(|it| it.into_inner()) = true;
        self.0.1.notify_all();
    }
}

fn show(progress: &Progress, (done, changed): &(Mutex<bool>, Condvar)) {
    let started = Instant::now();
    let mut written = false;
    let mut is_done = done.lock().unwrap_or_else(|it| it.into_inner());
    while !*is_done {
        is_done = match changed.wait_timeout(is_done, BETWEEN) {
            Ok((it, _)) => it,
            Err(it) => it.into_inner().0,
        };
        if !*is_done && started.elapsed() >= QUIET {
            let line = line(
                progress.done_bytes.load(Ordering::Relaxed),
                progress.total_bytes.load(Ordering::Relaxed),
                started.elapsed(),
            );
            let _ = write!(io::stderr(), "{ERASE}{line}");
            written = true;
        }
    }
    if written {
        let _ = write!(io::stderr(), "{ERASE}");
    }
}

/// `reading 1.2 of 9.8 GB (12%), 640 MB/s, 13 s left`.
fn line(done: u64, total: u64, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let speed = size(rate as u64);
    if total == 0 || done > total {
        return format!("reading: {}, {speed}/s", size(done));
    }
    let left = Duration::from_secs_f64(((total - done) as f64 / rate.max(1.0)).min(1e9));
    format!(
        "reading: {} of {} ({}%), {speed}/s, {} left",
        size(done),
        size(total),
        done * 100 / total,
        time(left)
    )
}

fn size(bytes: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match units.into_iter().find(|it| bytes >= it.0) {
        Some((unit, name)) if bytes < 10 * unit => format!("{:.1} {name}", bytes as f64 / unit as f64),
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

fn time(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..=99 => format!("{seconds} s"),
        seconds @ 100..=5999 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_how_fast_and_how_long() {
        let seconds = Duration::from_secs;
        assert_eq!(line(1_200_000_000, 0, seconds(2)), "reading: 1.2 GB, 600 MB/s");
        assert_eq!(
            line(1_200_000_000, 9_800_000_000, seconds(2)),
            "reading: 1.2 GB of 9.8 GB (12%), 600 MB/s, 14 s left"
        );
        assert_eq!(line(0, 10, seconds(1)), "reading: 0 bytes of 10 bytes (0%), 0 bytes/s, 10 s left");
        assert!(line(5, 90_000, seconds(1)).ends_with(", 5 h left"));
    }

    #[test]
    fn the_work_gives_its_result() {
        assert_eq!(with(true, |progress| progress.done_bytes.fetch_add(7, Ordering::Relaxed) + 7), 7);
    }
}
