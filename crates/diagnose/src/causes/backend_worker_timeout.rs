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
    let paths: Vec<&str> = case.group.paths.iter().take(3).map(|(path, _)| path.as_str()).collect();
    let on = if paths.is_empty() { "a long request".to_owned() } else { paths.join(", ") };
    let counted = Fact::new("journal", format!("{} of {} failures have such a line within 3 s", deaths.covered, deaths.looked_at));
    let summary = format!("{name} killed its own worker{after} while it worked on {on}");
    let found = if deaths.share() >= 0.5 || deaths.covered >= 2 { confirmed(summary) } else { likely(summary) };
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
            .edit(&pool.file, line, format!("request_terminate_timeout = {value}"), "request_terminate_timeout = 120s")
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
    let value = words.iter().enumerate().find_map(|(index, word)| match word.strip_prefix(&flag)?.strip_prefix('=') {
        Some(value) => Some(value.to_owned()),
        None if **word == flag => words.get(index + 1).map(|it| (*it).to_owned()),
        None => None,
    });
    let fix = Fix::mitigate(format!("Raise {option} of {}", backend.name(case.scene))).risk("a stuck request holds its worker that long");
    let fix = match unit {
        Some(unit) => fix.run(format!("systemctl edit --full {}   # {flag} 120", unit.name)).run(format!("systemctl restart {}", unit.name)),
        None => fix,
    };
    (value.map(|it| format!("{option} {it} s")), fix)
}
