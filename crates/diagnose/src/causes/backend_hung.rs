use crate::rule::*;
use crate::service::Listening;
use crate::trial;
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
    /// Where the server still greets, it is likely when pages that were quick before get no answer any more.
    ///
    /// ## What to do
    /// Keep the evidence first (a stack dump, `/proc/PID/stack`), then let a stopped process go on (SIGCONT) or restart
    /// the service. For state D look at the disk or network mount that it waits for.
    ///
    /// ## Not to be confused with
    /// `backend-slow`: it answers, late. `php-fpm-pool-exhausted` and `worker-pool-exhausted`: the workers are busy, not
    /// stuck, and requests still get through.
    "backend-hung",
    explains: [ReadTimeout, ConnectTimeout, ConnectAgain, SslTimeout, SendTimeout, ClientClosed],
    leads_to: ["listen-queue-overflow", "backend-slow", "passive-health-ejection", "worker-pool-exhausted", "php-fpm-pool-exhausted", "client-aborted"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::TaskBlocked { .. },
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
        let how =
            if state == 'D' { "hangs in uninterruptible sleep" } else { "is stopped by a signal (SIGSTOP)" };
        // A slow disk shows as state D at any moment: what answered in between does not hang.
        let slow = state == 'D' && !vitals::answered_meanwhile(case).is_empty();
        let found = confirmed(format!("{name} {how}: it accepts connections and answers none"))
            .decisive(fact)
            .only_likely_if(slow);
        return Ok(advice(case, found, queue, &stuck, state).into());
    }
    let meanwhile = vitals::answered_meanwhile(case).len();
    if vitals::answers_greeting(case) == Some(true) {
        let quick = vitals::usually_quick(case);
        // A worker of a pool that is free for us is free for all; one event loop or set of threads may serve us alone.
        let nothing_since = meanwhile == 0 && case.group.count > 2 && !vitals::is_pool(backend.kind);
        let (Some(path), true) = (quick.first(), nothing_since) else {
            return Ok(Verdict::ruled_out("it answers a greeting of our own"));
        };
        // The server itself answers `OPTIONS *`, or closes what it does not understand; the application has no part in it.
        let summary =
            format!("{name} answers no request since {}, not even {path}", scene.clock(case.group.first));
        let before = Fact::new("access-log", format!("before that {path} was answered quickly"));
        let found = likely(summary).supporting(before).supporting_each(vitals::greeting_fact(case));
        return Ok(advice(case, found, queue, &workers, 'S').into());
    }
    if let Some(answered) = trial::straight(case).filter(|it| it.answered().is_some()) {
        let took = super::backend_slow::span(answered.seconds);
        return Ok(Verdict::ruled_out(format!("it answered the same request without nginx, after {took}")));
    }
    if meanwhile > 0 {
        return Ok(Verdict::ruled_out(format!(
            "it answered {} since the first failure",
            plural(meanwhile as u64, "request")
        )));
    }
    let silent =
        vitals::greeting(case).is_some_and(|it| matches!(it.answer, Answer::Silent | Answer::NotConnected));
    if vitals::is_pool(backend.kind) || !silent && !turned_away(case, backend) {
        return Ok(Verdict::NotIt);
    }
    let summary =
        format!("{name} accepts connections, and answers none since {}", scene.clock(case.group.first));
    // A queue that is full may as well belong to threads that are all busy.
    let found = match &queue {
        Some(queue) if silent => confirmed(summary).decisive(queue.clone()),
        Some(queue) => likely(summary).supporting(queue.clone()),
        None => likely(summary),
    };
    let found = found
        .supporting_each(vitals::greeting_fact(case))
        .supporting_each(vitals::state_fact(case, &workers));
    Ok(advice(case, found, None, &workers, 'S').into())
}

/// Whether our own connection found no place in a queue that is still full, so that there was no greeting.
fn turned_away(case: &Case, backend: &Backend) -> bool {
    let timed_out = |it: &ConnectOutcome| matches!(it, ConnectOutcome::TimedOut { .. });
    let full = |it: &Listening| it.backlog.is_some_and(|backlog| it.waiting.is_some_and(|it| it > backlog));
    case.sight().and_then(|it| it.connect.value()).is_some_and(timed_out)
        && backend.listening.as_ref().is_some_and(full)
}

