//! A Report of one server or one backend only.

use diagnose::{Finding, Report, Verdict};

/// Leaves out what another server, or another backend, has failed with. A cause that concerns the whole host stays, for
/// it concerns that server as well.
pub fn narrow(mut report: Report, server: Option<&str>, peer: Option<&str>) -> Report {
    if server.is_none() && peer.is_none() {
        return report;
    }
    let wanted = |it: &Finding| {
        it.upstream.as_ref().is_none_or(|it| {
            let at_server = server.is_none_or(|wanted| it.server.as_deref() == Some(wanted));
            let at_peer = peer.is_none_or(|wanted| it.peer == wanted);
            at_server && at_peer
        })
    };
    let before = report.causes.len() + report.hidden.len();
    report.causes.retain(wanted);
    report.hidden.retain(wanted);
    report.symptoms.retain(|it| match (peer, &it.peer) {
        (Some(wanted), Some(there)) => wanted == there,
        (Some(_), None) => false,
        (None, _) => true,
    });
    let after = report.causes.len() + report.hidden.len();
    if after == before {
        return report;
    }
    let place = match (server, peer) {
        (Some(server), Some(peer)) => format!("{server} at {peer}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => String::new(),
    };
    report.notes.push(format!("{} findings elsewhere than {place} are left out", before - after));
    (report.verdict, report.summary) = match (report.causes.first(), report.hidden.first()) {
        (Some(first), _) => (Verdict::Faulty, first.summary.clone()),
        (None, Some(first)) => (Verdict::Degraded, first.summary.clone()),
        (None, None) => (Verdict::Healthy, format!("No gateway failure was seen for {place}.")),
    };
    report
}
