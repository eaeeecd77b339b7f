//! Collect: everything that is read from the host, once, read-only, into a [`Snapshot`].
//!
//! One file for each source (`host/`, `peer/`, `probe/`), and the plan that runs them side by side under one deadline
//! ([`plan`]). Nothing here judges. Nothing is written to the host, no shell is used, and what cannot be read is said to be
//! unread, with the reason.

mod backend_list;
pub mod follow;
pub mod formats;
mod host;
pub mod input;
mod logs;
mod logs_alone;
mod nginx;
pub mod peer;
mod peer_list;
pub mod php_fpm;
mod plan;
mod probe;
mod task;
#[cfg(test)]
mod testing;
mod trial;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use snapshot::Snapshot;

pub use logs_alone::{LogRequest, Logs, LogsRead, read_logs};
pub use peer::ProbeLevel;
pub use trial::Url;

/// What a trial leaves of the time for everything else.
const FOR_THE_REST: Duration = Duration::from_secs(3);

/// What to collect, and how much time it may take.
#[derive(Debug, Clone)]
pub struct Request {
    /// The span of time that is asked about.
    pub span: Span,
    /// This main configuration file instead of the running nginx's.
    pub config: Option<PathBuf>,
    /// This prefix instead of the built-in one.
    pub prefix: Option<PathBuf>,
    /// The nginx with this master process.
    pub pid: Option<u32>,
    /// How far probes may go.
    pub probe: ProbeLevel,
    /// How long the whole collection may take.
    pub deadline: Duration,
    /// An address, as nginx logs it, that is looked at in any case.
    pub peer: Option<String>,
    /// A URL that is really asked for, through nginx and straight from its peers, before everything else is read.
    pub url: Option<Url>,
}

/// A span of time, before it is known what "now" is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Up to now.
    Last(Duration),
    /// From a moment to another; to now when there is none.
    Between(Timestamp, Option<Timestamp>),
}

impl Default for Request {
    /// The last 15 minutes, all probes, three seconds.
    fn default() -> Request {
        Request {
            span: Span::Last(Duration::from_secs(15 * 60)),
            config: None,
            prefix: None,
            pid: None,
            probe: ProbeLevel::Full,
            deadline: Duration::from_secs(3),
            peer: None,
            url: None,
        }
    }
}

/// Collects a snapshot of this host. Never fails: what cannot be read is [`snapshot::Unread`].
pub fn collect(request: &Request) -> Snapshot {
    let Some(url) = &request.url else { return plan::run(request) };
    let started = Instant::now();
    let for_the_rest = FOR_THE_REST.min(request.deadline / 2);
    let trial = trial::run(url, request, started + request.deadline - for_the_rest);
    let rest = Request { deadline: request.deadline.saturating_sub(started.elapsed()), ..request.clone() };
    // The window of what follows ends after the trial, and so holds what it left in the logs.
    Snapshot { trial, ..plan::run(&rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_that_has_no_time_still_ends_with_a_snapshot() {
        let started = Instant::now();
        let request =
            Request { deadline: Duration::from_millis(1), probe: ProbeLevel::None, ..Request::default() };
        let snapshot = collect(&request);
        // Far more than it takes, far less than a reader that is waited for.
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(snapshot.processes.obstacle().is_some() || snapshot.units.obstacle().is_some());
    }

    #[test]
    fn a_span_ends_now_unless_it_is_over() {
        let between = Span::Between("2026-05-02T12:00:00Z".parse().unwrap(), None);
        let request = Request { span: between, probe: ProbeLevel::None, ..Request::default() };
        let snapshot = collect(&request);
        assert_eq!(snapshot.window.to, snapshot.collected_at);
        assert!(snapshot.processes.value().is_none_or(|it| !it.is_empty()));
    }
}
