//! Workers and processes that ended, or were ended, at the moment a request of theirs failed.

use jiff::{SignedDuration, Timestamp};
use nginx_logs::backend::EventKind;

use crate::app::AppKind;
use crate::case::{Blind, Case};
use crate::course;
use crate::events::{self, Event};
use crate::lines;
use crate::outage;
use crate::verdict::{Fact, Factual};
use crate::vitals;

/// How far apart nginx's line and the backend's line about the same end may be: both are written at once, but log
/// stamps are whole seconds and managers notice a dead child on their next tick.
const SAME_MOMENT: SignedDuration = SignedDuration::from_millis(2500);
/// The kernel counts a process's start in hundredths of a second.
const CLOCK_TICK: SignedDuration = SignedDuration::from_millis(20);
/// Fewer failures than this may have hit one page by chance.
const MANY: u64 = 3;

/// What ended a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Death {
    /// The kernel's OOM killer.
    Oom,
    /// The application server's own watchdog.
    Watchdog,
    /// It reached its quota of requests.
    Recycled,
    /// A signal of its own making, an uncaught error, an exit.
    Crash,
    /// Its manager started another one at that moment, and does not say why.
    Replaced,
}

/// Ends near the failures of a group.
pub struct Deaths<'s> {
    /// The kind that counts: the most telling one.
    pub death: Death,
    /// The events of that kind near failures.
    pub events: Vec<&'s Event>,
    /// Failures that have one of them near.
    pub covered: usize,
    /// Failures looked at.
    pub looked_at: usize,
}

impl Deaths<'_> {
    /// Share of the failures that are explained.
    pub fn share(&self) -> f64 {
        if self.looked_at == 0 { 0.0 } else { self.covered as f64 / self.looked_at as f64 }
    }

    /// Whether they explain most of the failures. A backend that drops requests for another reason may lose a worker now
    /// and then as well.
    pub fn explain(&self) -> bool {
        self.share() >= 0.5
    }

    /// The last of the events, as evidence.
    pub fn fact(&self) -> Option<Fact> {
        self.events.last().map(|it| it.fact())
    }
}

/// What an event says about the end of a worker.
fn death_of(event: &Event) -> Option<Death> {
    match &event.kind {
        EventKind::OomKill { .. } | EventKind::UnitOomKill { .. } => Some(Death::Oom),
        EventKind::UnitFailed { result, .. } if result == "oom-kill" => Some(Death::Oom),
        EventKind::WorkerTimeout | EventKind::Harakiri { .. } | EventKind::RequestTimedOut { .. } => {
            Some(Death::Watchdog)
        }
        EventKind::UnitTimedOut { phase, .. } if phase.contains("watchdog") => Some(Death::Watchdog),
        EventKind::WorkerRecycled => Some(Death::Recycled),
        EventKind::WorkerStarted => Some(Death::Replaced),
        EventKind::Segfault { .. } => Some(Death::Crash),
        EventKind::ChildSignalled { signal, .. } if *signal != 15 && *signal != 3 => Some(Death::Crash),
        EventKind::ChildExited { code, .. } if *code != 0 => Some(Death::Crash),
        EventKind::WorkerDied { signal, code, .. } => {
            (*signal != Some(15) && *code != Some(0)).then_some(Death::Crash)
        }
        EventKind::UnitExited { code, status, .. } => {
            let asked = status.starts_with("15/") || status.starts_with("0/") || status == "0";
            (!asked || code == "dumped").then_some(Death::Crash)
        }
        _ => None,
    }
}

/// Whether the end of a worker would have been seen: then that none was found says that there was none.
pub fn would_be_seen(case: &Case) -> Result<(), Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local {
        let remedy = format!("run why502 on the host of {} as well", backend.peer);
        return Err(Blind { what: "the backend's host".into(), why: "it is another one".into(), remedy });
    }
    if let Some((fpm, _)) = backend.pool {
        let log = scene.snapshot.backend_logs.iter().find(|it| it.path == fpm.error_log);
        return match log {
            Some(log) => Blind::of("PHP-FPM's log", &log.lines).map(|_| ()),
            None => scene.journal().map(|_| ()),
        };
    }
    let family = backend.family(scene);
    // Servers replace what ends, and here nothing is younger than the failures.
    if !family.is_empty() && family.iter().all(|it| it.started_at.is_some_and(|at| at < case.group.first)) {
        return Ok(());
    }
    scene.journal().map(|_| ())
}

