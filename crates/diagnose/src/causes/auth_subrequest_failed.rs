use crate::own_answers;
use crate::rule::*;

cause! {
    /// The auth_request subrequest ended with a status that is neither a yes nor a no, so nginx answers 500.
    ///
    /// ## What you see
    /// 500 for everything behind `auth_request`, and `auth request unexpected status: N` in the error log. The application
    /// itself is fine.
    ///
    /// ## How we know
    /// nginx says so; 2xx lets a request pass, 401 and 403 refuse it, anything else is this failure.
    ///
    /// ## What to do
    /// Ask the auth service's URL as nginx does. 404 and 405 mean that its path or method changed, 3xx that it wants to
    /// redirect, which a subrequest cannot.
    ///
    /// ## Not to be confused with
    /// `backend-not-running` and the others: when the auth service cannot be reached, that is the cause, and this its
    /// consequence.
    "auth-subrequest-failed",
    explains: [AuthUnexpected],
    leads_to: [],
    judge: Judge::Group(judge),
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.entries().next_back() else { return Ok(Verdict::NotIt) };
    // The subrequest's own failure has a line of its own, on the same connection, right before.
    let own_line = |it: &crate::failure::Failure| {
        // What a PHP script says is a remark on its answer.
        !matches!(it.symptom, Symptom::AuthUnexpected | Symptom::FastcgiStderr)
            && it.connection == last.connection
            && it.pid == last.pid
            && it.subrequest
    };
    if case.scene.failures.entries.iter().any(own_line) {
        return Ok(Verdict::NotIt);
    }
    let status = last.message.rsplit_once(": ").map_or("", |(_, it)| it);
    let place = auth(case);
    let (uri, at) = match &place {
        Some((uri, fact)) => (format!(" ({uri})"), Some(fact.clone())),
        None => (String::new(), None),
    };
    let asked = place
        .as_ref()
        .and_then(|(uri, _)| case.scene.view.route(&case.group.server, None, uri))
        .and_then(|it| it.pass);
    let whom = asked.map(|pass| format!(" from {}", pass.written)).unwrap_or_default();
    let summary = format!(
        "The auth_request subrequest{uri} gets {status}{whom}, so nginx answers 500 to {}",
        plural(case.group.count, "request")
    );
    let says = format!("\"{}\", {}", last.message, times(case.group.count));
    let fact = Fact::new("error-log", says).reference(last.reference.clone()).at(last.at);
    let target = asked.map(|pass| {
        Fact::new("config", format!("the subrequest goes to {}", pass.written))
            .reference(case.scene.place(pass.span))
    });
    let title = match status {
        "404" | "405" | "400" => {
            "Correct the address of the auth service: it does not know this path or method"
        }
        "301" | "302" | "303" | "307" | "308" => {
            "Point auth_request at an address that answers 2xx or 401, not with a redirect"
        }
        _ => "Find out why the auth service answers so: in its own log, at the time of the last failure",
    };
    let fix = Fix::repair(title);
    let fix =
        match asked.filter(|it| it.written.starts_with("http") && !it.written.contains(['$', '\'', ' '])) {
            Some(pass) => fix.run(format!("curl -sS -i '{}'", pass.written)),
            None => fix,
        };
    Ok(confirmed(summary)
        .decisive(fact)
        .supporting_each(at)
        .supporting_each(target)
        .fix(fix)
        .verify(case.verify_command())
        .prevent("Give the auth location `proxy_intercept_errors` with an error_page, or a health check of its own")
        .into())
}

/// The auth_request in force there: its URI and its place.
fn auth(case: &Case) -> Option<(String, Fact)> {
    let own = own_answers::auth_requests(case).into_iter().next()?;
    let nginx_conf::AnswerKind::AuthRequest { uri } = &own.answer.kind else { return None };
    Some((uri.clone(), own.fact(case.scene)))
}

#[cfg(test)]
mod tests {
    use crate::testing::*;

    const SITE: &str = "server {\nlisten 80;\nserver_name shop.example.com;\nlocation / {\nauth_request /_auth;\nproxy_pass \
        http://127.0.0.1:8000;\n}\nlocation = /_auth {\ninternal;\nproxy_pass http://127.0.0.1:3001/verify;\n}\n}";
    const LINE: &str = "[error] 101#101: *7 auth request unexpected status: 404 while sending to client, client: 10.0.0.9, \
        server: shop.example.com, request: \"GET /cart HTTP/1.1\", host: \"shop.example.com\"";

    #[test]
    fn a_strange_answer_of_the_auth_service_is_named() {
        let report = check(&logged(configured(SITE), &[LINE]), "auth-subrequest-failed: confirmed");
        let summary = &report.causes[0].summary;
        assert!(summary.contains("/_auth") && summary.contains("http://127.0.0.1:3001/verify"), "{summary}");
    }

    #[test]
    fn an_auth_service_that_cannot_be_reached_is_the_cause_itself() {
        let refused = "[error] 101#101: *7 connect() failed (111: Connection refused) while connecting to upstream, client: \
            10.0.0.9, server: shop.example.com, request: \"GET /cart HTTP/1.1\", subrequest: \"/_auth\", upstream: \
            \"http://127.0.0.1:3001/verify\", host: \"shop.example.com\"";
        let report = crate::diagnose(&logged(configured(SITE), &[refused, LINE]));
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "auth-subrequest-failed"),
            "{}",
            outline(&report)
        );
    }

    #[test]
    fn what_the_script_says_meanwhile_is_no_failure_of_its_own() {
        let says = "[error] 101#101: *7 FastCGI sent in stderr: \"PHP message: no session store\" while reading response header \
            from upstream, client: 10.0.0.9, server: shop.example.com, request: \"GET /cart HTTP/1.1\", subrequest: \"/_auth\", \
            upstream: \"fastcgi://127.0.0.1:9000\", host: \"shop.example.com\"";
        check(&logged(configured(SITE), &[says, LINE]), "auth-subrequest-failed: confirmed");
    }
}
