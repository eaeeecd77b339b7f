//! Signs of life of a backend that is up: does it answer, how fast, is its queue filling, are its workers busy or stuck.

use jiff::{SignedDuration, Timestamp};
use nginx_logs::Symptom;
use nginx_logs::backend::EventKind;
use snapshot::{Answer, Greeting, Process};

use crate::app::AppKind;
use crate::case::Case;
use crate::events::Event;
use crate::failure::Access;
use crate::heard;
use crate::outage;
use crate::service::Backend;
use crate::verdict::{Fact, Factual};

/// What our own greeting in the configured protocol got; none when no greeting was sent.
pub fn greeting<'a>(case: &Case<'_, 'a>) -> Option<&'a Greeting> {
    let protocol = heard::expected(&case.group.scheme)?;
    case.sight()?.greetings.iter().find(|it| it.protocol == protocol)
}

/// Whether the backend answered our greeting in the configured protocol.
pub fn answers_greeting(case: &Case) -> Option<bool> {
    Some(greeting(case)?.answer == Answer::Spoken)
}

/// Whether it answered a greeting in some protocol other than the configured one.
pub fn speaks_otherwise(case: &Case) -> bool {
    let (Some(protocol), Some(sight)) = (heard::expected(&case.group.scheme), case.sight()) else {
        return false;
    };
    answers_greeting(case) == Some(false)
        && sight.greetings.iter().any(|it| it.protocol != protocol && it.answer == Answer::Spoken)
}

/// That our own greeting was answered, as a fact.
pub fn greeting_fact(case: &Case) -> Option<Fact> {
    let greeting = greeting(case)?;
    let says = match greeting.answer {
        Answer::Spoken => format!("{} answers our {} greeting at once", case.peer_name(), case.group.scheme),
        Answer::Silent => format!("{} accepts our connection and says nothing", case.peer_name()),
        Answer::NotConnected => format!("{} does not take our connection either", case.peer_name()),
        _ => return None,
    };
    Some(Fact::new("probe", says).at(case.scene.now()))
}

/// Requests answered well by this peer while others failed: from the time when the first of them waited, until now.
pub fn answered_meanwhile<'s>(case: &Case<'s, '_>) -> Vec<&'s Access> {
    // What timed out had waited all that time. Half of it is left out: a backend that hangs may have answered others just
    // before, and logs know whole seconds only.
    let limit = case.scene.pass(case.group).map(|it| it.settings.read_timeout.value);
    let waited = limit.filter(|_| case.group.symptom == Symptom::ReadTimeout).unwrap_or_default();
    let waited = SignedDuration::try_from(waited).unwrap_or_default();
    let since = case.group.first.checked_sub(waited / 2).unwrap_or(case.group.first);
    outage::good_answers(case).filter(|it| it.at >= since).collect()
}

/// The processes that do the work: the workers where there is a master with workers, else all of them.
pub fn workers<'a>(case: &Case<'_, 'a>, backend: &Backend<'a>) -> Vec<&'a Process> {
    let family = backend.family(case.scene);
    let masters: Vec<u32> =
        family.iter().filter(|it| family.iter().any(|child| child.ppid == it.pid)).map(|it| it.pid).collect();
    let same_program = |it: &&&Process| match family.iter().find(|parent| parent.pid == it.ppid) {
        // A shell or a tool that a worker runs is not a worker.
        Some(parent) => parent.name == it.name || AppKind::of(parent) == AppKind::of(it),
        None => true,
    };
    let workers: Vec<&Process> =
        family.iter().filter(|it| !masters.contains(&it.pid)).filter(same_program).copied().collect();
    let of_pool = |it: &&&Process| match backend.pool {
        Some((_, pool)) => pool.children.iter().any(|child| child.pid == it.pid),
        None => true,
    };
    let kept: Vec<&Process> = workers.iter().filter(of_pool).copied().collect();
    // A master whose only child is a tool it runs does the work itself.
    if kept.is_empty() { family } else { kept }
}

/// The processes that are stuck, if that keeps every request from being served: every worker, or the one process that
/// accepts connections, is stopped by a signal or in uninterruptible sleep.
pub fn stuck<'a>(case: &Case<'_, 'a>, backend: &Backend<'a>) -> Vec<&'a Process> {
    let is_stuck = |it: &&Process| matches!(it.state, 'T' | 't' | 'D');
    let workers = workers(case, backend);
    if !workers.is_empty() && workers.iter().all(is_stuck) {
        return workers;
    }
    // A program that serves by itself may have children that hold its socket without serving it.
    let accepting = backend.processes.iter().min_by_key(|it| (it.started_at, it.pid)).copied();
    accepting.into_iter().filter(is_stuck).filter(|_| !is_pool(backend.kind)).collect()
}

/// Servers of which each worker process takes one request at a time, so that all of them can be busy.
pub fn is_pool(kind: AppKind) -> bool {
    matches!(kind, AppKind::PhpFpm | AppKind::Gunicorn | AppKind::Uwsgi | AppKind::Ruby | AppKind::Apache)
}

