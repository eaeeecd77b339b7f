use crate::fate::{self, Fate};
use crate::outage::{self, Outage};
use crate::rule::*;

cause! {
    /// The backend cannot bind its address: another process holds it, and may answer nginx instead.
    ///
    /// ## What you see
    /// Errors that do not fit the application: a foreign 503 or 404 page, "unsupported FastCGI protocol version", a
    /// closed connection; or a refused connection. It began with a restart of the backend or a new program on the host.
    ///
    /// ## How we know
    /// The backend's log says "Address already in use" (EADDRINUSE), and the dialled address is held by a process that
    /// does not belong to the service defined for it.
    ///
    /// ## What to do
    /// Stop or move the other program, then start the backend; or give the backend another port and let nginx dial that.
    ///
    /// ## Not to be confused with
    /// `protocol-mismatch`, its consequence when the other program speaks another protocol. `backend-start-failed`: there
    /// the start fails for another reason.
    "backend-port-conflict",
    explains: [
        ConnectRefused, ConnectSocketMissing, PrematureClose, ReadReset, ReadTimeout, ResponseInvalid, HeaderInvalid,
        UpstreamStatus, SslHandshake, SendFailed, HeaderTooBig,
    ],
    leads_to: [
        "backend-not-running", "protocol-mismatch", "tls-plaintext-mismatch", "invalid-response", "upstream-returned-error",
        "backend-start-failed", "backend-aborts-request", "backend-hung", "wrong-upstream-port", "proxy-loop",
    ],
    judge: Judge::Group(judge),
    from_lines: from_lines,
    told_by: EventKind::BindFailed { .. },
}

fn judge(case: &Case) -> Result<Verdict, Blind> {
    if case.peer().is_none() {
        return Ok(Verdict::NotIt);
    }
    let (unit, holder, fact) = match outage::of(case)? {
        Outage::AddressTaken { unit, holder, fact } => (unit, holder, fact),
        Outage::StartFails { .. } | Outage::Stopped { .. } => {
            return Ok(match case.backend()?.processes.first() {
                Some(holder) => Verdict::ruled_out(format!(
                    "{} holds the address, but nobody else claims it",
                    holder.name
                )),
                None => Verdict::NotIt,
            });
        }
        _ => return Ok(Verdict::NotIt),
    };
    let peer = case.peer_name();
    let who = holder.map(|it| match &it.unit {
        Some(unit) => format!("{} ({unit})", it.name),
        None => format!("{} (pid {})", it.name, it.pid),
    });
    let summary = match &who {
        Some(who) => format!("{} cannot bind {peer}: {who} holds it and answers nginx instead", unit.name),
        None => format!("{} cannot bind its address, so nothing listens at {peer}", unit.name),
    };
    let mut found = confirmed(summary).decisive(fact);
    if let (Some(who), Some(there)) = (&who, &case.backend()?.listening) {
        let mut held = there.fact.clone();
        held.says = format!("{} is held by {who}", there.address);
        found = found.decisive(held);
    }
    let mut move_away = Fix::repair(match &who {
        Some(who) => format!("Stop or move {who}, then start {}", unit.name),
        None => format!("Free the address, then start {}", unit.name),
    });
    if let Some(other) = holder.and_then(|it| it.unit.as_deref()) {
        move_away = move_away
            .run(format!("systemctl stop {other}"))
            .risk(format!("{other} is down until it gets another address"));
    }
    Ok(found
        .supporting_each(case.backend()?.meant.as_ref().map(|it| it.fact.clone()))
        .supporting(outage::state_fact(case.scene, unit))
        .supporting(case.failures_fact())
        .fix(move_away.run(format!("systemctl restart {}", unit.name)))
        .verify(format!("systemctl is-active {}", unit.name))
        .verify(case.verify_command())
        .prevent("Give each service a port of its own in one list, or let them listen on unix sockets")
        .into())
}

