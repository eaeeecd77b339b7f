//! What SELinux and AppArmor refused, as the kernel logged it, and whom it concerns.
//!
//! Only lines that the kernel or auditd wrote count: an application can print a line that looks like a denial.

use jiff::{SignedDuration, Timestamp};
use nginx_logs::Symptom;
use nginx_logs::backend::EventKind;
use snapshot::{Peer, Unit};

use crate::case::{Blind, Case};
use crate::events::Event;
use crate::outage::{self, Outage};
use crate::scene::Scene;

/// nginx's line is stamped in whole seconds, and by a clock that it reads once in each turn of its loop.
const SAME_MOMENT: SignedDuration = SignedDuration::from_secs(5);

/// How long a start may take from the refusal to the end that it brings about: programs retry for a while.
const START: SignedDuration = SignedDuration::from_secs(30);

/// The kernel cuts a process's name there. Source: TASK_COMM_LEN.
const COMM_BYTES: usize = 15;

/// What a security module refused.
#[derive(Debug, Clone, Copy)]
pub struct Denial<'s> {
    /// The record.
    pub event: &'s Event,
    comm: Option<&'s str>,
    /// The file, by its whole path or by its last step alone.
    pub name: Option<&'s str>,
    /// The port that was dialled or bound.
    pub port: Option<u16>,
}

impl<'s> Denial<'s> {
    fn of(event: &'s Event) -> Option<Denial<'s>> {
        if !matches!(event.source.as_str(), "kernel" | "kernel-log" | "audit-log") {
            return None;
        }
        let (comm, name, port) = match &event.kind {
            // A permissive domain is logged and let through.
            EventKind::AvcDenied { permissive: false, comm, name, port, .. } => (comm, name, *port),
            EventKind::ApparmorDenied { comm, name, .. } => (comm, name, None),
            _ => return None,
        };
        Some(Denial { event, comm: comm.as_deref(), name: name.as_deref(), port })
    }

    /// Whether SELinux refused it; else AppArmor did.
    pub fn by_selinux(&self) -> bool {
        matches!(self.event.kind, EventKind::AvcDenied { .. })
    }
}

fn all<'s>(scene: &'s Scene) -> impl DoubleEndedIterator<Item = Denial<'s>> {
    scene.events.iter().filter_map(Denial::of)
}

/// Refusals that nginx met when the group's requests failed, at the very thing that they failed at.
pub fn of_nginx<'s>(case: &Case<'s, '_>) -> Vec<Denial<'s>> {
    let times: Vec<Timestamp> = case.entries().map(|it| it.at).collect();
    let near = |at: Timestamp| times.iter().any(|it| it.duration_since(at).abs() <= SAME_MOMENT);
    let by_nginx = |it: &Denial| {
        let pid = it.event.pid;
        pid.is_some_and(|pid| case.entries().any(|it| it.pid == pid))
            || it.comm.is_some_and(|it| is_nginx(case.scene, it))
    };
    all(case.scene).filter(|it| near(it.event.at) && by_nginx(it) && is_about(case, it)).collect()
}

/// The binaries of nginx's forks keep its name, but for Angie.
fn is_nginx(scene: &Scene, comm: &str) -> bool {
    let binary = scene.nginx.and_then(|it| it.binary.rsplit('/').next()).unwrap_or("nginx");
    comm == "nginx" || !comm.is_empty() && comm == cut(binary)
}

fn cut(name: &str) -> &str {
    name.get(..COMM_BYTES).unwrap_or(name)
}

/// Whether it was refused where nginx failed: at the peer's port, or at a step of the path.
fn is_about(case: &Case, denial: &Denial) -> bool {
    if case.group.symptom != Symptom::ConnectPermission {
        return case.entries().any(|it| denial.name.is_some_and(|name| leads_to(name, path_in(&it.message))));
    }
    match case.peer() {
        Some(Peer::Unix(path)) => denial.name.is_some_and(|it| leads_to(it, path)),
        Some(Peer::Tcp(peer)) => denial.port == Some(peer.port()) || denies_network(denial),
        Some(Peer::Name { port, .. }) => denial.port == Some(*port) || denies_network(denial),
        _ => false,
    }
}

/// AppArmor refuses a socket of a family as such, and names no port.
fn denies_network(denial: &Denial) -> bool {
    let EventKind::ApparmorDenied { operation, name: None, .. } = &denial.event.kind else { return false };
    let text = denial.event.text.as_str();
    let family = text.contains("family=\"inet\"") || text.contains("family=\"inet6\"");
    family && matches!(operation.as_deref(), Some("connect" | "create" | "sendmsg" | "setsockopt"))
}

