//! What a Snapshot means. Pure: no rule reads a file, asks the clock or runs a command; all that a rule may know is in
//! the Snapshot, so every diagnosis can be replayed from a capture.
//!
//! `failure` reads single failures from the logs, `groups` puts them together, `scene` indexes the evidence around
//! them, `service` says who serves an address, `causes` judge, `engine` ranks. Reading the host is `collect`'s work,
//! showing the Report that of `report`.

mod app;
mod case;
mod cause;
mod causes;
mod checks;
mod course;
mod deaths;
mod denials;
mod dial;
mod edits;
mod engine;
mod events;
mod failure;
mod fate;
mod groups;
mod heard;
mod hidden;
mod idle;
mod lines;
mod members;
mod merge;
mod moments;
mod networks;
mod outage;
mod own_answers;
mod packet_filter;
mod past;
mod pattern;
mod reload;
mod report;
mod rule;
mod said;
mod scene;
mod service;
mod silence;
mod space;
mod story;
mod summary;
mod sums;
#[cfg(test)]
mod testing;
mod tiers;
mod tls_talk;
mod trial;
mod undecided;
mod verdict;
mod vitals;

pub use cause::{Cause, Judge};
pub use report::*;

use nginx_conf::{Config, MemoryFiles, Version, View};
use scene::Scene;
use snapshot::Snapshot;

/// Diagnoses a host: the nginx that it was asked about, or the main one, and then the others that run beside it.
pub fn diagnose(snapshot: &Snapshot) -> Report {
    let instances = snapshot.nginx.value().map_or(0, Vec::len);
    if instances < 2 {
        return diagnose_first(snapshot);
    }
    let seen = (0..instances).filter_map(|it| Some((it, seen_from(snapshot, it)?)));
    let mut reports: Vec<(usize, Report)> = seen.map(|(index, it)| (index, diagnose_first(&it))).collect();
    merge::look_behind(snapshot, &mut reports);
    let mut reports = reports.into_iter().map(|(_, report)| report);
    let first = reports.next().unwrap_or_else(|| diagnose_first(snapshot));
    reports.fold(first, merge::merge)
}

/// The Snapshot with that instance in front and its logs alone; none for a further one that does not run, or whose logs
/// were not looked at.
fn seen_from(snapshot: &Snapshot, index: usize) -> Option<Snapshot> {
    let logs: Vec<_> = snapshot.logs.iter().filter(|it| it.nginx == index).cloned().collect();
    let mut seen = Snapshot { logs, ..snapshot.clone() };
    let snapshot::Reading::Seen(nginx) = &mut seen.nginx else { return None };
    nginx.value.swap(0, index);
    let runs = nginx.value[0].master.is_some() && !seen.logs.is_empty();
    (index == 0 || runs).then_some(seen)
}

fn diagnose_first(snapshot: &Snapshot) -> Report {
    let config = configuration(snapshot);
    let view = View::new(&config, version(snapshot));
    engine::report(&Scene::new(snapshot, &config, &view))
}

/// Every root cause that this build knows, sorted by id.
pub fn causes() -> &'static [&'static Cause] {
    causes::CAUSES
}

fn version(snapshot: &Snapshot) -> Version {
    let nginx = snapshot.nginx.value().and_then(|it| it.first());
    nginx.and_then(|it| Version::parse(&it.version)).unwrap_or_default()
}

/// The configuration of the nginx under diagnosis, parsed from the texts in the Snapshot.
fn configuration(snapshot: &Snapshot) -> Config {
    let Some(nginx) = snapshot.nginx.value().and_then(|it| it.first()) else {
        return nginx_conf::load(&MemoryFiles::default(), std::path::Path::new("/etc/nginx/nginx.conf"));
    };
    let files = nginx.config.value().map(|it| it.files.as_slice()).unwrap_or_default();
    let read = files.iter().filter(|it| it.unread.is_none());
    let texts = MemoryFiles(read.map(|it| ((&it.path).into(), it.text.clone().into_bytes())).collect());
    nginx_conf::load(&texts, std::path::Path::new(&nginx.config_path))
}
