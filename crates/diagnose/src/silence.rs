//! What failed where nginx's logs do not say how: the error log is off or keeps graver things only, the access log has no
//! upstream fields, or an error page hides the status. What is left is the route of the request and our own attempts.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use nginx_conf::{AnswerKind, LogDestination, LogTarget, Pass, View};
use nginx_logs::Symptom;
use snapshot::{Answer, ConnectOutcome, LogFile, LogKind, Peer, Protocol, Snapshot};

use crate::causes::CAUSES;
use crate::failure::{Access, Failures};
use crate::groups::{self, FailureGroup};
use crate::report::BlindSpot;
use crate::scene::Scene;
use crate::trial;

/// Levels at which nginx tells what went wrong with an upstream. Most of it is `error`.
const TELLING: &[&str] = &["", "error", "warn", "notice", "info", "debug"];

/// Whether an error log in force at that pass was read and keeps such things, so that its silence means something; without
/// a pass, whether any does.
pub fn error_log_speaks(view: &View, snapshot: &Snapshot, pass: Option<&Pass>) -> bool {
    let targets: Vec<&LogTarget> = match pass {
        Some(pass) => view.error_logs_at(Some(pass.server), pass.location),
        None => view.error_logs().iter().collect(),
    };
    let read = |it: &&LogFile| it.kind == LogKind::Error && it.lines.value().is_some();
    let read: Vec<&LogFile> = snapshot.logs.iter().filter(read).collect();
    let elsewhere =
        |prefixes: &[&str]| read.iter().any(|log| prefixes.iter().any(|it| log.path.starts_with(it)));
    let unread = |path: &str| snapshot.logs.iter().any(|it| it.path == path && it.lines.value().is_none());
    let speaks = |target: &&LogTarget| match &target.to {
        _ if !TELLING.contains(&target.level.as_str()) => false,
        LogDestination::Off | LogDestination::Memory | LogDestination::Variable(_) => false,
        LogDestination::File(path) => {
            let path = path.to_str().unwrap_or("\0");
            // Its own file, one that nginx still holds open under that name, or where a link to a stream leads.
            elsewhere(&[path, "container:"]) || path.starts_with("/dev/") && !read.is_empty()
        }
        LogDestination::Stderr => {
            !unread("nginx's standard error") && read.iter().any(|log| !is_configured(view, &log.path))
        }
        LogDestination::Syslog(server) => !unread(&format!("syslog:{server}")) && elsewhere(&["journal:"]),
    };
    // A Snapshot without a configuration says nothing about its logs.
    targets.iter().any(speaks) || view.servers().is_empty() && !read.is_empty()
}

fn is_configured(view: &View, path: &str) -> bool {
    view.error_logs()
        .iter()
        .any(|it| matches!(&it.to, LogDestination::File(file) if file.as_os_str() == path))
}

/// Why the error log in force at a pass says nothing, and where that is configured; none where it speaks.
fn why_silent<'v>(view: &'v View, snapshot: &Snapshot, pass: &Pass) -> Option<(&'v LogTarget, String)> {
    if error_log_speaks(view, snapshot, Some(pass)) {
        return None;
    }
    let target = view.error_logs_at(Some(pass.server), pass.location).into_iter().next()?;
    let why = match &target.to {
        LogDestination::Off => "it goes to /dev/null".to_owned(),
        LogDestination::Memory => "it is kept in memory only".to_owned(),
        _ if !TELLING.contains(&target.level.as_str()) => {
            format!("at level {} it says nothing of upstreams that fail", target.level)
        }
        _ => return None,
    };
    Some((target, why))
}

/// Error logs that are configured to say nothing of upstreams, where something failed or nothing else tells: they cost what
/// only such a log shows.
pub fn blind_spots(scene: &Scene) -> Vec<BlindSpot> {
    let mut spots: Vec<BlindSpot> = Vec::new();
    for (group, pass) in scene.groups.iter().filter_map(|it| Some((it, scene.pass(it)?))) {
        let Some((target, why)) = why_silent(scene.view, scene.snapshot, pass) else { continue };
        let place = target.span.map(|it| format!(" ({})", scene.place(it))).unwrap_or_default();
        let what = format!("error log{place}");
        if spots.iter().all(|it| it.what != what) {
            let shown = [Symptom::HeaderTooBig, Symptom::HeaderInvalid, Symptom::PrematureClose];
            let costs = CAUSES.iter().filter(|it| shown.iter().any(|shown| it.explains.contains(shown)));
            spots.push(BlindSpot {
                what,
                why,
                costs: costs.map(|it| it.id).collect(),
                remedy: remedy(scene, group),
            });
        }
    }
    spots
}

