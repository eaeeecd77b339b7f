//! Whether failures still go on, or are over: mended by somebody, or by a restart.

use nginx_logs::Symptom;
use snapshot::{ConnectOutcome, Peer};

use crate::groups::FailureGroup;
use crate::outage;
use crate::scene::Scene;

/// So many times more answers than lay between two failures must have come since the last one. Were it still failing as
/// often, so many in a row would come once in 150 times (e⁻⁵).
const TIMES_MORE: f64 = 5.0;

/// Whether the failures of a group still go on.
pub fn goes_on(scene: &Scene, group: &FailureGroup) -> bool {
    group.ongoing(scene.now()) && !is_dialled_no_more(scene, group) && !is_answered_since(scene, group)
}

/// Whether nginx loaded files after the last failure that do not lead to that peer.
pub fn is_dialled_no_more(scene: &Scene, group: &FailureGroup) -> bool {
    matches!(group.peer, Some(Peer::Tcp(_) | Peer::Unix(_)))
        && group.pass.is_some()
        && !group.peer_in_files
        && scene.loaded_at().is_some_and(|it| it > group.last)
}

/// `dials`, or `dialled` where nginx does so no more.
pub fn dials(scene: &Scene, group: &FailureGroup) -> &'static str {
    if is_dialled_no_more(scene, group) { "dialled until its last reload" } else { "dials" }
}

/// The same peer has answered since, far more often than it did between the failures.
fn is_answered_since(scene: &Scene, group: &FailureGroup) -> bool {
    let Some(peer) = group.peer.as_ref().filter(|it| !matches!(it, Peer::Group(_))) else { return false };
    let dead = |it: &ConnectOutcome| !matches!(it, ConnectOutcome::Connected { .. });
    if group.probed || scene.sight(peer).and_then(|it| it.connect.value()).is_some_and(dead) {
        return false;
    }
    // Without upstream fields an answer may be that of another server of the group.
    let alone = scene.pass(group).is_some_and(|it| it.addresses(scene.view).len() == 1);
    // Connections are made for every path alike; what an answer came to may hang on what was asked.
    let connecting = matches!(
        group.symptom,
        Symptom::ConnectRefused
            | Symptom::ConnectSocketMissing
            | Symptom::ConnectPermission
            | Symptom::ConnectNoRoute
            | Symptom::ConnectNetUnreachable
            | Symptom::ConnectNoAddress
    );
    let alike = |path: &str| connecting || group.paths.iter().any(|(it, _)| it == path);
    let good: Vec<_> = outage::good_answers_of(scene, group.peer.as_ref())
        .filter(|it| (alone || it.tells_upstream) && alike(&it.path))
        .map(|it| it.at)
        .collect();
    let since = good.iter().filter(|it| **it > group.last).count();
    let between = good.iter().filter(|it| **it >= group.first && **it <= group.last).count();
    since as f64 >= TIMES_MORE * (1.0 + between as f64 / group.count.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use jiff::SignedDuration;
    use snapshot::{Reading, Snapshot};

    const REFUSED: &str = "connect() failed (111: Connection refused)";
    const OK: (&str, u16, &str, &str, &str) = ("GET /cart HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.010");
    const OTHER: (&str, u16, &str, &str, &str) = ("GET / HTTP/1.1", 200, "127.0.0.1:8080", "200", "0.010");

    /// Two failures, 31 and 30 seconds before the collection, and then these requests.
    fn failing(message: &str, action: &str, since: &[(&str, u16, &str, &str, &str)]) -> Snapshot {
        let line = failed(message, action, "http://127.0.0.1:8080/cart");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line, &line]).with(|it| {
            let Reading::Seen(lines) = &mut it.logs[0].lines else { return };
            for it in &mut lines.value.lines {
                it.at -= SignedDuration::from_secs(20);
                let stamp = jiff::tz::Offset::UTC.to_datetime(it.at).strftime("%Y/%m/%d %H:%M:%S");
                it.text.replace_range(..19, &stamp.to_string());
            }
        });
        requested(host, since)
    }

    #[track_caller]
    fn goes_on_after(message: &str, action: &str, since: &[(&str, u16, &str, &str, &str)], expected: bool) {
        let found = with_scene(&failing(message, action, since), |scene| {
            assert_eq!(scene.groups[0].count, 2);
            goes_on(scene, &scene.groups[0])
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn refused_connections_are_over_once_the_peer_answers_again() {
        goes_on_after(REFUSED, "connecting to upstream", &[OTHER; 6], false);
    }

    #[test]
    fn a_few_answers_do_not_end_what_fails_now_and_then() {
        goes_on_after(REFUSED, "connecting to upstream", &[OTHER; 4], true);
    }

    #[test]
    fn a_page_that_fails_goes_on_failing_however_well_others_do() {
        let closed = "upstream prematurely closed connection";
        let reading = "reading response header from upstream";
        goes_on_after(closed, reading, &[OTHER; 9], true);
        goes_on_after(closed, reading, &[OK; 9], false);
    }

    #[test]
    fn a_port_that_nginx_dials_no_more_was_wrong() {
        let line = failed(REFUSED, "connecting to upstream", "http://127.0.0.1:8080/cart");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8081"), &[&line]).with(|it| {
            serving(it, 300, "/usr/bin/node /srv/shop.js", "127.0.0.1:8081");
            let Reading::Seen(nginx) = &mut it.nginx else { return };
            let Some(master) = &mut nginx.value[0].master else { return };
            master.started_at = ago(5);
            master.workers.iter_mut().for_each(|it| it.started_at = ago(5));
        });
        let report = check(&host, "wrong-upstream-port: likely");
        assert!(!report.causes[0].impact.ongoing);
        assert!(report.causes[0].summary.contains("until its last reload"), "{}", outline(&report));
    }
}