/// Finds the ends of this backend's workers near the group's failures. A watchdog or the OOM killer explains the signal
/// that a manager reports afterwards, so of several kinds the most telling one counts.
pub fn near<'s>(case: &Case<'s, '_>) -> Result<Option<Deaths<'s>>, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local {
        return Ok(None);
    }
    let family = backend.family(scene);
    let unit = backend.unit(scene).map(|it| it.name.clone());
    let pool = backend.pool.map(|(_, pool)| pool.name.as_str());
    let names: Vec<&str> = family.iter().map(|it| it.name.as_str()).collect();
    // The kernel names a program, and others run the same one: where no process of the backend has begun since, it was none
    // of these.
    let unhurt = |event: &Event| {
        backend.kind != AppKind::PhpFpm
            && !family.is_empty()
            && family.iter().all(|it| it.started_at.is_some_and(|at| at + CLOCK_TICK < event.at))
    };
    let ours = |event: &Event| match &event.kind {
        EventKind::MaxChildrenReached { pool: of, .. }
        | EventKind::ChildSignalled { pool: of, .. }
        | EventKind::ChildExited { pool: of, .. }
        | EventKind::RequestTimedOut { pool: of, .. } => pool == Some(of.as_str()),
        EventKind::OomKill { cgroup, comm, .. } => match (cgroup, &unit) {
            (Some(cgroup), Some(unit)) => cgroup.split('/').any(|it| it == unit),
            _ => !unhurt(event) && names.contains(&comm.as_str()),
        },
        EventKind::Segfault { .. } if unhurt(event) => false,
        EventKind::Segfault { comm } => {
            names.contains(&comm.as_str()) || backend.kind == AppKind::PhpFpm && comm.starts_with("php-fpm")
        }
        _ => {
            unit.as_deref() == Some(event.unit.as_str())
                || event.unit.is_empty() && event.pid.is_some_and(|pid| family.iter().any(|it| it.pid == pid))
        }
    };
    // The first workers after the backend's own start replace nobody.
    let begun =
        family.iter().filter_map(|it| it.started_at).min().filter(|at| *at >= scene.snapshot.window.from);
    let children = family.iter().filter(|it| family.iter().any(|parent| parent.pid == it.ppid)).count();
    let logged = |it: &&Event| it.kind == EventKind::WorkerStarted && it.source != events::PROCESS;
    let starts = scene.events.iter().filter(|it| logged(it) && ours(it));
    let first: Vec<&Event> =
        starts.filter(|it| begun.is_some_and(|at| it.at >= at)).take(children.max(1)).collect();
    let initial = |event: &Event| first.iter().any(|it| std::ptr::eq(*it, event));
    let mut candidates: Vec<(Death, &Event)> = scene
        .events
        .iter()
        .filter(|it| ours(it) && !initial(it))
        .filter_map(|it| Some((death_of(it).or_else(|| gave_up(case, it))?, it)))
        .collect();
    // Recycling goes by the count of requests: it does not choose one page and spare the others.
    if candidates.iter().any(|(it, _)| *it == Death::Recycled)
        && case.group.count >= MANY
        && outage::particular(case)
    {
        candidates.retain(|(it, _)| !matches!(it, Death::Recycled | Death::Replaced));
    }
    let joined: Vec<usize> = case.entries().filter_map(|it| it.access).collect();
    let alone = case.group.accesses.iter().filter(|it| !joined.contains(it));
    let alone = alone.map(|it| scene.failures.accesses[*it].at);
    let mut moments: Vec<Timestamp> = case.entries().map(|it| it.at).chain(alone).collect();
    moments.sort();
    let each = vitals::requests_each(backend).unwrap_or(usize::MAX);
    Ok(most_telling(&candidates, &moments, each))
}

/// The same where nobody looked at the host: any end near the failures that is not of another kind of server.
pub fn by_lines<'s>(case: &Case<'s, '_>) -> Option<Deaths<'s>> {
    let fastcgi = case.group.scheme == "fastcgi";
    let fits = |event: &Event| match &event.kind {
        EventKind::ChildSignalled { .. }
        | EventKind::ChildExited { .. }
        | EventKind::RequestTimedOut { .. } => fastcgi || case.group.scheme.is_empty(),
        EventKind::WorkerTimeout | EventKind::Harakiri { .. } | EventKind::WorkerRecycled => !fastcgi,
        // A start alone says nothing where nobody knows what it replaces.
        EventKind::WorkerStarted => false,
        _ => true,
    };
    let events = case.scene.events.iter().filter(|it| fits(it));
    let mut candidates: Vec<(Death, &Event)> =
        events.filter_map(|it| Some((death_of(it).or_else(|| gave_up(case, it))?, it))).collect();
    // Recycling does not choose one page and spare the others.
    if case.group.count >= MANY && lines::spread(case) == lines::Spread::Particular {
        candidates.retain(|(it, _)| *it != Death::Recycled);
    }
    most_telling(&candidates, &course::moments(case), usize::MAX)
}

