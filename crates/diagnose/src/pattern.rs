//! A request that takes down one server of a group after the other.
//!
//! nginx gives a failed request to the next server, so that a single one can go round the whole group. Each server's
//! finding is true by itself; that they have one request in common is what must be acted on.

use std::collections::BTreeSet;

use nginx_logs::Symptom;
use snapshot::Peer;

use crate::case::plural;
use crate::groups::FailureGroup;
use crate::outage;
use crate::report::{Evidence, Finding, Fix, Weight};
use crate::scene::Scene;
use crate::verdict::Fact;

/// What a request can bring about by itself.
const BY_REQUEST: &[&str] = &[
    "backend-crashed",
    "backend-oom-killed",
    "backend-worker-timeout",
    "backend-aborts-request",
    "backend-hung",
];

/// Says of findings at several servers of one group which request they have in common, if there is one.
pub fn name_it<'f>(scene: &Scene, findings: impl Iterator<Item = (&'f mut Finding, &'f BTreeSet<usize>)>) {
    let mut concerned: Vec<(&mut Finding, Vec<&FailureGroup>)> = findings
        .filter(|(finding, _)| BY_REQUEST.contains(&finding.cause.id))
        .map(|(finding, groups)| {
            (finding, groups.iter().map(|it| &scene.groups[*it]).filter(|it| cuts(it)).collect())
        })
        .filter(|(_, groups): &(_, Vec<&FailureGroup>)| !groups.is_empty())
        .collect();
    let of_group = |finding: &Finding| finding.upstream.as_ref().and_then(|it| it.group.clone());
    let names: BTreeSet<String> = concerned.iter().filter_map(|(it, _)| of_group(it)).collect();
    for name in names {
        let mut here: Vec<_> =
            concerned.iter_mut().filter(|(it, _)| of_group(it).as_ref() == Some(&name)).collect();
        let peers: BTreeSet<&Peer> = here.iter().filter_map(|(_, it)| it[0].peer.as_ref()).collect();
        if peers.len() < 2 {
            continue;
        }
        let groups: Vec<Vec<&FailureGroup>> = here.iter().map(|(_, it)| it.clone()).collect();
        let Some(path) = in_common(scene, &groups) else { continue };
        let says = format!(
            "requests for {path} ended the same way on {} of {name}, one after the other, and on none did one succeed",
            plural(peers.len() as u64, "server")
        );
        let servers: Vec<String> = peers.iter().map(|it| it.to_string()).collect();
        for (index, (finding, groups)) in here.iter_mut().enumerate() {
            let entry = groups[0].entries.last().map(|it| &scene.failures.entries[*it]);
            let fact = Fact::new("error-log", says.clone());
            let fact = match entry {
                Some(entry) => fact.reference(entry.reference.clone()).at(entry.at),
                None => fact,
            };
            finding.evidence.push(Evidence {
                source: fact.source,
                says: fact.says,
                reference: fact.reference,
                at: fact.at,
                weight: Weight::Supporting,
            });
            if index > 0 {
                continue;
            }
            finding.summary = format!(
                "{path} takes down every server that gets it ({}): {}",
                servers.join(", "),
                finding.summary
            );
            let fix = Fix::mitigate(format!("Let nginx refuse {path} by itself until it is mended"))
                .because(
                    "each further try takes down another server; proxy_next_upstream_tries 1 keeps it to one",
                )
                .risk(format!("{path} is not served meanwhile"));
            finding.fixes.insert(0, fix);
        }
    }
}

/// Whether servers hung up, or fell silent, on requests that they had taken.
fn cuts(group: &FailureGroup) -> bool {
    matches!(
        group.symptom,
        Symptom::PrematureClose | Symptom::ReadReset | Symptom::BodyShort | Symptom::ReadTimeout
    )
}

/// The path that most failures of each server are about, and that none answered well, while other paths were.
fn in_common(scene: &Scene, findings: &[Vec<&FailureGroup>]) -> Option<String> {
    let count = |groups: &[&FailureGroup], path: &str| -> u64 {
        let paths = groups.iter().flat_map(|it| &it.paths);
        paths.filter(|(it, _)| it == path).map(|(_, count)| count).sum()
    };
    let all = |groups: &[&FailureGroup]| -> u64 { groups.iter().map(|it| it.count).sum() };
    let (path, _) = findings[0].iter().flat_map(|it| &it.paths).max_by_key(|(_, count)| *count)?;
    let everywhere = findings.iter().all(|it| count(it, path) * 2 >= all(it) && all(it) > 0);
    let good = findings.iter().flatten().flat_map(|it| outage::good_answers_of(scene, it.peer.as_ref()));
    let (mut same, mut others) = (false, false);
    for it in good {
        same |= it.path == *path;
        others |= it.path != *path;
    }
    (everywhere && !same && others).then(|| path.clone())
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    const CLOSED: &str = "upstream prematurely closed connection";
    const READING: &str = "reading response header from upstream";

    /// Two servers of a group whose only process each dies as it gets these paths, in turn.
    fn dying(paths: &[&str]) -> Snapshot {
        let ports = [8001, 8002];
        let line = |(index, path): (usize, &&str)| {
            let peer = format!("http://127.0.0.1:{}{path}", ports[index % 2]);
            failed(CLOSED, READING, &peer).replace("/cart", path)
        };
        let lines: Vec<String> = paths.iter().enumerate().map(line).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let group = "upstream shop { server 127.0.0.1:8001; server 127.0.0.1:8002; }\n\
                     server { listen 80; server_name shop.example.com; location / { proxy_pass http://shop; } }";
        let host = logged(configured(group), &lines).with(|it| {
            for (pid, port) in [(301, 8001), (302, 8002)] {
                let address = format!("127.0.0.1:{port}");
                serving(it, pid, &format!("/usr/bin/node /srv/shop.js {port}"), &address);
                let unit = format!("node-{pid}.service");
                let end = format!("{unit}: Main process exited, code=exited, status=1/FAILURE");
                let seconds: Vec<i64> = (10..10 + paths.len() as i64).collect();
                for at in seconds {
                    journal(it, &unit, &[(at, "systemd", &end)]);
                }
            }
        });
        let well = |address| ("GET / HTTP/1.1", 200, address, "200", "0.004");
        requested(host, &[well("127.0.0.1:8001"), well("127.0.0.1:8002")])
    }

    #[test]
    fn a_request_that_takes_down_each_server_in_turn_is_named() {
        let report = check(&dying(&["/export"; 4]), "backend-crashed: confirmed");
        let summary = &report.causes[0].summary;
        assert!(summary.starts_with("/export takes down every server that gets it"), "{}", outline(&report));
        assert!(summary.contains("127.0.0.1:8001, 127.0.0.1:8002"), "{summary}");
    }

    #[test]
    fn servers_that_die_of_different_requests_have_none_in_common() {
        let report = check(&dying(&["/export", "/import"]), "backend-crashed: confirmed");
        assert!(!report.causes[0].summary.contains("takes down"), "{}", outline(&report));
    }
}
