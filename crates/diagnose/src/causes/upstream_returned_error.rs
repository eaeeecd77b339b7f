use crate::own_answers;
use crate::rule::*;

cause! {
    /// The error came from the backend itself; nginx only passed it on.
    ///
    /// ## What you see
    /// 502, 503 or 504 in the access log with the same code in `$upstream_status`, and nothing about it in the error log.
    ///
    /// ## How we know
    /// The backend sent a response header with that status: nginx recorded a header time for it, and complained of nothing.
    ///
    /// ## What to do
    /// Look for the reason where the answer was made: in the backend's own log. If the backend is itself a gateway or a load
    /// balancer, the fault is one hop further, and the same question is to be asked there.
    ///
    /// ## Not to be confused with
    /// `nginx-returned-error`: there no backend was asked. `backend-port-conflict`: there the answer comes from a stranger
    /// who took the backend's port.
    "upstream-returned-error",
    explains: [UpstreamStatus],
    leads_to: [],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    if let Some(own) = own_answers::limits_answer(case) {
        return Ok(Verdict::ruled_out(own));
    }
    let accesses: Vec<_> = case.accesses().collect();
    let Some(last) = accesses.last() else { return Ok(Verdict::NotIt) };
    if !last.tells_upstream {
        return unsaid(case);
    }
    let Some(attempt) = last.last_attempt() else {
        return Ok(Verdict::ruled_out("nginx asked no backend for these requests"));
    };
    if attempt.status != Some(last.status) || last.status < 100 {
        return Ok(Verdict::NotIt);
    }
    let peer = case.peer_name();
    let status = last.status;
    let paths = paths(case);
    let summary = format!("{} answers {status}{paths} itself; nginx only passes it on", name(case));
    let fact = |says: String| Fact::new("access-log", says).reference(last.reference.clone()).at(last.at);
    // nginx never makes a 503 of its own for an attempt, and has a header time only when a header came.
    let found = match attempt.header_time {
        Some(seconds) => confirmed(summary).decisive(fact(format!(
            "{peer} sent a response header with status {status} after {seconds:.3} s"
        ))),
        None if status == 503 || status > 504 => confirmed(summary).decisive(fact(format!(
            "$upstream_status is {status}, and nginx has no such answer of its own for an attempt"
        ))),
        None if case.scene.error_log_speaks(case.group) => likely(summary)
            .confidence(0.85)
            .supporting(fact(format!("$upstream_status is {status}, {}", times(case.group.count)))),
        None => possible(summary).supporting(fact(format!("$upstream_status is {status}"))),
    };
    let quiet = case
        .scene
        .error_log_speaks(case.group)
        .then(|| Fact::new("error-log", "nothing was logged about these requests"));
    Ok(told(case, found.supporting_each(quiet)).into())
}

/// A log format without upstream fields does not say who answered: the backend, if nothing else could have.
fn unsaid(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.accesses().next_back() else { return Ok(Verdict::NotIt) };
    let Some(pass) = route(case) else { return Ok(Verdict::NotIt) };
    if !case.scene.error_log_speaks(case.group) {
        return Ok(Verdict::NotIt);
    }
    let status = last.status;
    let summary = format!("{} answers {status}{} itself; nginx only passes it on", pass, paths(case));
    let says =
        format!("status {status}, {}, and the error log has nothing about it", times(case.group.count));
    let fact = Fact::new("access-log", says).reference(last.reference.clone()).at(last.at);
    let own = own_answers::find(case).into_iter().next().or_else(|| own_answers::silent_limit(case));
    let found = match own {
        Some(own) => possible(summary).supporting(fact).contradicting(own.fact(case.scene)),
        None => likely(summary).supporting(fact),
    };
    let advice = "Log $upstream_addr, $upstream_status and $upstream_header_time: then the access log says who answered";
    Ok(told(case, found.prevent(advice)).into())
}

fn told(case: &Case, found: Found) -> Found {
    let unit = case.backend.as_ref().ok().and_then(|it| it.unit(case.scene)).map(|it| it.name.clone());
    let fix = Fix::repair("Find the reason in the backend's own log, at the time of the last failure");
    let fix = match unit {
        Some(unit) => {
            let from = case.scene.clock(case.group.last - SignedDuration::from_secs(60));
            fix.run(format!("journalctl -u {unit} --since {from}"))
        }
        None => fix,
    };
    found.supporting(case.failures_fact()).fix(fix).verify(case.verify_command())
}

fn name(case: &Case) -> String {
    match &case.backend {
        Ok(backend) if backend.unit(case.scene).is_some() => {
            format!("{} at {}", backend.name(case.scene), backend.peer)
        }
        _ => case.peer_name(),
    }
}

fn paths(case: &Case) -> String {
    case.paths().map(|it| format!(" for {it}")).unwrap_or_default()
}

/// The pass that the failed requests are routed to, as text.
fn route(case: &Case) -> Option<String> {
    let pass = case.scene.pass(case.group)?;
    let addresses = pass.addresses(case.scene.view);
    match addresses.as_slice() {
        [one] => Some(one.address.clone()),
        _ => Some(pass.written.clone()),
    }
}

fn from_lines(case: &Case) -> Option<Found> {
    if let Ok(Verdict::Found(found)) = judge(case) {
        return Some(*found);
    }
    let last = case.accesses().next_back()?;
    if last.tells_upstream {
        return None;
    }
    // nginx explains its own 502 and 504 in the error log; a 503 is as often its own rule.
    let told = case.scene.failures.entries.iter().any(|it| it.access.is_some());
    let confidence = match last.status {
        502 | 504 if told => 0.6,
        503 => 0.4,
        _ => 0.25,
    };
    let on = case.paths().map(|it| format!(" for {it}")).unwrap_or_default();
    let summary = format!("the backend may answer {}{on} itself, and nginx only passes it on", last.status);
    Some(
        fits(case, confidence, summary)
            .fix(Fix::repair("Look in the backend's own log at these times"))
            .fix(Fix::repair("Log $upstream_addr and $upstream_status, so that the next time tells"))
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    fn answered(status: u16, address: &str, upstream_status: &str) -> Snapshot {
        let host = logged(passing_to("proxy_pass http://127.0.0.1:8000"), &[]);
        requested(host, &[("GET /cart HTTP/1.1", status, address, upstream_status, "0.004")])
    }

    #[test]
    fn a_status_that_the_backend_sent_is_its_own() {
        check(&answered(503, "127.0.0.1:8000", "503"), "upstream-returned-error: confirmed");
    }

    #[test]
    fn an_application_s_honest_500_is_no_gateway_failure() {
        check(&answered(500, "127.0.0.1:8000", "500"), "healthy");
    }

    #[test]
    fn without_an_attempt_nobody_but_nginx_answered() {
        let report = crate::diagnose(&answered(503, "-", "-"));
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "upstream-returned-error"),
            "{}",
            outline(&report)
        );
    }
}
