use crate::own_answers;
use crate::rule::*;

cause! {
    /// A limit of nginx's own configuration (limit_req or limit_conn) refused the requests.
    ///
    /// ## What you see
    /// 503 (or the status of `limit_req_status`, `limit_conn_status`) without any upstream, and `limiting requests, excess …
    /// by zone` or `limiting connections by zone` in the error log.
    ///
    /// ## How we know
    /// nginx says so, with the name of the zone.
    ///
    /// ## What to do
    /// Decide whether these clients are legitimate. If they are, raise the zone's rate or the burst; mind that everybody
    /// behind one proxy or load balancer has one address unless `real_ip_header` is set.
    ///
    /// ## Not to be confused with
    /// `upstream-returned-error`: there the backend answered 503. `upstream-max-conns-reached`: there the limit is on the
    /// connections to a backend.
    "rate-limited",
    explains: [Limiting, UpstreamStatus],
    leads_to: [],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    if case.group.symptom == Symptom::UpstreamStatus {
        return Ok(unlogged(case));
    }
    let mut refused = case.entries().filter(|it| it.message.starts_with("limiting "));
    let Some(last) = refused.next_back() else { return Ok(Verdict::NotIt) };
    let zone =
        last.message.rsplit_once("by zone \"").and_then(|(_, it)| it.split('"').next()).unwrap_or_default();
    let requests = last.message.starts_with("limiting requests");
    let what = if requests { "limit_req" } else { "limit_conn" };
    let own = own_answers::limits(case);
    let place = own.iter().find(|it| it.words().contains(zone)).or(own.first());
    let status = case.group.statuses.keys().next_back().map(|it| format!(" with {it}")).unwrap_or_default();
    let clients = clients(case);
    let from = match clients.as_slice() {
        [one] => format!(", all from {one}"),
        [] => String::new(),
        many => format!(", from {} addresses", many.len()),
    };
    let summary =
        format!("{what} (zone {zone}) refused {}{status}{from}", plural(case.group.count, "request"));
    let says = format!("\"{}\", {}", last.message, times(case.group.count));
    let fact = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    let zone_line = zone_definition(case, zone);
    let rate = zone_line.as_ref().map(|it| it.says.clone());
    let title = match (requests, place) {
        (true, Some(place)) => {
            format!(
                "If these clients are legitimate, raise burst= of {} in {}",
                place.words(),
                case.scene.place(place.answer.span)
            )
        }
        (true, None) => {
            format!("If these clients are legitimate, raise burst= of the limit_req with zone {zone}")
        }
        (false, Some(place)) => {
            format!(
                "If these clients are legitimate, raise the number of {} in {}",
                place.words(),
                case.scene.place(place.answer.span)
            )
        }
        (false, None) => format!("If these clients are legitimate, raise the limit_conn with zone {zone}"),
    };
    let fix = Fix::mitigate(title).because(rate.map(|it| format!("the zone is {it}")).unwrap_or_default());
    let shared = clients.len() == 1 && case.group.count > 3;
    Ok(confirmed(summary)
        .decisive(fact)
        .supporting_each(place.map(|it| it.fact(case.scene)))
        .supporting_each(zone_line)
        .fix(fix)
        .fix_maybe(shared.then(|| {
            Fix::repair("If that one address is a proxy in front of nginx, count its clients instead: real_ip_header and set_real_ip_from")
        }))
        .verify(case.verify_command())
        .into())
}

/// A limit whose log level is below that of the error log leaves no line: nobody was asked, and a limit answers so.
fn unlogged(case: &Case) -> Verdict {
    let own = own_answers::limits_answer(case).map(|it| (it, true));
    // A log format without upstream fields does not say whether a backend was asked.
    let untold = || case.accesses().all(|it| !it.tells_upstream) && case.accesses().next().is_some();
    let silent = || own_answers::silent_limit(case).filter(|_| untold());
    let Some((own, told)) = own.or_else(|| Some((silent()?.words(), false))) else { return Verdict::NotIt };
    if !own_answers::find(case).is_empty() {
        return Verdict::NotIt;
    }
    let limits = own_answers::limits(case);
    let found = likely(format!(
        "{} were refused by a limit of nginx's own: {own}",
        plural(case.group.count, "request")
    ))
    .supporting(case.failures_fact())
    .supporting_each(limits.iter().take(3).map(|it| it.fact(case.scene)))
    .fix(Fix::mitigate("If these clients are legitimate, raise the limit"))
    .prevent("Set limit_req_log_level error (and limit_conn_log_level), so that refusals are logged")
    .verify(case.verify_command());
    let found = if told {
        found
    } else {
        found
            .confidence(0.6)
            .prevent("Log $upstream_status: then the access log says whether a backend was asked")
    };
    found.into()
}

