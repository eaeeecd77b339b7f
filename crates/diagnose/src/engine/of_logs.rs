//! The order of findings from logs alone. Nobody saw what goes on now, so it is what each did to clients that counts.

use std::collections::BTreeSet;

use snapshot::Peer;

use super::{Draft, absorb, is_of_clients};
use crate::past;
use crate::report::Stretch;
use crate::scene::Scene;
use crate::sums::{self, Sums};

/// At most that many other servers are named in one finding.
const MOST_PEERS: usize = 4;
/// Of candidates for the same failures each weighs that part of the one before it.
const LATER_CANDIDATE: f64 = 0.25;
/// The findings from logs alone, what did most to clients first: of a long log, those of one cause at several servers that
/// failed at once are one, and what fails here and there all the time stands behind. The latter is counted as well.
pub(super) fn rank(scene: &Scene, sums: &Sums, drafts: Vec<Draft>, total: Option<u64>) -> (Vec<Draft>, u64) {
    let mut ranked: Vec<(Draft, Vec<Stretch>)> = Vec::new();
    for draft in drafts {
        let own = sums.stretches(&draft.groups);
        let scattered = sums::is_scattered(&own, total);
        let same = |(there, stretches): &&mut (Draft, Vec<Stretch>)| {
            there.finding.cause == draft.finding.cause
                && there.peer.is_some()
                && draft.peer.is_some()
                && (scattered && sums::is_scattered(stretches, total) || sums::at_once(stretches, &own))
        };
        match ranked.iter_mut().find(same) {
            Some((there, stretches)) => {
                there.others.extend(draft.peer.clone().filter(|it| Some(it) != there.peer.as_ref()));
                absorb(there, draft);
                *stretches = sums.stretches(&there.groups);
            }
            None => ranked.push((draft, own)),
        }
    }
    // Candidates for the same failures stand behind the best of them: each incident has one among the first.
    let rivals_before = |(at, it): (usize, &Draft)| {
        let same = |other: &Draft| !other.groups.is_disjoint(&it.groups);
        let surer = |(other_at, other): (usize, &Draft)| {
            (other.finding.confidence, at) > (it.finding.confidence, other_at)
        };
        let rivals = ranked.iter().enumerate().map(|(at, (other, _))| (at, other));
        rivals.filter(|it| it.0 != at && same(it.1) && surer(*it)).count()
    };
    let places: Vec<usize> =
        ranked.iter().enumerate().map(|(at, (draft, _))| rivals_before((at, draft))).collect();
    let weigh = |((draft, stretches), place): (&(Draft, Vec<Stretch>), &usize)| {
        let goes_on = draft.groups.iter().any(|it| past::goes_on(scene, &scene.groups[*it]));
        let severity = if stretches.is_empty() { 1.0 } else { sums::severity(stretches) };
        let part = LATER_CANDIDATE.powi(i32::try_from(*place).unwrap_or(i32::MAX));
        let noise = sums::is_scattered(stretches, total);
        (is_of_clients(&draft.finding), noise, -severity * part * if goes_on && !noise { 2.0 } else { 1.0 })
    };
    let weights: Vec<_> = ranked.iter().zip(&places).map(weigh).collect();
    let firsts: Vec<bool> = places.iter().map(|it| *it == 0).collect();
    let incident = weights.iter().any(|it| !it.1);
    let mut noisy: BTreeSet<usize> = BTreeSet::new();
    let mut all: Vec<_> = ranked.into_iter().zip(weights).zip(firsts).collect();
    // Beside an incident, one guess at what fails every day is enough.
    all.retain(|(((draft, _), weight), first)| {
        if weight.1 {
            noisy.extend(&draft.accesses);
        }
        !incident || !weight.1 || *first
    });
    all.sort_by(|((_, a), _), ((_, b), _)| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
    let background = noisy.iter().map(|it| sums.request(*it)).sum::<f64>().round() as u64;
    let drafts = all.into_iter().map(|(((mut draft, _), _), _)| {
        name_others(&mut draft);
        draft
    });
    (drafts.collect(), background)
}

/// Says where else it is so.
fn name_others(draft: &mut Draft) {
    let told = draft.finding.upstream.as_ref().map(|it| it.peer.as_str());
    let others = draft.others.iter().chain(&draft.peer).map(Peer::to_string);
    let others: BTreeSet<String> = others.filter(|it| told != Some(it.as_str())).collect();
    let others: Vec<String> = others.into_iter().filter(|_| !draft.others.is_empty()).collect();
    if others.is_empty() {
        return;
    }
    let (shown, rest) = others.split_at(others.len().min(MOST_PEERS));
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    draft.finding.summary.push_str(&format!("; the same at {}{more}", shown.join(", ")));
}
