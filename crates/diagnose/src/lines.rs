//! What log lines alone say: what other programs logged beside the failures, and how causes that fit the same lines share the
//! probability. How it went over time is told by `course`. Nothing here is asked where a host was looked at.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use nginx_logs::Symptom;
use nginx_logs::backend::EventKind;
use nginx_logs::error::Level;
use snapshot::Peer;

use crate::case::{Case, plural, times};
use crate::cause::Cause;
use crate::causes::CAUSES;
use crate::course::{self, good, good_is_told, is_file, moments, part, untold};
use crate::events::Event;
use crate::failure::{Access, Failure, Notice};
use crate::groups::FailureGroup;
use crate::outage;
use crate::report::{BlindSpot, Certainty, Finding, Fix, RuledOut};
use crate::scene::Scene;
use crate::verdict::{Fact, Found, possible};

/// The command that looks at what lines do not show.
const LOOK: &str = "why502 diagnose";

/// Lines alone leave that much room for a cause that nobody thought of.
const MOST_SURE: f64 = 0.9;
/// So many are listed, however much surer the first of them is.
const FIRST_CANDIDATES: usize = 3;
/// Of the others, what is less probable than that is not worth reading.
const LEAST: f64 = 0.03;
/// Nor is what is so much less probable than the first.
const LEAST_SHARE: f64 = 0.1;
/// More candidates for the same failures than that help nobody to choose.
const MOST_CANDIDATES: usize = 5;

/// A cause that fits the lines of a group, as probable as that beside the others.
pub fn fits(case: &Case, confidence: f64, summary: impl Into<String>) -> Found {
    possible(summary).confidence(confidence).supporting(case.failures_fact())
}

/// The candidates for one group: they are exclusive, so that their probabilities add up to less than one. One that the
/// lines prove stands alone.
pub fn weigh(
    mut found: Vec<(&'static Cause, Found)>,
    mut ruled_out: Vec<RuledOut>,
) -> Vec<(&'static Cause, Found, Vec<RuledOut>)> {
    found.sort_by(|(_, a), (_, b)| b.certainty.cmp(&a.certainty).then(b.confidence.total_cmp(&a.confidence)));
    if found.first().is_some_and(|(_, it)| it.certainty == Certainty::Confirmed) {
        let (cause, mut best) = found.remove(0);
        ruled_out.splice(0..0, best.ruled_out.drain(..));
        return vec![(cause, best, ruled_out)];
    }
    let sum: f64 = found.iter().map(|(_, it)| it.confidence).sum();
    let scale = if sum > MOST_SURE { MOST_SURE / sum } else { 1.0 };
    let mut ruled_out = Some(ruled_out);
    let scaled = found.into_iter().map(|(cause, mut it)| {
        it.confidence *= scale;
        it.certainty = if it.confidence >= 0.5 { Certainty::Likely } else { Certainty::Possible };
        (cause, it)
    });
    let scaled: Vec<(&'static Cause, Found)> = scaled.collect();
    let least = scaled.first().map_or(LEAST, |(_, it)| (it.confidence * LEAST_SHARE).max(LEAST));
    let worth = |(index, (_, it)): &(usize, (_, Found))| *index < FIRST_CANDIDATES || it.confidence >= least;
    let kept = scaled.into_iter().enumerate().filter(worth).take(MOST_CANDIDATES);
    kept.map(|(_, (cause, mut it))| {
        let mut excluded = std::mem::take(&mut it.ruled_out);
        excluded.extend(ruled_out.take().unwrap_or_default());
        (cause, it, excluded)
    })
    .collect()
}

/// That only lines were read, in place of everything else that was not.
pub fn the_host() -> BlindSpot {
    BlindSpot {
        what: "the host itself".into(),
        why: "only log lines were read: no process, socket, unit or setting".into(),
        costs: Vec::new(),
        remedy: format!("run `{LOOK}` on the host"),
    }
}

/// Why lines without a failure are no sign of health, if so: there are none of nginx.
pub fn too_little(scene: &Scene) -> Option<&'static str> {
    let of_nginx = scene.snapshot.logs.iter().filter_map(|it| it.lines.value());
    let read = of_nginx.map(|it| it.read_total.max(it.lines.len() as u64)).sum::<u64>();
    let counted = scene.snapshot.traffic.as_ref().map_or(0, |it| it.requests);
    (read == 0 && counted == 0).then_some("no line of nginx was read")
}

/// The answer on logs in which nothing failed.
pub fn well(scene: &Scene) -> String {
    let window = scene.snapshot.window;
    let span = format!("between {} and {}", scene.clock(window.from), scene.clock(window.to));
    match scene.requests_total() {
        Some(total) => format!("{} {span}, no gateway failure", plural(total, "request")),
        None => format!("No gateway failure was logged {span}"),
    }
}

/// What to run on the host, where only lines were read.
pub fn next_look(scene: &Scene) -> Option<String> {
    scene.snapshot.is_of_logs().then(|| LOOK.to_owned())
}

/// Whether a further look would make it surer.
pub fn is_guess(scene: &Scene, certainty: Certainty) -> bool {
    certainty == Certainty::Possible || scene.snapshot.is_of_logs() && certainty < Certainty::Confirmed
}

/// The events near failures that tell of such a thing: the last one, and how many of the failures have one near.
pub struct Told<'s> {
    pub event: &'s Event,
    pub covered: usize,
    pub of: usize,
}

