//! From groups of failures to a ranked Report.
//!
//! Every cause is asked about every group whose symptom it explains. Within a group one cause wins: the surest, and of
//! two that hold, the one that brings the other about. What loses is listed as ruled out or as a consequence. Groups
//! that nobody explains but that share their requests with an explained one are consequences of that.

mod of_logs;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use nginx_logs::Symptom;
use snapshot::Peer;

use crate::case::{Blind, Case, plural};
use crate::cause::{Cause, Judge};
use crate::causes::CAUSES;
use crate::checks;
use crate::groups::FailureGroup;
use crate::lines;
use crate::moments::moments;
use crate::report::*;
use crate::scene::Scene;
use crate::service::Backend;
use crate::silence;
use crate::summary::{summary, too_little_seen};
use crate::sums::{self, Sums};
use crate::trial;
use crate::undecided::{self, Undecided, next_look};
use crate::verdict::{self, Found};
use crate::{past, pattern};

/// At most that many findings are reported; more are counted in a note.
const MOST_FINDINGS: usize = 12;
/// At most that many pieces of evidence for one finding.
const MOST_EVIDENCE: usize = 10;

/// Fewer than one client in this many that hangs up is nothing to report: browsers do it whenever somebody clicks twice.
const MOST_IMPATIENT_ONE_IN: u64 = 20;