/// The cheapest way to see what the error log would have said: one more request, if it was not made already.
fn remedy(scene: &Scene, group: &FailureGroup) -> String {
    let failed = group.paths.first().map(|(path, _)| (group.server.as_str(), path.as_str()));
    match trial::proposal(scene.view, failed).filter(|_| scene.snapshot.trial.value().is_none()) {
        Some(command) => format!("try one request: {command}"),
        None => {
            "let it keep what is of level error, reload nginx, and ask again after the next failure".into()
        }
    }
}

/// Whether an error page gives the failures of a pass another status, so that the access log does not show them either.
fn hides_failures(view: &View, pass: &Pass) -> bool {
    view.answers().iter().any(|it| {
        let here = it.server.is_none_or(|server| server == pass.server)
            && it.location.is_none_or(|location| Some(location) == pass.location);
        let hides = |for_status: u16| matches!(for_status, 502 | 504) && it.status != for_status;
        here && matches!(it.kind, AnswerKind::ErrorPage { for_status, .. } if hides(for_status))
    })
}

/// The address that a name stands for, where it is but one: the error log has addresses.
fn dialled(peer: Peer, snapshot: &Snapshot) -> Peer {
    let addresses = snapshot.peers.iter().map(|it| &it.peer).filter(|it| matches!(it, Peer::Tcp(_)));
    let mut same = addresses.filter(|it| groups::same_peer(&peer, it, snapshot));
    match (&peer, same.next(), same.next()) {
        (Peer::Name { .. }, Some(one), None) => one.clone(),
        _ => peer,
    }
}

/// What nginx met when no error log tells: it made the status itself when the attempt has no header time, and how far the
/// attempt got shows in its other times. The errno is that of our own attempt.
pub fn made_by_nginx(
    access: &Access,
    peer: Option<&Peer>,
    snapshot: &Snapshot,
    speaks: bool,
    particular: &HashSet<&str>,
) -> Option<(Symptom, Option<i32>)> {
    if snapshot.is_of_logs() {
        let has_error_log =
            snapshot.logs.iter().any(|it| it.kind == LogKind::Error && it.lines.value().is_some());
        return by_lines(access, peer, speaks, has_error_log, particular);
    }
    let sight = snapshot.peers.iter().find(|it| Some(&it.peer) == peer)?;
    let probe = sight.connect.value().and_then(of_connect);
    let attempt = access.last_attempt();
    if !access.tells_times || !matches!(access.status, 502 | 504) {
        let connects = sight.connect.value().is_some() && probe.is_none();
        return match access.status {
            _ if speaks => None,
            // Nothing else makes nginx wait so long for a peer that takes connections.
            504 if connects => Some((Symptom::ReadTimeout, None)),
            503 => None,
            _ => probe,
        };
    }
    let attempt = attempt.filter(|it| it.header_time.is_none() && it.status == Some(access.status))?;
    Some(match (access.status, attempt.connect_time) {
        (504, Some(_)) => (Symptom::ReadTimeout, None),
        (504, None) => (Symptom::ConnectTimeout, Some(110)),
        (_, Some(_)) => (Symptom::PrematureClose, None),
        (_, None) => probe.unwrap_or(match peer {
            Some(Peer::Unix(_)) => (Symptom::ConnectSocketMissing, None),
            _ => (Symptom::ConnectRefused, None),
        }),
    })
}

/// The same from the line alone. Where the format does not tell how far an attempt got, its length does to some extent: a
/// refusal takes no time.
fn by_lines(
    access: &Access,
    peer: Option<&Peer>,
    speaks: bool,
    has_error_log: bool,
    particular: &HashSet<&str>,
) -> Option<(Symptom, Option<i32>)> {
    if speaks || !matches!(access.status, 502 | 504) {
        return None;
    }
    let refused = match peer {
        Some(Peer::Group(_)) => return (access.status == 502).then_some((Symptom::NoLiveUpstreams, None)),
        Some(Peer::Unix(_)) => Symptom::ConnectSocketMissing,
        _ => Symptom::ConnectRefused,
    };
    let attempt = access.last_attempt();
    if access.tells_upstream {
        let attempt = attempt.filter(|it| it.header_time.is_none() && it.status == Some(access.status))?;
        return Some(match (access.status, attempt.connect_time) {
            (504, None) if access.tells_times => (Symptom::ConnectTimeout, Some(110)),
            (504, _) => (Symptom::ReadTimeout, None),
            // Of a backend that hung up, an error log would tell.
            (_, Some(_)) if has_error_log && !access.tells_times => return None,
            (_, Some(_)) => (Symptom::PrematureClose, None),
            (_, None) if access.tells_times || attempt.response_time.is_none_or(|it| it == 0.0) => {
                (refused, None)
            }
            (_, None) => (Symptom::PrematureClose, None),
        });
    }
    Some(match access.status {
        504 => (Symptom::ReadTimeout, None),
        _ if particular.contains(access.path.as_str()) => (Symptom::PrematureClose, None),
        _ => (refused, None),
    })
}

