//! How it went with one peer over time, as its failures and its answers tell: whether it had answered before, whether it
//! has since, and how often it turned in between. From log lines and the sums over them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use snapshot::Peer;

use crate::case::Case;
use crate::failure::Access;
use crate::outage;

/// A service is not restarted that often within moments.
const MANY_TURNS: usize = 4;

/// How it went with one peer over time.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// It had answered before the first failure.
    pub before: bool,
    /// It answered after the last one.
    pub since: bool,
    /// Answers between failures.
    pub between: u64,
    /// Rows of failures without an answer between: from, to, how many.
    pub outages: Vec<(Timestamp, Timestamp, u64)>,
    /// Whether answers would have been seen: an access log is there.
    pub seen: bool,
    /// Answers and failures alternate so fast that two servers of a group must give them; which, the log does not tell.
    pub mixed: bool,
}

impl Course {
    /// The longest row of failures.
    pub fn longest(&self) -> SignedDuration {
        self.outages.iter().map(|(from, to, _)| to.duration_since(*from)).max().unwrap_or_default()
    }
}

/// Each failure of a group.
pub fn moments(case: &Case) -> Vec<Timestamp> {
    let joined: BTreeSet<usize> = case.entries().filter_map(|it| it.access).collect();
    let accesses = &case.scene.failures.accesses;
    let alone = case.group.accesses.iter().filter(|it| !joined.contains(it)).map(|it| accesses[*it].at);
    let mut moments: Vec<Timestamp> = case.entries().map(|it| it.at).chain(alone).collect();
    moments.sort();
    moments
}

/// Requests that the peer answered well, as far as lines show. Where a log tells nothing of upstreams, those that went well
/// in the same part of the site.
pub fn good<'s>(case: &Case<'s, '_>) -> Vec<&'s Access> {
    let own: Vec<&Access> = outage::good_answers(case).filter(|it| it.tells_upstream).collect();
    if !own.is_empty() {
        return own;
    }
    let parts: BTreeSet<&str> = case.group.paths.iter().map(|(it, _)| part(it)).collect();
    untold(case).filter(|it| parts.contains(part(&it.path))).collect()
}

/// The first segment of a path.
pub fn part(path: &str) -> &str {
    let end = path.get(1..).and_then(|it| it.find('/')).map_or(path.len(), |it| it + 1);
    &path[..end]
}

/// Requests that went well, and were hardly files, in logs that tell nothing of upstreams.
pub fn untold<'s>(case: &Case<'s, '_>) -> impl Iterator<Item = &'s Access> {
    let well = |it: &&Access| (100..400).contains(&it.status) && !it.tells_upstream && !is_file(&it.path);
    case.scene.failures.accesses.iter().filter(well)
}

/// Whether a path looks like that of a file which nginx serves by itself.
pub fn is_file(path: &str) -> bool {
    const FILES: &[&str] = &[
        "css", "js", "mjs", "map", "png", "jpg", "jpeg", "gif", "svg", "ico", "webp", "avif", "woff",
        "woff2", "ttf", "txt", "html", "mp4", "pdf",
    ];
    path.rsplit_once('.').is_some_and(|(_, ending)| FILES.contains(&ending))
}

/// A place in the order of what happened: stamps are whole seconds, and within one the lines of a log keep their order.
type Moment = (Timestamp, Option<usize>);

fn is_before(a: Moment, b: Moment) -> bool {
    a.0 < b.0 || a.0 == b.0 && a.1.zip(b.1).is_some_and(|(a, b)| a < b)
}

/// Each failure of a group, with its request's place in the access log.
fn ordered(case: &Case) -> Vec<Moment> {
    let accesses = &case.scene.failures.accesses;
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    let mut all: Vec<Moment> = Vec::new();
    for entry in case.entries() {
        match entry.access {
            Some(index) => {
                if seen.insert(index) {
                    all.push((accesses[index].at, Some(index)));
                }
            }
            None => all.push((entry.at, None)),
        }
    }
    let alone = case.group.accesses.iter().filter(|it| !seen.contains(it));
    all.extend(alone.map(|it| (accesses[*it].at, Some(*it))));
    all.sort();
    all
}