/// Servers that may have a pool of threads: how many cannot be seen from outside.
pub fn may_have_threads(kind: AppKind) -> bool {
    matches!(kind, AppKind::Java | AppKind::Python | AppKind::Other)
}

/// How many requests one worker can have under way, where the command line tells. Not where an event loop takes any number
/// of them, nor where a file may give the workers threads.
pub fn requests_each(backend: &Backend) -> Option<usize> {
    // Puma's threads stand in `-t min:max`; uWSGI's `-t` is its harakiri.
    let (names, otherwise): (&[&str], _) = match backend.kind {
        AppKind::PhpFpm => return Some(1),
        AppKind::Gunicorn | AppKind::Uwsgi => (&["--threads"], Some(1)),
        AppKind::Ruby => (&["--threads", "-t"], None),
        _ => return None,
    };
    let words = || backend.processes.iter().flat_map(|it| &it.arguments).flat_map(|it| it.split_whitespace());
    let by_file = |it: &str| matches!(it, "-c" | "-C") || it.starts_with("--config") || it.ends_with("ini");
    let loops = ["gevent", "eventlet", "tornado", "uvicorn", "asyncio"];
    let by_loop = |it: &str| loops.iter().any(|word| it.to_ascii_lowercase().contains(word));
    if words().any(|it| by_file(it) || by_loop(it)) {
        return None;
    }
    let threads = backend.processes.iter().find_map(|it| option(&it.arguments, names));
    threads.and_then(|it| it.rsplit(':').next()?.parse().ok()).or(otherwise)
}

/// How many requests the pool can work on at once, likewise.
pub fn capacity(case: &Case, backend: &Backend) -> Option<usize> {
    Some(workers(case, backend).len() * requests_each(backend)?)
}

/// What a command line gives for an option: `--threads 4`, `--threads=4`.
pub fn option<'a>(arguments: &'a [String], names: &[&str]) -> Option<&'a str> {
    // A process that sets its title has the whole command line in one argument.
    let mut words = arguments.iter().flat_map(|it| it.split_whitespace());
    while let Some(word) = words.next() {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        if names.contains(&name) {
            return value.or_else(|| words.next());
        }
    }
    None
}

/// How many requests the peer had at most under way at the moment when one of the failed ones ended.
pub fn most_at_once(case: &Case) -> usize {
    let peer = case.peer_name();
    let spans: Vec<(f64, f64, bool)> = case
        .scene
        .failures
        .accesses
        .iter()
        .filter(|it| it.last_attempt().and_then(|it| it.addr.as_deref()) == Some(peer.as_str()))
        .filter_map(|it| {
            let end = it.at.as_millisecond() as f64 / 1000.0;
            let took = it.last_attempt().and_then(|it| it.response_time).or(it.request_time)?;
            Some((end - took, end, it.failed()))
        })
        .collect();
    let failed = spans.iter().filter(|it| it.2);
    // Times in logs are whole seconds: what ended in the same second may still have been under way together.
    let at_once = |(_, end, _): &(f64, f64, bool)| {
        spans.iter().filter(|(start, other, _)| *start < end - 0.5 && *other >= end - 0.5).count()
    };
    failed.map(at_once).max().unwrap_or(0)
}

/// Failed paths that the peer answered before the failures, in less than half the time that nginx waits.
pub fn usually_quick(case: &Case) -> Vec<String> {
    let limit = case.scene.pass(case.group).map(|it| it.settings.read_timeout.value.as_secs_f64());
    let before = outage::good_answers(case).filter(|it| it.at <= case.group.first);
    let took = |it: &Access| it.last_attempt().and_then(|it| it.header_time).or(it.request_time);
    let quick = |it: &&Access| took(it).is_some_and(|took| limit.is_some_and(|limit| took < limit / 2.0));
    let quick: Vec<&Access> = before.filter(quick).collect();
    let paths = case.group.paths.iter().map(|(path, _)| path);
    paths.filter(|path| quick.iter().any(|it| it.path == **path)).cloned().collect()
}

/// How full the accept queue is, as a fact; none when nobody waits or it cannot be seen.
pub fn queue_fact(backend: &Backend) -> Option<Fact> {
    let there = backend.listening.as_ref()?;
    let waiting = there.waiting.filter(|it| *it > 0)?;
    let backlog = there.backlog.map(|it| format!(" (backlog {it})")).unwrap_or_default();
    let mut fact = there.fact.clone();
    let connections =
        if waiting == 1 { "1 connection waits".to_owned() } else { format!("{waiting} connections wait") };
    fact.says = format!("{connections} to be accepted at {}{backlog}", there.address);
    Some(fact)
}

/// Whether what a server said at that moment can be about the failures: it says that it is full once, and the failures
/// go on from there.
pub fn at_that_time(case: &Case, at: Timestamp) -> bool {
    at >= case.group.first - SignedDuration::from_secs(60)
        && at <= case.group.last + SignedDuration::from_secs(10)
}

/// The last time the pool said that it is full, near the failures.
pub fn pool_full_event<'s>(case: &Case<'s, '_>, pool: &str) -> Option<&'s Event> {
    let full = |it: &&Event| matches!(&it.kind, EventKind::MaxChildrenReached { pool: of, .. } if of == pool);
    case.scene.events.iter().rev().filter(full).find(|it| at_that_time(case, it.at))
}