fn from_lines(case: &Case) -> Option<Found> {
    let refused = matches!(case.group.symptom, Symptom::ConnectRefused | Symptom::ConnectSocketMissing);
    let (confidence, event) = match fate::of(case) {
        Some((Fate::AddressTaken, event)) => (if refused { 0.85 } else { 0.7 }, event),
        _ => return None,
    };
    let summary =
        format!("the backend at {} cannot bind its address: {}", case.peer_name(), lines::quote(event));
    Some(
        fits(case, confidence, summary)
            .supporting(event.fact())
            .fix(
                Fix::repair("End what holds the address, then start the backend")
                    .run(lines::who_listens(case)),
            )
            .verify(case.verify_command()),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use snapshot::{Answer, Protocol, Snapshot};

    /// PHP-FPM's pool is to listen at 127.0.0.1:9000 and its unit is down; nginx got that message from there.
    fn pool_is_down(message: &str, action: &str) -> Snapshot {
        let line = failed(message, action, "fastcgi://127.0.0.1:9000");
        logged(passing_to("fastcgi_pass 127.0.0.1:9000"), &[&line, &line]).with(|it| {
            php_fpm(it, "127.0.0.1:9000", &[], "");
            unit(it, "php8.2-fpm.service", |it| {
                it.exec_start = "/usr/sbin/php-fpm8.2 --nodaemonize".into();
                (it.active_state, it.result) = ("failed".into(), "exit-code".into());
                (it.main_started_at, it.main_exited_at) = (Some(ago(60)), Some(ago(60)));
            });
        })
    }

    fn cannot_bind(host: &mut Snapshot) {
        let lines = [
            (60, "systemd", "Starting php8.2-fpm.service - The PHP 8.2 FastCGI Process Manager..."),
            (
                60,
                "php-fpm8.2",
                "[02-May-2026 13:02:10] ERROR: unable to bind listening socket for address '127.0.0.1:9000': Address \
                 already in use (98)",
            ),
            (60, "php-fpm8.2", "[02-May-2026 13:02:10] ERROR: FPM initialization failed"),
            (60, "systemd", "php8.2-fpm.service: Main process exited, code=exited, status=78/CONFIG"),
            (60, "systemd", "php8.2-fpm.service: Failed with result 'exit-code'."),
        ];
        journal(host, "php8.2-fpm.service", &lines);
    }

    const GARBLED: &str = "upstream sent unsupported FastCGI protocol version: 72";
    const READING: &str = "reading response header from upstream";

    #[test]
    fn the_program_that_holds_the_address_is_named() {
        let host = pool_is_down(GARBLED, READING).with(|it| {
            cannot_bind(it);
            serving(it, 300, "/usr/bin/node worker.js", "127.0.0.1:9000");
            greeted(it, "127.0.0.1:9000", Protocol::Http, Answer::Spoken);
        });
        let report = check(&host, "backend-port-conflict: confirmed");
        let found = &report.causes[0];
        let expected = "php8.2-fpm.service cannot bind 127.0.0.1:9000: node (node-300.service) holds it and answers nginx instead";
        assert_eq!(found.summary, expected);
        assert!(found.consequences.iter().any(|it| it == "protocol-mismatch"), "{:?}", found.consequences);
        assert_eq!(found.fixes[0].commands[0], "systemctl stop node-300.service");
    }

    #[test]
    fn an_address_that_was_taken_and_is_free_by_now_still_explains_the_refusal() {
        let host = pool_is_down("connect() failed (111: Connection refused)", "connecting to upstream")
            .with(cannot_bind);
        let report = check(&host, "backend-port-conflict: confirmed");
        assert!(
            report.causes[0].summary.contains("so nothing listens at 127.0.0.1:9000"),
            "{}",
            report.causes[0].summary
        );
        check_ruled_out(&host, "backend-start-failed", "could not bind its address");
    }

    #[test]
    fn the_other_protocol_of_the_very_service_that_is_meant_is_no_conflict() {
        let line = failed(GARBLED, READING, "fastcgi://127.0.0.1:9000");
        let host = logged(passing_to("fastcgi_pass 127.0.0.1:9000"), &[&line]).with(|it| {
            serving(it, 300, "/usr/bin/node server.js --port 9000", "127.0.0.1:9000");
            greeted(it, "127.0.0.1:9000", Protocol::Http, Answer::Spoken);
        });
        check(&host, "protocol-mismatch: confirmed");
        check_not(&host, "backend-port-conflict");
    }

    #[test]
    fn a_start_that_fails_for_another_reason_is_no_conflict() {
        let host =
            pool_is_down("connect() failed (111: Connection refused)", "connecting to upstream").with(|it| {
                let entry = "[02-May-2026 13:02:10] ERROR: [pool www] cannot get uid for user 'shop'";
                journal(it, "php8.2-fpm.service", &[(60, "php-fpm8.2", entry)]);
            });
        check(&host, "backend-start-failed: confirmed");
        check_not(&host, "backend-port-conflict");
    }

    #[test]
    fn a_conflict_that_was_settled_by_a_later_start_is_over() {
        let host = pool_is_down(GARBLED, READING).with(|it| {
            cannot_bind(it);
            let ready = "[02-May-2026 13:02:20] NOTICE: ready to handle connections";
            journal(it, "php8.2-fpm.service", &[(50, "php-fpm8.2", ready)]);
            serving(it, 300, "/usr/bin/node worker.js", "127.0.0.1:9000");
            greeted(it, "127.0.0.1:9000", Protocol::Http, Answer::Spoken);
        });
        check_not(&host, "backend-port-conflict");
    }

    #[test]
    fn without_the_journal_nobody_can_say_why_it_does_not_listen() {
        let host = pool_is_down("connect() failed (111: Connection refused)", "connecting to upstream");
        check_blind(&host.with(|it| it.journal = denied()), "backend-port-conflict", "journal");
    }
}
