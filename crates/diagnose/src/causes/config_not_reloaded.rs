use crate::reload;
use crate::rule::*;

cause! {
    /// The configuration files were changed, but nginx still runs with what it loaded before.
    ///
    /// ## What you see
    /// Failures that the files cannot explain: nginx dials an address that is no longer in them, gives up earlier than they
    /// say, or refuses what they allow. The change looks right, and does not help.
    ///
    /// ## How we know
    /// A file changed after nginx last loaded its configuration (its workers are older), what nginx does differs from what
    /// the files say in just the point that fails, and the files would work.
    ///
    /// ## What to do
    /// `nginx -t`, then reload. Requests in flight are not interrupted.
    ///
    /// ## Not to be confused with
    /// `config-reload-failed`: there somebody did reload, and nginx refused. `wrong-upstream-port`: there the files are wrong.
    "config-not-reloaded",
    explains: [
        ConnectRefused, ConnectTimeout, ConnectNoRoute, ConnectNetUnreachable, ConnectPermission, ConnectSocketMissing,
        ConnectAgain, ReadTimeout, SendTimeout, SslTimeout, SslHandshake, SslVerify, SslName, PrematureClose, ReadReset,
        SendFailed, HeaderTooBig, HeaderInvalid, ResponseInvalid, BodyTooLarge, NoResolver, ResolveFailed, ResolveTimeout,
        UpstreamStatus,
    ],
    leads_to: [
        "wrong-upstream-port", "upstream-address-mismatch", "upstream-ipv6-mismatch", "unix-socket-wrong-path",
        "unix-socket-permission", "backend-not-running", "backend-start-failed", "backend-crashed", "backend-slow",
        "backend-hung", "protocol-mismatch", "tls-plaintext-mismatch", "tls-verify-failed", "tls-name-mismatch",
        "response-header-too-big", "request-body-too-large", "dns-unresolvable", "dns-resolver-unreachable", "dns-stale",
        "upstream-blackholed", "no-route-to-upstream", "firewall-drop", "firewall-reject", "php-fpm-pool-exhausted",
        "worker-pool-exhausted", "upstream-returned-error", "nginx-returned-error", "upstream-servers-all-down",
    ],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let Some(edited) = reload::edited(case.scene)? else { return Ok(Verdict::NotIt) };
    let help = match reload::help(case, &edited) {
        Ok(help) => help,
        Err(because) => return Ok(because.map_or(Verdict::NotIt, Verdict::ruled_out)),
    };
    if let Some(refusal) = reload::refusal(case.scene, &edited) {
        let when = if refusal.seen { "nginx refused the files" } else { "nginx would refuse the files" };
        return Ok(Verdict::ruled_out(format!("{when}: {}", refusal.why)));
    }
    let changed = edited.fact(case.scene);
    let sure = help.proven && changed.is_some();
    let since =
        changed.as_ref().and_then(|it| it.at).map(|at| format!(", changed at {}", case.scene.clock(at)));
    let summary =
        format!("nginx still {}{}: it was not reloaded", help.difference, since.unwrap_or_default());
    let found = if sure { confirmed(summary) } else { likely(summary) };
    let found = help
        .facts
        .into_iter()
        .fold(found, |found, it| if sure { found.decisive(it) } else { found.supporting(it) });
    let found = match changed {
        Some(fact) if sure => found.decisive(fact),
        Some(fact) => found.supporting(fact),
        None => found,
    };
    Ok(found
        .supporting(case.failures_fact())
        .fix(
            Fix::repair("Reload nginx")
                .run(reload::command(case.scene))
                .risk("none for requests in flight; every change in the files takes effect, also those of others"),
        )
        .verify(case.verify_command())
        .prevent("Let whatever changes the files (a deployment, an editor's hook) run nginx -t and reload in the same step")
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    // Only the files tell; what lines show is a backend that moved away.
    let moved = matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing)
        && course::of(case).before
        && !course::of(case).since;
    let summary = format!(
        "nginx may work with an older configuration than its files say, which name another address than {}",
        case.peer_name()
    );
    moved.then(|| {
        fits(case, 0.04, summary)
            .fix(Fix::repair("Compare, then reload").run("nginx -t && nginx -s reload"))
            .verify(case.verify_command())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// nginx is refused at 127.0.0.1:8080, while the files name another port; they changed a minute ago.
    fn moved_to(port: u16, listening: bool) -> Snapshot {
        let message = "connect() failed (111: Connection refused)";
        let line = failed(message, "connecting to upstream", "http://127.0.0.1:8080/cart");
        let mut host = logged(passing_to(&format!("proxy_pass http://127.0.0.1:{port}")), &[&line]);
        if listening {
            serving(&mut host, 700, "/usr/bin/node app.js", &format!("127.0.0.1:{port}"));
        }
        edited(host)
    }

    fn edited(mut host: Snapshot) -> Snapshot {
        let at = Some(host.collected_at - SignedDuration::from_secs(60));
        let Reading::Seen(nginx) = &mut host.nginx else { panic!("it was seen") };
        let Reading::Seen(config) = &mut nginx.value[0].config else { panic!("it was seen") };
        config.value.files[0].modified_at = at;
        host
    }

    #[test]
    fn an_address_that_the_files_have_no_more_is_not_reloaded() {
        let report = check(&moved_to(8081, true), "config-not-reloaded: confirmed");
        let summary = &report.causes[0].summary;
        assert!(
            summary.contains("dials 127.0.0.1:8080, while the files lead to 127.0.0.1:8081"),
            "{summary}"
        );
    }

    #[test]
    fn files_that_would_not_help_are_not_accused() {
        let host = moved_to(8081, false);
        let report = crate::diagnose(&host);
        assert!(!report.causes.iter().any(|it| it.cause.id == "config-not-reloaded"), "{}", outline(&report));
    }

    #[test]
    fn a_touched_file_without_a_difference_is_not_accused() {
        let host = moved_to(8080, false);
        let report = crate::diagnose(&host);
        assert!(!report.causes.iter().any(|it| it.cause.id == "config-not-reloaded"), "{}", outline(&report));
    }

    #[test]
    fn requests_that_end_before_the_timeout_of_the_files_show_an_older_one() {
        let message = "upstream timed out (110: Connection timed out)";
        let line = failed(message, "reading response header from upstream", "http://127.0.0.1:8080/cart");
        let host = logged(passing_to("proxy_read_timeout 30s; proxy_pass http://127.0.0.1:8080"), &[&line]);
        let host = requested(host, &[("GET /cart HTTP/1.1", 504, "127.0.0.1:8080", "504", "1.001")]);
        let report = check(&edited(host), "config-not-reloaded: confirmed");
        assert!(report.causes[0].summary.contains("gives up after 1.0 s"), "{}", report.causes[0].summary);
    }

    #[test]
    fn a_buffer_that_was_raised_in_a_file_that_was_not_loaded_is_likely_not_in_force() {
        let line = failed(
            "upstream sent too big header",
            "reading response header from upstream",
            "http://127.0.0.1:8080/cart",
        );
        let host = logged(passing_to("proxy_buffer_size 32k; proxy_pass http://127.0.0.1:8080"), &[&line]);
        check(&edited(host.clone()), "config-not-reloaded: likely");
        check(&host, "response-header-too-big: confirmed");
    }

    #[test]
    fn a_body_that_the_files_allow_was_refused_by_an_older_limit() {
        let line = "[error] 101#101: *7 client intended to send too large body: 2000000 bytes, client: 10.0.0.9, server: \
            shop.example.com, request: \"POST /cart HTTP/1.1\", host: \"shop.example.com\"";
        let host = logged(passing_to("client_max_body_size 8m; proxy_pass http://127.0.0.1:8080"), &[line]);
        check(&edited(host), "config-not-reloaded: confirmed");
    }

    #[test]
    fn files_we_may_not_read_are_a_blind_spot() {
        let mut host = moved_to(8080, false);
        let Reading::Seen(nginx) = &mut host.nginx else { panic!("it was seen") };
        nginx.value[0].config = denied();
        check_blind(&host, "config-not-reloaded", "configuration files");
    }
}
