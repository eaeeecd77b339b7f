use crate::deaths::{self, Death};
use crate::fate::{self, Fate};
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
    /// time of the failures. Kills of other services are not counted, nor those
    /// that the service outlived before it was stopped.
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
    from_lines: from_lines,
    told_by: EventKind::OomKill { .. } | EventKind::UnitOomKill { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local {
        return Ok(Verdict::NotIt);
    }
    let refused = matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing);
    let killed = if refused {
        match outage::of(case)? {
            Outage::OomKilled { fact, .. } => Some((fact, true)),
            _ => None,
        }
    } else {
        let deaths = deaths::near(case)?.filter(|it| it.death == Death::Oom);
        deaths.and_then(|it| Some((it.fact()?, it.explain())))
    };
    let Some((fact, explains)) = killed else {
        // Without the kernel log and the journal, a kill leaves no trace.
        if scene.snapshot.kernel.value().is_none() {
            scene.journal()?;
        }
        return Ok(Verdict::ruled_out("neither the kernel log nor systemd tells of a kill of this backend"));
    };
    let unit = backend.unit(scene);
    let limit = unit
        .and_then(|it| it.memory_max_bytes)
        .or_else(|| unit.and_then(|it| scene.cgroup(&it.cgroup)?.memory_max_bytes));
    let name = backend.name(scene);
    let over = limit.map(|it| format!(" (its limit is {} MiB)", it >> 20)).unwrap_or_default();
    let summary = format!("the kernel killed {name} for memory{over}");
    // One kill among many failures that have none near is not their cause.
    let found = if explains { confirmed(summary) } else { possible(summary) };
    let mut found = found.decisive(fact);
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
        found = found
            .fix(Fix::mitigate(format!("Start {}", unit.name)).run(format!("systemctl start {}", unit.name)));
    }
    Ok(found
        .fix(Fix::repair("Find the request that takes the memory, or run fewer workers"))
        .verify("journalctl -k --since -10min | grep -i oom".to_owned())
        .verify(case.verify_command())
        .prevent("Alert when the unit's memory.current stays above 80 % of memory.max")
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    let refused = matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing);
    let kill = match refused {
        true => fate::of(case).filter(|(fate, _)| *fate == Fate::OomKilled).map(|(_, event)| (event, 1.0)),
        false => deaths::by_lines(case)
            .filter(|it| it.death == Death::Oom)
            .and_then(|it| Some((*it.events.last()?, it.share()))),
    };
    let peer = case.peer_name();
    let Some((event, share)) = kill else {
        let confidence = if refused { 0.04 } else { 0.1 };
        let summary = format!("the OOM killer may have taken the backend at {peer}");
        return Some(
            fits(case, confidence, summary)
                .fix(Fix::mitigate("Look for a kill").run("dmesg -T | grep -i oom")),
        );
    };
    let summary = format!("the kernel killed the backend at {peer} for memory: {}", lines::quote(event));
    let of_pool = matches!(&event.kind, EventKind::OomKill { comm, .. } if comm.starts_with("php-fpm"));
    let found = match of_pool && case.group.scheme == "fastcgi" && share >= 0.5 {
        true => confirmed(summary).decisive(event.fact()).supporting(case.failures_fact()),
        false => fits(case, 0.4 + 0.5 * share, summary).supporting(event.fact()),
    };
    Some(
        found
            .fix(Fix::repair(
                "Raise its memory limit, run fewer workers, or find the request that takes the memory",
            ))
            .verify("journalctl -k --since -10min | grep -i oom")
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{Cgroup, Snapshot};

    const CLOSED: &str = "upstream prematurely closed connection";
    const READING: &str = "reading response header from upstream";

    /// The kernel's line about a kill in the cgroup of that unit, as Linux 6.1 words it.
    fn killed_in(host: &mut Snapshot, seconds: i64, unit: &str, task: &str) {
        let line = format!(
            "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/{unit},\
             task_memcg=/system.slice/{unit},task={task},pid=901,uid=33"
        );
        kernel(host, seconds, &line);
        let line = format!(
            "Memory cgroup out of memory: Killed process 901 ({task}) total-vm:412000kB, anon-rss:261000kB, file-rss:9000kB, \
             shmem-rss:0kB, UID:33 pgtables:700kB oom_score_adj:0"
        );
        kernel(host, seconds, &line);
    }

    /// report.service, a program of one process, is down; it may take 256 MiB.
    fn down() -> Snapshot {
        let line = failed(
            "connect() failed (111: Connection refused)",
            "connecting to upstream",
            "http://127.0.0.1:8080/cart",
        );
        logged(passing_to("proxy_pass http://127.0.0.1:8080"), &[&line, &line]).with(|it| {
            unit(it, "report.service", |it| {
                it.exec_start = "/opt/report/bin/reportd --port 8080".into();
                (it.active_state, it.sub_state) = ("failed".into(), "failed".into());
                (it.result, it.exit_code, it.exit_status) = ("oom-kill".into(), "killed".into(), 9);
                (it.main_started_at, it.main_exited_at) = (Some(ago(86_400)), Some(ago(20)));
                it.cgroup = "/system.slice/report.service".into();
                it.memory_max_bytes = Some(256 << 20);
            });
        })
    }

    fn systemd_tells(host: &mut Snapshot) {
        let lines = [
            (20, "systemd", "report.service: A process of this unit has been killed by the OOM killer."),
            (20, "systemd", "report.service: Main process exited, code=killed, status=9/KILL"),
            (20, "systemd", "report.service: Failed with result 'oom-kill'."),
        ];
        journal(host, "report.service", &lines);
    }

    #[test]
    fn a_kill_in_the_backend_s_cgroup_is_named_with_its_limit() {
        let host = down().with(|it| {
            killed_in(it, 20, "report.service", "reportd");
            systemd_tells(it);
            let path = "/system.slice/report.service".to_owned();
            add(&mut it.cgroups, Cgroup { path, oom_kills_total: Some(1), ..Cgroup::default() });
        });
        let report = check(&host, "backend-oom-killed: confirmed");
        let found = &report.causes[0];
        assert_eq!(found.summary, "the kernel killed report.service for memory (its limit is 256 MiB)");
        assert!(found.fixes[0].commands[0].contains("MemoryMax=512M"), "{:?}", found.fixes[0]);
        check_ruled_out(&host, "backend-crashed", "the OOM killer took report.service");
    }

    #[test]
    fn systemd_s_word_is_enough_where_the_kernel_log_is_closed_to_us() {
        let host = down().with(|it| {
            systemd_tells(it);
            it.kernel = denied();
        });
        check(&host, "backend-oom-killed: confirmed");
    }

    #[test]
    fn the_unit_s_own_result_is_enough_where_nothing_else_can_be_read() {
        let host = down().with(|it| (it.kernel, it.journal) = (denied(), denied()));
        check(&host, "backend-oom-killed: confirmed");
    }

    #[test]
    fn a_kill_from_before_this_container_began_is_another_s() {
        let host = down().with(|it| {
            unit(it, "report.service", |it| (it.result, it.exit_status) = ("signal".into(), 11));
            killed_in(it, 20, "report.service", "report");
            it.host.booted_at = Some(ago(15));
        });
        check_not(&host, "backend-oom-killed");
    }

    #[test]
    fn a_kill_of_another_service_is_not_counted() {
        let host = down().with(|it| {
            unit(it, "report.service", |it| (it.result, it.exit_status) = ("signal".into(), 11));
            killed_in(it, 20, "indexer.service", "java");
            let lines = [
                (20, "systemd", "report.service: Main process exited, code=killed, status=11/SEGV"),
                (20, "systemd", "report.service: Failed with result 'signal'."),
            ];
            journal(it, "report.service", &lines);
        });
        check(&host, "backend-crashed: confirmed");
        check_ruled_out(
            &host,
            "backend-oom-killed",
            "neither the kernel log nor systemd tells of a kill of this backend",
        );
    }

    /// gunicorn that goes on while one of its workers ended, ten seconds before the collection.
    fn worker_gone() -> Snapshot {
        let line = failed(CLOSED, READING, "http://127.0.0.1:8000/export");
        logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line]).with(|it| {
            serving(
                it,
                300,
                "/usr/bin/gunicorn --bind 127.0.0.1:8000 --timeout 30 shop:app",
                "127.0.0.1:8000",
            );
            worker(it, 300, 302, 'S');
        })
    }

    const PERHAPS: &str =
        "[2026-05-02 13:03:00 +0000] [300] [ERROR] Worker (pid:901) was sent SIGKILL! Perhaps out of memory?";

    #[test]
    fn a_killed_worker_is_told_from_one_that_crashed() {
        let host = worker_gone().with(|it| {
            killed_in(it, 10, "gunicorn-300.service", "gunicorn");
            journal(it, "gunicorn-300.service", &[(10, "gunicorn", PERHAPS)]);
        });
        let report = check(&host, "backend-oom-killed: confirmed");
        check_ruled_out(&host, "backend-crashed", "the OOM killer");
        assert!(!report.causes.iter().any(|it| it.cause.id == "backend-crashed"), "{}", outline(&report));
    }

    #[test]
    fn gunicorn_s_guess_about_memory_is_no_proof() {
        let host = worker_gone().with(|it| {
            let late = "[2026-05-02 13:03:00 +0000] [300] [CRITICAL] WORKER TIMEOUT (pid:901)";
            journal(it, "gunicorn-300.service", &[(10, "gunicorn", late), (9, "gunicorn", PERHAPS)]);
        });
        check(&host, "backend-worker-timeout: confirmed");
        check_not(&host, "backend-oom-killed");
    }

    #[test]
    fn a_kill_long_before_the_failures_is_another_story() {
        let host = worker_gone().with(|it| killed_in(it, 600, "gunicorn-300.service", "gunicorn"));
        check_not(&host, "backend-oom-killed");
    }

    #[test]
    fn a_kill_leaves_no_trace_where_neither_log_may_be_read() {
        let host = worker_gone().with(|it| (it.kernel, it.journal) = (denied(), denied()));
        check_blind(&host, "backend-oom-killed", "journal");
    }
}
