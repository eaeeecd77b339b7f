//! The answer in one sentence, and what keeps silence from being one.

use crate::case::plural;
use crate::lines;
use crate::report::{Finding, Verdict};
use crate::scene::Scene;
use crate::trial;

/// Why silence is no sign of health here, if so.
pub fn too_little_seen(scene: &Scene) -> Option<&'static str> {
    if scene.snapshot.is_of_logs() {
        return lines::too_little(scene);
    }
    if scene.nginx.is_none() {
        return Some("no nginx was found on this host");
    }
    if trial::went_well(scene).is_some() {
        return None;
    }
    let logs = scene.snapshot.logs.iter();
    let seen = logs.clone().filter(|it| it.lines.value().is_some()).count();
    let lines = logs.filter_map(|it| it.lines.value()).any(|it| it.read_total > 0);
    let peers = scene.snapshot.peers.iter().filter(|it| it.connect.value().is_some()).count();
    if seen == 0 && peers == 0 {
        return Some("no log of nginx could be read and no backend could be asked");
    }
    (seen == 0 && !lines && scene.snapshot.peers.is_empty()).then_some("no log of nginx could be read")
}

/// The answer in one sentence.
pub fn summary(
    scene: &Scene,
    verdict: Verdict,
    causes: &[Finding],
    hidden: &[Finding],
    unexplained: &[usize],
    total: Option<u64>,
) -> String {
    match verdict {
        Verdict::Faulty => causes[0].summary.clone(),
        Verdict::Degraded if !hidden.is_empty() => {
            format!("{} Retries hid it from every client so far.", sentence(&hidden[0].summary))
        }
        Verdict::Inconclusive if unexplained.is_empty() && trial::unanswered(scene).is_some() => {
            let tried = trial::unanswered(scene).unwrap_or_default();
            format!("{tried}. Nothing that could be seen explains it.")
        }
        Verdict::Inconclusive if unexplained.is_empty() => {
            let why = too_little_seen(scene).unwrap_or("too little could be seen");
            format!("Cannot tell: {why}.")
        }
        Verdict::Degraded | Verdict::Inconclusive => {
            let group = &scene.groups[unexplained[0]];
            let peer = group.peer.as_ref().map(|it| format!(" at {it}")).unwrap_or_default();
            format!(
                "{} failed with {}{peer}, and nothing that could be seen explains it.",
                plural(group.count, "request"),
                group.symptom.id()
            )
        }
        Verdict::Healthy => {
            if scene.snapshot.is_of_logs() {
                return lines::well(scene);
            }
            let nginx = scene.nginx.map(|it| format!("nginx {} runs", it.version)).unwrap_or_default();
            let since = scene.clock(scene.snapshot.window.from);
            let tried = trial::went_well(scene).map(|it| format!(" {it}.")).unwrap_or_default();
            match total {
                Some(total) => {
                    format!("{nginx}; {} since {since}, no gateway failure.{tried}", plural(total, "request"))
                }
                None => format!("{nginx}; no gateway failure was logged since {since}.{tried}"),
            }
        }
    }
}

fn sentence(text: &str) -> String {
    if text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}
