use super::temp_path_permission;
use crate::rule::*;
use crate::{own_answers, space};

cause! {
    /// nginx's own configuration returns the error: a `return`, an `error_page`, a maintenance switch.
    ///
    /// ## What you see
    /// 502, 503, 504 or 500 in the access log without any upstream (`$upstream_addr` is `-`), while the backend is fine. The
    /// error log says nothing; or, for a 500, that rewrites and internal redirects never end, or which file nginx may not read.
    ///
    /// ## How we know
    /// nginx asked no backend for these requests, and the configuration has an answer with that status on their way.
    ///
    /// ## What to do
    /// If the answer is not wanted any more, remove it or what switches it on (a maintenance file, a map, a bot list).
    ///
    /// ## Not to be confused with
    /// `upstream-returned-error`: there the backend sent the status. `rate-limited`: there limit_req or limit_conn did, and
    /// the error log says so.
    "nginx-returned-error",
    explains: [UpstreamStatus, PermissionDenied],
    leads_to: [],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(last) = case.accesses().next_back() else { return Ok(Verdict::NotIt) };
    if last.tells_upstream
        && let Some(attempt) = last.last_attempt()
    {
        let by = attempt.addr.as_deref().unwrap_or("a backend");
        return Ok(Verdict::ruled_out(format!("nginx asked {by} for these requests")));
    }
    let scene = case.scene;
    if case.group.symptom == Symptom::PermissionDenied {
        return Ok(unreadable(case).map_or(Verdict::NotIt, Verdict::from));
    }
    let found = own_answers::find(case);
    let Some(own) = found.first() else { return Ok(told(case).map_or(Verdict::NotIt, Verdict::from)) };
    let place = scene.place(own.answer.span);
    let status = last.status;
    let who = plural(case.group.count, "request");
    let summary = format!("nginx itself answers {status} to {who}: {} in {place}", own.words());
    let count = times(case.group.count);
    let says = if last.tells_upstream {
        format!("status {status} and no upstream was asked, {count}")
    } else {
        format!("status {status}, {count}; this log format does not say whether an upstream was asked")
    };
    let access = Fact::new("access-log", says).reference(last.reference.clone()).at(last.at);
    let sure = last.tells_upstream || own.is_unconditional();
    let quiet = scene
        .error_log_speaks(case.group)
        .then(|| Fact::new("error-log", "nothing was logged about these requests"));
    let finding = if sure {
        confirmed(summary).decisive(own.fact(scene)).decisive(access)
    } else {
        likely(summary).supporting(own.fact(scene)).supporting(access)
    };
    Ok(finding
        .supporting_each(quiet)
        .supporting_each(found.iter().skip(1).take(2).map(|it| it.fact(scene)))
        .fix(switch_off(case, own))
        .verify(case.verify_command())
        .into())
}

/// What nginx's error log says about requests that it ended itself with 500.
fn told(case: &Case) -> Option<Found> {
    let scene = case.scene;
    let explained =
        |access: &crate::failure::Access| scene.failures.notices.iter().find(|it| it.explains(access));
    let notice = case.accesses().rev().find_map(explained)?;
    let who = plural(case.group.count, "request");
    let line = Fact::new("error-log", notice.message.as_str()).reference(&notice.reference).at(notice.at);
    let fix = if notice.message.contains("internal redirection cycle") {
        let why = "each rewrite, try_files or error_page there leads back to itself: the file that would end it is missing";
        Fix::repair("Let the last step of the redirect be something that exists, or end it with =404")
            .because(why)
    } else {
        Fix::repair("Mend what nginx names in its error log")
    };
    let found = confirmed(format!("nginx itself answers 500 to {who}: {}", notice.message)).decisive(line);
    Some(found.supporting(case.failures_fact()).fix(fix).verify(case.verify_command()))
}

/// A file of the configuration's that the workers open for each request, and may not: passwords, a key.
fn unreadable(case: &Case) -> Option<Found> {
    let entry = case.entries().next_back()?;
    if temp_path_permission::is_temporary(&entry.message) || !case.accesses().any(|it| it.status == 500) {
        return None;
    }
    let who = plural(case.group.count, "request");
    let file = space::path_in(&entry.message)?;
    let line = Fact::new("error-log", format!("{} (13: Permission denied)", entry.message));
    let found = confirmed(format!("nginx itself answers 500 to {who}: its workers may not read {file}"))
        .decisive(line.reference(&entry.reference).at(entry.at));
    let fix = Fix::repair(format!("Let the workers' user read {file}")).run(format!("namei -l {file}"));
    Some(found.supporting(case.failures_fact()).fix(fix).verify(case.verify_command()))
}

