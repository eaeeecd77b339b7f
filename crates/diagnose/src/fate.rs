//! What became of a backend that refuses connections, where only lines tell: one reading of them that the causes of the
//! backend's process share, so that each line speaks for one of them.
//!
//! Nobody knows here which unit or program serves the address. What speaks for one is the moment: it ended while the peer
//! stopped answering.

use jiff::{SignedDuration, Timestamp};
use nginx_logs::backend::EventKind;

use crate::app::AppKind;
use crate::case::Case;
use crate::course;
use crate::events::Event;
use crate::outage::NEAR;

/// A service that answers no more was ended at most so long before somebody noticed, where nothing tells when it last
/// answered.
const NOTICED_WITHIN: SignedDuration = SignedDuration::from_secs(120);

/// What lines say of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The OOM killer took it.
    OomKilled,
    /// It could not bind its address.
    AddressTaken,
    /// It did not come up.
    StartFails,
    /// It ended by itself.
    Died,
    /// Somebody stopped it.
    Stopped,
    /// It was stopped, or ended, and was started again.
    Restarted,
}

/// The fate of the backend of a group of refused connections, with the line that tells it.
pub fn of<'s>(case: &Case<'s, '_>) -> Option<(Fate, &'s Event)> {
    let course = course::of(case);
    let good: Vec<Timestamp> = course::good(case).iter().map(|it| it.at).collect();
    let last_good = good.iter().copied().filter(|at| *at <= case.group.first).max();
    let from = match last_good {
        Some(at) => at - NEAR,
        None => case.group.first - NOTICED_WITHIN,
    };
    let until = case.group.last + NEAR;
    // Within one second, lines of a log keep their order.
    let all: Vec<&Event> =
        case.scene.events.iter().filter(|it| it.at <= until && !is_of_others(it)).collect();
    let killed = |it: &&&Event| {
        it.at >= from
            && (matches!(it.kind, EventKind::OomKill { .. } | EventKind::UnitOomKill { .. })
                || matches!(&it.kind, EventKind::UnitFailed { result, .. } if result == "oom-kill"))
    };
    if let Some(it) = all.iter().find(killed) {
        return Some((Fate::OomKilled, it));
    }
    let later = |index: usize, tells: fn(&Event) -> bool| {
        all[index + 1..].iter().any(|it| it.unit == all[index].unit && tells(it))
    };
    // A start that failed long ago, and that nothing made good since, is why it is not there.
    let standing = |index: &usize| all[*index].at >= from || !course.before && !later(*index, begins);
    let last = |tells: fn(&Event) -> bool| (0..all.len()).rfind(|it| tells(all[*it]) && standing(it));
    let taken = |it: &Event| matches!(it.kind, EventKind::BindFailed { .. });
    if let Some(it) = last(taken).filter(|it| !later(*it, listens)) {
        return Some((Fate::AddressTaken, all[it]));
    }
    if let Some(it) = last(ends) {
        let same = |other: &usize| all[*other].unit == all[it].unit;
        let began = (0..it).rfind(|other| same(other) && begins(all[*other]));
        let ended = (0..it).rfind(|other| same(other) && (ends(all[*other]) || stops(all[*other])));
        let listened = (0..it).rfind(|other| same(other) && listens(all[*other]));
        let second = SignedDuration::from_secs(1);
        let served = match began {
            Some(start) => good.iter().any(|at| *at + second > all[start].at && *at <= all[it].at),
            None => course.before,
        };
        let came_up = listened.is_some_and(|at| ended.is_none_or(|ended| at > ended));
        return Some(match fails(all[it]) && !came_up || !served {
            true => (Fate::StartFails, all[it]),
            false => (Fate::Died, all[(0..=it).find(|it| ends(all[*it]) && standing(it)).unwrap_or(it)]),
        });
    }
    let stopped = last(stops);
    let started = (0..all.len())
        .find(|it| begins(all[*it]) && all[*it].at >= from && stopped.is_none_or(|stopped| *it > stopped));
    match (stopped, started) {
        (Some(stopped), Some(started)) if course.since || all[started].at >= case.group.last => {
            Some((Fate::Restarted, all[stopped]))
        }
        // It was started again, and yet nobody answers.
        (Some(_), Some(_)) => None,
        (Some(stopped), None) => Some((Fate::Stopped, all[stopped])),
        (None, Some(started)) if course.since => Some((Fate::Restarted, all[started])),
        _ => None,
    }
}