impl Told<'_> {
    /// The share of failures that have one near.
    pub fn share(&self) -> f64 {
        self.covered as f64 / self.of.max(1) as f64
    }
}

/// Looks for events within `span` of the failures.
pub fn told<'s>(
    case: &Case<'s, '_>,
    span: SignedDuration,
    tells: impl Fn(&EventKind) -> bool,
) -> Option<Told<'s>> {
    let events: Vec<&Event> = case.scene.events.iter().filter(|it| tells(&it.kind)).collect();
    let moments = moments(case);
    let near = |at: Timestamp| events.iter().any(|it| it.near(at, span));
    let covered = moments.iter().filter(|at| near(**at)).count();
    let event = events.iter().rev().find(|it| moments.iter().any(|at| it.near(*at, span)))?;
    Some(Told { event, covered, of: moments.len() })
}

/// That such a word stands in one of the group's entries.
pub fn says(case: &Case, words: &[&str]) -> bool {
    case.entries().any(|entry| words.iter().any(|it| entry.message.contains(it)))
}

/// A fact about the course of the failures, from the logs of nginx.
pub fn course_fact(case: &Case, says: impl Into<String>) -> Fact {
    let reference = case.accesses().next_back().map(|it| it.reference.clone());
    let reference = reference.or_else(|| case.entries().next_back().map(|it| it.reference.clone()));
    let kind = if case.accesses().next().is_some() { "access-log" } else { "error-log" };
    Fact::new(kind, says).reference(reference.unwrap_or_default())
}

/// Where a peer is, as its address tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On nginx's own host, or in its container.
    Here,
    /// In a private network.
    Near,
    /// Anywhere.
    Far,
}

/// Where the peer of a case is.
pub fn place(case: &Case) -> Place {
    match case.peer() {
        Some(Peer::Unix(_)) => Place::Here,
        Some(Peer::Tcp(it)) if it.ip().is_loopback() => Place::Here,
        Some(Peer::Name { host, .. }) if host == "localhost" => Place::Here,
        Some(Peer::Tcp(it)) => match it.ip() {
            std::net::IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => Place::Near,
            std::net::IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Place::Near,
            _ => Place::Far,
        },
        _ => Place::Far,
    }
}

/// How the failures of a group are spread over what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// A few paths fail, and others are answered meanwhile.
    Particular,
    /// Few paths, and no answer is seen that would tell whether others are well.
    FewPaths,
    /// The same paths are answered at other times, or many paths fail.
    General,
}