fn most_telling<'s>(
    candidates: &[(Death, &'s Event)],
    moments: &[Timestamp],
    each: usize,
) -> Option<Deaths<'s>> {
    let mut best: Option<Deaths> = None;
    for death in [Death::Oom, Death::Watchdog, Death::Recycled, Death::Crash, Death::Replaced] {
        let events: Vec<&Event> =
            candidates.iter().filter(|(it, _)| *it == death).map(|(_, it)| *it).collect();
        let (covered, events) = cover(&events, moments, each);
        // A more telling kind yields only to one that explains far more of the failures.
        if covered > 0 && best.as_ref().is_none_or(|it| covered > 2 * it.covered) {
            best = Some(Deaths { death, events, covered, looked_at: moments.len() });
        }
    }
    best
}

/// Where nothing tells how a worker ended: the first process of the backend that is younger than a failure, as evidence that
/// another one ended.
pub fn replaced(case: &Case) -> Option<Fact> {
    let scene = case.scene;
    let backend = case.backend.as_ref().ok().filter(|it| it.local)?;
    let second = SignedDuration::from_secs(1);
    let family = backend.family(scene);
    let begun = family.iter().filter_map(|it| it.started_at).min()?;
    // All of it is younger than the first failure, or one worker is that began right after some failure.
    let after = |at: Timestamp| {
        let near = |it: Timestamp| at > it && at.duration_since(it) < SAME_MOMENT + second;
        begun > case.group.first + second || at > begun + second && case.entries().any(|it| near(it.at))
    };
    let young = family.iter().filter(|it| it.started_at.is_some_and(after)).min_by_key(|it| it.started_at)?;
    let at = young.started_at?;
    let says = format!("{} (pid {}) began at {}, after a failure", young.name, young.pid, scene.clock(at));
    let reference = format!("/proc/{}/stat", young.pid);
    Some(scene.snapshot.processes.fact("process", says).reference(reference).at(at))
}

/// How many of the failures the ends explain, and the ends that are near one. The end of one worker explains the requests
/// that this worker was serving, `each` of them at most; the end of a whole service explains all.
fn cover<'s>(events: &[&'s Event], moments: &[Timestamp], each: usize) -> (usize, Vec<&'s Event>) {
    let mut taken = vec![false; moments.len()];
    let mut near = Vec::new();
    for event in events {
        let most = if is_whole_service(event) { usize::MAX } else { each };
        let beside: Vec<usize> =
            (0..moments.len()).filter(|it| event.near(moments[*it], SAME_MOMENT)).collect();
        if !beside.is_empty() {
            near.push(*event);
        }
        let free: Vec<usize> = beside.into_iter().filter(|it| !taken[*it]).take(most).collect();
        free.into_iter().for_each(|it| taken[it] = true);
    }
    (taken.iter().filter(|it| **it).count(), near)
}

fn is_whole_service(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::UnitExited { .. } | EventKind::UnitFailed { .. } | EventKind::UnitTimedOut { .. }
    )
}