/// The course of a group's failures.
pub fn of<'s>(case: &Case<'s, '_>) -> &'s Course {
    case.group.course.get_or_init(|| follow(case))
}

fn follow(case: &Case) -> Course {
    let group = case.group;
    let all = &case.scene.failures.accesses;
    let place = |it: &Access| -> Moment {
        let from = all.partition_point(|other| other.at < it.at);
        (it.at, all[from..].iter().position(|other| std::ptr::eq(other, it)).map(|at| from + at))
    };
    let mut good: Vec<Moment> = good(case).iter().map(|it| place(it)).collect();
    good.extend(quiet_steps(case));
    good.sort();
    let failures = ordered(case);
    let seen = !good.is_empty() || case.accesses().next().is_some();
    let mut course = Course { seen, ..Course::default() };
    let (Some(first), Some(last)) = (failures.first(), failures.last()) else { return course };
    for it in &good {
        let (before, since) = (is_before(*it, *first), is_before(*last, *it));
        course.before |= before;
        course.since |= since;
        let inside = is_before(*first, *it) && is_before(*it, *last);
        course.between += u64::from(inside);
    }
    let peer = group.peer.as_ref().map(Peer::to_string).unwrap_or_default();
    let alike = |path: &str| group.paths.iter().any(|(it, _)| part(it) == part(path));
    for it in case.scene.successes() {
        if it.upstream == peer && !peer.is_empty() || it.upstream.is_empty() && alike(&it.path) {
            course.seen = true;
            course.before |= it.first_at.is_some_and(|at| at < group.first);
            course.since |= it.last_at.is_some_and(|at| at > group.last);
        }
    }
    let mut previous: Option<Moment> = None;
    for it in failures {
        let next = previous.map_or(0, |previous| good.partition_point(|good| *good <= previous));
        let apart = good.get(next).is_some_and(|good| is_before(*good, it));
        match course.outages.last_mut().filter(|_| !apart) {
            Some((_, to, count)) => {
                *to = it.0;
                *count += 1;
            }
            None => course.outages.push((it.0, it.0, 1)),
        }
        previous = Some(it);
    }
    let told = good_is_told(case);
    let quick = course.longest() <= SignedDuration::from_secs(2);
    if !told && quick && course.outages.len() >= MANY_TURNS && course.between + 1 >= MANY_TURNS as u64 {
        course = Course { seen: false, mixed: true, ..Course::default() };
    }
    course
}

/// Steps of time in which requests came and none failed, where there is but one upstream: of a long log, only a few of the
/// requests that went well are kept.
fn quiet_steps(case: &Case) -> Vec<Moment> {
    let Some(traffic) = &case.scene.snapshot.traffic else { return Vec::new() };
    let own: u64 =
        traffic.upstreams.iter().filter(|it| it.address == "-").flat_map(|it| it.finals.values()).sum();
    let mut asked = traffic.upstreams.iter().filter(|it| it.address != "-");
    let only = asked.next().filter(|_| asked.next().is_none()).map(|it| it.address.as_str());
    let peer = case.group.peer.as_ref().map(Peer::to_string);
    if only.is_none() || only != peer.as_deref() || own * 20 > traffic.requests {
        return Vec::new();
    }
    let half = SignedDuration::from_secs(i64::from(traffic.step_seconds) / 2);
    let quiet = traffic.steps.iter().filter(|it| it.requests > 0 && it.failed == 0);
    quiet.map(|it| (it.at + half, None)).collect()
}

/// Whether the log tells which answers are the peer's.
pub fn good_is_told(case: &Case) -> bool {
    outage::good_answers(case).any(|it| it.tells_upstream) || case.accesses().any(|it| it.tells_upstream)
}
