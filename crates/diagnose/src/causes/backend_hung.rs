use crate::rule::*;
use crate::vitals;

cause! {
    /// The backend is alive and listens, but it answers nothing.
    ///
    /// ## What you see
    /// Every request ends with `110: Connection timed out … while reading response header` and 504, whatever the URL,
    /// since one moment. Connections are made, because the kernel makes them, not the process.
    ///
    /// ## How we know
    /// Its processes are stopped (state T) or in uninterruptible sleep (state D); or the one process that accepts
    /// connections leaves them in the queue, stays silent to a greeting of our own, and no request was answered since.
    ///
    /// ## What to do
    /// Keep the evidence first (a stack dump, `/proc/PID/stack`), then let a stopped process go on (SIGCONT) or restart
    /// the service. For state D look at the disk or network mount that it waits for.
    ///
    /// ## Not to be confused with
    /// `backend-slow`: it answers, late. `php-fpm-pool-exhausted` and `worker-pool-exhausted`: the workers are busy, not
    /// stuck, and requests still get through.
    "backend-hung",
    explains: [ReadTimeout, ConnectTimeout, ConnectAgain, SslTimeout, SendTimeout],
    leads_to: ["listen-queue-overflow", "backend-slow", "passive-health-ejection", "worker-pool-exhausted", "php-fpm-pool-exhausted"],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if !backend.local || backend.listening.is_none() {
        return Ok(Verdict::NotIt);
    }
    scene.processes()?;
    if vitals::speaks_otherwise(case) {
        return Ok(Verdict::ruled_out("it answers, in another protocol"));
    }
    let name = backend.name(scene);
    let workers = vitals::workers(case, backend);
    let queue = vitals::queue_fact(backend);
    let stuck = vitals::stuck(case, backend);
    if let (Some(first), Some(fact)) = (stuck.first(), vitals::state_fact(case, &stuck))
        && vitals::answers_greeting(case) != Some(true)
    {
        let state = first.state;
        let how = if state == 'D' { "hangs in uninterruptible sleep" } else { "is stopped by a signal (SIGSTOP)" };
        let found = confirmed(format!("{name} {how}: it accepts connections and answers none")).decisive(fact);
        return Ok(advice(case, found, queue, &stuck, state).into());
    }
    if vitals::answers_greeting(case) == Some(true) {
        return Ok(Verdict::ruled_out("it answers a greeting of our own"));
    }
    let meanwhile = vitals::answered_meanwhile(case).len();
    if meanwhile > 0 {
        return Ok(Verdict::ruled_out(format!("it answered {} since the first failure", plural(meanwhile as u64, "request"))));
    }
    let silent = vitals::greeting(case).is_some_and(|it| matches!(it.answer, Answer::Silent | Answer::NotConnected));
    if vitals::is_pool(backend.kind) || !silent {
        return Ok(Verdict::NotIt);
    }
    let summary = format!("{name} accepts connections, and answers none since {}", scene.clock(case.group.first));
    let found = match &queue {
        Some(queue) => confirmed(summary).decisive(queue.clone()),
        None => likely(summary),
    };
    let found = found.supporting_each(vitals::greeting_fact(case)).supporting_each(vitals::state_fact(case, &workers));
    Ok(advice(case, found, None, &workers, 'S').into())
}

fn advice(case: &Case, found: Found, queue: Option<Fact>, workers: &[&Process], state: char) -> Found {
    let unit = case.backend.as_ref().ok().and_then(|it| it.unit(case.scene));
    let pids: Vec<String> = workers.iter().take(8).map(|it| it.pid.to_string()).collect();
    let mut found = found.supporting_each(queue).supporting(case.failures_fact());
    if matches!(state, 'T' | 't') {
        let mut all = pids.clone();
        all.extend(workers.first().map(|it| it.ppid.to_string()).filter(|it| it != "1"));
        found = found.fix(Fix::mitigate("Let it go on").run(format!("kill -CONT {}", all.join(" "))));
    }
    let mut restart = Fix::mitigate("Keep the evidence, then restart it").risk("requests in progress are lost");
    if let Some(pid) = pids.first() {
        restart = restart.run(format!("cat /proc/{pid}/stack /proc/{pid}/wchan /proc/{pid}/status"));
    }
    if let Some(unit) = unit {
        restart = restart.run(format!("systemctl restart {}", unit.name));
    }
    found
        .fix(restart)
        .verify(case.verify_command())
        .prevent("Let a health check that goes through the application restart it (a watchdog, Restart=)")
}