/// How to make the answer go away.
fn switch_off(case: &Case, own: &own_answers::Own) -> Fix {
    let place = case.scene.place(own.answer.span);
    match own.answer.condition.as_deref() {
        // `if (-f $document_root/maintenance.on)` and its like are switches made of a file.
        Some(condition) if condition.contains("-f ") || condition.contains("-e ") => Fix::repair(format!(
            "Remove the file that switches it on: {condition} in {place}"
        ))
        .because("the answer is a maintenance switch; without the file requests go to the backend again"),
        Some(condition) => {
            Fix::repair(format!("If these clients are to be served, change what {condition} tests ({place})"))
                .because("the condition held for these requests; a map or a set decides it")
        }
        None => {
            Fix::repair(format!("Remove {} from {place}", own.words())).run("nginx -t && nginx -s reload")
        }
    }
}

fn from_lines(case: &Case) -> Option<Found> {
    if let Ok(Verdict::Found(found)) = judge(case) {
        return Some(*found);
    }
    if case.group.symptom == Symptom::PermissionDenied {
        return None;
    }
    let last = case.accesses().next_back()?;
    let confidence = match (last.tells_upstream, last.last_attempt()) {
        (true, Some(_)) => return None,
        (true, None) if last.status == 503 => 0.45,
        (true, None) => 0.6,
        (false, _) if last.status == 503 => 0.25,
        (false, _) => 0.1,
    };
    let asked = match last.tells_upstream {
        true => "no backend was asked",
        false => "the log does not tell whether a backend was asked",
    };
    let summary = format!("nginx may answer {} by its own configuration: {asked}", last.status);
    Some(
        fits(case, confidence, summary)
            .fix(
                Fix::repair("Look for the rule that answers so")
                    .run(format!("nginx -T | grep -nE 'return {0}|={0}'", last.status)),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::Snapshot;

    fn site(location: &str, upstream: &str, upstream_status: &str) -> Snapshot {
        let server = format!(
            "server {{\nlisten 80;\nserver_name shop.example.com;\nlocation / {{\n{location}\n}}\n}}"
        );
        let host = logged(configured(&server), &[]);
        requested(host, &[("GET /cart HTTP/1.1", 503, upstream, upstream_status, "-")])
    }

    const SWITCH: &str = "if (-f /srv/maintenance.on) { return 503; }\nproxy_pass http://127.0.0.1:8000;";

    #[test]
    fn a_maintenance_switch_is_named_with_its_place() {
        let report = check(&site(SWITCH, "-", "-"), "nginx-returned-error: confirmed");
        assert!(report.causes[0].summary.contains("/etc/nginx/nginx.conf:7"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_file_that_try_files_did_not_find_ends_in_its_status() {
        let report = check(&site("try_files $uri =503;", "-", "-"), "nginx-returned-error: confirmed");
        let summary = &report.causes[0].summary;
        assert!(summary.contains("try_files with =503"), "{summary}");
    }

    #[test]
    fn redirects_that_never_end_are_told_in_the_error_log_s_words() {
        let line = "[error] 100#100: *7 rewrite or internal redirection cycle while internally redirecting to \
                    \"/index.html\", client: 10.0.0.9, server: shop.example.com, request: \"GET /cart HTTP/1.1\", \
                    host: \"shop.example.com\"";
        let server = "server {\nlisten 80;\nlocation / {\ntry_files $uri /index.html;\n}\n}";
        let bad = ("GET /cart HTTP/1.1", 500, "-", "-", "-");
        let host = requested(logged(configured(server), &[line]), &[bad]);
        let report = check(&host, "nginx-returned-error: confirmed");
        let summary = &report.causes[0].summary;
        assert!(summary.contains("internal redirection cycle"), "{summary}");
        // Without that line nothing is known of it, but a 500 of nginx's own making is not healthy.
        let host = requested(logged(configured(server), &[]), &[bad]);
        check(&host, "inconclusive");
    }

    #[test]
    fn a_password_file_that_the_workers_may_not_read_is_named() {
        let line = "[crit] 100#100: *7 open() \"/etc/nginx/users\" failed (13: Permission denied), client: 10.0.0.9, \
                    server: shop.example.com, request: \"GET /cart HTTP/1.1\", host: \"shop.example.com\"";
        let server = "server {\nlisten 80;\nlocation / {\nproxy_pass http://127.0.0.1:8000;\n}\n}";
        let bad = ("GET /cart HTTP/1.1", 500, "-", "-", "-");
        let host = requested(logged(configured(server), &[line]), &[bad]);
        let report = check(&host, "nginx-returned-error: confirmed");
        let summary = &report.causes[0].summary;
        assert!(summary.contains("/etc/nginx/users"), "{summary}");
    }

    #[test]
    fn a_status_that_the_backend_sent_is_not_nginx_s() {
        let host = site(SWITCH, "127.0.0.1:8000", "503");
        check(&host, "upstream-returned-error: confirmed");
        check_ruled_out(&host, "nginx-returned-error", "asked 127.0.0.1:8000");
    }

    #[test]
    fn an_error_page_that_only_dresses_a_status_is_no_source_of_it() {
        let host = site("error_page 503 /sorry.html;\nproxy_pass http://127.0.0.1:8000;", "-", "-");
        let report = crate::diagnose(&host);
        assert!(
            !report.causes.iter().any(|it| it.cause.id == "nginx-returned-error"),
            "{}",
            outline(&report)
        );
    }
}
