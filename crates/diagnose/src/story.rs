//! The story of a unit in the window: when it started, how it ended, what it said.

use jiff::{SignedDuration, Timestamp};
use nginx_logs::backend::EventKind;

use crate::case::Case;
use crate::events::Event;
use crate::outage;
use crate::scene::Scene;
use crate::verdict::Fact;

/// A program's last line may reach the journal a little after systemd's about its end.
const LATE_LINE: SignedDuration = SignedDuration::from_millis(300);

/// Words before an end that belong to it.
const LAST_WORDS: SignedDuration = SignedDuration::from_secs(5);

/// One run of a unit's main process.
#[derive(Debug, Clone, Default)]
pub struct Life<'s> {
    /// When systemd started it; none when that was before the journal's window.
    pub started_at: Option<Timestamp>,
    /// How it ended; none while it runs.
    pub end: Option<End<'s>>,
}

/// The end of a run.
#[derive(Debug, Clone)]
pub struct End<'s> {
    /// When.
    pub at: Timestamp,
    /// How.
    pub how: How,
    /// The line that says so.
    pub event: &'s Event,
}

/// Ways to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Somebody stopped or restarted it.
    Stopped,
    /// It exited by itself, with that status as systemd words it: `1/FAILURE`.
    Exited(String),
    /// A signal that nobody sent through systemd, as `11/SEGV`.
    Signalled(String),
    /// The OOM killer.
    OomKilled,
    /// systemd gave up: a watchdog, a start time-out.
    TimedOut,
    /// It never began: a missing file, user or directory.
    NeverBegan,
}

impl Life<'_> {
    /// Whether it came to its end without anybody asking.
    pub fn died(&self) -> bool {
        self.end.as_ref().is_some_and(|it| it.how != How::Stopped)
    }
}

/// The runs of a unit in the window, from systemd's lines about it, the oldest first.
pub fn lives<'s>(scene: &'s Scene, unit: &str) -> Vec<Life<'s>> {
    let mut lives: Vec<Life> = Vec::new();
    let mut asked = false;
    for event in scene.events.iter().filter(|it| it.unit == unit && it.source == "journal") {
        let how = match &event.kind {
            EventKind::UnitStarting { .. } | EventKind::UnitStarted { .. } => {
                // "Starting" and "Started" are of one run, unless an end came in between.
                let running = lives.last().is_some_and(|it| it.end.is_none());
                if !running {
                    lives.push(Life { started_at: Some(event.at), end: None });
                }
                asked = false;
                continue;
            }
            EventKind::UnitStopping { .. } => {
                asked = true;
                continue;
            }
            EventKind::UnitExited { .. } if asked => How::Stopped,
            EventKind::UnitExited { code, status, .. } if code == "exited" => How::Exited(status.clone()),
            EventKind::UnitExited { status, .. } => How::Signalled(status.clone()),
            EventKind::UnitFailed { result, .. } if result == "oom-kill" => How::OomKilled,
            EventKind::UnitFailed { result, .. } if result == "timeout" || result == "watchdog" => {
                How::TimedOut
            }
            EventKind::UnitFailed { result, .. } if result == "resources" => How::NeverBegan,
            EventKind::UnitTimedOut { .. } => How::TimedOut,
            EventKind::UnitStopped { .. } if asked => How::Stopped,
            _ => continue,
        };
        match lives.last_mut() {
            // A later line about the same end knows more: "Failed with result 'oom-kill'" after "code=killed".
            Some(Life { end: Some(end), .. }) => {
                if how == How::OomKilled || how == How::TimedOut && end.how != How::Stopped {
                    end.how = how;
                }
            }
            Some(life) => life.end = Some(End { at: event.at, how, event }),
            None => lives.push(Life { started_at: None, end: Some(End { at: event.at, how, event }) }),
        }
    }
    lives
}

/// What the backend itself said before it ended, or could not start: its last telling lines, as facts.
pub fn last_words(scene: &Scene, unit: &str, until: Timestamp) -> Vec<Fact> {
    let close = |it: &&Event| {
        it.unit == unit && it.at <= until + LATE_LINE && until.duration_since(it.at) < LAST_WORDS
    };
    let telling = |it: &&Event| {
        matches!(
            it.kind,
            EventKind::UncaughtError { .. }
                | EventKind::BindFailed { .. }
                | EventKind::StartFailed { .. }
                | EventKind::TooManyOpenFiles
        )
    };
    // That it did not start is known; what a program says before that is why.
    const GENERAL: &[&str] =
        &["Failed to start ", "Failed to run ", "FPM initialization failed", "Worker failed to boot"];
    let general = |it: &&Event| GENERAL.iter().any(|words| it.text.contains(words));
    let reasons = scene.events.iter().rev().filter(close).filter(telling).filter(|it| !general(it));
    let mut found: Vec<Fact> = reasons.take(2).map(Event::fact).collect();
    if found.is_empty() {
        let journal = scene.snapshot.journal.value().into_iter().flatten().rev();
        let own = journal
            .filter(|it| it.unit == unit && it.identifier != "systemd" && !it.message.trim().is_empty());
        let near = own.filter(|it| it.at <= until + LATE_LINE && until.duration_since(it.at) < LAST_WORDS);
        found.extend(near.take(1).map(|it| {
            let text: String = it.message.trim().chars().take(300).collect();
            Fact::new("journal", text).reference(format!("journalctl -u {unit}")).at(it.at)
        }));
    }
    found.reverse();
    found
}