/// Node.js ends with its version as its last word when nobody caught an error.
fn gave_up(case: &Case, event: &Event) -> Option<Death> {
    let EventKind::UncaughtError { .. } = event.kind else { return None };
    let journal = case.scene.snapshot.journal.value()?;
    let after = |at: Timestamp| at >= event.at && at.duration_since(event.at) < SignedDuration::from_secs(1);
    let mut last = journal.iter().filter(|it| it.unit == event.unit && after(it.at));
    last.any(|it| it.message.starts_with("Node.js v")).then_some(Death::Crash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Backend;
    use crate::testing::*;
    use snapshot::Snapshot;

    const CLOSED: &str = "upstream prematurely closed connection";
    const READING: &str = "reading response header from upstream";

    /// gunicorn hung up four times, 13 to 10 seconds before the collection. What ended its workers then, how many of
    /// the failures that covers.
    #[track_caller]
    fn ended(change: impl FnOnce(&mut Snapshot), expected: Option<(Death, usize)>) {
        let line = failed(CLOSED, READING, "http://127.0.0.1:8000/cart");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[line.as_str(); 4]).with(|it| {
            serving(it, 300, "/usr/bin/gunicorn --bind 127.0.0.1:8000 shop:app", "127.0.0.1:8000");
            worker(it, 300, 301, 'S');
        });
        let found = with_scene(&host.with(change), |scene| {
            let group = &scene.groups[0];
            let backend = Backend::of(scene, group.peer.as_ref().unwrap());
            near(&Case { scene, group, backend: &backend }).unwrap().map(|it| (it.death, it.covered))
        });
        assert_eq!(found, expected);
    }

    fn died(host: &mut Snapshot, seconds: i64, signal: i32) {
        let line = format!(
            "[2026-05-02 13:03:00 +0000] [300] [WARNING] Worker with pid 301 was terminated due to signal {signal}"
        );
        journal(host, "gunicorn-300.service", &[(seconds, "gunicorn", &line)]);
    }

    #[test]
    fn an_end_within_two_seconds_belongs_to_a_failure() {
        ended(|it| died(it, 8, 11), Some((Death::Crash, 1)));
        ended(|it| died(it, 7, 11), None);
    }

    #[test]
    fn a_program_that_a_supervisor_started_anew_replaces_the_one_that_hung_up() {
        let started = |seconds: i64| {
            move |it: &mut Snapshot| {
                worker(it, 300, 290, 'S');
                process(it, 290, |it| (it.ppid, it.started_at) = (1, Some(ago(86_400))));
                process(it, 300, |it| (it.ppid, it.started_at) = (290, Some(ago(seconds))));
            }
        };
        ended(started(9), Some((Death::Replaced, 1)));
        ended(started(600), None);
    }

    #[test]
    fn a_worker_that_was_told_to_end_did_not_die() {
        ended(|it| died(it, 10, 15), None);
    }

    #[test]
    fn the_watchdog_explains_the_signal_that_follows() {
        let both = |it: &mut Snapshot| {
            let late = "[2026-05-02 13:03:00 +0000] [300] [CRITICAL] WORKER TIMEOUT (pid:301)";
            journal(it, "gunicorn-300.service", &[(11, "gunicorn", late)]);
            died(it, 10, 9);
        };
        ended(both, Some((Death::Watchdog, 1)));
    }

    #[test]
    fn one_recycled_worker_does_not_hide_a_row_of_crashes() {
        let both = |it: &mut Snapshot| {
            let quota =
                "[2026-05-02 13:02:55 +0000] [301] [INFO] Autorestarting worker after current request.";
            journal(it, "gunicorn-300.service", &[(15, "gunicorn", quota)]);
            died(it, 13, 11);
            died(it, 12, 11);
            died(it, 11, 11);
        };
        ended(both, Some((Death::Crash, 3)));
    }

    #[test]
    fn a_segfault_counts_by_the_name_of_the_program() {
        let fault = |comm: &str| {
            format!("{comm}[301]: segfault at 0 ip 000055d sp 00007ff error 4 in libfoo.so[55d+4]")
        };
        let replaced = |it: &mut Snapshot| process(it, 301, |it| it.started_at = Some(ago(9)));
        let faulted = |comm| {
            move |it: &mut Snapshot| {
                kernel(it, 10, &fault(comm));
                replaced(it);
            }
        };
        ended(faulted("gunicorn"), Some((Death::Crash, 1)));
        ended(faulted("convert"), None);
        // Somebody else's gunicorn: the processes of this one are all as old as ever.
        ended(|it| kernel(it, 10, &fault("gunicorn")), None);
    }

    #[test]
    fn a_kill_in_another_cgroup_is_not_ours_even_with_the_same_name() {
        let line = |unit: &str| {
            format!(
                "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/{unit},\
                 task_memcg=/system.slice/{unit},task=gunicorn,pid=77,uid=0"
            )
        };
        ended(|it| kernel(it, 10, &line("blog.service")), None);
        ended(|it| kernel(it, 10, &line("gunicorn-300.service")), Some((Death::Oom, 1)));
    }

    #[test]
    fn the_end_of_the_whole_service_ends_every_request_of_it() {
        let end = "gunicorn-300.service: Main process exited, code=killed, status=11/SEGV";
        ended(|it| journal(it, "gunicorn-300.service", &[(11, "systemd", end)]), Some((Death::Crash, 4)));
    }

    #[test]
    fn workers_with_threads_take_several_requests_along() {
        let threads = |it: &mut Snapshot| {
            process(it, 300, |it| it.arguments.extend(["--threads".to_owned(), "8".to_owned()]));
            died(it, 11, 11);
        };
        ended(threads, Some((Death::Crash, 4)));
    }

    #[test]
    fn recycling_does_not_choose_one_page_and_spare_the_others() {
        let quota = "[2026-05-02 13:02:55 +0000] [301] [INFO] Autorestarting worker after current request.";
        let recycled = |it: &mut Snapshot| {
            let unit = "gunicorn-300.service";
            for seconds in 10..14 {
                journal(it, unit, &[(seconds, "gunicorn", quota)]);
            }
        };
        ended(recycled, Some((Death::Recycled, 4)));
        let bad = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8000", "502", "0.010");
        let good = ("GET / HTTP/1.1", 200, "127.0.0.1:8000", "200", "0.004");
        let spared = |it: &mut Snapshot| {
            recycled(it);
            *it = requested(it.clone(), &[good, bad, good, bad, good, bad, good, bad]);
        };
        ended(spared, None);
    }
}