struct Judged {
    found: Vec<(&'static Cause, Found)>,
    ruled_out: Vec<RuledOut>,
    blind: Vec<(&'static Cause, Blind)>,
}

/// A finding with the requests that it concerns, before it is counted.
struct Draft {
    finding: Finding,
    peer: Option<Peer>,
    /// Others at which it is the same.
    others: BTreeSet<Peer>,
    groups: BTreeSet<usize>,
    accesses: BTreeSet<usize>,
}

/// Judges the scene.
pub fn report(scene: &Scene) -> Report {
    let backends = backends(scene);
    let nothing =
        Err(Blind { what: "the peer".into(), why: "nginx chose none".into(), remedy: String::new() });
    let mut drafts: Vec<Draft> = Vec::new();
    let mut unexplained: Vec<usize> = Vec::new();
    let mut undecided = Undecided::default();
    let mut blind: Vec<(&'static Cause, Blind)> = Vec::new();
    let mut host = judge_host(scene);
    blind.append(&mut host.blind);
    for (cause, found) in host.found {
        drafts.push(draft(scene, cause, found, None, Vec::new()));
    }
    for (index, group) in scene.groups.iter().enumerate().filter(|(_, it)| is_failure(scene, it)) {
        let backend = group.peer.as_ref().and_then(|it| backends.get(it)).unwrap_or(&nothing);
        let case = Case { scene, group, backend };
        let mut judged = judge(&case);
        if group.probed {
            // That an address cannot be dialled now does not prove that a request failed.
            judged
                .found
                .iter_mut()
                .for_each(|(_, found)| found.certainty = found.certainty.min(Certainty::Likely));
        }
        if judged.found.is_empty() {
            undecided.note(index, &judged.blind, &judged.ruled_out);
        }
        add_trial(&case, &mut judged.found);
        // Beside a sure cause only what could lie below it is still worth seeing.
        let sure: Vec<&Cause> = judged
            .found
            .iter()
            .filter(|(_, it)| it.certainty == Certainty::Confirmed)
            .map(|(cause, _)| *cause)
            .collect();
        let matters = |cause: &Cause| sure.is_empty() || sure.iter().any(|it| brings_about(cause, it));
        blind.extend(judged.blind.into_iter().filter(|(cause, _)| matters(cause)));
        let chosen = match scene.snapshot.is_of_logs() {
            true => lines::weigh(judged.found, judged.ruled_out),
            false => choose(judged.found, judged.ruled_out),
        };
        if chosen.is_empty() {
            unexplained.push(index);
        }
        for (cause, found, ruled_out) in chosen {
            drafts.push(draft(scene, cause, found, Some(index), ruled_out));
        }
    }
    let fails = scene.groups.iter().any(|it| is_failure(scene, it));
    let refused = if fails { None } else { lines::refused_alone(scene) };
    for (cause, found) in lines::told_alone(scene).into_iter().chain(refused) {
        drafts.push(draft(scene, cause, found, None, Vec::new()));
    }
    drafts = merge(drafts);
    hang_consequences(scene, &mut drafts, &mut unexplained);
    finish(scene, drafts, (unexplained, undecided), blind, &backends)
}

/// Puts a request of our own beside what was found about it. That the same went well without nginx speaks against every
/// fault of the backend itself.
fn add_trial(case: &Case, found: &mut [(&'static Cause, Found)]) {
    let Some(fact) = trial::fact(case) else { return };
    for (cause, found) in found {
        if found.evidence.iter().any(|it| it.says == fact.says) {
            continue;
        }
        let of_backend = cause.id.starts_with("backend-") || cause.id.ends_with("-pool-exhausted");
        let mut with_fact = found.clone();
        with_fact = match of_backend && trial::went_well_without_nginx(case) {
            true => with_fact.contradicting(fact.clone()),
            false => with_fact.supporting(fact.clone()),
        };
        *found = proven(with_fact);
    }
}

fn backends<'a>(scene: &Scene<'a>) -> HashMap<Peer, Result<Backend<'a>, Blind>> {
    let peers: BTreeSet<&Peer> = scene.groups.iter().filter_map(|it| it.peer.as_ref()).collect();
    peers.into_iter().map(|peer| (peer.clone(), Backend::of(scene, peer))).collect()
}

/// Whether a group is a gateway failure at all: a request that ended with 403 or 404 is none, whatever was logged.
fn is_failure(scene: &Scene, group: &FailureGroup) -> bool {
    if is_everyday(scene, group) {
        return false;
    }
    let harmless = |it: &usize| {
        let access = &scene.failures.accesses[*it];
        (100..500).contains(&access.status)
            && access.status != 413
            && access.status != 499
            && access.status >= 400
    };
    // A status that was passed on is a group only where it is a failure.
    group.symptom == Symptom::UpstreamStatus
        || group.accesses.is_empty()
        || group.accesses.len() as u64 * 2 < group.count
        || !group.accesses.iter().all(harmless)
}

/// Whether it is what a busy and healthy host logs as well: requests that were merely delayed or counted, warnings about responses that
/// were passed on whole, a few clients among many that did not wait.
fn is_everyday(scene: &Scene, group: &FailureGroup) -> bool {
    let mut entries = group.entries.iter().map(|it| &scene.failures.entries[*it]);
    match group.symptom {
        Symptom::Limiting => {
            entries.all(|it| it.message.starts_with("delaying ") || it.message.contains(", dry run"))
        }
        Symptom::ResponseInvalid | Symptom::HeaderInvalid => {
            let mut accesses = group.accesses.iter().map(|it| &scene.failures.accesses[*it]);
            !group.entries.is_empty()
                && entries.all(|it| it.line.split(' ').nth(2) == Some("[warn]"))
                && accesses.all(|it| (100..500).contains(&it.status))
        }
        Symptom::ClientClosed => {
            // Of a long log, few of the lines are kept.
            let counted = scene.snapshot.traffic.as_ref().and_then(|it| it.statuses.get(&499)).copied();
            let count = group.count.max(counted.unwrap_or(0));
            scene.requests_total().is_some_and(|total| count * MOST_IMPATIENT_ONE_IN < total)
        }
        _ => false,
    }
}

fn judge(case: &Case) -> Judged {
    let mut judged = Judged { found: Vec::new(), ruled_out: Vec::new(), blind: Vec::new() };
    for cause in CAUSES.iter().filter(|it| it.explains.contains(&case.group.symptom)) {
        let Judge::Group(rule) = cause.judge else { continue };
        match cause.from_lines.filter(|_| case.scene.snapshot.is_of_logs()) {
            Some(lines) => judged.found.extend(lines(case).map(|it| (*cause, proven(it)))),
            None => enter(&mut judged, cause, rule(case)),
        }
    }
    judged
}

fn judge_host(scene: &Scene) -> Judged {
    let mut judged = Judged { found: Vec::new(), ruled_out: Vec::new(), blind: Vec::new() };
    for cause in CAUSES {
        let Judge::Host(rule) = cause.judge else { continue };
        enter(&mut judged, cause, rule(scene));
    }
    judged
}

fn enter(judged: &mut Judged, cause: &'static Cause, verdict: Result<verdict::Verdict, Blind>) {
    match verdict {
        Ok(verdict::Verdict::NotIt) => {}
        Ok(verdict::Verdict::RuledOut(because)) => judged.ruled_out.push(RuledOut { id: cause.id, because }),
        Ok(verdict::Verdict::Found(found)) => judged.found.push((cause, proven(*found))),
        Err(blind) => judged.blind.push((cause, blind)),
    }
}

/// `confirmed` needs something decisive that was seen; a rule that forgot it is not believed that much.
fn proven(mut found: Found) -> Found {
    let decisive = found.evidence.iter().any(|it| it.weight == Weight::Decisive);
    if found.certainty == Certainty::Confirmed && !decisive {
        found.certainty = Certainty::Likely;
        found.confidence = found.confidence.min(0.8);
    }
    found.evidence.sort_by_key(|it| it.weight);
    found.evidence.truncate(MOST_EVIDENCE);
    found
}

fn brings_about(cause: &Cause, other: &Cause) -> bool {
    cause.leads_to.contains(&other.id)
}

/// The winner first; other candidates only where the winner is not sure.
fn choose(
    mut found: Vec<(&'static Cause, Found)>,
    mut ruled_out: Vec<RuledOut>,
) -> Vec<(&'static Cause, Found, Vec<RuledOut>)> {
    found.sort_by(|(_, a), (_, b)| b.certainty.cmp(&a.certainty).then(b.confidence.total_cmp(&a.confidence)));
    let Some(mut winner) = (!found.is_empty()).then_some(0) else { return Vec::new() };
    // Bounded by the number of causes: a loop in `leads_to` must not hang us.
    for _ in 0..found.len() {
        let surer = |it: &usize| found[*it].1.certainty >= found[winner].1.certainty;
        match (0..found.len()).filter(surer).find(|it| brings_about(found[*it].0, found[winner].0)) {
            Some(deeper) if deeper != winner => winner = deeper,
            _ => break,
        }
    }
    let (cause, mut best) = found.remove(winner);
    ruled_out.splice(0..0, best.ruled_out.drain(..));
    let mut others = Vec::new();
    for (other, candidate) in found {
        if brings_about(cause, other) {
            best.consequences.push(other.id.to_owned());
        } else if best.certainty == Certainty::Confirmed || candidate.certainty < Certainty::Possible {
            ruled_out.push(RuledOut {
                id: other.id,
                because: format!("{} was seen, which explains the same", cause.title()),
            });
        } else {
            others.push((other, candidate, Vec::new()));
        }
    }
    let mut chosen = vec![(cause, best, ruled_out)];
    chosen.extend(others);
    chosen
}

fn draft(
    scene: &Scene,
    cause: &'static Cause,
    found: Found,
    group: Option<usize>,
    ruled_out: Vec<RuledOut>,
) -> Draft {
    let of_group = group.map(|it| &scene.groups[it]);
    let finding = Finding {
        cause,
        certainty: found.certainty,
        confidence: found.confidence,
        summary: found.summary,
        upstream: of_group.and_then(|it| upstream(scene, it)),
        impact: Impact::default(),
        evidence: found.evidence,
        ruled_out,
        consequences: found.consequences,
        fixes: found.fixes,
        verify: found.verify,
        prevent: found.prevent,
    };
    Draft {
        finding,
        peer: of_group.and_then(|it| it.peer.clone()),
        others: BTreeSet::new(),
        groups: group.into_iter().collect(),
        accesses: of_group.map(|it| it.accesses.iter().copied().collect()).unwrap_or_default(),
    }
}

/// The upstream side of a group, as the report shows it.
pub fn upstream(scene: &Scene, group: &FailureGroup) -> Option<Upstream> {
    let peer = group.peer.as_ref()?;
    let pass = scene.pass(group);
    let mut upstream = Upstream {
        peer: peer.to_string(),
        scheme: Some(group.scheme.clone()).filter(|it| !it.is_empty()),
        server: Some(group.server.clone()).filter(|it| !it.is_empty()),
        ..Upstream::default()
    };
    if let Some(pass) = pass {
        upstream.group = pass.group(scene.view).map(|it| it.name.clone());
        upstream.location =
            pass.location.and_then(|it| scene.view.location(it)).map(nginx_conf::Location::heading);
        upstream.config = Some(scene.place(pass.span));
    }
    Some(upstream)
}

/// One finding for each cause and peer.
fn merge(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut merged: Vec<Draft> = Vec::new();
    for draft in drafts {
        let same = |it: &&mut Draft| it.finding.cause == draft.finding.cause && it.peer == draft.peer;
        match merged.iter_mut().find(same) {
            Some(there) => absorb(there, draft),
            None => merged.push(draft),
        }
    }
    merged
}

fn absorb(there: &mut Draft, draft: Draft) {
    there.groups.extend(draft.groups);
    there.accesses.extend(draft.accesses);
    let (kept, mut other) = (&mut there.finding, draft.finding);
    if (other.certainty, other.confidence) > (kept.certainty, kept.confidence) {
        let ruled_out = std::mem::take(&mut kept.ruled_out);
        other.ruled_out.extend(ruled_out);
        std::mem::swap(kept, &mut other);
    }
    add_new(&mut kept.evidence, other.evidence, |a, b| a.says == b.says);
    kept.evidence.sort_by_key(|it| it.weight);
    kept.evidence.truncate(MOST_EVIDENCE);
    add_new(&mut kept.ruled_out, other.ruled_out, |a, b| a.id == b.id);
    add_new(&mut kept.consequences, other.consequences, |a, b| a == b);
    // The same advice in other words helps nobody: only a kind of help that is missing is taken over.
    add_new(&mut kept.fixes, other.fixes, |a, b| a.kind == b.kind);
}

fn add_new<T>(kept: &mut Vec<T>, more: Vec<T>, same: impl Fn(&T, &T) -> bool) {
    for it in more {
        if !kept.iter().any(|there| same(there, &it)) {
            kept.push(it);
        }
    }
}

/// Hangs findings under the finding that brings them about, and groups that nobody explained under the one they belong to.
fn hang_consequences(scene: &Scene, drafts: &mut Vec<Draft>, unexplained: &mut Vec<usize>) {
    let mut index = 0;
    while index < drafts.len() {
        let lower = &drafts[index];
        // What may explain the same failures instead is no consequence.
        let apart = |upper: &Draft| {
            !scene.snapshot.is_of_logs()
                || upper.finding.certainty > Certainty::Possible && upper.groups.is_disjoint(&lower.groups)
        };
        let above = drafts.iter().position(|upper| {
            brings_about(upper.finding.cause, lower.finding.cause)
                && apart(upper)
                && upper.finding.certainty >= lower.finding.certainty
                && (upper.peer == lower.peer
                    || upper.peer.is_none()
                    || lower.peer.is_none()
                    || is_surer_about_a_member(scene, upper, lower))
        });
        match above {
            Some(above) if above != index => {
                let lower = drafts.remove(index);
                let above = if above > index { above - 1 } else { above };
                drafts[above].finding.consequences.push(lower.finding.cause.id.to_owned());
                drafts[above].groups.extend(lower.groups);
                drafts[above].accesses.extend(lower.accesses);
                index = 0;
            }
            _ => index += 1,
        }
    }
    unexplained.retain(|index| {
        let group = &scene.groups[*index];
        let Some(above) = drafts.iter_mut().find(|it| belongs_to(scene, group, it)) else { return true };
        above.groups.insert(*index);
        above.accesses.extend(&group.accesses);
        let symptom = group.symptom.id().to_owned();
        if !above.finding.consequences.contains(&symptom) {
            above.finding.consequences.push(symptom);
        }
        false
    });
}

/// Whether the upper finding is about a server of the group that the lower one is about, and surer. Of two that are as
/// sure, both stand: servers that are well again and still put aside are a matter of their own.
fn is_surer_about_a_member(scene: &Scene, upper: &Draft, lower: &Draft) -> bool {
    let Some(Peer::Group(name)) = &lower.peer else { return false };
    let of_group = upper.finding.upstream.as_ref().and_then(|it| it.group.as_ref());
    upper.finding.certainty > lower.finding.certainty
        && (of_group == Some(name) || name_leads_to(scene, name, upper.peer.as_ref()))
}

/// Whether an unexplained group is a consequence of a finding: most of its requests are that finding's, or nginx found
/// no live server in a group that the finding's peer is in.
fn belongs_to(scene: &Scene, group: &FailureGroup, draft: &Draft) -> bool {
    let shared = group.accesses.iter().filter(|it| draft.accesses.contains(it)).count();
    if !group.accesses.is_empty() && shared * 2 > group.accesses.len() {
        return true;
    }
    if scene.snapshot.is_of_logs() && group.symptom == Symptom::NoLiveUpstreams {
        let ejecting = lines::ejected_before(scene, group);
        return ejecting.is_some_and(|it| it.peer == draft.peer);
    }
    match (&group.peer, &draft.finding.upstream) {
        (Some(Peer::Group(name)), Some(upstream)) if group.symptom == Symptom::NoLiveUpstreams => {
            upstream.group.as_ref() == Some(name) || name_leads_to(scene, name, draft.peer.as_ref())
        }
        (None, _) => draft.peer.is_none() && group.symptom == Symptom::UpstreamStatus,
        _ => false,
    }
}

/// The group of a pass without an `upstream` block is named after its address: `localhost`, `app.internal:8080`.
fn name_leads_to(scene: &Scene, name: &str, peer: Option<&Peer>) -> bool {
    let Some(peer) = peer else { return false };
    let passes =
        scene.view.passes().iter().filter(|it| crate::groups::leads_to(it, peer, scene.view, scene.snapshot));
    passes
        .into_iter()
        .any(|it| it.addresses(scene.view).iter().any(|it| it.address.split(':').next() == Some(name)))
}

fn finish(
    scene: &Scene,
    mut drafts: Vec<Draft>,
    (unexplained, undecided): (Vec<usize>, Undecided),
    blind: Vec<(&'static Cause, Blind)>,
    backends: &HashMap<Peer, Result<Backend, Blind>>,
) -> Report {
    let total = scene.requests_total();
    let mut causes: Vec<Finding> = Vec::new();
    let mut hidden: Vec<Finding> = Vec::new();
    pattern::name_it(scene, drafts.iter_mut().map(|it| (&mut it.finding, &it.groups)));
    let sums = Sums::of(scene);
    let mut background = 0;
    if scene.snapshot.is_of_logs() {
        (drafts, background) = of_logs::rank(scene, &sums, drafts, total);
    }
    for mut draft in drafts {
        draft.finding.impact = impact(scene, &sums, &draft, total);
        let groups = draft.groups.iter().map(|it| &scene.groups[*it]);
        let all_hidden = !draft.groups.is_empty() && groups.clone().all(FailureGroup::all_hidden);
        if all_hidden { hidden.push(draft.finding) } else { causes.push(draft.finding) }
    }
    if !scene.snapshot.is_of_logs() {
        causes.sort_by(order);
        hidden.sort_by(order);
    }
    let mut notes = notes(scene);
    if background > 0 {
        notes.push(format!(
            "{} failed here and there all the time, never many at once: such findings stand last",
            plural(background, "request")
        ));
    }
    if causes.len() > MOST_FINDINGS {
        notes.push(format!("{} more findings are not listed", causes.len() - MOST_FINDINGS));
        causes.truncate(MOST_FINDINGS);
    }
    let blind_spots = blind_spots(scene, blind);
    let visible = |it: &usize| !scene.groups[*it].all_hidden();
    let verdict = match () {
        () if !causes.is_empty() => Verdict::Faulty,
        () if unexplained.iter().any(visible) => Verdict::Inconclusive,
        () if trial::unanswered(scene).is_some() => Verdict::Inconclusive,
        () if !hidden.is_empty() || !unexplained.is_empty() => Verdict::Degraded,
        () if too_little_seen(scene).is_some() => Verdict::Inconclusive,
        () => Verdict::Healthy,
    };
    let host = &scene.snapshot.host;
    let guessing = verdict == Verdict::Inconclusive
        || causes.first().is_some_and(|it| lines::is_guess(scene, it.certainty));
    let undecided = Some(undecided).filter(|_| verdict == Verdict::Inconclusive).unwrap_or_default();
    Report {
        host: host.name.clone(),
        kernel: host.kernel.clone(),
        nginx: scene.nginx.map(|it| it.version.clone()),
        container: host.container,
        utc_offset_seconds: host.utc_offset_seconds,
        collected_at: scene.snapshot.collected_at,
        elapsed_seconds: scene.snapshot.elapsed_seconds,
        window: scene.snapshot.window,
        verdict,
        summary: summary(scene, verdict, &causes, &hidden, &unexplained, total),
        candidates: undecided.candidates(scene, &unexplained, &blind_spots),
        ruled_out: undecided.ruled_out(&unexplained),
        next_look: guessing
            .then(|| lines::next_look(scene).or_else(|| next_look(scene, &unexplained)))
            .flatten(),
        moments: moments(scene, &causes.iter().chain(&hidden).collect::<Vec<_>>(), backends),
        checks: checks::checklist(scene, &causes, backends),
        causes,
        hidden,
        symptoms: symptoms(scene),
        blind_spots,
        notes,
        traffic: scene.snapshot.traffic.clone(),
    }
}

/// What to act on first: what goes on before what is over, what hurts most, what is surest. Clients that give up are
/// never first.
fn order(a: &Finding, b: &Finding) -> std::cmp::Ordering {
    let key = |it: &Finding| {
        let guess = it.certainty == Certainty::Possible;
        (is_of_clients(it), guess, !it.impact.ongoing, std::cmp::Reverse(it.impact.requests))
    };
    key(a).cmp(&key(b)).then(b.certainty.cmp(&a.certainty)).then(b.confidence.total_cmp(&a.confidence))
}

/// Whether clients alone are concerned, and neither nginx nor a backend.
pub fn is_of_clients(finding: &Finding) -> bool {
    finding.cause.explains == [Symptom::ClientClosed]
}

fn impact(scene: &Scene, sums: &Sums, draft: &Draft, total: Option<u64>) -> Impact {
    let groups: Vec<_> = draft.groups.iter().map(|it| &scene.groups[*it]).collect();
    let mut by_status: BTreeMap<u16, f64> = BTreeMap::new();
    for access in &draft.accesses {
        *by_status.entry(scene.failures.accesses[*access].status).or_default() += sums.request(*access);
    }
    let statuses: BTreeMap<u16, u64> =
        by_status.into_iter().map(|(status, count)| (status, count.round() as u64)).collect();
    // An entry that found no request counts by itself; the others are counted once for each request.
    let alone = |group: &&FailureGroup| {
        let entries = group.entries.iter().map(|it| &scene.failures.entries[*it]);
        entries.filter(|it| it.access.is_none()).map(|it| sums.entry(it)).sum::<f64>()
    };
    let entries_alone = match sums.leave_out(&draft.accesses) {
        true => 0,
        false => groups.iter().map(alone).fold(0.0, f64::max).round() as u64,
    };
    let requests = statuses.values().sum::<u64>() + entries_alone;
    let stretches = sums.stretches(&draft.groups);
    let last = groups.iter().map(|it| it.last).max();
    Impact {
        requests,
        share: total.filter(|it| *it > 0).map(|total| (requests as f64 / total as f64).min(1.0)),
        statuses,
        first: groups.iter().map(|it| it.first).min(),
        last,
        // Without a running nginx no request fails any more, however recent the last one is.
        ongoing: match scene.snapshot.is_of_logs() {
            true if groups.is_empty() => lines::is_recent(scene, &draft.finding),
            true => groups.iter().any(|it| past::goes_on(scene, it)),
            false => {
                groups.is_empty() || scene.nginx_runs() && groups.iter().any(|it| past::goes_on(scene, it))
            }
        },
        background: sums::is_scattered(&stretches, total),
        worst: sums::worst(&stretches).filter(|_| stretches.len() > 1).cloned(),
    }
}

fn symptoms(scene: &Scene) -> Vec<SymptomLine> {
    let mut lines: Vec<SymptomLine> = Vec::new();
    for group in &scene.groups {
        let request = |it: usize| {
            let access = &scene.failures.accesses[it];
            Quote { reference: access.reference.clone(), line: access.line.clone() }
        };
        let entries = || group.entries.iter().rev().map(|it| &scene.failures.entries[*it]);
        // An entry whose request is known shows both sides.
        let sample = entries().find(|it| it.access.is_some()).or_else(|| entries().next());
        let sample_request = sample.and_then(|it| it.access).map(request);
        let (sample_reference, sample_line) = match (sample, group.accesses.last()) {
            (Some(entry), _) => (entry.reference.clone(), entry.line.clone()),
            (None, Some(last)) => {
                let Quote { reference, line } = request(*last);
                (reference, line)
            }
            (None, None) => Default::default(),
        };
        let peer = group.peer.as_ref().map(Peer::to_string);
        let failed_at = failed_at(scene, group);
        match lines.iter_mut().find(|it| it.symptom == group.symptom && it.peer == peer) {
            Some(line) => {
                line.count += group.count;
                line.first = line.first.min(Some(group.first));
                line.last = line.last.max(Some(group.last));
                line.failed_at.extend(failed_at);
            }
            None => lines.push(SymptomLine {
                symptom: group.symptom,
                peer,
                count: group.count,
                first: Some(group.first),
                last: Some(group.last),
                failed_at,
                sample_reference,
                sample_line,
                sample_request,
            }),
        }
    }
    lines.truncate(50);
    lines
}

/// Each failure of a group: its entries, and the requests that have none.
fn failed_at(scene: &Scene, group: &FailureGroup) -> Vec<Timestamp> {
    let entries = group.entries.iter().map(|it| scene.failures.entries[*it].at);
    let requests = group.accesses.iter().map(|it| &scene.failures.accesses[*it]).filter(|it| !it.explained);
    entries.chain(requests.map(|it| it.at)).collect()
}

fn blind_spots(scene: &Scene, blind: Vec<(&'static Cause, Blind)>) -> Vec<BlindSpot> {
    let mut spots: Vec<BlindSpot> = Vec::new();
    if scene.snapshot.is_of_logs() {
        return vec![lines::the_host()];
    }
    for log in &scene.snapshot.logs {
        // A host without a journal hides nothing in it.
        let absent = |it: &snapshot::Unread| {
            it.reason == snapshot::Reason::Unsupported && log.path.starts_with("journal:")
        };
        if let Some(unread) =
            log.lines.obstacle().filter(|it| it.reason != snapshot::Reason::NotAsked && !absent(it))
        {
            let blind = Blind::from_unread(&log.path, unread);
            spots.push(BlindSpot {
                what: blind.what,
                why: blind.why,
                costs: Vec::new(),
                remedy: blind.remedy,
            });
        }
    }
    spots.extend(silence::blind_spots(scene));
    for (cause, blind) in blind {
        match spots.iter_mut().find(|it| it.what == blind.what) {
            Some(spot) if spot.costs.contains(&cause.id) => {}
            Some(spot) => spot.costs.push(cause.id),
            None => spots.push(BlindSpot {
                what: blind.what,
                why: blind.why,
                costs: vec![cause.id],
                remedy: blind.remedy,
            }),
        }
    }
    spots.truncate(30);
    spots
}

fn notes(scene: &Scene) -> Vec<String> {
    let mut notes: Vec<String> = trial::passed_on(scene).into_iter().collect();
    notes.extend(undecided::without_logs(scene));
    let configured = scene.nginx.is_some() || !scene.snapshot.is_of_logs();
    for problem in scene.config.problems.iter().filter(|_| configured).take(5) {
        notes.push(format!("configuration: {}", scene.problem(problem)));
    }
    for log in &scene.snapshot.logs {
        let Some(lines) = log.lines.value() else { continue };
        if lines.cut {
            notes.push(format!(
                "{}: the window is longer than what was read of it, only its end was",
                log.path
            ));
        } else if lines.left_out_total > 0 {
            notes.push(format!(
                "{}: {} more entries of the window were left out",
                log.path, lines.left_out_total
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests;