/// What a process is doing, as a fact.
pub fn state_fact(case: &Case, processes: &[&Process]) -> Option<Fact> {
    let first = processes.first()?;
    let words = match first.state {
        'T' | 't' => "stopped by a signal (state T)",
        'D' => "in uninterruptible sleep (state D)",
        'R' => "running on a CPU (state R)",
        'Z' => "a zombie (state Z)",
        _ => "asleep (state S)",
    };
    let who = if processes.len() == 1 {
        format!("{} (pid {}) is", first.name, first.pid)
    } else {
        format!("all {} processes of {} are", processes.len(), first.name)
    };
    let waits = if first.wait_channel.is_empty() || first.wait_channel == "0" {
        String::new()
    } else {
        format!(", waiting in {}", first.wait_channel)
    };
    Some(
        case.scene
            .snapshot
            .processes
            .fact("process", format!("{who} {words}{waits}"))
            .reference(format!("/proc/{}/stat", first.pid)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    const LATE: &str = "upstream timed out (110: Connection timed out)";
    const READING: &str = "reading response header from upstream";

    /// Looks at the backend of the first group of failures: timeouts at 127.0.0.1:8000.
    fn look<T>(change: impl FnOnce(&mut Snapshot), look: impl FnOnce(&Case, &Backend) -> T) -> T {
        let line = failed(LATE, READING, "http://127.0.0.1:8000/cart");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line]).with(change);
        with_scene(&host, |scene| {
            let group = &scene.groups[0];
            let backend = Backend::of(scene, group.peer.as_ref().unwrap());
            let case = Case { scene, group, backend: &backend };
            look(&case, backend.as_ref().unwrap())
        })
    }

    #[track_caller]
    fn workers_are(change: impl FnOnce(&mut Snapshot), expected: &[u32]) {
        let pids =
            look(change, |case, backend| workers(case, backend).iter().map(|it| it.pid).collect::<Vec<_>>());
        assert_eq!(pids, expected);
    }

    fn gunicorn(host: &mut Snapshot) {
        serving(host, 300, "/usr/bin/gunicorn --bind 127.0.0.1:8000 shop:app", "127.0.0.1:8000");
    }

    #[test]
    fn a_master_is_no_worker() {
        workers_are(
            |it| {
                gunicorn(it);
                worker(it, 300, 301, 'S');
                worker(it, 300, 302, 'S');
            },
            &[301, 302],
        );
    }

    #[test]
    fn a_program_of_one_process_does_its_own_work() {
        workers_are(gunicorn, &[300]);
    }

    #[test]
    fn a_tool_that_a_program_runs_is_no_worker() {
        let with_tool = |it: &mut Snapshot| {
            serving(it, 300, "/usr/bin/node server.js --port 8000", "127.0.0.1:8000");
            worker(it, 300, 301, 'S');
            process(it, 301, |it| {
                (it.name, it.arguments) = ("convert".into(), vec!["/usr/bin/convert".into()])
            });
        };
        let pids = look(with_tool, |case, backend| {
            workers(case, backend).iter().map(|it| it.pid).collect::<Vec<_>>()
        });
        assert!(pids.contains(&300), "{pids:?}");
    }

    #[test]
    fn one_stuck_worker_of_two_does_not_stop_a_pool() {
        let one = |it: &mut Snapshot| {
            gunicorn(it);
            worker(it, 300, 301, 'D');
            worker(it, 300, 302, 'S');
        };
        assert!(look(one, |case, backend| stuck(case, backend).is_empty()));
        let both = |it: &mut Snapshot| {
            gunicorn(it);
            worker(it, 300, 301, 'D');
            worker(it, 300, 302, 'T');
        };
        assert_eq!(look(both, |case, backend| stuck(case, backend).len()), 2);
    }

    #[test]
    fn a_queue_is_a_fact_only_when_somebody_waits_in_it() {
        let waiting = |count: u32| {
            let change = |it: &mut Snapshot| {
                gunicorn(it);
                queued(it, count);
            };
            look(change, |_, backend| queue_fact(backend).map(|it| it.says))
        };
        assert_eq!(waiting(0), None);
        assert_eq!(
            waiting(1).as_deref(),
            Some("1 connection waits to be accepted at 127.0.0.1:8000 (backlog 511)")
        );
        assert_eq!(
            waiting(2).as_deref(),
            Some("2 connections wait to be accepted at 127.0.0.1:8000 (backlog 511)")
        );
    }

    #[test]
    fn a_greeting_in_another_protocol_is_no_answer_to_ours() {
        use snapshot::Protocol::{Http, Tls};
        let tls = |it: &mut Snapshot| {
            gunicorn(it);
            greeted(it, "127.0.0.1:8000", Http, Answer::Closed);
            greeted(it, "127.0.0.1:8000", Tls, Answer::Spoken);
        };
        assert!(look(tls, |case, _| speaks_otherwise(case) && answers_greeting(case) == Some(false)));
        assert_eq!(look(gunicorn, |case, _| answers_greeting(case)), None);
    }
}
