//! What a backend itself said near a group's failures, where it has no event of its own.

use jiff::{SignedDuration, Timestamp};

use crate::case::Case;
use crate::verdict::Fact;

/// How far a line of the backend may be from the request that it is about.
const NEAR: SignedDuration = SignedDuration::from_secs(3);

/// The last line of the backend's unit, or of its own log, that tells of it, near one of the group's failures.
pub fn near(case: &Case, tells: impl Fn(&str) -> bool) -> Option<Fact> {
    let scene = case.scene;
    // Of logs alone nobody knows which program the backend is: any may have spoken of it.
    let any = scene.snapshot.is_of_logs();
    let backend = case.backend.as_ref().ok();
    if backend.is_none() && !any {
        return None;
    }
    let unit = backend.and_then(|it| it.unit(scene)).map(|it| it.name.as_str());
    let pids: Vec<u32> = backend.into_iter().flat_map(|it| &it.processes).map(|it| it.pid).collect();
    let mut times: Vec<Timestamp> =
        case.entries().map(|it| it.at).chain(case.accesses().map(|it| it.at)).collect();
    times.sort();
    let close = |at: Timestamp| {
        let next = times.partition_point(|it| *it < at);
        let around = [next.checked_sub(1).and_then(|it| times.get(it)), times.get(next)];
        around.into_iter().flatten().any(|it| it.duration_since(at).abs() <= NEAR)
    };
    let journal = scene.snapshot.journal.value().into_iter().flatten().rev();
    let mut own = journal.filter(|it| {
        !matches!(it.identifier.as_str(), "systemd" | "nginx" | "kernel")
            && (any || unit == Some(it.unit.as_str()) || pids.contains(&it.pid))
    });
    if let Some(entry) = own.find(|it| close(it.at) && tells(&it.message)) {
        let text: String = entry.message.trim().chars().take(300).collect();
        let reference =
            if entry.unit.is_empty() { "journalctl".into() } else { format!("journalctl -u {}", entry.unit) };
        return Some(Fact::new("journal", text).reference(reference).at(entry.at));
    }
    let others = |it: &&snapshot::BackendLog| {
        !any && it.owner.ends_with(".service") && unit != Some(it.owner.as_str())
    };
    for log in scene.snapshot.backend_logs.iter().filter(|it| !others(it)) {
        let lines = log.lines.value().into_iter().flatten().rev();
        if let Some(line) = lines.into_iter().find(|it| close(it.at) && tells(&it.text)) {
            let text: String = line.text.trim().chars().take(300).collect();
            let kind = format!("{}-log", log.server);
            return Some(Fact::new(kind, text).reference(format!("{}:{}", log.path, line.line)).at(line.at));
        }
    }
    None
}
