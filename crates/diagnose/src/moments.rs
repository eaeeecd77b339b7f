//! What happened around the failures: the moments that a chart of them marks. Nothing is judged here.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use nginx_logs::backend::EventKind;
use snapshot::{Change, Peer};

use crate::case::Blind;
use crate::report::{Finding, Moment};
use crate::scene::Scene;
use crate::service::Backend;

/// More marks than that cover what they are meant to explain.
const MOST_MOMENTS: usize = 12;
/// What was read that shortly before the end of the collection is how things are now, not something that happened.
const NOW: SignedDuration = SignedDuration::from_millis(100);

/// Changes of configuration, loads of it, starts and ends of the failing backends, and what else the findings rest on.
pub fn moments(
    scene: &Scene,
    findings: &[&Finding],
    backends: &HashMap<Peer, Result<Backend, Blind>>,
) -> Vec<Moment> {
    let first = findings.iter().filter_map(|it| it.impact.first).min();
    let Some(first) = first.or_else(|| scene.groups.iter().map(|it| it.first).min()) else {
        return Vec::new();
    };
    let mut moments: Vec<Moment> = proven(scene, findings).chain(loaded(scene)).collect();
    moments.extend(changes(scene));
    moments.extend(fates(scene, backends));
    moments.retain(|it| scene.snapshot.window.contains(it.at));
    let mut known = BTreeSet::new();
    moments.retain(|it| known.insert((it.at.as_second(), it.says.clone())));
    // Of many, what stands next to the first failure tells most of it.
    moments.sort_by_key(|it| it.at.duration_since(first).abs());
    moments.truncate(MOST_MOMENTS);
    moments.sort_by_key(|it| it.at);
    moments
}

/// Evidence that tells of a moment, other than failed requests themselves.
fn proven<'a>(scene: &Scene, findings: &'a [&'a Finding]) -> impl Iterator<Item = Moment> + 'a {
    let looked_from = scene.now() - elapsed(scene) - NOW;
    findings.iter().flat_map(|it| &it.evidence).filter_map(move |it| {
        let request = matches!(it.source.as_str(), "error-log" | "access-log");
        let at = it.at.filter(|at| !request && *at < looked_from)?;
        Some(Moment { at, says: it.says.clone() })
    })
}

fn elapsed(scene: &Scene) -> SignedDuration {
    SignedDuration::try_from_secs_f64(scene.snapshot.elapsed_seconds).unwrap_or_default()
}

fn loaded(scene: &Scene) -> Option<Moment> {
    Some(Moment { at: scene.loaded_at()?, says: "nginx loaded its configuration".into() })
}

/// Changed files, those of one second together.
fn changes(scene: &Scene) -> Vec<Moment> {
    let mut by_second: Vec<(Timestamp, Vec<&Change>)> = Vec::new();
    let mut changes: Vec<&Change> = scene.snapshot.changes.value().into_iter().flatten().collect();
    changes.sort_by_key(|it| it.at);
    for it in changes.into_iter().filter(|it| it.what != "package") {
        match by_second.last_mut() {
            Some((at, there)) if at.as_second() == it.at.as_second() => there.push(it),
            _ => by_second.push((it.at, vec![it])),
        }
    }
    let says = |these: &[&Change]| match these {
        [one] => format!("{} changed", one.path),
        [one, rest @ ..] => format!("{} and {} more changed", one.path, rest.len()),
        [] => String::new(),
    };
    by_second.into_iter().map(|(at, these)| Moment { at, says: says(&these) }).collect()
}

/// Starts and ends of the units and pools behind the failing addresses.
fn fates(scene: &Scene, backends: &HashMap<Peer, Result<Backend, Blind>>) -> Vec<Moment> {
    let mut units: BTreeSet<&str> = BTreeSet::new();
    for backend in backends.values().filter_map(|it| it.as_ref().ok()) {
        units.extend(backend.meant.as_ref().and_then(|it| it.unit).map(|it| it.name.as_str()));
        units.extend(backend.pool.as_ref().and_then(|(fpm, _)| fpm.unit.as_deref()));
        units.extend(backend.processes.iter().filter_map(|it| it.unit.as_deref()));
    }
    let telling = |it: &EventKind| {
        matches!(
            it,
            EventKind::UnitStarted { .. }
                | EventKind::UnitStopped { .. }
                | EventKind::UnitReloaded { .. }
                | EventKind::UnitExited { .. }
                | EventKind::UnitFailed { .. }
                | EventKind::UnitOomKill { .. }
                | EventKind::UnitTimedOut { .. }
                | EventKind::StartLimitHit { .. }
        )
    };
    let ours = scene.events.iter().filter(|it| units.contains(it.unit.as_str()) && telling(&it.kind));
    ours.map(|it| Moment { at: it.at, says: it.fact().says }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    const REFUSED: &str = "connect() failed (111: Connection refused)";

    /// A host whose backend refused ten seconds ago.
    fn refused() -> Snapshot {
        let line = failed(REFUSED, "connecting to upstream", "http://127.0.0.1:8080/cart");
        logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line])
    }

    fn says(host: &Snapshot) -> Vec<String> {
        crate::diagnose(host).moments.into_iter().map(|it| it.says).collect()
    }

    fn changed(path: &str, seconds: i64) -> Change {
        Change { path: path.into(), what: "nginx configuration".into(), at: ago(seconds) }
    }

    #[test]
    fn files_that_changed_together_are_one_moment() {
        let host = refused().with(|it| {
            it.changes = seen(vec![changed("/etc/nginx/b", 60), changed("/etc/nginx/a", 60)]);
        });
        assert!(says(&host).contains(&"/etc/nginx/b and 1 more changed".to_owned()), "{:?}", says(&host));
    }

    #[test]
    fn of_many_moments_those_around_the_first_failure_are_kept() {
        let host = refused().with(|it| {
            let changes = (0..60).map(|it| changed(&format!("/etc/nginx/{it}"), it * 10));
            it.changes = seen(changes.collect());
        });
        let says = says(&host);
        assert_eq!(says.len(), MOST_MOMENTS);
        assert!(says.contains(&"/etc/nginx/1 changed".to_owned()), "{says:?}");
        assert!(!says.contains(&"/etc/nginx/50 changed".to_owned()), "{says:?}");
    }

    #[test]
    fn where_nothing_failed_nothing_is_marked() {
        let host = Snapshot::quiet().with(|it| it.changes = seen(vec![changed("/etc/nginx/a", 60)]));
        assert!(says(&host).is_empty());
    }
}