fn advice(case: &Case, found: Found, queue: Option<Fact>, workers: &[&Process], state: char) -> Found {
    let unit = case.backend.as_ref().ok().and_then(|it| it.unit(case.scene));
    let pids: Vec<String> = workers.iter().take(8).map(|it| it.pid.to_string()).collect();
    let mut found = found.supporting_each(queue).supporting(case.failures_fact());
    if matches!(state, 'T' | 't') {
        let mut all = pids.clone();
        let master = workers
            .first()
            .and_then(|it| case.scene.process(it.ppid))
            .filter(|it| matches!(it.state, 'T' | 't'));
        all.extend(master.map(|it| it.pid.to_string()));
        found = found.fix(Fix::mitigate("Let it go on").run(format!("kill -CONT {}", all.join(" "))));
    }
    let mut restart =
        Fix::mitigate("Keep the evidence, then restart it").risk("requests in progress are lost");
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

fn from_lines(case: &Case) -> Option<Found> {
    let course = course::of(case);
    let answers_now = course.since || course.between > 0;
    let particular = lines::spread(case) == lines::Spread::Particular;
    let confidence = match case.group.symptom {
        _ if lines::pool_full(case).is_some() => 0.03,
        Symptom::ClientClosed if course.since || course.between > 0 => 0.05,
        Symptom::ClientClosed => 0.3,
        Symptom::ConnectAgain => 0.12,
        Symptom::ConnectTimeout if lines::place(case) == lines::Place::Here => 0.15,
        Symptom::ConnectTimeout => 0.04,
        Symptom::SslTimeout | Symptom::SendTimeout => 0.4,
        _ if particular => 0.08,
        _ if course.seen && course.before && !answers_now => 0.4,
        _ if answers_now => 0.1,
        _ => 0.22,
    };
    let peer = case.peer_name();
    let summary = format!("{peer} takes connections and answers nothing: it may be stuck");
    Some(
        fits(case, confidence, summary)
            .supporting_each(lines::course_of_answers(case))
            .fix(Fix::mitigate("Restart the backend, after its state was kept (stacks, open files)"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{Answer, ConnectOutcome, Protocol, Snapshot};

    const LATE: &str = "upstream timed out (110: Connection timed out)";
    const READING: &str = "reading response header from upstream";

    /// Timeouts at a program of one process that listens.
    fn silent_node() -> Snapshot {
        let line = failed(LATE, READING, "http://127.0.0.1:3000/cart");
        logged(passing_to("proxy_pass http://127.0.0.1:3000"), &[&line, &line])
            .with(|it| serving(it, 300, "/usr/bin/node server.js --port 3000", "127.0.0.1:3000"))
    }

    #[test]
    fn a_stopped_process_is_let_go_on() {
        let host = silent_node().with(|it| {
            process(it, 300, |it| it.state = 'T');
            greeted(it, "127.0.0.1:3000", Protocol::Http, Answer::Silent);
        });
        let report = check(&host, "backend-hung: confirmed");
        let found = &report.causes[0];
        assert!(
            found.summary.starts_with("node-300.service (Node.js) is stopped by a signal"),
            "{}",
            found.summary
        );
        assert_eq!(found.fixes[0].commands, ["kill -CONT 300"]);
    }

    #[test]
    fn workers_in_uninterruptible_sleep_are_named_with_what_they_wait_in() {
        let line = failed(LATE, READING, "fastcgi://unix:/run/php/fpm.sock:");
        let host = logged(passing_to("fastcgi_pass unix:/run/php/fpm.sock"), &[&line]).with(|it| {
            php_fpm(it, "unix:/run/php/fpm.sock", &[("pm.max_children", "2")], "bb");
            for pid in [501, 502] {
                process(it, pid, |it| (it.state, it.wait_channel) = ('D', "nfs_wait_bit_killable".into()));
            }
        });
        let report = check(&host, "backend-hung: confirmed");
        let evidence = &report.causes[0].evidence[0].says;
        assert!(evidence.contains("(state D), waiting in nfs_wait_bit_killable"), "{evidence}");
        check_ruled_out(&host, "php-fpm-pool-exhausted", "stuck");
    }

    #[test]
    fn a_process_that_still_answers_may_just_wait_for_a_slow_disk() {
        let good = ("GET / HTTP/1.1", 200, "127.0.0.1:3000", "200", "0.004");
        let host = requested(silent_node(), &[good]).with(|it| {
            process(it, 300, |it| it.state = 'D');
            greeted(it, "127.0.0.1:3000", Protocol::Http, Answer::Silent);
        });
        check(&host, "backend-hung: likely");
    }

    #[test]
    fn one_process_that_leaves_connections_in_its_queue_hangs() {
        let host = silent_node().with(|it| {
            queued(it, 9);
            greeted(it, "127.0.0.1:3000", Protocol::Http, Answer::Silent);
        });
        let report = check(&host, "backend-hung: confirmed");
        assert!(
            report.causes[0].evidence[0].says.starts_with("9 connections wait to be accepted"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn a_queue_that_is_so_full_that_nobody_can_greet_is_likely_one_that_hangs() {
        let line = failed(LATE, "connecting to upstream", "http://127.0.0.1:3000/cart");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:3000"), &[&line, &line]).with(|it| {
            serving(it, 300, "/srv/bin/shop --port 3000", "127.0.0.1:3000");
            queued(it, 600);
            sight(it, "127.0.0.1:3000", |it| {
                it.connect = seen(ConnectOutcome::TimedOut { after_millis: 700 })
            });
        });
        check(&host, "backend-hung: likely");
    }

    #[test]
    fn silence_alone_without_a_queue_is_likely_at_most() {
        let host = silent_node().with(|it| greeted(it, "127.0.0.1:3000", Protocol::Http, Answer::Silent));
        check(&host, "backend-hung: likely");
    }

    #[test]
    fn a_backend_that_answers_other_requests_is_slow() {
        let bad = ("GET /cart HTTP/1.1", 504, "127.0.0.1:3000", "504", "60.001");
        let good = ("GET / HTTP/1.1", 200, "127.0.0.1:3000", "200", "0.004");
        let host = requested(silent_node(), &[bad, good, bad, good]);
        let host = host.with(|it| greeted(it, "127.0.0.1:3000", Protocol::Http, Answer::Spoken));
        check(&host, "backend-slow: confirmed");
        check_ruled_out(&host, "backend-hung", "it answers a greeting of our own");
    }

    #[test]
    fn a_server_that_greets_while_its_pages_never_end_any_more_hangs_behind_it() {
        let bad = ("GET / HTTP/1.1", 504, "127.0.0.1:3000", "504", "1.001");
        let good = ("GET / HTTP/1.1", 200, "127.0.0.1:3000", "200", "0.004");
        let greets =
            |host: Snapshot| host.with(|it| greeted(it, "127.0.0.1:3000", Protocol::Http, Answer::Spoken));
        let line = failed(LATE, READING, "http://127.0.0.1:3000/").replace("/cart", "/");
        let node = || {
            logged(
                passing_to("proxy_pass http://127.0.0.1:3000;\nproxy_read_timeout 1s"),
                &[&line, &line, &line],
            )
            .with(|it| serving(it, 300, "/srv/bin/shop --port 3000", "127.0.0.1:3000"))
        };
        let report = check(&greets(requested(node(), &[good, bad, bad, bad])), "backend-hung: likely");
        assert!(report.causes[0].summary.ends_with("not even /"), "{}", outline(&report));
        // One answer since then, and it is not.
        check_not(&greets(requested(node(), &[good, bad, bad, bad, good])), "backend-hung");
    }

    #[test]
    fn a_busy_pool_that_is_silent_is_not_said_to_hang() {
        let line = failed(LATE, READING, "http://127.0.0.1:8000/cart");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line]).with(|it| {
            serving(it, 300, "/usr/bin/gunicorn --bind 127.0.0.1:8000 shop:app", "127.0.0.1:8000");
            worker(it, 300, 301, 'S');
            queued(it, 5);
            greeted(it, "127.0.0.1:8000", Protocol::Http, Answer::Silent);
        });
        check_not(&host, "backend-hung");
    }

    #[test]
    fn processes_we_may_not_see_are_a_blind_spot() {
        check_blind(&silent_node().with(|it| it.processes = denied()), "backend-hung", "processes");
    }
}