/// How they are spread.
pub fn spread(case: &Case) -> Spread {
    let paths = &case.group.paths;
    let few = paths.len() <= 3 || (paths.len() as u64) * 4 <= case.group.count;
    if !few || paths.is_empty() {
        return Spread::General;
    }
    let answered = |path: &str| paths.iter().any(|(it, _)| it == path);
    let good: Vec<&Access> =
        outage::good_answers(case).filter(|it| it.tells_upstream).chain(untold(case)).collect();
    let same = good.iter().filter(|it| answered(&it.path)).count();
    let others = good.len() - same;
    let peer = case.group.peer.as_ref().map(Peer::to_string).unwrap_or_default();
    let counted = case
        .scene
        .successes()
        .filter(|it| it.upstream == peer || it.upstream.is_empty() && !is_file(&it.path));
    let (mut same, mut others) = (same as u64, others as u64);
    for it in counted {
        if answered(&it.path) { same += it.count } else { others += it.count }
    }
    match (others, same) {
        (1.., 0) => Spread::Particular,
        (0, 0) => Spread::FewPaths,
        _ => Spread::General,
    }
}

/// Seconds that the failed tries took, the shortest first.
pub fn durations(case: &Case) -> Vec<f64> {
    let last = |it: &Access| it.last_attempt().and_then(|it| it.response_time).or(it.request_time);
    let mut times: Vec<f64> = case.accesses().filter_map(last).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Whether the peer hung up on a request, or reset it, shortly before connections were refused.
pub fn cut_before(case: &Case) -> bool {
    use nginx_logs::Symptom::*;
    let cut = |it: &&Failure| {
        it.peer.as_ref() == case.peer()
            && matches!(it.symptom, PrematureClose | ReadReset | BodyShort | SendFailed)
    };
    let outages = &course::of(case).outages;
    let near = |at: Timestamp| {
        outages.iter().any(|(from, ..)| *from >= at - outage::NEAR && from.duration_since(at) <= outage::NEAR)
    };
    case.scene.failures.entries.iter().filter(cut).any(|it| near(it.at))
}

/// How the peer answered before and after, as evidence; none where no log tells.
pub fn course_of_answers(case: &Case) -> Option<Fact> {
    let course = course::of(case);
    let peer = case.peer_name();
    let says = match (course.seen, course.before, course.between > 0, course.since) {
        (false, ..) => return None,
        (_, false, false, false) => format!("{peer} answered nothing in these logs"),
        (_, true, false, false) => format!("{peer} answered until the first failure, and not since"),
        (_, false, false, true) => format!("{peer} answers since the last failure, and not before the first"),
        (_, _, false, true) => format!("{peer} answered before and after, and nothing in between"),
        (_, _, true, _) => format!("{peer} answered {} times between the failures", course.between),
    };
    Some(course_fact(case, says))
}

/// The command that shows who listens at the peer's address.
pub fn who_listens(case: &Case) -> String {
    match case.peer() {
        Some(Peer::Tcp(it)) => format!("ss -ltnp 'sport = :{}'", it.port()),
        Some(Peer::Name { port, .. }) if *port > 0 => format!("ss -ltnp 'sport = :{port}'"),
        Some(Peer::Unix(_)) => "ss -lxp".to_owned(),
        _ => "ss -ltnp".to_owned(),
    }
}

/// An event in its line's own words, short.
pub fn quote(event: &Event) -> String {
    let says = event.fact().says;
    match says.char_indices().nth(120) {
        Some((at, _)) => format!("{}…", &says[..at]),
        None => says,
    }
}

/// Whether an event is near one of the failures.
pub fn told_near(case: &Case, event: &Event) -> bool {
    moments(case).iter().any(|at| event.near(*at, outage::NEAR))
}

/// Whether the peer refused connections right after one of these failures.
pub fn refused_after(case: &Case) -> bool {
    use nginx_logs::Symptom::*;
    let moments = moments(case);
    let refused = case.scene.failures.entries.iter().filter(|it| {
        it.peer.as_ref() == case.peer() && matches!(it.symptom, ConnectRefused | ConnectSocketMissing)
    });
    refused
        .into_iter()
        .any(|it| moments.iter().any(|at| it.at >= *at && it.at.duration_since(*at) <= outage::NEAR))
}

/// The length that durations have in common, within a twentieth of it, if they have one; one alone has it with the full
/// seconds that people write down.
pub fn even(durations: &[f64]) -> Option<f64> {
    let (first, last) = (durations.first()?, durations.last()?);
    let middle = durations[durations.len() / 2];
    let round = |it: f64| it >= 1.0 && (it / 5.0 - (it / 5.0).round()).abs() * 5.0 < 0.3;
    (last - first <= middle / 20.0 + 0.2 && (durations.len() > 1 || round(middle))).then_some(middle)
}

/// How the failures are spread over what was asked for, as evidence.
pub fn spread_fact(case: &Case) -> Option<Fact> {
    let paths = case.paths()?;
    match spread(case) {
        Spread::Particular => {
            Some(course_fact(case, format!("only {paths} failed, and others were answered")))
        }
        Spread::General if course::of(case).between > 0 => {
            Some(course_fact(case, format!("{paths} failed, and the same was answered at other times")))
        }
        _ => None,
    }
}

/// PHP-FPM's word that a pool was full around the failures, and the share of failures near it. It says so once, and again
/// only after it had idle children.
pub fn pool_full<'s>(case: &Case<'s, '_>) -> Option<(&'s Event, f64)> {
    if !matches!(case.group.scheme.as_str(), "fastcgi" | "") {
        return None;
    }
    let told =
        told(case, SignedDuration::from_secs(60), |it| matches!(it, EventKind::MaxChildrenReached { .. }))?;
    Some((told.event, told.share()))
}

