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
    /// and working, and the server's own log tells of a full queue. A pool of threads takes connections and leaves them
    /// unread: a greeting of our own gets no answer, while other requests do. Where it is over by now, more requests
    /// were under way at once than there are workers, and pages that are quick by themselves were late as well.
    ///
    /// ## What to do
    /// Add workers (or threads) as CPU and memory allow, and make the slow requests faster.
    ///
    /// ## Not to be confused with
    /// `backend-hung`: there nothing is answered any more. `listen-queue-overflow`: there the workers are free, only the
    /// queue is short. `backend-slow`: there workers are free and only some URLs are late.
    "worker-pool-exhausted",
    explains: [ReadTimeout, ConnectAgain, ConnectTimeout, ClientClosed],
    leads_to: ["listen-queue-overflow", "backend-slow", "passive-health-ejection", "client-aborted"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::ListenQueueFull { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    let pool = vitals::is_pool(backend.kind) && backend.kind != AppKind::PhpFpm;
    if !backend.local || backend.listening.is_none() || !(pool || vitals::may_have_threads(backend.kind)) {
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
    let meanwhile = vitals::answered_meanwhile(case);
    let silent = vitals::greeting(case).is_some_and(|it| it.answer == Answer::Silent);
    // Where nothing is answered any more, one loop or the threads of one process may hang; a pool of processes hardly does.
    let unread = silent && (pool || !meanwhile.is_empty());
    if !pool && !unread {
        return Ok(Verdict::NotIt);
    }
    let crowd = crowd(case, backend);
    if full.is_none() && !unread {
        if vitals::answers_greeting(case) == Some(true) && crowd.is_none() {
            return Ok(Verdict::ruled_out("a worker was free to answer our greeting at once"));
        }
        if queue.is_none() && crowd.is_none() {
            return Ok(Verdict::ruled_out("nobody waits in its queue"));
        }
    }
    let past = full.is_none() && !unread && vitals::answers_greeting(case) == Some(true);
    let all = match (pool, workers.len()) {
        (false, _) => "every thread".to_owned(),
        (true, 1) => "the only worker".to_owned(),
        (true, count) => format!("all {count} workers"),
    };
    let (is, wait) = match (past, all.starts_with("all")) {
        (true, true) => ("were", "waited"),
        (true, false) => ("was", "waited"),
        (false, true) => ("are", "wait"),
        (false, false) => ("is", "wait"),
    };
    let summary = if queue.is_some() && !past {
        format!("{all} of {name} {is} busy, and requests wait in its queue")
    } else {
        format!("{all} of {name} {is} busy, and further requests {wait} for one")
    };
    let left_unread = unread.then(|| {
        let others = if meanwhile.is_empty() { "" } else { ", while others are served" };
        let says = format!("{} takes our connection and no worker reads it{others}", case.peer_name());
        Fact::new("probe", says).at(scene.now())
    });
    let decisive =
        queue.clone().filter(|_| !past).or_else(|| full.map(|it| it.fact())).or_else(|| left_unread.clone());
    // One connection in the queue may have come this instant, unless our own was left waiting as well.
    let lone = backend.listening.as_ref().and_then(|it| it.waiting).is_none_or(|it| it < 2);
    let doubtful = full.is_none() && lone && vitals::greeting(case).is_none();
    // That threads are all busy is inferred where only silence shows it.
    let inferred = (!pool || meanwhile.is_empty() && full.is_none()) && lone || decisive.is_none();
    let mut found = confirmed(summary).only_likely_if(doubtful || inferred);
    if let Some(fact) = decisive {
        found = found.decisive(fact);
    }
    if let Some(last) = meanwhile.last() {
        let says =
            format!("{} still answered since the first failure", plural(meanwhile.len() as u64, "request"));
        found = found.supporting(Fact::new("access-log", says).reference(last.reference.clone()).at(last.at));
    }
    let fix = if pool {
        Fix::mitigate(format!("Run {} workers instead of {}", workers.len() * 2, workers.len()))
    } else {
        Fix::mitigate("Give it more threads, if it has a limit of them")
    };
    let fix = fix.risk(format!("restarts {name}; each worker takes memory"));
    let fix = match unit {
        Some(unit) => fix
            .run(format!("systemctl edit --full {}", unit.name))
            .run(format!("systemctl restart {}", unit.name)),
        None => fix,
    };
    Ok(found
        .supporting_each(full.filter(|_| queue.is_some()).map(|it| it.fact()))
        .supporting_each(left_unread.filter(|_| queue.is_some()).or_else(|| vitals::greeting_fact(case)))
        .supporting_each(crowd)
        .supporting(case.failures_fact())
        .fix(fix)
        .fix(Fix::repair("Make the slow requests faster, or give them workers of their own"))
        .verify(case.verify_command())
        .prevent("Alert when connections wait in the accept queue for more than a minute")
        .into())
}

/// More requests under way at once than the pool can work on, so that pages were late which are quick by themselves.
fn crowd(case: &Case, backend: &Backend) -> Option<Fact> {
    let capacity = vitals::capacity(case, backend)?;
    let at_once = vitals::most_at_once(case);
    let quick = vitals::usually_quick(case);
    let path = quick.first().filter(|_| at_once > capacity)?;
    Some(Fact::new(
        "access-log",
        format!(
            "{at_once} requests were under way at once, for {capacity} that it can work on; {path}, which is quick otherwise, was late as well"
        ),
    ))
}

fn from_lines(case: &Case) -> Option<Found> {
    if case.group.scheme == "fastcgi" {
        return None;
    }
    let full = lines::told(case, SignedDuration::from_secs(30), |it| {
        matches!(it, EventKind::ListenQueueFull { .. })
    });
    let particular = lines::spread(case) == lines::Spread::Particular;
    let course = course::of(case);
    let peer = case.peer_name();
    let confidence = match case.group.symptom {
        _ if full.is_some() => 0.7,
        Symptom::ConnectAgain => 0.5,
        Symptom::ConnectTimeout if lines::place(case) == lines::Place::Here => 0.35,
        Symptom::ConnectTimeout => 0.06,
        Symptom::ReadTimeout if particular => 0.12,
        Symptom::ReadTimeout if course.seen && !course.before && course.between == 0 => 0.15,
        Symptom::ReadTimeout => 0.4,
        Symptom::ClientClosed if course.since || course.between > 0 => 0.1,
        Symptom::ClientClosed => 0.25,
        _ => return None,
    };
    let summary = match &full {
        Some(told) => format!("every worker of the backend at {peer} was busy: {}", lines::quote(told.event)),
        None => format!("every worker of the backend at {peer} may be busy, so that requests wait"),
    };
    Some(
        fits(case, confidence, summary)
            .supporting_each(full.map(|it| it.event.fact()))
            .supporting_each(lines::spread_fact(case))
            .fix(Fix::mitigate("Give the backend more workers or threads, as far as CPU and memory allow"))
            .fix(Fix::repair("Make the slow requests faster: each holds a worker while it runs"))
            .verify(case.verify_command()),
    )
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
        gunicorn_with(&[&line, &line])
    }

    fn gunicorn_with(lines: &[&str]) -> Snapshot {
        logged(passing_to("proxy_pass http://127.0.0.1:8000"), lines).with(|it| {
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
        check(&host, "backend-slow: likely");
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

    /// A program whose threads nobody can count: it answers one request in a while.
    fn threads(command: &str) -> Snapshot {
        let line = failed(LATE, READING, "http://127.0.0.1:8000/cart");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line, &line])
            .with(|it| serving(it, 300, command, PEER));
        let bad = ("GET /cart HTTP/1.1", 504, PEER, "504", "60.001");
        requested(host, &[bad, ("GET /list HTTP/1.1", 200, PEER, "200", "41.200"), bad])
    }

    #[test]
    fn threads_that_leave_our_greeting_unread_while_others_are_served_are_all_busy() {
        let silent = threads("/usr/bin/java -jar shop.jar --server.port=8000")
            .with(|it| greeted(it, PEER, Protocol::Http, Answer::Silent));
        let report = check(&silent, "worker-pool-exhausted: likely");
        let expected = "every thread of java-300.service (JVM) is busy, and further requests wait for one";
        assert_eq!(report.causes[0].summary, expected);
        check_ruled_out(&silent, "backend-slow", "it left our own greeting unread");
        let queue = silent.with(|it| queued(it, 6));
        check(&queue, "worker-pool-exhausted: confirmed");
    }

    #[test]
    fn threads_that_answer_our_greeting_are_not_all_busy() {
        let host = threads("/srv/bin/shop --listen 127.0.0.1:8000")
            .with(|it| greeted(it, PEER, Protocol::Http, Answer::Spoken));
        check(&host, "backend-slow: confirmed");
        check_not(&host, "worker-pool-exhausted");
    }

    #[test]
    fn a_rush_that_is_over_is_seen_from_requests_that_were_under_way_together() {
        let bad = |path: &'static str| (path, 504, PEER, "504", "60.001");
        let quick = ("GET /cart HTTP/1.1", 200, PEER, "200", "0.010");
        let rush =
            [quick, bad("GET /report HTTP/1.1"), bad("GET /report HTTP/1.1"), bad("GET /cart HTTP/1.1")];
        let cart = failed(LATE, READING, "http://127.0.0.1:8000/cart");
        let report = cart.replace("/cart", "/report");
        let over = requested(gunicorn_with(&[&report, &report, &cart]), &rush)
            .with(|it| greeted(it, PEER, Protocol::Http, Answer::Spoken));
        let report = check(&over, "worker-pool-exhausted: likely");
        let evidence = report.causes[0].evidence.iter().find(|it| it.says.contains("under way at once"));
        let expected = "3 requests were under way at once, for 2 that it can work on; /cart, which is quick otherwise, \
                        was late as well";
        assert_eq!(evidence.map(|it| it.says.as_str()), Some(expected), "{}", outline(&report));
        // With more threads than requests it was not the pool.
        let roomy = over.with(|it| process(it, 300, |it| it.arguments.push("--threads=8".into())));
        check_not(&roomy, "worker-pool-exhausted");
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
