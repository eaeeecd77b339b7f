//! The story of a unit or of the configuration in the window: when something started, ended, was edited.

use jiff::{SignedDuration, Timestamp};
use nginx_logs::backend::EventKind;
use snapshot::{ConfigFile, Unit};

use crate::case::Case;
use crate::events::Event;
use crate::scene::Scene;
use crate::service::{Elsewhere, Meant};
use crate::verdict::Fact;

/// Slack between a file's time stamp and a process's start, which the kernel counts in ticks since boot.
const START_SLACK: SignedDuration = SignedDuration::from_millis(300);

/// The configuration file that changed last after nginx loaded them, if one did.
pub fn edited_after_load<'a>(scene: &Scene<'a>) -> Option<&'a ConfigFile> {
    let loaded_at = scene.loaded_at()?;
    let files = &scene.nginx?.config.value()?.files;
    let changed = |it: &ConfigFile| it.modified_at.max(it.changed_at);
    let later = files.iter().filter(|it| changed(it).is_some_and(|at| at > loaded_at + START_SLACK));
    later.max_by_key(|it| changed(it))
}

/// One run of a unit's main process.
#[derive(Debug, Clone, Default)]
pub struct Life<'s> {
    /// When systemd started it; none when that was before the journal's window.
    pub started_at: Option<Timestamp>,
    /// How it ended; none while it runs.
    pub end: Option<End<'s>>,
}

/// The end of a run.
#[derive(Debug, Clone)]
pub struct End<'s> {
    /// When.
    pub at: Timestamp,
    /// How.
    pub how: How,
    /// The line that says so.
    pub event: &'s Event,
}

/// Ways to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// Somebody stopped or restarted it.
    Stopped,
    /// It exited by itself, with that status.
    Exited(i32),
    /// A signal that nobody sent through systemd; `code=dumped` as well.
    Signalled(i32),
    /// The OOM killer.
    OomKilled,
    /// systemd gave up: a watchdog, a start time-out.
    TimedOut,
}

impl Life<'_> {
    /// How long it ran.
    pub fn lasted(&self) -> Option<SignedDuration> {
        Some(self.end.as_ref()?.at.duration_since(self.started_at?))
    }
}

/// Whether the service that was meant for the dialled address is the very one that now listens at `there`: it was moved.
pub fn moved_to(scene: &Scene, meant: &Meant, there: &Elsewhere) -> bool {
    let _ = scene;
    match (meant.unit, there.unit) {
        (Some(meant_unit), Some(unit)) => meant_unit.name == unit.name && !meant.defined,
        _ => false,
    }
}

/// That the dialled peer answered earlier in the window, as a fact: then its address was right at that time.
pub fn served_before(case: &Case) -> Option<Fact> {
    let peer = case.peer()?.to_string();
    let first = case.group.first;
    let before = case.scene.successes().filter(|it| it.upstream == peer).filter(|it| it.first_at.is_some_and(|at| at < first));
    let last = before.max_by_key(|it| it.last_at)?;
    let at = last.last_at.filter(|at| *at < first).or(last.first_at)?;
    Some(Fact::new("access-log", format!("{peer} still answered at {}", case.scene.clock(at))).at(at))
}
