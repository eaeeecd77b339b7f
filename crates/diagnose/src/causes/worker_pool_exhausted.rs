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
    let full = scene.events.iter().rev().filter(|it| vitals::at_that_time(case, it.at)).find(|it| {
        matches!(it.kind, EventKind::ListenQueueFull { .. }) && unit.is_some_and(|unit| unit.name == it.unit)
    });
    let queue = vitals::queue_fact(backend);
    if full.is_none() && queue.is_none() {
        return Ok(Verdict::ruled_out("nobody waits in its queue"));
    }
    if vitals::answers_greeting(case) == Some(true) && full.is_none() {
        return Ok(Verdict::ruled_out("a worker was free to answer our greeting at once"));
    }
    let all = if workers.len() == 1 { "the only worker" } else { &format!("all {} workers", workers.len()) };
    let are = if workers.len() == 1 { "is" } else { "are" };
    let summary = format!("{all} of {name} {are} busy, and requests wait in its queue");
    let decisive = queue.clone().or_else(|| full.map(|it| it.fact()));
    // One connection in the queue may have come this instant, unless our own was left waiting as well.
    let lone = backend.listening.as_ref().and_then(|it| it.waiting).is_none_or(|it| it < 2);
    let doubtful = full.is_none() && lone && vitals::greeting(case).is_none();
    let mut found = confirmed(summary).only_likely_if(doubtful);
    if let Some(fact) = decisive {
        found = found.decisive(fact);
    }
    let meanwhile = vitals::answered_meanwhile(case);
    if let Some(last) = meanwhile.last() {
        let says =
            format!("{} still answered since the first failure", plural(meanwhile.len() as u64, "request"));
        found = found.supporting(Fact::new("access-log", says).reference(last.reference.clone()).at(last.at));
    }
    let more = workers.len() * 2;
    let fix = Fix::mitigate(format!("Run {more} workers instead of {}", workers.len()))
        .risk(format!("restarts {name}; each worker takes memory"));
    let fix = match unit {
        Some(unit) => fix
            .run(format!("systemctl edit --full {}", unit.name))
            .run(format!("systemctl restart {}", unit.name)),
        None => fix,
    };
    Ok(found
        .supporting_each(full.filter(|_| queue.is_some()).map(|it| it.fact()))
        .supporting_each(vitals::greeting_fact(case))
        .supporting(case.failures_fact())
        .fix(fix)
        .fix(Fix::repair("Make the slow requests faster, or give them workers of their own"))
        .verify(case.verify_command())
        .prevent("Alert when connections wait in the accept queue for more than a minute")
        .into())
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{Answer, Protocol, Snapshot};

    const LATE: &str = "upstream timed out (110: Connection timed out)";
    const READING: &str = "reading response header from upstream";
    const PEER: &str = "127.0.0.1:8000";

    /// Timeouts at a gunicorn of two workers.
    fn gunicorn() -> Snapshot {
        let line = failed(LATE, READING, "http://127.0.0.1:8000/cart");
        logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line, &line]).with(|it| {
            serving(it, 300, "/usr/bin/gunicorn --bind 127.0.0.1:8000 --workers 2 shop:app", PEER);
            worker(it, 300, 301, 'S');
            worker(it, 300, 302, 'R');
        })
    }

    #[test]
    fn requests_that_wait_for_busy_workers_are_counted() {
        let host = gunicorn().with(|it| {
            queued(it, 12);
            greeted(it, PEER, Protocol::Http, Answer::Silent);
        });
        let report = check(&host, "worker-pool-exhausted: confirmed");
        let found = &report.causes[0];
        let expected =
            "all 2 workers of gunicorn-300.service (gunicorn) are busy, and requests wait in its queue";
        assert_eq!(found.summary, expected);
        assert_eq!(
            found.evidence[0].says,
            "12 connections wait to be accepted at 127.0.0.1:8000 (backlog 511)"
        );
        assert_eq!(found.fixes[0].title, "Run 4 workers instead of 2");
    }

    #[test]
    fn uwsgi_says_itself_that_its_queue_is_full() {
        let line = failed(LATE, READING, "uwsgi://127.0.0.1:3031");
        let host = logged(passing_to("uwsgi_pass 127.0.0.1:3031"), &[&line]).with(|it| {
            serving(
                it,
                300,
                "/usr/bin/uwsgi --socket 127.0.0.1:3031 --processes 1 --master",
                "127.0.0.1:3031",
            );
            worker(it, 300, 301, 'S');
            let full = "*** uWSGI listen queue of socket \"127.0.0.1:3031\" (fd: 3) full !!! (101/100) ***";
            journal(it, "uwsgi-300.service", &[(12, "uwsgi", full)]);
        });
        check(&host, "worker-pool-exhausted: confirmed");
    }

    #[test]
    fn a_queue_that_was_full_long_before_is_not_the_cause_of_now() {
        let line = failed(LATE, READING, "uwsgi://127.0.0.1:3031");
        let host = logged(passing_to("uwsgi_pass 127.0.0.1:3031"), &[&line]).with(|it| {
            serving(
                it,
                300,
                "/usr/bin/uwsgi --socket 127.0.0.1:3031 --processes 1 --master",
                "127.0.0.1:3031",
            );
            worker(it, 300, 301, 'S');
            let full = "*** uWSGI listen queue of socket \"127.0.0.1:3031\" (fd: 3) full !!! (101/100) ***";
            journal(it, "uwsgi-300.service", &[(800, "uwsgi", full)]);
            greeted(it, "127.0.0.1:3031", Protocol::Uwsgi, Answer::Spoken);
        });
        check_not(&host, "worker-pool-exhausted");
    }

    #[test]
    fn a_worker_that_is_free_for_us_speaks_for_a_slow_page() {
        let host = gunicorn().with(|it| {
            queued(it, 1);
            greeted(it, PEER, Protocol::Http, Answer::Spoken);
        });
        check(&host, "backend-slow: confirmed");
        check_ruled_out(&host, "worker-pool-exhausted", "a worker was free to answer our greeting at once");
    }

    #[test]
    fn workers_that_are_stopped_are_stuck_not_busy() {
        let host = gunicorn().with(|it| {
            queued(it, 12);
            process(it, 301, |it| it.state = 'T');
            process(it, 302, |it| it.state = 'T');
        });
        check(&host, "backend-hung: confirmed");
        check_ruled_out(&host, "worker-pool-exhausted", "stuck");
    }

    #[test]
    fn a_server_without_worker_processes_has_no_such_pool() {
        let line = failed(LATE, READING, "http://127.0.0.1:3000/cart");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:3000"), &[&line]).with(|it| {
            serving(it, 300, "/usr/bin/node server.js --port 3000", "127.0.0.1:3000");
            queued(it, 12);
        });
        check_not(&host, "worker-pool-exhausted");
    }

    #[test]
    fn an_empty_queue_is_no_shortage() {
        check_not(&gunicorn(), "worker-pool-exhausted");
    }

    #[test]
    fn processes_we_may_not_see_are_a_blind_spot() {
        let host = gunicorn().with(|it| {
            queued(it, 12);
            it.processes = denied();
        });
        check_blind(&host, "worker-pool-exhausted", "processes");
    }
}
