use crate::rule::*;
use crate::{trial, vitals};

cause! {
    /// The backend answers correctly, but later than the read timeout that applies to that location.
    ///
    /// ## What you see
    /// `110: Connection timed out … while reading response header from upstream` and 504 on some URLs, each after the
    /// same time; other URLs of the same backend are quick.
    ///
    /// ## How we know
    /// The backend answers a greeting of our own and other requests meanwhile, its workers are not used up and not stuck,
    /// and the failed requests ran for exactly the timeout in force.
    ///
    /// ## What to do
    /// Make the request faster, or move it out of the request (a job queue); where it must take that long, raise the
    /// timeout for this location alone, above the backend's own limit.
    ///
    /// ## Not to be confused with
    /// `backend-hung`: it answers nothing at all. `php-fpm-pool-exhausted` and `worker-pool-exhausted`: quick requests
    /// wait as well. `config-not-reloaded`: the files already allow more.
    "backend-slow",
    explains: [ReadTimeout],
    leads_to: ["passive-health-ejection", "client-aborted"],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::RequestSlow { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let backend = case.backend()?;
    if backend.local && backend.listening.is_none() && !backend.dialled.is_empty() {
        return Ok(Verdict::NotIt);
    }
    if vitals::speaks_otherwise(case) {
        return Ok(Verdict::ruled_out("it speaks another protocol than nginx"));
    }
    let meanwhile = vitals::answered_meanwhile(case);
    let spoken = vitals::answers_greeting(case);
    if spoken == Some(false) && meanwhile.is_empty() && slow_without_nginx(case).is_none() {
        return Ok(Verdict::ruled_out("it does not answer a greeting either"));
    }
    if let Some((_, pool)) = backend.pool
        && vitals::pool_full_event(case, &pool.name).is_some()
    {
        return Ok(Verdict::ruled_out(format!("pool {} was out of children", pool.name)));
    }
    let straight = slow_without_nginx(case);
    let silent = spoken == Some(false);
    // A program of unknown threads may just take its time for each request, and did for the one that we sent.
    let pool = vitals::is_pool(backend.kind) || vitals::may_have_threads(backend.kind) && straight.is_none();
    if silent && backend.local && pool {
        return Ok(Verdict::ruled_out("it left our own greeting unread: no worker was free"));
    }
    let queue = vitals::queue_fact(backend).filter(|_| spoken != Some(true));
    if let Some(queue) = queue.as_ref().filter(|_| pool || meanwhile.is_empty()) {
        return Ok(Verdict::ruled_out(queue.says.clone()));
    }
    let setting = scene.pass(case.group).map(|it| &it.settings.read_timeout);
    let limit = setting.map(|it| it.value.as_secs_f64());
    let took = took_seconds(case);
    let on = case.paths().unwrap_or_else(|| "a request".to_owned());
    let take = if case.group.paths.len() > 1 { "take" } else { "takes" };
    let waits = match limit {
        Some(limit) => format!("{take} longer than the {} that nginx waits there", span(limit)),
        None => format!("{take} longer than nginx waits"),
    };
    let state = if silent { "keeps everybody waiting meanwhile" } else { "itself is well" };
    let summary = format!("{on} {waits}; {} {state}", case.backend_name());
    let quick = meanwhile
        .iter()
        .filter_map(|it| it.request_time)
        .fold(None, |most: Option<f64>, it| Some(most.map_or(it, |m| m.max(it))));
    let others = (!meanwhile.is_empty()).then(|| {
        let within = quick.map(|it| format!(" within {}", span(it))).unwrap_or_default();
        let last = meanwhile[meanwhile.len() - 1];
        let says = format!("{} answered meanwhile{within}", plural(meanwhile.len() as u64, "other request"));
        Fact::new("access-log", says).reference(last.reference.clone()).at(last.at)
    });
    let greeting = vitals::greeting_fact(case);
    let quick_otherwise = vitals::usually_quick(case);
    // Our request may have waited for a free worker rather than for the page, unless some had nothing to do.
    let idle = |pool: &snapshot::PhpPool| pool.children.iter().any(|it| it.busy == Some(false));
    let may_have_queued = pool && others.is_none() && !backend.pool.is_some_and(|(_, pool)| idle(pool));
    let mut found = match straight.or(others) {
        Some(fact) if may_have_queued => likely(summary).supporting(fact),
        // A page that is quick otherwise is late for another reason than its own work; a silent server was busy.
        Some(fact) => confirmed(summary).decisive(fact).only_likely_if(silent || !quick_otherwise.is_empty()),
        None if spoken == Some(true) && quick_otherwise.is_empty() => likely(summary),
        None => possible(summary),
    };
    found = found.supporting_each(queue).supporting_each(greeting).supporting(case.failures_fact());
    if let Some(took) = took {
        found = found.supporting(Fact::new(
            "access-log",
            format!("the failed requests were given up after {}", span(took)),
        ));
    }
    found = found.supporting_each(slow_log(case));
    if let Some(setting) = setting {
        let place = setting.from.map(|it| scene.place(it)).unwrap_or_else(|| "nginx's default".to_owned());
        found = found.supporting(
            Fact::new("config", format!("the read timeout there is {}", span(setting.value.as_secs_f64())))
                .reference(place),
        );
    }
    found = found.fix(Fix::repair(format!("Make {on} faster, or move the work out of the request")));
    if let (Some(limit), Some(pass)) = (limit, scene.pass(case.group)) {
        let directive = format!("{}read_timeout", pass.scheme.module().prefix());
        let raised = (limit * 3.0).max(limit + 30.0).ceil();
        let place = setting.and_then(|it| it.from).and_then(|it| scene.line_at(it));
        let fix = Fix::mitigate(format!("Let nginx wait {} there", span(raised)))
            .risk("each waiting request holds a worker of the backend that long")
            .run("nginx -t && nginx -s reload");
        found = found.fix(match place {
            Some((file, line, old)) => fix.edit(file, line, old.trim(), format!("{directive} {raised}s;")),
            None => {
                let (file, line, old) = scene.line_at(pass.span).unwrap_or_default();
                fix.edit(file, line, old.trim(), format!("{} {directive} {raised}s;", old.trim()))
            }
        });
    }
    Ok(found
        .verify(case.verify_command())
        .prevent("Alert on the 95th percentile of upstream_response_time per location")
        .into())
}

/// How long the failed requests ran, when the access log tells: the median.
pub fn took_seconds(case: &Case) -> Option<f64> {
    let last =
        |it: &crate::failure::Access| it.last_attempt().and_then(|it| it.response_time).or(it.request_time);
    let mut times: Vec<f64> = case.accesses().filter_map(last).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// Seconds as people say them.
pub fn span(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else {
        format!("{} s", (seconds * 10.0).round() / 10.0)
    }
}

/// That the very request takes too long without nginx as well.
fn slow_without_nginx(case: &Case) -> Option<Fact> {
    let limit = scene_limit(case)?;
    let straight = trial::straight(case)?;
    let took = straight.answered().map(|it| it.header_seconds).filter(|it| *it > limit)?;
    let says = format!("straight from {} the same request took {}", straight.to, span(took));
    Some(Fact::new("probe", says).at(straight.sent_at))
}

fn scene_limit(case: &Case) -> Option<f64> {
    case.scene.pass(case.group).map(|it| it.settings.read_timeout.value.as_secs_f64())
}

/// What PHP-FPM's slow log says about the pool near the failures.
fn slow_log(case: &Case) -> Option<Fact> {
    let pool = &case.backend.as_ref().ok()?.pool?.1.name;
    let slow = |it: &&crate::events::Event| matches!(&it.kind, EventKind::RequestSlow { pool: of, .. } if of == pool);
    Some(case.scene.events.iter().rev().find(slow)?.fact())
}

fn from_lines(case: &Case) -> Option<Found> {
    let course = course::of(case);
    let spread = lines::spread(case);
    let slow_log = slow_log(case);
    let confidence = match spread {
        _ if lines::pool_full(case).is_some() => 0.1,
        _ if slow_log.is_some() => 0.7,
        lines::Spread::Particular => 0.65,
        _ if course.seen && !lines::ever_answered(case) => 0.15,
        lines::Spread::FewPaths => 0.4,
        lines::Spread::General if course.between > 0 => 0.3,
        lines::Spread::General => 0.2,
    };
    let on = case.paths().unwrap_or_else(|| "a request".to_owned());
    let times = lines::durations(case);
    let waits = lines::even(&times).map(|it| format!(" ({})", span(it))).unwrap_or_default();
    let take = if case.group.paths.len() > 1 { "take" } else { "takes" };
    let summary = format!("{on} {take} longer than nginx waits{waits} for {}", case.peer_name());
    Some(
        fits(case, confidence, summary)
            .supporting_each(slow_log)
            .supporting_each(lines::spread_fact(case))
            .fix(Fix::repair(format!("Make {on} faster, or move the work out of the request")))
            .fix(
                Fix::mitigate("Let nginx wait longer there (proxy_read_timeout of that location)")
                    .risk("each waiting request holds a worker of the backend that long"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::span;
    use crate::testing::*;
    use snapshot::{Answer, Protocol, Snapshot};

    const LATE: &str = "upstream timed out (110: Connection timed out)";
    const READING: &str = "reading response header from upstream";
    const PEER: &str = "127.0.0.1:3000";

    /// /report was given up twice; a program of one process listens there.
    fn late(pass: &str) -> Snapshot {
        let line = failed(LATE, READING, "http://127.0.0.1:3000/report").replace("/cart", "/report");
        logged(passing_to(pass), &[&line, &line, "[notice] 100#100: signal process started"])
            .with(|it| serving(it, 300, "/usr/bin/node server.js --port 3000", PEER))
    }

    /// The requests as the access log has them: /report late, / quick in between.
    fn with_requests(host: Snapshot) -> Snapshot {
        let bad = ("GET /report HTTP/1.1", 504, PEER, "504", "5.001");
        let good = ("GET / HTTP/1.1", 200, PEER, "200", "0.004");
        requested(host, &[good, bad, bad, good])
    }

    const PASS: &str = "proxy_pass http://127.0.0.1:3000;\nproxy_read_timeout 5s";

    #[test]
    fn a_page_that_takes_longer_than_nginx_waits_is_named_with_the_limit() {
        let host = with_requests(late(PASS)).with(|it| greeted(it, PEER, Protocol::Http, Answer::Spoken));
        let report = check(&host, "backend-slow: confirmed");
        let found = &report.causes[0];
        let expected = "/report takes longer than the 5 s that nginx waits there; node-300.service (Node.js) itself is well";
        assert_eq!(found.summary, expected);
        let edits: Vec<_> = found.fixes.iter().flat_map(|it| &it.edits).collect();
        assert_eq!(
            (edits[0].old.as_str(), edits[0].new.as_str()),
            ("proxy_read_timeout 5s;", "proxy_read_timeout 35s;")
        );
        assert!(
            found.evidence.iter().any(|it| it.says == "the failed requests were given up after 5 s"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn where_the_default_applies_a_directive_is_added() {
        let host = with_requests(late("proxy_pass http://127.0.0.1:3000"));
        let report = check(&host, "backend-slow: confirmed");
        let edits: Vec<_> = report.causes[0].fixes.iter().flat_map(|it| &it.edits).collect();
        assert_eq!(edits[0].new, "proxy_pass http://127.0.0.1:3000; proxy_read_timeout 180s;");
    }

    #[test]
    fn a_full_pool_is_not_a_slow_page() {
        let line = failed(LATE, READING, "fastcgi://unix:/run/php/fpm.sock:");
        let host = logged(passing_to("fastcgi_pass unix:/run/php/fpm.sock"), &[&line]).with(|it| {
            php_fpm(it, "unix:/run/php/fpm.sock", &[("pm", "dynamic"), ("pm.max_children", "2")], "bb");
            let full = "[02-May-2026 13:02:50] WARNING: [pool www] server reached pm.max_children setting (2), consider raising it";
            php_log(it, &[(20, full)]);
        });
        check(&host, "php-fpm-pool-exhausted: confirmed");
        check_ruled_out(&host, "backend-slow", "pool www was out of children");
    }

    #[test]
    fn a_backend_that_is_silent_to_us_as_well_is_not_merely_slow() {
        let host = late(PASS).with(|it| {
            queued(it, 3);
            greeted(it, PEER, Protocol::Http, Answer::Silent);
        });
        check(&host, "backend-hung: confirmed");
        check_ruled_out(&host, "backend-slow", "it does not answer a greeting either");
    }

    #[test]
    fn an_event_loop_that_works_for_long_keeps_everybody_waiting() {
        let host = with_requests(late(PASS)).with(|it| {
            queued(it, 3);
            greeted(it, PEER, Protocol::Http, Answer::Silent);
        });
        let report = check(&host, "backend-slow: likely");
        let summary = &report.causes[0].summary;
        assert!(
            summary.ends_with("node-300.service (Node.js) keeps everybody waiting meanwhile"),
            "{summary}"
        );
    }

    #[test]
    fn without_an_access_log_and_a_greeting_it_is_only_possible() {
        check(&late(PASS), "backend-slow: possible");
    }

    #[test]
    fn a_host_that_may_not_be_looked_at_is_a_blind_spot() {
        let host = late("proxy_pass http://127.0.0.1:3000").with(|it| it.net.listeners = denied());
        check_blind(&host, "backend-slow", "listening sockets");
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        assert_eq!(span(0.0042), "4 ms");
        assert_eq!(span(60.0), "60 s");
        assert_eq!(span(2.449), "2.4 s");
    }
}