/// Paths that are never answered well while others are, in logs that tell nothing of upstreams: there a backend is, and
/// fails on what is asked.
pub fn particular_paths(failures: &Failures) -> HashSet<&str> {
    let mute = || failures.accesses.iter().filter(|it| !it.tells_upstream);
    let well = |it: &Access| (100..400).contains(&it.status);
    let good: HashSet<&str> = mute().filter(|it| well(it)).map(|it| it.path.as_str()).collect();
    let times: Vec<Timestamp> = mute().filter(|it| well(it)).map(|it| it.at).collect();
    let mut spans: HashMap<&str, (Timestamp, Timestamp)> = HashMap::new();
    for it in mute().filter(|it| it.status == 502 && !good.contains(it.path.as_str())) {
        let span = spans.entry(&it.path).or_insert((it.at, it.at));
        span.1 = it.at;
    }
    let answered = |from: Timestamp, to: Timestamp| {
        let next = times.partition_point(|it| *it < from);
        times.get(next).is_some_and(|it| *it <= to)
    };
    spans.into_iter().filter(|(_, (from, to))| answered(*from, *to)).map(|(path, _)| path).collect()
}

/// The symptom that our own failed attempt to connect stands for; none when it was made.
pub fn of_connect(outcome: &ConnectOutcome) -> Option<(Symptom, Option<i32>)> {
    Some(match outcome {
        ConnectOutcome::Connected { .. } => return None,
        ConnectOutcome::TimedOut { .. } => (Symptom::ConnectTimeout, None),
        ConnectOutcome::Failed { errno } => {
            let symptom = match errno {
                2 => Symptom::ConnectSocketMissing,
                11 => Symptom::ConnectAgain,
                13 | 1 => Symptom::ConnectPermission,
                99 => Symptom::ConnectNoAddress,
                101 => Symptom::ConnectNetUnreachable,
                110 => Symptom::ConnectTimeout,
                113 => Symptom::ConnectNoRoute,
                _ => Symptom::ConnectRefused,
            };
            (symptom, Some(*errno))
        }
    })
}

/// The peer that answered 400 because it wants TLS on that port: nginx, Apache httpd and Go say so in plain HTTP. A 400 is
/// the client's own fault otherwise.
pub fn plain_to_tls(access: &Access, view: &View, snapshot: &Snapshot) -> Option<Peer> {
    if access.status != 400 {
        return None;
    }
    let asked: Vec<Peer> = match access.last_attempt() {
        Some(attempt) => attempt.addr.iter().filter_map(|it| it.parse().ok()).collect(),
        None if access.tells_upstream => Vec::new(),
        None => {
            let addresses = access.passes.iter().flat_map(|it| view.passes()[*it].addresses(view));
            addresses.filter_map(|it| it.address.parse().ok()).collect()
        }
    };
    let wants_tls = |peer: &Peer| {
        let sight = snapshot.peers.iter().find(|it| it.peer == *peer);
        let mut greetings = sight.into_iter().flat_map(|it| &it.greetings);
        greetings.any(|it| it.protocol == Protocol::Http && it.answer == Answer::SpokeTls)
    };
    asked.into_iter().find(wants_tls)
}