/// The failure that may have put a server of the group aside: the last one of the same site before a request that found
/// none.
pub fn ejected_before<'s>(scene: &'s Scene, group: &FailureGroup) -> Option<&'s Failure> {
    let ejects = |it: &&Failure| {
        it.symptom != Symptom::NoLiveUpstreams
            && it.peer.is_some()
            && !matches!(it.peer, Some(Peer::Group(_)))
            && it.at <= group.last
            && it.server == group.server
    };
    scene.failures.entries.iter().rfind(ejects)
}

/// The same, and how long before the last request that found none.
pub fn ejected_by<'s>(case: &Case<'s, '_>) -> Option<(&'s Failure, SignedDuration)> {
    let failure = ejected_before(case.scene, case.group)?;
    Some((failure, case.group.last.duration_since(failure.at)))
}

/// Whether any server of the same site answered between the failures.
pub fn answered_meanwhile(case: &Case) -> bool {
    let inside = |at: Timestamp| at >= case.group.first && at <= case.group.last;
    let parts: BTreeSet<&str> = case.group.paths.iter().map(|(it, _)| part(it)).collect();
    case.scene.failures.accesses.iter().any(|it| {
        inside(it.at) && (100..500).contains(&it.status) && it.status != 499 && parts.contains(part(&it.path))
    })
}

/// Whether anything tells that the peer answers at all; in a log that does not tell of upstreams, any answer may.
pub fn ever_answered(case: &Case) -> bool {
    let course = course::of(case);
    course.before
        || course.since
        || course.between > 0
        || course.mixed
        || !good_is_told(case) && untold(case).next().is_some()
}

/// Whether failures came in rows of that many or more, without an answer between.
pub fn in_rows(case: &Case, of: u64) -> bool {
    course::of(case).outages.iter().any(|(.., count)| *count >= of)
}

/// Whether what failed are PHP scripts by their names.
pub fn asks_for_scripts(case: &Case) -> bool {
    let paths = &case.group.paths;
    !paths.is_empty() && paths.iter().all(|(it, _)| it.contains(".php"))
}

/// Whether the rows of failures came after a pause of all requests to the peer, in which connections lay idle.
pub fn after_pauses(case: &Case) -> bool {
    const PAUSE: SignedDuration = SignedDuration::from_secs(2);
    let rows = &course::of(case).outages;
    let good: Vec<Timestamp> = good(case).iter().map(|it| it.at).collect();
    let paused = |from: Timestamp| {
        let last = good.iter().copied().filter(|at| *at < from).max();
        last.is_some_and(|at| from.duration_since(at) >= PAUSE)
    };
    let after = rows.iter().filter(|(from, ..)| paused(*from)).count();
    !rows.is_empty() && after * 2 > rows.len()
}

