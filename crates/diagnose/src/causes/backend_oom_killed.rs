use crate::deaths::{self, Death};
use crate::outage::{self, Outage};
use crate::rule::*;

cause! {
    /// The kernel's OOM killer took the backend or a worker of it.
    ///
    /// ## What you see
    /// A few requests end with "upstream prematurely closed connection" or `104`, then connections are refused until the
    /// service is back; or one worker dies and the others go on. The application's own log says nothing, or only
    /// "was sent SIGKILL".
    ///
    /// ## How we know
    /// The kernel log names the killed process and its cgroup, or systemd's result of the unit is `oom-kill`, at the
    /// time of the failures. Kills of other services are not counted.
    ///
    /// ## What to do
    /// Raise the unit's memory limit (or the host's memory), run fewer workers, and find the request that takes so much.
    ///
    /// ## Not to be confused with
    /// `backend-crashed`: it died of its own fault. `host-memory-exhausted`: nginx itself is the victim.
    "backend-oom-killed",
    explains: [ConnectRefused, ConnectSocketMissing, PrematureClose, ReadReset, SendFailed, BodyShort],
    leads_to: [
        "backend-crashed", "backend-not-running", "backend-start-failed", "passive-health-ejection", "backend-aborts-request",
        "backend-restarting", "backend-worker-timeout", "auth-subrequest-failed", "keepalive-race",
    ],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local {
        return Ok(Verdict::NotIt);
    }
    let refused = matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing);
    let fact = if refused {
        match outage::of(case)? {
            Outage::OomKilled { fact, .. } => Some(fact),
            _ => None,
        }
    } else {
        deaths::near(case)?.filter(|it| it.death == Death::Oom).and_then(|it| it.fact())
    };
    let Some(fact) = fact else {
        // Without the kernel log and the journal, a kill leaves no trace.
        if scene.snapshot.kernel.value().is_none() {
            scene.journal()?;
        }
        return Ok(Verdict::ruled_out("neither the kernel log nor systemd tells of a kill of this backend"));
    };
    let unit = backend.unit(scene);
    let limit = unit.and_then(|it| it.memory_max_bytes).or_else(|| unit.and_then(|it| scene.cgroup(&it.cgroup)?.memory_max_bytes));
    let name = backend.name(scene);
    let over = limit.map(|it| format!(" (its limit is {} MiB)", it >> 20)).unwrap_or_default();
    let mut found = confirmed(format!("the kernel killed {name} for memory{over}")).decisive(fact);
    if let Some(cgroup) = unit.and_then(|it| scene.cgroup(&it.cgroup))
        && let Some(kills) = cgroup.oom_kills_total.filter(|it| *it > 0)
    {
        let says = format!("{} counts {}", cgroup.path, plural(kills, "OOM kill"));
        found = found.supporting(scene.snapshot.cgroups.fact("cgroup", says));
    }
    found = found.supporting(case.failures_fact());
    if let (Some(unit), Some(limit)) = (unit, limit) {
        let room = scene.snapshot.host.memory_available_bytes.unwrap_or(0);
        let new = (limit * 2).min(limit + room / 2).max(limit + (limit >> 2));
        found = found.fix(
            Fix::mitigate(format!("Raise MemoryMax of {} to {} MiB", unit.name, new >> 20))
                .run(format!("systemctl set-property {} MemoryMax={}M", unit.name, new >> 20))
                .risk(format!("{} MiB of the host's memory are available now", room >> 20))
                .because("twice the limit that was hit, as far as the host has room"),
        );
    }
    if let Some(unit) = unit.filter(|it| it.active_state != "active") {
        found = found.fix(Fix::mitigate(format!("Start {}", unit.name)).run(format!("systemctl start {}", unit.name)));
    }
    Ok(found
        .fix(Fix::repair("Find the request that takes the memory, or run fewer workers"))
        .verify("journalctl -k --since -10min | grep -i oom".to_owned())
        .verify(case.verify_command())
        .prevent("Alert when the unit's memory.current stays above 80 % of memory.max")
        .into())
}
