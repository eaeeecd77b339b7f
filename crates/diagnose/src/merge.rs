//! One Report for several instances of nginx: the main one's, with what was found of the others put behind it.

use jiff::SignedDuration;
use snapshot::{Peer, Snapshot};

use crate::engine;
use crate::report::{Finding, Report, Verdict};

/// Where one instance passes on the error of another one, the cause is what the other met at the same time: its own finding
/// takes the place of "the backend answered so".
pub fn look_behind(snapshot: &Snapshot, reports: &mut [(usize, Report)]) {
    for at in 0..reports.len() {
        let mut index = 0;
        while index < reports[at].1.causes.len() {
            let passed_on = &reports[at].1.causes[index];
            let behind = reports.iter().position(|(instance, report)| {
                *instance != reports[at].0
                    && serves(snapshot, *instance, passed_on)
                    && report.causes.iter().any(|it| goes_with(it, passed_on))
            });
            let Some(behind) = behind else {
                index += 1;
                continue;
            };
            let front = &mut reports[at].1;
            let passed_on = front.causes.remove(index);
            if front.causes.is_empty() && front.verdict == Verdict::Faulty {
                front.verdict = Verdict::Healthy;
            }
            let causes = &mut reports[behind].1.causes;
            if let Some(deeper) = causes.iter_mut().find(|it| goes_with(it, &passed_on)) {
                deeper.consequences.push(passed_on.cause.id.to_owned());
            }
        }
    }
}

/// Whether a finding says that its backend answered so, and that backend is this instance.
fn serves(snapshot: &Snapshot, instance: usize, finding: &Finding) -> bool {
    let Some(upstream) = finding.upstream.as_ref().filter(|_| finding.cause.id == "upstream-returned-error")
    else {
        return false;
    };
    let master = snapshot.nginx.value().and_then(|it| it.get(instance)?.master.as_ref());
    let ours = |pid: &u32| {
        master.is_some_and(|it| it.pid == *pid || it.workers.iter().any(|worker| worker.pid == *pid))
    };
    let Ok(peer) = upstream.peer.parse();
    match peer {
        Peer::Tcp(address) => snapshot
            .net
            .listeners
            .value()
            .is_some_and(|all| all.iter().any(|it| it.accepts(address) && it.pids.iter().any(ours))),
        Peer::Unix(path) => snapshot
            .net
            .unix_listeners
            .value()
            .is_some_and(|all| all.iter().any(|it| it.path == path && it.pids.iter().any(ours))),
        _ => false,
    }
}

/// Whether what failed deeper failed at the same time.
fn goes_with(deeper: &Finding, passed_on: &Finding) -> bool {
    let slack = SignedDuration::from_secs(2);
    let (Some(first), Some(last)) = (deeper.impact.first, deeper.impact.last) else { return false };
    let (Some(from), Some(to)) = (passed_on.impact.first, passed_on.impact.last) else { return false };
    first - slack <= to && from <= last + slack
}

/// Adds the report of a further instance. What fails at the main one stays in front; a healthy main one gives way.
pub fn merge(mut first: Report, other: Report) -> Report {
    let worse = match other.verdict {
        Verdict::Faulty => {
            first.verdict != Verdict::Faulty || of_clients_alone(&first) && !of_clients_alone(&other)
        }
        Verdict::Degraded => first.verdict == Verdict::Healthy,
        // A further instance of which little could be seen takes nothing from what is known of the main one.
        Verdict::Inconclusive => !other.symptoms.is_empty() && first.verdict == Verdict::Healthy,
        Verdict::Healthy => false,
    };
    if worse {
        first.verdict = other.verdict;
        first.summary = other.summary;
        first.checks = other.checks;
        first.candidates = other.candidates;
        first.ruled_out = other.ruled_out;
        first.next_look = other.next_look;
    }
    // Where one instance is the other's backend, both tell of the same fault; the end that knows the peer says more.
    let known = |it: &Finding, list: &[Finding]| {
        list.iter()
            .any(|there| there.cause == it.cause && (there.upstream == it.upstream || it.upstream.is_none()))
    };
    for finding in other.causes {
        if !known(&finding, &first.causes) {
            first.causes.push(finding);
        }
    }
    for finding in other.hidden {
        if !known(&finding, &first.hidden) {
            first.hidden.push(finding);
        }
    }
    // Where one instance is the other's client, what ends that client shows here as clients that give up.
    first.causes.sort_by_key(engine::is_of_clients);
    first.symptoms.extend(other.symptoms);
    for moment in other.moments {
        if !first.moments.contains(&moment) {
            first.moments.push(moment);
        }
    }
    first.moments.sort_by_key(|it| it.at);
    for spot in other.blind_spots {
        if !first.blind_spots.iter().any(|it| it.what == spot.what) {
            first.blind_spots.push(spot);
        }
    }
    for note in other.notes {
        if !first.notes.contains(&note) {
            first.notes.push(note);
        }
    }
    first
}