/// That nginx loaded a configuration between the last good answer of the peer and the first failure.
pub fn reloaded_before<'s>(case: &Case<'s, '_>) -> Option<&'s Notice> {
    const LOADS: &[&str] =
        &["signal process started", "reconfiguring", "start worker processes", "using the \""];
    let second = SignedDuration::from_secs(1);
    let first = case.group.first;
    let last_good = good(case).iter().map(|it| it.at).filter(|at| *at <= first).max();
    let from = last_good.unwrap_or(first - SignedDuration::from_secs(10));
    let loads = |it: &&Notice| LOADS.iter().any(|words| it.message.starts_with(words));
    case.scene
        .failures
        .notices
        .iter()
        .filter(loads)
        .rfind(|it| it.at + second >= from && it.at <= first + second)
}

/// What nginx said when it refused a configuration shortly before the failures, or during them.
pub fn refused_reload<'s>(case: &Case<'s, '_>) -> Option<&'s Notice> {
    let from = good(case).iter().map(|it| it.at).filter(|at| *at <= case.group.first).max();
    let from = from.unwrap_or(case.group.first - SignedDuration::from_secs(300));
    case.scene.failures.notices.iter().rfind(|it| {
        is_refusal(it) && it.at + SignedDuration::from_secs(1) >= from && it.at <= case.group.last
    })
}

fn is_refusal(notice: &Notice) -> bool {
    notice.level == Level::Emerg && !notice.message.starts_with("still could not")
}

/// The same as evidence.
pub fn reload_fact(case: &Case) -> Option<Fact> {
    let notice = reloaded_before(case)?;
    let says = format!("nginx loaded a configuration just before the first failure: \"{}\"", notice.message);
    Some(Fact::new("error-log", says).reference(notice.reference.clone()).at(notice.at))
}

/// Causes that other programs tell of by themselves, where no line of nginx was given: what that did to clients is not
/// known, nor whether nginx has to do with them at all.
pub fn told_alone(scene: &Scene) -> Vec<(&'static Cause, Found)> {
    if !scene.snapshot.is_of_logs() || too_little(scene).is_none() {
        return Vec::new();
    }
    let tells = |cause: &&'static Cause| {
        let told_by = cause.told_by?;
        let events: Vec<&Event> = scene.events.iter().filter(|it| told_by(&it.kind)).collect();
        let last = events.last()?;
        let summary = format!("{}, {}", quote(last), times(events.len() as u64));
        let shown = events.iter().rev().take(3).rev().map(|it| it.fact());
        Some((*cause, possible(summary).confidence(0.5).supporting_each(shown)))
    };
    let mut found: Vec<(&Cause, Found)> = CAUSES.iter().filter_map(tells).collect();
    // A kill of nginx's own is no matter of a backend.
    let of_nginx = |it: &EventKind| matches!(it, EventKind::OomKill { comm, .. } if comm == "nginx");
    if scene.events.iter().any(|it| of_nginx(&it.kind)) {
        found.retain(|(cause, _)| cause.id != "backend-oom-killed");
    }
    found
}

/// A configuration that nginx refused, where no request failed: what is in force is the old one, until nginx has to start.
pub fn refused_alone(scene: &Scene) -> Option<(&'static Cause, Found)> {
    if !scene.snapshot.is_of_logs() {
        return None;
    }
    let refused = scene.failures.notices.iter().rfind(|it| is_refusal(it))?;
    let cause = CAUSES.iter().find(|it| it.id == "config-reload-failed")?;
    let fact =
        Fact::new("error-log", refused.message.clone()).reference(refused.reference.clone()).at(refused.at);
    let summary = format!("nginx refused a configuration: {}", refused.message);
    let fix = Fix::repair("Mend what nginx complains of, then reload it").run("nginx -t && nginx -s reload");
    Some((*cause, possible(summary).confidence(0.7).supporting(fact).fix(fix)))
}

/// Whether it is a session of the stream module: bytes both ways, and no request.
pub fn is_stream(case: &Case) -> bool {
    case.entries().any(|it| it.action.contains("proxying"))
}

