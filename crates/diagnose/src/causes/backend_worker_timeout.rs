use crate::deaths::{self, Death};
use crate::rule::*;

cause! {
    /// The backend's own watchdog killed the worker in the middle of the request.
    ///
    /// ## What you see
    /// "upstream prematurely closed connection" or `104: Connection reset by peer` and 502 on long requests, each after
    /// the same number of seconds, while nginx would have waited longer.
    ///
    /// ## How we know
    /// At the second of the failure the application server's log says that it ended the worker for its time:
    /// `request_terminate_timeout` (PHP-FPM "execution timed out"), gunicorn "WORKER TIMEOUT", uWSGI "HARAKIRI".
    ///
    /// ## What to do
    /// Make the request faster or move it to a job; where it must take that long, raise the server's own limit, and keep
    /// it below nginx's read timeout so that one of the two is clearly first.
    ///
    /// ## Not to be confused with
    /// `backend-crashed`: there nobody killed it. `backend-slow`: there nginx gave up first, with 504.
    "backend-worker-timeout",
    explains: [PrematureClose, ReadReset, SendFailed, BodyShort],
    leads_to: ["backend-crashed", "backend-aborts-request", "backend-slow", "passive-health-ejection", "invalid-response", "keepalive-race"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::WorkerTimeout | EventKind::Harakiri { .. } | EventKind::RequestTimedOut { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let backend = case.backend()?;
    let Some(deaths) = deaths::near(case)?.filter(|it| it.death == Death::Watchdog) else {
        deaths::would_be_seen(case)?;
        return Ok(Verdict::ruled_out("no watchdog of the backend ended a worker at that time"));
    };
    let Some(fact) = deaths.fact() else { return Ok(Verdict::NotIt) };
    let name = backend.name(case.scene);
    let (limit, fix) = limit_of(case, deaths.events.last().copied());
    let after = limit.map(|it| format!(" ({it})")).unwrap_or_default();
    let on = case.paths().unwrap_or_else(|| "a long request".to_owned());
    let counted = Fact::new(
        "journal",
        format!("{} of {} failures have such a line within 3 s", deaths.covered, deaths.looked_at),
    );
    let summary = format!("{name} killed its own worker{after} while it worked on {on}");
    let found = if deaths.explain() { confirmed(summary) } else { possible(summary) };
    Ok(found
        .decisive(fact)
        .supporting(counted)
        .supporting(case.failures_fact())
        .fix(Fix::repair(format!("Make {on} faster, or move the work out of the request")))
        .fix(fix)
        .verify(case.verify_command())
        .prevent("Keep the server's own limit a little below nginx's read timeout, and alert on its kills")
        .into())
}

/// The setting whose limit was hit, and how to raise it.
fn limit_of(case: &Case, event: Option<&crate::events::Event>) -> (Option<String>, Fix) {
    let Ok(backend) = case.backend else { return (None, Fix::mitigate("Raise the server's own limit")) };
    let unit = backend.unit(case.scene);
    if let Some((_, pool)) = backend.pool
        && let Some(value) = pool.setting("request_terminate_timeout")
    {
        let line = pool.line_of("request_terminate_timeout").unwrap_or(0);
        let fix = Fix::mitigate("Let PHP-FPM work longer on a request")
            .edit(
                &pool.file,
                line,
                format!("request_terminate_timeout = {value}"),
                "request_terminate_timeout = 120s",
            )
            .run(format!("systemctl reload {}", unit.map_or("php-fpm", |it| it.name.as_str())))
            .risk("a stuck script holds its child that long");
        return (Some(format!("request_terminate_timeout = {value}")), fix);
    }
    let option = match event.map(|it| &it.kind) {
        Some(EventKind::Harakiri { .. }) => "harakiri",
        Some(EventKind::WorkerTimeout) => "timeout",
        _ => return (None, Fix::mitigate("Raise the server's own limit")),
    };
    let command = unit.map(|it| it.exec_start.as_str()).unwrap_or_default();
    let words: Vec<&str> = command.split_whitespace().collect();
    let flag = format!("--{option}");
    let value = words.iter().enumerate().find_map(|(index, word)| {
        match word.strip_prefix(&flag)?.strip_prefix('=') {
            Some(value) => Some(value.to_owned()),
            None if **word == flag => words.get(index + 1).map(|it| (*it).to_owned()),
            None => None,
        }
    });
    let fix = Fix::mitigate(format!("Raise {option} of {}", backend.name(case.scene)))
        .risk("a stuck request holds its worker that long");
    let fix = match unit {
        Some(unit) => fix
            .run(format!("systemctl edit --full {}   # {flag} 120", unit.name))
            .run(format!("systemctl restart {}", unit.name)),
        None => fix,
    };
    (value.map(|it| format!("{option} {it} s")), fix)
}

fn from_lines(case: &Case) -> Option<Found> {
    let told = deaths::by_lines(case).filter(|it| it.death == Death::Watchdog);
    let times = lines::durations(case);
    let even = lines::even(&times).filter(|it| *it >= 5.0);
    let on = case.paths().unwrap_or_else(|| "a long request".to_owned());
    let peer = case.peer_name();
    let (confidence, event) = match &told {
        Some(it) => (0.35 + 0.55 * it.share(), it.events.last()),
        // gunicorn's default, and the rounder numbers that people set.
        None if even.is_some() => (0.7, None),
        None if times.first().is_some_and(|it| *it >= 5.0) => (0.3, None),
        None if !times.is_empty() => (0.02, None),
        None if lines::spread(case) == lines::Spread::General => (0.06, None),
        None => (0.14, None),
    };
    let after = even.map(|it| format!(" after {it:.0} s")).unwrap_or_default();
    let summary = match event {
        Some(event) => format!(
            "the backend at {peer} killed its own worker{after} while it worked on {on}: {}",
            lines::quote(event)
        ),
        None => format!("the backend at {peer} may kill its own worker{after}, before {on} is done"),
    };
    let lasted = even.map(|it| lines::course_fact(case, format!("each failed request had taken {it:.0} s")));
    Some(
        fits(case, confidence, summary)
            .supporting_each(event.map(|it| it.fact()))
            .supporting_each(lasted)
            .fix(Fix::repair(format!("Make {on} faster, or move the work out of the request")))
            .fix(Fix::mitigate(
                "Raise the server's own limit (request_terminate_timeout, --timeout, harakiri)",
            ))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    const CLOSED: &str = "upstream prematurely closed connection";
    const RESET: &str = "recv() failed (104: Connection reset by peer)";
    const READING: &str = "reading response header from upstream";

    /// gunicorn whose worker for /export ended ten seconds before the collection; a younger one replaced it.
    fn gunicorn() -> Snapshot {
        let line = failed(CLOSED, READING, "http://127.0.0.1:8000/export").replace("/cart", "/export");
        logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&line]).with(|it| {
            serving(
                it,
                300,
                "/usr/bin/gunicorn --bind 127.0.0.1:8000 --timeout 30 shop:app",
                "127.0.0.1:8000",
            );
            worker(it, 300, 302, 'S');
            process(it, 302, |it| it.started_at = Some(ago(9)));
        })
    }

    #[test]
    fn gunicorn_s_watchdog_is_named_with_its_limit_and_the_page() {
        let host = gunicorn().with(|it| {
            let lines = [
                (10, "gunicorn", "[2026-05-02 13:03:00 +0000] [300] [CRITICAL] WORKER TIMEOUT (pid:301)"),
                (10, "gunicorn", "[2026-05-02 13:03:00 +0000] [301] [INFO] Worker exiting (pid: 301)"),
                (9, "gunicorn", "[2026-05-02 13:03:01 +0000] [300] [WARNING] Worker with pid 301 was terminated due to signal 9"),
            ];
            journal(it, "gunicorn-300.service", &lines);
        });
        let report = check(&host, "backend-worker-timeout: confirmed");
        let expected =
            "gunicorn-300.service (gunicorn) killed its own worker (timeout 30 s) while it worked on /export";
        assert_eq!(report.causes[0].summary, expected);
        check_ruled_out(&host, "backend-crashed", "the backend's own watchdog");
    }

    #[test]
    fn the_same_signal_without_the_watchdog_is_a_crash() {
        let host = gunicorn().with(|it| {
            let line = "[2026-05-02 13:03:00 +0000] [300] [WARNING] Worker with pid 301 was terminated due to signal 11";
            journal(it, "gunicorn-300.service", &[(10, "gunicorn", line)]);
        });
        check(&host, "backend-crashed: confirmed");
        check_ruled_out(&host, "backend-worker-timeout", "no watchdog of the backend ended a worker");
    }

    #[test]
    fn php_fpm_s_limit_is_to_be_changed_in_the_pool_file() {
        let line =
            failed(RESET, READING, "fastcgi://unix:/run/php/fpm.sock:").replace("/cart", "/import.php");
        let host = logged(passing_to("fastcgi_pass unix:/run/php/fpm.sock"), &[&line]).with(|it| {
            php_fpm(it, "unix:/run/php/fpm.sock", &[("pm.max_children", "5"), ("request_terminate_timeout", "10s")], "ii");
            let lines = [
                (
                    10,
                    "[02-May-2026 13:03:00] WARNING: [pool www] child 503, script '/srv/import.php' (request: \"GET \
                     /import.php\") execution timed out (10.120000 sec), terminating",
                ),
                (10, "[02-May-2026 13:03:00] WARNING: [pool www] child 503 exited on signal 15 (SIGTERM) after 99.1 seconds from start"),
            ];
            php_log(it, &lines);
        });
        let report = check(&host, "backend-worker-timeout: confirmed");
        let edits: Vec<_> = report.causes[0].fixes.iter().flat_map(|it| &it.edits).collect();
        assert_eq!((edits[0].file.as_str(), edits[0].line), ("/etc/php/8.2/fpm/pool.d/www.conf", 6));
        assert_eq!(edits[0].old, "request_terminate_timeout = 10s");
    }

    #[test]
    fn uwsgi_s_harakiri_is_named() {
        let line = failed(CLOSED, READING, "uwsgi://127.0.0.1:3031");
        let host = logged(passing_to("uwsgi_pass 127.0.0.1:3031"), &[&line]).with(|it| {
            serving(
                it,
                300,
                "/usr/bin/uwsgi --socket 127.0.0.1:3031 --harakiri 20 --processes 3",
                "127.0.0.1:3031",
            );
            worker(it, 300, 301, 'S');
            let lines = [
                (10, "uwsgi", "Sat May  2 13:03:00 2026 - *** HARAKIRI ON WORKER 2 (pid: 302, try: 1) ***"),
                (9, "uwsgi", "DAMN ! worker 2 (pid: 302) died, killed by signal 9 :( trying respawn ..."),
            ];
            journal(it, "uwsgi-300.service", &lines);
        });
        let report = check(&host, "backend-worker-timeout: confirmed");
        assert!(report.causes[0].summary.contains("(harakiri 20 s)"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_watchdog_of_another_service_is_not_this_one_s() {
        let host = gunicorn().with(|it| {
            let line = "[2026-05-02 13:03:00 +0000] [777] [CRITICAL] WORKER TIMEOUT (pid:778)";
            journal(it, "blog.service", &[(10, "gunicorn", line)]);
        });
        check_not(&host, "backend-worker-timeout");
    }

    #[test]
    fn nginx_giving_up_first_is_a_slow_page() {
        let late =
            failed("upstream timed out (110: Connection timed out)", READING, "http://127.0.0.1:8000/export");
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[&late]).with(|it| {
            serving(
                it,
                300,
                "/usr/bin/gunicorn --bind 127.0.0.1:8000 --timeout 30 shop:app",
                "127.0.0.1:8000",
            )
        });
        check_not(&host, "backend-worker-timeout");
    }

    #[test]
    fn without_php_fpm_s_log_nobody_can_say_who_ended_the_child() {
        let line = failed(RESET, READING, "fastcgi://unix:/run/php/fpm.sock:");
        let host = logged(passing_to("fastcgi_pass unix:/run/php/fpm.sock"), &[&line]).with(|it| {
            php_fpm(it, "unix:/run/php/fpm.sock", &[("request_terminate_timeout", "10s")], "ii");
            php_log(it, &[]);
            it.backend_logs[0].lines = denied();
        });
        check_blind(&host, "backend-worker-timeout", "PHP-FPM's log");
    }
}