/// Whether a name in a record means the path or a directory above it. Records give a whole path or the last step alone.
fn leads_to(name: &str, path: &str) -> bool {
    let (name, path) = (crate::scene::canonical(name), crate::scene::canonical(path));
    match name.trim_end_matches('/') {
        "" => false,
        whole if whole.starts_with('/') => {
            path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        step => path.split('/').any(|it| it == step),
    }
}

/// The path in `open() "/var/lib/nginx/body/0000000001" failed`.
pub fn path_in(message: &str) -> &str {
    let Some((_, rest)) = message.split_once('"') else { return "" };
    rest.rsplit_once('"').map_or(rest, |(path, _)| path)
}

/// Refusals that kept the backend from coming up: its unit, what it met, and how its start ended.
pub struct Unstartable<'s, 'a> {
    /// The unit that does not come up.
    pub unit: &'a Unit,
    /// What was refused, the last time.
    pub denial: Denial<'s>,
    /// That it does not come up.
    pub fact: crate::verdict::Fact,
}

/// Looks for them, given that nothing takes nginx's connections.
pub fn of_backend<'s, 'a>(case: &Case<'s, 'a>) -> Result<Option<Unstartable<'s, 'a>>, Blind> {
    if !matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing) {
        return Ok(None);
    }
    let scene = case.scene;
    if all(scene).next().is_none() {
        return Ok(None);
    }
    let (Outage::StartFails { unit, fact, .. } | Outage::AddressTaken { unit, fact, holder: None }) =
        outage::of(case)?
    else {
        return Ok(None);
    };
    let journal = scene.snapshot.journal.value().into_iter().flatten();
    let of_unit = journal.filter(|it| it.unit == unit.name && it.identifier != "systemd");
    let pids: Vec<u32> = of_unit.map(|it| it.pid).collect();
    let command = unit.exec_start.split([' ', ';']).next().unwrap_or_default();
    let program = cut(command.rsplit('/').next().unwrap_or_default());
    let by_it = |it: &Denial| {
        it.event.pid.is_some_and(|pid| pids.contains(&pid))
            || it.comm.is_some_and(|comm| comm == program && !comm.is_empty())
    };
    let before_end = |it: &Denial| {
        fact.at
            .is_some_and(|end| it.event.at <= end + SAME_MOMENT && end.duration_since(it.event.at) <= START)
    };
    let denial = all(scene).rev().find(|it| by_it(it) && before_end(it));
    Ok(denial.map(|denial| Unstartable { unit, denial, fact }))
}

/// That a refusal would have been seen if there was one: auditd's log, where there is one, and the kernel's.
pub fn require(scene: &Scene) -> Result<(), Blind> {
    let logs = || scene.snapshot.backend_logs.iter();
    for log in logs().filter(|it| it.server == "audit") {
        let remedy = "run as root, or: ausearch -m AVC -ts recent";
        Blind::of("audit records", &log.lines)
            .map_err(|blind| Blind { remedy: remedy.to_owned(), ..blind })?;
    }
    if !logs().any(|it| it.server == "kernel" && it.lines.value().is_some()) {
        scene.kernel()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn leads(name: &str, path: &str, expected: bool) {
        assert_eq!(leads_to(name, path), expected, "{name} {path}");
    }

    #[test]
    fn a_record_names_a_step_of_the_path_or_all_of_it() {
        leads("/run/crm/crm.sock", "/run/crm/crm.sock", true);
        leads("/var/run/crm/crm.sock", "/run/crm/crm.sock", true);
        leads("/run/crm/", "/run/crm/crm.sock", true);
        leads("crm.sock", "/run/crm/crm.sock", true);
        leads("crm", "/run/crm/crm.sock", true);
        leads("/run/crm/cr", "/run/crm/crm.sock", false);
        leads("other.sock", "/run/crm/crm.sock", false);
        leads("", "/run/crm/crm.sock", false);
        leads("/", "/run/crm/crm.sock", false);
    }

    #[test]
    fn the_path_of_a_message_stands_in_quotes() {
        assert_eq!(path_in("open() \"/a \"b/0000000001\" failed"), "/a \"b/0000000001");
        assert_eq!(path_in("open() /a failed"), "");
    }
}