/// Whether it tells of an end that nobody asked for, or of a start that did not get through.
fn ends(event: &Event) -> bool {
    match &event.kind {
        EventKind::UnitExited { code, status, .. } => {
            code == "dumped" || !(status.starts_with("15/") || status.starts_with('0'))
        }
        EventKind::UnitFailed { .. } | EventKind::UncaughtError { .. } | EventKind::Segfault { .. } => true,
        _ => fails(event),
    }
}

fn fails(event: &Event) -> bool {
    matches!(event.kind, EventKind::StartFailed { .. } | EventKind::StartLimitHit { .. })
}

/// Whether it tells that somebody stops it.
pub fn stops(event: &Event) -> bool {
    matches!(event.kind, EventKind::Stopping | EventKind::UnitStopping { .. } | EventKind::UnitStopped { .. })
}

fn listens(event: &Event) -> bool {
    matches!(event.kind, EventKind::Listening { .. })
}

/// Whether a run begins there.
fn begins(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::UnitStarting { .. } | EventKind::UnitStarted { .. } | EventKind::Listening { .. }
    )
}

/// Whether it is of nginx itself, or of a program that serves nobody.
fn is_of_others(event: &Event) -> bool {
    let name = event.unit.strip_suffix(".service").unwrap_or(&event.unit);
    name == "nginx"
        || !event.unit.is_empty() && name == event.unit
        || AppKind::of_command(name) == AppKind::NoBackend
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// Refused for the last seconds, after good answers, where the journal of a unit says this.
    #[track_caller]
    fn fate(lines: &[(i64, &str, &str)], expected: Option<Fate>) {
        let refused = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8080/cart",
        );
        let good = ("GET /cart HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.004");
        let bad = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8080", "502", "-");
        // Answers 16 to 14 seconds before the end of the logs, refusals from 13 to 10.
        let host = requested(Snapshot::quiet(), &[good, good, good, bad, bad, bad, bad]);
        let host = logged(host, &[refused.as_str(); 4]).with(|it| journal(it, "shop.service", lines));
        let found = with_scene(&of_logs(host), |scene| {
            let backend =
                Err(crate::case::Blind { what: String::new(), why: String::new(), remedy: String::new() });
            of(&Case { scene, group: &scene.groups[0], backend: &backend }).map(|it| it.0)
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn a_stop_at_the_moment_of_the_last_answer_is_why_nobody_answers() {
        fate(&[(14, "systemd", "Stopping shop.service - The shop...")], Some(Fate::Stopped));
        fate(&[(300, "systemd", "Stopping shop.service - The shop...")], None);
        fate(&[], None);
    }

    #[test]
    fn an_end_by_itself_is_a_death() {
        let end = "shop.service: Main process exited, code=dumped, status=11/SEGV";
        fate(&[(14, "systemd", end)], Some(Fate::Died));
    }

    #[test]
    fn a_stop_and_a_start_that_fails_is_a_failed_start() {
        let lines = [
            (14, "systemd", "Stopping shop.service - The shop..."),
            (13, "php-fpm8.2", "[02-May-2026 13:02:57] ERROR: FPM initialization failed"),
        ];
        fate(&lines, Some(Fate::StartFails));
    }

    #[test]
    fn an_address_that_is_taken_is_told_from_other_failed_starts() {
        let lines = [
            (14, "systemd", "Stopping shop.service - The shop..."),
            (13, "node", "Error: listen EADDRINUSE: address already in use 127.0.0.1:8080"),
        ];
        fate(&lines, Some(Fate::AddressTaken));
    }

    #[test]
    fn the_oom_killer_comes_before_what_systemd_says_of_it() {
        let lines = [
            (14, "systemd", "shop.service: A process of this unit has been killed by the OOM killer."),
            (14, "systemd", "shop.service: Main process exited, code=killed, status=9/KILL"),
        ];
        fate(&lines, Some(Fate::OomKilled));
    }

    #[test]
    fn what_becomes_of_nginx_or_a_database_is_no_fate_of_the_backend() {
        let host_unit = |it: &str| {
            let event = Event {
                at: ago(14),
                kind: EventKind::Stopping,
                pid: None,
                unit: it.to_owned(),
                source: "journal".into(),
                reference: String::new(),
                text: String::new(),
            };
            is_of_others(&event)
        };
        assert!(host_unit("nginx.service") && host_unit("redis-server.service") && host_unit("user@0"));
        assert!(!host_unit("shop.service") && !host_unit("php8.2-fpm.service") && !host_unit(""));
    }
}
