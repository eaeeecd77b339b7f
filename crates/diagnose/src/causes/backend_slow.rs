use crate::rule::*;
use crate::vitals;

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
    leads_to: ["passive-health-ejection"],
    judge: Judge::Group(judge),
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
    if spoken == Some(false) && meanwhile.is_empty() {
        return Ok(Verdict::ruled_out("it does not answer a greeting either"));
    }
    if let Some((_, pool)) = backend.pool
        && vitals::pool_full_event(case, &pool.name).is_some()
    {
        return Ok(Verdict::ruled_out(format!("pool {} was out of children", pool.name)));
    }
    if let Some(queue) = vitals::queue_fact(backend)
        && spoken != Some(true)
    {
        return Ok(Verdict::ruled_out(queue.says));
    }
    let setting = scene.pass(case.group).map(|it| &it.settings.read_timeout);
    let limit = setting.map(|it| it.value.as_secs_f64());
    let took = took_seconds(case);
    let paths: Vec<&str> = case.group.paths.iter().take(3).map(|(path, _)| path.as_str()).collect();
    let on = if paths.is_empty() { "requests".to_owned() } else { paths.join(", ") };
    let waits = match limit {
        Some(limit) => format!("takes longer than the {} that nginx waits there", span(limit)),
        None => "takes longer than nginx waits".to_owned(),
    };
    let summary = format!("{on} {waits}; {} itself is well", backend.name(scene));
    let quick = meanwhile.iter().filter_map(|it| it.request_time).fold(None, |most: Option<f64>, it| Some(most.map_or(it, |m| m.max(it))));
    let others = (!meanwhile.is_empty()).then(|| {
        let within = quick.map(|it| format!(" within {}", span(it))).unwrap_or_default();
        let last = meanwhile[meanwhile.len() - 1];
        let says = format!("{} answered meanwhile{within}", plural(meanwhile.len() as u64, "other request"));
        Fact::new("access-log", says).reference(last.reference.clone()).at(last.at)
    });
    let decided = others.or_else(|| vitals::greeting_fact(case).filter(|_| spoken == Some(true)));
    let mut found = match decided {
        Some(fact) => confirmed(summary).decisive(fact),
        None => possible(summary),
    };
    found = found.supporting_each(vitals::greeting_fact(case)).supporting(case.failures_fact());
    if let Some(took) = took {
        found = found.supporting(Fact::new("access-log", format!("the failed requests were given up after {}", span(took))));
    }
    found = found.supporting_each(slow_log(case));
    if let Some(setting) = setting {
        let place = setting.from.map(|it| scene.place(it)).unwrap_or_else(|| "nginx's default".to_owned());
        found = found.supporting(Fact::new("config", format!("the read timeout there is {}", span(setting.value.as_secs_f64()))).reference(place));
    }
    found = found.fix(Fix::repair(format!("Make {on} faster, or move the work out of the request")));
    if let (Some(limit), Some(pass)) = (limit, scene.pass(case.group)) {
        let directive = format!("{}_read_timeout", pass.scheme.module().prefix());
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
    Ok(found.verify(case.verify_command()).prevent("Alert on the 95th percentile of upstream_response_time per location").into())
}

/// How long the failed requests ran, when the access log tells: the median.
pub fn took_seconds(case: &Case) -> Option<f64> {
    let last = |it: &crate::failure::Access| it.last_attempt().and_then(|it| it.response_time).or(it.request_time);
    let mut times: Vec<f64> = case.accesses().filter_map(last).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// Seconds as people say them.
pub fn span(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{} s", (seconds * 10.0).round() / 10.0) }
}

/// What PHP-FPM's slow log says about the pool near the failures.
fn slow_log(case: &Case) -> Option<Fact> {
    let pool = &case.backend.as_ref().ok()?.pool?.1.name;
    let slow = |it: &&crate::events::Event| matches!(&it.kind, EventKind::RequestSlow { pool: of, .. } if of == pool);
    Some(case.scene.events.iter().rev().find(slow)?.fact())
}
