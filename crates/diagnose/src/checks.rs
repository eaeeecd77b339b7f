//! The operators' checklist, in the order in which they would go through it: process, port, address, configuration, logs,
//! resources, network, recent changes. Each is one line, so that a person sees what was looked at and what was not.

use std::collections::HashMap;

use jiff::SignedDuration;
use snapshot::{Disk, FilterAction, Peer, Reading};

use crate::case::{Blind, plural};
use crate::reload;
use crate::report::{Check, CheckState, Finding};
use crate::scene::Scene;
use crate::service::Backend;
use crate::trial;

/// Below that share of free space or inodes a filesystem deserves a look.
const DISK_FREE_WARN: f64 = 0.05;
/// Changes older than that before the first failure are no news.
const RECENT: SignedDuration = SignedDuration::from_hours(2);

type Answer = (CheckState, String);

/// All checks.
pub fn checklist(
    scene: &Scene,
    causes: &[Finding],
    backends: &HashMap<Peer, Result<Backend, Blind>>,
) -> Vec<Check> {
    // Of logs alone, nothing of it was looked at.
    if scene.snapshot.is_of_logs() {
        return Vec::new();
    }
    let steps: [(&'static str, Answer); 8] = [
        ("process", process(scene)),
        ("port", port(backends)),
        ("address", address(scene)),
        ("configuration", configuration(scene)),
        ("logs", logs(scene)),
        ("resources", resources(scene)),
        ("network", network(scene)),
        ("recent-changes", recent_changes(scene, causes)),
    ];
    let trial = trial::step(scene).map(|it| ("url", it));
    let numbered = steps.into_iter().chain(trial).zip(1..);
    numbered.map(|((id, (state, says)), step)| Check { id, step, state, says }).collect()
}

fn skipped(unread: Option<&snapshot::Unread>) -> Answer {
    let why = unread.map(|it| it.reason.words()).unwrap_or("not looked at");
    (CheckState::Skipped, why.to_owned())
}

fn process(scene: &Scene) -> Answer {
    let nginx = match scene.nginx {
        None => return (CheckState::Fail, "no nginx was found".into()),
        Some(nginx) => nginx,
    };
    let Some(master) = &nginx.master else { return (CheckState::Fail, "nginx does not run".into()) };
    let failed: Vec<&str> = match &scene.snapshot.units {
        Reading::Seen(units) => {
            units.value.iter().filter(|it| it.active_state == "failed").map(|it| it.name.as_str()).collect()
        }
        Reading::Unread(_) => Vec::new(),
    };
    let workers = plural(master.workers.len() as u64, "worker");
    if failed.is_empty() {
        (CheckState::Ok, format!("nginx runs (pid {}, {workers})", master.pid))
    } else {
        (CheckState::Warn, format!("nginx runs ({workers}); failed units: {}", list(&failed)))
    }
}

fn list(names: &[&str]) -> String {
    let shown = names.iter().take(4).copied().collect::<Vec<_>>().join(", ");
    if names.len() > 4 { format!("{shown} and {} more", names.len() - 4) } else { shown }
}

fn port(backends: &HashMap<Peer, Result<Backend, Blind>>) -> Answer {
    let mut dead: Vec<String> = Vec::new();
    let mut looked = 0;
    let mut unseen: Option<&Blind> = None;
    for backend in backends.values() {
        match backend {
            Err(blind) => unseen = Some(blind),
            Ok(it) if !it.local => {}
            Ok(it) => {
                looked += 1;
                if it.listening.is_none() && !matches!(it.peer, Peer::Group(_)) {
                    dead.push(it.peer.to_string());
                }
            }
        }
    }
    dead.sort();
    let dead: Vec<&str> = dead.iter().map(String::as_str).collect();
    match (looked, dead.len()) {
        (_, 0) if unseen.is_some() => {
            (CheckState::Skipped, unseen.map(|it| it.why.clone()).unwrap_or_default())
        }
        (0, _) => (CheckState::Ok, "no failing backend on this host".into()),
        (_, 0) => (CheckState::Ok, "every failing local backend listens".into()),
        _ => (CheckState::Fail, format!("nothing listens at {}", list(&dead))),
    }
}

fn address(scene: &Scene) -> Answer {
    let names = scene.snapshot.peers.iter().filter_map(|it| it.resolution.value());
    let lost: Vec<&str> = names
        .clone()
        .filter(|it| !matches!(it.system, snapshot::Lookup::Found(_) | snapshot::Lookup::NotAsked))
        .map(|it| it.name.as_str())
        .collect();
    match (names.count(), lost.len()) {
        (0, _) => (CheckState::Ok, "no upstream is given by name".into()),
        (_, 0) => (CheckState::Ok, "every upstream name resolves".into()),
        _ => (CheckState::Warn, format!("does not resolve here: {}", list(&lost))),
    }
}

fn configuration(scene: &Scene) -> Answer {
    if let Some(unread) = scene.nginx.and_then(|it| it.config.obstacle()) {
        return skipped(Some(unread));
    }
    let problems = &scene.config.problems;
    if let Some(problem) = problems.first() {
        return (CheckState::Fail, scene.problem(problem));
    }
    let edited = reload::edited(scene).ok().flatten();
    match edited.as_ref().and_then(|it| it.files.first()) {
        Some((file, _)) => (CheckState::Warn, format!("{} changed after nginx loaded it", file.path)),
        None => {
            let passes = plural(scene.view.passes().len() as u64, "pass").replace("passs", "passes");
            (CheckState::Ok, format!("{} read, {passes}", plural(scene.config.files.len() as u64, "file")))
        }
    }
}

fn logs(scene: &Scene) -> Answer {
    let unread: Vec<&str> = scene
        .snapshot
        .logs
        .iter()
        .filter(|it| it.lines.obstacle().is_some())
        .map(|it| it.path.as_str())
        .collect();
    let read = scene.snapshot.logs.len() - unread.len();
    let failures: u64 = scene.groups.iter().map(|it| it.count).sum();
    match (read, unread.len()) {
        (0, 0) => (CheckState::Skipped, "the configuration names no log".into()),
        (0, _) => (CheckState::Skipped, format!("unreadable: {}", list(&unread))),
        (_, 0) if failures == 0 => {
            (CheckState::Ok, format!("{} read, no failure in the window", plural(read as u64, "log")))
        }
        (_, 0) => {
            (CheckState::Fail, format!("{} in {}", plural(failures, "failure"), plural(read as u64, "log")))
        }
        _ => (
            CheckState::Warn,
            format!("{} in what could be read; unreadable: {}", plural(failures, "failure"), list(&unread)),
        ),
    }
}

fn resources(scene: &Scene) -> Answer {
    let mut found: Vec<String> = Vec::new();
    let short = |free: u64, all: u64| all > 0 && (free as f64) < all as f64 * DISK_FREE_WARN;
    for disk in scene.snapshot.disks.value().into_iter().flatten() {
        let Disk { path, available_bytes, total_bytes, available_inodes, total_inodes, .. } = disk;
        if short(*available_bytes, *total_bytes) {
            found.push(format!("{path}: {} MiB free", available_bytes >> 20));
        }
        if let (Some(free), Some(all)) = (available_inodes, total_inodes)
            && short(*free, *all)
        {
            found.push(format!("{path}: {free} inodes free"));
        }
    }
    let host = &scene.snapshot.host;
    if let (Some(free), Some(all)) = (host.memory_available_bytes, host.memory_total_bytes)
        && short(free, all)
    {
        found.push(format!("memory: {} MiB available", free >> 20));
    }
    for worker in scene.nginx.and_then(|it| it.master.as_ref()).iter().flat_map(|it| &it.workers) {
        if let (Some(open), Some(limit)) = (worker.open_files, worker.open_files_limit)
            && open * 10 > limit * 9
        {
            found.push(format!("nginx worker {}: {open} of {limit} descriptors open", worker.pid));
        }
    }
    found.dedup();
    match found.as_slice() {
        [] if scene.snapshot.disks.value().is_none() => skipped(scene.snapshot.disks.obstacle()),
        [] => (CheckState::Ok, "memory, disks and descriptors have room".into()),
        _ => (CheckState::Warn, list(&found.iter().map(String::as_str).collect::<Vec<_>>())),
    }
}

fn network(scene: &Scene) -> Answer {
    let mut blocked: Vec<String> = Vec::new();
    let mut looked = false;
    for sight in &scene.snapshot.peers {
        if let Some(verdict) = sight.filter.value() {
            looked = true;
            match verdict.action {
                FilterAction::Accept => {}
                FilterAction::Drop => blocked.push(format!("packets to {} are dropped", sight.peer)),
                FilterAction::Reject => blocked.push(format!("packets to {} are rejected", sight.peer)),
            }
        }
        if let Some(route) = sight.route.value() {
            looked = true;
            if matches!(route.kind.as_str(), "none" | "unreachable" | "prohibit" | "blackhole") {
                blocked.push(format!("no usable route to {}", sight.peer));
            }
        }
    }
    match blocked.as_slice() {
        [] if looked => (CheckState::Ok, "routes and packet filter let the upstreams through".into()),
        [] => (CheckState::Skipped, "no upstream needed it, or it may not be seen".into()),
        _ => (CheckState::Fail, list(&blocked.iter().map(String::as_str).collect::<Vec<_>>())),
    }
}

/// Whether a package can have to do with a gateway failure.
fn concerns_us(package: &str) -> bool {
    const PARTS: &[&str] = &[
        "nginx",
        "openresty",
        "angie",
        "php",
        "python",
        "gunicorn",
        "uwsgi",
        "node",
        "ruby",
        "puma",
        "openssl",
        "libssl",
        "libc6",
        "glibc",
        "systemd",
        "haproxy",
        "varnish",
        "apache",
        "java",
        "jdk",
        "jre",
        "tomcat",
        "firewalld",
        "nftables",
        "iptables",
        "selinux",
        "apparmor",
        "docker",
        "podman",
        "linux-image",
        "kernel",
    ];
    PARTS.iter().any(|it| package.contains(it))
}

fn recent_changes(scene: &Scene, causes: &[Finding]) -> Answer {
    let changes = match &scene.snapshot.changes {
        Reading::Seen(seen) => &seen.value,
        Reading::Unread(unread) => return skipped(Some(unread)),
    };
    let reference = causes.iter().filter_map(|it| it.impact.first).min().unwrap_or(scene.now());
    let near = changes.iter().filter(|it| it.at <= scene.now() && it.at >= reference - RECENT);
    let mut near: Vec<_> = near.filter(|it| it.what != "package" || concerns_us(&it.path)).collect();
    near.sort_by_key(|it| std::cmp::Reverse(it.at));
    if near.is_empty() {
        return (CheckState::Ok, "nothing changed in the last two hours".into());
    }
    let shown: Vec<String> = near.iter().map(|it| format!("{} ({})", it.path, scene.clock(it.at))).collect();
    let state = if causes.is_empty() { CheckState::Ok } else { CheckState::Warn };
    (state, format!("changed: {}", list(&shown.iter().map(String::as_str).collect::<Vec<_>>())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::{Change, FilterVerdict, Lookup, Resolution, Route, Snapshot};

    /// The state and the words of one step of the checklist.
    #[track_caller]
    fn step(host: &Snapshot, id: &str, state: CheckState, says: &str) {
        let report = crate::diagnose(host);
        let check = report.checks.iter().find(|it| it.id == id).expect("a step of the list");
        assert_eq!((check.state, check.says.as_str()), (state, says));
    }

    #[test]
    fn nginx_that_does_not_run_fails_the_first_step() {
        step(&Snapshot::quiet(), "process", CheckState::Ok, "nginx runs (pid 100, 1 worker)");
        let none = Snapshot::quiet().with(|it| it.nginx = seen(Vec::new()));
        step(&none, "process", CheckState::Fail, "no nginx was found");
    }

    #[test]
    fn failed_units_are_listed_up_to_four() {
        let host = Snapshot::quiet().with(|it| {
            for name in ["a.service", "b.service", "c.service", "d.service", "e.service"] {
                unit(it, name, |it| it.active_state = "failed".into());
            }
        });
        let says =
            "nginx runs (1 worker); failed units: a.service, b.service, c.service, d.service and 1 more";
        step(&host, "process", CheckState::Warn, says);
    }

    #[test]
    fn a_port_that_nobody_holds_is_named() {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8080/cart",
        );
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]);
        step(&host, "port", CheckState::Fail, "nothing listens at 127.0.0.1:8080");
        step(&Snapshot::quiet(), "port", CheckState::Ok, "no failing backend on this host");
    }

    #[test]
    fn sockets_that_may_not_be_seen_are_not_called_fine() {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8080/cart",
        );
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line]);
        step(&host.with(|it| it.net.listeners = denied()), "port", CheckState::Skipped, "permission denied");
    }

    #[test]
    fn a_name_that_does_not_resolve_is_named() {
        let lost =
            Resolution { name: "app.internal".into(), system: Lookup::NotFound, resolvers: Vec::new() };
        let host = Snapshot::quiet().with(|it| sight(it, "app.internal:80", |it| it.resolution = seen(lost)));
        step(&host, "address", CheckState::Warn, "does not resolve here: app.internal");
    }

    #[test]
    fn a_configuration_that_may_not_be_read_is_skipped() {
        let host = Snapshot::quiet().with(|it| {
            let Reading::Seen(nginx) = &mut it.nginx else { return };
            nginx.value[0].config = denied();
        });
        step(&host, "configuration", CheckState::Skipped, "permission denied");
    }

    #[test]
    fn a_log_that_may_not_be_read_is_named() {
        let host = logged(Snapshot::quiet(), &[]).with(|it| it.logs[0].lines = denied());
        step(&host, "logs", CheckState::Skipped, "unreadable: /var/log/nginx/error.log");
        step(&Snapshot::quiet(), "logs", CheckState::Skipped, "the configuration names no log");
        step(&logged(Snapshot::quiet(), &[]), "logs", CheckState::Ok, "1 log read, no failure in the window");
    }

    #[test]
    fn a_full_disk_counts_in_bytes_and_in_inodes() {
        let disk = |bytes: u64, inodes: Option<u64>| {
            let disk = Disk {
                path: "/var/lib/nginx".into(),
                used_for: "proxy_temp_path".into(),
                total_bytes: 100 << 20,
                available_bytes: bytes << 20,
                total_inodes: inodes.map(|_| 1000),
                available_inodes: inodes,
                read_only: false,
                node: None,
                worker_may_write: None,
                closed_by: None,
            };
            Snapshot::quiet().with(|it| it.disks = seen(vec![disk]))
        };
        step(&disk(50, None), "resources", CheckState::Ok, "memory, disks and descriptors have room");
        step(&disk(1, None), "resources", CheckState::Warn, "/var/lib/nginx: 1 MiB free");
        step(&disk(50, Some(3)), "resources", CheckState::Warn, "/var/lib/nginx: 3 inodes free");
        step(
            &Snapshot::quiet().with(|it| it.disks = denied()),
            "resources",
            CheckState::Skipped,
            "permission denied",
        );
    }

    #[test]
    fn what_stands_in_the_way_of_packets_is_named() {
        let verdict = FilterVerdict {
            action: FilterAction::Drop,
            rule: "tcp dport 80 drop".into(),
            chain: "inet filter output".into(),
            not_understood: Vec::new(),
            counter_moved: None,
        };
        let host = Snapshot::quiet().with(|it| sight(it, "10.0.0.7:80", |it| it.filter = seen(verdict)));
        step(&host, "network", CheckState::Fail, "packets to 10.0.0.7:80 are dropped");
        let route = Route {
            kind: "prohibit".into(),
            interface: String::new(),
            gateway: None,
            source: None,
            text: String::new(),
        };
        let host = Snapshot::quiet().with(|it| sight(it, "10.0.0.7:80", |it| it.route = seen(route)));
        step(&host, "network", CheckState::Fail, "no usable route to 10.0.0.7:80");
    }

    #[test]
    fn only_changes_shortly_before_are_news() {
        let changed = |seconds: i64| {
            let change = Change {
                path: "/etc/nginx/nginx.conf".into(),
                what: "nginx configuration".into(),
                at: ago(seconds),
            };
            Snapshot::quiet().with(|it| it.changes = seen(vec![change]))
        };
        step(&changed(60), "recent-changes", CheckState::Ok, "changed: /etc/nginx/nginx.conf (13:02:10)");
        step(&changed(86_400), "recent-changes", CheckState::Ok, "nothing changed in the last two hours");
    }
}
