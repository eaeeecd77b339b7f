use crate::reload;
use crate::rule::*;

cause! {
    /// The last reload was refused, so nginx still runs with the configuration from before.
    ///
    /// ## What you see
    /// A change of the configuration has no effect. `[emerg]` lines stand in the error log or in the journal from the moment
    /// of the reload; the command that asked for it may have reported success, because the signal was delivered.
    ///
    /// ## How we know
    /// nginx logged an emergency after the files changed, its workers are older than the change, and what nginx does differs
    /// from what the files say in just the point that fails.
    ///
    /// ## What to do
    /// Mend what nginx complains of (file and line are in its message), test with `nginx -t`, and reload again.
    ///
    /// ## Not to be confused with
    /// `config-not-reloaded`: there nobody tried, and the files are good. `nginx-not-running`: there nginx was restarted
    /// with such files, and is down.
    "config-reload-failed",
    explains: [
        ConnectRefused, ConnectTimeout, ConnectNoRoute, ConnectNetUnreachable, ConnectPermission, ConnectSocketMissing,
        ConnectAgain, ReadTimeout, SendTimeout, SslTimeout, SslHandshake, SslVerify, SslName, PrematureClose, ReadReset,
        SendFailed, HeaderTooBig, HeaderInvalid, ResponseInvalid, BodyTooLarge, NoResolver, ResolveFailed, ResolveTimeout,
        UpstreamStatus,
    ],
    leads_to: [
        "config-not-reloaded", "wrong-upstream-port", "upstream-address-mismatch", "upstream-ipv6-mismatch",
        "unix-socket-wrong-path", "unix-socket-permission", "backend-not-running", "backend-start-failed", "backend-crashed",
        "backend-slow", "backend-hung", "protocol-mismatch", "tls-plaintext-mismatch", "tls-verify-failed",
        "tls-name-mismatch", "response-header-too-big", "request-body-too-large", "dns-unresolvable",
        "dns-resolver-unreachable", "dns-stale", "upstream-blackholed", "no-route-to-upstream", "firewall-drop",
        "firewall-reject", "php-fpm-pool-exhausted", "worker-pool-exhausted", "upstream-returned-error",
        "nginx-returned-error", "upstream-servers-all-down",
    ],
    judge: Judge::Group(judge),
    from_lines: from_lines,
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    let scene = case.scene;
    let Some(edited) = reload::edited(scene)? else { return Ok(Verdict::NotIt) };
    let Ok(help) = reload::help(case, &edited) else { return Ok(Verdict::NotIt) };
    let Some(refusal) = reload::refusal(scene, &edited) else {
        return Ok(Verdict::ruled_out("no reload was refused since the files changed"));
    };
    let sure = help.proven && refusal.seen;
    let summary = if refusal.seen {
        format!("nginx still {}: its last reload was refused ({})", help.difference, refusal.why)
    } else {
        format!("nginx still {}, and a reload would be refused: {}", help.difference, refusal.why)
    };
    let fix = match &refusal.place {
        Some(place) => Fix::repair(format!("Mend {place} ({}), then reload", refusal.why)),
        None => Fix::repair(format!("Mend what nginx complains of ({}), then reload", refusal.why)),
    };
    let found = match sure {
        true => confirmed(summary).decisive(refusal.fact),
        false => likely(summary).supporting(refusal.fact),
    };
    let found = help
        .facts
        .into_iter()
        .fold(found, |found, it| if sure { found.decisive(it) } else { found.supporting(it) });
    Ok(found
        .supporting_each(edited.fact(scene))
        .supporting(case.failures_fact())
        .fix(
            fix.run(reload::command(scene))
                .risk("none for requests in flight; every other change in the files takes effect too"),
        )
        .verify(case.verify_command())
        .prevent("Run nginx -t before every reload, and alert on [emerg] lines in nginx's error log")
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    let refused = lines::refused_reload(case)?;
    let fact =
        Fact::new("error-log", refused.message.clone()).reference(refused.reference.clone()).at(refused.at);
    let summary =
        format!("nginx refused a new configuration, and works with the old one: {}", refused.message);
    Some(
        fits(case, 0.35, summary)
            .supporting(fact)
            .fix(
                Fix::repair("Mend what nginx complains of, then reload it")
                    .run("nginx -t && nginx -s reload"),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;
    use snapshot::Snapshot;

    /// nginx is refused at 127.0.0.1:8080, while the files name a port that answers, since a minute.
    fn moved(lines: &[&str]) -> Snapshot {
        let message = "connect() failed (111: Connection refused)";
        let line = failed(message, "connecting to upstream", "http://127.0.0.1:8080/cart");
        let lines: Vec<&str> = lines.iter().copied().chain([line.as_str()]).collect();
        let mut host = logged(passing_to("proxy_pass http://127.0.0.1:8081"), &lines);
        serving(&mut host, 700, "/usr/bin/node app.js", "127.0.0.1:8081");
        let at = Some(host.collected_at - SignedDuration::from_secs(60));
        let Reading::Seen(nginx) = &mut host.nginx else { panic!("it was seen") };
        let Reading::Seen(config) = &mut nginx.value[0].config else { panic!("it was seen") };
        config.value.files[0].modified_at = at;
        host
    }

    #[test]
    fn an_emergency_after_the_edit_is_a_refused_reload() {
        let line = "[emerg] 100#100: unexpected \"}\" in /etc/nginx/nginx.conf:14";
        let report = check(&moved(&[line]), "config-reload-failed: confirmed");
        assert!(
            report.causes[0].fixes[0].title.contains("/etc/nginx/nginx.conf:14"),
            "{:?}",
            report.causes[0].fixes
        );
    }

    #[test]
    fn without_an_emergency_nobody_reloaded() {
        check(&moved(&[]), "config-not-reloaded: confirmed");
        check_ruled_out(&moved(&[]), "config-reload-failed", "no reload was refused");
    }

    #[test]
    fn files_that_do_not_parse_would_be_refused() {
        let host = moved(&[]).with(|it| {
            let Reading::Seen(nginx) = &mut it.nginx else { return };
            let Reading::Seen(config) = &mut nginx.value[0].config else { return };
            config.value.files[0].text.push_str("server_tokens off\n");
        });
        check(&host, "config-reload-failed: likely");
    }
}