/// The peer that a request without upstream fields must have met, with the pass that led to it: the only address that its
/// passes have. Where the error log is silent about it and only one of several cannot be connected to, that one.
pub fn met_peer(access: &Access, view: &View, snapshot: &Snapshot, speaks: bool) -> Option<(Peer, usize)> {
    let mut all: Vec<(Peer, usize)> = Vec::new();
    for index in &access.passes {
        for address in view.passes()[*index].addresses(view).iter().filter(|it| !it.down) {
            let Ok(peer) = address.address.parse();
            let peer = dialled(peer, snapshot);
            if !all.iter().any(|(it, _)| *it == peer) {
                all.push((peer, *index));
            }
        }
    }
    if all.len() > 1 && !speaks {
        let sight = |peer: &Peer| snapshot.peers.iter().find(|it| it.peer == *peer);
        all.retain(|(peer, _)| {
            sight(peer).and_then(|it| it.connect.value()).is_some_and(|it| of_connect(it).is_some())
        });
    }
    match all.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// Where no log can tell, our own attempts must do: peers that could not be connected to, as groups without a request.
pub fn probed(view: &View, snapshot: &Snapshot) -> Vec<FailureGroup> {
    let of_requests = |it: &LogFile| matches!(it.kind, LogKind::Access { .. }) && it.lines.value().is_some();
    let logged = snapshot.logs.iter().any(of_requests);
    let mut found: Vec<FailureGroup> = Vec::new();
    for (index, pass) in view.passes().iter().enumerate() {
        let silent = !error_log_speaks(view, snapshot, Some(pass));
        if !silent || logged && !hides_failures(view, pass) {
            continue;
        }
        for address in pass.addresses(view).into_iter().filter(|it| !it.backup && !it.down) {
            let Ok(peer) = address.address.parse::<Peer>();
            let sights = snapshot.peers.iter().filter(|it| groups::same_peer(&peer, &it.peer, snapshot));
            for sight in sights {
                let Some((symptom, errno)) = sight.connect.value().and_then(of_connect) else { continue };
                if found.iter().any(|it: &FailureGroup| it.peer.as_ref() == Some(&sight.peer)) {
                    continue;
                }
                let server = view
                    .servers()
                    .get(pass.server)
                    .and_then(|it| it.names.first().cloned())
                    .unwrap_or_default();
                found.push(FailureGroup {
                    symptom,
                    errno,
                    peer: Some(sight.peer.clone()),
                    scheme: pass.scheme.name().to_owned(),
                    server,
                    pass: Some(index),
                    peer_in_files: true,
                    entries: Vec::new(),
                    accesses: Vec::new(),
                    count: 0,
                    first: snapshot.collected_at,
                    last: snapshot.collected_at,
                    statuses: BTreeMap::new(),
                    hidden: 0,
                    paths: Vec::new(),
                    probed: true,
                    course: std::cell::OnceCell::new(),
                });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    const BAD: (&str, u16, &str, &str, &str) = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8080", "502", "-");
    const REFUSED: ConnectOutcome = ConnectOutcome::Failed { errno: 111 };

    /// A host whose error log is configured like that and has nothing; the backend refuses our own attempt.
    fn host(error_log: &str) -> Snapshot {
        let site = format!(
            "error_log {error_log};\nserver {{\nlisten 80;\nserver_name shop.example.com;\nlocation / {{\n\
             proxy_pass http://127.0.0.1:8080;\n}}\n}}"
        );
        logged(configured(&site), &[]).with(|it| {
            sight(it, "127.0.0.1:8080", |it| it.connect = seen(REFUSED));
        })
    }

    #[track_caller]
    fn grouped(snapshot: &Snapshot, expected: &[&str]) {
        let found = with_scene(snapshot, |scene| {
            let line = |it: &FailureGroup| {
                let peer = it.peer.as_ref().map(Peer::to_string).unwrap_or_default();
                format!("{} {peer}{}", it.symptom.id(), if it.probed { " probed" } else { "" })
            };
            scene.groups.iter().map(line).collect::<Vec<_>>()
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn an_error_log_that_keeps_graver_things_only_says_nothing_by_its_silence() {
        grouped(
            &requested(host("/var/log/nginx/error.log emerg"), &[BAD]),
            &["connect-refused 127.0.0.1:8080"],
        );
        grouped(&requested(host("/dev/null"), &[BAD]), &["connect-refused 127.0.0.1:8080"]);
    }

    #[test]
    fn where_nothing_is_logged_our_own_attempts_must_do() {
        grouped(&host("/dev/null"), &["connect-refused 127.0.0.1:8080 probed"]);
        grouped(&host("/var/log/nginx/error.log"), &[]);
    }

    #[test]
    fn a_silent_error_log_is_a_blind_spot_with_its_place() {
        let report = crate::diagnose(&requested(host("/var/log/nginx/error.log crit"), &[BAD]));
        let spot = report.blind_spots.iter().find(|it| it.what.starts_with("error log")).unwrap();
        assert_eq!(spot.why, "at level crit it says nothing of upstreams that fail");
        assert!(spot.costs.contains(&"response-header-too-big"));
    }
}