/// Addresses of the refused clients.
fn clients(case: &Case) -> Vec<String> {
    let mut all: Vec<String> =
        case.accesses().map(|it| it.client.clone()).filter(|it| !it.is_empty()).collect();
    all.sort();
    all.dedup();
    all
}

/// Where the zone is defined, as evidence.
fn zone_definition(case: &Case, zone: &str) -> Option<Fact> {
    let http = case.scene.config.root.iter().filter(|it| it.name == "http");
    let defined = http.flat_map(|it| it.children()).find(|it| {
        let named =
            |arg: &str| arg.strip_prefix("zone=").is_some_and(|it| it.split(':').next() == Some(zone));
        matches!(it.name.as_str(), "limit_req_zone" | "limit_conn_zone")
            && it.args.iter().any(|arg| named(&arg.text))
    })?;
    let args: Vec<&str> = defined.args.iter().map(|it| it.text.as_str()).collect();
    let says = format!("{} {}", defined.name, args.join(" "));
    Some(Fact::new("config", says).reference(case.scene.place(defined.span)))
}

fn from_lines(case: &Case) -> Option<Found> {
    if let Ok(Verdict::Found(found)) = judge(case) {
        return Some(*found);
    }
    let last = case.accesses().next_back().filter(|it| matches!(it.status, 503 | 429))?;
    let (tells, asked) = (last.tells_upstream, last.last_attempt().is_some());
    // A limit lets some requests of the same moment through.
    let let_through = course::of(case).between > 0;
    let confidence = match (tells, asked) {
        (true, true) => return None,
        (true, false) if let_through => 0.6,
        (true, false) => 0.3,
        (false, _) if let_through => 0.4,
        (false, _) => 0.15,
    };
    let summary = format!("limit_req or limit_conn may have refused {}", plural(case.group.count, "request"));
    Some(
        fits(case, confidence, summary)
            .supporting_each(lines::spread_fact(case))
            .fix(
                Fix::repair("Look for a limit in force there, and log its refusals")
                    .run("nginx -T | grep -nE 'limit_(req|conn)'"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;

    const SITE: &str = "limit_req_zone $binary_remote_addr zone=perip:1m rate=2r/s;\nserver {\nlisten 80;\nserver_name \
        shop.example.com;\nlocation / {\nlimit_req zone=perip burst=3;\nproxy_pass http://127.0.0.1:8000;\n}\n}";

    #[test]
    fn a_limit_is_named_with_its_zone_and_place() {
        let line = "[error] 101#101: *7 limiting requests, excess: 3.400 by zone \"perip\", client: 10.0.0.9, server: \
            shop.example.com, request: \"GET / HTTP/1.1\", host: \"shop.example.com\"";
        let report = check(&logged(configured(SITE), &[line]), "rate-limited: confirmed");
        assert!(report.causes[0].summary.contains("zone perip"), "{}", report.causes[0].summary);
        let rate = report.causes[0].evidence.iter().find(|it| it.says.contains("rate=2r/s")).unwrap();
        assert_eq!(rate.reference.as_deref(), Some("/etc/nginx/nginx.conf:3"));
    }

    #[test]
    fn requests_that_were_only_delayed_failed_nobody() {
        let line = "[warn] 101#101: *7 delaying request, excess: 0.400, by zone \"perip\", client: 10.0.0.9, server: \
            shop.example.com, request: \"GET / HTTP/1.1\", host: \"shop.example.com\"";
        check(&logged(configured(SITE), &[line]), "healthy");
    }

    #[test]
    fn a_limit_that_logs_nothing_is_likely() {
        let host = requested(logged(configured(SITE), &[]), &[("GET / HTTP/1.1", 503, "-", "-", "-")]);
        check(&host, "rate-limited: likely");
    }

    #[test]
    fn a_backend_s_own_503_is_no_limit() {
        let host = requested(
            logged(configured(SITE), &[]),
            &[("GET / HTTP/1.1", 503, "127.0.0.1:8000", "503", "0.1")],
        );
        check(&host, "upstream-returned-error: confirmed");
    }

    #[test]
    fn a_limit_that_only_counts_refuses_nobody() {
        let line = "[error] 101#101: *7 limiting requests, dry run, excess: 3.400 by zone \"perip\", client: 10.0.0.9, server: \
            shop.example.com, request: \"GET / HTTP/1.1\", host: \"shop.example.com\"";
        check(&logged(configured(SITE), &[line]), "healthy");
    }
}