fn of_clients_alone(report: &Report) -> bool {
    !report.causes.is_empty() && report.causes.iter().all(engine::is_of_clients)
}

#[cfg(test)]
mod tests {
    use crate::report::Verdict;
    use crate::testing::{failed, logged, passing_to, requested, seen};
    use snapshot::{Reading, Snapshot};

    /// A well main instance beside one whose backend refuses.
    fn two_instances() -> Snapshot {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8182/",
        );
        let lost = logged(passing_to("proxy_pass http://127.0.0.1:8182"), &[&line]);
        let Reading::Seen(other) = &lost.nginx else { unreachable!() };
        let mut both = passing_to("proxy_pass http://127.0.0.1:8181");
        let Reading::Seen(main) = &both.nginx else { unreachable!() };
        let instances = vec![main.value[0].clone(), other.value[0].clone()];
        both.nginx = seen(instances);
        both.logs = lost.logs;
        both.logs.iter_mut().for_each(|it| it.nginx = 1);
        both
    }

    #[test]
    fn a_second_instance_that_lost_its_backend_is_told() {
        let report = crate::diagnose(&two_instances());
        assert_eq!(report.verdict, Verdict::Faulty);
        let upstream = report.causes[0].upstream.as_ref().unwrap();
        assert_eq!(upstream.peer, "127.0.0.1:8182");
        assert!(report.summary.contains("127.0.0.1:8182"), "{}", report.summary);
    }

    #[test]
    fn a_second_instance_that_does_not_run_is_left_alone() {
        let host = two_instances().with(|it| {
            let Reading::Seen(nginx) = &mut it.nginx else { return };
            nginx.value[1].master = None;
        });
        assert!(crate::diagnose(&host).causes.is_empty());
    }

    #[test]
    fn a_fault_that_both_ends_tell_of_is_told_once() {
        let front = crate::diagnose(&two_instances());
        let mut backend = front.clone();
        backend.causes[0].upstream = None;
        assert_eq!(super::merge(front, backend).causes.len(), 1);
    }

    #[test]
    fn an_error_that_another_instance_passes_on_is_that_instance_s_own() {
        let bad = ("GET /cart HTTP/1.1", 502, "127.0.0.1:8181", "502", "0.001");
        let host = requested(two_instances(), &[bad]).with(|it| {
            let Reading::Seen(nginx) = &mut it.nginx else { return };
            nginx.value[1].master.as_mut().unwrap().pid = 700;
            let Reading::Seen(listeners) = &mut it.net.listeners else { return };
            listeners.value.push(snapshot::Listener {
                address: "127.0.0.1:8181".parse().unwrap(),
                v6_only: Some(false),
                waiting: 0,
                backlog: Some(511),
                pids: vec![700],
                inode: 9,
                uid: 0,
            });
        });
        let report = crate::diagnose(&host);
        let told: Vec<_> =
            report.causes.iter().map(|it| it.upstream.as_ref().unwrap().peer.as_str()).collect();
        assert_eq!(told, ["127.0.0.1:8182"]);
        assert_eq!(report.causes[0].consequences, ["upstream-returned-error"]);
    }

    #[test]
    fn clients_that_give_up_at_one_instance_stand_behind_what_fails_at_the_other() {
        let gone = ("GET /search HTTP/1.1", 499, "127.0.0.1:8181", "-", "0.9");
        let main = requested(passing_to("proxy_pass http://127.0.0.1:8181"), &[gone; 4]);
        let host = two_instances().with(|it| it.logs.extend(main.logs));
        let report = crate::diagnose(&host);
        let ids: Vec<&str> = report.causes.iter().map(|it| it.cause.id).collect();
        assert_eq!(ids.last(), Some(&"client-aborted"), "{ids:?}");
        assert!(report.summary.contains("127.0.0.1:8182"), "{}", report.summary);
    }
}
