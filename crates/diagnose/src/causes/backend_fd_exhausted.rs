use crate::rule::*;

/// From this share of its limit on, a process cannot take the next burst of connections.
const NEARLY_ALL: f64 = 0.9;

cause! {
    /// The backend is out of file descriptors, so that it cannot accept connections or open files.
    ///
    /// ## What you see
    /// Connections are made by the kernel and then wait unanswered: `110: Connection timed out`, 504; or they are dropped,
    /// 502. It grows with the number of connections, or with the time since the start (a leak).
    ///
    /// ## How we know
    /// The backend's log says "Too many open files" (EMFILE) at the time of the failures, or its process has as many
    /// descriptors open as its limit allows.
    ///
    /// ## What to do
    /// Raise `LimitNOFILE=` of the unit, and find what leaks: `ls -l /proc/PID/fd` shows it.
    ///
    /// ## Not to be confused with
    /// `nginx-fd-exhausted`: there nginx itself has none left and answers 500. `backend-hung`: there the process does
    /// not even try.
    "backend-fd-exhausted",
    explains: [ReadTimeout, ConnectTimeout, PrematureClose, ReadReset, ConnectAgain, SendFailed],
    leads_to: [
        "backend-hung", "backend-slow", "listen-queue-overflow", "worker-pool-exhausted", "backend-aborts-request",
        "passive-health-ejection", "backend-crashed",
    ],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::TooManyOpenFiles,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local || backend.listening.is_none() {
        return Ok(Verdict::NotIt);
    }
    let family = backend.family(scene);
    let unit = backend.unit(scene);
    let said = scene.events.iter().rev().find(|it| {
        it.kind == EventKind::TooManyOpenFiles
            && unit.is_some_and(|unit| unit.name == it.unit)
            && it.at >= case.group.first - SignedDuration::from_secs(30)
    });
    let full = family.iter().find_map(|it| {
        let (open, limit) = (it.open_files?, it.open_files_limit?);
        (open as f64 >= limit as f64 * NEARLY_ALL).then_some((*it, open, limit))
    });
    if said.is_none() && full.is_none() {
        return Ok(Verdict::NotIt);
    }
    let name = backend.name(scene);
    let limit = full.map(|(.., limit)| limit).or_else(|| family.iter().find_map(|it| it.open_files_limit));
    let of = limit.map(|it| format!(" (limit {it})")).unwrap_or_default();
    let summary = format!("{name} is out of file descriptors{of}");
    let counted = full.map(|(process, open, limit)| {
        let says = format!("{} (pid {}) has {open} of {limit} descriptors open", process.name, process.pid);
        scene.snapshot.processes.fact("process", says).reference(format!("/proc/{}/limits", process.pid))
    });
    let found = match said {
        Some(event) => confirmed(summary).decisive(event.fact()).supporting_each(counted),
        None if full.is_some_and(|(_, open, limit)| open >= limit) => {
            counted.into_iter().fold(confirmed(summary), Found::decisive)
        }
        None => likely(summary).supporting_each(counted),
    };
    let raised = limit.map_or(65536, |it| (it * 8).max(1024));
    let fix = Fix::mitigate(format!("Raise its limit to {raised}")).risk(format!("restarts {name}"));
    let fix = match unit {
        Some(unit) => fix
            .run(format!("systemctl edit {}   # [Service] LimitNOFILE={raised}", unit.name))
            .run(format!("systemctl restart {}", unit.name)),
        None => fix,
    };
    Ok(found
        .supporting(case.failures_fact())
        .fix(fix)
        .fix(Fix::repair("Find what keeps descriptors open: ls -l /proc/PID/fd"))
        .verify(case.verify_command())
        .prevent("Alert when a service has more than 80 % of its descriptors open")
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    let told = lines::told(case, SignedDuration::from_secs(60), |it| *it == EventKind::TooManyOpenFiles)?;
    let peer = case.peer_name();
    let summary = format!("the backend at {peer} is out of file descriptors: {}", lines::quote(told.event));
    Some(
        fits(case, 0.4 + 0.5 * told.share(), summary)
            .supporting(told.event.fact())
            .fix(Fix::mitigate("Raise LimitNOFILE of the backend's unit"))
            .fix(Fix::repair("Find out what keeps descriptors open"))
            .verify(case.verify_command()),
    )
}