/// That the dialled peer answered earlier in the window, as a fact: then its address was right at that time.
pub fn served_before(case: &Case) -> Option<Fact> {
    let peer = case.peer()?.to_string();
    let first = case.group.first;
    let before = case
        .scene
        .successes()
        .filter(|it| it.upstream == peer)
        .filter(|it| it.first_at.is_some_and(|at| at < first));
    let counted = before.max_by_key(|it| it.last_at);
    let counted = counted.and_then(|it| it.last_at.filter(|at| *at < first).or(it.first_at));
    // Logs without upstream fields tell it by the way that a request takes, where that ends at one address alone.
    let pass = case.scene.pass(case.group);
    let alone = pass.is_some_and(|it| it.addresses(case.scene.view).len() == 1);
    let routed = || outage::good_answers(case).map(|it| it.at).filter(|at| alone && *at < first).max();
    let at = counted.or_else(routed)?;
    Some(Fact::new("access-log", format!("{peer} still answered at {}", case.scene.clock(at))).at(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// The runs of shop.service by what systemd says about it: how each began and ended.
    #[track_caller]
    fn told(lines: &[(i64, &str)], expected: &[&str]) {
        let host = Snapshot::quiet().with(|it| {
            for (seconds, line) in lines {
                journal(it, "shop.service", &[(*seconds, "systemd", line)]);
            }
            // Another unit's troubles are none of this one's.
            journal(
                it,
                "blog.service",
                &[(1, "systemd", "blog.service: Main process exited, code=killed, status=9/KILL")],
            );
        });
        let line = |it: &Life| {
            let end = it.end.as_ref().map_or_else(|| "runs".to_owned(), |it| format!("{:?}", it.how));
            let begun = if it.started_at.is_some() { "started" } else { "older" };
            format!("{begun} {end}")
        };
        let found =
            with_scene(&host, |scene| lives(scene, "shop.service").iter().map(line).collect::<Vec<_>>());
        assert_eq!(found, expected);
    }

    #[test]
    fn a_restart_by_an_operator_is_two_runs() {
        let lines = [
            (60, "Stopping shop.service - The shop..."),
            (60, "shop.service: Deactivated successfully."),
            (60, "Stopped shop.service - The shop."),
            (59, "Starting shop.service - The shop..."),
            (58, "Started shop.service - The shop."),
        ];
        told(&lines, &["older Stopped", "started runs"]);
    }

    #[test]
    fn a_program_that_ends_with_a_status_when_it_is_stopped_was_stopped() {
        let lines = [
            (60, "Stopping shop.service - The shop..."),
            (60, "shop.service: Main process exited, code=exited, status=143/n/a"),
            (60, "shop.service: Failed with result 'exit-code'."),
            (60, "Stopped shop.service - The shop."),
        ];
        told(&lines, &["older Stopped"]);
    }

    #[test]
    fn a_crash_with_its_restart_is_seen_as_such() {
        let lines = [
            (60, "Started shop.service - The shop."),
            (50, "shop.service: Main process exited, code=dumped, status=11/SEGV"),
            (50, "shop.service: Failed with result 'core-dump'."),
            (49, "shop.service: Scheduled restart job, restart counter is at 1."),
            (49, "Stopped shop.service - The shop."),
            (49, "Started shop.service - The shop."),
        ];
        told(&lines, &["started Signalled(\"11/SEGV\")", "started runs"]);
    }

    #[test]
    fn the_result_says_more_than_the_signal() {
        let lines = [
            (50, "shop.service: A process of this unit has been killed by the OOM killer."),
            (50, "shop.service: Main process exited, code=killed, status=9/KILL"),
            (50, "shop.service: Failed with result 'oom-kill'."),
        ];
        told(&lines, &["older OomKilled"]);
    }

    #[test]
    fn a_start_that_takes_too_long_is_ended_by_systemd() {
        let lines = [
            (150, "Starting shop.service - The shop..."),
            (60, "shop.service: start operation timed out. Terminating."),
            (60, "shop.service: Failed with result 'timeout'."),
            (60, "Failed to start shop.service - The shop."),
        ];
        told(&lines, &["started TimedOut"]);
    }

    #[test]
    fn a_unit_without_a_word_has_no_known_run() {
        told(&[], &[]);
    }

    /// What shop.service said last before it ended, 30 seconds before the collection.
    #[track_caller]
    fn said(lines: &[(i64, &str, &str)], expected: &[&str]) {
        let host = Snapshot::quiet().with(|it| journal(it, "shop.service", lines));
        let facts = with_scene(&host, |scene| last_words(scene, "shop.service", ago(30)));
        assert_eq!(facts.iter().map(|it| it.says.as_str()).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_reason_of_an_end_is_the_last_thing_said() {
        let lines = [
            (31, "node", "Error: listen EADDRINUSE: address already in use :::3000"),
            (31, "node", "    at Server.setupListenHandle (node:net:1751:16)"),
            (30, "systemd", "Failed to start shop.service - The shop."),
        ];
        said(&lines, &["Error: listen EADDRINUSE: address already in use :::3000"]);
    }

    #[test]
    fn without_a_known_wording_the_last_line_must_do() {
        let lines =
            [(32, "shopd", "loading"), (31, "shopd", "cannot open /etc/shop/key.pem"), (30, "shopd", "  ")];
        said(&lines, &["cannot open /etc/shop/key.pem"]);
    }

    #[test]
    fn what_was_said_long_before_is_no_reason() {
        said(&[(300, "node", "TypeError: x is not a function")], &[]);
    }
}
