//! Work that runs beside other work and is given up at a deadline.
//!
//! A thread that hangs (a dead network filesystem, a process stuck in the kernel) cannot be stopped; it is left behind with
//! data of its own, and its result is never awaited.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use snapshot::{Reading, Reason, Unread};

/// Something under way.
#[derive(Debug)]
pub struct Task<T> {
    receiver: Receiver<T>,
    source: String,
}

/// Starts work on a thread of its own; `source` names it should it not end in time.
pub fn start<T: Send + 'static>(
    source: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Task<T> {
    let (sender, receiver) = mpsc::channel();
    let source = source.into();
    let started = thread::Builder::new().name(source.clone()).spawn(move || {
        // The receiver is gone when nobody waits any longer.
        let _ = sender.send(work());
    });
    // Without a thread (a limit on processes) the sender is gone, and the task ends as one that failed.
    drop(started);
    Task { receiver, source }
}

impl<T> Task<T> {
    /// The same once it has ended, or at that moment.
    pub fn wait(self, until: Instant) -> Task<T> {
        match self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Err(_) => self,
            Ok(result) => {
                let (sender, receiver) = mpsc::channel();
                // The receiver is at hand.
                let _ = sender.send(result);
                Task { receiver, source: self.source }
            }
        }
    }

    /// The result, or why there is none.
    pub fn finish(self, deadline: Instant) -> Result<T, Unread> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.receiver.recv_timeout(left).map_err(|error| {
            let (reason, detail) = match error {
                RecvTimeoutError::Timeout => (Reason::TimedOut, "it had not ended at the deadline"),
                RecvTimeoutError::Disconnected => {
                    (Reason::Unsupported, "its thread could not run to its end")
                }
            };
            Unread { reason, source: self.source, detail: detail.to_owned() }
        })
    }
}

impl<T> Task<Reading<T>> {
    /// The reading; one that did not come is unread.
    pub fn reading(self, deadline: Instant) -> Reading<T> {
        self.finish(deadline).unwrap_or_else(Reading::Unread)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_result_that_does_not_come_is_given_up() {
        let (_keep, blocked) = mpsc::channel::<()>();
        let task = start("blocked", move || blocked.recv().is_ok());
        let unread = task.finish(Instant::now() + Duration::from_millis(20)).unwrap_err();
        assert_eq!((unread.reason, unread.source.as_str()), (Reason::TimedOut, "blocked"));
    }

    #[test]
    fn a_result_that_comes_is_given() {
        assert_eq!(start("sum", || 1 + 1).finish(Instant::now() + Duration::from_secs(60)), Ok(2));
    }
}
