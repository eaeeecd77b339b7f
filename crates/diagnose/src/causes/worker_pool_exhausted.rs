use crate::rule::*;
use crate::vitals;

cause! {
    /// Every worker of the application server is busy, and requests wait in its queue or are turned away.
    ///
    /// ## What you see
    /// `110: Connection timed out … while reading response header` (504) under load, also for pages that are quick by
    /// themselves; on a unix socket with a full backlog `11: Resource temporarily unavailable` (502).
    ///
    /// ## How we know
    /// Connections wait in the accept queue of a server whose workers take one request at a time, all of them are alive
    /// and working, requests are still answered now and then, and the server's own log tells of a full queue.
    ///
    /// ## What to do
    /// Add workers (or threads) as CPU and memory allow, and make the slow requests faster.
    ///
    /// ## Not to be confused with
    /// `backend-hung`: there nothing is answered any more. `listen-queue-overflow`: there the workers are free, only the
    /// queue is short. `backend-slow`: there workers are free and only some URLs are late.
    "worker-pool-exhausted",
    explains: [ReadTimeout, ConnectAgain, ConnectTimeout],
    leads_to: ["listen-queue-overflow", "backend-slow", "passive-health-ejection"],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    let pool = vitals::is_pool(backend.kind) && backend.kind != AppKind::PhpFpm;
    if !pool || !backend.local || backend.listening.is_none() {
        return Ok(Verdict::NotIt);
    }
    scene.processes()?;
    if vitals::speaks_otherwise(case) {
        return Ok(Verdict::ruled_out("it speaks another protocol than nginx"));
    }
    let workers = vitals::workers(case, backend);
    if !vitals::stuck(case, backend).is_empty() {
        return Ok(Verdict::ruled_out("its workers are stuck, not busy"));
    }
    let name = backend.name(scene);
    let unit = backend.unit(scene);
    let full = scene.events.iter().rev().find(|it| {
        matches!(it.kind, EventKind::ListenQueueFull { .. }) && unit.is_some_and(|unit| unit.name == it.unit)
    });
    let queue = vitals::queue_fact(backend);
    if full.is_none() && queue.is_none() {
        return Ok(Verdict::ruled_out("nobody waits in its queue"));
    }
    if vitals::answers_greeting(case) == Some(true) && full.is_none() {
        return Ok(Verdict::ruled_out("a worker was free to answer our greeting at once"));
    }
    let summary = format!("all {} of {name} are busy, and requests wait in its queue", plural(workers.len() as u64, "worker"));
    let decisive = queue.clone().or_else(|| full.map(|it| it.fact()));
    let mut found = confirmed(summary);
    if let Some(fact) = decisive {
        found = found.decisive(fact);
    }
    let meanwhile = vitals::answered_meanwhile(case);
    if let Some(last) = meanwhile.last() {
        let says = format!("{} still answered since the first failure", plural(meanwhile.len() as u64, "request"));
        found = found.supporting(Fact::new("access-log", says).reference(last.reference.clone()).at(last.at));
    }
    let more = workers.len() * 2;
    let fix = Fix::mitigate(format!("Run {more} workers instead of {}", workers.len()))
        .risk(format!("restarts {name}; each worker takes memory"));
    let fix = match unit {
        Some(unit) => fix.run(format!("systemctl edit --full {}", unit.name)).run(format!("systemctl restart {}", unit.name)),
        None => fix,
    };
    Ok(found
        .supporting_each(full.map(|it| it.fact()))
        .supporting_each(vitals::greeting_fact(case))
        .supporting(case.failures_fact())
        .fix(fix)
        .fix(Fix::repair("Make the slow requests faster, or give them workers of their own"))
        .verify(case.verify_command())
        .prevent("Alert when connections wait in the accept queue for more than a minute")
        .into())
}
