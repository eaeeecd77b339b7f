//! A Report of one server or one backend only.

use diagnose::{Finding, Report, Verdict};

/// Leaves out what another server, or another backend, has failed with. A cause that concerns the whole host stays, for
/// it concerns that server as well.
pub fn narrow(mut report: Report, server: Option<&str>, peer: Option<&str>) -> Report {
    let place = match (server, peer) {
        (None, None) => return report,
        (Some(server), Some(peer)) => format!("{server} at {peer}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
    };
    let wanted = |it: &Finding| {
        it.upstream.as_ref().is_none_or(|it| {
            server.is_none_or(|wanted| it.server.as_deref() == Some(wanted))
                && peer.is_none_or(|wanted| it.peer == wanted)
        })
    };
    let (causes, other_causes): (Vec<_>, Vec<_>) = report.causes.into_iter().partition(wanted);
    let (hidden, other_hidden): (Vec<_>, Vec<_>) = report.hidden.into_iter().partition(wanted);
    (report.causes, report.hidden) = (causes, hidden);
    let elsewhere: Vec<&Finding> = other_causes.iter().chain(&other_hidden).collect();

    // A symptom names its peer, but not its server: it belongs elsewhere if only findings from elsewhere have that peer.
    let has = |it: &Finding, peer: &str| it.upstream.as_ref().is_some_and(|it| it.peer == peer);
    let kept = |peer: &str| report.causes.iter().chain(&report.hidden).any(|it| has(it, peer));
    report.symptoms.retain(|it| match (peer, it.peer.as_deref()) {
        (Some(wanted), there) => there == Some(wanted),
        (None, Some(there)) => kept(there) || !elsewhere.iter().any(|it| has(it, there)),
        (None, None) => true,
    });
    if elsewhere.is_empty() {
        return report;
    }
    let mut places: Vec<&str> = elsewhere
        .iter()
        .filter_map(|it| it.upstream.as_ref())
        .map(|it| it.server.as_deref().unwrap_or(&it.peer))
        .collect();
    places.sort_unstable();
    places.dedup();
    report.notes.push(format!("left out, because only {place} was asked about: {}", places.join(", ")));
    (report.verdict, report.summary) =
        match (report.causes.first(), report.hidden.first(), report.symptoms.is_empty()) {
            (Some(first), _, _) => (Verdict::Faulty, first.summary.clone()),
            (None, Some(first), _) => (Verdict::Degraded, first.summary.clone()),
            (None, None, true) => (Verdict::Healthy, format!("no gateway failure was seen for {place}")),
            (None, None, false) => (Verdict::Inconclusive, format!("no cause was found for {place}")),
        };
    report
}