/// Whether the peer had answered already: what broke off is the body.
pub fn is_late(case: &Case) -> bool {
    case.group.symptom == Symptom::BodyShort || case.entries().any(|it| it.action == "reading upstream")
}

/// Whether the last evidence of a finding without any failed request is from the end of the logs.
pub fn is_recent(scene: &Scene, finding: &Finding) -> bool {
    let last = finding.evidence.iter().filter_map(|it| it.at).max();
    last.is_some_and(|it| scene.now().duration_since(it) < SignedDuration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, Verdict};
    use crate::testing::*;
    use snapshot::{Reading, Snapshot};

    const REFUSED: &str = "connect() failed (111: Connection refused)";
    const LATE: &str = "upstream timed out (110: Connection timed out)";
    const CLOSED: &str = "upstream prematurely closed connection";
    const RESET: &str = "recv() failed (104: Connection reset by peer)";
    const CONNECTING: &str = "connecting to upstream";
    const READING: &str = "reading response header from upstream";
    const HTTP: &str = "http://127.0.0.1:8080/cart";
    const BAD: (&str, u16, &str, &str, &str) = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8080", "502", "-");
    const GOOD: (&str, u16, &str, &str, &str) = ("GET /cart HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.004");
    const OTHER: (&str, u16, &str, &str, &str) = ("GET / HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.004");

    type Request = (&'static str, u16, &'static str, &'static str, &'static str);

    /// A host whose error log has such a line for each of the failed requests, all a second apart.
    fn failing(message: &str, action: &str, upstream: &str, requests: &[Request]) -> Snapshot {
        let line = failed(message, action, upstream);
        let host = requested(Snapshot::quiet(), requests);
        let bad: Vec<bool> = requests.iter().map(|it| it.1 >= 500).collect();
        let lines: Vec<String> = requests
            .iter()
            .map(|it| match it.1 >= 500 {
                true => line.replace("GET /cart HTTP/1.1", it.0),
                false => "[notice] 1#1: nothing".to_owned(),
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        logged(host, &lines).with(|it| {
            let Reading::Seen(log) = &mut it.logs[1].lines else { return };
            let mut bad = bad.iter();
            log.value.lines.retain(|_| *bad.next().unwrap());
        })
    }

    /// The first candidates, from the lines of such a host.
    #[track_caller]
    fn candidates(
        message: &str,
        action: &str,
        upstream: &str,
        requests: &[Request],
        expected: &[&str],
    ) -> Report {
        check_lines(failing(message, action, upstream, requests), expected)
    }

    #[test]
    fn what_never_answered_is_not_there_or_elsewhere() {
        let expected = ["backend-not-running", "wrong-upstream-port"];
        candidates(REFUSED, CONNECTING, HTTP, &[BAD; 5], &expected);
    }

    #[test]
    fn what_answered_before_and_is_gone_was_stopped_or_died() {
        let requests = [GOOD, GOOD, BAD, BAD, BAD];
        let report =
            candidates(REFUSED, CONNECTING, HTTP, &requests, &["backend-not-running", "backend-crashed"]);
        let says = &report.causes[0].evidence;
        assert!(
            says.iter().any(|it| it.says.ends_with("until the first failure, and not since")),
            "{says:?}"
        );
    }

    #[test]
    fn what_was_away_for_a_moment_was_restarted() {
        candidates(REFUSED, CONNECTING, HTTP, &[GOOD, GOOD, BAD, BAD, GOOD, GOOD], &["backend-restarting"]);
    }

    #[test]
    fn answers_that_are_only_counted_end_an_outage_as_well() {
        let line = failed(REFUSED, CONNECTING, HTTP);
        let step = |at: i64, failed: u64| snapshot::Step {
            at: ago(at),
            requests: 100,
            failed,
            errors: Vec::new(),
            symptoms: Vec::new(),
        };
        let counted = |steps: Vec<snapshot::Step>| {
            let mut logs = of_logs(logged(Snapshot::quiet(), &[&line, &line, &line]));
            let address = "127.0.0.1:8080".to_owned();
            let upstreams = vec![snapshot::UpstreamTraffic { address, ..Default::default() }];
            logs.traffic = Some(snapshot::Traffic {
                requests: 300,
                step_seconds: 4,
                steps,
                upstreams,
                ..Default::default()
            });
            with_scene(&logs, |scene| {
                let backend = Err(crate::case::Blind {
                    what: String::new(),
                    why: String::new(),
                    remedy: String::new(),
                });
                let course = course::of(&Case { scene, group: &scene.groups[0], backend: &backend }).clone();
                (course.before, course.since)
            })
        };
        assert_eq!(counted(vec![step(60, 0), step(14, 40), step(8, 0)]), (true, true));
        assert_eq!(counted(vec![step(60, 0), step(14, 40), step(8, 90)]), (true, false));
    }

    #[test]
    fn lines_of_one_second_keep_their_order() {
        let mut host = failing(REFUSED, CONNECTING, HTTP, &[GOOD, GOOD, BAD, BAD, BAD]);
        let second = ago(10);
        for log in &mut host.logs {
            let Reading::Seen(lines) = &mut log.lines else { continue };
            let stamp = second.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
            for line in &mut lines.value.lines {
                line.at = second;
                if let Some(at) = line.text.find('[').filter(|_| line.text.starts_with("10.")) {
                    line.text.replace_range(at + 1..at + 1 + stamp.len(), &stamp);
                }
            }
        }
        let report = check_lines(host, &["backend-not-running", "backend-crashed"]);
        assert!(report.causes.iter().all(|it| it.cause.id != "wrong-upstream-port"), "{}", outline(&report));
    }

    #[test]
    fn a_backend_that_hung_up_and_then_refuses_has_died() {
        let line = failed(CLOSED, READING, HTTP);
        let gone = failed(REFUSED, CONNECTING, HTTP).replace("*7 ", "*8 ");
        check_lines(logged(Snapshot::quiet(), &[&line, &gone, &gone, &gone]), &["backend-crashed"]);
    }

    #[test]
    fn one_page_that_is_late_is_slow_and_all_pages_mean_a_full_pool() {
        const PAGE: Request = ("GET /report HTTP/1.1", 504, "127.0.0.1:8080", "504", "60.000");
        candidates(LATE, READING, HTTP, &[OTHER, PAGE, OTHER, PAGE, OTHER], &["backend-slow"]);
        const SAME: Request = ("GET / HTTP/1.1", 504, "127.0.0.1:8080", "504", "60.000");
        let report =
            candidates(LATE, READING, HTTP, &[OTHER, SAME, OTHER, SAME, OTHER], &["worker-pool-exhausted"]);
        assert!(report.causes[0].certainty < Certainty::Confirmed);
    }

    #[test]
    fn hanging_up_after_the_same_time_is_a_watchdog() {
        const PAGE: Request = ("GET /export HTTP/1.1", 502, "127.0.0.1:8080", "502", "30.012");
        candidates(CLOSED, READING, HTTP, &[OTHER, PAGE, OTHER, PAGE, OTHER], &["backend-worker-timeout"]);
        const QUICK: Request = ("GET /export HTTP/1.1", 502, "127.0.0.1:8080", "502", "0.012");
        candidates(CLOSED, READING, HTTP, &[OTHER, QUICK, OTHER, QUICK, OTHER], &["backend-aborts-request"]);
    }

    #[test]
    fn one_request_here_and_there_met_a_closing_connection() {
        const POST: Request = ("POST /cart HTTP/1.1", 502, "127.0.0.1:8080", "502", "0.001");
        const FINE: Request = ("POST /cart HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.010");
        candidates(RESET, READING, HTTP, &[FINE, FINE, POST, FINE, FINE, POST, FINE], &["keepalive-race"]);
    }

    #[test]
    fn a_full_queue_of_a_unix_socket_is_a_full_pool() {
        let message = "connect() to unix:/run/php/fpm.sock failed (11: Resource temporarily unavailable)";
        let line = failed(message, CONNECTING, "fastcgi://unix:/run/php/fpm.sock:");
        let host = logged(Snapshot::quiet(), &[&line, &line]);
        check_lines(host.clone(), &["php-fpm-pool-exhausted", "listen-queue-overflow"]);
        let told = "[02-May-2026 13:02:50] WARNING: [pool www] server reached pm.max_children setting (5), consider raising it";
        let report = check_lines(host.with(|it| php_log(it, &[(20, told)])), &["php-fpm-pool-exhausted"]);
        assert_eq!((report.causes.len(), report.causes[0].certainty), (1, Certainty::Confirmed));
    }

    #[test]
    fn a_v6_address_that_fails_while_its_v4_twin_answers_is_the_wrong_family() {
        const TWO: Request =
            ("GET /cart HTTP/1.1", 200, "[::1]:8080, 127.0.0.1:8080", "502, 200", "0.000, 0.004");
        let line = failed(REFUSED, CONNECTING, "http://[::1]:8080/cart");
        let host = requested(logged(Snapshot::quiet(), &[&line, &line, &line]), &[TWO, TWO, TWO]);
        let report = crate::diagnose(&of_logs(host));
        assert_eq!(report.verdict, Verdict::Degraded);
        assert_eq!(report.hidden[0].cause.id, "upstream-ipv6-mismatch", "{report:?}");
    }

    #[test]
    fn probabilities_of_one_group_add_up_to_less_than_one() {
        let report = candidates(CLOSED, READING, HTTP, &[BAD, OTHER, BAD, OTHER, BAD], &[]);
        let sum: f64 = report.causes.iter().map(|it| it.confidence).sum();
        assert!(report.causes.len() >= 3 && sum <= 0.9 + 1e-9, "{sum}: {}", outline(&report));
    }

    #[test]
    fn an_access_log_alone_tells_how_far_a_try_got() {
        let only = |it: Request| requested(Snapshot::quiet(), &[it; 3]);
        let refused = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8080", "502", "-");
        let report = crate::diagnose(&of_logs(only(refused)));
        assert_eq!(report.symptoms[0].symptom, Symptom::ConnectRefused, "{}", outline(&report));
        let full = ("GET /cart HTTP/1.1", 502, "shop", "502", "-");
        let report = crate::diagnose(&of_logs(only(full)));
        assert_eq!(report.symptoms[0].symptom, Symptom::NoLiveUpstreams, "{}", outline(&report));
    }

    #[test]
    fn that_only_lines_were_read_is_one_sentence_with_the_next_look() {
        let report = candidates(REFUSED, CONNECTING, HTTP, &[BAD; 3], &[]);
        assert_eq!(report.blind_spots.len(), 1, "{:?}", report.blind_spots);
        assert_eq!(report.next_look.as_deref(), Some(LOOK));
        assert!(report.checks.is_empty() && report.notes.is_empty(), "{:?}", report.notes);
    }

    #[test]
    fn logs_without_a_failure_are_healthy_and_no_logs_are_not() {
        let report = crate::diagnose(&of_logs(requested(Snapshot::quiet(), &[GOOD; 3])));
        assert_eq!((report.verdict, report.summary.contains("no gateway failure")), (Verdict::Healthy, true));
        let report = crate::diagnose(&of_logs(Snapshot::quiet()));
        assert_eq!(report.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn other_programs_tell_of_a_fault_where_no_line_of_nginx_was_given() {
        let told = "[02-May-2026 13:02:50] WARNING: [pool www] server reached pm.max_children setting (5), consider raising it";
        let report =
            check_lines(Snapshot::quiet().with(|it| php_log(it, &[(20, told)])), &["php-fpm-pool-exhausted"]);
        assert!(report.causes[0].certainty < Certainty::Confirmed);
        assert_eq!(report.causes[0].impact.requests, 0);
    }

    #[test]
    fn servers_put_aside_belong_to_what_made_them_fail() {
        let refused = failed(REFUSED, CONNECTING, HTTP);
        let none = failed("no live upstreams", CONNECTING, "http://shop/cart").replace("*7 ", "*8 ");
        let report = check_lines(logged(Snapshot::quiet(), &[&refused, &none]), &["backend-not-running"]);
        assert!(report.causes[0].consequences.contains(&"no-live-upstreams".to_owned()), "{report:?}");
    }
}
